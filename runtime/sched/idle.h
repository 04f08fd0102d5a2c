/* SPDX-License-Identifier: MIT */
/*
 * idle.h - how hubs without work search, sleep and are woken.
 *
 * Layer   sched.  The protocol and its proof stand in idle.c.
 */
#ifndef GV_IDLE_H
#define GV_IDLE_H

#include "plat/fence.h"
#include "sched/hub.h"

struct gv_idle {
	_Atomic uint32_t asleep;    /* hubs between announcing sleep and being back */
	_Atomic uint32_t searching; /* hubs that look for work, or were woken to */
	_Atomic uint32_t running;   /* hubs that are not asleep */
	_Atomic uint32_t sentinel;  /* 1 + the hub that watches the others while it sleeps, or 0 */
	_Atomic uint32_t ticking;   /* the sentinel sleeps with a time limit */
	_Atomic uint32_t poller;    /* 1 + the hub that sleeps in the poller, or 0 */
	_Atomic int64_t polled_ns;  /* when somebody last looked for ready descriptors */
	_Atomic uint64_t bits[GROVE_MAX_HUBS / 64]; /* hints: who is asleep */
} GV_ALIGNED(GV_CACHE_LINE);

extern struct gv_idle gv_idle;

/* A run of the runtime begins: `hubs` hubs run. */
void gv_idle_setup(unsigned hubs);

/*
 * Root context: nothing to do here.  Searches, sleeps, and returns when there may be work, or when
 * the runtime stops.
 */
void gv_idle_wait(struct gv_hub *hub);

/* Wake this hub if it sleeps.  Any thread, signal handlers included. */
void gv_idle_wake(struct gv_hub *target);

/* Wake some sleeper, unless somebody is searching already. */
void gv_idle_wake_any(void);

/* The calling hub put something into its own queues: would others want to know? */
static inline bool gv_idle_wanted(struct gv_hub *hub)
{
	gv_fence_light(); /* [search] the side of who publishes work */
	if (GV_LIKELY(gv_load(&gv_idle.asleep, relaxed) == 0)) /* relaxed: ordered by the fence */
		return false;
	/* A lone item is for its owner: see steal.c. */
	return gv_fifo_size(&hub->fifo) > 1 || gv_deque_size(&hub->deque) > 1;
}

static inline void gv_idle_notify(struct gv_hub *hub)
{
	if (GV_UNLIKELY(gv_idle_wanted(hub)))
		gv_idle_wake_any();
}

#endif
