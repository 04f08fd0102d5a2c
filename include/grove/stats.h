/* SPDX-License-Identifier: MIT */
/**
 * @file
 * stats.h - counters of the runtime.
 */
#ifndef GROVE_STATS_H
#define GROVE_STATS_H

#include <grove/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What the runtime has done and has.  "Total" counts since the runtime was started and only
 * grows; "now" is a level.  New fields will be added at the end.
 */
typedef struct grove_stats {
	size_t size; /**< sizeof(grove_stats) of the program */

	uint64_t hubs;		/**< now; 0 if the runtime does not run */
	uint64_t hubs_sleeping; /**< now, of these */

	uint64_t spawned;  /**< total, greenlets made, raw ones too */
	uint64_t live;	   /**< now, greenlets that have not ended */
	uint64_t runnable; /**< now, greenlets in run queues and inboxes */
	uint64_t failed;   /**< total, greenlets that ended GROVE_FAULTED */

	uint64_t switches;     /**< total, from one greenlet to another or to a hub and back */
	uint64_t steals_tried; /**< total, looks at another hub's queue */
	uint64_t steals_won;   /**< total, of these, that brought something */
	uint64_t inbox_passes; /**< total, greenlets made runnable by way of an inbox */
	uint64_t wakeups;      /**< total, hubs woken with a system call */
	uint64_t sleeps;       /**< total, times that a hub went to sleep */
	uint64_t polls;	       /**< total, looks at the poller */
	uint64_t polls_ready;  /**< total, descriptor events that these brought */
	uint64_t callbacks;    /**< total, timer callbacks run */

	uint64_t timers;       /**< now, armed: deadlines of waits and timers of the program */
	uint64_t timers_fired; /**< total */

	uint64_t stacks_in_use;		  /**< now */
	uint64_t stacks_cached;		  /**< now, mapped and free */
	uint64_t stacks_high_water;	  /**< the most in use at a time */
	uint64_t stacks_guarded_madvise;  /**< now, of those mapped: by MADV_GUARD_INSTALL */
	uint64_t stacks_guarded_mprotect; /**< now: by mprotect */
	uint64_t stacks_guarded_canary;	  /**< now: by a pattern only */
	uint64_t stacks_unguarded;	  /**< now: not at all */
	uint64_t stacks_refused;	  /**< total, stacks that could not be had */
} grove_stats;

/* clang-format off */
/** Initialises a grove_stats for grove_stats_read. */
#ifdef __cplusplus
#define GROVE_STATS_INIT { sizeof(grove_stats), {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, \
			   {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {} }
#else
#define GROVE_STATS_INIT { .size = sizeof(grove_stats) }
#endif
/* clang-format on */

/**
 * Read the counters.
 *
 * stats        its size says how much is wanted: fields beyond it are not written, and fields that
 *              this library does not know are set to 0.
 *
 * Returns      0        read
 *              -EINVAL  NULL, or size is smaller than that of the first release
 *
 * The sums over all hubs are taken while they run: each field is true for some moment of the call,
 * but not all for the same one.  After a stop the totals stay as they were until the next start.
 *
 * From         anywhere.
 */
GROVE_API int grove_stats_read(grove_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
