/* SPDX-License-Identifier: MIT */
/*
 * bench_spawn.c - spawn_join and spawn_batch: what making, running and joining a greenlet costs.
 *
 * spawn_join   one at a time: spawn, join, release.
 * spawn_batch  size greenlets and an array of handles, then get and release each.  The process is
 *              fresh, so the first round takes all its memory from the kernel; VmHWM after that
 *              round is the peak (the handles' 8 bytes each included).  A second round finds the
 *              memory warm.
 */
#include "bench_grove.h"

#include <math.h>
#include <stdlib.h>

static void *count_one(void *arg)
{
	uint64_t *count = arg;

	(*count)++;
	return NULL;
}

static void spawn_and_join(uint64_t *count, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		grove_greenlet *child;

		BENCH_OK(grove_spawn(&child, count_one, count));
		BENCH_OK(grove_join(child, GROVE_NEVER));
		grove_greenlet_release(child);
	}
}

static void *spawn_join_main(void *arg)
{
	struct bench *b = arg;
	uint64_t count = 0;
	int64_t ns;

	spawn_and_join(&count, b->rounds / 10);
	count = 0;
	ns = -bench_clock_ns();
	spawn_and_join(&count, b->rounds);
	ns += bench_clock_ns();
	bench_require(count == b->rounds, "children", (int64_t)count, (int64_t)b->rounds);
	bench_value(b, (double)ns / (double)b->rounds, NAN);
	return NULL;
}

static void spawn_join(struct bench *b)
{
	bench_in_grove(b, spawn_join_main);
}

static void *same(void *arg)
{
	return arg;
}

static uint64_t batch(uint64_t size)
{
	grove_greenlet **all = malloc(size * sizeof *all);
	uint64_t sum = 0;

	bench_require(all != NULL, "memory", 0, 1);
	for (uint64_t i = 0; i < size; i++)
		BENCH_OK(grove_spawn(&all[i], same, (void *)(uintptr_t)i));
	for (uint64_t i = 0; i < size; i++) {
		void *value;

		BENCH_OK(grove_get(all[i], &value, GROVE_NEVER));
		grove_greenlet_release(all[i]);
		sum += (uintptr_t)value;
	}
	free(all);
	return sum;
}

static void *spawn_batch_main(void *arg)
{
	struct bench *b = arg;
	uint64_t wanted = b->size * (b->size - 1) / 2;

	for (uint64_t round = 0; round < b->rounds; round++) {
		int64_t ns = -bench_clock_ns();
		uint64_t sum = batch(b->size);

		ns += bench_clock_ns();
		bench_require(sum == wanted, "sum", (int64_t)sum, (int64_t)wanted);
		if (round == 0) {
			bench_value(b, (double)ns / (double)b->size, NAN);
			bench_extra(b, "spawn_batch_peak", NULL, "MiB",
				    (double)bench_status_kib("VmHWM") / 1024, NAN);
		} else if (round == 1) {
			bench_extra(b, "spawn_batch_warm", NULL, "ns", (double)ns / (double)b->size,
				    NAN);
		}
	}
	return NULL;
}

static void spawn_batch(struct bench *b)
{
	bench_in_grove(b, spawn_batch_main);
}

static const struct bench_case cases[] = {
	{ .name = "spawn_join",
	  .unit = "ns",
	  .run = spawn_join,
	  .hubs = { 1, 2 },
	  .size = 1,
	  .rounds = 10000000,
	  .quick_rounds = 2000000 },
	{ .name = "spawn_batch",
	  .unit = "ns",
	  .run = spawn_batch,
	  .hubs = { 2 },
	  .size = 1000000,
	  .rounds = 2,
	  .touch_each = 200 },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, "grove", cases, BENCH_ARRAY_LEN(cases));
}
