/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - new greenlets, at once, later, or when told.
 *
 * Layer   prim.  Below: sched/ready.h, store/timer_wheel.h.
 * Owns    the way of a record from birth to its first queue entry.
 * Entry   grove_spawn and its relatives, grove_greenlet_start.
 *
 *               started: reference of the entry added, HELD cleared (CAS)
 *     HELD -------------------------------------------------------------> queued
 *       |      armed: reference of the timer added; due: it becomes the entry's
 *       '---- killed or cancelled: TAKEN, whoever comes later drops its reference
 *
 * I1  Of a start, a due timer, a kill and a cancel exactly one gets past its CAS of the done word.
 * I2  A record that waits for a date has HELD set and a reference for the timer; if the date is never,
 *     there is no timer and none for it.
 *
 * [start]  CAS acq_rel of done that clears HELD; pairs with the kill's CAS that sets TAKEN (kill.c).
 *          After arming: RMW acq_rel of done.  Either it sees TAKEN, or the kill sees the timer.
 */
#include "prim/spawn.h"

#include "base/check.h"
#include "base/fault.h"
#include "base/memory.h"
#include "plat/clock.h"
#include "prim/greenlet.h"
#include "sched/idle.h"
#include "sched/label.h"
#include "sched/ready.h"

#include "grove/greenlet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAG_START 2

struct gv_extra *gv_extra_new(size_t copy_bytes)
{
	if (gv_fault_here("greenlet extra"))
		return NULL;
	if (copy_bytes > SIZE_MAX - sizeof(struct gv_extra))
		return NULL;
	return gv_zalloc(sizeof(struct gv_extra) + copy_bytes);
}

/* The program's hook, outside the runtime.  Entered again afterwards. */
static inline struct gv_hub *tell_of_start(struct gv_hub *hub, struct grove_greenlet *g)
{
	if (GV_LIKELY(gv_runtime.options.on_spawn == NULL))
		return hub;
	if (hub != NULL)
		gv_leave(hub);
	gv_runtime.options.on_spawn(g, gv_runtime.options.hook_arg);
	return gv_enter();
}

int gv_spawn(grove_greenlet **out, grove_fn *fn, void *arg, struct gv_extra *extra, uint64_t flags,
	     unsigned home)
{
	struct gv_hub *hub = gv_enter();
	struct grove_greenlet *g;
	int rc = 0;

	if (GV_UNLIKELY(hub == NULL && gv_runtime.hooks.ensure == NULL))
		return -ESHUTDOWN;
	if (GV_UNLIKELY(hub == NULL))
		rc = gv_runtime.hooks.ensure();
	if (GV_UNLIKELY(rc < 0))
		return rc;
	if (GV_UNLIKELY(gv_load(&gv_runtime.draining, relaxed) !=
			0)) { /* relaxed: the sweep looks again */
		rc = -ESHUTDOWN;
		goto leave;
	}
	if (home == GV_HUB_FOREIGN)
		home = hub != NULL ? hub->id : 0;
	else if ((home & GV_HUB_NUMBER) >= gv_hub_total()) {
		rc = -EINVAL;
		goto leave;
	}
	if (GV_UNLIKELY(!gv_greenlet_count_in(hub))) {
		rc = -EAGAIN;
		goto leave;
	}
	g = GV_LIKELY(hub != NULL) ? gv_slab_alloc(&hub->records)
				   : gv_slab_alloc_shared(&gv_records);
	if (GV_UNLIKELY(g == NULL)) {
		gv_greenlet_count_back(hub);
		rc = -ENOMEM;
		goto leave;
	}
	if (GV_UNLIKELY(!(flags & GV_DONE_HELD) && !gv_ready_local_start(hub, (uint16_t)home)))
		flags |= GV_DONE_LINKED;
	if (!(flags & GV_DONE_HELD))
		flags += GV_DONE_REFERENCE;
	if (out != NULL)
		flags += GV_DONE_REFERENCE;
	gv_record_begin(g, fn, arg, extra, flags, (uint16_t)home);
	if (out != NULL)
		*out = g;
	if (GV_LIKELY(!(flags & GV_DONE_HELD))) {
		hub = tell_of_start(hub, g);
		gv_ready_start(hub, g);
	}
leave:
	if (GV_LIKELY(hub != NULL))
		gv_leave(hub);
	return rc;
}

int grove_spawn(grove_greenlet **out, grove_fn *fn, void *arg)
{
	if (GV_UNLIKELY(fn == NULL))
		return -EINVAL;

	/* What gv_spawn does, for the usual case (bench_spawn). */
	struct gv_hub *hub = gv_enter();
	if (GV_UNLIKELY(hub == NULL))
		return gv_spawn(out, fn, arg, NULL, 0, GV_HUB_FOREIGN);
	/* relaxed: as in gv_spawn */
	if (GV_LIKELY(gv_runtime.plain_spawn && gv_load(&gv_runtime.draining, relaxed) == 0)) {
		struct grove_greenlet *g = gv_slab_alloc(&hub->records);

		if (GV_LIKELY(g != NULL)) {
			uint64_t done = GV_DONE_REFERENCE;

			if (out != NULL) {
				*out = g;
				done += GV_DONE_REFERENCE;
			}
			gv_record_begin(g, fn, arg, NULL, done, hub->id);
			gv_count(&hub->stats.spawned);
			gv_ready_start_here(hub, g);
			gv_leave(hub);
			return 0;
		}
	}
	gv_leave(hub);
	return gv_spawn(out, fn, arg, NULL, 0, GV_HUB_FOREIGN);
}

int grove_spawn_raw(uint64_t *id, grove_fn *fn, void *arg)
{
	grove_greenlet *g = NULL;

	if (GV_UNLIKELY(fn == NULL))
		return -EINVAL;
	if (id == NULL)
		return gv_spawn(NULL, fn, arg, NULL, 0, GV_HUB_FOREIGN);
	int rc = gv_spawn(&g, fn, arg, NULL, 0, GV_HUB_FOREIGN);
	if (rc == 0) {
		*id = gv_record_id(g);
		grove_greenlet_release(g);
	}
	return rc;
}

int grove_spawn_copy(grove_greenlet **out, grove_fn *fn, const void *data, size_t size)
{
	if (fn == NULL || (data == NULL && size != 0))
		return -EINVAL;
	if (size == 0)
		return gv_spawn(out, fn, NULL, NULL, 0, GV_HUB_FOREIGN);

	struct gv_extra *extra = gv_extra_new(size);
	if (extra == NULL)
		return -ENOMEM;
	memcpy(extra->copy, data, size);
	int rc = gv_spawn(out, fn, extra->copy, extra, 0, GV_HUB_FOREIGN);
	if (rc < 0)
		gv_extra_free(extra);
	return rc;
}

/* HELD, with a reference that the caller passes on: to the queue. */
static void start_now(struct gv_hub *hub, struct grove_greenlet *g)
{
	uint64_t done = gv_load(&g->done, relaxed); /* relaxed: the CAS decides */

	do {
		if (done & GV_DONE_TAKEN) {
			gv_record_release(g, hub != NULL ? &hub->records : NULL);
			return;
		}
		/* It goes through queues that join does not look into. */
	} while (!gv_cas(&g->done, &done, (done & ~GV_DONE_HELD) | GV_DONE_LINKED, acq_rel,
			 relaxed)); /* [start] */

	uint16_t home = gv_load(&g->hub, relaxed); /* relaxed: not running */
	if (hub != NULL && !(home & GV_HUB_PINNED))
		gv_ready_queue(hub, (gv_item)g | GV_ITEM_FRESH);
	else
		gv_ready_start(hub, g);
	if (hub != NULL)
		gv_idle_notify(hub);
}

void gv_spawn_timer_due(struct gv_hub *hub, const uint64_t cookie[2])
{
	start_now(hub, (struct grove_greenlet *)(uintptr_t)(cookie[0] - TAG_START));
}

/* Whose wheel keeps a timer that a foreign pthread arms, and is told to look at it. */
static void arm(struct gv_hub *hub, struct gv_wheel_timer *timer, int64_t when_ns)
{
	struct gv_hub *keeper = hub != NULL ? hub : gv_hub_at(0);

	gv_wheel_start(&keeper->wheel, timer, when_ns);
	if (keeper != hub)
		gv_idle_wake(keeper);
}

int grove_greenlet_start(grove_greenlet *g, grove_deadline when)
{
	if (g == NULL)
		return -EINVAL;
	if (gv_load(&gv_runtime.draining, relaxed) != 0 ||
	    gv_hub_total() == 0) /* relaxed: as in spawn */
		return -ESHUTDOWN;

	struct gv_hub *hub = gv_enter();
	struct gv_extra *extra = gv_record_extra_of(gv_load(&g->body, relaxed)); /* relaxed: NEW */
	uint64_t done = gv_load(&g->done, relaxed); /* relaxed: the CAS decides */
	bool later = when.ns != INT64_MIN;
	uint64_t reference = when.ns != INT64_MAX ? GV_DONE_REFERENCE : 0; /* I2 */
	int rc = -EALREADY;

	/* One start: LINKED says that it happened, before HELD goes. */
	do {
		if (!(done & GV_DONE_HELD) || (done & (GV_DONE_TAKEN | GV_DONE_LINKED)))
			goto leave;
	} while (!gv_cas(&g->done, &done, (done | GV_DONE_LINKED) + reference, acq_rel,
			 relaxed)); /* [start] */
	rc = 0;
	hub = tell_of_start(hub, g);
	if (!later) {
		start_now(hub, g);
	} else if (when.ns != INT64_MAX) {
		extra->timer.cookie[0] = (uintptr_t)g + TAG_START;
		extra->timer.cookie[1] = gv_record_id(g);
		arm(hub, &extra->timer, when.ns);
		/* Who took it before it was armed had nothing to cancel.  HELD: it never runs, so that
		 * the extra stays as long as the caller's handle. */
		done = gv_or(&g->done, 0, acq_rel); /* [start] */
		if ((done & GV_DONE_HELD) && (done & GV_DONE_TAKEN))
			gv_spawn_timer_cancel(hub, g, extra);
	}
leave:
	if (hub != NULL)
		gv_leave(hub);
	return rc;
}

void gv_spawn_timer_cancel(struct gv_hub *hub, struct grove_greenlet *g, struct gv_extra *extra)
{
	/* A timer that was delivered finds TAKEN, and drops its reference itself. */
	if (extra != NULL && gv_wheel_cancel(&extra->timer))
		gv_record_release(g, hub != NULL ? &hub->records : NULL);
}

int grove_spawn_later(grove_greenlet **out, grove_fn *fn, void *arg, grove_deadline when)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;

	if (when.ns == INT64_MIN)
		return grove_spawn(out, fn, arg);
	attributes.when = when.ns == 0 ? GROVE_DEADLINE(1) : when; /* 0 would mean "at once" */
	return grove_spawn_with(out, fn, arg, &attributes);
}

/* Runs in place of a body whose spawner is gone by the time it is due. */
struct with_spawner {
	grove_fn *fn;
	void *arg;
	uint64_t spawner;
};

static void *run_with_spawner(void *arg)
{
	struct with_spawner *w = arg;
	struct grove_greenlet *spawner = gv_record_lookup(w->spawner);
	bool alive = spawner != NULL && !grove_ready(spawner);

	if (spawner != NULL)
		grove_greenlet_release(spawner);
	if (!alive)
		return grove_fail(grove_failure_exit());
	return w->fn(w->arg);
}

int grove_spawn_with(grove_greenlet **out, grove_fn *fn, void *arg,
		     const grove_attributes *attributes)
{
	const uint32_t known = GROVE_UNSTARTED | GROVE_WITH_SPAWNER | GROVE_ON_HUB;
	unsigned home = GV_HUB_FOREIGN;
	grove_attributes a = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g = NULL;
	grove_greenlet *self = NULL;

	if (fn == NULL)
		return -EINVAL;
	if (attributes == NULL)
		return grove_spawn(out, fn, arg);
	if (attributes->size < sizeof(a))
		return -EINVAL; /* the first release's size is today's */
	for (size_t i = sizeof(a); i < attributes->size; i++) {
		if (((const unsigned char *)attributes)[i] != 0)
			return -E2BIG;
	}
	memcpy(&a, attributes, sizeof(a));
	if ((a.flags & ~known) ||
	    (a.stack_size != 0 && (a.stack_size < 16384 || a.stack_size > 32 << 20)))
		return -EINVAL;
	if ((a.flags & GROVE_ON_HUB) && a.hub != GROVE_ANY_HUB) {
		if (a.hub < 0 || a.hub >= GROVE_MAX_HUBS)
			return -EINVAL;
		home = (unsigned)a.hub | GV_HUB_PINNED;
	}
	if (a.flags & GROVE_WITH_SPAWNER) {
		self = grove_self();
		if (self == NULL)
			return -ESRCH;
	}

	struct gv_extra *extra = gv_extra_new(self != NULL ? sizeof(struct with_spawner) : 0);
	if (extra == NULL)
		return -ENOMEM;
	extra->stack_bytes = a.stack_size;
	extra->release_arg = a.release_arg;
	extra->release_with = arg;
	extra->release_value = a.release_value;
	if (self != NULL) {
		struct with_spawner *w = (struct with_spawner *)(void *)extra->copy;

		*w = (struct with_spawner){ fn, arg, gv_record_id(self) };
		fn = run_with_spawner;
		arg = w;
	}

	/* A greenlet with a name stands still until it has it. */
	bool unstarted = (a.flags & GROVE_UNSTARTED) != 0;
	bool later = !unstarted && a.when.ns != INT64_MIN && a.when.ns != 0;
	bool held = later || unstarted || a.name != NULL;
	int rc = gv_spawn(held || out != NULL ? &g : NULL, fn, arg, extra, held ? GV_DONE_HELD : 0,
			  home);
	if (rc < 0) {
		gv_extra_free(extra);
		return rc;
	}
	if (a.name != NULL)
		rc = gv_label_set_name(g, a.name);
	if (rc == 0 && held && !unstarted)
		rc = grove_greenlet_start(g, later ? a.when : GROVE_POLL);
	if (rc < 0) {
		extra->release_arg = NULL; /* a spawn that fails releases nothing */
		grove_greenlet_release(g);
		return rc;
	}
	if (out != NULL)
		*out = g;
	else if (g != NULL)
		grove_greenlet_release(g);
	return rc;
}
