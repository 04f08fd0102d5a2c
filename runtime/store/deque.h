/* SPDX-License-Identifier: MIT */
/*
 * deque.h - fresh spawns of one hub: newest first for the owner, oldest half for thieves.
 *
 * Layer   store.  The protocol and its proof stand in deque.c.
 */
#ifndef GV_DEQUE_H
#define GV_DEQUE_H

#include "base/atomic.h"
#include "base/compiler.h"
#include "plat/fence.h"
#include "store/steal_word.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gv_deque_ring;

struct gv_deque {
	/* Written by the owner only. */
	_Atomic uint64_t bottom;
	_Atomic(_Atomic uintptr_t *) slots; /* of the current ring, with its mask beside it */
	uint64_t mask;
	struct gv_deque_ring *ring;

	/* Written by thieves, and by the owner when it must refuse one. */
	_Atomic uint64_t steal GV_ALIGNED(GV_CACHE_LINE);

	struct gv_steal_stamp stamp;
} GV_ALIGNED(GV_CACHE_LINE);

/* Returns 0 or -ENOMEM.  `capacity` is a power of two. */
int gv_deque_init(struct gv_deque *d, size_t capacity);

/* Nobody may use the deque any more. */
void gv_deque_destroy(struct gv_deque *d);

/* The part of push and pop that ordinary traffic never reaches. */
int gv_deque_push_slow(struct gv_deque *d, uintptr_t item);
uintptr_t gv_deque_pop_slow(struct gv_deque *d, uint64_t bottom, uint64_t word);

/* Owner.  Returns 0, or -ENOMEM if the ring was full and could not grow; the item is then not in. */
static inline int gv_deque_push(struct gv_deque *d, uintptr_t item)
{
	uint64_t b = gv_load(&d->bottom, relaxed);   /* relaxed: owner only */
	uint64_t word = gv_load(&d->steal, acquire); /* [settle] slots below top may be reused */

	if (GV_UNLIKELY(!gv_steal_idle(word) || gv_steal_distance(b, word) > (int64_t)d->mask))
		return gv_deque_push_slow(d, item);

	_Atomic uintptr_t *slots = gv_load(&d->slots, relaxed); /* relaxed: owner only */
	gv_store(&slots[b & d->mask], item, relaxed);		/* relaxed: [publish] follows */
	gv_store(&d->bottom, b + 1, release);			/* [publish] */
	return 0;
}

/* Owner: the newest item, or 0. */
static inline uintptr_t gv_deque_pop(struct gv_deque *d)
{
	uint64_t b = gv_load(&d->bottom, relaxed) - 1; /* relaxed: owner only */

	gv_store(&d->bottom, b, relaxed);	     /* relaxed: ordered by the fence below */
	gv_fence_light();			     /* [range] the owner's side */
	uint64_t word = gv_load(&d->steal, relaxed); /* relaxed: ordered by the fence above */

	if (GV_LIKELY(gv_steal_idle(word) && gv_steal_distance(b, word) >= 0)) {
		_Atomic uintptr_t *slots = gv_load(&d->slots, relaxed); /* relaxed: owner only */
		return gv_load(&slots[b & d->mask], relaxed);		/* relaxed: own store */
	}
	return gv_deque_pop_slow(d, b, word);
}

/* Owner: take `item` back if it is the newest one. */
static inline bool gv_deque_pop_if(struct gv_deque *d, uintptr_t item)
{
	uint64_t b = gv_load(&d->bottom, relaxed);		/* relaxed: owner only */
	_Atomic uintptr_t *slots = gv_load(&d->slots, relaxed); /* relaxed: owner only */

	/* The slot below the bottom is stale if the deque is empty; pop then says so. */
	if (gv_load(&slots[(b - 1) & d->mask], relaxed) != item) /* relaxed: own store */
		return false;
	return gv_deque_pop(d) != 0;
}

/* Owner: the newest item, without taking it; 0 if there seems to be none.  A thief may be taking it. */
static inline uintptr_t gv_deque_newest(struct gv_deque *d)
{
	uint64_t b = gv_load(&d->bottom, relaxed); /* relaxed: owner only */

	if (gv_steal_distance(b, gv_load(&d->steal, relaxed)) <= 0) /* relaxed: a hint */
		return 0;
	_Atomic uintptr_t *slots = gv_load(&d->slots, relaxed); /* relaxed: owner only */
	return gv_load(&slots[(b - 1) & d->mask], relaxed);	/* relaxed: own store */
}

/* Owner: the oldest item, or 0 if there is none or a thief is at work. */
uintptr_t gv_deque_take_oldest(struct gv_deque *d);

/*
 * Any other hub, inside a read-side section of reclaim.h: move up to half of the items, oldest
 * first, to out[].  A lone item is left to its owner unless `aged`.  Returns how many were taken; 0 also if another thief is at work.
 */
size_t gv_deque_steal(struct gv_deque *d, struct gv_thief *thief, bool aged, uintptr_t out[],
		      size_t room);

/* How many items there seem to be; exact for the owner while no thief is at work. */
static inline size_t gv_deque_size(const struct gv_deque *d)
{
	struct gv_deque *mutable_deque = (struct gv_deque *)(uintptr_t)d;
	uint64_t b = gv_load(&mutable_deque->bottom, relaxed); /* relaxed: a hint */
	int64_t n =
		gv_steal_distance(b, gv_load(&mutable_deque->steal, relaxed)); /* relaxed: a hint */
	return n > 0 ? (size_t)n : 0;
}

#endif
