/* SPDX-License-Identifier: MIT */
/*
 * record.c - lives of a record, its references and its id.
 *
 * Layer   sched.  Below: store/slab.h.
 * Owns    struct grove_greenlet, except the protocols of its words `wait` (wait/park.c), `kills`
 *         (wait/kills.c) and of the chain inside `done` (wait/waitset.c).
 * Entry   gv_record_begin from spawn, gv_record_release from everybody.
 *
 *              take (CAS)            end (CAS)             last reference (CAS)
 *      NEW ---------------> TAKEN ---------------> ENDED ------------------> free
 *       |                                            ^
 *       '------------- cancelled: take, then end ----'
 *
 * I1  TAKEN is set by exactly one: the hub that runs the greenlet first, a join that runs it in
 *     place, or a kill that ends it.  A queue entry for a record that was taken by somebody else is
 *     a tombstone; it holds a reference and is dropped by whoever picks it.
 * I2  References: one for the entry in a queue or timer that will start it, which becomes the one of
 *     the run; one per handle.  A record is freed once, by who takes the count to zero.
 * I3  The count sticks at 65535, so it never wraps.
 * I4  `life` grows with each use and never restarts, not even when the slab's memory was given back
 *     in between; neither does the generation of the wait word.  Hence a stale id or a stale waker
 *     matches nothing.
 *
 * [count]  release: CAS release; the one that reaches zero: acquire.  What any holder wrote before
 *          it let go is visible to who frees.
 * [birth]  begin: store-release done, last.  lookup: load-acquire done, then the id, then CAS.  A
 *          lookup that finds a count above zero and the id it looks for has a living reference: the
 *          CAS fails if the record was freed and begun again meanwhile, as the count passed zero and
 *          the word as a whole was rewritten; and it reads the id once more after the CAS.
 */
#include "sched/record.h"

#include "base/check.h"
#include "base/memory.h"
#include "sched/failure.h"
#include "sched/hub.h"
#include "sched/label.h"

#define INDEX_BITS 26
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)
#define LIFE_MASK ((UINT64_C(1) << 38) - 1)

struct gv_slab gv_records;

static uint64_t life_of(const struct grove_greenlet *g)
{
	struct grove_greenlet *record = (struct grove_greenlet *)(uintptr_t)g;
	uint64_t high = gv_load(&record->life_high, relaxed); /* relaxed: [birth] around it */
	uint64_t low = gv_load(&record->life_low, relaxed);   /* relaxed: [birth] around it */

	return (high << 32 | low) & LIFE_MASK;
}

/* Lives and waits share one floor: the larger of the two. */
static uint64_t generation_of(const void *object)
{
	const struct grove_greenlet *g = object;
	struct grove_greenlet *record = (struct grove_greenlet *)(uintptr_t)g;
	uint64_t waits = gv_load(&record->wait, relaxed) / GV_WAIT_GENERATION; /* relaxed: free */

	return GV_MAX(waits, life_of(g));
}

void gv_record_setup(void)
{
	gv_slab_init(&gv_records, "greenlets", 0, generation_of);
}

uint32_t gv_record_next_life(struct grove_greenlet *g)
{
	uint64_t life = life_of(g);

	if (life == 0) { /* I4: memory that reads as zero */
		life = gv_slab_generation_floor(g);
		gv_store(&g->wait, life * GV_WAIT_GENERATION, relaxed); /* relaxed: nobody waits */
	}
	life++;
	gv_store(&g->life_high, (uint8_t)(life >> 32), relaxed); /* relaxed: [birth] follows */
	return (uint32_t)life;
}

void gv_record_retain(struct grove_greenlet *g)
{
	uint64_t done = gv_load(&g->done, relaxed); /* relaxed: the CAS decides */

	do {
		if (GV_UNLIKELY((done & GV_DONE_REFERENCES) == GV_DONE_REFERENCES))
			return; /* I3 */
		GV_DEBUG_CHECK(done >= GV_DONE_REFERENCE, "record %p is free", (void *)g);
	} while (!gv_cas(&g->done, &done, done + GV_DONE_REFERENCE, relaxed,
			 relaxed)); /* relaxed: held */
}

void gv_record_release(struct grove_greenlet *g, struct gv_slab_cache *cache)
{
	uint64_t done = gv_load(&g->done, relaxed); /* relaxed: the CAS decides */

	do {
		if (GV_UNLIKELY((done & GV_DONE_REFERENCES) == GV_DONE_REFERENCES))
			return; /* I3 */
		GV_CHECK(done >= GV_DONE_REFERENCE, "greenlet %p released once too often",
			 (void *)g);
	} while (
		!gv_cas(&g->done, &done, done - GV_DONE_REFERENCE, acq_rel, relaxed)); /* [count] */
	if (done < 2 * GV_DONE_REFERENCE)
		gv_record_free(g, cache);
}

void gv_extra_free(struct gv_extra *extra)
{
	gv_free(extra);
}

void gv_record_free(struct grove_greenlet *g, struct gv_slab_cache *cache)
{
	uint64_t done = gv_load(&g->done, relaxed);  /* relaxed: nobody else has it */
	uintptr_t body = gv_load(&g->body, relaxed); /* relaxed: nobody else has it */
	struct gv_extra *extra = gv_record_extra_of(body);

	if (GV_UNLIKELY(done & (GV_DONE_FAILED | GV_DONE_EXITED)))
		gv_failure_release(g->slot);
	if (GV_UNLIKELY(
		    !(done & GV_DONE_ENDED))) { /* made, never started: it does not live any more */
		gv_add(&gv_runtime.foreign_ended, 1, relaxed); /* relaxed: statistics */
		if (gv_runtime.counting)
			gv_sub(&gv_runtime.live, 1, relaxed); /* relaxed: only counts */
	}
	if (GV_UNLIKELY(gv_load(&g->kills, relaxed) != 0)) /* relaxed: nobody else has it */
		gv_runtime.hooks.drop_kills(g);
	if (GV_UNLIKELY(gv_labelled(g))) {
		gv_label_forget(g);
		gv_and(&g->life_high, (uint8_t)~GV_LABELLED,
		       relaxed); /* relaxed: nobody else has it */
	}
	if (GV_UNLIKELY(extra != NULL)) {
		if (extra->release_arg != NULL)
			extra->release_arg(extra->release_with); /* made, never started */
		if (extra->release_value != NULL && g->slot != NULL &&
		    (done & (GV_DONE_ENDED | GV_DONE_FAILED | GV_DONE_EXITED)) == GV_DONE_ENDED)
			extra->release_value(g->slot);
		gv_extra_free(extra);
		gv_store(&g->body, 1, relaxed); /* relaxed: nobody else has it */
	}
	if (GV_LIKELY(cache != NULL))
		gv_slab_free(cache, g);
	else
		gv_slab_free_shared(&gv_records, g);
}

uint64_t gv_record_id(const struct grove_greenlet *g)
{
	return life_of(g) << INDEX_BITS | gv_slab_index(g);
}

struct grove_greenlet *gv_record_lookup(uint64_t id)
{
	struct grove_greenlet *g = gv_slab_at(&gv_records, (uint32_t)(id & INDEX_MASK));
	if (g == NULL)
		return NULL;

	uint64_t done = gv_load(&g->done, acquire); /* [birth] */
	do {
		if (done < GV_DONE_REFERENCE || gv_record_id(g) != id)
			return NULL;
		if ((done & GV_DONE_REFERENCES) == GV_DONE_REFERENCES)
			return g;
	} while (
		!gv_cas(&g->done, &done, done + GV_DONE_REFERENCE, acq_rel, acquire)); /* [birth] */

	if (GV_UNLIKELY(gv_record_id(g) != id)) {
		gv_record_release(g, NULL); /* begun again between the look and the CAS */
		return NULL;
	}
	return g;
}
