/* SPDX-License-Identifier: MIT */
/*
 * fifo.c - one owner pushes at the tail, and owner and thieves both take from the head.
 *
 * Layer   store.  Below: plat/fence.h, reclaim.h for rings that were outgrown.
 * Owns    struct gv_fifo: head, tail and ring (owner), steal (thieves; see steal_word.h),
 *         stamp (steal_word.c).
 * Entry   gv_fifo_push/pop from the owning hub, gv_fifo_steal from every other.
 *
 *            announce (CAS)                    finish (store)
 *    IDLE(t) ---------------> RANGE(t,k,thief) ------------> IDLE(t+k)
 *       |  ^
 *       '--'  grow: RANGE(t,0,OWNER) while the owner copies to a larger ring
 *
 * I1  [head, tail) are the items, less those that thieves took; a slot whose item was taken by
 *     exchange holds 0.
 * I2  While the word is IDLE the owner takes the item at head by plain stores.
 * I3  While it is RANGE, and for the one index at which the owner noticed that it had been, owner
 *     and thief both take by exchanging the slot with 0: who gets the item has it.
 * I4  A thief exchanges no slot below the head that it reads after [range] was settled.
 * I5  While it is RANGE(t,...), no push writes a slot at or above t + capacity: the slots that the
 *     thief may still exchange hold these items or 0, never newer ones.
 * I6  Only the announcer leaves RANGE.
 *
 * [range]    owner: store head, light fence, load steal (pop).
 *            thief: CAS steal, settle (see steal_word.c), load head (steal).
 *     If the owner's load missed the announcement, its raised head is visible to the thief, which
 *     leaves that item alone (I4).  If the load saw it, the owner goes through I3.
 * [publish]  owner: store-release tail after the slot (push), store-release slots (grow).
 *            thief: load-acquire tail, load-acquire slots.
 * [settle]   thief: CAS and store-release of steal around its exchanges.  owner: load-acquire of
 *     steal.  Seeing IDLE(t+k), the owner knows that every slot of the range was exchanged.
 *
 * When the owner finds IDLE(top) with top > head, everything in (head, top) is gone: no thief read a
 * head above the owner's, so its exchanges covered all of it.  Only the slot at head itself can
 * still hold an item, if the thief read the head that a pop had already raised; hence I3's "one
 * index".  Outside of a pop that slot is empty, too: a push first moves the head to the top, so that
 * no slot below the head is ever mistaken for that one index.
 *
 * Growing while a thief is announced, which may end and be followed by others meanwhile, takes every
 * item out of the old ring by exchange, and gives it a new index: from the old tail on, behind all
 * that could be announced before the new ring is seen.  What a thief still finds is in the old ring
 * only, and below the top that it leaves behind there is nothing of the owner's.  A ring that was
 * outgrown stays readable until every hub passed a quiescent state.
 */
#include "store/fifo.h"

#include "base/fault.h"
#include "store/reclaim.h"

#include <errno.h>
#include <stdlib.h>

struct gv_fifo_ring {
	struct gv_reclaim_node retired;
	uint64_t mask;
	_Atomic uintptr_t slots[];
};

static struct gv_fifo_ring *new_ring(uint64_t capacity)
{
	struct gv_fifo_ring *ring;

	if (gv_fault_here("fifo ring"))
		return NULL;
	ring = malloc(sizeof(*ring) + capacity * sizeof(ring->slots[0]));
	if (ring == NULL)
		return NULL;
	ring->mask = capacity - 1;
	for (uint64_t i = 0; i < capacity; i++)
		gv_init(&ring->slots[i], 0);
	return ring;
}

static void free_ring(void *ring)
{
	free(ring);
}

int gv_fifo_init(struct gv_fifo *f, size_t capacity)
{
	struct gv_fifo_ring *ring = new_ring(capacity);

	if (ring == NULL)
		return -ENOMEM;
	f->ring = ring;
	f->mask = ring->mask;
	f->limit = capacity;
	gv_init(&f->slots, ring->slots);
	gv_init(&f->head, 0);
	gv_init(&f->tail, 0);
	gv_init(&f->steal, 0);
	gv_init(&f->stamp.asked, 0);
	gv_init(&f->stamp.seen, 0);
	return 0;
}

void gv_fifo_destroy(struct gv_fifo *f)
{
	free(f->ring);
	f->ring = NULL;
}

/* Tell the thief, if there is one, that its announcement was seen. */
static void acknowledge(struct gv_fifo *f, uint64_t word)
{
	if (!gv_steal_idle(word))
		gv_steal_acknowledge(&f->stamp);
}

uintptr_t gv_fifo_pop_contended(struct gv_fifo *f, uint64_t h, uint64_t word)
{
	_Atomic uintptr_t *slots = gv_load(&f->slots, relaxed); /* relaxed: owner only */

	acknowledge(f, word);
	uintptr_t item = gv_xchg(&slots[h & f->mask], 0, acquire); /* [settle] I3 */

	/* Skip what is known to be gone.  The head never passes the tail: top is at most the tail. */
	word = gv_load(&f->steal, acquire); /* [settle] */
	if (gv_steal_idle(word) && gv_steal_distance(h + 1, word) < 0) {
		uint64_t gone = (uint64_t)-gv_steal_distance(h + 1, word);
		gv_store(&f->head, h + 1 + gone, relaxed); /* relaxed: owner only */
	}
	return item;
}

/* Outside of a pop: the oldest index whose slot must not be written, given what the word says. */
static uint64_t oldest_in_use(struct gv_fifo *f, uint64_t word)
{
	uint64_t h = gv_load(&f->head, relaxed); /* relaxed: owner only */
	int64_t above = gv_steal_distance(h, word);

	/* I5: an announced range counts from its start, which may lie below the head. */
	if (!gv_steal_idle(word))
		return above > 0 ? h - (uint64_t)above : h;
	/* What thieves took is skipped before its slots are used again. */
	if (above < 0) {
		h += (uint64_t)-above;
		gv_store(&f->head, h, relaxed); /* relaxed: owner only */
	}
	return h;
}

static int move_to_larger(struct gv_fifo *f)
{
	uint64_t word = gv_load(&f->steal, acquire); /* [settle] */
	struct gv_fifo_ring *old = f->ring;

	/* Keep thieves out, or go through exchanges because one is in already: then both the indices
	 * and the range need room. */
	uint64_t closed = gv_steal_pack(word, 0, GV_STEAL_OWNER);
	bool alone = gv_steal_idle(word) &&
		     gv_cas(&f->steal, &word, closed, acq_rel, acquire); /* [settle] */
	struct gv_fifo_ring *ring = new_ring((alone ? 2 : 4) * (old->mask + 1));
	if (ring == NULL) {
		if (alone)
			gv_store(&f->steal, gv_steal_pack(closed, 0, 0), release); /* [settle] */
		return -ENOMEM;
	}

	(void)oldest_in_use(f, word);
	uint64_t head = gv_load(&f->head, relaxed); /* relaxed: owner only */
	uint64_t tail = gv_load(&f->tail, relaxed); /* relaxed: owner only */
	uint64_t first = alone ? head : tail;
	uint64_t last = first;
	for (uint64_t i = head; i != tail; i++) {
		_Atomic uintptr_t *slot = &old->slots[i & old->mask];
		uintptr_t item = alone ? gv_load(slot, relaxed) :   /* relaxed: alone */
					 gv_xchg(slot, 0, acquire); /* [settle] I3 */

		if (item != 0)
			gv_init(&ring->slots[last++ & ring->mask], item);
	}
	f->ring = ring;
	f->mask = ring->mask;
	gv_store(&f->head, first, relaxed);	   /* relaxed: owner only; I4 holds with either */
	gv_store(&f->slots, ring->slots, release); /* [publish] */
	gv_store(&f->tail, last, release);	   /* [publish] */
	if (alone)
		gv_store(&f->steal, gv_steal_pack(closed, 0, 0), release); /* [settle] */
	gv_reclaim_retire(&old->retired, free_ring, old);
	return 0;
}

int gv_fifo_push_slow(struct gv_fifo *f, uintptr_t item, bool grow)
{
	uint64_t t = gv_load(&f->tail, relaxed); /* relaxed: owner only */

	gv_fence_light(); /* [range] as in pop: the head is out, then look */
	uint64_t word = gv_load(&f->steal, acquire); /* [settle] */
	acknowledge(f, word);

	uint64_t limit = oldest_in_use(f, word) + f->mask + 1;
	if (t >= limit) {
		uint64_t before = f->mask;
		int rc = grow ? move_to_larger(f) : -ENOMEM;
		if (rc < 0)
			return rc;
		/* The rest of the new ring is free whatever a thief is doing, but for what grow used. */
		limit = t + (f->mask - before);
		t = gv_load(&f->tail, relaxed); /* relaxed: owner only */
	}
	f->limit = limit;

	_Atomic uintptr_t *slots = gv_load(&f->slots, relaxed); /* relaxed: owner only */
	gv_store(&slots[t & f->mask], item, relaxed);		/* relaxed: [publish] follows */
	gv_store(&f->tail, t + 1, release);			/* [publish] */
	return 0;
}

size_t gv_fifo_steal(struct gv_fifo *f, struct gv_thief *thief, bool aged, uintptr_t out[],
		     size_t room)
{
	uint64_t word = gv_load(&f->steal, acquire); /* [settle] */
	if (!gv_steal_idle(word))
		return 0;

	uint64_t tail = gv_load(&f->tail, acquire);  /* [publish] */
	uint64_t first = gv_load(&f->head, relaxed); /* relaxed: looked at again below */
	int64_t stolen = gv_steal_distance(first, word);
	if (stolen < 0)
		first += (uint64_t)-stolen;
	int64_t count = (int64_t)(tail - first);
	if (count <= 0 || (count == 1 && !aged))
		return 0;

	uint64_t want =
		GV_MIN((uint64_t)(count + 1) / 2, (uint64_t)GV_MIN(room, (size_t)GV_STEAL_MAX));
	uint64_t announced = gv_steal_pack(first, want, thief->id);
	if (!gv_cas(&f->steal, &word, announced, acq_rel, relaxed)) /* [settle] relaxed: give up */
		return 0;
	gv_steal_settle(&f->stamp, thief); /* [range] */

	uint64_t head = gv_load(&f->head, acquire); /* [range] I4 */
	uint64_t end = first + want;
	uint64_t i = (int64_t)(head - first) > 0 ? head : first;
	_Atomic uintptr_t *slots = gv_load(&f->slots, acquire); /* [publish] */
	uint64_t mask = GV_CONTAINER_OF(slots, struct gv_fifo_ring, slots)->mask;
	size_t taken = 0;
	for (; (int64_t)(end - i) > 0; i++) {
		uintptr_t item = gv_xchg(&slots[i & mask], 0, acq_rel); /* [settle] I3 */
		if (item != 0)
			out[taken++] = item;
	}
	gv_store(&f->steal, gv_steal_pack(end, 0, 0), release); /* [settle] I6 */
	return taken;
}
