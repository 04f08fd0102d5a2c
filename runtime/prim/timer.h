/* SPDX-License-Identifier: MIT */
/*
 * timer.h - what the scheduler calls when a timer of the program is due.
 *
 * Layer   prim.  The protocol stands in timer.c.
 */
#ifndef GV_TIMER_H
#define GV_TIMER_H

#include "wait/node.h"

#include <stdint.h>

/* The low bits of cookie[0] say whose wheel timer it is. */
#define GV_TIMER_TAG_BITS 7
#define GV_TIMER_TAG 1

/* Root context: a wheel, of any hub, has delivered a timer with this cookie. */
void gv_timer_due(struct gv_hub *hub, const uint64_t cookie[2]);

/* Root context: a node of kind GV_NODE_CALL came out of a queue. */
void gv_timer_run_node(struct gv_hub *hub, struct gv_node *node);

/*
 * No hub runs: the runtime has stopped, or this is the child of a fork.  Timers that were left
 * armed are idle again, and their callbacks have not run.
 */
void gv_timer_end_all(void);

#endif
