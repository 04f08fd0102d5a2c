/* SPDX-License-Identifier: MIT */
/*
 * greenlet.h - the body of a greenlet, and its end.
 *
 * Layer   prim.
 */
#ifndef GV_GREENLET_H
#define GV_GREENLET_H

#include "sched/hub.h"

/* gv_hooks.main: runs the greenlet that is current on `hub`, and those that follow on its stack. */
_Noreturn void gv_greenlet_main(void *hub);

/* gv_hooks.cannot_start: its run right is taken, but there is no stack for it. */
void gv_greenlet_cannot_start(struct gv_hub *hub, struct grove_greenlet *g);

/*
 * End a greenlet that will never run and whose run right the caller has taken: with `failure`, a
 * reference that is taken over.  The caller has a reference to the record besides.
 */
void gv_greenlet_end_unrun(struct gv_hub *hub, struct grove_greenlet *g,
			   struct grove_failure *failure);

/* One more, or one less, of the living; false if the limit is reached. */
bool gv_greenlet_count_in(struct gv_hub *hub);

/* It could not be made after all. */
void gv_greenlet_count_back(struct gv_hub *hub);

#endif
