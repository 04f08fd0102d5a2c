/* SPDX-License-Identifier: MIT */
/*
 * bench_yield.c - one switch from a greenlet to the next.
 *
 * size greenlets on one hub yield in turn.  They are all started before the clock: stacks are
 * attached, pages touched.  With 1000 of them each switch finds its stack outside the first cache.
 */
#include "bench_grove.h"

#include <math.h>
#include <stdlib.h>

struct turns {
	grove_event *begin;
	uint64_t each, done;
};

static void *take_turns(void *arg)
{
	struct turns *t = arg;

	BENCH_OK(grove_event_wait(t->begin, NULL, GROVE_NEVER));
	for (uint64_t i = 0; i < t->each; i++) {
		BENCH_OK(grove_yield());
		t->done++;
	}
	return NULL;
}

static void *yield_main(void *arg)
{
	struct bench *b = arg;
	uint64_t each = b->rounds / b->size, total = 0;
	grove_greenlet **all = calloc(b->size, sizeof *all);
	struct turns *turns = calloc(b->size, sizeof *turns);
	grove_event begin = GROVE_EVENT_INIT;
	int64_t ns;

	bench_require(all != NULL && turns != NULL, "memory", 0, 1);
	for (uint64_t i = 0; i < b->size; i++) {
		turns[i] = (struct turns){ .begin = &begin, .each = each };
		BENCH_OK(grove_spawn(&all[i], take_turns, &turns[i]));
	}
	BENCH_OK(grove_sleep(grove_in_ms(1)));

	ns = -bench_clock_ns();
	BENCH_OK(grove_event_send(&begin, NULL));
	for (uint64_t i = 0; i < b->size; i++)
		BENCH_OK(grove_join(all[i], GROVE_NEVER));
	ns += bench_clock_ns();

	for (uint64_t i = 0; i < b->size; i++) {
		total += turns[i].done;
		grove_greenlet_release(all[i]);
	}
	bench_require(total == each * b->size, "yields", (int64_t)total, (int64_t)(each * b->size));
	bench_value(b, (double)ns / (double)total, NAN);
	BENCH_OK(grove_event_destroy(&begin));
	free(turns);
	free(all);
	return NULL;
}

static void yield(struct bench *b)
{
	bench_in_grove(b, yield_main);
}

static const struct bench_case cases[] = {
	{ .name = "yield/2",
	  .unit = "ns",
	  .run = yield,
	  .hubs = { 1 },
	  .size = 2,
	  .rounds = 40000000,
	  .quick_rounds = 10000000 },
	{ .name = "yield/1000",
	  .unit = "ns",
	  .run = yield,
	  .hubs = { 1 },
	  .size = 1000,
	  .rounds = 40000000,
	  .quick_rounds = 10000000 },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, "grove", cases, BENCH_ARRAY_LEN(cases));
}
