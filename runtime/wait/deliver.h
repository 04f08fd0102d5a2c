/* SPDX-License-Identifier: MIT */
/*
 * deliver.h - giving one outcome to everybody in a chain.
 *
 * Layer   wait.
 */
#ifndef GV_DELIVER_H
#define GV_DELIVER_H

#include "wait/node.h"

/*
 * The caller took `chain` (newest first) out of an object and ends the waits in it.  An outcome
 * that is a failure is borrowed.  A chain of up to 16 is delivered before the call returns, unless
 * the caller is remote (hub NULL); a longer one costs the same whatever its length, and is delivered
 * by hubs soon after.  Never allocates, never fails; signal handlers too.
 */
void gv_deliver(struct gv_hub *hub, struct gv_node *chain, enum gv_cause cause, uintptr_t outcome);

/* Undo the reference that a stored outcome stands for. */
void gv_deliver_drop(enum gv_cause cause, uintptr_t outcome);

/* Root context: go on with a node of kind JOB or SORTED that was found in a queue. */
void gv_deliver_go_on(struct gv_hub *hub, struct gv_node *node);

#endif
