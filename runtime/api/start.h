/* SPDX-License-Identifier: MIT */
/*
 * start.h - starting and stopping the one runtime of the process.
 *
 * Layer   api.  The phases stand in start.c.
 */
#ifndef GV_API_START_H
#define GV_API_START_H

#include <stdbool.h>

/* Whether grove_run gave up on a runtime whose greenlets outlived it. */
bool gv_api_lost(void);

/*
 * Around fork.  Before: no start or stop is half done until one of the other two is called.  In the
 * child the runtime is neither running nor stopped until gv_start_renew.
 */
void gv_start_before_fork(void);
void gv_start_after_fork_parent(void);
void gv_start_after_fork_child(void);

/* The child of a fork: call `renew`; then the runtime may be started.  Returns 0, or -EINVAL if this
 * is no such child. */
int gv_start_renew(void (*renew)(void));

#endif
