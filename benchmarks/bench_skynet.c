/* SPDX-License-Identifier: MIT */
/*
 * bench_skynet.c - a tree of greenlets, ten children each, down to size leaves.
 *
 * A node spawns its ten children, joins them in the order they were made, and returns the sum of
 * what they return; a leaf returns its number.  size must be a power of ten.
 */
#include "bench_grove.h"

#include <math.h>

enum { CHILDREN = 10 };

struct node {
	uint64_t first, size;
};

static void *node_run(void *arg);

static uint64_t node_split(const struct node *parent)
{
	struct node nodes[CHILDREN];
	grove_greenlet *handles[CHILDREN];
	uint64_t size = parent->size / CHILDREN, sum = 0;

	for (uint64_t i = 0; i < CHILDREN; i++) {
		nodes[i] = (struct node){ .first = parent->first + i * size, .size = size };
		BENCH_OK(grove_spawn(&handles[i], node_run, &nodes[i]));
	}
	for (uint64_t i = 0; i < CHILDREN; i++) {
		void *value;

		BENCH_OK(grove_get(handles[i], &value, GROVE_NEVER));
		grove_greenlet_release(handles[i]);
		sum += (uintptr_t)value;
	}
	return sum;
}

static void *node_run(void *arg)
{
	const struct node *n = arg;

	return (void *)(uintptr_t)(n->size == 1 ? n->first : node_split(n));
}

static void *skynet_main(void *arg)
{
	struct bench *b = arg;
	struct node root = { .first = 0, .size = b->size };
	uint64_t wanted = b->size * (b->size - 1) / 2;

	for (uint64_t round = 0; round < b->rounds; round++) {
		int64_t ns = -bench_clock_ns();
		uint64_t sum = (uintptr_t)node_run(&root);

		ns += bench_clock_ns();
		bench_require(sum == wanted, "sum", (int64_t)sum, (int64_t)wanted);
		bench_sample(b, (double)ns / 1e6);
	}
	bench_samples(b, NULL, NULL);
	bench_extra(b, "skynet_peak", NULL, "MiB", (double)bench_status_kib("VmHWM") / 1024, NAN);
	return NULL;
}

static void skynet(struct bench *b)
{
	bench_in_grove(b, skynet_main);
}

static const struct bench_case cases[] = {
	{ .name = "skynet",
	  .unit = "ms",
	  .run = skynet,
	  .hubs = { 2 },
	  .size = 1000000,
	  .rounds = 3,
	  .quick_rounds = 1,
	  .touch_each = 50 },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, "grove", cases, BENCH_ARRAY_LEN(cases));
}
