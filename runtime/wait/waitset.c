/* SPDX-License-Identifier: MIT */
/*
 * waitset.c - pushing waiters, and keeping the dead from piling up.
 *
 * Layer   wait.
 * Owns    the chain in an object's word while nobody has taken it; LIST nodes.
 * Entry   gv_waitset_push from every wait; deliver.c takes chains.
 *
 * A push is one CAS; a sender takes the whole chain with its change of state.  Waits that end by
 * deadline or kill leave dead nodes.  A push that finds more than 64 nodes and twice as many as were
 * alive at the last cleaning takes the chain aside by the same single CAS: it pushes its own node
 * on top of a LIST node that stands for everything older.
 *
 *     word -> new node -> LIST(OPEN) : the old chain, private to the cleaner
 *
 *                close (cleaner)                 walk into it (whoever took the chain)
 *     OPEN ------------------------> CLOSED --------------------------------------------> freed
 *       |     leave the outcome in it (sender)
 *       '----------------------------------> DELIVERED: the cleaner delivers what is alive
 *
 * I1  While a LIST is OPEN only the cleaner touches the nodes behind it.
 * I2  After the CAS that leaves OPEN the cleaner touches the object no more: there is nothing of it
 *     that it would have to touch.
 * I3  Behind a CLOSED list stand the survivors in their old order, so first come, first served holds
 *     across a cleaning; only waiters that are delivered by the cleaner may be late.
 * I4  The work is paid by the pushes since the last cleaning: at least half of what is walked is new.
 *
 * [push]   push: CAS release.  take: acquire, by the object's own protocol.  The node is complete
 *          and its waiter PENDING.
 * [close]  cleaner: CAS acq_rel OPEN -> CLOSED after `inner`.  walker: load-acquire CLOSED.
 *          sender: CAS acq_rel OPEN -> DELIVERED after outcome and cause.  cleaner: acquire by its
 *          failed CAS.
 *
 * A push reads depth and list out of a node that may have been freed meanwhile, and may even be
 * something else by now.  What it reads is wrong at worst for one decision to clean: nodes are
 * type-stable, the two fields never hold anything but a number and a node, and the CAS fails if the
 * chain has changed.
 */
#include "wait/waitset.h"

#include "wait/deliver.h"

#define CLEAN_FROM 64

/* Nodes in use alive, in order; dead ones and closed lists freed.  Returns the new chain. */
static struct gv_node *clean(struct gv_hub *hub, struct gv_node *node, uint32_t *count)
{
	struct gv_node *top = NULL;
	_Atomic(struct gv_node *) *end = (_Atomic(struct gv_node *) *)(void *)&top;

	*count = 0;
	while (node != NULL) {
		struct gv_node *next = gv_load(&node->next, relaxed); /* relaxed: ours */

		if (gv_load(&node->kind, relaxed) == GV_NODE_LIST) { /* relaxed: ours */
			if (gv_load(gv_node_state(node), acquire) == GV_LIST_OPEN) { /* [close] */
				gv_store(end, node, relaxed); /* relaxed: ours */
				return top; /* another cleaner has the rest; nothing is below */
			}
			next = node->inner;
			gv_node_free(hub, node);
		} else if (gv_node_live(node)) {
			gv_store(end, node, relaxed); /* relaxed: ours */
			end = &node->next;
			(*count)++;
		} else {
			gv_node_free(hub, node);
		}
		node = next;
	}
	gv_store(end, NULL, relaxed); /* relaxed: ours */
	return top;
}

static void clean_list(struct gv_hub *hub, struct gv_node *list)
{
	uint32_t count;
	uint64_t state = GV_LIST_OPEN;

	list->inner = clean(hub, list->inner, &count);
	gv_store(&list->count, count, relaxed); /* relaxed: a hint */
	if (gv_cas(gv_node_state(list), &state, GV_LIST_CLOSED, acq_rel, acquire)) /* [close] */
		return;

	struct gv_node *inner = list->inner;
	uintptr_t outcome = list->outcome;
	enum gv_cause cause = list->cause;
	gv_node_free(hub, list);
	gv_deliver(hub, inner, cause, outcome);
	gv_deliver_drop(cause, outcome);
}

/* A node that is about to be pushed: more than twice as many as were alive are below it. */
static bool is_mostly_dead(struct gv_node *node)
{
	uint32_t depth = gv_load(&node->depth, relaxed); /* relaxed: own store */

	if (GV_LIKELY(depth <= CLEAN_FROM))
		return false;
	struct gv_node *under = gv_load(&node->under, relaxed); /* relaxed: own store */
	/* relaxed: a hint */
	return under == NULL || depth / 2 > gv_load(&under->count, relaxed);
}

/* The chain below `node` goes into a LIST. */
static void put_aside(struct gv_node *list, struct gv_node *top, struct gv_node *node)
{
	gv_store(&list->next, NULL, relaxed);		      /* relaxed: [push] follows */
	gv_store(&list->under, NULL, relaxed);		      /* relaxed: [push] follows */
	gv_store(&list->kind, GV_NODE_LIST, relaxed);	      /* relaxed: [push] follows */
	gv_store(gv_node_state(list), GV_LIST_OPEN, relaxed); /* relaxed: [push] follows */
	gv_store(&list->count, UINT32_MAX / 4, relaxed);      /* relaxed: [push] follows */
	list->inner = top;
	gv_store(&node->depth, 1, relaxed);    /* relaxed: [push] follows */
	gv_store(&node->under, list, relaxed); /* relaxed: [push] follows */
	gv_store(&node->next, list, relaxed);  /* relaxed: [push] follows */
}

bool gv_waitset_push(struct gv_hub *hub, _Atomic uint64_t *word, struct gv_node *node,
		     uint64_t stop)
{
	uint64_t old = gv_load(word, relaxed); /* relaxed: the CAS decides */
	struct gv_node *list = NULL;
	bool aside = false;
	bool pushed = false;

	while (!(old & stop)) {
		struct gv_node *top = gv_chain_of(old);

		gv_node_put_on(node, top);
		aside = false;
		if (GV_UNLIKELY(is_mostly_dead(node))) {
			if (list == NULL)
				list = gv_node_alloc(hub);
			aside = list != NULL;
			if (aside)
				put_aside(list, top, node);
		}
		if (gv_cas(word, &old, (old & ~GV_CHAIN_MASK) | (uintptr_t)node, acq_rel,
			   relaxed)) { /* [push] */
			pushed = true;
			break;
		}
	}
	/* The node belongs to whoever takes the chain: it is not looked at any more. */
	if (GV_UNLIKELY(list != NULL)) {
		if (pushed && aside)
			clean_list(hub, list);
		else
			gv_node_free(hub, list);
	}
	return pushed;
}

bool gv_waitset_discard(struct gv_hub *hub, struct gv_node **top)
{
	uint32_t count;

	*top = clean(hub, *top, &count);
	return *top == NULL;
}
