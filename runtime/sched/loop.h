/* SPDX-License-Identifier: MIT */
/*
 * loop.h - the root context of a hub.
 *
 * Layer   sched.
 */
#ifndef GV_LOOP_H
#define GV_LOOP_H

#include "sched/hub.h"

/* Values of gv_runtime.stopping. */
enum { GV_STOP_WHEN_IDLE = 1, GV_STOP_NOW = 2 };

/* Run greenlets on the calling pthread, which is `hub`'s, until the runtime stops. */
void gv_loop_run(struct gv_hub *hub);

/* Root context: fire the due timers of the own wheel.  Returns whether there were any. */
bool gv_loop_timers(struct gv_hub *hub, int64_t now);

/*
 * Something to be done now and then while hubs run: once this time has come, every hub calls the
 * function when it comes to its loop, until the function has moved the time.  INT64_MAX: never.
 */
typedef void gv_loop_chore_fn(int64_t now);
extern _Atomic int64_t gv_loop_chore_ns;
extern _Atomic(gv_loop_chore_fn *) gv_loop_chore;

#endif
