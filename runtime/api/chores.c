/* SPDX-License-Identifier: MIT */
/*
 * chores.c - what some hub does now and then: giving memory back, following the quota.
 *
 * Layer   api.  Below: sched/loop.h has the clock.
 * Entry   gv_chores_begin and _end from start.c; work() from some hub's loop, a few times a second.
 *
 * Nothing wakes up for a chore: a process that does nothing makes no garbage, and needs no other
 * number of hubs.  The first hub that works again sees that it is time.
 *
 * [chore]  begin: the function, then store-release its time.  sched/loop.c: load-acquire of the time,
 *          then the function.
 */
#include "api/chores.h"

#include "api/quota.h"
#include "sched/loop.h"
#include "store/reclaim.h"

#define EVERY_NS INT64_C(250000000)

/* A trim is under way from trim_begin to trim_finish, and there is one at a time of each slab. */
static struct gv_reclaim_node records_node, nodes_node;

static void trim(struct gv_slab *slab, struct gv_reclaim_node *node)
{
	if (gv_slab_trim_begin(slab) != 0)
		gv_reclaim_retire(node, gv_slab_trim_finish, slab);
}

static void work(int64_t now)
{
	int64_t due = gv_load(&gv_loop_chore_ns, relaxed); /* relaxed: the CAS picks one hub */

	/* relaxed: whoever is a moment late does nothing */
	if (due > now || !gv_cas(&gv_loop_chore_ns, &due, now + EVERY_NS, relaxed, relaxed))
		return;
	trim(&gv_records, &records_node);
	trim(&gv_nodes, &nodes_node);
	gv_quota_look(now);
}

void gv_chores_begin(void)
{
	gv_store(&gv_loop_chore, work, relaxed); /* relaxed: [chore] follows */
	gv_store(&gv_loop_chore_ns, 0, release); /* [chore] */
}

void gv_chores_end(void)
{
	gv_store(&gv_loop_chore_ns, INT64_MAX, relaxed); /* relaxed: no hub runs */
}
