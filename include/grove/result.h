/* SPDX-License-Identifier: MIT */
/**
 * @file
 * result.h - a result: one value or failure, set once by a producer, read by anybody.
 *
 * The AsyncResult of gevent.  It differs in that a second set is an error and changes nothing
 * (gevent overwrites silently, and a value then hides a failure), and that it works between hubs
 * and pthreads.  A result cannot be reset.  Lifetime and order of waiters are as in event.h.
 */
#ifndef GROVE_RESULT_H
#define GROVE_RESULT_H

#include <grove/base.h>
#include <grove/failure.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A result; embed it where it is needed.  Zero bytes are an unset one.  Do not copy one. */
typedef struct grove_result {
	uint64_t opaque[4]; /**< Grove's */
} grove_result;

/** Initialises an unset result. */
/* clang-format off */
#define GROVE_RESULT_INIT { { 0 } }
/* clang-format on */

/**
 * Set the value and wake all who wait for it.
 *
 * value        any pointer, NULL too; it stays the program's.
 *
 * Returns      0          set by this call
 *              -EALREADY  it was set before, to a value or a failure, which stands
 *              -EINVAL    NULL or destroyed
 *
 * Never suspends, allocates or runs a waiter inside the call.
 *
 * Races        one of several setters wins, and all readers agree on its outcome.  A waiter that
 *              a kill or deadline claimed first keeps that cause.
 *
 * From         anywhere; not from signal handlers (use an event).
 * Threads      safe against every call but destroy.
 * Ordering     what the caller did before is visible to every get that returns the outcome.
 */
GROVE_API int grove_result_set(grove_result *result, void *value);

/**
 * Set a failure: whoever gets the result gets GROVE_FAILED and this very failure, each time.
 *
 * failure      borrowed; the result holds a reference until it is destroyed.
 *
 * Returns      as grove_result_set; -EINVAL also if failure is NULL.
 *
 * Everything else as grove_result_set.
 */
GROVE_API int grove_result_set_failure(grove_result *result, grove_failure *failure);

/**
 * Wait until the result is set, and get it.  Getting takes nothing out.
 *
 * result       must live until the call returns.
 * value        receives the value; only on 0.  May be NULL.
 * deadline     see base.h.  GROVE_POLL tells the state: 0 successful, GROVE_FAILED, or -EAGAIN
 *              not ready (gevent's successful, exception, ready and get_nowait).
 *
 * Returns      0             set to a value
 *              GROVE_FAILED  set to a failure; grove_last_failure() has it
 *              -ETIMEDOUT    the deadline came first
 *              -EAGAIN       not set, and the deadline is GROVE_POLL
 *              -EINVAL       NULL or destroyed
 *              wait codes    GROVE_KILLED, GROVE_INTERRUPTED, GROVE_IN_HUB, GROVE_DEADLOCK,
 *                            -ECANCELED: see base.h
 *
 * Races        set, deadline, kill and stop each try to claim the wait; the first decides alone.
 *
 * From         anywhere.
 * Threads      safe against every call but destroy.
 * Ordering     after 0 or GROVE_FAILED all that the setter did before is visible.
 */
GROVE_API GROVE_MUST_CHECK int grove_result_get(grove_result *result, void **value,
						grove_deadline deadline);

/**
 * End the life of a result; free what cancelled waiters left, and release a failure it holds.
 *
 * Returns      0        destroyed; zero bytes make a new result of it
 *              -EBUSY   somebody waits; nothing was changed
 *              -EINVAL  NULL or destroyed
 *
 * From         anywhere.
 * Threads      not together with another call on the result, except the set that woke the caller.
 */
GROVE_API int grove_result_destroy(grove_result *result);

#ifdef __cplusplus
}
#endif

#endif
