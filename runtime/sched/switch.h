/* SPDX-License-Identifier: MIT */
/*
 * switch.h - from one greenlet to the next.
 *
 * Layer   sched.  The protocol stands in switch.c.
 *
 * What every wait goes through is inline: a return that follows a switch is predicted by the calls of
 * the greenlet that ran before, and misses if their number differs (bench_spawn: 73 -> 40 ns).
 */
#ifndef GV_SWITCH_H
#define GV_SWITCH_H

#include "sched/hub.h"
#include "sched/ready.h"

/* --- picking ------------------------------------------------------------------------------------ */

/* Take the right to run a fresh record, through its queue entry.  False: it was a tombstone, whose
 * reference is dropped. */
bool gv_take_fresh(struct gv_hub *hub, struct grove_greenlet *g);

/* Root context: the greenlet that waited longest behind newer ones, or NULL. */
struct grove_greenlet *gv_pick_oldest(struct gv_hub *hub);

/* What gv_pick does when there is more than a FIFO of greenlets; `item` was taken already, or 0. */
struct grove_greenlet *gv_pick_slow(struct gv_hub *hub, gv_item item);

/*
 * Whether the caller may go on with a greenlet of its own choice, past the queues.  Not at the end
 * of a round; and the first picks of a round are the queues' if somebody waits there, one for the
 * pinned ones and one for the FIFO: else two that hand over to each other would starve them.
 */
static inline bool gv_may_hand_over(struct gv_hub *hub)
{
	uint32_t left = hub->tick_left;

	if (GV_LIKELY(left - 2 < GV_TICK_PICKS - 3))
		return true;
	return left > 1 && hub->pinned_oldest == NULL && gv_fifo_size(&hub->fifo) == 0;
}

/* The line of the record some places behind, and the context of a nearer one (bench_fanout). */
static inline void gv_pick_prefetch(struct gv_hub *hub)
{
#if !GV_TSAN
	uint64_t h = gv_load(&hub->fifo.head, relaxed);		  /* relaxed: owner only */
	uint64_t waiting = gv_load(&hub->fifo.tail, relaxed) - h; /* relaxed: owner only */

	if (waiting > 7) {
		_Atomic uintptr_t *slots =
			gv_load(&hub->fifo.slots, relaxed); /* relaxed: owner only */
		gv_item far =
			gv_load(&slots[(h + 7) & hub->fifo.mask], relaxed); /* relaxed: a hint */
		gv_item near =
			gv_load(&slots[(h + 3) & hub->fifo.mask], relaxed); /* relaxed: a hint */

		__builtin_prefetch((void *)(far & ~GV_ITEM_BITS), 1);
		if (near != 0 && (near & GV_ITEM_BITS) == 0) {
			/* relaxed: a hint; records may always be read */
			char *context = gv_load(&((struct grove_greenlet *)near)->context, relaxed);
			__builtin_prefetch(context, 1);
			__builtin_prefetch(context + 64, 1);
		}
	}
#else
	(void)hub;
#endif
}

/* Owner: what runs next: &hub->root if nothing else does. */
GV_INLINE struct grove_greenlet *gv_pick(struct gv_hub *hub)
{
	gv_item item = 0;

	gv_store(&hub->picks, gv_load(&hub->picks, relaxed) + 1,
		 relaxed); /* relaxed: own counter */
	if (GV_UNLIKELY(--hub->tick_left == 0 || hub->pending != 0))
		return &hub->root;
	/* relaxed: owner only; no item is missed, as only the owner adds any */
	if (GV_LIKELY(gv_load(&hub->deque.steal, relaxed) == gv_load(&hub->deque.bottom, relaxed) &&
		      hub->pinned_oldest == NULL)) {
		item = gv_fifo_pop(&hub->fifo);
		gv_pick_prefetch(hub);
		if (GV_LIKELY(item != 0 && (item & GV_ITEM_BITS) == 0))
			return gv_item_record(item);
		if (item == 0)
			return &hub->root;
	}
	return gv_pick_slow(hub, item);
}

/* --- switching ---------------------------------------------------------------------------------- */

/* The stack of whoever ended last on this hub is free now that nobody stands on it. */
void gv_switch_free_dead(struct gv_hub *hub);

/* A fresh greenlet, whose run right we have, gets this stack. */
static inline void gv_switch_move_in(struct grove_greenlet *g, struct gv_stack *stack)
{
	struct gv_cold *cold = (struct gv_cold *)(void *)stack->cold;

	cold->extra = gv_record_extra_of(gv_load(&g->body, relaxed)); /* relaxed: taken */
	cold->last_failure = NULL;
	cold->last_code = 0;
	cold->failing = NULL;
	cold->pins = 0;
	cold->killed = false;
	cold->self = g;
	cold->fn = (grove_fn *)(uintptr_t)gv_load(&g->context, relaxed); /* relaxed: taken */
	cold->arg = g->slot;
	gv_store(&g->body, (uintptr_t)stack, relaxed); /* relaxed: taken */
}

/* A fresh greenlet gets a stack; without memory it ends, and the root context stands in. */
struct grove_greenlet *gv_switch_prepare(struct gv_hub *hub, struct grove_greenlet *g);

/* Make `next` current; returns the context that is to be switched to. */
GV_INLINE void *gv_switch_arrive(struct gv_hub *hub, struct grove_greenlet **next)
{
	struct grove_greenlet *g = *next;

	/* relaxed: ours until it suspends */
	if (GV_UNLIKELY(!gv_record_started(gv_load(&g->body, relaxed)) && g != &hub->root))
		*next = g = gv_switch_prepare(hub, g);

	uint16_t home = gv_load(&g->hub, relaxed); /* relaxed: ours */
	if (GV_UNLIKELY(home != hub->id) && !(home & GV_HUB_PINNED))
		gv_store(&g->hub, hub->id, relaxed); /* relaxed: ours */

	void *target = gv_load(&g->context, acquire); /* [saved] */
	gv_store(&g->context, NULL, relaxed);	      /* relaxed: ours */
	hub->current = g;
	return target;
}

#if GV_SANITIZER
#define gv_switch_sanitizer(hub, g)                                                                \
	((g) == &(hub)->root ? &(hub)->sanitizer : &gv_record_stack(g)->sanitizer)
#else
#define gv_switch_sanitizer(hub, g) ((struct gv_sanitizer *)NULL)
#endif

/* What travels with a greenlet besides its registers and errno, if the process has it. */
struct gv_carried {
	uintptr_t exceptions[2];
	struct gv_context_fpu fpu;
};

void gv_switch_carry(struct gv_hub *hub, struct gv_carried *carried);
void gv_switch_uncarry(struct gv_hub *hub, const struct gv_carried *carried);

/*
 * The caller, current on `hub`, has seen to it that it will be made runnable, and suspends; `next`,
 * which it has taken from a queue or has the right to run, goes on.  Returns the hub on which the
 * caller goes on.  Unless the caller is the root context, it may already be in a queue.
 */
GV_INLINE struct gv_hub *gv_switch_to(struct gv_hub *hub, struct grove_greenlet *next)
{
	struct grove_greenlet *self = hub->current;
	struct gv_sanitizer *from = gv_switch_sanitizer(hub, self);
	struct gv_carried carried;

	gv_ready_pay(hub);
	if (GV_UNLIKELY(next == self))
		return hub;
	void *target = gv_switch_arrive(hub, &next);
	if (GV_UNLIKELY(next == self)) { /* the root context stood in for one without a stack */
		gv_store(&self->context, target, relaxed); /* relaxed: ours */
		return hub;
	}
	int error = *hub->errno_location;
	bool carries = hub->carries;
	if (GV_UNLIKELY(carries))
		gv_switch_carry(hub, &carried);
	hub = gv_sanitizer_switch((void **)&self->context, target, hub, from,
				  gv_switch_sanitizer(hub, next), false);
	*hub->errno_location = error;
	if (GV_UNLIKELY(carries))
		gv_switch_uncarry(hub, &carried);
	if (GV_UNLIKELY(hub->dead_stack != NULL))
		gv_switch_free_dead(hub);
	return hub;
}

/* The same, to whoever is next in the queues. */
GV_INLINE struct gv_hub *gv_switch_away(struct gv_hub *hub)
{
	return gv_switch_to(hub, gv_pick(hub));
}

/*
 * The current greenlet has ended; its record may be gone.  Returns a fresh greenlet that takes over
 * this stack, already current; or switches away for ever, as it does without `reuse`.  `next` or
 * NULL: who should run now.
 */
GV_INLINE struct grove_greenlet *gv_switch_end(struct gv_hub *hub, struct gv_stack *stack,
					       struct grove_greenlet *next, bool reuse)
{
	void *nowhere;

	gv_ready_pay(hub);
	if (next == NULL)
		next = gv_pick(hub);

	/* A fresh one that wants this class of stack goes on here, without a switch. */
	uintptr_t body = gv_load(&next->body, relaxed); /* relaxed: taken by us */
	if (!GV_SANITIZER && reuse && !gv_record_started(body) && next != &hub->root &&
	    !(stack->flags & GV_STACK_UNCACHED)) {
		struct gv_extra *extra = gv_record_extra_of(body);

		if (GV_LIKELY(extra == NULL || extra->stack_bytes == 0)) {
			uint16_t home = gv_load(&next->hub, relaxed); /* relaxed: ours */

			gv_switch_move_in(next, stack);
			gv_store(&next->context, NULL, relaxed); /* relaxed: ours */
			if (home != hub->id && !(home & GV_HUB_PINNED))
				gv_store(&next->hub, hub->id, relaxed); /* relaxed: ours */
			hub->current = next;
			return next;
		}
	}
	void *target = gv_switch_arrive(hub, &next);
	hub->dead_stack = stack;
	gv_sanitizer_switch(&nowhere, target, hub, &stack->sanitizer,
			    gv_switch_sanitizer(hub, next), true);
	__builtin_unreachable();
}

#endif
