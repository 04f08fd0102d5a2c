/* SPDX-License-Identifier: MIT */
/*
 * event.c - eventlet's Event: sent once, with a value or a failure, to everybody who waits.
 *
 * Layer   prim.  Below: wait/park.h, wait/deliver.h, wait/waitset.h.
 * Owns    struct gv_event: the word, and the value that does not fit into it.
 * Entry   grove_event_wait, grove_event_send.
 *
 *                 send of a small value, of a failure (one CAS)
 *     FRESH --------------------------------------------------------> SENT
 *       ^  \--- claim (CAS) ---> SENDING --- exchange ------------------^ |
 *       '---------------------------- reset (CAS) ------------------------'
 *
 * The low three bits of the word are its state; above them FRESH and SENDING keep the chain of
 * waiters (waitset.h), SENT the value if 61 bits hold it, or the failure.
 *
 * I1  Exactly one sender gets past FRESH; the others are told -EALREADY, and nothing of theirs is
 *     stored.
 * I2  While the word is SENDING waiters still push.  Nobody spins on it.
 * I3  The change to SENT takes the chain.  After it, send touches the event no more: a waiter that it
 *     wakes may have freed it, and so may one that only sees that it was sent.
 * I4  A waiter in the chain gets what was sent, whatever is done to the event afterwards: the outcome
 *     travels with the chain.
 *
 * [sent]   send: CAS or exchange, release.  wait, ready: load-acquire of SENT.
 * [push]   wait: waitset.c.  send: the same CAS or exchange, acquire.
 */
#include "base/check.h"
#include "sched/failure.h"
#include "wait/deliver.h"
#include "wait/park.h"
#include "wait/waitset.h"

#include "grove/event.h"

#include <errno.h>

#define STATE UINT64_C(7)
#define SENT UINT64_C(1) /* the bit that ends waiting */
#define FRESH UINT64_C(0)
#define SENDING UINT64_C(2)
#define SENT_SMALL UINT64_C(1)
#define SENT_LARGE UINT64_C(3)
#define SENT_FAILURE UINT64_C(5)
#define DESTROYED UINT64_C(7)

struct gv_event {
	_Atomic uint64_t word;
	uintptr_t large; /* SENT_LARGE: the value; written while SENDING */
};

_Static_assert(sizeof(struct gv_event) <= sizeof(grove_event), "fits the public type");

static struct gv_event *inside(grove_event *event)
{
	return (struct gv_event *)(void *)event;
}

static bool is_small(uintptr_t value)
{
	return (uintptr_t)((intptr_t)(value << 3) >> 3) == value;
}

/* The outcome of a sent event, as waits return it. */
static int read_sent(struct gv_event *ev, uint64_t word, void **value)
{
	switch (word & STATE) {
	case SENT_SMALL:
		if (value != NULL)
			*value = (void *)((intptr_t)word >> 3);
		return 0;
	case SENT_LARGE:
		if (value != NULL)
			*value = (void *)ev->large;
		return 0;
	case SENT_FAILURE: {
		struct grove_failure *failure = (struct grove_failure *)(uintptr_t)(word & ~STATE);
		struct gv_hub *hub = gv_enter();

		gv_failure_retain(failure);
		gv_wait_set_last_failure(hub, failure);
		if (hub != NULL)
			gv_leave(hub);
		return GROVE_FAILED;
	}
	default:
		return -EINVAL;
	}
}

int grove_event_wait(grove_event *event, void **value, grove_deadline deadline)
{
	uintptr_t outcome;

	if (GV_UNLIKELY(event == NULL))
		return -EINVAL;
	struct gv_event *ev = inside(event);
	uint64_t word = gv_load(&ev->word, acquire); /* [sent] */
	if (word & SENT)
		return read_sent(ev, word, value);
	if (deadline.ns == INT64_MIN)
		return -EAGAIN;

	int rc = gv_wait_on(&ev->word, SENT, 0, deadline, &outcome);
	if (GV_LIKELY(rc == 0)) {
		if (value != NULL)
			*value = (void *)outcome;
		return 0;
	}
	if (rc == GV_STOPPED)
		return read_sent(ev, gv_load(&ev->word, acquire), value); /* [sent] */
	return rc;
}

/* I1: the state says why not. */
static int refused(uint64_t word)
{
	return (word & STATE) == DESTROYED ? -EINVAL : -EALREADY;
}

static void deliver(struct gv_node *chain, enum gv_cause cause, uintptr_t outcome)
{
	if (chain == NULL)
		return;
	struct gv_hub *hub = gv_enter();
	gv_deliver(hub, chain, cause, outcome);
	if (hub != NULL)
		gv_leave(hub);
}

int grove_event_send(grove_event *event, void *value)
{
	uintptr_t bits = (uintptr_t)value;

	if (GV_UNLIKELY(event == NULL))
		return -EINVAL;
	struct gv_event *ev = inside(event);
	uint64_t word = gv_load(&ev->word, relaxed); /* relaxed: the CAS decides */
	if (GV_LIKELY(is_small(bits))) {
		uint64_t sent = (uint64_t)bits << 3 | SENT_SMALL;

		do {
			if (GV_UNLIKELY((word & STATE) != FRESH))
				return refused(word);
		} while (!gv_cas(&ev->word, &word, sent, acq_rel, relaxed)); /* [sent] [push] */
	} else {
		do {
			if ((word & STATE) != FRESH)
				return refused(word);
		} while (!gv_cas(&ev->word, &word, word | SENDING, acquire, relaxed)); /* [push] */
		ev->large = bits;
		word = gv_xchg(&ev->word, SENT_LARGE, acq_rel); /* [sent] [push] */
	}
	deliver(gv_chain_of(word), GV_CAUSE_WAKE, bits); /* I3, I4 */
	return 0;
}

int grove_event_send_failure(grove_event *event, grove_failure *failure)
{
	if (event == NULL || failure == NULL)
		return -EINVAL;

	struct gv_event *ev = inside(event);
	uint64_t word = gv_load(&ev->word, relaxed); /* relaxed: the CAS decides */
	uint64_t sent = (uint64_t)(uintptr_t)failure | SENT_FAILURE;
	GV_CHECK(((uintptr_t)failure & STATE) == 0, "failure %p", (void *)failure);

	/* One reference for the event, one for this call: a waiter may destroy the event at once. */
	gv_failure_retain(failure);
	gv_failure_retain(failure);
	do {
		if ((word & STATE) != FRESH) {
			gv_failure_release(failure);
			gv_failure_release(failure);
			return refused(word);
		}
	} while (!gv_cas(&ev->word, &word, sent, acq_rel, relaxed));	 /* [sent] [push] */
	deliver(gv_chain_of(word), GV_CAUSE_FAILED, (uintptr_t)failure); /* I3, I4 */
	gv_failure_release(failure);
	return 0;
}

bool grove_event_ready(grove_event *event)
{
	if (event == NULL)
		return false;
	uint64_t word = gv_load(&inside(event)->word, acquire); /* [sent] */
	return (word & SENT) != 0 && (word & STATE) != DESTROYED;
}

static void drop_sent(uint64_t word)
{
	if ((word & STATE) == SENT_FAILURE)
		gv_failure_release((struct grove_failure *)(uintptr_t)(word & ~STATE));
}

int grove_event_reset(grove_event *event)
{
	if (event == NULL)
		return -EINVAL;

	struct gv_event *ev = inside(event);
	uint64_t word = gv_load(&ev->word, acquire); /* [sent] */
	if (GV_LIKELY((word & STATE) == SENT_SMALL)) {
		/* Nobody else leaves this state: senders are refused, and there is one reset at a time. */
		gv_store(&ev->word, FRESH, release); /* [sent] */
		return 0;
	}
	do {
		if (!(word & SENT) || (word & STATE) == DESTROYED)
			return -EINVAL;
	} while (!gv_cas(&ev->word, &word, FRESH, acq_rel, acquire)); /* [sent] */
	drop_sent(word);
	return 0;
}

int grove_event_destroy(grove_event *event)
{
	if (event == NULL)
		return -EINVAL;

	struct gv_event *ev = inside(event);
	uint64_t word = gv_load(&ev->word, acquire); /* [sent] */
	do {
		if ((word & STATE) == DESTROYED)
			return -EINVAL;
		if ((word & STATE) == SENDING)
			return -EBUSY;
	} while (!gv_cas(&ev->word, &word, DESTROYED, acq_rel, acquire)); /* [sent] [push] */
	if (word & SENT) {
		drop_sent(word);
		return 0;
	}

	struct gv_node *chain = gv_chain_of(word);
	if (chain == NULL)
		return 0;
	struct gv_hub *hub = gv_enter();
	bool empty = gv_waitset_discard(hub, &chain);
	if (hub != NULL)
		gv_leave(hub);
	if (empty)
		return 0;
	/* Nobody else may use the event now (its comment says so), so it is as it was. */
	gv_store(&ev->word, (uint64_t)(uintptr_t)chain, release); /* [push] */
	return -EBUSY;
}
