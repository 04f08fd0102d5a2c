/* SPDX-License-Identifier: MIT */
/*
 * bench_wake.c - how long until a parked greenlet on another hub runs.
 *
 * A greenlet on hub 1 parks on an event; a greenlet on hub 0, running all the time, sends it.
 * Measured is the time from before the send until the other one runs.
 *
 * wake/asleep    half a millisecond after it parked: its hub sleeps in the kernel.  The same pause
 *                before a futex wake between two pthreads is measured in the same run (impl
 *                "futex"): what the kernel takes for itself.
 * wake/spinning  two microseconds after it parked: its hub still looks for work.
 */
#include "bench_grove.h"

#include <linux/futex.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ASLEEP_NS = 500000, SPINNING_NS = 2000 };

struct pair {
	uint64_t rounds;
	grove_event *events;
	_Alignas(64) _Atomic uint64_t waiting; /* rounds the waiter is about to park in */
	_Alignas(64) _Atomic uint64_t woken;   /* rounds it has woken in */
	_Atomic int64_t woken_at;
};

static void *sleeper(void *arg)
{
	struct pair *p = arg;

	for (uint64_t i = 0; i < p->rounds; i++) {
		atomic_store_explicit(&p->waiting, i + 1, memory_order_release);
		BENCH_OK(grove_event_wait(&p->events[i], NULL, GROVE_NEVER));
		atomic_store_explicit(&p->woken_at, bench_clock_ns(), memory_order_relaxed);
		atomic_store_explicit(&p->woken, i + 1, memory_order_release);
	}
	return NULL;
}

/* The yields are the scheduling points at which a hub pays the wake-ups it owes. */
static void yield_until(_Atomic uint64_t *count, uint64_t wanted)
{
	while (atomic_load_explicit(count, memory_order_acquire) < wanted)
		BENCH_OK(grove_yield());
}

struct waker {
	struct bench *b;
	struct pair *p;
	int64_t pause_ns;
};

static void *wake_all(void *arg)
{
	struct waker *w = arg;
	struct pair *p = w->p;

	for (uint64_t i = 0; i < p->rounds; i++) {
		int64_t before;

		yield_until(&p->waiting, i + 1);
		bench_spin_ns(w->pause_ns);
		before = bench_clock_ns();
		BENCH_OK(grove_event_send(&p->events[i], NULL));
		yield_until(&p->woken, i + 1);
		bench_sample(w->b, (double)(p->woken_at - before) / 1e3);
	}
	return NULL;
}

static grove_greenlet *spawn_on(int hub, grove_fn *fn, void *arg)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g;

	attributes.flags = GROVE_ON_HUB;
	attributes.hub = hub;
	BENCH_OK(grove_spawn_with(&g, fn, arg, &attributes));
	return g;
}

static void wake_run(struct bench *b, int64_t pause_ns)
{
	struct pair p = { .rounds = b->rounds };
	struct waker w = { .b = b, .p = &p, .pause_ns = pause_ns };
	grove_greenlet *both[2];

	p.events = calloc(p.rounds, sizeof *p.events);
	bench_require(p.events != NULL, "memory", 0, 1);
	both[0] = spawn_on(1, sleeper, &p);
	both[1] = spawn_on(0, wake_all, &w);
	for (int i = 0; i < 2; i++) {
		BENCH_OK(grove_join(both[i], GROVE_NEVER));
		grove_greenlet_release(both[i]);
	}
	bench_samples(b, NULL, NULL);
	free(p.events);
}

static void *wake_asleep_main(void *arg)
{
	wake_run(arg, ASLEEP_NS);
	return NULL;
}

static void *wake_spinning_main(void *arg)
{
	wake_run(arg, SPINNING_NS);
	return NULL;
}

/* ---- two pthreads and a futex ---------------------------------------------------------------- */

struct kernel_pair {
	uint64_t rounds;
	size_t cpu;
	_Alignas(64) _Atomic uint32_t word; /* rounds sent */
	_Alignas(64) _Atomic uint64_t waiting;
	_Alignas(64) _Atomic uint64_t woken;
	_Atomic int64_t woken_at;
};

static void *kernel_sleeper(void *arg)
{
	struct kernel_pair *p = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(p->cpu, &set);
	sched_setaffinity(0, sizeof set, &set);
	for (uint32_t i = 0; i < p->rounds; i++) {
		atomic_store_explicit(&p->waiting, i + 1, memory_order_release);
		while (atomic_load_explicit(&p->word, memory_order_acquire) == i)
			syscall(SYS_futex, &p->word, FUTEX_WAIT_PRIVATE, i, NULL, NULL, 0);
		atomic_store_explicit(&p->woken_at, bench_clock_ns(), memory_order_relaxed);
		atomic_store_explicit(&p->woken, i + 1, memory_order_release);
	}
	return NULL;
}

static void spin_until(_Atomic uint64_t *count, uint64_t wanted)
{
	while (atomic_load_explicit(count, memory_order_acquire) < wanted)
		;
}

static void kernel_wake(struct bench *b)
{
	struct kernel_pair p = { .rounds = b->rounds };
	size_t first = CPU_SETSIZE;
	cpu_set_t allowed, set;
	pthread_t thread;

	bench_require(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "affinity", -1, 0);
	bench_require(CPU_COUNT(&allowed) > 1, "cpus", CPU_COUNT(&allowed), 2);
	for (size_t cpu = CPU_SETSIZE; cpu-- > 0;) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		p.cpu = first;
		first = cpu;
	}
	CPU_ZERO(&set);
	CPU_SET(first, &set);
	sched_setaffinity(0, sizeof set, &set);
	bench_require(pthread_create(&thread, NULL, kernel_sleeper, &p) == 0, "pthread", -1, 0);
	for (uint32_t i = 0; i < p.rounds; i++) {
		int64_t before;

		spin_until(&p.waiting, i + 1);
		bench_spin_ns(ASLEEP_NS);
		before = bench_clock_ns();
		atomic_store_explicit(&p.word, i + 1, memory_order_release);
		syscall(SYS_futex, &p.word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		spin_until(&p.woken, i + 1);
		bench_sample(b, (double)(p.woken_at - before) / 1e3);
	}
	pthread_join(thread, NULL);
	sched_setaffinity(0, sizeof allowed, &allowed);
	bench_samples(b, NULL, "futex");
}

static void wake_asleep(struct bench *b)
{
	bench_in_grove(b, wake_asleep_main);
	kernel_wake(b);
}

static void wake_spinning(struct bench *b)
{
	bench_in_grove(b, wake_spinning_main);
}

static const struct bench_case cases[] = {
	{ .name = "wake/asleep",
	  .unit = "us",
	  .run = wake_asleep,
	  .hubs = { 2 },
	  .size = 2,
	  .rounds = 1000,
	  .quick_rounds = 200 },
	{ .name = "wake/spinning",
	  .unit = "us",
	  .run = wake_spinning,
	  .hubs = { 2 },
	  .size = 2,
	  .rounds = 20000,
	  .quick_rounds = 5000 },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, "grove", cases, BENCH_ARRAY_LEN(cases));
}
