/* SPDX-License-Identifier: MIT */
/*
 * hooks.c - the upward calls of the scheduler, in one table.
 *
 * Layer   api.
 *
 * A timer's cookie is the address of what it is about, at least 8-byte aligned, and a tag that says
 * what that is; the second word is that one's own.
 *
 *     tag 0   a record: the deadline of its wait       wait/park.c
 *         1   a timer of the program                   prim/timer.c
 *         2   a record: the date of its start          prim/spawn.c
 */
#include "api/hooks.h"

#include "base/check.h"
#include "prim/fd.h"
#include "prim/greenlet.h"
#include "prim/spawn.h"
#include "prim/timer.h"
#include "sched/runtime.h"
#include "wait/deliver.h"
#include "wait/park.h"

#define TAG_BITS UINT64_C(7)

enum { TAG_WAIT = 0, TAG_TIMER = 1, TAG_START = 2 };

static void run_node(struct gv_hub *hub, void *object)
{
	struct gv_node *node = object;

	switch (gv_load(&node->kind, relaxed)) { /* relaxed: came out of a queue */
	case GV_NODE_JOB:
	case GV_NODE_SORTED:
		gv_deliver_go_on(hub, node);
		break;
	case GV_NODE_CALL:
		gv_timer_run_node(hub, node);
		break;
	default:
		GV_CHECK(false, "node %p of kind %d in a queue", object, node->kind);
	}
}

static void timer_due(struct gv_hub *hub, const uint64_t cookie[2])
{
	gv_count(&hub->stats.timers_fired);
	switch (cookie[0] & TAG_BITS) {
	case TAG_WAIT:
		gv_wait_timer_due(hub, cookie);
		break;
	case TAG_TIMER:
		gv_timer_due(hub, cookie);
		break;
	case TAG_START:
		gv_spawn_timer_due(hub, cookie);
		break;
	default:
		GV_CHECK(false, "timer with cookie %llx", (unsigned long long)cookie[0]);
	}
}

static void cannot_start(struct gv_hub *hub, struct grove_greenlet *g)
{
	gv_count(&hub->stats.stacks_refused);
	gv_greenlet_cannot_start(hub, g);
}

const struct gv_hooks gv_api_hooks = {
	.run_node = run_node,
	.timer_due = timer_due,
	.poll = gv_fd_poll,
	.interrupt_poll = gv_fd_interrupt,
	.poll_wanted = gv_fd_wanted,
	.wake_foreign = gv_wait_wake_foreign,
	.main = gv_greenlet_main,
	.drop_kills = gv_kill_drop_all,
	.ensure = gv_api_ensure,
	.cannot_start = cannot_start,
};
