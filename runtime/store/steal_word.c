/* SPDX-License-Identifier: MIT */
/*
 * steal_word.c - how a thief knows that the owner has seen its announcement.
 *
 * Layer   store.  Below: plat/fence.h.
 * Owns    struct gv_steal_stamp: asked (thieves), seen (owner).
 * Entry   gv_steal_settle from deque.c and fifo.c (thief), gv_steal_acknowledge (owner).
 *
 * [ack]      thief: CAS of the steal word, store-release asked, load-acquire seen.
 *            owner: load of the steal word, load-acquire asked, store-release seen.
 *     The thief that finds its own stamp in `seen` knows two things.  What the owner stored to
 *     bottom or head before is visible.  And the owner's next load of the steal word finds the
 *     announcement or something newer, as it read the stamp, which was written after the
 *     announcement.  The operation in which the owner acknowledged has stored its bottom or head
 *     before it looked at the steal word, so the first sentence covers it.
 *     Stamps are never given twice: an answer to an older announcement, even one that looked the
 *     same, cannot be taken for an answer to this one.
 * [range]    the heavy fence pairs with the light fences of pop in deque.h and fifo.h.
 */
#include "store/steal_word.h"

#include "plat/fence.h"
#include "plat/relax.h"

/* About 3 us: an owner that is at work passes here far more often. */
#define SETTLE_SPINS 100

void gv_steal_settle(struct gv_steal_stamp *stamp, struct gv_thief *thief)
{
	uint64_t mine = (++thief->stamps << 11) | thief->id;

	gv_store(&stamp->asked, mine, release); /* [ack] */
	for (int i = 0; i < SETTLE_SPINS; i++) {
		if (gv_load(&stamp->seen, acquire) == mine) /* [ack] */
			return;
		gv_cpu_relax();
	}
	gv_fence_heavy(); /* [range] the thief's side */
}

void gv_steal_acknowledge(struct gv_steal_stamp *stamp)
{
	uint64_t asked = gv_load(&stamp->asked, acquire); /* [ack] */

	if (gv_load(&stamp->seen, relaxed) != asked)	/* relaxed: owner only */
		gv_store(&stamp->seen, asked, release); /* [ack] */
}
