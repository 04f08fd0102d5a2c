/* SPDX-License-Identifier: MIT */
/**
 * @file
 * flag.h - a flag: up or down, set and cleared as often as needed.
 *
 * The Event of gevent (and of Python's threading), without a value.  Lifetime and order of
 * waiters are as in event.h; setting and waiting work between hubs, foreign pthreads and signal
 * handlers, where gevent allows one thread only.
 */
#ifndef GROVE_FLAG_H
#define GROVE_FLAG_H

#include <grove/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A flag; embed it where it is needed.  Zero bytes are a flag that is down.  Do not copy one. */
typedef struct grove_flag {
	uint64_t opaque[2]; /**< Grove's */
} grove_flag;

/** Initialises a flag that is down. */
/* clang-format off */
#define GROVE_FLAG_INIT { { 0 } }
/* clang-format on */

/**
 * Raise the flag and wake all who wait for it at this moment.  Nothing happens if it is up, NULL
 * or destroyed.
 *
 * Each of those waiters returns 0, even if the flag is cleared again before it runs.
 * Never suspends, allocates or runs a waiter inside the call.
 *
 * Races        a waiter that a kill or deadline claimed first keeps that cause.  With one hub,
 *              and for up to 16 waiters, a kill issued by the caller after this call does not
 *              overtake it.
 *
 * From         anywhere, signal handlers too.
 * Threads      safe against every call but destroy.  Of a set and a clear at the same time either
 *              may be last.
 * Ordering     what the caller did before is visible to every wait that this call satisfies, and
 *              to whoever sees the flag up because of it.
 */
GROVE_API void grove_flag_set(grove_flag *flag);

/**
 * Lower the flag.  Nothing happens if it is down, NULL or destroyed.  Those who were waiting when
 * it was set stay woken; a wait that begins after this call suspends.
 *
 * From         anywhere; not from signal handlers.
 * Threads      safe against every call but destroy.
 */
GROVE_API void grove_flag_clear(grove_flag *flag);

/**
 * Tell whether the flag is up right now.  False for NULL and destroyed flags.
 *
 * From         anywhere, signal handlers too.
 * Ordering     true makes visible what the setter did before it set the flag.
 */
GROVE_API bool grove_flag_is_set(grove_flag *flag);

/**
 * Wait until the flag is up.
 *
 * flag         must live until the call returns.
 * deadline     see base.h.
 *
 * Returns      0           the flag was up on entry, or was raised at some time during the wait
 *              -ETIMEDOUT  the deadline came first
 *              -EAGAIN     it is down, and the deadline is GROVE_POLL
 *              -EINVAL     NULL or destroyed
 *              wait codes  GROVE_KILLED, GROVE_INTERRUPTED, GROVE_IN_HUB, GROVE_DEADLOCK,
 *                          -ECANCELED: see base.h
 *
 * Returns at once if the flag is up.  A caller that finds it up may get ahead of waiters that a
 * set has woken but that have not run yet; in strict order (GROVE_ORDER_STRICT) it queues behind
 * them, as in gevent.
 *
 * Races        set, deadline, kill and stop each try to claim the wait; the first decides alone.
 *
 * From         anywhere.
 * Threads      safe against every call but destroy.
 * Ordering     after 0 all that the setter did before is visible.
 */
GROVE_API GROVE_MUST_CHECK int grove_flag_wait(grove_flag *flag, grove_deadline deadline);

/**
 * End the life of a flag and free what cancelled waiters left in it.
 *
 * Returns      0        destroyed; zero bytes make a new flag of it
 *              -EBUSY   somebody waits; nothing was changed
 *              -EINVAL  NULL or destroyed
 *
 * From         anywhere.
 * Threads      not together with another call on the flag, except the set that woke the caller.
 */
GROVE_API int grove_flag_destroy(grove_flag *flag);

#ifdef __cplusplus
}
#endif

#endif
