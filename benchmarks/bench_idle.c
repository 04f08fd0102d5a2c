/* SPDX-License-Identifier: MIT */
/*
 * bench_idle.c - idle_create and idle_memory: what a greenlet costs that only waits.
 *
 * size greenlets wait for one event.  Every 64 spawns main yields, so that children begin while
 * others are still being made, as in a program whose connections come one by one.
 *
 * idle_create  time per greenlet until the last one is about to wait.
 * idle_memory  growth of VmRSS per greenlet.  Page tables are not in VmRSS; the growth of VmPTE is
 *              reported beside it, as idle_memory_pte.
 */
#include "bench_grove.h"

#include <math.h>
#include <stdatomic.h>

enum { SPAWNS_PER_YIELD = 64 };

struct crowd {
	uint64_t size;
	grove_event until, all_here, all_ended;
	_Alignas(64) _Atomic uint64_t arrived;
	_Alignas(64) _Atomic uint64_t ended;
};

static void *rest(void *arg)
{
	struct crowd *c = arg;

	if (atomic_fetch_add_explicit(&c->arrived, 1, memory_order_acq_rel) + 1 == c->size)
		BENCH_OK(grove_event_send(&c->all_here, NULL));
	BENCH_OK(grove_event_wait(&c->until, NULL, GROVE_NEVER));
	if (atomic_fetch_add_explicit(&c->ended, 1, memory_order_acq_rel) + 1 == c->size)
		BENCH_OK(grove_event_send(&c->all_ended, NULL));
	return NULL;
}

/* Returns when the last one is about to wait. */
static void crowd_gather(struct crowd *c)
{
	for (uint64_t i = 0; i < c->size; i++) {
		BENCH_OK(grove_spawn(NULL, rest, c));
		if (i % SPAWNS_PER_YIELD == SPAWNS_PER_YIELD - 1)
			BENCH_OK(grove_yield());
	}
	BENCH_OK(grove_event_wait(&c->all_here, NULL, GROVE_NEVER));
}

static void crowd_end(struct crowd *c)
{
	BENCH_OK(grove_event_send(&c->until, NULL));
	BENCH_OK(grove_event_wait(&c->all_ended, NULL, GROVE_NEVER));
	bench_require(c->ended == c->size, "ended", (int64_t)c->ended, (int64_t)c->size);
}

static void *idle_main(void *arg)
{
	struct bench *b = arg;
	struct crowd c = { .size = b->size };
	int64_t rss = bench_status_kib("VmRSS"), pte = bench_status_kib("VmPTE"), ns;
	double n = (double)b->size;

	ns = -bench_clock_ns();
	crowd_gather(&c);
	ns += bench_clock_ns();
	BENCH_OK(grove_sleep(grove_in_ms(5)));
	rss = bench_status_kib("VmRSS") - rss;
	pte = bench_status_kib("VmPTE") - pte;
	bench_extra(b, "idle_create", NULL, "ns", (double)ns / n, NAN);
	bench_extra(b, "idle_memory", NULL, "B", (double)rss * 1024 / n, NAN);
	bench_extra(b, "idle_memory_pte", NULL, "B", (double)pte * 1024 / n, NAN);
	crowd_end(&c);
	return NULL;
}

static void idle(struct bench *b)
{
	bench_in_grove(b, idle_main);
}

static const struct bench_case cases[] = {
	{ .name = "idle",
	  .run = idle,
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
