/* SPDX-License-Identifier: MIT */
/*
 * sched_test.h - hubs that no pthread runs, for tests that look at one step of the scheduler.
 *
 * The test plays the hub's pthread, and sees what is in which queue.  Records are made for the
 * purpose: they stand in queues, but nobody switches to them.
 */
#ifndef SCHED_TEST_H
#define SCHED_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plat/clock.h"
#include "sched/hub.h"
#include "sched/idle.h"
#include "sched/runtime.h"

/* What the hooks were told. */
static struct grove_greenlet *st_foreign;
static void *st_node;
static int st_nodes;
static uint64_t st_cookie;
static int st_due;

static inline void st_run_node(struct gv_hub *hub, void *node)
{
	(void)hub;
	st_node = node;
	st_nodes++;
}

static inline void st_timer_due(struct gv_hub *hub, const uint64_t cookie[2])
{
	(void)hub;
	st_cookie = cookie[0];
	st_due++;
}

static inline bool st_poll_wanted(void)
{
	return false;
}

static inline void st_wake_foreign(struct grove_greenlet *proxy)
{
	st_foreign = proxy;
}

static const struct gv_hooks st_hooks = {
	.run_node = st_run_node,
	.timer_due = st_timer_due,
	.poll_wanted = st_poll_wanted,
	.wake_foreign = st_wake_foreign,
};

static struct gv_reclaim_reader st_reader;

/* Hubs of earlier runs in the same process; they come back to their places. */
static struct gv_hub *st_before[GROVE_MAX_HUBS];

/* Group setup and teardown. */
static inline int st_begin(void **state)
{
	(void)state;
	if (gv_runtime_setup(&st_hooks) < 0)
		return -1;
	gv_reclaim_register(&st_reader);
	return 0;
}

static inline int st_end(void **state)
{
	(void)state;
	gv_reclaim_unregister(&st_reader);
	gv_reclaim_barrier();
	return 0;
}

/* The hubs 0 to count - 1, awake; `ring` is the room of FIFO and deque before they grow. */
static inline void st_hubs(unsigned count, size_t ring)
{
	for (unsigned i = 0; i < count; i++) {
		struct gv_hub *hub = aligned_alloc(GV_CACHE_LINE, sizeof(*hub));

		assert_non_null(hub);
		memset(hub, 0, sizeof(*hub));
		hub->id = (uint16_t)i;
		hub->thief.id = i + 1;
		hub->tick_left = GV_TICK_PICKS;
		hub->loot = malloc(GV_LOOT_MAX * sizeof(hub->loot[0]));
		assert_non_null(hub->loot);
		assert_int_equal(gv_fifo_init(&hub->fifo, ring), 0);
		assert_int_equal(gv_deque_init(&hub->deque, ring), 0);
		assert_int_equal(gv_slab_cache_init(&hub->records, &gv_records), 0);
		assert_int_equal(gv_slab_cache_init(&hub->nodes, &gv_nodes), 0);
		gv_wheel_init(&hub->wheel, gv_clock_ns());
		gv_rng_seed(&hub->rng, i);
		gv_store(&hub->root.body, 1, relaxed);
		gv_store(&hub->park, GV_PARK_RUN, relaxed);
		hub->current = &hub->root;
		st_before[i] = gv_runtime.hubs[i];
		gv_runtime.hubs[i] = hub;
	}
	gv_idle_setup(count);
	gv_store(&gv_runtime.active_hubs, count, relaxed);
	gv_store(&gv_runtime.hub_count, count, release);
	st_foreign = NULL;
	st_node = NULL;
	st_nodes = 0;
	st_cookie = 0;
	st_due = 0;
}

static inline void st_drop_hubs(void)
{
	unsigned count = gv_hub_total();

	gv_store(&gv_runtime.hub_count, 0, release);
	for (unsigned i = 0; i < count; i++) {
		struct gv_hub *hub = gv_runtime.hubs[i];

		gv_runtime.hubs[i] = st_before[i];
		gv_slab_cache_close(&hub->records);
		gv_slab_cache_close(&hub->nodes);
		gv_fifo_destroy(&hub->fifo);
		gv_deque_destroy(&hub->deque);
		free(hub->loot);
		free(hub);
	}
}

/* As if it had announced that it sleeps. */
static inline void st_sleep(struct gv_hub *hub)
{
	gv_or(&gv_idle.bits[hub->id / 64], UINT64_C(1) << (hub->id % 64), seq_cst);
	gv_add(&gv_idle.asleep, 1, seq_cst);
	gv_store(&hub->park, GV_PARK_FUTEX, seq_cst);
}

static inline struct grove_greenlet *st_record(uint64_t done, unsigned home)
{
	struct grove_greenlet *g = gv_slab_alloc_shared(&gv_records);

	assert_non_null(g);
	gv_record_begin(g, NULL, NULL, NULL, done, (uint16_t)home);
	gv_store(&g->context, NULL, relaxed);
	return g;
}

/* Not started.  One reference is the queue entry's, the other one the test's. */
static inline struct grove_greenlet *st_fresh(unsigned home)
{
	return st_record(2 * GV_DONE_REFERENCE, home);
}

/* Started, and on its way out of its stack. */
static inline struct grove_greenlet *st_leaving(unsigned home)
{
	struct grove_greenlet *g = st_record(GV_DONE_REFERENCE | GV_DONE_TAKEN, home);

	gv_store(&g->body, 0, relaxed);
	return g;
}

/* Started, and suspended. */
static inline struct grove_greenlet *st_suspended(unsigned home)
{
	struct grove_greenlet *g = st_leaving(home);

	gv_store(&g->context, (void *)g, release);
	return g;
}

static inline unsigned st_references(struct grove_greenlet *g)
{
	return (unsigned)(gv_load(&g->done, relaxed) >> 48);
}

/* Whatever references there are. */
static inline void st_drop(struct grove_greenlet *g)
{
	gv_store(&g->body, 1, relaxed);
	gv_store(&g->done, GV_DONE_REFERENCE | GV_DONE_TAKEN | GV_DONE_ENDED, relaxed);
	gv_record_release(g, NULL);
}

static inline void st_drop_all(struct grove_greenlet *const g[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		st_drop(g[i]);
}

/* Take the whole inbox; the oldest record in it, and how many there are. */
static inline struct grove_greenlet *st_inbox(struct gv_inbox *inbox, unsigned *count)
{
	struct gv_link *oldest = gv_inbox_take(inbox);

	*count = 0;
	for (struct gv_link *link = oldest; link != NULL; link = gv_load(&link->next, relaxed))
		++*count;
	return oldest != NULL ? GV_CONTAINER_OF(oldest, struct grove_greenlet, link) : NULL;
}

#endif
