/* SPDX-License-Identifier: MIT */
/*
 * flag.c - gevent's Event: up or down, as often as needed.
 *
 * Layer   prim.  Below: wait/park.h, wait/deliver.h, wait/waitset.h.
 * Owns    struct gv_flag; the rounds of the hub in strict order.
 * Entry   grove_flag_wait, grove_flag_set.
 *
 *                 set (CAS, takes the chain)
 *     DOWN ---------------------------------> UP
 *       ^ \                                  /  \
 *       |  '------- destroy (CAS) --.       /    '--> DESTROYED
 *       '---------- clear (CAS) ----|------'
 *
 * The low three bits of the word are its state; above them DOWN keeps the chain of waiters
 * (waitset.h), UP and DESTROYED have none.
 *
 * I1  Whoever is in the chain when a set takes it returns 0, whatever is done to the flag
 *     afterwards: the outcome travels with the chain.  Who comes later meets UP, or is in the next
 *     chain.
 * I2  After its CAS a set touches the flag no more: a waiter that it wakes may have freed it.
 * I3  While the flag is in use its word is changed by read-modify-writes only, so whoever loads any
 *     later value (acquire) also sees what the earlier setters did.
 *
 * [up]    set: CAS release.  wait, is_set: load-acquire of UP, or of what came after it (I3).
 * [push]  wait: waitset.c.  set: the same CAS, acquire.
 *
 * Strict order: a wait on a flag that is up may not pass the waiters that its last set has woken
 * and that have not run yet.  A set on the hub that has waiters to wake is a round: it writes its
 * number into the flag beforehand (I2), and afterwards into `rounds` how far the hub's only queue
 * reaches.  While the head of the queue has not come that far, a wait goes through the queue once.
 * Of older rounds than the last 16 nothing is known: they count as over.
 */
#include "base/check.h"
#include "sched/ready.h"
#include "sched/switch.h"
#include "wait/deliver.h"
#include "wait/park.h"
#include "wait/waitset.h"

#include "grove/flag.h"

#include <errno.h>

#define STATE UINT64_C(7)
#define UP UINT64_C(1) /* the bit that ends waiting */
#define DESTROYED UINT64_C(7)

enum { ROUNDS = 16 };

struct gv_flag {
	_Atomic uint64_t word;
	uint64_t round; /* the hub of strict order: the number of its last round, or 0 */
};

_Static_assert(sizeof(struct gv_flag) <= sizeof(grove_flag), "fits the public type");

/* Used by the hub of strict order only, of which there is one. */
static struct {
	uint64_t count;
	uint64_t end[ROUNDS]; /* place in the queue behind the last one woken, by number */
} rounds;

static struct gv_flag *inside(grove_flag *flag)
{
	return (struct gv_flag *)(void *)flag;
}

static void end_round(struct gv_hub *hub)
{
	rounds.count++;
	/* relaxed: the hub's own */
	rounds.end[rounds.count % ROUNDS] = gv_load(&hub->fifo.tail, relaxed);
}

static bool round_goes_on(struct gv_hub *hub, const struct gv_flag *f)
{
	if (f->round == 0 || rounds.count - f->round >= ROUNDS)
		return false;
	uint64_t head = gv_load(&hub->fifo.head, relaxed); /* relaxed: the hub's own */
	return (int64_t)(rounds.end[f->round % ROUNDS] - head) > 0;
}

/* Strict order: behind those whom the last set has woken. */
static GV_NOINLINE void queue_behind_round(struct gv_hub *hub, const struct gv_flag *f)
{
	if (!gv_in_hub_context(hub) && round_goes_on(hub, f)) {
		gv_ready(hub, hub->current, false);
		hub = gv_switch_away(hub);
	}
	gv_leave(hub);
}

void grove_flag_set(grove_flag *flag)
{
	if (GV_UNLIKELY(flag == NULL))
		return;

	struct gv_flag *f = inside(flag);
	uint64_t word = gv_load(&f->word, relaxed); /* relaxed: the CAS decides */
	if (word & UP)
		return;
	struct gv_hub *hub = gv_enter();
	bool round = false;
	do {
		if (GV_UNLIKELY(word & UP))
			goto leave;
		round = hub != NULL && hub->strict && gv_chain_of(word) != NULL;
		if (round)
			f->round = rounds.count + 1;
	} while (!gv_cas(&f->word, &word, UP, acq_rel, relaxed)); /* [up] [push] */

	gv_deliver(hub, gv_chain_of(word), GV_CAUSE_WAKE, 0); /* I1, I2 */
	if (GV_UNLIKELY(round))
		end_round(hub);
leave:
	if (hub != NULL)
		gv_leave(hub);
}

void grove_flag_clear(grove_flag *flag)
{
	uint64_t word = UP;

	if (GV_UNLIKELY(flag == NULL))
		return;
	/* Whatever else it is, down or destroyed, it stays. */
	gv_cas(&inside(flag)->word, &word, 0, acq_rel,
	       relaxed); /* [up] relaxed: nothing happened */
}

bool grove_flag_is_set(grove_flag *flag)
{
	if (GV_UNLIKELY(flag == NULL))
		return false;
	return (gv_load(&inside(flag)->word, acquire) & STATE) == UP; /* [up] */
}

int grove_flag_wait(grove_flag *flag, grove_deadline deadline)
{
	if (GV_UNLIKELY(flag == NULL))
		return -EINVAL;

	struct gv_flag *f = inside(flag);
	uint64_t word = gv_load(&f->word, acquire); /* [up] */
	if (word & UP) {
		if (GV_UNLIKELY((word & STATE) == DESTROYED))
			return -EINVAL;
		/* Only strict order has a rule here, and GROVE_POLL never suspends. */
		struct gv_hub *hub = gv_hub_self();
		if (GV_UNLIKELY(hub != NULL && hub->strict) && deadline.ns != INT64_MIN) {
			hub = gv_enter();
			if (hub != NULL)
				queue_behind_round(hub, f);
		}
		return 0;
	}
	if (deadline.ns == INT64_MIN)
		return -EAGAIN;

	int rc = gv_wait_on(&f->word, UP, 0, deadline, NULL);
	if (rc != GV_STOPPED)
		return rc;
	/* It was up for an instant at least. */
	word = gv_load(&f->word, acquire); /* [up] I3 */
	return (word & STATE) == DESTROYED ? -EINVAL : 0;
}

int grove_flag_destroy(grove_flag *flag)
{
	if (GV_UNLIKELY(flag == NULL))
		return -EINVAL;

	struct gv_flag *f = inside(flag);
	uint64_t word = gv_load(&f->word, relaxed); /* relaxed: the CAS decides */
	do {
		if ((word & STATE) == DESTROYED)
			return -EINVAL;
	} while (!gv_cas(&f->word, &word, DESTROYED, acq_rel, relaxed)); /* [up] [push] */

	struct gv_node *chain = gv_chain_of(word);
	if (chain == NULL)
		return 0;
	struct gv_hub *hub = gv_enter();
	bool empty = gv_waitset_discard(hub, &chain);
	if (hub != NULL)
		gv_leave(hub);
	if (empty)
		return 0;
	/* Nobody else may use the flag now (its comment says so), so it is as it was. */
	gv_store(&f->word, (uint64_t)(uintptr_t)chain, release); /* [push] */
	return -EBUSY;
}
