/* SPDX-License-Identifier: MIT */
/*
 * bench_fanout.c - one send to a crowd of waiters.
 *
 * size greenlets wait for one event after the other.  Once all have arrived at an event, and a
 * millisecond later (so that the last one is parked and the other hub has gone to sleep), main
 * sends it.
 *
 * fanout       time from before the send until the last waiter has run, per waiter.
 * fanout_send  time inside grove_event_send().
 */
#include "bench_grove.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One event of the sequence, with what main waits for around it. */
struct stop {
	grove_event event, all_here, all_ran;
};

struct crowd {
	uint64_t size, count;
	struct stop *stops;
	_Alignas(64) _Atomic uint64_t arrived;
	_Alignas(64) _Atomic uint64_t ran;
};

typedef void measured_fn(struct bench *b, int64_t before, int64_t sent, int64_t ran);

/* relaxed would do for the counts; the events order what they announce. */
static void *visit(void *arg)
{
	struct crowd *c = arg;

	for (uint64_t i = 0; i < c->count; i++) {
		struct stop *s = &c->stops[i];

		if (atomic_fetch_add_explicit(&c->arrived, 1, memory_order_acq_rel) + 1 ==
		    (i + 1) * c->size)
			BENCH_OK(grove_event_send(&s->all_here, NULL));
		BENCH_OK(grove_event_wait(&s->event, NULL, GROVE_NEVER));
		if (atomic_fetch_add_explicit(&c->ran, 1, memory_order_acq_rel) + 1 ==
		    (i + 1) * c->size)
			BENCH_OK(grove_event_send(&s->all_ran, NULL));
	}
	return NULL;
}

static void lead(struct bench *b, struct crowd *c, measured_fn *measured)
{
	for (uint64_t i = 0; i < c->count; i++) {
		struct stop *s = &c->stops[i];
		int64_t before, sent, ran;

		BENCH_OK(grove_event_wait(&s->all_here, NULL, GROVE_NEVER));
		BENCH_OK(grove_sleep(grove_in_ms(1)));
		before = bench_clock_ns();
		BENCH_OK(grove_event_send(&s->event, NULL));
		sent = bench_clock_ns();
		BENCH_OK(grove_event_wait(&s->all_ran, NULL, GROVE_NEVER));
		ran = bench_clock_ns();
		if (i > 0)
			measured(b, before, sent, ran);
	}
}

static void crowd_run(struct bench *b, measured_fn *measured)
{
	struct crowd c = { .size = b->size, .count = b->rounds + 1 };
	grove_greenlet **all = malloc(b->size * sizeof *all);
	uint64_t wanted = c.size * c.count;

	c.stops = calloc(c.count, sizeof *c.stops);
	bench_require(all != NULL && c.stops != NULL, "memory", 0, 1);
	for (uint64_t i = 0; i < b->size; i++)
		BENCH_OK(grove_spawn(&all[i], visit, &c));
	lead(b, &c, measured);
	for (uint64_t i = 0; i < b->size; i++) {
		BENCH_OK(grove_join(all[i], GROVE_NEVER));
		grove_greenlet_release(all[i]);
	}
	bench_require(c.ran == wanted, "wake-ups", (int64_t)c.ran, (int64_t)wanted);
	bench_samples(b, NULL, NULL);
	free(c.stops);
	free(all);
}

static void per_waiter(struct bench *b, int64_t before, int64_t sent, int64_t ran)
{
	(void)sent;
	bench_sample(b, (double)(ran - before) / (double)b->size);
}

static void inside_send(struct bench *b, int64_t before, int64_t sent, int64_t ran)
{
	(void)ran;
	bench_sample(b, (double)(sent - before) / 1e3);
}

static void *fanout_main(void *arg)
{
	crowd_run(arg, per_waiter);
	return NULL;
}

static void *fanout_send_main(void *arg)
{
	crowd_run(arg, inside_send);
	return NULL;
}

static void fanout(struct bench *b)
{
	bench_in_grove(b, fanout_main);
}

static void fanout_send(struct bench *b)
{
	bench_in_grove(b, fanout_send_main);
}

#define SEND_CASE(waiters, rounds_, quick_rounds_)                                                 \
	{                                                                                          \
		.name = "fanout_send/" #waiters, .unit = "us", .run = fanout_send, .hubs = { 2 },  \
		.size = waiters, .rounds = rounds_, .quick_rounds = quick_rounds_                  \
	}

static const struct bench_case cases[] = {
	{ .name = "fanout",
	  .unit = "ns",
	  .run = fanout,
	  .hubs = { 2 },
	  .size = 10000,
	  .rounds = 200,
	  .quick_rounds = 40 },
	SEND_CASE(10, 500, 100),
	SEND_CASE(17, 500, 100),
	SEND_CASE(1000, 500, 100),
	SEND_CASE(10000, 200, 20),
	SEND_CASE(100000, 20, 5),
	SEND_CASE(1000000, 5, 3),
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, "grove", cases, BENCH_ARRAY_LEN(cases));
}
