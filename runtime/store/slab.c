/* SPDX-License-Identifier: MIT */
/*
 * slab.c - handing objects out and taking them back.
 *
 * Layer   store.  Below: plat/lock.h.
 * Owns    struct gv_slab_cache: two magazines, of which the inline functions see the current one.
 * Entry   gv_slab_alloc() and gv_slab_free() in the header, for a thread with a cache; refill() and
 *         drain() behind them.  slab_depot.c has what lies behind the caches, slab_trim.c the way
 *         of memory back to the kernel.
 *
 *                         carve                free
 *   chunk (fresh, zero) --------> in circulation: in use <---> cache <---> depot
 *        ^                                             alloc                 |
 *        '---- trim_finish: pages dropped <---- set aside <---- trim_begin --'
 *
 * Free objects travel in magazines of 256 pointers, so the content of a free object is nobody's
 * but its last user's: what a stale reader finds in it stays true.
 *
 * S1  A chunk's address, number and header stay for ever.  What gv_slab_at returned stays readable.
 * S2  An object is in one place: with its user, in one cache, in the depot, held by a trim, in the
 *     part of its chunk that was not carved, or set aside with all its neighbours.
 * S3  free never fails: the magazines always suffice.  Each chunk comes with more of them than its
 *     objects can fill, each cache counts on two of its own (GV_SLAB_MAGAZINES_PER_CHUNK).
 * S4  A dropped chunk's floor is at least the generation of everything it ever held.
 *
 * [chunk]  slab_depot.c stores a new chunk's address in the table (release), after its header.
 *          gv_slab_at and gv_slab_chunk_at load it (acquire).
 * [carve]  slab_depot.c raises a chunk's count of slots (release), slab_trim.c sets it back.
 *          gv_slab_each loads it (acquire).
 *
 * Rejected: links inside free objects (they would overwrite what stale readers look at).
 */
#include "store/slab.h"

#include "base/check.h"
#include "base/fault.h"

#include <errno.h>

enum { ROUNDS = GV_SLAB_MAGAZINE_ROUNDS, MAGAZINES_PER_CACHE = 2 };

void gv_slab_init(struct gv_slab *slab, const char *name, uint32_t max_objects,
		  gv_slab_generation_fn *generation)
{
	uint32_t most = GV_SLAB_CHUNKS_MAX * GV_SLAB_CHUNK_OBJECTS;

	if (slab->name != NULL)
		return;
	slab->name = name;
	slab->generation = generation;
	slab->max_objects = max_objects != 0 ? GV_MIN(max_objects, most) : most;
	slab->carving_end = &slab->carving;
}

static void show_current(struct gv_slab_cache *cache)
{
	struct gv_slab_magazine *current = cache->current;

	cache->base = current->rounds;
	cache->top = current->rounds + current->count;
	cache->limit = current->rounds + ROUNDS;
}

static void store_current(struct gv_slab_cache *cache)
{
	cache->current->count = (uint32_t)(cache->top - cache->base);
}

static void swap_spare(struct gv_slab_cache *cache)
{
	struct gv_slab_magazine *old = cache->current;

	store_current(cache);
	cache->current = cache->spare;
	cache->spare = old;
	show_current(cache);
}

int gv_slab_cache_init(struct gv_slab_cache *cache, struct gv_slab *slab)
{
	gv_lock_acquire(&slab->lock);
	if (slab->magazines_spare < MAGAZINES_PER_CACHE) {
		gv_lock_release(&slab->lock);
		if (!gv_slab_add_block(slab))
			return -ENOMEM;
		gv_lock_acquire(&slab->lock);
	}
	slab->magazines_spare -= MAGAZINES_PER_CACHE;
	cache->slab = slab;
	cache->current = gv_slab_take_empty_locked(slab);
	cache->spare = gv_slab_take_empty_locked(slab);
	gv_lock_release(&slab->lock);

	/* relaxed: a hint, see gv_slab_cache_tick */
	cache->flush_seen = gv_load(&slab->flush_wanted, relaxed);
	show_current(cache);
	return 0;
}

void gv_slab_cache_flush(struct gv_slab_cache *cache)
{
	struct gv_slab *slab = cache->slab;

	/* relaxed: a hint, see gv_slab_cache_tick */
	cache->flush_seen = gv_load(&slab->flush_wanted, relaxed);
	store_current(cache);
	if (cache->current->count == 0 && cache->spare->count == 0)
		return;

	gv_lock_acquire(&slab->lock);
	gv_slab_put_objects_locked(slab, cache->current);
	gv_slab_put_objects_locked(slab, cache->spare);
	gv_lock_release(&slab->lock);
	show_current(cache);
}

void gv_slab_cache_close(struct gv_slab_cache *cache)
{
	struct gv_slab *slab = cache->slab;

	gv_slab_cache_flush(cache);
	gv_lock_acquire(&slab->lock);
	gv_slab_put_empty_locked(slab, cache->current);
	gv_slab_put_empty_locked(slab, cache->spare);
	slab->magazines_spare += MAGAZINES_PER_CACHE;
	gv_lock_release(&slab->lock);
	*cache = (struct gv_slab_cache){ 0 };
}

GV_COLD static bool refill(struct gv_slab_cache *cache)
{
	struct gv_slab *slab = cache->slab;

	store_current(cache);
	for (;;) {
		gv_lock_acquire(&slab->lock);
		enum gv_slab_refill result = gv_slab_refill_locked(slab, &cache->current);
		gv_lock_release(&slab->lock);

		if (result == GV_SLAB_REFILLED)
			break;
		if (result == GV_SLAB_EXHAUSTED || !gv_slab_grow(slab))
			return false;
	}
	show_current(cache);
	return true;
}

GV_NOINLINE void *gv_slab_alloc_slow(struct gv_slab_cache *cache)
{
	if (cache->spare->count > 0)
		swap_spare(cache);
	else if (!refill(cache))
		return NULL;
	return *--cache->top;
}

/* Both magazines are full: the spare one goes to the depot, the current one becomes the spare. */
GV_COLD static void drain(struct gv_slab_cache *cache)
{
	struct gv_slab *slab = cache->slab;

	store_current(cache);
	gv_lock_acquire(&slab->lock);
	gv_slab_put_full_locked(slab, cache->spare);
	cache->spare = cache->current;
	cache->current = gv_slab_take_empty_locked(slab);
	gv_lock_release(&slab->lock);
	show_current(cache);
}

GV_NOINLINE void gv_slab_free_slow(struct gv_slab_cache *cache, void *object)
{
	GV_DEBUG_CHECK(gv_slab_chunk_of(object)->slab == cache->slab, "%p is not from slab %s",
		       object, cache->slab->name);

	/* A spare with some objects is left from an allocation that came between. */
	if (cache->spare->count < ROUNDS)
		swap_spare(cache);
	else
		drain(cache);
	*cache->top++ = object;
}

void *gv_slab_alloc_shared(struct gv_slab *slab)
{
	for (;;) {
		gv_lock_acquire(&slab->lock);
		struct gv_slab_magazine *partial = slab->partial;
		enum gv_slab_refill result = GV_SLAB_NEEDS_CHUNK;

		if (partial != NULL && partial->count == 0) {
			result = gv_slab_refill_locked(slab, &slab->partial);
			partial = slab->partial;
			if (result == GV_SLAB_REFILLED)
				slab->depot_free += partial->count;
		}
		if (partial != NULL && partial->count > 0) {
			void *object = partial->rounds[--partial->count];
			slab->depot_free--;
			gv_lock_release(&slab->lock);
			return object;
		}
		gv_lock_release(&slab->lock);

		if (result == GV_SLAB_EXHAUSTED || !gv_slab_grow(slab))
			return NULL;
	}
}

void gv_slab_free_shared(struct gv_slab *slab, void *object)
{
	GV_DEBUG_CHECK(gv_slab_chunk_of(object)->slab == slab, "%p is not from slab %s", object,
		       slab->name);
	gv_lock_acquire(&slab->lock);
	gv_slab_put_object_locked(slab, object);
	gv_lock_release(&slab->lock);
}

void gv_slab_each(struct gv_slab *slab, bool (*visit)(void *object, void *arg), void *arg)
{
	for (uint32_t number = 0;; number++) {
		struct gv_slab_chunk *chunk = gv_slab_chunk_at(slab, number);
		if (chunk == NULL)
			return;

		/* [carve] */
		uint32_t carved = gv_load(&chunk->carved, acquire);
		for (uint32_t slot = 1; slot < carved; slot++) {
			if (!visit((char *)chunk + (size_t)slot * GV_SLAB_OBJECT_BYTES, arg))
				return;
		}
	}
}

void gv_slab_fork_lock(struct gv_slab *slab)
{
	gv_lock_acquire(&slab->trim_lock);
	gv_lock_acquire(&slab->lock);
}

void gv_slab_fork_unlock(struct gv_slab *slab)
{
	gv_lock_release(&slab->lock);
	gv_lock_release(&slab->trim_lock);
}

void gv_slab_stats(struct gv_slab *slab, struct gv_slab_stats *out)
{
	gv_lock_acquire(&slab->lock);
	*out = (struct gv_slab_stats){
		.name = slab->name,
		.chunks = slab->chunks,
		.chunks_dropped = slab->dropped_count,
		.chunks_aside = gv_load(&slab->aside_count, relaxed), /* relaxed: statistics */
		.objects = slab->carved,
		.objects_free = slab->depot_free + slab->trim_held,
	};
	gv_lock_release(&slab->lock);
}
