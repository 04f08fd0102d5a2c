/* SPDX-License-Identifier: MIT */
/*
 * stats.c - adding up what the hubs have counted.
 *
 * Layer   api.
 * Owns    what the counters were when the runtime was started last.
 * Entry   gv_stats_begin from start.c; grove_stats_read.
 *
 * Hubs count for themselves and never start again at zero, as they outlive the runtime; a total is
 * what has come since the last start.  So totals stand still after a stop.
 *
 * All loads are relaxed: each number is true for some moment, and nothing follows from two of them.
 */
#include "api/stats.h"

#include "api/start.h"
#include "plat/lock.h"
#include "sched/hub.h"
#include "sched/idle.h"
#include "sched/report.h"

#include "grove/stats.h"

#include <errno.h>
#include <string.h>

/* Size of the structure in the first release. */
#define FIRST_SIZE (offsetof(grove_stats, stacks_refused) + sizeof(uint64_t))

struct totals {
	uint64_t spawned, ended, failed;
	uint64_t switches, steals_tried, steals_won, inbox_passes;
	uint64_t wakeups, sleeps, polls, polls_ready;
	uint64_t callbacks, timers_fired, stacks_refused;
};

static struct gv_lock lock;

/* Under the lock. */
static unsigned most_hubs; /* of any start */
static struct totals before;

static void add_up_locked(struct totals *sum)
{
	*sum = (struct totals){ 0 };

	/* Ends first: whoever is counted as ended is counted as spawned, too. */
	sum->ended = gv_load(&gv_runtime.foreign_ended, relaxed); /* relaxed: statistics */
	for (unsigned i = 0; i < most_hubs; i++)
		sum->ended +=
			gv_load(&gv_hub_at(i)->stats.ended, relaxed); /* relaxed: statistics */

	/* relaxed: statistics, all of them */
	sum->spawned = gv_load(&gv_runtime.foreign_spawned, relaxed);
	sum->failed = gv_load(&gv_report_failures, relaxed);
	for (unsigned i = 0; i < most_hubs; i++) {
		struct gv_hub_stats *hub = &gv_hub_at(i)->stats;

		sum->spawned += gv_load(&hub->spawned, relaxed);
		sum->switches += gv_load(&hub->switches, relaxed);
		sum->steals_tried += gv_load(&hub->steals_tried, relaxed);
		sum->steals_won += gv_load(&hub->steals_won, relaxed);
		sum->inbox_passes += gv_load(&hub->inbox_passes, relaxed);
		sum->wakeups += gv_load(&hub->wakeups, relaxed);
		sum->sleeps += gv_load(&hub->sleeps, relaxed);
		sum->polls += gv_load(&hub->polls, relaxed);
		sum->polls_ready += gv_load(&hub->polls_ready, relaxed);
		sum->callbacks += gv_load(&hub->callbacks, relaxed);
		sum->timers_fired += gv_load(&hub->timers_fired, relaxed);
		sum->stacks_refused += gv_load(&hub->stacks_refused, relaxed);
	}
}

void gv_stats_begin(void)
{
	gv_lock_acquire(&lock);
	add_up_locked(&before);
	gv_lock_release(&lock);
}

void gv_stats_begun(unsigned hubs)
{
	gv_lock_acquire(&lock);
	most_hubs = GV_MAX(most_hubs, hubs);
	gv_lock_release(&lock);
}

void gv_stats_forget(void)
{
	lock = (struct gv_lock){ 0 };
	most_hubs = 0;
	add_up_locked(&before);
}

/* Levels of what only hubs have. */
static void read_hubs(grove_stats *out)
{
	unsigned total = gv_api_lost() ? 0 : gv_hub_total();

	if (total == 0)
		return;
	out->hubs = gv_load(&gv_runtime.active_hubs, relaxed);	/* relaxed: statistics */
	out->hubs_sleeping = gv_load(&gv_idle.asleep, relaxed); /* relaxed: statistics */
	for (unsigned i = 0; i < total; i++) {
		struct gv_hub *hub = gv_hub_at(i);

		/* What stands in an inbox cannot be counted from outside; it is soon out of it. */
		out->runnable += gv_fifo_size(&hub->fifo) + gv_deque_size(&hub->deque) +
				 !gv_inbox_empty(&hub->shared) + !gv_inbox_empty(&hub->pinned);
		out->timers += gv_wheel_armed_count(&hub->wheel);
	}
	out->hubs_sleeping = GV_MIN(out->hubs_sleeping, out->hubs);
}

static void read_totals_locked(grove_stats *out)
{
	struct totals now;

	add_up_locked(&now);
	out->live = now.spawned > now.ended ? now.spawned - now.ended : 0;
	out->spawned = now.spawned - before.spawned;
	out->failed = now.failed - before.failed;
	out->switches = now.switches - before.switches;
	out->steals_tried = now.steals_tried - before.steals_tried;
	out->steals_won = now.steals_won - before.steals_won;
	out->inbox_passes = now.inbox_passes - before.inbox_passes;
	out->wakeups = now.wakeups - before.wakeups;
	out->sleeps = now.sleeps - before.sleeps;
	out->polls = now.polls - before.polls;
	out->polls_ready = now.polls_ready - before.polls_ready;
	out->callbacks = now.callbacks - before.callbacks;
	out->timers_fired = now.timers_fired - before.timers_fired;
	out->stacks_refused = now.stacks_refused - before.stacks_refused;
}

/* Their owners count without atomics; a number that is a little old does no harm. */
#if GV_TSAN
#define READ_RACILY __attribute__((no_sanitize("thread")))
#else
#define READ_RACILY
#endif

READ_RACILY static uint64_t stacks_in_caches(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < gv_hub_total(); i++)
		sum += *(volatile size_t *)&gv_hub_at(i)->stacks.count;
	return sum;
}

static void read_stacks(grove_stats *out)
{
	struct gv_stack_stats stacks;
	uint64_t cached = stacks_in_caches();

	gv_stack_stats(&stacks);
	out->stacks_in_use = stacks.out > cached ? stacks.out - cached : 0;
	out->stacks_cached = stacks.free_warm + stacks.free_cold + stacks.out - out->stacks_in_use;
	out->stacks_high_water = stacks.peak_out;
	out->stacks_guarded_madvise = stacks.guard_advised;
	out->stacks_guarded_mprotect = stacks.guard_protected;
	out->stacks_guarded_canary = stacks.guard_canary;
	out->stacks_unguarded = stacks.unguarded;
}

int grove_stats_read(grove_stats *stats)
{
	grove_stats out = GROVE_STATS_INIT;

	if (stats == NULL || stats->size < FIRST_SIZE)
		return -EINVAL;

	size_t wanted = stats->size;
	read_hubs(&out);
	gv_lock_acquire(&lock);
	read_totals_locked(&out);
	gv_lock_release(&lock);
	read_stacks(&out);

	/* A program that is newer than the library asks for more than there is. */
	if (wanted > sizeof(out))
		memset((char *)stats + sizeof(out), 0, wanted - sizeof(out));
	memcpy(stats, &out, GV_MIN(wanted, sizeof(out)));
	stats->size = wanted;
	return 0;
}
