/* SPDX-License-Identifier: MIT */
/*
 * park.h - the one way to wait, and the one way to end a wait.
 *
 * Layer   wait.  The protocol and its proof stand in park.c.
 */
#ifndef GV_PARK_H
#define GV_PARK_H

#include "plat/fence.h"
#include "sched/switch.h"
#include "wait/node.h"

#include "grove/base.h"

/* gv_wait_on: one of the bits `stop` was set before the wait began. */
#define GV_STOPPED 1

enum gv_wait_flags {
	GV_WAIT_UNKILLABLE = 1, /* kills stay pending */
};

/*
 * Wait in the chain of `word` until somebody delivers, the deadline passes or a kill comes.  Greenlets
 * suspend, foreign pthreads block.  The deadline must not be GROVE_POLL.
 *
 * outcome      receives what was delivered with GV_CAUSE_WAKE; or NULL.
 *
 * Returns      0             delivered (GV_CAUSE_WAKE)
 *              GV_STOPPED    did not wait: a bit of `stop` was set
 *              GROVE_FAILED  delivered as a failure; it is the caller's last failure now
 *              -ETIMEDOUT, GROVE_KILLED, GROVE_IN_HUB, -ENOMEM, or the code that was delivered
 */
int gv_wait_on(_Atomic uint64_t *word, uint64_t stop, unsigned flags, grove_deadline deadline,
	       uintptr_t *outcome);

/*
 * The same in steps, for a greenlet that is entered on `hub`; used by gv_wait_on, sleep and join.
 * begin: the wait word is PENDING from here on, so the wait may be ended as soon as its token is
 * known to others.  Then either suspend, or cancel if it turned out that there is no need to wait.
 */
struct gv_wait {
	struct grove_greenlet *self;
	uint64_t token;
};

static inline void gv_wait_begin(struct gv_hub *hub, struct gv_wait *wait, unsigned flags)
{
	struct grove_greenlet *g = hub->current;
	uint64_t generation = gv_load(&g->wait, relaxed) / GV_WAIT_GENERATION + 1; /* relaxed: I1 */

	wait->self = g;
	wait->token = generation * GV_WAIT_GENERATION | GV_WAIT_PENDING |
		      (flags & GV_WAIT_UNKILLABLE ? GV_WAIT_NOKILL : 0);
	gv_store(&g->wait, wait->token, release); /* [kill] */
}

/*
 * End a wait: true for the one who succeeds, and who must then call gv_ready for the waiter.  For
 * GV_CAUSE_FAILED a reference goes over to the waiter.  Any thread, signal handlers included.
 */
static inline bool gv_wait_claim(struct grove_greenlet *g, uint64_t token, enum gv_cause cause,
				 uintptr_t outcome)
{
	uint64_t expected = token;

	/* [claim] relaxed: lost */
	if (!gv_cas(&g->wait, &expected, token ^ (GV_WAIT_PENDING | GV_WAIT_CLAIMED), acq_rel,
		    relaxed))
		return false;
	g->slot = (void *)outcome;
	g->cause = (uint8_t)cause;
	return true;
}

/* False: the wait was ended already, and must be concluded by gv_wait_suspend with GROVE_NEVER. */
bool gv_wait_cancel(struct gv_wait *wait);

/* A kill was found on the way to suspension.  True: it ended the wait, do not suspend. */
bool gv_wait_met_kill(struct gv_hub *hub, struct gv_wait *wait, struct grove_greenlet *next);

struct gv_hub *gv_wait_suspend_timed(struct gv_hub *hub, struct gv_wait *wait,
				     grove_deadline deadline, struct grove_greenlet *next);

/* `next`: whom to run meanwhile, or NULL.  Returns the hub it goes on on, still entered.  Inline for
 * the reason that switch.h gives. */
GV_INLINE struct gv_hub *gv_wait_suspend(struct gv_hub *hub, struct gv_wait *wait,
					 grove_deadline deadline, struct grove_greenlet *next)
{
	if (deadline.ns != INT64_MAX)
		return gv_wait_suspend_timed(hub, wait, deadline, next);
	gv_fence_light(); /* [kill] */
	if (GV_UNLIKELY(gv_load(&wait->self->kills, relaxed) !=
			0) && /* relaxed: the fence orders it */
	    gv_wait_met_kill(hub, wait, next))
		return hub;
	return gv_switch_to(hub, next != NULL ? next : gv_pick(hub));
}

/* After suspend: the wait's code as in gv_wait_on. */
int gv_wait_conclude_slow(struct gv_wait *wait);

static inline int gv_wait_conclude(struct gv_wait *wait, uintptr_t *outcome)
{
	if (GV_UNLIKELY(wait->self->cause != GV_CAUSE_WAKE))
		return gv_wait_conclude_slow(wait);
	if (outcome != NULL)
		*outcome = (uintptr_t)wait->self->slot;
	return 0;
}

/* A timer that gv_wait_suspend armed is due. */
void gv_wait_timer_due(struct gv_hub *hub, const uint64_t cookie[2]);

/* gv_hooks.wake_foreign. */
void gv_wait_wake_foreign(struct grove_greenlet *proxy);

/* End the waits of all foreign pthreads with this code. */
void gv_wait_end_foreign(int code);

/* The struct gv_self of a foreign pthread, made on first use; NULL without memory. */
struct gv_self *gv_wait_foreign_self(void);

/* Make `failure`, a reference, the last failure of the caller; NULL clears it. */
void gv_wait_set_last_failure(struct gv_hub *hub, struct grove_failure *failure);
struct grove_failure *gv_wait_last_failure(struct gv_hub *hub);

/*
 * Kills: `kills` of a record is a chain of struct gv_kill, newest first, and bit 0: an exit that
 * needed no memory.
 */
/* Send a kill (the failure is borrowed) and end the wait if there is one that it may end.  Returns 0
 * or -ENOMEM. */
int gv_kill_send(struct gv_hub *hub, struct grove_greenlet *g, struct grove_failure *failure);

/* The oldest kill of the calling greenlet, a reference; NULL if there is none. */
struct grove_failure *gv_kill_next(struct grove_greenlet *g);

/* Kills that were never delivered go with their greenlet. */
void gv_kill_drop_all(struct grove_greenlet *g);

#endif
