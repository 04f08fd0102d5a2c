/* SPDX-License-Identifier: MIT */
/**
 * @file
 * timer.h - timers: a callback at a given time, once or periodically.
 *
 *            start                  due
 *   IDLE ------------> ARMED -----------------> RUNNING ---> IDLE    once
 *     ^                  |  ^                      |
 *     '---- cancel ------'  '------ periodic ------'
 *
 * The callback runs in hub context, on any hub, and never twice at the same time.  It must not
 * wait; to do something longer, let it spawn a greenlet.
 *
 * gevent: loop.timer and loop.run_callback; eventlet: schedule_call_global and
 * schedule_call_local.
 */
#ifndef GROVE_TIMER_H
#define GROVE_TIMER_H

#include <grove/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A timer; embed it where it is needed.  Zero bytes are an idle one.  Do not copy one. */
typedef struct grove_timer {
	uint64_t opaque[16]; /**< Grove's */
} grove_timer;

/** Initialises an idle timer. */
/* clang-format off */
#define GROVE_TIMER_INIT { { 0 } }
/* clang-format on */

/** While it is armed this timer does not count as something that could end a deadlock. */
#define GROVE_TIMER_WEAK 0x1u
/** The callback is skipped, and a period ends, once the greenlet that started the timer ended. */
#define GROVE_TIMER_LOCAL 0x2u

/**
 * Arm a timer.
 *
 * timer        must live until it is idle again: the callback of a one-shot timer has begun, or a
 *              cancel returned 0, or the runtime stopped.
 * callback     called with arg when the timer is due.
 * period       nanoseconds between due times; 0: once.  A timer that is late skips the due times
 *              that it missed, and keeps to the grid of the first.
 * flags        GROVE_TIMER_WEAK, GROVE_TIMER_LOCAL, or 0.
 * deadline     when it is due first.  GROVE_POLL: at once, queued with the callbacks of the
 *              calling hub in the order of the calls (run_callback).  A time that has passed: as
 *              soon as timers are served next.  GROVE_NEVER: armed, but never due.
 *
 * Returns      0         armed
 *              -EBUSY    it is armed, or its callback is running and the caller is not that
 *                        callback; nothing was changed
 *              -EINVAL   NULL or destroyed, no callback, a negative period, or an unknown flag
 *              -ESRCH    GROVE_TIMER_LOCAL, and the caller is no greenlet
 *              -ESHUTDOWN  the runtime is stopping
 *              any code of grove_start, if this call had to start the runtime
 *
 * Never suspends; arming and cancelling take constant time.  A callback is never called early.
 * Timers with the same due time run in the order they were armed if there is one hub.
 *
 * From         anywhere.  A callback may arm its own timer again.
 * Threads      safe.
 * Ordering     what the caller did before is visible to the callback, and what one run of the
 *              callback did is visible to the next.
 */
GROVE_API GROVE_MUST_CHECK int grove_timer_start(grove_timer *timer, grove_cb *callback, void *arg,
						 int64_t period, unsigned flags,
						 grove_deadline deadline);

/**
 * Disarm a timer.
 *
 * Returns      0          the callback is not running and will not run; also if the timer was idle
 *                         and its callback did not run since it was started last
 *              -EALREADY  too late: a one-shot timer's callback has run or is running; a periodic
 *                         one's is running, and this is its last run
 *              -EINVAL    NULL or destroyed
 *
 * Races        of the due time and the cancel exactly one is first, and the code says which: after
 *              0 the callback's arg may be freed.
 *
 * From         anywhere, the callback too (which gets -EALREADY for the run it is in).
 * Threads      safe against every call but destroy.
 */
GROVE_API int grove_timer_cancel(grove_timer *timer);

/**
 * End the life of a timer.
 *
 * Returns      0        destroyed; zero bytes make a new timer of it
 *              -EBUSY   it is armed, or its callback is running and the caller is not that
 *                       callback; nothing was changed
 *              -EINVAL  NULL or destroyed
 *
 * From         anywhere.  The callback may destroy its timer and free the memory: at once if it is
 *              a one-shot timer, after a cancel if it is periodic.
 * Threads      not together with another call on the timer.
 */
GROVE_API int grove_timer_destroy(grove_timer *timer);

#ifdef __cplusplus
}
#endif

#endif
