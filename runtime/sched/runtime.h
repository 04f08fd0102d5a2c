/* SPDX-License-Identifier: MIT */
/*
 * runtime.h - making hubs, starting and stopping them.
 *
 * Layer   sched.
 */
#ifndef GV_SCHED_RUNTIME_H
#define GV_SCHED_RUNTIME_H

#include "sched/hub.h"

/* Supplied from above (api/start.c): gv_hooks.ensure before gv_runtime_setup. */
int gv_api_ensure(void);

/* Once per process: slabs, fences, reclaiming.  Returns 0 or -errno. */
int gv_runtime_setup(const struct gv_hooks *hooks);

/* The resolved options of the next run. */
void gv_runtime_set_options(const grove_options *options);

/*
 * Start `hubs` hubs with the options in gv_runtime.options.  With `here`, the calling pthread
 * becomes hub 0 and must call gv_runtime_loop_here.  Returns 0 or -errno, and nothing runs then.
 */
int gv_runtime_begin(unsigned hubs, bool here);

/* The calling pthread, hub 0, runs greenlets until gv_runtime_ask_stop. */
void gv_runtime_loop_here(void);

/* Hubs leave their loops as soon as they have nothing to run.  Any thread. */
void gv_runtime_ask_stop(void);

/*
 * Hubs leave their loops as soon as they come to them, whatever else there is to run, and nobody will
 * wait for their pthreads.  Only the end of the process can follow.  Any thread.
 */
void gv_runtime_abandon(void);

/* After gv_runtime_ask_stop, and gv_runtime_loop_here if that was used: wait for the pthreads. */
void gv_runtime_end(void);

/* The child of a fork: forget the hubs of the parent, their queues and timers included. */
void gv_runtime_forget(void);

/* How many hubs take work from now on: those above only run what is pinned to them. */
void gv_runtime_set_active(unsigned hubs);

#endif
