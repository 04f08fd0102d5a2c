/* SPDX-License-Identifier: MIT */
/*
 * switch.c - picking and switching.
 *
 * Layer   sched.  Below: plat/context.h, plat/sanitize.h.
 * Owns    hub->current, and the field `context` of records.
 * Entry   gv_switch_away from every wait, gv_switch_end from the end of a greenlet (switch.h).
 *
 * A greenlet that suspends publishes itself first (in a queue, on an event), while it still runs on
 * its stack, and then switches straight to the next one.  What keeps others from running it too
 * early is its field `context`:
 *
 *      NULL ----- registers saved, stack left [saved] -----> handle
 *        ^                                                     |
 *        '------------ whoever runs it, before -----------------'
 *
 * I1  Only who took the greenlet from a queue runs it, and it is in one queue at most.
 * I2  Only a hub other than the one that is saving it can find NULL; it puts the greenlet back into
 *     that hub's inbox (steal.c).  The hub itself comes to its queues after it has left the stack,
 *     or it finds the very greenlet that is about to suspend, which then just goes on.
 *
 * [saved]  context.h: release store by the switch.  Here and in steal.c, ready.c: load-acquire.
 * [take]   gv_take_fresh: CAS acq_rel that sets TAKEN; pairs with join (greenlet.c) and kill.
 *
 * Every 61st pick goes to the root context, which serves inboxes, timers and descriptors, and then
 * takes the oldest fresh greenlet, so that neither endless spawning nor endless hand-overs starve
 * anybody.  FIFO and deque take turns.
 */
#include "sched/switch.h"

#include "base/check.h"

void gv_switch_free_dead(struct gv_hub *hub)
{
	struct gv_stack *stack = hub->dead_stack;

	hub->dead_stack = NULL;
	gv_stack_put(&hub->stacks, stack);
}

static void entry(void *arg)
{
	struct gv_hub *hub = arg;

	gv_sanitizer_after_switch(&gv_record_stack(hub->current)->sanitizer);
	if (hub->dead_stack != NULL)
		gv_switch_free_dead(hub);
	/* A jump, not a call: see switch.h. */
	gv_runtime.hooks.main(hub);
}

struct grove_greenlet *gv_switch_prepare(struct gv_hub *hub, struct grove_greenlet *g)
{
	struct gv_extra *extra =
		gv_record_extra_of(gv_load(&g->body, relaxed)); /* relaxed: taken */
	size_t bytes = extra != NULL ? extra->stack_bytes : 0;
	struct gv_stack *stack;

	if (GV_UNLIKELY(gv_stack_get(&hub->stacks, bytes, &stack) < 0)) {
		gv_runtime.hooks.cannot_start(hub, g);
		return &hub->root;
	}
	gv_switch_move_in(g, stack);
	gv_store(&g->context, gv_context_make(stack->top, entry), relaxed); /* relaxed: taken */
	return g;
}

void gv_switch_carry(struct gv_hub *hub, struct gv_carried *carried)
{
	if (hub->exceptions != NULL) {
		carried->exceptions[0] = hub->exceptions[0];
		carried->exceptions[1] = hub->exceptions[1];
	}
	gv_context_fpu_save(&carried->fpu);
}

void gv_switch_uncarry(struct gv_hub *hub, const struct gv_carried *carried)
{
	if (hub->exceptions != NULL) {
		hub->exceptions[0] = carried->exceptions[0];
		hub->exceptions[1] = carried->exceptions[1];
	}
	if (hub->save_fpu)
		gv_context_fpu_restore(&carried->fpu);
}

bool gv_take_fresh(struct gv_hub *hub, struct grove_greenlet *g)
{
	uint64_t done = gv_load(&g->done, relaxed); /* relaxed: the CAS decides */

	do {
		if (GV_UNLIKELY(done & GV_DONE_TAKEN)) {
			gv_record_release(g, &hub->records);
			return false;
		}
	} while (!gv_cas(&g->done, &done, done | GV_DONE_TAKEN, acq_rel, relaxed)); /* [take] */
	return true;
}

/* What an item from a queue means for the pick: somebody to run, or NULL for "go on looking". */
static inline struct grove_greenlet *accept_item(struct gv_hub *hub, gv_item item)
{
	struct grove_greenlet *g = gv_item_record(item);

	if (GV_LIKELY((item & GV_ITEM_BITS) == 0))
		return g;
	if (gv_item_is_node(item)) {
		hub->pending = item;
		return &hub->root;
	}
	return gv_take_fresh(hub, g) ? g : NULL;
}

static struct grove_greenlet *pick_pinned(struct gv_hub *hub)
{
	struct gv_link *link = hub->pinned_oldest;

	hub->pinned_oldest = gv_load(&link->next, relaxed); /* relaxed: owner only */
	if (hub->pinned_oldest == NULL)
		hub->pinned_newest = NULL;

	struct grove_greenlet *g = GV_CONTAINER_OF(link, struct grove_greenlet, link);
	if (gv_record_started(gv_load(&g->body, relaxed))) /* relaxed: whoever queued it wrote it */
		return g;
	return gv_take_fresh(hub, g) ? g : NULL;
}

struct grove_greenlet *gv_pick_slow(struct gv_hub *hub, gv_item item)
{
	for (;;) {
		struct grove_greenlet *g;

		if (item != 0) {
			g = accept_item(hub, item);
		} else if (GV_UNLIKELY(hub->pinned_oldest != NULL) &&
			   (hub->pinned_turn = !hub->pinned_turn)) {
			g = pick_pinned(hub);
		} else {
			hub->turn = !hub->turn;
			item = hub->turn ? gv_fifo_pop(&hub->fifo) : gv_deque_pop(&hub->deque);
			if (item == 0)
				item = hub->turn ? gv_deque_pop(&hub->deque)
						 : gv_fifo_pop(&hub->fifo);
			if (item == 0) {
				if (GV_LIKELY(hub->pinned_oldest == NULL))
					return &hub->root;
				g = pick_pinned(hub);
			} else {
				gv_pick_prefetch(hub);
				g = accept_item(hub, item);
			}
		}
		if (GV_LIKELY(g != NULL))
			return g;
		item = 0;
	}
}

struct grove_greenlet *gv_pick_oldest(struct gv_hub *hub)
{
	struct grove_greenlet *g = NULL;

	/* Tombstones are nobody; few enough at a time not to matter. */
	for (int i = 0; i < 16 && g == NULL; i++) {
		gv_item item = gv_deque_take_oldest(&hub->deque);

		if (item == 0)
			return NULL;
		g = accept_item(hub, item);
	}
	return g;
}
