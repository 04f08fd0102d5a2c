/* SPDX-License-Identifier: MIT */
/*
 * stress_queues.h - threads that work like hubs: each has a queue of its own, and steals from the
 * others when it is empty.  What stress_deque.c and stress_fifo.c share.
 *
 * Each thread makes items, takes some from its own queue, and puts what it stole into its own queue,
 * from where the next one may steal it.  At the end each item was taken out for good exactly once.
 *
 * Included once, after the definition of the type `queue` and of the functions queue_*.
 */
#ifndef STRESS_QUEUES_H
#define STRESS_QUEUES_H

#include "base/rng.h"
#include "plat/fence.h"
#include "store/reclaim.h"
#include "support/measure.h"
#include "support/scale.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HUBS_MAX = 4, ITEMS_PER_HUB = 20000, ROOM = 4096 };

struct hub {
	queue queue;
	pthread_t thread;
	struct gv_thief thief;
	struct gv_rng rng;
	uintptr_t made;
	uintptr_t first; /* its items are first ... first + ITEMS_PER_HUB - 1 */
	uintptr_t loot[ROOM];
	uint64_t stolen;
};

static struct {
	struct hub *hubs[HUBS_MAX];
	unsigned count;
	uint32_t items;
	_Atomic uint8_t *taken; /* how often, by item */
	_Atomic uint32_t left;	/* items that nobody has taken for good */
	_Atomic uint32_t ready; /* threads that have begun */
} stress;

static void take(uintptr_t item)
{
	if (gv_add(&stress.taken[item], 1, relaxed) != 0) /* relaxed: only counts */
		gt_die(__FILE__, __LINE__, "item %zu taken again", (size_t)item);
	gv_sub(&stress.left, 1, release); /* [left] */
}

/* Take some out for good, and put some back: a yield. */
static void run_some(struct hub *hub)
{
	for (uint32_t picks = gv_rng_below(&hub->rng, 80); picks > 0; picks--) {
		uintptr_t item = queue_pop(&hub->queue, picks);

		if (item == 0)
			return;
		if (gv_rng_below(&hub->rng, 4) == 0)
			GT_CHECK_IS(0, queue_push(&hub->queue, item));
		else
			take(item);
	}
}

static void make_some(struct hub *hub)
{
	uint32_t burst = gv_rng_below(&hub->rng, 50) == 0 ? 2000 : gv_rng_below(&hub->rng, 40);

	for (; burst > 0 && hub->made < ITEMS_PER_HUB; burst--)
		GT_CHECK_IS(0, queue_push(&hub->queue, hub->first + hub->made++));
}

static void steal_some(struct hub *hub)
{
	struct hub *victim = stress.hubs[gv_rng_below(&hub->rng, stress.count)];
	uint32_t room = gv_rng_below(&hub->rng, 3) == 0 ? ROOM : 1 + gv_rng_below(&hub->rng, 20);
	bool aged = gv_rng_below(&hub->rng, 2) == 0;

	if (victim == hub)
		return;
	size_t count = queue_steal(&victim->queue, &hub->thief, aged, hub->loot, room);
	for (size_t i = 0; i < count; i++)
		GT_CHECK_IS(0, queue_push(&hub->queue, hub->loot[i]));
	hub->stolen += count;
	if (count == 0)
		sched_yield();
}

static void *work(void *arg)
{
	struct gv_reclaim_reader reader;
	struct hub *hub = arg;

	gv_reclaim_register(&reader);
	gv_add(&stress.ready, 1, relaxed);		       /* relaxed: only together */
	while (gv_load(&stress.ready, relaxed) < stress.count) /* relaxed: as above */
		sched_yield();
	while (gv_load(&stress.left, acquire) != 0) { /* [left] */
		make_some(hub);
		run_some(hub);
		if (gv_rng_below(&hub->rng, 3) == 0 || hub->made == ITEMS_PER_HUB)
			steal_some(hub);
		gv_reclaim_quiescent();
	}
	GT_CHECK_IS(0, queue_pop(&hub->queue, 1));
	gv_reclaim_unregister(&reader);
	return NULL;
}

static uint64_t one_round(uint64_t seed, unsigned hubs)
{
	uint64_t stolen = 0;

	stress.count = hubs;
	stress.items = hubs * ITEMS_PER_HUB;
	stress.taken = calloc(stress.items + 1, sizeof(stress.taken[0]));
	GT_CHECK(stress.taken != NULL);
	gv_store(&stress.left, stress.items, relaxed); /* relaxed: nobody runs yet */
	gv_store(&stress.ready, 0, relaxed);	       /* relaxed: nobody runs yet */
	for (unsigned i = 0; i < hubs; i++) {
		struct hub *hub = aligned_alloc(GV_CACHE_LINE, sizeof(*hub));

		GT_CHECK(hub != NULL);
		memset(hub, 0, sizeof(*hub));
		GT_CHECK_IS(0, queue_init(&hub->queue));
		hub->thief.id = i + 1;
		hub->first = 1 + i * ITEMS_PER_HUB;
		gv_rng_seed(&hub->rng, seed * HUBS_MAX + i);
		stress.hubs[i] = hub;
	}
	for (unsigned i = 0; i < hubs; i++)
		GT_CHECK_IS(0, pthread_create(&stress.hubs[i]->thread, NULL, work, stress.hubs[i]));
	for (unsigned i = 0; i < hubs; i++)
		GT_CHECK_IS(0, pthread_join(stress.hubs[i]->thread, NULL));
	for (uintptr_t item = 1; item <= stress.items; item++)
		GT_CHECK_IS(1, stress.taken[item]);
	for (unsigned i = 0; i < hubs; i++) {
		stolen += stress.hubs[i]->stolen;
		queue_destroy(&stress.hubs[i]->queue);
		free(stress.hubs[i]);
	}
	free((void *)stress.taken);
	gv_reclaim_barrier();
	return stolen;
}

/* Rounds of all sizes until the time is over; the seed of the one that fails is the last printed. */
static void stress_queues(const char *name)
{
	const char *text = getenv("GT_SECONDS");
	const char *first = getenv("GT_SEED");
	int64_t end = gt_now_ns() + (text != NULL ? atoi(text) : 3) * INT64_C(1000000000);
	uint64_t seed = first != NULL ? strtoull(first, NULL, 0) : (uint64_t)gt_now_ns();
	uint64_t rounds = 0, stolen = 0;
	bool strong;

	(void)gv_fence_setup();
	strong = gv_fence_strong;
	GT_CHECK_IS(0, gv_reclaim_init());
	printf("%s: first seed %llu\n", name, (unsigned long long)seed);
	fflush(stdout);
	do {
		/* Now and then as on kernels without membarrier. */
		gv_fence_strong = strong || seed % 4 == 3;
		stolen += one_round(seed++, 2 + (unsigned)(rounds++ % (HUBS_MAX - 1)));
	} while (gt_now_ns() < end && first == NULL);
	gv_fence_strong = strong;
	printf("%s: %llu rounds, %llu items stolen, last seed %llu\n", name,
	       (unsigned long long)rounds, (unsigned long long)stolen,
	       (unsigned long long)seed - 1);
}

#endif
