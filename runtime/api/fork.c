/* SPDX-License-Identifier: MIT */
/*
 * fork.c - the child of a fork, and how it gets a runtime of its own.
 *
 * Layer   api.
 * Entry   the handlers of pthread_atfork; grove_fork_child.
 *
 *     before    everything that the child will use again stands still: reclaiming, starts and stops,
 *               the slabs, the wheels
 *     parent    goes on
 *     child     plain code, whoever forked: the pthread is no hub, its greenlet no greenlet
 *
 * Hubs, queues and stacks of the parent stay where they are in the child's memory, and nobody looks
 * at them again.  Records of greenlets that lived become ghosts: nobody can claim their waits or
 * run them, so what wakes them does nothing, and who joins them waits for ever.
 *
 * What is done in the child is relaxed: there is but one thread.
 *
 * I1  The order of the locks is that of before(); reclaiming comes first, as it may have to wait for
 *     a hub that waits for one of the others.
 */
#include "api/fork.h"

#include "api/start.h"
#include "api/stats.h"
#include "base/fault.h"
#include "prim/fd.h"
#include "prim/timer.h"
#include "sched/runtime.h"
#include "store/reclaim.h"

#include "grove/runtime.h"

#include <errno.h>
#include <pthread.h>

/* In the child: the hub that forked, until it is renewed. */
static struct gv_hub *was_hub;

static void before(void)
{
	gv_reclaim_before_fork();
	gv_start_before_fork();
	gv_slab_fork_lock(&gv_records);
	gv_slab_fork_lock(&gv_nodes);
	for (unsigned i = 0; i < gv_hub_total(); i++)
		gv_lock_acquire(&gv_hub_at(i)->wheel.lock);
}

static void unlock_stores(void)
{
	for (unsigned i = gv_hub_total(); i-- > 0;)
		gv_lock_release(&gv_hub_at(i)->wheel.lock);
	gv_slab_fork_unlock(&gv_nodes);
	gv_slab_fork_unlock(&gv_records);
}

static void after_in_parent(void)
{
	unlock_stores();
	gv_start_after_fork_parent();
	gv_reclaim_after_fork_parent();
}

static void after_in_child(void)
{
	unlock_stores();
	if (gv_hub_self() != NULL) {
		was_hub = gv_hub_self();
		gv_self_set(NULL);
	}
	/* Who asks for a hub from now on is referred to the start, which says no. */
	gv_store(&gv_runtime.hub_count, 0, relaxed); /* relaxed: the only thread */
	gv_start_after_fork_child();
	gv_reclaim_after_fork_child();
}

int gv_fork_watch(void)
{
	static bool watching; /* by who starts the runtime */

	if (watching)
		return 0;
	if (gv_fault_here("atfork") || pthread_atfork(before, after_in_parent, after_in_child) != 0)
		return -ENOMEM;
	watching = true;
	return 0;
}

static bool make_ghost(void *object, void *arg)
{
	struct grove_greenlet *g = object;
	uint64_t wait = gv_load(&g->wait, relaxed);
	uint64_t done = gv_load(&g->done, relaxed);

	(void)arg;
	if (wait & GV_WAIT_PENDING)
		gv_store(&g->wait, wait ^ (GV_WAIT_PENDING | GV_WAIT_CLAIMED), relaxed);
	if (done >= GV_DONE_REFERENCE && !(done & GV_DONE_ENDED)) {
		gv_store(&g->done, done | GV_DONE_TAKEN, relaxed);
		gv_store(&g->hub, GV_HUB_FOREIGN, relaxed);
	}
	return true;
}

static void renew(void)
{
	gv_fd_fork_child();
	if (was_hub != NULL)
		gv_reclaim_unregister(&was_hub->reader);
	was_hub = NULL;
	gv_slab_each(&gv_records, make_ghost, NULL);
	gv_timer_end_all();
	gv_runtime_forget();
	gv_stats_forget();
}

int grove_fork_child(void)
{
	return gv_start_renew(renew);
}
