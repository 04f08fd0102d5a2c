/* SPDX-License-Identifier: MIT */
/*
 * result.c - gevent's AsyncResult: a value or a failure, set once, for good.
 *
 * Layer   prim.  Below: wait/park.h, wait/deliver.h, wait/waitset.h.
 * Owns    struct gv_result: the word, and the value that does not fit into it.
 * Entry   grove_result_get, grove_result_set.
 *
 *              set of a small value, of a failure (one CAS)
 *     UNSET -----------------------------------------------> SET ---.
 *       |  \--- claim (CAS) --> SETTING --- exchange ---------^     |
 *       '------------------------- destroy (CAS) -------------------'---> DESTROYED
 *
 * The low three bits of the word are its state; above them UNSET and SETTING keep the chain of
 * waiters (waitset.h), SET the value if 61 bits hold it, or the failure.
 *
 * I1  Exactly one setter gets past UNSET; all others are told -EALREADY and leave no trace.
 * I2  While the word is SETTING waiters still push.  Nobody spins on it.
 * I3  The change to SET takes the chain.  After it the setter touches the result no more: a waiter
 *     that it wakes may have freed it.
 * I4  SET never changes but to DESTROYED, so those in the chain and all who come later read the
 *     same.
 * I5  The result holds a reference to its failure from SET until it is destroyed.
 *
 * [set]   set: CAS or exchange, release.  get: load-acquire of SET.
 * [push]  get: waitset.c.  set, destroy: the same CAS or exchange, acquire.
 */
#include "base/check.h"
#include "sched/failure.h"
#include "wait/deliver.h"
#include "wait/park.h"
#include "wait/waitset.h"

#include "grove/result.h"

#include <errno.h>

#define STATE UINT64_C(7)
#define IS_SET UINT64_C(1) /* the bit that ends waiting */
#define UNSET UINT64_C(0)
#define SETTING UINT64_C(2)
#define SET_SMALL UINT64_C(1)
#define SET_LARGE UINT64_C(3)
#define SET_FAILURE UINT64_C(5)
#define DESTROYED UINT64_C(7)

struct gv_result {
	_Atomic uint64_t word;
	uintptr_t large; /* SET_LARGE: the value; written while SETTING */
};

_Static_assert(sizeof(struct gv_result) <= sizeof(grove_result), "fits the public type");

static struct gv_result *inside(grove_result *result)
{
	return (struct gv_result *)(void *)result;
}

/* Whether the upper three bits only repeat the sign. */
static bool is_small(uintptr_t value)
{
	return (uintptr_t)((intptr_t)(value << 3) >> 3) == value;
}

static struct grove_failure *failure_in(uint64_t word)
{
	return (struct grove_failure *)(uintptr_t)(word & ~STATE);
}

/* What a get returns that need not wait. */
static int read_outcome(struct gv_result *r, uint64_t word, void **value)
{
	uintptr_t bits;

	switch (word & STATE) {
	case SET_SMALL:
		bits = (uintptr_t)((intptr_t)word >> 3);
		break;
	case SET_LARGE:
		bits = r->large;
		break;
	case SET_FAILURE: {
		struct gv_hub *hub = gv_enter();

		gv_failure_retain(failure_in(word));
		gv_wait_set_last_failure(hub, failure_in(word));
		if (hub != NULL)
			gv_leave(hub);
		return GROVE_FAILED;
	}
	default:
		return -EINVAL;
	}
	if (value != NULL)
		*value = (void *)bits;
	return 0;
}

int grove_result_get(grove_result *result, void **value, grove_deadline deadline)
{
	uintptr_t outcome;

	if (GV_UNLIKELY(result == NULL))
		return -EINVAL;

	struct gv_result *r = inside(result);
	uint64_t word = gv_load(&r->word, acquire); /* [set] */
	if (word & IS_SET)
		return read_outcome(r, word, value);
	if (deadline.ns == INT64_MIN)
		return -EAGAIN;

	int rc = gv_wait_on(&r->word, IS_SET, 0, deadline, &outcome);
	if (rc == GV_STOPPED)
		return read_outcome(r, gv_load(&r->word, acquire), value); /* [set] */
	if (rc == 0 && value != NULL)
		*value = (void *)outcome;
	return rc;
}

/* I1: the state says why not. */
static int refused(uint64_t word)
{
	return (word & STATE) == DESTROYED ? -EINVAL : -EALREADY;
}

static void deliver(uint64_t word, enum gv_cause cause, uintptr_t outcome)
{
	struct gv_node *chain = gv_chain_of(word);

	if (chain == NULL)
		return;
	struct gv_hub *hub = gv_enter();
	gv_deliver(hub, chain, cause, outcome);
	if (hub != NULL)
		gv_leave(hub);
}

/* UNSET to a word that says it all.  Returns 0 and the word that was replaced, or a code. */
static int set_at_once(struct gv_result *r, uint64_t set, uint64_t *replaced)
{
	*replaced = gv_load(&r->word, relaxed); /* relaxed: the CAS decides */
	do {
		if (GV_UNLIKELY((*replaced & STATE) != UNSET))
			return refused(*replaced);
	} while (!gv_cas(&r->word, replaced, set, acq_rel, relaxed)); /* [set] [push] */
	return 0;
}

static int set_large(struct gv_result *r, uintptr_t value, uint64_t *replaced)
{
	uint64_t word = gv_load(&r->word, relaxed); /* relaxed: the CAS decides */

	do {
		if ((word & STATE) != UNSET)
			return refused(word);
		/* relaxed: only claims */
	} while (!gv_cas(&r->word, &word, word | SETTING, relaxed, relaxed));
	r->large = value;
	*replaced = gv_xchg(&r->word, SET_LARGE, acq_rel); /* [set] [push] */
	return 0;
}

int grove_result_set(grove_result *result, void *value)
{
	uintptr_t bits = (uintptr_t)value;
	uint64_t replaced;
	int rc;

	if (GV_UNLIKELY(result == NULL))
		return -EINVAL;
	if (GV_LIKELY(is_small(bits)))
		rc = set_at_once(inside(result), (uint64_t)bits << 3 | SET_SMALL, &replaced);
	else
		rc = set_large(inside(result), bits, &replaced);
	if (GV_LIKELY(rc == 0))
		deliver(replaced, GV_CAUSE_WAKE, bits); /* I3 */
	return rc;
}

int grove_result_set_failure(grove_result *result, grove_failure *failure)
{
	uint64_t set = (uint64_t)(uintptr_t)failure | SET_FAILURE;
	uint64_t replaced;

	if (result == NULL || failure == NULL)
		return -EINVAL;
	GV_CHECK(((uintptr_t)failure & STATE) == 0, "failure %p", (void *)failure);

	gv_failure_retain(failure); /* I5 */
	int rc = set_at_once(inside(result), set, &replaced);
	if (rc < 0) {
		gv_failure_release(failure);
		return rc;
	}
	/* The result may be gone, with its reference; the caller's lasts for the call. */
	deliver(replaced, GV_CAUSE_FAILED, (uintptr_t)failure); /* I3 */
	return 0;
}

int grove_result_destroy(grove_result *result)
{
	if (GV_UNLIKELY(result == NULL))
		return -EINVAL;

	struct gv_result *r = inside(result);
	uint64_t word = gv_load(&r->word, relaxed); /* relaxed: the CAS decides */
	do {
		if ((word & STATE) == DESTROYED)
			return -EINVAL;
		if ((word & STATE) == SETTING)
			return -EBUSY;
	} while (!gv_cas(&r->word, &word, DESTROYED, acq_rel, relaxed)); /* [set] [push] */
	if ((word & STATE) == SET_FAILURE)
		gv_failure_release(failure_in(word)); /* I5 */
	if (word & IS_SET)
		return 0;

	struct gv_node *chain = gv_chain_of(word);
	if (chain == NULL)
		return 0;
	struct gv_hub *hub = gv_enter();
	bool empty = gv_waitset_discard(hub, &chain);
	if (hub != NULL)
		gv_leave(hub);
	if (empty)
		return 0;
	/* Nobody else may use the result now (its comment says so), so it is as it was. */
	gv_store(&r->word, (uint64_t)(uintptr_t)chain, release); /* [push] */
	return -EBUSY;
}
