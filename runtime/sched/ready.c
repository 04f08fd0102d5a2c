/* SPDX-License-Identifier: MIT */
/*
 * ready.c - which queue a runnable thing goes to, and who is told.
 *
 * Layer   sched.  Below: store/fifo.h, deque.h, inbox.h.
 * Owns    the pinned list of a hub, and its debts of wake-ups.
 * Entry   gv_ready from every ender of a wait, gv_ready_start from spawn.
 *
 *      pinned here           own pinned list
 *      pinned elsewhere      that hub's pinned inbox; that hub is woken
 *      home is here          own FIFO
 *      home sleeps           own FIFO: what its waker touched is in this cache, and a kernel
 *                            wake-up costs more than the move; somebody is woken if there is more
 *      home is stuck         own FIFO: it would wait until the sentinel's next look
 *      home runs             that hub's shared inbox
 *      remote caller         the home's shared inbox; that hub is woken if it sleeps
 *
 * I1  An item is in exactly one queue.  If a ring is full, the item goes to the own shared inbox,
 *     which needs no memory: nothing is ever dropped.
 * I2  A greenlet that goes into the FIFO of a hub that is not its home has a saved context
 *     ([saved], context.h).  In its home's inbox it may stand before that: the home is the one that
 *     is saving it, and others put back what is not saved.
 * I3  A full FIFO grows only when the root context drains the inboxes: making somebody runnable
 *     must not allocate, as it may be done by a signal handler that interrupted malloc.  Until then
 *     all that follows goes to the inbox as well, so that the order is kept.
 *
 * [sleep]  push to an inbox (seq_cst), load park (seq_cst); pairs with idle.c, which stores park,
 *          fences and looks at the inboxes.  An inbox that was not empty saves nothing here: the
 *          push that found it empty may have deferred its wake-up, so every pusher looks at park.
 */
#include "sched/ready.h"

#include "base/check.h"
#include "sched/idle.h"

static struct gv_link *link_of(gv_item item)
{
	char *object = gv_item_node(item);

	if (gv_item_is_node(item))
		return (struct gv_link *)(void *)(object + GV_NODE_LINK_OFFSET);
	return &((struct grove_greenlet *)(void *)object)->link;
}

/* Records and nodes have their links at different places in their cache line. */
static gv_item item_of(struct gv_link *link)
{
	uintptr_t address = (uintptr_t)link;
	uintptr_t object = address & ~(uintptr_t)(GV_CACHE_LINE - 1);

	if (address - object == GV_NODE_LINK_OFFSET)
		return object | GV_ITEM_NODE;
	struct grove_greenlet *g = (struct grove_greenlet *)object;
	/* relaxed: whoever pushed it was the last to write it */
	return gv_record_started(gv_load(&g->body, relaxed)) ? object : object | GV_ITEM_FRESH;
}

static void pinned_append(struct gv_hub *hub, struct gv_link *link)
{
	gv_store(&link->next, NULL, relaxed); /* relaxed: owner only */
	if (hub->pinned_newest != NULL)
		gv_store(&hub->pinned_newest->next, link, relaxed); /* relaxed: owner only */
	else
		hub->pinned_oldest = link;
	hub->pinned_newest = link;
}

/* I1: to the own inbox, which needs no memory. */
static GV_NOINLINE void queue_in_inbox(struct gv_hub *hub, gv_item item)
{
	struct grove_greenlet *g = gv_item_record(item);

	/* What starts a greenlet is LINKED there.  The link of one that runs already is its own. */
	if (item & GV_ITEM_FRESH) {
		uint64_t done = gv_load(&g->done, relaxed); /* relaxed: the CAS decides */

		do {
			if (done & GV_DONE_TAKEN) {
				gv_record_release(g, &hub->records);
				return;
			}
			/* relaxed: [give] follows */
		} while (!gv_cas(&g->done, &done, done | GV_DONE_LINKED, relaxed, relaxed));
	}
	gv_inbox_push(&hub->shared, link_of(item));
}

void gv_ready_queue(struct gv_hub *hub, gv_item item)
{
	/* I1, I3 */
	if (GV_UNLIKELY(hub->spilled || gv_fifo_push(&hub->fifo, item, false) < 0)) {
		hub->spilled = true;
		queue_in_inbox(hub, item);
	}
}

/* Into another hub's inbox, or the own one of a caller that may not touch more. */
static void give(struct gv_hub *hub, struct gv_hub *target, struct gv_inbox *inbox,
		 struct gv_link *link, bool defer)
{
	gv_inbox_push(inbox, link); /* [sleep] */

	uint32_t park = gv_load(&target->park, seq_cst); /* [sleep] */
	if (park != GV_PARK_FUTEX && park != GV_PARK_POLL)
		return;
	if (hub != NULL && defer) {
		hub->owed[target->id / 64] |= UINT64_C(1) << (target->id % 64);
		hub->owes = true;
		return;
	}
	gv_idle_wake(target);
}

/* A search that is owed is paid like a wake-up: a send makes no system call. */
static inline void notify(struct gv_hub *hub, bool defer)
{
	if (GV_LIKELY(!gv_idle_wanted(hub)))
		return;
	if (defer)
		hub->owes = hub->owes_notify = true;
	else
		gv_idle_wake_any();
}

static unsigned any_hub(void)
{
	uint32_t count = gv_load(&gv_runtime.active_hubs, relaxed); /* relaxed: any hub will do */

	/* relaxed: round robin */
	return count <= 1 ? 0 : gv_add(&gv_runtime.next_hub, 1, relaxed) % count;
}

void gv_ready(struct gv_hub *hub, struct grove_greenlet *g, bool defer)
{
	unsigned home = gv_load(&g->hub, relaxed); /* relaxed: parked, so nobody writes it */

	if (GV_LIKELY(hub != NULL && home == hub->id)) {
		gv_ready_queue(hub, (gv_item)g);
		notify(hub, defer);
		return;
	}
	if (home == GV_HUB_FOREIGN) {
		gv_runtime.hooks.wake_foreign(g);
		return;
	}
	struct gv_hub *target = gv_hub_at(home & GV_HUB_NUMBER);
	if (home & GV_HUB_PINNED) {
		if (target == hub)
			pinned_append(hub, &g->link);
		else
			give(hub, target, &target->pinned, &g->link, defer);
		return;
	}
	/* [saved] */
	if (hub != NULL &&
	    (gv_load(&target->park, relaxed) != GV_PARK_RUN ||
	     gv_hub_stuck(target)) &&		     /* relaxed: a hint */
	    gv_load(&g->context, acquire) != NULL) { /* [saved] I2 */
		gv_ready_queue(hub, (gv_item)g);
		notify(hub, defer);
		return;
	}
	give(hub, target, &target->shared, &g->link, defer);
}

void gv_ready_start_inbox(struct gv_hub *hub, struct grove_greenlet *g)
{
	queue_in_inbox(hub, (gv_item)g | GV_ITEM_FRESH);
}

void gv_ready_start(struct gv_hub *hub, struct grove_greenlet *g)
{
	unsigned home = gv_load(&g->hub, relaxed); /* relaxed: not shared yet, or LINKED */
	gv_item item = (gv_item)g | GV_ITEM_FRESH;

	if (GV_LIKELY(gv_ready_local_start(hub, (uint16_t)home))) {
		gv_ready_start_here(hub, g);
		return;
	}
	if (home & GV_HUB_PINNED) {
		struct gv_hub *target = gv_hub_at(home & GV_HUB_NUMBER);

		if (target == hub && !hub->strict)
			pinned_append(hub, &g->link);
		else if (target == hub)
			gv_ready_queue(hub, item);
		else
			give(hub, target, &target->pinned, &g->link, false);
		return;
	}
	if (hub != NULL) {
		gv_ready_queue(hub, item); /* strict */
		return;
	}
	struct gv_hub *target = gv_hub_at(any_hub());
	give(NULL, target, &target->shared, &g->link, false);
}

void gv_ready_node(struct gv_hub *hub, void *node, unsigned number, bool defer)
{
	gv_item item = (gv_item)node | GV_ITEM_NODE;

	number &= GV_HUB_NUMBER;
	if (hub != NULL && (number == hub->id || number == GV_HUB_FOREIGN)) {
		gv_ready_queue(hub, item);
		notify(hub, defer);
		return;
	}
	if (number == GV_HUB_FOREIGN)
		number = any_hub();
	struct gv_hub *target = gv_hub_at(number);
	give(hub, target, &target->shared, link_of(item), defer);
}

void gv_ready_sort_in(struct gv_hub *hub, struct gv_link *oldest)
{
	while (oldest != NULL) {
		struct gv_link *next = gv_load(&oldest->next, relaxed); /* relaxed: ours */

		gv_item item = item_of(oldest);

		/* I3.  It may come back to the same inbox (I1), so its link is read first. */
		if (GV_UNLIKELY(hub->spilled || gv_fifo_push(&hub->fifo, item, true) < 0)) {
			hub->spilled = true;
			queue_in_inbox(hub, item);
		}
		oldest = next;
	}
}

bool gv_ready_drain(struct gv_hub *hub)
{
	struct gv_link *shared = gv_inbox_take(&hub->shared);
	struct gv_link *pinned = gv_inbox_take(&hub->pinned);

	if (shared == NULL && pinned == NULL)
		return false;
	gv_count(&hub->stats.inbox_passes);
	hub->spilled = false;
	gv_ready_sort_in(hub, shared);
	while (pinned != NULL) {
		struct gv_link *next = gv_load(&pinned->next, relaxed); /* relaxed: ours */
		pinned_append(hub, pinned);
		pinned = next;
	}
	return true;
}

void gv_ready_sweep_slow(struct gv_hub *hub)
{
	/* More than a join leaves, and few enough not to matter. */
	for (int i = 0; i < 16; i++) {
		gv_item item = gv_deque_pop(&hub->deque);

		if (item == 0)
			return;
		struct grove_greenlet *g = gv_item_record(item);
		if (!(gv_load(&g->done, relaxed) & GV_DONE_TAKEN)) { /* relaxed: a hint */
			gv_ready_start(hub, g);
			return;
		}
		gv_record_release(g, &hub->records);
	}
}

void gv_ready_pay_now(struct gv_hub *hub)
{
	hub->owes = false;
	if (hub->owes_notify) {
		hub->owes_notify = false;
		gv_idle_notify(hub);
	}
	for (unsigned i = 0; i < GV_ARRAY_LEN(hub->owed); i++) {
		uint64_t set = hub->owed[i];

		hub->owed[i] = 0;
		for (; set != 0; set &= set - 1)
			gv_idle_wake(gv_hub_at(i * 64 + (unsigned)__builtin_ctzll(set)));
	}
}
