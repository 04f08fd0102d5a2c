/* SPDX-License-Identifier: MIT */
/*
 * steal.c - what a hub without work takes from others.
 *
 * Layer   sched.  Below: store/fifo.h, deque.h, inbox.h, timer_wheel.h.
 * Entry   gv_steal_from, from a searching hub (idle.c) and from the sentinel.
 *
 * From a hub that works: the older half of its FIFO or of its deque, but never a lone item, which
 * its owner runs at its next switch; taking that would tear apart two greenlets that talk to each
 * other, and costs a cache-line transfer each way.  From a hub that sleeps: its inbox, if somebody
 * filled it.  From a hub that is stuck in a computation: everything that is not pinned.
 *
 * [saved]  A greenlet may be in the victim's FIFO or inbox before its registers are saved
 *          (switch.c I2).  It is put back into the victim's inbox: the victim is just switching.
 * [sleep]  As in ready.c: who pushes to an inbox looks at the park word next.
 */
#include "sched/steal.h"

#include "plat/clock.h"
#include "sched/idle.h"
#include "sched/ready.h"

static void keep(struct gv_hub *hub, struct gv_hub *victim, gv_item item, bool fresh_to_deque)
{
	if ((item & GV_ITEM_BITS) == 0) {
		struct grove_greenlet *g = gv_item_record(item);

		if (gv_load(&g->context, acquire) == NULL) {	  /* [saved] */
			gv_inbox_push(&victim->shared, &g->link); /* [sleep] */
			gv_idle_wake(victim); /* it may have gone to sleep since */
			return;
		}
	}
	if (fresh_to_deque && gv_deque_push(&hub->deque, item) == 0)
		return;
	gv_ready_queue(hub, item);
}

static bool take_inbox(struct gv_hub *hub, struct gv_hub *victim)
{
	struct gv_link *link = gv_inbox_take(&victim->shared);
	struct gv_link *unsaved = NULL;
	struct gv_link *sorted = NULL;
	struct gv_link **end = &sorted;

	/* Split: what is not saved yet goes back. */
	while (link != NULL) {
		struct gv_link *next = gv_load(&link->next, relaxed); /* relaxed: ours */
		struct grove_greenlet *g = GV_CONTAINER_OF(link, struct grove_greenlet, link);
		bool record = ((uintptr_t)link & (GV_CACHE_LINE - 1)) ==
			      offsetof(struct grove_greenlet, link);

		if (record && gv_load(&g->context, acquire) == NULL) { /* [saved] */
			gv_store(&link->next, unsaved, relaxed);       /* relaxed: ours */
			unsaved = link;
		} else {
			*end = link;
			end = (struct gv_link **)(void *)&link->next;
		}
		link = next;
	}
	*end = NULL;
	while (unsaved != NULL) {
		struct gv_link *next = gv_load(&unsaved->next, relaxed); /* relaxed: ours */
		gv_inbox_push(&victim->shared, unsaved);		 /* [sleep] */
		unsaved = next;
		gv_idle_wake(victim); /* it may have gone to sleep since */
	}
	if (sorted == NULL)
		return false;
	gv_count(&hub->stats.inbox_passes);
	gv_ready_sort_in(hub, sorted);
	return true;
}

static bool take_timers(struct gv_hub *hub, struct gv_hub *victim, int64_t now)
{
	struct gv_wheel_fired fired[32];
	size_t count;

	if (gv_wheel_next_ns(&victim->wheel) > now ||
	    gv_wheel_try_expire(&victim->wheel, now, fired, GV_ARRAY_LEN(fired), &count) < 0)
		return false;
	for (size_t i = 0; i < count; i++)
		gv_runtime.hooks.timer_due(hub, fired[i].cookie);
	return count != 0;
}

bool gv_steal_worth(struct gv_hub *victim)
{
	return gv_fifo_size(&victim->fifo) > 1 || gv_deque_size(&victim->deque) > 1 ||
	       (gv_load(&victim->park, relaxed) != GV_PARK_RUN && /* relaxed: idle.c fences */
		!gv_inbox_empty(&victim->shared));
}

bool gv_steal_from(struct gv_hub *hub, struct gv_hub *victim, bool stuck)
{
	bool moved = false;

	gv_count(&hub->stats.steals_tried);
	size_t count = gv_fifo_steal(&victim->fifo, &hub->thief, stuck, hub->loot, GV_LOOT_MAX);
	for (size_t i = 0; i < count; i++)
		keep(hub, victim, hub->loot[i], false);
	gv_count_many(&hub->stats.steals_won, count);
	moved |= count != 0;

	if (!moved || stuck) {
		count = gv_deque_steal(&victim->deque, &hub->thief, stuck, hub->loot, GV_LOOT_MAX);
		for (size_t i = 0; i < count; i++)
			keep(hub, victim, hub->loot[i], true);
		gv_count_many(&hub->stats.steals_won, count);
		moved |= count != 0;
	}
	/* First the timers: those whose sleep they end go to the victim's inbox. */
	if (stuck)
		moved |= take_timers(hub, victim, gv_clock_ns());
	/* relaxed: a hint; idle.c fences before its last look */
	if (stuck || gv_load(&victim->park, relaxed) != GV_PARK_RUN)
		moved |= take_inbox(hub, victim);
	return moved;
}
