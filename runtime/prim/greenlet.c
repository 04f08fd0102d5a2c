/* SPDX-License-Identifier: MIT */
/*
 * greenlet.c - how a greenlet runs, ends, and is waited for.
 *
 * Layer   prim.  Below: wait/park.h, sched/switch.h.
 * Owns    the end of a record's life: value, failure, the chain of those who wait for it.
 * Entry   gv_greenlet_main from the first switch; grove_join, grove_get, grove_exit from users.
 *
 * The states of a record and its references stand in record.c.  The end:
 *
 *     body returns -> arg released -> failure reported -> ENDED (CAS) -> waiters delivered
 *
 * I1  `slot` and the kind of end are written before ENDED, by the one who has the run right.
 * I2  The CAS that sets ENDED takes the chain of waiters and drops the reference of the run: after it
 *     nothing of the record is touched.
 * I3  A greenlet on whose stack a fresh one goes on has ended completely before.
 *
 * [end]    end: CAS acq_rel.  join, state: load-acquire ENDED.  What the greenlet did is visible.
 * [take]   join of a fresh child on its own deque: CAS acq_rel that sets TAKEN and puts the joiner's
 *          node in the chain at once; pairs with switch.c, kill.c.
 *
 * The single joiner that waited on this hub runs next, without a queue: half of what makes
 * fork and join cheap.  The other half is that join runs an unstarted child in place.
 */
#include "prim/greenlet.h"

#include "base/check.h"
#include "sched/failure.h"
#include "sched/ready.h"
#include "sched/report.h"
#include "sched/switch.h"
#include "wait/deliver.h"
#include "wait/park.h"
#include "wait/waitset.h"

#include "grove/greenlet.h"

#include <errno.h>
#include <stdarg.h>

static void count_out(struct gv_hub *hub)
{
	if (hub != NULL)
		gv_count(&hub->stats.ended);
	else
		gv_add(&gv_runtime.foreign_ended, 1, relaxed); /* relaxed: statistics */
	if (GV_UNLIKELY(gv_runtime.counting))
		gv_sub(&gv_runtime.live, 1, relaxed); /* relaxed: only counts */
}

bool gv_greenlet_count_in(struct gv_hub *hub)
{
	if (GV_UNLIKELY(gv_runtime.counting)) {
		uint64_t before = gv_add(&gv_runtime.live, 1, relaxed); /* relaxed: only counts */

		if (before >= gv_runtime.options.max_greenlets) {
			gv_sub(&gv_runtime.live, 1, relaxed); /* relaxed: only counts */
			return false;
		}
	}
	if (hub != NULL)
		gv_count(&hub->stats.spawned);
	else
		gv_add(&gv_runtime.foreign_spawned, 1, relaxed); /* relaxed: statistics */
	return true;
}

void gv_greenlet_count_back(struct gv_hub *hub)
{
	if (hub != NULL)
		gv_count_many(&hub->stats.spawned, UINT64_MAX); /* one less */
	else
		gv_sub(&gv_runtime.foreign_spawned, 1, relaxed); /* relaxed: statistics */
	if (GV_UNLIKELY(gv_runtime.counting))
		gv_sub(&gv_runtime.live, 1, relaxed); /* relaxed: only counts */
}

/* I2.  Returns whom to run next, if it is known. */
GV_INLINE struct grove_greenlet *publish_end(struct gv_hub *hub, struct grove_greenlet *g,
					     uint64_t kind)
{
	uint64_t done = gv_load(&g->done, relaxed); /* relaxed: the CAS decides */
	uint64_t ended;
	uint64_t sticky;

	do {
		sticky = (done & GV_DONE_REFERENCES) == GV_DONE_REFERENCES ? 0 : GV_DONE_REFERENCE;
		ended = ((done & ~GV_CHAIN_MASK) | kind) - sticky;
	} while (!gv_cas(&g->done, &done, ended, acq_rel, relaxed)); /* [end] */

	struct gv_node *chain = gv_chain_of(done);
	if (ended < GV_DONE_REFERENCE)
		gv_record_free(g, hub != NULL ? &hub->records : NULL);
	if (chain == NULL)
		return NULL;

	/* relaxed: taken.  A waiter of this hub is saved: we are running. */
	if (hub != NULL && chain->hub == hub->id && !hub->strict && gv_may_hand_over(hub) &&
	    gv_load(&chain->next, relaxed) == NULL &&
	    gv_load(&chain->kind, relaxed) == GV_NODE_WAITER && !gv_in_hub_context(hub)) {
		struct grove_greenlet *waiter = chain->waiter;
		uint64_t token = chain->token;

		gv_node_free(hub, chain);
		if (!gv_wait_claim(waiter, token, GV_CAUSE_WAKE, 0))
			return NULL;
		hub->tick_left--;
		return waiter;
	}
	gv_deliver(hub, chain, GV_CAUSE_WAKE, 0);
	return NULL;
}

static void release_arg(struct gv_extra *extra)
{
	grove_cb *release = extra->release_arg;

	if (release != NULL) {
		extra->release_arg = NULL;
		release(extra->release_with);
	}
}

/* Whether the extra has a use after the end. */
static bool extra_outlives(const struct gv_extra *extra)
{
	return extra->release_value != NULL;
}

/* Everything that an ordinary end does not have. */
static GV_NOINLINE struct grove_greenlet *
finish_slow(struct gv_hub **hub_place, struct grove_greenlet *g, struct gv_cold *cold, void *value)
{
	struct gv_hub *hub = *hub_place;
	struct gv_extra *extra = cold->extra;
	uint64_t kind = GV_DONE_ENDED;

	if (GV_UNLIKELY(extra != NULL && extra->release_arg != NULL)) {
		/* The program's code: outside the runtime, and it may find itself on another hub. */
		gv_leave(hub);
		release_arg(extra);
		hub = *hub_place = gv_enter();
	}
	if (GV_UNLIKELY(value == &gv_fail_marker)) {
		struct grove_failure *failure = cold->failing;

		cold->failing = NULL;
		if (failure == NULL)
			failure = gv_failure_make_code(-EINVAL);
		value = failure;
		kind |= gv_failure_is_exit(failure) ? GV_DONE_EXITED : GV_DONE_FAILED;
		if (kind & GV_DONE_FAILED) {
			gv_leave(hub);
			gv_report_failure(g, failure);
			hub = *hub_place = gv_enter();
			if (failure->code == GROVE_FATAL) {
				uint64_t main_id = gv_load(&gv_runtime.main_id,
							   relaxed); /* relaxed: set at start */
				struct grove_greenlet *main =
					main_id != 0 ? gv_record_lookup(main_id) : NULL;

				if (main != NULL) {
					if (main != g)
						gv_kill_send(hub, main, failure);
					gv_record_release(main, &hub->records);
				}
			}
		}
	}
	if (GV_UNLIKELY(cold->failing != NULL)) {
		gv_failure_release(cold->failing);
		cold->failing = NULL;
	}
	if (GV_UNLIKELY(cold->last_failure != NULL))
		gv_failure_release(cold->last_failure);
	if (GV_UNLIKELY(extra != NULL && !extra_outlives(extra))) {
		gv_extra_free(extra);
		extra = NULL;
	}
	if (GV_UNLIKELY(hub->fair == g)) {
		hub->fair = NULL;
		if (hub->fair_ticks > 1)
			hub->fair_ticks = (int16_t)(hub->fair_ticks - (hub->fair_ticks + 15) / 16);
	}
	g->slot = value;
	gv_store(&g->body, (uintptr_t)extra | 1, relaxed); /* relaxed: [end] follows */
	count_out(hub);
	return publish_end(hub, g, kind);
}

/* What remains of `g` is its record.  Its stack is still under our feet.  Called entered. */
GV_INLINE struct grove_greenlet *finish(struct gv_hub **hub_place, struct grove_greenlet *g,
					struct gv_cold *cold, void *value)
{
	struct gv_hub *hub = *hub_place;

	if (GV_UNLIKELY(((uintptr_t)cold->extra | (uintptr_t)cold->failing |
			 (uintptr_t)cold->last_failure) != 0 ||
			value == &gv_fail_marker || hub->fair == g || gv_runtime.counting))
		return finish_slow(hub_place, g, cold, value);
	g->slot = value;
	gv_store(&g->body, 1, relaxed); /* relaxed: [end] follows */
	gv_count(&hub->stats.ended);
	return publish_end(hub, g, GV_DONE_ENDED);
}

GV_CONTEXT_CALLER _Noreturn void gv_greenlet_main(void *arg)
{
	struct gv_hub *hub = arg;
	struct grove_greenlet *g = hub->current;

	for (;;) {
		struct gv_stack *stack = gv_record_stack(g);
		struct gv_cold *cold = (struct gv_cold *)(void *)stack->cold;

		gv_leave(hub);
		void *value = cold->fn(cold->arg);

		/* Another hub, perhaps.  Never entered already: the body is the program's. */
		hub = gv_enter();
		struct grove_greenlet *next = finish(&hub, cold->self, cold, value);
		g = gv_switch_end(hub, stack, next, true);
	}
}

GV_CONTEXT_CALLER void grove_exit(void *value)
{
	struct gv_hub *hub = gv_enter();

	GV_CHECK(hub != NULL && !gv_in_hub_context(hub), "grove_exit(%p) outside a greenlet",
		 value);
	struct gv_stack *stack = gv_record_stack(hub->current);
	struct gv_cold *cold = (struct gv_cold *)(void *)stack->cold;
	struct grove_greenlet *next = finish(&hub, cold->self, cold, value);
	gv_switch_end(hub, stack, next, false);
	__builtin_unreachable();
}

void gv_greenlet_end_unrun(struct gv_hub *hub, struct grove_greenlet *g,
			   struct grove_failure *failure)
{
	/* relaxed: we have the run right */
	struct gv_extra *extra = gv_record_extra_of(gv_load(&g->body, relaxed));

	if (extra != NULL)
		release_arg(extra);
	g->slot = failure;
	count_out(hub);

	/* The reference of the queue entry stays with the entry, now a tombstone. */
	gv_record_retain(g);
	struct grove_greenlet *next = publish_end(
		hub, g,
		GV_DONE_ENDED | (gv_failure_is_exit(failure) ? GV_DONE_EXITED : GV_DONE_FAILED));
	if (next != NULL)
		gv_ready(hub, next, true);
}

static struct grove_failure *make_failure(int code, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	struct grove_failure *failure = gv_failure_make(code, format, values);
	va_end(values);
	return failure;
}

void gv_greenlet_cannot_start(struct gv_hub *hub, struct grove_greenlet *g)
{
	struct grove_failure *failure =
		make_failure(-ENOMEM, "no stack: %s", gv_stack_limit_text());

	gv_report_failure(g, failure);
	gv_greenlet_end_unrun(hub, g, failure);
	gv_record_release(g, &hub->records); /* the reference of the run that never was */
}

/* The oldest fresh greenlet was run, and it waits for its own children: see pick_fairly in loop.c. */
static GV_NOINLINE void walk_deeper(struct gv_hub *hub)
{
	hub->fair = NULL;
	if (hub->fair_ticks < GV_FAIR_TICKS_MAX)
		hub->fair_ticks = (int16_t)GV_MIN(2 * hub->fair_ticks, GV_FAIR_TICKS_MAX);
}

/*
 * Run an unstarted child in place of the joiner.  Returns false if it cannot be done; otherwise the
 * wait is over, and *rc its code.
 */
GV_INLINE bool join_in_place(struct gv_hub **hub_place, struct grove_greenlet *g,
			     grove_deadline deadline, int *rc)
{
	struct gv_hub *hub = *hub_place;
	uint64_t done = gv_load(&g->done, relaxed); /* relaxed: the CAS decides */
	struct gv_wait wait;

	if (gv_load(&hub->current->kills, relaxed) != 0) /* relaxed: a hint */
		return false;
	struct gv_node *node = gv_node_alloc(hub);
	if (GV_UNLIKELY(node == NULL))
		return false;

	if (GV_UNLIKELY(hub->current == hub->fair))
		walk_deeper(hub);

	/* The newest entry of the own deque is taken back; any other stays as a tombstone. */
	bool popped = gv_deque_pop_if(&hub->deque, (gv_item)g | GV_ITEM_FRESH);
	gv_wait_begin(hub, &wait, 0);
	node->waiter = wait.self;
	node->token = wait.token;
	node->hub = gv_load(&wait.self->hub, relaxed);	/* relaxed: ours while we run */
	gv_store(&node->kind, GV_NODE_WAITER, relaxed); /* relaxed: [take] follows */
	for (;;) {
		struct gv_node *top = gv_chain_of(done);

		if (GV_UNLIKELY(done & (GV_DONE_TAKEN | GV_DONE_LINKED | GV_DONE_HELD)))
			break;
		gv_node_put_on(node, top);
		bool counts = !popped && (done & GV_DONE_REFERENCES) != GV_DONE_REFERENCES;
		uint64_t taken = ((done & ~GV_CHAIN_MASK) | (uintptr_t)node | GV_DONE_TAKEN) +
				 (counts ? GV_DONE_REFERENCE : 0);
		if (GV_LIKELY(gv_cas(&g->done, &done, taken, acq_rel, relaxed))) { /* [take] */
			hub->tick_left--;
			gv_store(&hub->picks, gv_load(&hub->picks, relaxed) + 1,
				 relaxed); /* relaxed: own */
			hub = gv_wait_suspend(hub, &wait, deadline, g);
			*rc = gv_wait_conclude(&wait, NULL);
			gv_ready_sweep(hub);
			*hub_place = hub;
			return true;
		}
	}
	/* Somebody else has it. */
	gv_node_free(hub, node);
	if (popped)
		gv_record_release(g, &hub->records);
	if (gv_wait_cancel(&wait))
		return false;
	*hub_place = gv_wait_suspend(hub, &wait, GROVE_NEVER, NULL); /* a kill was quicker */
	*rc = gv_wait_conclude(&wait, NULL);
	return true;
}

GV_CONTEXT_CALLER int grove_join(grove_greenlet *g, grove_deadline deadline)
{
	if (GV_UNLIKELY(g == NULL))
		return -EINVAL;

	uint64_t done = gv_load(&g->done, acquire); /* [end] */
	struct gv_hub *hub = gv_hub_self();
	if (GV_UNLIKELY(hub != NULL && hub->current == g))
		return -EDEADLK;
	if (done & GV_DONE_ENDED)
		return 0;
	if (deadline.ns == INT64_MIN)
		return -EAGAIN;

	if (!(done & (GV_DONE_TAKEN | GV_DONE_LINKED | GV_DONE_HELD))) {
		hub = gv_enter();
		if (hub != NULL) {
			int rc;
			bool over = !gv_in_hub_context(hub) && !hub->strict &&
				    gv_may_hand_over(hub) && join_in_place(&hub, g, deadline, &rc);
			gv_leave(hub);
			if (over)
				return rc;
		}
	}
	int rc = gv_wait_on(&g->done, GV_DONE_ENDED, 0, deadline, NULL);
	return rc == GV_STOPPED ? 0 : rc;
}

int grove_get(grove_greenlet *g, void **value, grove_deadline deadline)
{
	int rc = grove_join(g, deadline);

	if (GV_UNLIKELY(rc < 0))
		return rc;
	uint64_t done = gv_load(&g->done, acquire); /* [end] */
	if (GV_UNLIKELY(done & GV_DONE_FAILED)) {
		struct gv_hub *hub = gv_enter();

		gv_failure_retain(g->slot);
		gv_wait_set_last_failure(hub, g->slot);
		if (hub != NULL)
			gv_leave(hub);
		return GROVE_FAILED;
	}
	if (value != NULL)
		*value = done & GV_DONE_EXITED ? NULL : g->slot;
	return 0;
}
