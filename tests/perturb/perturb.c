/* SPDX-License-Identifier: MIT */
/*
 * perturb.c - random delays before the runtime's shared accesses (preset "perturb").
 *
 * Most calls return at once, some spin, few give the core away, very few sleep: races whose window
 * is a handful of instructions get thousands of times wider, while a test still ends.  Called from
 * every context that touches shared words, signal handlers too, so it keeps errno, allocates
 * nothing and uses no atomic of base/atomic.h.
 *
 * GROVE_PERTURB_SEED makes each thread's sequence of choices, not the schedule, the same again.
 */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

void gv_perturb(void);

static uint64_t seed;
static uint64_t threads;
static _Thread_local uint64_t random_state __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void choose_seed(void)
{
	const char *text = getenv("GROVE_PERTURB_SEED");
	struct timespec now;

	if (text) {
		seed = strtoull(text, NULL, 0);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	seed = (uint64_t)now.tv_nsec;
}

static uint64_t next_random(void)
{
	uint64_t x = random_state;

	if (x == 0) {
		uint64_t number = __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
		x = (seed + number) * 0x9e3779b97f4a7c15u | 1;
	}
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	random_state = x;
	return x;
}

static void spin(uint64_t rounds)
{
	for (volatile uint64_t i = 0; i < rounds; i++)
		;
}

void gv_perturb(void)
{
	uint64_t choice = next_random() >> 16;
	int saved;

	if (choice % 16 != 0)
		return;
	saved = errno;
	choice >>= 4;
	if (choice % 4096 == 0) {
		struct timespec nap = { .tv_nsec = (long)(choice >> 12) % 50000 };
		nanosleep(&nap, NULL);
	} else if (choice % 64 == 0) {
		sched_yield();
	} else {
		spin((choice >> 6) % 300);
	}
	errno = saved;
}
