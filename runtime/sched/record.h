/* SPDX-License-Identifier: MIT */
/*
 * record.h - the record of a greenlet: one cache line that outlives its stack.
 *
 * Layer   sched.  The states and invariants stand in record.c.
 *
 * Records are type-stable (store/slab.h): whoever kept an address or an id may look at it for ever.
 */
#ifndef GV_RECORD_H
#define GV_RECORD_H

#include "base/atomic.h"
#include "base/compiler.h"
#include "plat/context.h"
#include "store/inbox.h"
#include "store/slab.h"
#include "store/stack.h"
#include "store/timer_wheel.h"

#include "grove/failure.h"
#include "grove/greenlet.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The done word: | references:16 | newest waiter node:42 | flags:6 |
 * Nodes are 64 bytes and lie below 2^48, so an address needs only the middle bits.
 */
#define GV_DONE_ENDED UINT64_C(0x01)  /* value or failure is in `slot`; nobody waits any more */
#define GV_DONE_TAKEN UINT64_C(0x02)  /* somebody has the right to run it, or has cancelled it */
#define GV_DONE_FAILED UINT64_C(0x04) /* `slot` is a failure */
#define GV_DONE_EXITED UINT64_C(0x08) /* `slot` is a failure that means exit */
#define GV_DONE_LINKED UINT64_C(0x10) /* may wait in an inbox: only a hub that takes it runs it */
#define GV_DONE_HELD UINT64_C(0x20)   /* not started: GROVE_UNSTARTED or a date in the future */
#define GV_DONE_REFERENCE (UINT64_C(1) << 48)
#define GV_DONE_REFERENCES (UINT64_C(0xffff) << 48)

/* The wait word: | generation:56 | flags and state:8 |; see wait/park.c. */
#define GV_WAIT_PENDING UINT64_C(0x01)
#define GV_WAIT_CLAIMED UINT64_C(0x02)
#define GV_WAIT_NOKILL UINT64_C(0x04) /* kills do not end this wait */
#define GV_WAIT_GENERATION UINT64_C(0x100)

/* Values of the field `hub`. */
#define GV_HUB_PINNED 0x8000u /* or-ed to the number of the only hub that may run it */
#define GV_HUB_NUMBER 0x7fffu
#define GV_HUB_FOREIGN 0x7fffu /* not a greenlet: stands for a foreign pthread that waits */

/* What only some greenlets have; allocated when it is needed, freed with the record. */
struct gv_extra {
	size_t stack_bytes;    /* 0: the default class */
	grove_cb *release_arg; /* until the body ended, or never runs */
	void *release_with;
	grove_cb *release_value;	     /* when the record is freed */
	uint64_t spawner;		     /* id; for GROVE_WITH_SPAWNER */
	struct gv_wheel_timer timer;	     /* of a later start: prim/spawn.c */
	unsigned char copy[] GV_ALIGNED(16); /* the argument of grove_spawn_copy */
};

void gv_extra_free(struct gv_extra *extra);

struct grove_greenlet {
	/* A resumable context; NULL while it runs and until its registers are saved. */
	_Atomic(void *) context;
	/* The argument while new; what ended the last wait; the value or failure when ended. */
	void *slot;
	_Atomic uint64_t wait;
	_Atomic uint64_t done;
	/* Kills not yet delivered: see wait/kills.c. */
	_Atomic uint64_t kills;
	struct gv_link link;
	/* Odd: not started or ended, the rest is a struct gv_extra.  Even: its struct gv_stack. */
	_Atomic uintptr_t body;
	_Atomic uint32_t life_low; /* with life_high: how often this record was used */
	_Atomic uint8_t life_high;
	uint8_t cause; /* what ended the last wait: enum gv_cause */
	_Atomic uint16_t hub;
} GV_ALIGNED(GV_CACHE_LINE);

_Static_assert(sizeof(struct grove_greenlet) == GV_CACHE_LINE, "one line each");

/* At the top of the stack, for as long as there is one.  Only the greenlet itself touches it. */
struct gv_cold {
	struct gv_extra *extra;
	grove_failure *last_failure; /* of the latest failed wait; a reference */
	int last_code;		     /* that came with it */
	grove_failure *failing;	     /* what grove_fail was given; a reference */
	uint32_t pins;
	uint16_t pinned_before; /* the field hub before the first pin */
	bool killed;		/* a kill was delivered */
	void *exit_value;
	struct grove_greenlet *self;
	grove_fn *fn;
	void *arg;
	void *exit_frame[8]; /* prim/greenlet.c */
};

_Static_assert(sizeof(struct gv_cold) <= GV_STACK_COLD_BYTES, "fits the stack's header");

static inline struct gv_extra *gv_record_extra_of(uintptr_t body)
{
	return (struct gv_extra *)(body & ~(uintptr_t)1);
}

static inline bool gv_record_started(uintptr_t body)
{
	return (body & 1) == 0;
}

/* For the running greenlet, and for those that hold the right to run it. */
static inline struct gv_stack *gv_record_stack(const struct grove_greenlet *g)
{
	struct grove_greenlet *mutable_record = (struct grove_greenlet *)(uintptr_t)g;
	return (struct gv_stack *)gv_load(&mutable_record->body, relaxed); /* relaxed: own */
}

static inline struct gv_cold *gv_record_cold(const struct grove_greenlet *g)
{
	return (struct gv_cold *)(void *)gv_record_stack(g)->cold;
}

extern struct gv_slab gv_records;

/* Once per process. */
void gv_record_setup(void);

/* The part of gv_record_begin for memory that reads as zero, and for counts that carry. */
uint32_t gv_record_next_life(struct grove_greenlet *g);

/* A record fresh from the slab becomes a new life.  Inline for bench_spawn. */
static inline void gv_record_begin(struct grove_greenlet *g, grove_fn *fn, void *arg,
				   struct gv_extra *extra, uint64_t done, uint16_t hub)
{
	uint32_t life = gv_load(&g->life_low, relaxed) + 1; /* relaxed: ours */

	if (GV_UNLIKELY(life <= 1))
		life = gv_record_next_life(g);
	gv_store(&g->life_low, life, relaxed);		       /* relaxed: [birth] follows */
	gv_store(&g->context, (void *)(uintptr_t)fn, relaxed); /* relaxed: [birth] follows */
	g->slot = arg;
	gv_store(&g->body, (uintptr_t)extra | 1, relaxed); /* relaxed: [birth] follows */
	gv_store(&g->hub, hub, relaxed);		   /* relaxed: [birth] follows */
	gv_store(&g->done, done, release);		   /* [birth] */
}

/*
 * Add or drop references.  The count sticks at its maximum: a record with 65535 handles at once is
 * never freed.  `caches` is the record cache of the calling hub, or NULL.
 */
void gv_record_retain(struct grove_greenlet *g);
void gv_record_release(struct grove_greenlet *g, struct gv_slab_cache *cache);

/* Nobody refers to it any more: what the references guarded goes, then the record. */
void gv_record_free(struct grove_greenlet *g, struct gv_slab_cache *cache);

uint64_t gv_record_id(const struct grove_greenlet *g);

/* A new reference to the living or ended greenlet with this id; NULL if its last one is gone. */
struct grove_greenlet *gv_record_lookup(uint64_t id);

#endif
