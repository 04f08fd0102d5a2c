/* SPDX-License-Identifier: MIT */
/*
 * ready.h - making something runnable, wherever it belongs.
 *
 * Layer   sched.
 */
#ifndef GV_READY_H
#define GV_READY_H

#include "sched/hub.h"
#include "sched/idle.h"

/*
 * A greenlet whose wait the caller has claimed goes on.  `hub` is the calling hub, entered, or NULL
 * for a remote caller.  With `defer` a kernel wake-up that is due is only noted, and paid by
 * gv_ready_pay at the hub's next scheduling point.
 *
 * The caller touches neither the greenlet nor what it waited for afterwards.
 */
void gv_ready(struct gv_hub *hub, struct grove_greenlet *g, bool defer);

/* The deque could not grow: to the own inbox. */
void gv_ready_start_inbox(struct gv_hub *hub, struct grove_greenlet *g);

/* The same for the entry that starts a fresh greenlet; the record's done word has GV_DONE_LINKED
 * unless gv_ready_local_start() said that it goes to the caller's own deque. */
void gv_ready_start(struct gv_hub *hub, struct grove_greenlet *g);

/* The same where gv_ready_local_start holds; inline for bench_spawn. */
static inline void gv_ready_start_here(struct gv_hub *hub, struct grove_greenlet *g)
{
	if (GV_LIKELY(gv_deque_push(&hub->deque, (gv_item)g | GV_ITEM_FRESH) == 0))
		gv_idle_notify(hub);
	else
		gv_ready_start_inbox(hub, g);
}

/* A node for gv_hooks.run_node: to the hub `number` (GV_HUB_FOREIGN: any). */
void gv_ready_node(struct gv_hub *hub, void *node, unsigned number, bool defer);

/* Whether gv_ready_start(hub, g) with this field `hub` would use the caller's deque. */
static inline bool gv_ready_local_start(const struct gv_hub *hub, uint16_t home)
{
	return hub != NULL && !(home & GV_HUB_PINNED) && !hub->strict;
}

/* Owner: queue an item here, without waking anybody. */
void gv_ready_queue(struct gv_hub *hub, gv_item item);

/* Owner: move what is in the inboxes to the queues.  Returns whether there was anything. */
bool gv_ready_drain(struct gv_hub *hub);

/* The same for a chain that was taken from somebody's inbox. */
void gv_ready_sort_in(struct gv_hub *hub, struct gv_link *oldest);

/* Owner: drop some tombstones from the newest end of the deque.  A join that runs its child in place
 * leaves one, and calls this, so that they do not pile up. */
void gv_ready_sweep_slow(struct gv_hub *hub);

static inline void gv_ready_sweep(struct gv_hub *hub)
{
	gv_item newest = gv_deque_newest(&hub->deque);

	/* relaxed: looked at again */
	if (newest != 0 && (gv_load(&gv_item_record(newest)->done, relaxed) & GV_DONE_TAKEN))
		gv_ready_sweep_slow(hub);
}

/* Pay the wake-ups that were deferred. */
void gv_ready_pay_now(struct gv_hub *hub);

static inline void gv_ready_pay(struct gv_hub *hub)
{
	if (GV_UNLIKELY(hub->owes))
		gv_ready_pay_now(hub);
}

#endif
