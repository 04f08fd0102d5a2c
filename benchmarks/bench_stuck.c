/* SPDX-License-Identifier: MIT */
/*
 * bench_stuck.c - how long a runnable greenlet waits behind one that computes.
 *
 * Two hubs.  The computing greenlet lives on hub 0.  Each round it spawns another one, which parks
 * on an event; if that happened on hub 0, both hubs go to sleep, the first one wakes, sends the
 * event and computes for 20 ms without a call into Grove.  The other one is now alone in the
 * queues of hub 0, nobody else is awake: the time until it runs is how soon the sleeping hub
 * notices.  Rounds in which it parked on the other hub do not count.
 */
#include "bench_grove.h"

#include <math.h>
#include <stdatomic.h>

enum { COMPUTE_NS = 20000000, SETTLE_MS = 4, TRIES_PER_ROUND = 20 };

struct victim {
	grove_event go;
	int hub;
	_Atomic bool parked; /* or about to */
	_Atomic int64_t ran_at;
};

static void *victim_run(void *arg)
{
	struct victim *v = arg;

	v->hub = grove_hub_id();
	atomic_store_explicit(&v->parked, true, memory_order_release);
	BENCH_OK(grove_event_wait(&v->go, NULL, GROVE_NEVER));
	atomic_store_explicit(&v->ran_at, bench_clock_ns(), memory_order_release);
	return NULL;
}

/* Returns the victim's delay, or -1 if it was not behind this hub. */
static int64_t try_once(void)
{
	struct victim v = { .hub = -1 };
	int64_t sent, delay = -1;
	grove_greenlet *g;

	BENCH_OK(grove_spawn(&g, victim_run, &v));
	while (!atomic_load_explicit(&v.parked, memory_order_acquire))
		BENCH_OK(grove_yield());
	BENCH_OK(grove_sleep(grove_in_ms(SETTLE_MS)));
	sent = bench_clock_ns();
	BENCH_OK(grove_event_send(&v.go, NULL));
	if (v.hub == grove_hub_id())
		bench_spin_ns(COMPUTE_NS);
	BENCH_OK(grove_join(g, GROVE_NEVER));
	grove_greenlet_release(g);
	if (v.hub == grove_hub_id())
		delay = v.ran_at - sent;
	BENCH_OK(grove_event_destroy(&v.go));
	return delay;
}

static void *compute(void *arg)
{
	struct bench *b = arg;
	uint64_t tries = 0, done = 0;

	while (done < b->rounds) {
		int64_t delay = try_once();

		bench_require(++tries <= b->rounds * TRIES_PER_ROUND, "rounds on one hub",
			      (int64_t)done, (int64_t)b->rounds);
		if (delay < 0)
			continue;
		bench_sample(b, (double)delay / 1e6);
		done++;
	}
	bench_samples(b, NULL, NULL);
	return NULL;
}

static void *stuck_main(void *arg)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g;

	attributes.flags = GROVE_ON_HUB;
	attributes.hub = 0;
	BENCH_OK(grove_spawn_with(&g, compute, arg, &attributes));
	BENCH_OK(grove_join(g, GROVE_NEVER));
	grove_greenlet_release(g);
	return NULL;
}

static void stuck(struct bench *b)
{
	bench_in_grove(b, stuck_main);
}

static const struct bench_case cases[] = {
	{ .name = "stuck",
	  .unit = "ms",
	  .run = stuck,
	  .hubs = { 2 },
	  .size = 1,
	  .rounds = 200,
	  .quick_rounds = 24 },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, "grove", cases, BENCH_ARRAY_LEN(cases));
}
