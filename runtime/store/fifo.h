/* SPDX-License-Identifier: MIT */
/*
 * fifo.h - woken and yielded greenlets of one hub: oldest first, for the owner and for thieves.
 *
 * Layer   store.  The protocol and its proof stand in fifo.c.
 */
#ifndef GV_FIFO_H
#define GV_FIFO_H

#include "base/atomic.h"
#include "base/compiler.h"
#include "plat/fence.h"
#include "store/steal_word.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gv_fifo_ring;

struct gv_fifo {
	/* Written by the owner only. */
	_Atomic uint64_t head;
	_Atomic uint64_t tail;
	_Atomic(_Atomic uintptr_t *) slots; /* of the current ring */
	uint64_t mask;
	uint64_t limit; /* a push at or above it must look whether the slot is free */
	struct gv_fifo_ring *ring;

	/* Written by thieves, and by the owner while it moves to a larger ring. */
	_Atomic uint64_t steal GV_ALIGNED(GV_CACHE_LINE);

	struct gv_steal_stamp stamp;
} GV_ALIGNED(GV_CACHE_LINE);

/* Returns 0 or -ENOMEM.  `capacity` is a power of two. */
int gv_fifo_init(struct gv_fifo *f, size_t capacity);

/* Nobody may use the queue any more. */
void gv_fifo_destroy(struct gv_fifo *f);

/* The part of push and pop that ordinary traffic never reaches. */
int gv_fifo_push_slow(struct gv_fifo *f, uintptr_t item, bool grow);
uintptr_t gv_fifo_pop_contended(struct gv_fifo *f, uint64_t head, uint64_t word);

/*
 * Owner.  Returns 0, or -ENOMEM if the ring was full and could not grow; the item is then not in.
 * Without `grow` it does not try, and so allocates nothing.
 */
static inline int gv_fifo_push(struct gv_fifo *f, uintptr_t item, bool grow)
{
	uint64_t t = gv_load(&f->tail, relaxed); /* relaxed: owner only */

	if (GV_UNLIKELY(t >= f->limit))
		return gv_fifo_push_slow(f, item, grow);
	_Atomic uintptr_t *slots = gv_load(&f->slots, relaxed); /* relaxed: owner only */
	gv_store(&slots[t & f->mask], item, relaxed);		/* relaxed: [publish] follows */
	gv_store(&f->tail, t + 1, release);			/* [publish] */
	return 0;
}

/* Owner: the oldest item, or 0. */
static inline uintptr_t gv_fifo_pop(struct gv_fifo *f)
{
	uint64_t h = gv_load(&f->head, relaxed); /* relaxed: owner only */

	while (h != gv_load(&f->tail, relaxed)) { /* relaxed: owner only */
		uintptr_t item;

		gv_store(&f->head, h + 1, relaxed); /* relaxed: ordered by the fence below */
		gv_fence_light();		    /* [range] the owner's side */
		uint64_t word =
			gv_load(&f->steal, relaxed); /* relaxed: ordered by the fence above */

		if (GV_LIKELY(gv_steal_idle(word) && gv_steal_distance(h, word) >= 0)) {
			_Atomic uintptr_t *slots =
				gv_load(&f->slots, relaxed);	      /* relaxed: owner only */
			item = gv_load(&slots[h & f->mask], relaxed); /* relaxed: own store */
		} else {
			item = gv_fifo_pop_contended(f, h, word);
		}
		if (GV_LIKELY(item != 0))
			return item;
		h = gv_load(&f->head, relaxed); /* relaxed: owner only */
	}
	return 0;
}

/* Owner: what stands `ahead` places behind the oldest item, or 0.  A hint, for prefetching. */
static inline uintptr_t gv_fifo_peek(struct gv_fifo *f, uint64_t ahead)
{
	uint64_t h = gv_load(&f->head, relaxed) + ahead; /* relaxed: owner only */

	if ((int64_t)(gv_load(&f->tail, relaxed) - h) <= 0) /* relaxed: owner only */
		return 0;
	_Atomic uintptr_t *slots = gv_load(&f->slots, relaxed); /* relaxed: owner only */
	return gv_load(&slots[h & f->mask], relaxed);		/* relaxed: a hint */
}

/*
 * Any other hub, inside a read-side section of reclaim.h: move up to half of the items, oldest
 * first, to out[].  A lone item is left to its owner unless `aged`.  Returns how many were taken; 0 also if another thief is at work.
 */
size_t gv_fifo_steal(struct gv_fifo *f, struct gv_thief *thief, bool aged, uintptr_t out[],
		     size_t room);

/* How many items there seem to be; exact for the owner while no thief is at work. */
static inline size_t gv_fifo_size(const struct gv_fifo *f)
{
	struct gv_fifo *mutable_fifo = (struct gv_fifo *)(uintptr_t)f;
	uint64_t tail = gv_load(&mutable_fifo->tail, relaxed); /* relaxed: a hint */
	uint64_t head = gv_load(&mutable_fifo->head, relaxed); /* relaxed: a hint */
	int64_t n = (int64_t)(tail - head);
	int64_t above = gv_steal_distance(
		tail, gv_load(&mutable_fifo->steal, relaxed)); /* relaxed: a hint */

	n = above < n ? above : n;
	return n > 0 ? (size_t)n : 0;
}

#endif
