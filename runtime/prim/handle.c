/* SPDX-License-Identifier: MIT */
/*
 * handle.c - what can be asked of a greenlet from outside.
 *
 * Layer   prim.
 * Entry   the accessors of grove/greenlet.h.
 *
 * [end]   load-acquire ENDED; pairs with greenlet.c: value and failure are complete.
 */
#include "sched/hub.h"
#include "sched/label.h"

#include "grove/greenlet.h"

#include <errno.h>

grove_greenlet *grove_self(void)
{
	struct gv_hub *hub = gv_hub_self();

	return hub == NULL || gv_in_hub_context(hub) ? NULL : hub->current;
}

int grove_greenlet_state(grove_greenlet *g)
{
	if (g == NULL)
		return -EINVAL;

	uint64_t done = gv_load(&g->done, acquire); /* [end] */
	if (done & GV_DONE_ENDED) {
		if (done & GV_DONE_FAILED)
			return GROVE_FAULTED;
		return done & GV_DONE_EXITED ? GROVE_EXITED : GROVE_DONE;
	}
	if (done & GV_DONE_TAKEN)
		return GROVE_ACTIVE;
	return (done & GV_DONE_HELD) && !(done & GV_DONE_LINKED) ? GROVE_NEW : GROVE_PENDING;
}

bool grove_ready(grove_greenlet *g)
{
	return g != NULL && (gv_load(&g->done, acquire) & GV_DONE_ENDED) != 0; /* [end] */
}

void *grove_value(grove_greenlet *g)
{
	return grove_greenlet_state(g) == GROVE_DONE ? g->slot : NULL;
}

grove_failure *grove_failure_of(grove_greenlet *g)
{
	int state = grove_greenlet_state(g);

	return state == GROVE_FAULTED || state == GROVE_EXITED ? g->slot : NULL;
}

uint64_t grove_id(grove_greenlet *g)
{
	return g == NULL ? 0 : gv_record_id(g);
}

grove_greenlet *grove_lookup(uint64_t id)
{
	return gv_record_lookup(id);
}

bool grove_cancel_requested(void)
{
	struct grove_greenlet *g = grove_self();

	return g != NULL && (gv_record_cold(g)->killed ||
			     gv_load(&g->kills, relaxed) != 0); /* relaxed: a hint */
}

void grove_greenlet_retain(grove_greenlet *g)
{
	if (g != NULL)
		gv_record_retain(g);
}

void grove_greenlet_release(grove_greenlet *g)
{
	if (g == NULL)
		return;
	struct gv_hub *hub = gv_enter();
	gv_record_release(g, hub != NULL ? &hub->records : NULL);
	if (hub != NULL)
		gv_leave(hub);
}

int grove_set_name(grove_greenlet *g, const char *name)
{
	if (g == NULL)
		return -EINVAL;
	return gv_label_set_name(g, name != NULL ? name : "");
}

size_t grove_name(grove_greenlet *g, char *text, size_t room)
{
	if (g == NULL) {
		if (room != 0)
			text[0] = '\0';
		return 0;
	}
	return gv_label_name(g, text, room);
}

uint64_t grove_number(grove_greenlet *g)
{
	return g == NULL ? UINT64_MAX : gv_label_number(g);
}
