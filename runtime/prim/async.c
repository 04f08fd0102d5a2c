/* SPDX-License-Identifier: MIT */
/*
 * async.c - a bell for one greenlet: a ring is kept until it was heard.
 *
 * Layer   prim.  Below: wait/park.h, wait/deliver.h, wait/waitset.h.
 * Owns    struct gv_async: one word.
 * Entry   grove_async_wait, grove_async_send.
 *
 *    bits of the word          set by                     cleared by
 *    RUNG   it was rung        every send                 the wait that takes the ring
 *    SEAT   somebody waits     a wait, before it waits    the same wait, before it returns
 *    chain  who waits          that wait                  the send that sets RUNG
 *
 *     silent --- send ---> RUNG --- wait: takes it at once ---> silent
 *     SEAT, chain --- send ---> SEAT|RUNG --- the waiter goes on, takes it ---> silent
 *
 * I1  Who has the SEAT waits, or is about to, or has been woken and has not returned.  It alone has
 *     a live node in the chain, and it alone clears RUNG meanwhile.
 * I2  A send sets RUNG in any case.  If the wait that it delivers to was claimed by a deadline or a
 *     kill, nobody takes the ring: it is still there for the next wait.
 * I3  The word is changed by read-modify-writes only, and every send is one, also if it changes
 *     nothing: who takes a ring sees what all did who rang before it.
 * I4  After its CAS a send touches the bell no more: the waiter may have freed it.
 *
 * [ring]  send: CAS release.  wait: CAS or fetch-and, acquire, that clears RUNG.
 * [push]  wait: waitset.c.  send, destroy: CAS acquire.
 */
#include "wait/deliver.h"
#include "wait/park.h"
#include "wait/waitset.h"

#include "grove/async.h"

#include <errno.h>

#define STATE UINT64_C(7)
#define RUNG UINT64_C(1) /* the bit that ends waiting */
#define SEAT UINT64_C(2)
#define DESTROYED UINT64_C(7)

struct gv_async {
	_Atomic uint64_t word;
};

_Static_assert(sizeof(struct gv_async) <= sizeof(grove_async), "fits the public type");

static struct gv_async *inside(grove_async *async)
{
	return (struct gv_async *)(void *)async;
}

void grove_async_send(grove_async *async)
{
	if (async == NULL)
		return;

	struct gv_async *a = inside(async);
	uint64_t word = gv_load(&a->word, relaxed); /* relaxed: the CAS decides */
	do {
		if ((word & STATE) == DESTROYED)
			return;
	} while (!gv_cas(&a->word, &word, (word & STATE) | RUNG, acq_rel,
			 relaxed)); /* [ring] [push] */

	struct gv_node *chain = gv_chain_of(word);
	if (chain == NULL)
		return;
	struct gv_hub *hub = gv_enter();
	gv_deliver(hub, chain, GV_CAUSE_WAKE, 0); /* I2, I4 */
	if (hub != NULL)
		gv_leave(hub);
}

/* 0: took a ring.  GV_STOPPED: has the seat, and must wait.  Else the code of the wait. */
static int take_or_sit_down(struct gv_async *a, grove_deadline deadline)
{
	uint64_t word = gv_load(&a->word, relaxed); /* relaxed: the CAS decides */

	for (;;) {
		if ((word & STATE) == DESTROYED)
			return -EINVAL;
		if (word & SEAT)
			return -EBUSY;
		if (word & RUNG) {
			if (gv_cas(&a->word, &word, word & ~RUNG, acquire, relaxed)) /* [ring] */
				return 0;
			continue;
		}
		if (deadline.ns == INT64_MIN)
			return -EAGAIN;
		/* relaxed: only claims the seat */
		if (gv_cas(&a->word, &word, word | SEAT, relaxed, relaxed))
			return GV_STOPPED;
	}
}

int grove_async_wait(grove_async *async, grove_deadline deadline)
{
	if (async == NULL)
		return -EINVAL;

	struct gv_async *a = inside(async);
	int rc = take_or_sit_down(a, deadline);
	if (rc != GV_STOPPED)
		return rc;

	rc = gv_wait_on(&a->word, RUNG, 0, deadline, NULL);
	if (rc == 0 || rc == GV_STOPPED) {
		gv_and(&a->word, ~(RUNG | SEAT), acquire); /* [ring] I1 */
		return 0;
	}
	gv_and(&a->word, ~SEAT, relaxed); /* relaxed: nothing was taken, I2 */
	return rc;
}

int grove_async_destroy(grove_async *async)
{
	if (async == NULL)
		return -EINVAL;

	struct gv_async *a = inside(async);
	uint64_t word = gv_load(&a->word, relaxed); /* relaxed: the CAS decides */
	do {
		if ((word & STATE) == DESTROYED)
			return -EINVAL;
		if (word & SEAT)
			return -EBUSY;
	} while (!gv_cas(&a->word, &word, DESTROYED, acq_rel, relaxed)); /* [ring] [push] */

	/* Without a seat all nodes are dead: waits that ended otherwise. */
	struct gv_node *chain = gv_chain_of(word);
	if (chain == NULL)
		return 0;
	struct gv_hub *hub = gv_enter();
	gv_waitset_discard(hub, &chain);
	if (hub != NULL)
		gv_leave(hub);
	return 0;
}
