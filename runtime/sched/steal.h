/* SPDX-License-Identifier: MIT */
/*
 * steal.h - taking work from another hub.
 *
 * Layer   sched.
 */
#ifndef GV_STEAL_H
#define GV_STEAL_H

#include "sched/hub.h"

/*
 * Root context of `hub`: move work of `victim` here.  `stuck`: the victim's pick counter has not
 * moved for a while, so its lone items, its shared inbox and its due timers may be taken too.
 * Returns whether anything was moved.
 */
bool gv_steal_from(struct gv_hub *hub, struct gv_hub *victim, bool stuck);

/* Whether gv_steal_from(hub, victim, false) seems worth a try. */
bool gv_steal_worth(struct gv_hub *victim);

#endif
