/* SPDX-License-Identifier: MIT */
/*
 * kill.c - asking a greenlet to end.
 *
 * Layer   prim.  Below: wait/kills.c for kills on their way.
 * Entry   grove_kill, grove_cancel.
 *
 * I1  A greenlet that has not begun is ended by whoever takes its run right; so it never runs, and is
 *     dead inside the call.
 *
 * [take]  CAS acq_rel of done that sets TAKEN; pairs with those of switch.c, greenlet.c, spawn.c.
 * [end]   load-acquire ENDED; pairs with greenlet.c.
 */
#include "prim/greenlet.h"
#include "prim/spawn.h"
#include "sched/failure.h"
#include "wait/park.h"

#include "grove/greenlet.h"

#include <errno.h>

/* True if it had not begun, and is dead now.  Takes over the failure's reference then. */
static bool end_unrun(struct gv_hub *hub, struct grove_greenlet *g, struct grove_failure *failure)
{
	uint64_t done = gv_load(&g->done, relaxed); /* relaxed: the CAS decides */

	do {
		if (done & GV_DONE_TAKEN)
			return false;
	} while (!gv_cas(&g->done, &done, done | GV_DONE_TAKEN, acq_rel, relaxed)); /* [take] */

	if ((done & GV_DONE_HELD) && (done & GV_DONE_LINKED)) {
		uintptr_t body = gv_load(&g->body, relaxed); /* relaxed: the run right is ours */

		gv_spawn_timer_cancel(hub, g, gv_record_extra_of(body));
	}
	gv_greenlet_end_unrun(hub, g, failure);
	return true;
}

int grove_kill(grove_greenlet *g, grove_failure *failure, grove_deadline deadline)
{
	if (g == NULL)
		return -EINVAL;
	if (gv_load(&g->done, acquire) & GV_DONE_ENDED) /* [end] */
		return 0;

	struct gv_hub *hub = gv_enter();
	bool myself = hub != NULL && hub->current == g;
	int rc = 0;

	if (failure == NULL)
		failure = &gv_failure_exit_object;
	gv_failure_retain(failure);
	if (myself && deadline.ns != INT64_MIN) {
		struct gv_cold *cold = gv_record_cold(g);

		cold->killed = true;
		gv_wait_set_last_failure(hub, failure);
		cold->last_code = GROVE_KILLED;
		gv_leave(hub);
		return GROVE_KILLED;
	}
	if (end_unrun(hub, g, failure)) {
		if (hub != NULL)
			gv_leave(hub);
		return 0;
	}
	rc = gv_kill_send(hub, g, failure);
	gv_failure_release(failure);
	if (hub != NULL)
		gv_leave(hub);
	if (rc < 0 || deadline.ns == INT64_MIN)
		return rc;
	return grove_join(g, deadline);
}

int grove_cancel(grove_greenlet *g)
{
	if (g == NULL)
		return -EINVAL;

	struct gv_hub *hub = gv_enter();
	bool done = end_unrun(hub, g, &gv_failure_exit_object);
	if (hub != NULL)
		gv_leave(hub);
	return done ? 0 : -EALREADY;
}
