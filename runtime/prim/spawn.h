/* SPDX-License-Identifier: MIT */
/*
 * spawn.h - new greenlets.
 *
 * Layer   prim.
 */
#ifndef GV_SPAWN_H
#define GV_SPAWN_H

#include "sched/hub.h"

/*
 * Make a greenlet, and start it unless `flags` has GV_DONE_HELD.  `extra` (or NULL) is taken over,
 * but on an error.  `home`: GV_HUB_FOREIGN for any hub, or a number with GV_HUB_PINNED.  *out, if
 * out is not NULL, is the caller's reference.  Returns a code of grove_spawn.
 */
int gv_spawn(grove_greenlet **out, grove_fn *fn, void *arg, struct gv_extra *extra, uint64_t flags,
	     unsigned home);

/* The time of a later start has come; the cookie is the record's address with tag 2, and its id. */
void gv_spawn_timer_due(struct gv_hub *hub, const uint64_t cookie[2]);

/* Zeroed, with room for a copied argument; NULL without memory. */
struct gv_extra *gv_extra_new(size_t copy_bytes);

/* The extra of a greenlet whose run right the caller has: it will not start by its timer. */
void gv_spawn_timer_cancel(struct gv_hub *hub, struct grove_greenlet *g, struct gv_extra *extra);

#endif
