/* SPDX-License-Identifier: MIT */
/*
 * bench_pingpong.c - a round trip between two greenlets.
 *
 * Two events that are used again: who waited for one resets it, then sends the other.  So a round
 * is two sends, two waits that park, two resets.  pingpong_flag does the same with two flags.
 */
#include "bench_grove.h"

#include <math.h>

struct table {
	grove_event ping, pong;
	grove_flag ping_flag, pong_flag;
	uint64_t rounds, seen;
};

static void *answer(void *arg)
{
	struct table *t = arg;

	for (uint64_t i = 0; i < t->rounds; i++) {
		void *ball;

		BENCH_OK(grove_event_wait(&t->ping, &ball, GROVE_NEVER));
		BENCH_OK(grove_event_reset(&t->ping));
		t->seen += (uintptr_t)ball;
		BENCH_OK(grove_event_send(&t->pong, ball));
	}
	return NULL;
}

static void serve(struct table *t, uint64_t from, uint64_t rounds)
{
	for (uint64_t i = from; i < from + rounds; i++) {
		void *ball;

		BENCH_OK(grove_event_send(&t->ping, (void *)(uintptr_t)i));
		BENCH_OK(grove_event_wait(&t->pong, &ball, GROVE_NEVER));
		BENCH_OK(grove_event_reset(&t->pong));
		if (__builtin_expect((uintptr_t)ball != i, 0))
			bench_require(false, "ball", (int64_t)(uintptr_t)ball, (int64_t)i);
	}
}

static void *answer_flag(void *arg)
{
	struct table *t = arg;

	for (uint64_t i = 0; i < t->rounds; i++) {
		BENCH_OK(grove_flag_wait(&t->ping_flag, GROVE_NEVER));
		grove_flag_clear(&t->ping_flag);
		t->seen += i;
		grove_flag_set(&t->pong_flag);
	}
	return NULL;
}

static void serve_flag(struct table *t, uint64_t from, uint64_t rounds)
{
	(void)from;
	for (uint64_t i = 0; i < rounds; i++) {
		grove_flag_set(&t->ping_flag);
		BENCH_OK(grove_flag_wait(&t->pong_flag, GROVE_NEVER));
		grove_flag_clear(&t->pong_flag);
	}
}

static void play(struct bench *b, grove_fn *other_side,
		 void (*this_side)(struct table *, uint64_t, uint64_t))
{
	uint64_t warm = b->rounds / 10, all = warm + b->rounds, wanted = all * (all - 1) / 2;
	struct table t = { .rounds = all };
	grove_greenlet *other;
	int64_t ns;

	BENCH_OK(grove_spawn(&other, other_side, &t));
	this_side(&t, 0, warm);
	ns = -bench_clock_ns();
	this_side(&t, warm, b->rounds);
	ns += bench_clock_ns();
	BENCH_OK(grove_join(other, GROVE_NEVER));
	grove_greenlet_release(other);
	bench_require(t.seen == wanted, "sum of balls", (int64_t)t.seen, (int64_t)wanted);
	bench_value(b, (double)ns / (double)b->rounds, NAN);
}

static void *pingpong_main(void *arg)
{
	play(arg, answer, serve);
	return NULL;
}

static void *pingpong_flag_main(void *arg)
{
	play(arg, answer_flag, serve_flag);
	return NULL;
}

static void pingpong(struct bench *b)
{
	bench_in_grove(b, pingpong_main);
}

static void pingpong_flag(struct bench *b)
{
	bench_in_grove(b, pingpong_flag_main);
}

static const struct bench_case cases[] = {
	{ .name = "pingpong",
	  .unit = "ns",
	  .run = pingpong,
	  .hubs = { 1, 2 },
	  .size = 2,
	  .rounds = 5000000,
	  .quick_rounds = 1000000 },
	{ .name = "pingpong_flag",
	  .unit = "ns",
	  .run = pingpong_flag,
	  .hubs = { 1, 2 },
	  .size = 2,
	  .rounds = 5000000,
	  .quick_rounds = 1000000 },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, "grove", cases, BENCH_ARRAY_LEN(cases));
}
