/* SPDX-License-Identifier: MIT */
/*
 * quota.c - following the CPU affinity and the quota of the control group.
 *
 * Layer   api.  Below: plat/os.h reads them.
 * Owns    how many hubs are active.
 * Entry   gv_quota_begin and _end from start.c; gv_quota_look from chores.c.
 *
 * Hubs that are pinned each see only their own CPU, so the affinity is then taken as it was at the
 * start.
 */
#include "api/quota.h"

#include "base/atomic.h"
#include "base/compiler.h"
#include "plat/os.h"
#include "sched/report.h"
#include "sched/runtime.h"

#define LOOK_EVERY_NS INT64_C(1000000000)

/* When to look next; INT64_MAX: never. */
static _Atomic int64_t due_ns = INT64_MAX;

static unsigned (*ask_instead)(void);

static unsigned allowed_now(void)
{
	struct gv_hub *hub = gv_hub_self();

	if (ask_instead != NULL)
		return ask_instead();
	if (hub == NULL || hub->cpu < 0)
		return gv_os_cpu_count();
	unsigned quota = gv_os_cpu_quota("/proc/self/cgroup", "/proc/self/mountinfo");
	return quota != 0 ? quota : gv_hub_total();
}

void gv_quota_look(int64_t now_ns)
{
	int64_t due = gv_load(&due_ns, relaxed); /* relaxed: one hub at a time */

	if (due == INT64_MAX || (now_ns < due && ask_instead == NULL))
		return;
	gv_store(&due_ns, now_ns + LOOK_EVERY_NS, relaxed); /* relaxed: one hub at a time */

	unsigned allowed = allowed_now();
	unsigned total = gv_hub_total();
	unsigned wanted = GV_MAX(1u, GV_MIN(allowed, total));
	unsigned active =
		gv_load(&gv_runtime.active_hubs, relaxed); /* relaxed: only we change it */
	if (wanted == active)
		return;
	gv_log(GROVE_LOG_INFO, "CPU quota: %u hubs take work now, not %u", wanted, active);
	gv_runtime_set_active(wanted);
}

void gv_quota_begin(bool follow, unsigned active)
{
	if (active < gv_hub_total())
		gv_runtime_set_active(active);
	gv_store(&due_ns, follow ? 0 : INT64_MAX, relaxed); /* relaxed: seen late, looked at late */
}

void gv_quota_end(void)
{
	gv_store(&due_ns, INT64_MAX, relaxed); /* relaxed: no hub runs */
}

void gv_quota_ask(unsigned (*ask)(void))
{
	ask_instead = ask;
}
