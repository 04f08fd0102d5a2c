/* SPDX-License-Identifier: MIT */
/*
 * bench_fib.c - fork and join at its finest: fib(size), a greenlet for each fib(n - 1).
 *
 * fib(n - 2) is computed by the greenlet itself before it joins the child.
 */
#include "bench_grove.h"

#include <math.h>

static void *fib(void *arg)
{
	uintptr_t n = (uintptr_t)arg, mine;
	grove_greenlet *child;
	void *other;

	if (n < 2)
		return arg;
	BENCH_OK(grove_spawn(&child, fib, (void *)(n - 1)));
	mine = (uintptr_t)fib((void *)(n - 2));
	BENCH_OK(grove_get(child, &other, GROVE_NEVER));
	grove_greenlet_release(child);
	return (void *)(mine + (uintptr_t)other);
}

static void *fib_main(void *arg)
{
	struct bench *b = arg;
	uint64_t before = 1, wanted = 0;

	for (uint64_t i = 0; i < b->size; i++) {
		uint64_t next = before + wanted;

		before = wanted;
		wanted = next;
	}
	for (uint64_t round = 0; round < b->rounds; round++) {
		int64_t ns = -bench_clock_ns();
		uint64_t got = (uintptr_t)fib((void *)(uintptr_t)b->size);

		ns += bench_clock_ns();
		bench_require(got == wanted, "fib", (int64_t)got, (int64_t)wanted);
		bench_sample(b, (double)ns / 1e6);
	}
	bench_samples(b, NULL, NULL);
	return NULL;
}

static void fib_case(struct bench *b)
{
	bench_in_grove(b, fib_main);
}

static const struct bench_case cases[] = {
	{ .name = "fib",
	  .unit = "ms",
	  .run = fib_case,
	  .hubs = { 2 },
	  .size = 32,
	  .rounds = 3,
	  .quick_size = 30,
	  .quick_rounds = 1 },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, "grove", cases, BENCH_ARRAY_LEN(cases));
}
