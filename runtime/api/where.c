/* SPDX-License-Identifier: MIT */
/*
 * where.c - where the caller runs, and beside how many others.
 *
 * Layer   api.
 */
#include "api/start.h"
#include "base/check.h"
#include "sched/hub.h"

#include "grove/runtime.h"

#include <errno.h>

int grove_hub_count(void)
{
	if (gv_hub_total() == 0 || gv_api_lost())
		return 0;
	return (int)gv_load(&gv_runtime.active_hubs, relaxed); /* relaxed: follows the quota */
}

int grove_hub_id(void)
{
	struct gv_hub *hub = gv_hub_self();

	return hub != NULL ? hub->id : -ESRCH;
}

bool grove_in_greenlet(void)
{
	struct gv_hub *hub = gv_hub_self();

	return hub != NULL && !gv_in_hub_context(hub);
}

void grove_hold(void)
{
	gv_add(&gv_runtime.holds, 1, relaxed); /* relaxed: only counts */
}

void grove_unhold(void)
{
	int64_t before = gv_load(&gv_runtime.holds, relaxed); /* relaxed: the CAS decides */

	do {
		GV_DEBUG_CHECK(before > 0, "grove_unhold without grove_hold");
		if (before <= 0)
			return;
	} while (!gv_cas(&gv_runtime.holds, &before, before - 1, relaxed,
			 relaxed)); /* relaxed: same */
}
