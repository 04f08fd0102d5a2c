/* SPDX-License-Identifier: MIT */
/**
 * @file
 * async.h - a bell for one greenlet: rung from anywhere, it stays rung until it was heard.
 *
 * gevent's async watcher, the one door that gevent leaves open for other threads.  It differs in
 * that a ring which comes before anybody waits is kept, and in that somebody waits for it instead
 * of having a callback.  Several rings before a wait count as one.
 */
#ifndef GROVE_ASYNC_H
#define GROVE_ASYNC_H

#include <grove/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A bell; embed it where it is needed.  Zero bytes are one that was not rung.  Do not copy one. */
typedef struct grove_async {
	uint64_t opaque[4]; /**< Grove's */
} grove_async;

/** Initialises a bell that was not rung. */
/* clang-format off */
#define GROVE_ASYNC_INIT { { 0 } }
/* clang-format on */

/**
 * Ring: end the wait of the one who waits, or else the next wait as soon as it begins.  Nothing
 * happens if it is rung already, NULL or destroyed.
 *
 * Never suspends or allocates.
 *
 * Races        if a kill or deadline claimed the wait first, the ring is kept for the next one:
 *              none is ever lost, and each is heard once.
 *
 * From         anywhere, signal handlers too.
 * Threads      safe against every call but destroy.
 * Ordering     what every caller did before is visible to the wait that takes this ring, also if
 *              it counted together with others.
 */
GROVE_API void grove_async_send(grove_async *async);

/**
 * Wait until the bell is rung, and take the ring.
 *
 * async        must live until the call returns.
 * deadline     see base.h.
 *
 * Returns      0           it was rung, before or during the call; it is silent again
 *              -ETIMEDOUT  the deadline came first
 *              -EAGAIN     not rung, and the deadline is GROVE_POLL
 *              -EBUSY      somebody else waits; that wait is not disturbed
 *              -EINVAL     NULL or destroyed
 *              wait codes  GROVE_KILLED, GROVE_INTERRUPTED, GROVE_IN_HUB, GROVE_DEADLOCK,
 *                          -ECANCELED: see base.h
 *
 * Races        ring, deadline, kill and stop each try to claim the wait; the first decides alone.
 *
 * From         anywhere.
 * Threads      safe against every call but destroy; one waiter at a time.
 * Ordering     after 0 all that the senders did before is visible.
 */
GROVE_API GROVE_MUST_CHECK int grove_async_wait(grove_async *async, grove_deadline deadline);

/**
 * End the life of a bell; a ring that nobody heard is dropped.
 *
 * Returns      0        destroyed; zero bytes make a new bell of it
 *              -EBUSY   somebody waits; nothing was changed
 *              -EINVAL  NULL or destroyed
 *
 * From         anywhere.
 * Threads      not together with another call on it, except the send that woke the caller.
 */
GROVE_API int grove_async_destroy(grove_async *async);

#ifdef __cplusplus
}
#endif

#endif
