/* SPDX-License-Identifier: MIT */
/*
 * overflow.h - naming the greenlet whose stack ran out.
 *
 * Layer   plat.
 * Owns    the process's handlers of SIGSEGV and SIGBUS while installed, and the alternate signal
 *         stacks of the threads that asked for one.
 * Entry   gv_overflow_install() once; gv_overflow_thread_install() on each thread that runs
 *         greenlets.
 *
 * A handler cannot run on the stack that ran out, hence the alternate one.  It asks `describe`
 * whether the address lies in a guard, writes one line if so, and then lets happen what would
 * have happened without us: the previous handler, or the default action with its core dump.
 */
#ifndef GV_PLAT_OVERFLOW_H
#define GV_PLAT_OVERFLOW_H

#include "base/compiler.h"

#include <stdbool.h>

/*
 * Does the address belong to a guard?  Then write who hit it, with bounds and size (text.h helps).
 *
 * Runs in a signal handler of a thread that may be anywhere: no locks, no allocation.
 */
typedef bool gv_overflow_describe(void *fault_address, char *text, size_t room);

/* Returns 0 or -errno.  A second call only changes the callback. */
int gv_overflow_install(gv_overflow_describe *describe);

/* Put the previous handlers back, unless somebody has put his on top of ours since. */
void gv_overflow_remove(void);

/*
 * Give the calling thread an alternate signal stack of 64 KiB, unless it has one.
 *
 * stack        receives what gv_overflow_thread_remove() wants; NULL if the thread had one.
 *
 * Returns 0 or -errno.
 */
int gv_overflow_thread_install(void **stack);

/* On the thread that installed it. */
void gv_overflow_thread_remove(void *stack);

#endif
