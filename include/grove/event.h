/* SPDX-License-Identifier: MIT */
/**
 * @file
 * event.h - an event: one value, sent once, to everybody who waits for it.
 *
 * The Event of eventlet (whose send and wait keep their meaning), made safe between hubs,
 * foreign pthreads and signal handlers.  It differs in these points: a wait that times out says
 * so with a code of its own, a second send is an error in every build, waiters are woken in the
 * order they came, and a failure that was sent comes back as GROVE_FAILED.
 *
 *            send                       reset
 *   FRESH ----------> (SENDING) -> SENT -------> FRESH
 *
 * SENDING lasts an instant inside send: ready is still false, a second send already gets
 * -EALREADY, and a wait still suspends and is served by this send.
 *
 * Lifetime    An event may be destroyed and its memory reused as soon as one waiter was woken by
 *             the send, also while that send is still inside its call, provided that no new call
 *             on the event can start.  A waiter that ended for another reason does not touch it
 *             again.
 * FIFO        Waiters are made runnable in the order they began to wait: with one hub always,
 *             with several up to 16 waiters; longer queues keep the order among the waiters of
 *             each hub.
 */
#ifndef GROVE_EVENT_H
#define GROVE_EVENT_H

#include <grove/base.h>
#include <grove/failure.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An event; embed it where it is needed.  Zero bytes are a fresh event.  Do not copy one. */
typedef struct grove_event {
	uint64_t opaque[4]; /**< Grove's */
} grove_event;

/** Initialises a fresh event. */
/* clang-format off */
#define GROVE_EVENT_INIT { { 0 } }
/* clang-format on */

/**
 * Send a value to all who wait for the event and all who will.
 *
 * value        any pointer, NULL too; Grove does not look at it, it stays the program's.
 *
 * Returns      0          sent by this call; the waiters are, or soon will be, runnable
 *              -EALREADY  another send was first, and its outcome stands
 *              -EINVAL    the event is NULL or destroyed
 *
 * Never suspends, allocates or runs a waiter inside the call.  At most 16 waiters are made runnable
 * by the call itself; of a larger crowd the hubs take care afterwards, so the call takes the same
 * time for any number.
 *
 * Races        one of several senders wins.  Whoever waits when the winner claims the event gets
 *              its value, except where a kill or a deadline claimed that wait first.  With one
 *              hub, and for up to 16 waiters, a kill issued by the sender after this call does
 *              not overtake it; in a longer delivery it may.
 *
 * From         anywhere, signal handlers too.
 * Threads      safe against every call on the event but destroy, and reset where reset says so.
 * Ordering     what the sender did before is visible to every wait that returns its outcome, and
 *              to whoever sees grove_event_ready() true.
 */
GROVE_API int grove_event_send(grove_event *event, void *value);

/**
 * Send a failure instead of a value: those who wait get GROVE_FAILED and this very failure.
 *
 * failure      borrowed; the event holds a reference until it is reset or destroyed.
 *
 * Returns      as grove_event_send; -EINVAL also if failure is NULL.
 *
 * From         anywhere; not from signal handlers.
 * Everything else as grove_event_send.  (eventlet: send_exception, and send with exc.)
 */
GROVE_API int grove_event_send_failure(grove_event *event, grove_failure *failure);

/**
 * Wait until the event is sent, and get what was sent.
 *
 * event        must live until the call returns.
 * value        receives the value that was sent; only on 0.  May be NULL.
 * deadline     see base.h.  GROVE_POLL asks without waiting: 0 for a value, GROVE_FAILED for a
 *              failure, -EAGAIN for neither (eventlet's poll, has_result and has_exception).
 *
 * Returns      0             a value was sent
 *              GROVE_FAILED  a failure was sent; grove_last_failure() has it
 *              -ETIMEDOUT    the deadline came first
 *              -EAGAIN       not sent, and the deadline is GROVE_POLL
 *              -EINVAL       the event is NULL or destroyed
 *              wait codes    GROVE_KILLED, GROVE_INTERRUPTED, GROVE_IN_HUB, GROVE_DEADLOCK,
 *                            -ECANCELED: see base.h
 *
 * If the event was sent before, the call returns at once, any number of times, with the same
 * outcome.  A caller that had to suspend gets what was captured for it by the send that woke it,
 * even if the event is reset and sent again before it runs.
 *
 * Races        send, deadline, kill and stop each try to claim the wait; the first decides alone.
 *              A wait that ended otherwise may find the event ready right afterwards.
 *
 * From         anywhere.
 * Threads      safe against every call on the event but destroy, and reset where reset says so.
 * Ordering     after 0 or GROVE_FAILED all that the sender did before the send is visible.
 */
GROVE_API GROVE_MUST_CHECK int grove_event_wait(grove_event *event, void **value,
						grove_deadline deadline);

/**
 * Tell whether the event was sent, so that a wait would return at once.
 *
 * Returns      true once a send is complete; false for NULL and destroyed events.  It may still
 *              be false for an instant after another sender got -EALREADY.
 *
 * From         anywhere, signal handlers too.
 * Ordering     true makes visible what the sender did before the send.
 */
GROVE_API bool grove_event_ready(grove_event *event);

/**
 * Make a sent event fresh again, for another send.  A new event is usually the better idea.
 *
 * Returns      0        fresh again; a failure it held is released
 *              -EINVAL  it is not sent (or being sent right now), NULL or destroyed
 *
 * Wakes nobody and detaches nobody: waiters that suspended before the last send get its outcome.
 *
 * From         anywhere.
 * Threads      safe against senders: either order may result.  Must not run together with another
 *              reset, nor with a wait or poll on the event that has neither suspended nor returned.
 */
GROVE_API int grove_event_reset(grove_event *event);

/**
 * End the life of an event and free what cancelled waiters and a failure left in it.
 *
 * Returns      0        destroyed: later calls give -EINVAL as long as the memory is intact; zero
 *                       bytes make a new event of it
 *              -EBUSY   somebody waits, or a send has just begun; nothing was changed
 *              -EINVAL  NULL or destroyed
 *
 * From         anywhere.
 * Threads      not together with another call on the event, except the send that woke the caller.
 */
GROVE_API int grove_event_destroy(grove_event *event);

#ifdef __cplusplus
}
#endif

#endif
