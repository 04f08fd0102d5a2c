/* SPDX-License-Identifier: MIT */
/*
 * node.h - one waiter in the chain of an object.
 *
 * Layer   wait.
 *
 * Nodes are type-stable and belong to the chain: whoever takes the chain out of the object's word
 * disposes of them.  A waiter whose wait ends otherwise touches neither its node nor the object,
 * as both may be gone; its claim makes the node dead (its token is no longer that of the wait word).
 */
#ifndef GV_NODE_H
#define GV_NODE_H

#include "sched/hub.h"

enum gv_node_kind {
	GV_NODE_WAITER = 1, /* `waiter` waits with `token` */
	GV_NODE_LIST = 2,   /* stands for older nodes: see waitset.c */
	GV_NODE_JOB = 3,    /* in a queue: a chain to be sorted, then delivered; see deliver.c */
	GV_NODE_SORTED = 4, /* in a queue: the waiters of one hub, oldest first */
	GV_NODE_CALL = 5,   /* in a queue: call fn(arg) in hub context */
};

/* What ended a wait. */
enum gv_cause {
	GV_CAUSE_WAKE = 1,   /* the outcome is a value */
	GV_CAUSE_FAILED = 2, /* the outcome is a failure, with a reference for each waiter */
	GV_CAUSE_TIMEOUT = 3,
	GV_CAUSE_KILL = 4,
	GV_CAUSE_CODE = 5, /* the outcome is the code that the wait returns: closed, stopped ... */
};

struct gv_node {
	_Atomic(struct gv_node *) next; /* older; chain, or list being sorted */
	struct grove_greenlet *waiter;
	uint64_t token;
	union {
		uintptr_t outcome; /* JOB, SORTED, LIST */
		void *arg;	   /* CALL */
	};
	union {
		struct gv_node *inner; /* LIST: older nodes; JOB: what is not sorted yet */
		grove_cb *fn;	       /* CALL */
	};
	/* Nothing but nodes: a push looks into one that may have changed its kind (waitset.c). */
	union {
		_Atomic(struct gv_node *) under; /* WAITER: the nearest LIST below, or NULL */
		_Atomic(struct gv_node *)
			head; /* JOB, SORTED and anchors: the oldest of this hub */
	};
	struct gv_link link; /* in inboxes */
	union {
		_Atomic uint32_t depth; /* WAITER: nodes above `under`, this one included */
		_Atomic uint32_t count; /* LIST: live nodes when it was closed */
	};
	uint16_t hub; /* of the waiter */
	uint8_t cause;
	_Atomic uint8_t kind;
} GV_ALIGNED(GV_CACHE_LINE);

_Static_assert(sizeof(struct gv_node) == GV_CACHE_LINE, "one line each");
_Static_assert(offsetof(struct gv_node, link) == GV_NODE_LINK_OFFSET, "sched tells links apart");

/* A LIST keeps its state in `token`, which is accessed through this. */
enum gv_list_state { GV_LIST_OPEN = 1, GV_LIST_CLOSED = 2, GV_LIST_DELIVERED = 3 };

static inline _Atomic uint64_t *gv_node_state(struct gv_node *list)
{
	return (_Atomic uint64_t *)(void *)&list->token;
}

/* Link a WAITER on top of a chain, which others may take and free meanwhile: waitset.c. */
static inline void gv_node_put_on(struct gv_node *node, struct gv_node *top)
{
	/* relaxed: hints; the CAS that follows publishes, and fails if the chain has changed */
	uint32_t depth = top != NULL ? gv_load(&top->depth, relaxed) + 1 : 1;
	struct gv_node *under = top != NULL ? gv_load(&top->under, relaxed) : NULL;

	gv_store(&node->depth, depth, relaxed); /* relaxed: as above */
	gv_store(&node->under, under, relaxed); /* relaxed: as above */
	gv_store(&node->next, top, relaxed);	/* relaxed: as above */
}

static inline bool gv_node_live(const struct gv_node *node)
{
	return gv_load(&node->waiter->wait, relaxed) ==
	       node->token; /* relaxed: the claim decides */
}

/* Allocation by whoever is entered on a hub, or NULL for a foreign pthread. */
static inline struct gv_node *gv_node_alloc(struct gv_hub *hub)
{
	return GV_LIKELY(hub != NULL) ? gv_slab_alloc(&hub->nodes)
				      : gv_slab_alloc_shared(&gv_nodes);
}

static inline void gv_node_free(struct gv_hub *hub, struct gv_node *node)
{
	if (GV_LIKELY(hub != NULL))
		gv_slab_free(&hub->nodes, node);
	else
		gv_slab_free_shared(&gv_nodes, node);
}

#endif
