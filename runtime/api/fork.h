/* SPDX-License-Identifier: MIT */
/*
 * fork.h - noticing that the process was forked.
 *
 * Layer   api.
 */
#ifndef GV_API_FORK_H
#define GV_API_FORK_H

/* From now on every fork is noticed.  More than once does no harm.  Returns 0 or -ENOMEM. */
int gv_fork_watch(void);

#endif
