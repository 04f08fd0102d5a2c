/* SPDX-License-Identifier: MIT */
/*
 * idle.c - when a hub searches for work, sleeps, and is woken.
 *
 * Layer   sched.  Below: plat/futex.h, plat/fence.h.
 * Owns    struct gv_idle, and the park words of hubs.
 * Entry   gv_idle_wait from the hub's loop; gv_idle_notify and gv_idle_wake from whoever makes
 *         something runnable.
 *
 *             no work                nothing found               (park word)
 *   RUNNING ----------> SEARCHING ------------------> announced, looks again ---> ASLEEP
 *      ^                    |                              |                        |
 *      '---- found ---------'<---------- found ------------'       woken: RUN ------'
 *      '<---------------------------------- woken as a searcher: SEARCH ------------'
 *
 * I1  While a hub sleeps, work that it might take (steal.c) has a searcher or a waker under way
 *     that will reach it, or belongs to a hub that runs and comes to it, or ages until the
 *     sentinel's next look.
 * I2  The last searcher that finds work wakes one more hub.
 * I3  What only one hub may do (its pinned inbox) or what stands in the inbox of a sleeping hub is
 *     told to that very hub: a searcher elsewhere does not count.
 * I4  Who changes the park word from asleep to something else owes the kernel wake-up, and only it.
 *
 * [search]  publish work (store); light fence; load asleep, then searching.
 *           announce: store bits, asleep and park; leave searching; heavy fence; look at all queues.
 *     Either the publisher sees a sleeper, or the sleeper's last look sees the work.  If the
 *     publisher relies on a searcher instead, that one either finds the work or announces after.
 *     A waker that found nobody to wake counts as a searcher for a moment: it looks once more after
 *     it left, for those who fell asleep and those who relied on it meanwhile.
 * [sleep]   push to an inbox (seq_cst); load park (seq_cst).
 *           announce: store park (seq_cst); fence; look at the inboxes.
 *     Either the pusher sees that the hub sleeps and wakes it, or the hub sees what was pushed.
 * [watch]   a hub that begins to run: add to running (seq_cst); load ticking.
 *           sentinel: store ticking = 0 (seq_cst); heavy fence; load running.
 *     Either the hub sees that nobody ticks, and wakes the sentinel, or the sentinel sees that
 *     somebody runs, and ticks.
 *     A sentinel that resigns: CAS sentinel = 0; load asleep, then the park words.  A hub that falls
 *     asleep: asleep, park; CAS sentinel.  All seq_cst: who fails to become the sentinel is found
 *     asleep by the one who resigns, and is woken to try again.
 * [role]    the poller: CAS of the word `poller` from 0 (taken), store of 0 (given back).
 *
 * The sentinel is one of the sleepers.  While other hubs run, or have run since its last look, it
 * sleeps for a millisecond at a time; a hub whose pick counter has not moved between two looks is
 * stuck, and may be robbed of everything that is not pinned.  A wake-up that such a hub owes is paid
 * by the sentinel, which looks into the inboxes of the other sleepers.  When nothing runs there is no
 * tick, and an idle process uses no CPU.
 *
 * One sleeper sleeps in the poller, if descriptors are watched; the others on their park words.
 *
 * Rejected: one wake-up per push (sleepers wake to find the task taken); every sleeper in one epoll
 * set (cannot wake a particular one, and wakes all).
 */
#include "sched/idle.h"

#include "base/check.h"
#include "plat/clock.h"
#include "plat/relax.h"
#include "plat/futex.h"
#include "sched/ready.h"
#include "sched/steal.h"

#define TICK_NS INT64_C(1000000)
#define STALE_POLL_NS INT64_C(1000000)
#define SPIN_LOOKS 16 /* spins between two looks at the clock and at other hubs */

struct gv_idle gv_idle;

void gv_idle_setup(unsigned hubs)
{
	/* relaxed: no hub runs yet, for all of these */
	gv_store(&gv_idle.asleep, 0, relaxed);
	gv_store(&gv_idle.searching, 0, relaxed);
	gv_store(&gv_idle.running, hubs, relaxed);
	gv_store(&gv_idle.sentinel, 0, relaxed);
	gv_store(&gv_idle.ticking, 0, relaxed);
	gv_store(&gv_idle.poller, 0, relaxed);
	gv_store(&gv_idle.polled_ns, gv_clock_ns(), relaxed);
	for (size_t i = 0; i < GV_ARRAY_LEN(gv_idle.bits); i++)
		gv_store(&gv_idle.bits[i], 0, relaxed);
}

/* I4: the kernel's part of a wake-up. */
static void ring(struct gv_hub *target, uint32_t park)
{
	if (park == GV_PARK_POLL)
		gv_runtime.hooks.interrupt_poll();
	else
		gv_futex_wake(&target->park, 1);
}

static bool asleep(uint32_t park)
{
	return park == GV_PARK_FUTEX || park == GV_PARK_POLL;
}

void gv_idle_wake(struct gv_hub *target)
{
	uint32_t park = gv_load(&target->park, seq_cst); /* [sleep] */

	while (asleep(park)) {
		if (gv_cas(&target->park, &park, GV_PARK_RUN, seq_cst, seq_cst)) { /* [sleep] I4 */
			ring(target, park);
			return;
		}
	}
}

/* Make one sleeper a searcher; the caller has counted it. */
static bool wake_one(void)
{
	for (size_t i = 0; i < GV_ARRAY_LEN(gv_idle.bits); i++) {
		uint64_t set = gv_load(&gv_idle.bits[i], seq_cst); /* [search] */

		for (; set != 0; set &= set - 1) {
			struct gv_hub *target =
				gv_hub_at((unsigned)i * 64 + (unsigned)__builtin_ctzll(set));
			uint32_t park = gv_load(&target->park, seq_cst); /* [search] */

			/* relaxed: follows the quota, late if need be */
			if (gv_load(&target->retired, relaxed))
				continue;
			while (asleep(park)) {
				/* [search] I4 */
				if (gv_cas(&target->park, &park, GV_PARK_SEARCH, seq_cst,
					   seq_cst)) {
					ring(target, park);
					return true;
				}
			}
		}
		if ((i + 1) * 64 >= gv_hub_total())
			break;
	}
	return false;
}

void gv_idle_wake_any(void)
{
	while (gv_load(&gv_idle.asleep, seq_cst) != 0) { /* [search] */
		uint32_t none = 0;

		if (!gv_cas(&gv_idle.searching, &none, 1, seq_cst, seq_cst)) /* [search] */
			return;
		if (wake_one())
			return;
		gv_sub(&gv_idle.searching, 1, seq_cst); /* [search] */

		/* Those that were passed over may be retired or on their way out. */
		bool left = false;
		for (size_t i = 0; i < gv_hub_total() && !left; i++) {
			struct gv_hub *hub = gv_hub_at((unsigned)i);
			left = asleep(gv_load(&hub->park, seq_cst)) && /* [search] */
			       !gv_load(&hub->retired, relaxed);       /* relaxed: as above */
		}
		if (!left)
			return;
	}
}

static void start_searching(void)
{
	gv_add(&gv_idle.searching, 1, seq_cst); /* [search] */
}

/* I2 */
static void found_work(void)
{
	if (gv_sub(&gv_idle.searching, 1, seq_cst) == 1) /* [search] */
		gv_idle_wake_any();
}

static bool own_work(struct gv_hub *hub)
{
	return !gv_inbox_empty(&hub->shared) || !gv_inbox_empty(&hub->pinned) ||
	       gv_load(&gv_runtime.stopping, relaxed) != 0 || /* relaxed: a wake-up follows it */
	       gv_wheel_next_ns(&hub->wheel) <= gv_clock_ns();
}

/* What was moved here by a theft, fresh greenlets too, or by a poll. */
static bool own_items(struct gv_hub *hub)
{
	return gv_fifo_size(&hub->fifo) + gv_deque_size(&hub->deque) != 0;
}

/* Every other hub once, beginning at a random one.  With `take`, take; else only look. */
static bool search(struct gv_hub *hub, bool take)
{
	unsigned total = gv_hub_total();
	unsigned first = gv_rng_below(&hub->rng, total);

	if (gv_load(&hub->retired, relaxed)) /* relaxed: follows the quota, late if need be */
		return false;
	for (unsigned i = 0; i < total; i++) {
		struct gv_hub *victim = gv_hub_at((first + i) % total);

		if (victim == hub || !gv_steal_worth(victim))
			continue;
		if (!take || gv_steal_from(hub, victim, false))
			return true;
	}
	return false;
}

/* Search for up to `spin_ns`.  True: there is something in the queues or inboxes. */
static bool spin(struct gv_hub *hub, int64_t spin_ns)
{
	int64_t until = 0;

	for (unsigned round = 0;; round++) {
		if (!gv_inbox_empty(&hub->shared) || !gv_inbox_empty(&hub->pinned))
			return true;
		if (round % SPIN_LOOKS == 0) {
			int64_t now = gv_clock_ns();

			if (own_work(hub) || search(hub, true))
				return true;
			if (until == 0)
				until = now + spin_ns;
			if (now >= until)
				return false;
			gv_reclaim_quiescent();
		}
		gv_cpu_relax();
	}
}

/* How long spinning pays: long only if the last sleep was cut short by another hub. */
static int64_t spin_time(const struct gv_hub *hub)
{
	int64_t most = gv_runtime.options.spin_ns;

	return hub->woken_soon ? most : most / 16;
}

/* Note who moves and who does not. */
static void sample_picks(struct gv_hub *hub)
{
	for (unsigned i = 0; i < gv_hub_total(); i++) {
		struct gv_hub *other = gv_hub_at(i);

		if (other != hub)
			other->picks_seen = gv_load(&other->picks, relaxed); /* relaxed: a hint */
	}
}

/* The sentinel's look.  Returns whether it found work; *moved: somebody ran since the last look. */
static bool watch(struct gv_hub *hub, bool *moved)
{
	bool found = false;

	*moved = false;
	/* Before the hubs: whom it wakes may be taken from a stuck home below.  relaxed: a hint */
	if (gv_runtime.hooks.poll_wanted() &&
	    gv_clock_ns() - gv_load(&gv_idle.polled_ns, relaxed) > STALE_POLL_NS)
		gv_runtime.hooks.poll(hub, 0);
	for (unsigned i = 0; i < gv_hub_total(); i++) {
		struct gv_hub *other = gv_hub_at(i);
		uint64_t picks = gv_load(&other->picks, relaxed); /* relaxed: a hint */

		if (other == hub)
			continue;
		if (picks != other->picks_seen) {
			*moved = true;
		} else if (gv_load(&other->park, seq_cst) == GV_PARK_RUN) { /* [watch] */
			gv_store(&other->stuck_at, picks, relaxed);	    /* relaxed: a hint */
			found |= gv_steal_from(hub, other, true);
		} else if (!gv_inbox_empty(&other->shared) || !gv_inbox_empty(&other->pinned)) {
			gv_idle_wake(other); /* somebody computes, and owes it this wake-up */
		}
		other->picks_seen = picks;
	}
	return found || own_items(hub);
}

/* The role passes on: somebody has to watch while this hub works. */
static void resign(struct gv_hub *hub)
{
	uint32_t mine = hub->id + 1u;

	if (!gv_cas(&gv_idle.sentinel, &mine, 0, seq_cst, seq_cst)) /* [watch] */
		return;
	if (gv_load(&gv_idle.asleep, seq_cst) == 0) /* [watch] */
		return;
	for (unsigned i = 0; i < gv_hub_total(); i++) {
		struct gv_hub *other = gv_hub_at(i);

		if (asleep(gv_load(&other->park, seq_cst))) { /* [watch] */
			gv_idle_wake(other);
			return;
		}
	}
}

/* Sleep once, announced and looked around already. */
static void sleep_once(struct gv_hub *hub, uint32_t park, int64_t until)
{
	gv_count(&hub->stats.sleeps);
	gv_reclaim_offline();
	if (park == GV_PARK_POLL) {
		int64_t left = -1;

		if (until != INT64_MAX) {
			int64_t now = gv_clock_ns();
			left = until > now ? until - now : 0;
		}
		if (gv_load(&hub->park, seq_cst) == GV_PARK_POLL) /* [sleep] */
			gv_runtime.hooks.poll(hub, left);
	} else {
		gv_futex_wait(&hub->park, park, until);
	}
	gv_reclaim_online();
}

static uint32_t choose_park(struct gv_hub *hub)
{
	uint32_t nobody = 0;

	if (gv_runtime.hooks.poll_wanted() && gv_cas(&gv_idle.poller, &nobody, hub->id + 1u,
						     seq_cst, relaxed)) /* relaxed: taken; [role] */
		return GV_PARK_POLL;
	return GV_PARK_FUTEX;
}

static void leave_poller(struct gv_hub *hub, uint32_t park)
{
	if (park == GV_PARK_POLL) {
		gv_store(&gv_idle.polled_ns, gv_clock_ns(), relaxed); /* relaxed: a hint */
		gv_store(&gv_idle.poller, 0, seq_cst);		      /* [role] */
	}
	(void)hub;
}

/*
 * Announce, look again, sleep.  `counted`: the caller is a searcher.  Returns whether the hub comes
 * back as a searcher.
 */
static bool sleep_announced(struct gv_hub *hub, bool counted)
{
	bool alone = gv_hub_total() == 1;
	uint32_t park = choose_park(hub);
	uint64_t bit = UINT64_C(1) << (hub->id % 64);
	uint32_t nobody = 0;

	gv_or(&gv_idle.bits[hub->id / 64], bit, seq_cst); /* [search] */
	gv_add(&gv_idle.asleep, 1, seq_cst);		  /* [search] */
	gv_xchg(&hub->park, park, seq_cst);		  /* [sleep] */
	/* After the park word: a sentinel that resigns finds one who failed here asleep. */
	bool sentinel =
		!alone && (gv_cas(&gv_idle.sentinel, &nobody, hub->id + 1u, seq_cst, seq_cst) ||
			   nobody == hub->id + 1u); /* [watch] */
	gv_sub(&gv_idle.running, 1, seq_cst);	    /* [watch] */
	if (counted)
		gv_sub(&gv_idle.searching, 1, seq_cst); /* [search] */
	if (sentinel) {
		sample_picks(hub);
		gv_store(&gv_idle.ticking, 0, seq_cst); /* [watch] */
	}
	if (alone)
		gv_fence_full(); /* [sleep] */
	else
		gv_fence_heavy(); /* [search] */

	bool moved = true; /* tick at least once after work */
	bool work = own_work(hub) || search(hub, false);
	while (!work && asleep(gv_load(&hub->park, seq_cst))) { /* [sleep] */
		int64_t until = gv_wheel_next_ns(&hub->wheel);

		if (sentinel) {
			/* [watch] */
			bool tick = moved || gv_load(&gv_idle.running, seq_cst) != 0;
			gv_store(&gv_idle.ticking, tick, seq_cst); /* [watch] */
			if (!tick) {
				gv_fence_heavy();				/* [watch] */
				tick = gv_load(&gv_idle.running, seq_cst) != 0; /* [watch] */
				gv_store(&gv_idle.ticking, tick, seq_cst);	/* [watch] */
			}
			if (tick)
				until = GV_MIN(until, gv_clock_ns() + TICK_NS);
		}
		sleep_once(hub, park, until);
		if (sentinel)
			work = watch(hub, &moved);
		/* What a poll or the sentinel moved here is in the own queues. */
		work = work || own_work(hub) || own_items(hub);
	}

	/* Back, woken or of our own accord (I4: then nobody owes us a wake-up). */
	uint32_t was = gv_xchg(&hub->park, GV_PARK_RUN, seq_cst); /* [sleep] */
	leave_poller(hub, park);
	gv_and(&gv_idle.bits[hub->id / 64], ~bit, seq_cst); /* [search] */
	gv_sub(&gv_idle.asleep, 1, seq_cst);		    /* [search] */
	gv_add(&gv_idle.running, 1, seq_cst);		    /* [watch] */
	if (sentinel) {
		resign(hub);
	} else if (!alone && gv_load(&gv_idle.ticking, seq_cst) == 0) { /* [watch] */
		uint32_t watcher = gv_load(&gv_idle.sentinel, seq_cst); /* [watch] */

		if (watcher != 0 && watcher != hub->id + 1u)
			gv_idle_wake(gv_hub_at(watcher - 1));
	}
	return was == GV_PARK_SEARCH;
}

void gv_idle_wait(struct gv_hub *hub)
{
	bool others = gv_hub_total() > 1;
	bool counted = false;

	/* At most half of the hubs that run search; the others go straight to sleep, looking once. */
	/* relaxed: a hint */
	if (others && !gv_load(&hub->retired, relaxed) &&
	    2 * gv_load(&gv_idle.searching, relaxed) < gv_load(&gv_idle.running, relaxed)) {
		start_searching();
		counted = true;
	}
	for (;;) {
		if (counted || gv_runtime.options.spin_ns > 0) {
			if (spin(hub, counted ? spin_time(hub) : 0)) {
				if (counted)
					found_work();
				return;
			}
		}
		int64_t before = gv_clock_ns();
		counted = sleep_announced(hub, counted);
		hub->woken_soon = gv_clock_ns() - before < 4 * gv_runtime.options.spin_ns;
		if (!counted)
			return;
		/* Woken as a searcher: look around at once. */
		if (own_work(hub) || own_items(hub) || search(hub, true)) {
			found_work();
			return;
		}
	}
}
