/* SPDX-License-Identifier: MIT */
/*
 * deque.c - one owner pushes and pops at the bottom, thieves take the older half from the top.
 *
 * Layer   store.  Below: plat/fence.h, reclaim.h for rings that were outgrown.
 * Owns    struct gv_deque: bottom and ring (owner), steal (thieves; see steal_word.h),
 *         stamp (steal_word.c).
 * Entry   gv_deque_push/pop from the owning hub, gv_deque_steal from every other.
 *
 * A work-stealing deque after Chase and Lev with two changes.  A thief takes a range, not one item,
 * so that its fence is paid once for up to 4096 of them; and the owner never uses an atomic
 * read-modify-write, not even for the last item, unless a thief has announced that very item.
 *
 *            announce (CAS)                     take (CAS)
 *    IDLE(t) ---------------> RANGE(t,k,thief) ------------> IDLE(t+m)
 *       ^                        |      |  ^
 *       '---- withdraw (CAS) ----'      '--' shrink (CAS, owner)
 *
 * I1  Indices below top are gone; [top, bottom) are the items.
 * I2  While the word is IDLE the owner takes the item at bottom-1 by plain stores.
 * I3  While it is RANGE, an item inside the range changes hands only by a CAS of the word: the
 *     owner's shrink takes the item out of the range, the thief's take gets what is left in it.
 *     Items above the range are the owner's as in I2.
 * I4  A thief takes no item at or above the bottom that it reads after [range] was settled.
 *
 * [range]    owner: store bottom, light fence, load steal (pop).
 *            thief: CAS steal, settle (see steal_word.c), load bottom (steal).
 *     If the owner's load missed the announcement, its lowered bottom is visible to the thief, which
 *     leaves that item alone (I4).  If the load saw it, the owner goes through I3.
 * [publish]  owner: store-release bottom after the slot (push).  thief: load-acquire bottom.
 *     The slot, the ring that holds it and the greenlet behind it are complete.
 * [settle]   every CAS of steal is acq_rel: a thief's take is ordered after its reads of the slots,
 *     before the owner that sees the new top writes them again; and a refused CAS shows the owner's
 *     shrink.
 *
 * A ring that was outgrown keeps its contents until every hub passed a quiescent state, so a thief
 * that still reads it gets what was there when its range was announced.
 *
 * Rejected: the owner lock of the first prototype (a preempted thief stalls the owner); one CAS per
 * stolen item (a heavy fence each: 138 instead of 25 ns per greenlet in a batch).
 */
#include "store/deque.h"

#include "base/check.h"
#include "base/fault.h"
#include "store/reclaim.h"

#include <errno.h>
#include <stdlib.h>

struct gv_deque_ring {
	struct gv_reclaim_node retired;
	uint64_t mask;
	_Atomic uintptr_t slots[];
};

static struct gv_deque_ring *new_ring(uint64_t capacity)
{
	struct gv_deque_ring *ring;

	if (gv_fault_here("deque ring"))
		return NULL;
	ring = malloc(sizeof(*ring) + capacity * sizeof(ring->slots[0]));
	if (ring == NULL)
		return NULL;
	ring->mask = capacity - 1;
	return ring;
}

static void free_ring(void *ring)
{
	free(ring);
}

int gv_deque_init(struct gv_deque *d, size_t capacity)
{
	struct gv_deque_ring *ring = new_ring(capacity);

	if (ring == NULL)
		return -ENOMEM;
	/* pop_if looks below the bottom of an empty deque. */
	for (size_t i = 0; i < capacity; i++)
		gv_init(&ring->slots[i], 0);
	d->ring = ring;
	d->mask = ring->mask;
	gv_init(&d->slots, ring->slots);
	gv_init(&d->bottom, 0);
	gv_init(&d->steal, 0);
	gv_init(&d->stamp.asked, 0);
	gv_init(&d->stamp.seen, 0);
	return 0;
}

void gv_deque_destroy(struct gv_deque *d)
{
	free(d->ring);
	d->ring = NULL;
}

/* Tell the thief, if there is one, that its announcement was seen. */
static void acknowledge(struct gv_deque *d, uint64_t word)
{
	if (!gv_steal_idle(word))
		gv_steal_acknowledge(&d->stamp);
}

static int grow(struct gv_deque *d, uint64_t bottom, uint64_t word)
{
	struct gv_deque_ring *old = d->ring;
	struct gv_deque_ring *ring = new_ring(2 * (old->mask + 1));

	if (ring == NULL)
		return -ENOMEM;
	/* From the top as seen here: it may have moved on, which copies some items too many. */
	uint64_t count = (uint64_t)gv_steal_distance(bottom, word);
	for (uint64_t i = bottom - count; i != bottom; i++) {
		uintptr_t item =
			gv_load(&old->slots[i & old->mask], relaxed); /* relaxed: own store */
		gv_init(&ring->slots[i & ring->mask], item);
	}
	for (uint64_t i = bottom; i != bottom - count + ring->mask + 1; i++)
		gv_init(&ring->slots[i & ring->mask], 0);

	d->ring = ring;
	d->mask = ring->mask;
	gv_store(&d->slots, ring->slots, release); /* [publish] */
	gv_reclaim_retire(&old->retired, free_ring, old);
	return 0;
}

int gv_deque_push_slow(struct gv_deque *d, uintptr_t item)
{
	uint64_t b = gv_load(&d->bottom, relaxed);   /* relaxed: owner only */
	uint64_t word = gv_load(&d->steal, acquire); /* [settle] slots below top may be reused */

	acknowledge(d, word);
	if (gv_steal_distance(b, word) > (int64_t)d->mask) {
		int rc = grow(d, b, word);
		if (rc < 0)
			return rc;
	}
	_Atomic uintptr_t *slots = gv_load(&d->slots, relaxed); /* relaxed: owner only */
	gv_store(&slots[b & d->mask], item, relaxed);		/* relaxed: [publish] follows */
	gv_store(&d->bottom, b + 1, release);			/* [publish] */
	return 0;
}

uintptr_t gv_deque_pop_slow(struct gv_deque *d, uint64_t b, uint64_t word)
{
	_Atomic uintptr_t *slots = gv_load(&d->slots, relaxed); /* relaxed: owner only */

	for (;;) {
		int64_t below = gv_steal_distance(b, word); /* items under this one */

		if (below < 0) {
			gv_store(&d->bottom, b + 1, relaxed); /* relaxed: nothing was published */
			return 0;
		}
		acknowledge(d, word);
		if (below >= (int64_t)gv_steal_len(word))
			break; /* I2: idle, or above the announced range */

		/* I3: cut the range off below this item, or end it. */
		uint64_t top = word & GV_STEAL_TOP_MASK;
		uint64_t cut = below == 0
				       ? gv_steal_pack(top, 0, 0)
				       : gv_steal_pack(top, (uint64_t)below, gv_steal_thief(word));
		if (gv_cas(&d->steal, &word, cut, acq_rel, acquire)) /* [settle] */
			break;
	}
	return gv_load(&slots[b & d->mask], relaxed); /* relaxed: own store */
}

uintptr_t gv_deque_take_oldest(struct gv_deque *d)
{
	uint64_t word = gv_load(&d->steal, acquire); /* [settle] */
	uint64_t b = gv_load(&d->bottom, relaxed);   /* relaxed: owner only */

	acknowledge(d, word);
	if (!gv_steal_idle(word) || gv_steal_distance(b, word) <= 0)
		return 0;

	_Atomic uintptr_t *slots = gv_load(&d->slots, relaxed);	   /* relaxed: owner only */
	uintptr_t item = gv_load(&slots[word & d->mask], relaxed); /* relaxed: own store */
	uint64_t next = gv_steal_pack(word + 1, 0, 0);
	return gv_cas(&d->steal, &word, next, acq_rel, acquire) ? item : 0; /* [settle] */
}

size_t gv_deque_steal(struct gv_deque *d, struct gv_thief *thief, bool aged, uintptr_t out[],
		      size_t room)
{
	uint64_t word = gv_load(&d->steal, acquire); /* [settle] */
	if (!gv_steal_idle(word))
		return 0;

	uint64_t top = word;
	int64_t count = gv_steal_distance(gv_load(&d->bottom, acquire), top); /* [publish] */
	if (count <= 0 || (count == 1 && !aged))
		return 0;

	int64_t want = GV_MIN((count + 1) / 2, (int64_t)GV_MIN(room, (size_t)GV_STEAL_MAX));
	uint64_t announced = gv_steal_pack(top, (uint64_t)want, thief->id);
	if (!gv_cas(&d->steal, &word, announced, acq_rel, relaxed)) /* [settle] relaxed: give up */
		return 0;
	gv_steal_settle(&d->stamp, thief); /* [range] */

	/* The ring is read after the bottom: it is at least as new as the slots below that bottom. */
	int64_t left = gv_steal_distance(gv_load(&d->bottom, acquire), top); /* [publish] */
	int64_t taken = GV_MIN(want, left);
	_Atomic uintptr_t *slots = gv_load(&d->slots, acquire); /* [publish] */
	uint64_t mask = GV_CONTAINER_OF(slots, struct gv_deque_ring, slots)->mask;
	for (int64_t i = 0; i < taken; i++)
		out[i] = gv_load(&slots[(top + (uint64_t)i) & mask],
				 relaxed); /* relaxed: [publish] */

	word = announced;
	do {
		if (gv_steal_thief(word) != thief->id)
			return 0; /* the owner needed the whole range */
		taken = GV_MIN(taken, (int64_t)gv_steal_len(word));
		if (taken < 0)
			taken = 0;
	} while (!gv_cas(&d->steal, &word, gv_steal_pack(top + (uint64_t)taken, 0, 0), acq_rel,
			 acquire)); /* [settle] */
	return (size_t)taken;
}
