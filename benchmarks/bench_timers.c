/* SPDX-License-Identifier: MIT */
/*
 * bench_timers.c - timers_cpu: what many sleepers cost.
 *
 * size greenlets each sleep a pseudo-random time below size microseconds, the same times in every
 * peer: a million of them spread over a second, fewer as densely over less.  The figure is CPU time, user and system, of the whole process from the first spawn until the
 * last has woken: creating them, arming, expiring, waking.
 */
#include "bench_grove.h"

#include <math.h>
#include <stdatomic.h>

static grove_event all_awake;
static _Atomic uint64_t asleep;

static void *sleep_once(void *arg)
{
	BENCH_OK(grove_sleep(grove_in_ns((int64_t)(uintptr_t)arg)));
	if (atomic_fetch_sub_explicit(&asleep, 1, memory_order_acq_rel) == 1)
		BENCH_OK(grove_event_send(&all_awake, NULL));
	return NULL;
}

static void *timers_main(void *arg)
{
	struct bench *b = arg;
	uint64_t range = b->size * 1000, longest = 0;
	int64_t wall = -bench_clock_ns();
	double cpu = -bench_cpu_s();

	atomic_store(&asleep, b->size);
	for (uint64_t i = 0; i < b->size; i++) {
		uint64_t ns = bench_mix(i) % range;

		longest = ns > longest ? ns : longest;
		BENCH_OK(grove_spawn(NULL, sleep_once, (void *)(uintptr_t)ns));
	}
	BENCH_OK(grove_event_wait(&all_awake, NULL, GROVE_NEVER));
	cpu += bench_cpu_s();
	wall += bench_clock_ns();
	bench_require(wall >= (int64_t)longest, "ns slept in all", wall, (int64_t)longest);
	bench_value(b, cpu, NAN);
	bench_extra(b, "timers_wall", NULL, "s", (double)wall / 1e9, NAN);
	return NULL;
}

static void timers_cpu(struct bench *b)
{
	bench_in_grove(b, timers_main);
}

static const struct bench_case cases[] = {
	{ .name = "timers_cpu",
	  .unit = "s",
	  .run = timers_cpu,
	  .hubs = { 2 },
	  .size = 1000000,
	  .rounds = 1,
	  .quick_size = 100000,
	  .touch_each = 4700 },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, "grove", cases, BENCH_ARRAY_LEN(cases));
}
