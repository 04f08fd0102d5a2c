/* SPDX-License-Identifier: MIT */
/*
 * waitset.h - the chain of waiters inside an object's word.
 *
 * Layer   wait.  The protocol and its proof stand in waitset.c.
 *
 *     63     48 47           6 5      0
 *    | object's | newest node | object's |
 *
 * The object keeps its own state in the upper 16 and the lower 6 bits; pushing leaves them alone.
 */
#ifndef GV_WAITSET_H
#define GV_WAITSET_H

#include "wait/node.h"

#define GV_CHAIN_MASK UINT64_C(0x0000ffffffffffc0)

static inline struct gv_node *gv_chain_of(uint64_t word)
{
	return (struct gv_node *)(uintptr_t)(word & GV_CHAIN_MASK);
}

/*
 * Put a filled WAITER node on top, unless one of the bits `stop` is set.  Returns false then; the
 * node is still the caller's.  Now and then a push also rids the chain of its dead.
 */
bool gv_waitset_push(struct gv_hub *hub, _Atomic uint64_t *word, struct gv_node *node,
		     uint64_t stop);

/*
 * A chain that the caller took is to be thrown away: frees the dead nodes.  Returns false, and
 * leaves the chain as it is but for some dead nodes, if somebody still waits in it; *top is then
 * what is left of the chain.
 */
bool gv_waitset_discard(struct gv_hub *hub, struct gv_node **top);

#endif
