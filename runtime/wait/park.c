/* SPDX-License-Identifier: MIT */
/*
 * park.c - how a wait begins, and who ends it.
 *
 * Layer   wait.  Below: sched/switch.h, store/timer_wheel.h.
 * Owns    the wait word of a record: | generation:56 | flags and state:8 |.
 * Entry   gv_wait_on from the primitives; gv_wait_claim from every ender.
 *
 *                begin                claim (CAS)
 *     idle ------------> PENDING(n) --------------> CLAIMED(n) ---> enqueued, resumed: idle
 *       ^                    |
 *       '--- cancel (CAS) ---'
 *
 * Enders: wake, own deadline, kill, close, stop; later enclosing scopes and deadlock.
 *
 * I1  Only the greenlet itself begins and cancels waits; each begin takes the next generation, which
 *     never restarts, not even when the record is reused.  A token is generation, flags and PENDING.
 * I2  Exactly one ender moves PENDING(n) to CLAIMED(n).  It alone writes cause and outcome, and it
 *     alone makes the greenlet runnable.  All others do nothing: neither to the greenlet nor, as it
 *     may be gone, to its frame.
 * I3  The waiter is running until its context is saved (switch.c), whatever happens meanwhile: its
 *     frame, its timer and the object are safe to use until gv_wait_suspend switches away.  If it
 *     was claimed before that, it finds itself in a queue and goes on.
 * I4  After suspend the timer is disarmed by the waiter, nobody else.
 *
 * [claim]  ender: CAS acq_rel of the wait word, then cause and outcome, then the queue [give],
 *          [publish].  waiter: taken from that queue.  The waiter reads cause and outcome after it
 *          was resumed, hence after they were written.
 * [kill]   parker: store-release wait = PENDING; light fence; load kills.
 *          killer: push onto kills; heavy fence; load-acquire wait.
 *     Either the parker sees the kill, or the killer sees the wait.  A killer that sees PENDING
 *     before the fence need not pay it.  It knows the greenlet by nothing but this word, so what it
 *     looks at next (hub, context, kills) must be at least as new: hence release and acquire.
 * [push]   see waitset.c; the end of all foreign waits finds them by their records instead.
 * [told]   foreign pthreads: ender: fetch_or release READY, then futex wake.  waiter: load-acquire.
 *
 * A foreign pthread waits through a proxy, a record that no hub runs: enders claim it like any
 * other, and gv_ready comes to gv_wait_wake_foreign.
 */
#include "wait/park.h"

#include "base/check.h"
#include "base/fault.h"
#include "plat/clock.h"
#include "plat/fence.h"
#include "plat/futex.h"
#include "sched/failure.h"
#include "sched/ready.h"
#include "sched/switch.h"
#include "wait/waitset.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define READY UINT64_C(0x08) /* of a proxy: cause and outcome are there */

/* --- the two sides of a wait ------------------------------------------------------------------ */

bool gv_wait_cancel(struct gv_wait *wait)
{
	uint64_t token = wait->token;

	/* [claim] acquire: who was quicker has not necessarily written the outcome yet */
	return gv_cas(&wait->self->wait, &token, wait->token ^ (GV_WAIT_PENDING | GV_WAIT_CLAIMED),
		      acq_rel, acquire); /* [claim] */
}

bool gv_wait_met_kill(struct gv_hub *hub, struct gv_wait *wait, struct grove_greenlet *next)
{
	if ((wait->token & GV_WAIT_NOKILL) ||
	    !gv_wait_claim(wait->self, wait->token, GV_CAUSE_KILL, 0))
		return false;
	/* Claimed by ourselves: nobody else will queue us. */
	if (next == NULL)
		return true;
	gv_ready(hub, wait->self, false); /* pinned, perhaps */
	return false;
}

GV_CONTEXT_CALLER struct gv_hub *gv_wait_suspend_timed(struct gv_hub *hub, struct gv_wait *wait,
						       grove_deadline deadline,
						       struct grove_greenlet *next)
{
	struct gv_wheel_timer timer = { .cookie = { (uintptr_t)wait->self, wait->token } };

	gv_wheel_start(&hub->wheel, &timer, deadline.ns);
	hub = gv_wait_suspend(hub, wait, GROVE_NEVER, next);
	gv_wheel_cancel(&timer); /* I4 */
	return hub;
}

int gv_wait_conclude_slow(struct gv_wait *wait)
{
	struct grove_greenlet *g = wait->self;
	struct gv_cold *cold;

	switch ((enum gv_cause)g->cause) {
	case GV_CAUSE_WAKE:
		return 0;
	case GV_CAUSE_TIMEOUT:
		return -ETIMEDOUT;
	case GV_CAUSE_CODE:
		return (int)(intptr_t)g->slot;
	case GV_CAUSE_FAILED:
		cold = gv_record_cold(g);
		gv_failure_release(cold->last_failure);
		cold->last_failure = g->slot;
		cold->last_code = GROVE_FAILED;
		return GROVE_FAILED;
	case GV_CAUSE_KILL:
		cold = gv_record_cold(g);
		gv_failure_release(cold->last_failure);
		cold->last_failure = gv_kill_next(g);
		cold->last_code = GROVE_KILLED;
		cold->killed = true;
		return GROVE_KILLED;
	}
	GV_CHECK(false, "cause %d ended a wait of %p", g->cause, (void *)g);
	return -EINVAL;
}

void gv_wait_timer_due(struct gv_hub *hub, const uint64_t cookie[2])
{
	struct grove_greenlet *g = (struct grove_greenlet *)(uintptr_t)cookie[0];

	if (gv_wait_claim(g, cookie[1], GV_CAUSE_TIMEOUT, 0))
		gv_ready(hub, g, false);
}

/* --- foreign pthreads ------------------------------------------------------------------------- */

static pthread_key_t foreign_key;
static pthread_once_t foreign_once = PTHREAD_ONCE_INIT;
static int foreign_key_error;

static void free_foreign(void *arg)
{
	struct gv_self *self = arg;

	gv_self_set(NULL);
	gv_failure_release(self->last_failure);
	if (self->proxy != NULL) {
		/* relaxed: nobody waits through it any more; late wakers compare generations */
		gv_store(&self->proxy->done, 0, relaxed);
		gv_slab_free_shared(&gv_records, self->proxy);
	}
	free(self);
}

static void make_foreign_key(void)
{
	foreign_key_error = pthread_key_create(&foreign_key, free_foreign);
}

struct gv_self *gv_wait_foreign_self(void)
{
	struct gv_self *self = gv_self_get();

	if (self != NULL)
		return self;
	pthread_once(&foreign_once, make_foreign_key);
	if (foreign_key_error != 0 || gv_fault_here("foreign thread"))
		return NULL;
	self = calloc(1, sizeof(*self));
	if (self == NULL)
		return NULL;
	if (pthread_setspecific(foreign_key, self) != 0) {
		free(self);
		return NULL;
	}
	gv_self_set(self);
	return self;
}

static struct grove_greenlet *foreign_proxy(void)
{
	struct gv_self *self = gv_wait_foreign_self();

	if (self == NULL)
		return NULL;
	if (self->proxy == NULL) {
		struct grove_greenlet *g = gv_slab_alloc_shared(&gv_records);

		if (g == NULL)
			return NULL;
		/* No references: lookups and walks do not see it. */
		gv_record_begin(g, NULL, NULL, NULL, 0, GV_HUB_FOREIGN);
		self->proxy = g;
	}
	return self->proxy;
}

/* The half of the wait word that changes with its state. */
static _Atomic uint32_t *futex_of(struct grove_greenlet *proxy)
{
	char *word = (char *)&proxy->wait;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word += 4;
#endif
	return (_Atomic uint32_t *)(void *)word;
}

void gv_wait_wake_foreign(struct grove_greenlet *proxy)
{
	gv_or(&proxy->wait, READY, release); /* [told] */
	/* The pthread may be gone by now: a wake-up for nobody. */
	gv_futex_wake(futex_of(proxy), 1);
}

static int block_foreign(struct grove_greenlet *g, uint64_t token, grove_deadline deadline)
{
	int64_t until = deadline.ns;

	for (;;) {
		uint64_t wait = gv_load(&g->wait, acquire); /* [told] */

		if (wait & READY)
			break;
		int rc = gv_futex_wait(futex_of(g), (uint32_t)wait, until);
		if (rc == -ETIMEDOUT) {
			if (gv_wait_claim(g, token, GV_CAUSE_TIMEOUT, 0))
				break;
			until = INT64_MAX; /* somebody was quicker and will say so */
		}
	}
	gv_and(&g->wait, ~READY, relaxed); /* relaxed: ours again */
	return g->cause;
}

static int wait_foreign(_Atomic uint64_t *word, uint64_t stop, grove_deadline deadline,
			uintptr_t *outcome)
{
	if (gv_hub_self() != NULL)
		return GROVE_IN_HUB; /* a signal handler on a hub */
	int rc = gv_runtime.hooks.ensure != NULL ? gv_runtime.hooks.ensure() : 0;
	if (rc < 0)
		return rc;

	struct grove_greenlet *g = foreign_proxy();
	struct gv_node *node = g != NULL ? gv_node_alloc(NULL) : NULL;
	if (node == NULL)
		return -ENOMEM;

	uint64_t generation = gv_load(&g->wait, relaxed) / GV_WAIT_GENERATION + 1; /* relaxed: I1 */
	uint64_t token = generation * GV_WAIT_GENERATION | GV_WAIT_PENDING;
	gv_store(&g->wait, token, release); /* [push] as in end_foreign */
	node->waiter = g;
	node->token = token;
	node->hub = GV_HUB_FOREIGN;
	gv_store(&node->kind, GV_NODE_WAITER, relaxed); /* relaxed: [push] follows */
	if (!gv_waitset_push(NULL, word, node, stop)) {
		gv_node_free(NULL, node);
		/* Only the end of all foreign waits can have come between. */
		if (gv_wait_claim(g, token, GV_CAUSE_WAKE, 0))
			return GV_STOPPED;
		deadline = GROVE_NEVER;
	} else if (gv_hub_total() == 0 && gv_wait_claim(g, token, GV_CAUSE_CODE, 0)) {
		return -ECANCELED;
	}
	switch ((enum gv_cause)block_foreign(g, token, deadline)) {
	case GV_CAUSE_WAKE:
		if (outcome != NULL)
			*outcome = (uintptr_t)g->slot;
		return 0;
	case GV_CAUSE_FAILED:
		gv_wait_set_last_failure(NULL, g->slot);
		return GROVE_FAILED;
	case GV_CAUSE_CODE:
		return (int)(intptr_t)g->slot;
	default:
		return -ETIMEDOUT;
	}
}

static bool end_foreign(void *object, void *arg)
{
	struct grove_greenlet *g = object;
	uint64_t wait = gv_load(&g->wait, acquire); /* [push] */

	/* relaxed: a proxy stays one while somebody waits through it */
	if (gv_load(&g->hub, relaxed) == GV_HUB_FOREIGN && (wait & GV_WAIT_PENDING) &&
	    gv_wait_claim(g, wait, GV_CAUSE_CODE, (uintptr_t)(intptr_t) * (int *)arg))
		gv_wait_wake_foreign(g);
	return true;
}

void gv_wait_end_foreign(int code)
{
	gv_slab_each(&gv_records, end_foreign, &code);
}

/* --- the whole ---------------------------------------------------------------------------------- */

GV_CONTEXT_CALLER int gv_wait_on(_Atomic uint64_t *word, uint64_t stop, unsigned flags,
				 grove_deadline deadline, uintptr_t *outcome)
{
	struct gv_hub *hub = gv_enter();
	struct gv_wait wait;
	int rc;

	if (GV_UNLIKELY(hub == NULL))
		return wait_foreign(word, stop, deadline, outcome);
	if (GV_UNLIKELY(gv_in_hub_context(hub))) {
		gv_leave(hub);
		return GROVE_IN_HUB;
	}
	struct gv_node *node = gv_node_alloc(hub);
	if (GV_UNLIKELY(node == NULL)) {
		gv_leave(hub);
		return -ENOMEM;
	}
	gv_wait_begin(hub, &wait, flags);
	node->waiter = wait.self;
	node->token = wait.token;
	node->hub = gv_load(&wait.self->hub, relaxed);	/* relaxed: ours while we run */
	gv_store(&node->kind, GV_NODE_WAITER, relaxed); /* relaxed: [push] follows */
	if (GV_LIKELY(gv_waitset_push(hub, word, node, stop))) {
		hub = gv_wait_suspend(hub, &wait, deadline, NULL);
		rc = gv_wait_conclude(&wait, outcome);
	} else {
		gv_node_free(hub, node);
		if (GV_LIKELY(gv_wait_cancel(&wait))) {
			rc = GV_STOPPED;
		} else {
			hub = gv_wait_suspend(hub, &wait, GROVE_NEVER, NULL);
			rc = gv_wait_conclude(&wait, outcome);
		}
	}
	gv_leave(hub);
	return rc;
}

/* --- failures and kills ------------------------------------------------------------------------- */

static struct grove_failure **last_failure_place(struct gv_hub *hub)
{
	if (hub != NULL && !gv_in_hub_context(hub))
		return &gv_record_cold(hub->current)->last_failure;

	struct gv_self *self = hub != NULL ? &hub->self : gv_wait_foreign_self();
	return self != NULL ? (struct grove_failure **)&self->last_failure : NULL;
}

void gv_wait_set_last_failure(struct gv_hub *hub, struct grove_failure *failure)
{
	struct grove_failure **place = last_failure_place(hub);

	if (place == NULL) {
		gv_failure_release(failure);
		return;
	}
	struct grove_failure *before = *place;
	*place = failure;
	if (hub != NULL && !gv_in_hub_context(hub))
		gv_record_cold(hub->current)->last_code = GROVE_FAILED;
	gv_failure_release(before);
}

struct grove_failure *gv_wait_last_failure(struct gv_hub *hub)
{
	if (hub == NULL) {
		struct gv_self *self = gv_self_get();
		return self != NULL ? self->last_failure : NULL;
	}
	return *last_failure_place(hub);
}
