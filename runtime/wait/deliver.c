/* SPDX-License-Identifier: MIT */
/*
 * deliver.c - short chains at once, long ones as a job.
 *
 * Layer   wait.
 * Owns    chains that were taken out of an object's word.
 * Entry   gv_deliver from send, set, the end of a greenlet ...; gv_deliver_go_on from the loop.
 *
 * In strict order (one hub) every chain is delivered at once, whatever its length.
 *
 * A chain comes newest first.  Up to 16 nodes are reversed on the stack and delivered.  A longer
 * chain becomes a job: the newest node is its header, so that nothing is allocated, and the sender
 * only queues it.
 *
 *     JOB   pieces of 256 nodes are moved from the chain to one list per hub, which turns them
 *           round; the first node that belongs to a hub is that list's last for ever, its anchor,
 *           and keeps the list's head.  Between two pieces the job stands in a queue.
 *     SORTED  one for each hub that had waiters: given to that hub as one item with one wake-up;
 *           its waiters are claimed and queued there, oldest first, 256 at a time.
 *
 * I1  The JOB header is the newest node, hence always an anchor, and the one that stays behind.
 * I2  Each waiter is claimed exactly by the CAS of its wait word, or was dead.
 * I3  Whole lists move between hubs, never parts: waiters of one hub are made runnable in the order
 *     in which they began to wait.
 * I4  A node is freed before its waiter is made runnable and not touched afterwards.
 *
 * An outcome that is a failure: each JOB, SORTED and open LIST holds one reference, and each claimed
 * waiter gets one.
 *
 * [close]  LIST nodes: see waitset.c.
 */
#include "wait/deliver.h"

#include "sched/failure.h"
#include "sched/ready.h"
#include "wait/park.h"
#include "wait/waitset.h"

enum { INLINE_MAX = 16, PIECE = 256 };

static void take_reference(enum gv_cause cause, uintptr_t outcome)
{
	if (cause == GV_CAUSE_FAILED)
		gv_failure_retain((struct grove_failure *)outcome);
}

void gv_deliver_drop(enum gv_cause cause, uintptr_t outcome)
{
	if (cause == GV_CAUSE_FAILED)
		gv_failure_release((struct grove_failure *)outcome);
}

/*
 * The next waiter of a chain, newest first; *chain is what comes after it.  Lists are walked into;
 * one that is still open gets the outcome, and its cleaner delivers it.
 */
static struct gv_node *next_waiter(struct gv_hub *hub, struct gv_node **chain, enum gv_cause cause,
				   uintptr_t outcome)
{
	for (;;) {
		struct gv_node *node = *chain;

		if (node == NULL)
			return NULL;
		if (GV_LIKELY(gv_load(&node->kind, relaxed) ==
			      GV_NODE_WAITER)) {		/* relaxed: taken */
			*chain = gv_load(&node->next, relaxed); /* relaxed: taken */
			return node;
		}
		if (gv_load(gv_node_state(node), acquire) == GV_LIST_OPEN) { /* [close] */
			uint64_t open = GV_LIST_OPEN;

			node->outcome = outcome;
			node->cause = (uint8_t)cause;
			take_reference(cause, outcome);
			if (gv_cas(gv_node_state(node), &open, GV_LIST_DELIVERED, acq_rel,
				   acquire)) { /* [close] */
				*chain = NULL;
				return NULL;
			}
			gv_deliver_drop(cause, outcome);
		}
		*chain = node->inner;
		gv_node_free(hub, node);
	}
}

/* I2, I4 */
static void deliver_one(struct gv_hub *hub, struct gv_node *node, enum gv_cause cause,
			uintptr_t outcome)
{
	struct grove_greenlet *waiter = node->waiter;
	uint64_t token = node->token;

	gv_node_free(hub, node);
	take_reference(cause, outcome);
	if (gv_wait_claim(waiter, token, cause, outcome))
		gv_ready(hub, waiter, true);
	else
		gv_deliver_drop(cause, outcome);
}

static void start_job(struct gv_hub *hub, struct gv_node *newest, struct gv_node *rest,
		      enum gv_cause cause, uintptr_t outcome)
{
	gv_store(&newest->kind, GV_NODE_JOB, relaxed); /* relaxed: taken */
	gv_store(&newest->next, NULL, relaxed);	       /* relaxed: taken */
	newest->inner = rest;
	gv_store(&newest->head, newest, relaxed); /* relaxed: taken */
	newest->outcome = outcome;
	newest->cause = (uint8_t)cause;
	take_reference(cause, outcome);
	gv_ready_node(hub, newest, hub != NULL ? hub->id : newest->hub, true);
}

/* Strict order: whoever waited is in the queue before anybody who comes later, however many. */
static void deliver_in_turn(struct gv_hub *hub, struct gv_node *chain, enum gv_cause cause,
			    uintptr_t outcome)
{
	struct gv_node *oldest = NULL;
	struct gv_node *node;

	while ((node = next_waiter(hub, &chain, cause, outcome)) != NULL) {
		gv_store(&node->next, oldest, relaxed); /* relaxed: taken */
		oldest = node;
	}
	while (oldest != NULL) {
		node = oldest;
		oldest = gv_load(&node->next, relaxed); /* relaxed: taken */
		deliver_one(hub, node, cause, outcome);
	}
}

static GV_NOINLINE void deliver_more(struct gv_hub *hub, struct gv_node *chain, enum gv_cause cause,
				     uintptr_t outcome)
{
	struct gv_node *found[INLINE_MAX];
	int count = 0;

	if (hub == NULL && gv_hub_total() == 0) {
		/* No runtime, hence no live waiter: the dead are buried here. */
		struct gv_node *node;
		while ((node = next_waiter(NULL, &chain, cause, outcome)) != NULL)
			deliver_one(NULL, node, cause, outcome);
		return;
	}
	if (hub == NULL) {
		/* Remote: no cache may be touched, and a LIST cannot be a header. */
		if (gv_load(&chain->kind, relaxed) == GV_NODE_WAITER) {	       /* relaxed: taken */
			struct gv_node *rest = gv_load(&chain->next, relaxed); /* relaxed: taken */
			start_job(NULL, chain, rest, cause, outcome);
			return;
		}
	}
	if (hub != NULL && hub->strict) {
		deliver_in_turn(hub, chain, cause, outcome);
		return;
	}
	while (count < INLINE_MAX) {
		struct gv_node *node = next_waiter(hub, &chain, cause, outcome);

		if (node == NULL)
			break;
		found[count++] = node;
	}
	if (chain == NULL) {
		while (count > 0)
			deliver_one(hub, found[--count], cause, outcome);
		return;
	}
	/* Longer than that: those that were looked at go back in front. */
	for (int i = count - 1; i > 0; i--) {
		gv_store(&found[i]->next, chain, relaxed); /* relaxed: taken */
		chain = found[i];
	}
	start_job(hub, found[0], chain, cause, outcome);
}

void gv_deliver(struct gv_hub *hub, struct gv_node *chain, enum gv_cause cause, uintptr_t outcome)
{
	if (chain == NULL)
		return;
	/* One waiter is what most objects have (bench_pingpong).  relaxed: taken */
	if (GV_LIKELY(hub != NULL && gv_load(&chain->next, relaxed) == NULL &&
		      gv_load(&chain->kind, relaxed) == GV_NODE_WAITER))
		deliver_one(hub, chain, cause, outcome);
	else
		deliver_more(hub, chain, cause, outcome);
}

/* The anchor of the list for this hub: a new one if there is none. */
static struct gv_node *anchor_of(struct gv_node *job, struct gv_node **last, struct gv_node *node)
{
	struct gv_node *anchor = *last;

	if (GV_LIKELY(anchor->hub == node->hub))
		return anchor;
	for (anchor = job;; anchor = gv_load(&anchor->next, relaxed)) { /* relaxed: taken */
		if (anchor->hub == node->hub)
			break;
		if (gv_load(&anchor->next, relaxed) == NULL) {	/* relaxed: taken */
			gv_store(&anchor->next, node, relaxed); /* relaxed: taken */
			gv_store(&node->next, NULL, relaxed);	/* relaxed: taken */
			gv_store(&node->head, node, relaxed);	/* relaxed: taken */
			anchor = node;
			break;
		}
	}
	*last = anchor;
	return anchor;
}

static void sort_piece(struct gv_hub *hub, struct gv_node *job)
{
	enum gv_cause cause = job->cause;
	uintptr_t outcome = job->outcome;
	struct gv_node *rest = job->inner;
	struct gv_node *last = job;

	for (int i = 0; i < PIECE; i++) {
		struct gv_node *node = next_waiter(hub, &rest, cause, outcome);

		if (node == NULL)
			break;
		__builtin_prefetch(rest);
		struct gv_node *anchor = anchor_of(job, &last, node);
		if (anchor != node) {
			struct gv_node *head = gv_load(&anchor->head, relaxed); /* relaxed: taken */

			gv_store(&node->next, head, relaxed);	/* relaxed: taken */
			gv_store(&anchor->head, node, relaxed); /* relaxed: taken */
		}
	}
	job->inner = rest;
	if (rest != NULL) {
		gv_ready_queue(hub, (gv_item)job | GV_ITEM_NODE);
		return;
	}

	/* All lists are complete: each goes to its hub. */
	for (struct gv_node *anchor = job; anchor != NULL;) {
		struct gv_node *next = gv_load(&anchor->next, relaxed); /* relaxed: taken */
		unsigned home = anchor->hub;

		if (home != GV_HUB_FOREIGN && gv_hub_stuck(gv_hub_at(home & GV_HUB_NUMBER)))
			home = hub->id;
		gv_store(&anchor->kind, GV_NODE_SORTED, relaxed); /* relaxed: taken */
		gv_store(&anchor->next, NULL, relaxed);		  /* relaxed: taken */
		anchor->outcome = outcome;
		anchor->cause = (uint8_t)cause;
		if (anchor != job)
			take_reference(cause, outcome);
		gv_ready_node(hub, anchor, home, false);
		anchor = next;
	}
}

static void deliver_piece(struct gv_hub *hub, struct gv_node *anchor)
{
	enum gv_cause cause = anchor->cause;
	uintptr_t outcome = anchor->outcome;
	struct gv_node *node = gv_load(&anchor->head, relaxed); /* relaxed: taken */

	for (int i = 0; i < PIECE; i++) {
		if (node == anchor) {
			deliver_one(hub, node, cause, outcome);
			gv_deliver_drop(cause, outcome);
			return;
		}
		struct gv_node *next = gv_load(&node->next, relaxed); /* relaxed: taken */
		__builtin_prefetch(gv_load(&next->next, relaxed));    /* relaxed: taken */
		__builtin_prefetch(next->waiter, 1);
		deliver_one(hub, node, cause, outcome);
		node = next;
	}
	gv_store(&anchor->head, node, relaxed); /* relaxed: taken */
	gv_ready_queue(hub, (gv_item)anchor | GV_ITEM_NODE);
}

void gv_deliver_go_on(struct gv_hub *hub, struct gv_node *node)
{
	if (gv_load(&node->kind, relaxed) == GV_NODE_JOB) /* relaxed: taken */
		sort_piece(hub, node);
	else
		deliver_piece(hub, node);
}
