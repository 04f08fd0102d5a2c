/* SPDX-License-Identifier: MIT */
/*
 * stats.h - the counters begin anew.
 *
 * Layer   api.
 */
#ifndef GV_API_STATS_H
#define GV_API_STATS_H

/* The runtime is about to start: totals are counted from here. */
void gv_stats_begin(void);

/* It has started, with so many hubs. */
void gv_stats_begun(unsigned hubs);

/* The child of a fork: everything was the parent's. */
void gv_stats_forget(void);

#endif
