/* SPDX-License-Identifier: MIT */
/*
 * sleep.c - giving way, sleeping, and staying on one hub.
 *
 * Layer   prim.  Below: wait/park.h.
 * Entry   grove_yield, grove_sleep, grove_pin.
 */
#include "base/check.h"
#include "plat/clock.h"
#include "sched/failure.h"
#include "sched/idle.h"
#include "sched/ready.h"
#include "sched/switch.h"
#include "wait/park.h"
#include "wait/waitset.h"

#include "grove/greenlet.h"

#include <errno.h>
#include <sched.h>

/* A kill that waits for the caller is taken: its code, or 0. */
static int take_kill(struct grove_greenlet *g)
{
	if (GV_LIKELY(gv_load(&g->kills, relaxed) == 0)) /* relaxed: a late one is met later */
		return 0;

	struct grove_failure *failure = gv_kill_next(g);
	if (failure == NULL)
		return 0;
	struct gv_cold *cold = gv_record_cold(g);
	gv_failure_release(cold->last_failure);
	cold->last_failure = failure;
	cold->last_code = GROVE_KILLED;
	cold->killed = true;
	return GROVE_KILLED;
}

GV_CONTEXT_CALLER int grove_yield(void)
{
	struct gv_hub *hub = gv_enter();

	if (GV_UNLIKELY(hub == NULL)) {
		if (gv_hub_self() == NULL)
			sched_yield();
		return 0;
	}
	struct grove_greenlet *g = hub->current;
	if (GV_UNLIKELY(g == &hub->root)) {
		gv_leave(hub);
		return 0;
	}
	/* A kill that is there already is met here; one that comes meanwhile, at the next wait. */
	int rc = take_kill(g);
	if (GV_LIKELY(rc == 0)) {
		if (GV_UNLIKELY(gv_load(&g->hub, relaxed) & GV_HUB_PINNED)) { /* relaxed: ours */
			gv_ready(hub, g, false);
		} else {
			gv_ready_queue(hub, (gv_item)g);
			gv_idle_notify(hub);
		}
		hub = gv_switch_away(hub);
	}
	gv_leave(hub);
	return rc;
}

GV_CONTEXT_CALLER int grove_sleep(grove_deadline deadline)
{
	if (deadline.ns == INT64_MIN)
		return 0;
	if (deadline.ns != INT64_MAX && deadline.ns <= gv_clock_ns())
		return grove_yield();

	struct gv_hub *hub = gv_enter();
	if (hub == NULL) {
		_Atomic uint64_t nowhere = 0; /* nobody delivers here, or takes the node away */
		int rc = gv_wait_on(&nowhere, 0, 0, deadline, NULL);
		struct gv_node *chain = gv_chain_of(gv_load(&nowhere, relaxed)); /* relaxed: own */
		bool alone = gv_waitset_discard(NULL, &chain);
		GV_CHECK(alone, "a sleeping pthread left %p", (void *)chain);
		return rc == -ETIMEDOUT ? 0 : rc;
	}
	if (gv_in_hub_context(hub)) {
		gv_leave(hub);
		return GROVE_IN_HUB;
	}
	struct gv_wait wait;
	gv_wait_begin(hub, &wait, 0);
	hub = gv_wait_suspend(hub, &wait, deadline, NULL);
	int rc = gv_wait_conclude(&wait, NULL);
	gv_leave(hub);
	return rc == -ETIMEDOUT ? 0 : rc;
}

int grove_pin(void)
{
	struct gv_hub *hub = gv_enter();
	int rc = 0;

	if (hub == NULL || gv_in_hub_context(hub)) {
		if (hub != NULL)
			gv_leave(hub);
		return -ESRCH;
	}
	struct grove_greenlet *g = hub->current;
	struct gv_cold *cold = gv_record_cold(g);
	uint16_t home = gv_load(&g->hub, relaxed); /* relaxed: ours */
	if (cold->pins == UINT16_MAX) {
		rc = -EOVERFLOW;
	} else {
		if (cold->pins++ == 0)
			cold->pinned_before = home;
		gv_store(&g->hub, (uint16_t)(home | GV_HUB_PINNED), relaxed); /* relaxed: ours */
	}
	gv_leave(hub);
	return rc;
}

int grove_unpin(void)
{
	struct gv_hub *hub = gv_enter();
	int rc = 0;

	if (hub == NULL || gv_in_hub_context(hub)) {
		if (hub != NULL)
			gv_leave(hub);
		return -ESRCH;
	}
	struct grove_greenlet *g = hub->current;
	struct gv_cold *cold = gv_record_cold(g);
	if (cold->pins == 0)
		rc = -EOVERFLOW;
	else if (--cold->pins == 0)
		gv_store(&g->hub, cold->pinned_before, relaxed); /* relaxed: ours */
	gv_leave(hub);
	return rc;
}
