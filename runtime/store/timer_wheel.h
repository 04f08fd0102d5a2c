/* SPDX-License-Identifier: MIT */
/*
 * timer_wheel.h - the deadlines of one hub.
 *
 * Layer   store.  The structure and its invariants stand in timer_wheel.c.
 *
 * A timer is a node that its user embeds, and two words that come out when it is due.  Deadlines
 * are absolute CLOCK_MONOTONIC nanoseconds; a timer is never delivered before its deadline, and at
 * most one tick after it to whoever asks in time.
 */
#ifndef GV_TIMER_WHEEL_H
#define GV_TIMER_WHEEL_H

#include "base/atomic.h"
#include "base/compiler.h"
#include "base/list.h"
#include "plat/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GV_WHEEL_TICK_BITS = 14, /* one tick is 2^14 ns, 16 us */
	GV_WHEEL_SLOT_BITS = 8,
	GV_WHEEL_SLOTS = 1 << GV_WHEEL_SLOT_BITS,
	GV_WHEEL_LEVELS = 7, /* 14 + 7 * 8 bits: every deadline has a slot */
	GV_WHEEL_WORK = 256, /* timers that one call moves besides those that it delivers */
};

struct gv_wheel;

/* Zeroed memory is a timer that is not armed. */
struct gv_wheel_timer {
	struct gv_list link;		  /* wheel lock; valid only while armed */
	_Atomic(struct gv_wheel *) wheel; /* the wheel it is armed on, or NULL */
	int64_t when_ns;
	uint64_t cookie[2];	/* set by the caller before it arms the timer */
	uint64_t sequence : 48; /* order of starts on this wheel */
	uint64_t level : 8;	/* GV_WHEEL_LEVELS: in the list of due ones */
	uint64_t slot : 8;
};

struct gv_wheel_fired {
	uint64_t cookie[2];
	int64_t when_ns;
	uint64_t sequence;
};

struct gv_wheel {
	/* Read without the lock. */
	_Atomic int64_t next_ns; /* no delivery before; INT64_MAX: nothing armed */
	_Atomic uint64_t armed;

	/* Under the lock. */
	struct gv_lock lock GV_ALIGNED(GV_CACHE_LINE);
	uint32_t occupied;  /* bit l: level l has an occupied slot */
	uint32_t cascading; /* level whose slot at `tick` is being emptied; 0: none */
	uint64_t tick;	    /* every timer of an earlier or equal tick is in `due` */
	uint64_t sequence;
	struct gv_list due;
	uint64_t bitmap[GV_WHEEL_LEVELS][GV_WHEEL_SLOTS / 64];
	struct gv_list slot[GV_WHEEL_LEVELS][GV_WHEEL_SLOTS];
};

/* `now_ns` is a time at or before every `now_ns` to come. */
void gv_wheel_init(struct gv_wheel *wheel, int64_t now_ns);

/* Arm a timer that is not armed.  Any thread.  A deadline in the past is due at once. */
void gv_wheel_start(struct gv_wheel *wheel, struct gv_wheel_timer *timer, int64_t when_ns);

/*
 * Disarm.  Returns true if the timer was armed, and will not be delivered; false if it was not,
 * which includes that it was delivered or is being delivered right now.  Either way no wheel
 * touches the timer's memory any more.  Any thread, but not at once with gv_wheel_start of the
 * same timer.
 */
bool gv_wheel_cancel(struct gv_wheel_timer *timer);

/* True between start and its end.  A hint to everybody but the one who starts and cancels. */
static inline bool gv_wheel_armed(const struct gv_wheel_timer *timer)
{
	/* [detach] as in gv_wheel_cancel: false allows reusing the memory */
	return gv_load(&timer->wheel, acquire) != NULL;
}

/*
 * Deliver up to `room` timers that are due at `now_ns`: earliest first, equal deadlines in the
 * order of their starts; within one tick that holds more than `room`, only each batch is sorted by
 * deadline.  Any thread.  Returns their number.
 *
 * The work of one call is bounded.  Fewer than `room`, even none, does not mean that no more are
 * due: there is more to do as long as gv_wheel_next_ns(wheel) <= now_ns.
 */
size_t gv_wheel_expire(struct gv_wheel *wheel, int64_t now_ns, struct gv_wheel_fired out[],
		       size_t room);

/* The same, for those who must not wait for the lock.  Returns 0, or -EBUSY with *count 0. */
int gv_wheel_try_expire(struct gv_wheel *wheel, int64_t now_ns, struct gv_wheel_fired out[],
			size_t room, size_t *count);

/*
 * Until when nothing will be due: INT64_MAX if nothing is armed, a time not after `now_ns` if a
 * call of gv_wheel_expire has something to do.  May be too early after a cancel, never too late.
 */
static inline int64_t gv_wheel_next_ns(const struct gv_wheel *wheel)
{
	/* [earliest] pairs with the stores in timer_wheel.c */
	return gv_load(&wheel->next_ns, acquire);
}

/* Armed timers. */
static inline uint64_t gv_wheel_armed_count(const struct gv_wheel *wheel)
{
	return gv_load(&wheel->armed, relaxed); /* relaxed: statistics; exact for a lone user */
}

#endif
