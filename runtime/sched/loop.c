/* SPDX-License-Identifier: MIT */
/*
 * loop.c - what a hub does on its own stack.
 *
 * Layer   sched.
 * Entry   gv_loop_run from a hub's pthread.
 *
 *      +-> a node that the last pick found (delivery, callback)
 *      |   every 61st pick, or with nothing to run: tick (quiescent, inboxes, timers, descriptors)
 *      |   the oldest fresh greenlet, else the next pick --- switch there, come back ---+
 *      |   nothing: idle (search, sleep)                                                |
 *      +--------------------------------------------------------------------------------+
 *
 * [stop]   ask: store-release stopping (runtime.c).  loop: load-acquire.
 * [chore]  begin: the function, then store-release its time (api/chores.c).  loop: load-acquire of the
 *          time, then the function.
 *
 * Greenlets switch straight to each other, so this runs once in 61 picks or when there is nothing
 * else.  User callbacks run here and not on the stack of whoever happens to be switching.
 */
#include "sched/loop.h"

#include "base/check.h"
#include "plat/clock.h"
#include "sched/idle.h"
#include "sched/ready.h"
#include "sched/switch.h"

#define POLL_EVERY_NS INT64_C(100000)
#define TIMERS_AT_ONCE 64
#define CHORE_TICKS 16 /* ticks between two looks at the clock, if nothing else needs it */

_Atomic int64_t gv_loop_chore_ns = INT64_MAX;
_Atomic(gv_loop_chore_fn *) gv_loop_chore;

static void look_for_chores(int64_t now)
{
	if (GV_LIKELY(now < gv_load(&gv_loop_chore_ns, acquire))) /* [chore] */
		return;
	gv_load(&gv_loop_chore, relaxed)(now); /* relaxed: ordered by the time */
}

bool gv_loop_timers(struct gv_hub *hub, int64_t now)
{
	struct gv_wheel_fired fired[TIMERS_AT_ONCE];
	bool any = false;

	/* Bounded: a flood of timers must not keep greenlets from running. */
	for (int batches = 0; batches < 16 && gv_wheel_next_ns(&hub->wheel) <= now; batches++) {
		size_t count = gv_wheel_expire(&hub->wheel, now, fired, TIMERS_AT_ONCE);

		for (size_t i = 0; i < count; i++)
			gv_runtime.hooks.timer_due(hub, fired[i].cookie);
		any |= count != 0;
	}
	return any;
}

static void poll_now(struct gv_hub *hub, int64_t now)
{
	hub->last_poll_ns = now;
	gv_store(&gv_idle.polled_ns, now, relaxed); /* relaxed: a hint for the sentinel */
	gv_count(&hub->stats.polls);
	gv_runtime.hooks.poll(hub, 0);
}

static void tick(struct gv_hub *hub)
{
	hub->tick_left = GV_TICK_PICKS;
	/* The next picks: a pinned one, one of the FIFO (gv_may_hand_over). */
	hub->pinned_turn = hub->turn = false;
	gv_count(&hub->stats.ticks);
	gv_reclaim_quiescent();
	gv_slab_cache_tick(&hub->records);
	gv_slab_cache_tick(&hub->nodes);
	gv_ready_drain(hub);

	bool watched = gv_runtime.hooks.poll_wanted();
	if (!watched && gv_wheel_armed_count(&hub->wheel) == 0 &&
	    gv_load(&hub->stats.ticks, relaxed) % CHORE_TICKS != 0) /* relaxed: own */
		return;
	int64_t now = gv_clock_ns();
	look_for_chores(now);
	gv_loop_timers(hub, now);
	if (watched && now - hub->last_poll_ns > POLL_EVERY_NS)
		poll_now(hub, now);
}

/* Nothing in the queues: look everywhere that does not need another hub. */
static bool look_around(struct gv_hub *hub)
{
	bool any = gv_ready_drain(hub);
	int64_t now = gv_clock_ns();

	look_for_chores(now);
	any |= gv_loop_timers(hub, now);
	if (!any && gv_runtime.hooks.poll_wanted()) {
		poll_now(hub, now);
		any = gv_fifo_size(&hub->fifo) != 0 || !gv_inbox_empty(&hub->shared);
	}
	return any;
}

/*
 * The oldest fresh greenlet, which newer ones have overtaken.  If those that were run this way turn
 * out to be waiting for children of their own, the program is a tree that is best walked depth first;
 * each such start would add a stack for every level below it, so they become rarer (greenlet.c).
 */
static struct grove_greenlet *pick_fairly(struct gv_hub *hub)
{
	struct grove_greenlet *oldest = gv_pick_oldest(hub);

	hub->fair_left = hub->fair_ticks;
	hub->fair = oldest != &hub->root ? oldest : NULL;
	return oldest;
}

static void run_pending(struct gv_hub *hub)
{
	gv_item item = hub->pending;

	hub->pending = 0;
	gv_runtime.hooks.run_node(hub, gv_item_node(item));
	gv_ready_pay(hub);
}

GV_CONTEXT_CALLER void gv_loop_run(struct gv_hub *hub)
{
	hub->tick_left = GV_TICK_PICKS;
	hub->fair_ticks = 1;
	hub->fair_left = 1;
	for (;;) {
		struct grove_greenlet *next = NULL;

		if (GV_UNLIKELY(gv_load(&gv_runtime.stopping, acquire) == GV_STOP_NOW)) /* [stop] */
			return;
		while (hub->pending != 0)
			run_pending(hub);
		if (hub->tick_left == 0) {
			tick(hub);
			if (!hub->strict && --hub->fair_left <= 0)
				next = pick_fairly(hub);
		}
		if (next == NULL && hub->pending == 0)
			next = gv_pick(hub);
		if (next != NULL && next != &hub->root) {
			hub = gv_switch_to(hub, next);
			continue;
		}
		if (hub->pending != 0 || hub->tick_left == 0)
			continue;
		gv_ready_pay(hub);
		if (look_around(hub))
			continue;
		if (gv_load(&gv_runtime.stopping, acquire) != 0) /* [stop] runtime.c */
			return;
		gv_idle_wait(hub);
	}
}
