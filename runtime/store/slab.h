/* SPDX-License-Identifier: MIT */
/*
 * slab.h - objects of one cache line that never change their type, each with a 32-bit index.
 *
 * Layer   store.  The invariants stand in slab.c.
 *
 * Whoever kept the address or the index of an object may look at it for ever: after the object
 * was freed, reused, and even after its memory went back to the kernel (it then reads as zero).
 * Index 0 names no object.
 */
#ifndef GV_SLAB_H
#define GV_SLAB_H

#include "base/atomic.h"
#include "base/compiler.h"
#include "plat/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GV_SLAB_OBJECT_BYTES = GV_CACHE_LINE,
	GV_SLAB_CHUNK_BYTES = 1 << 20,
	GV_SLAB_CHUNK_SLOTS = GV_SLAB_CHUNK_BYTES / GV_SLAB_OBJECT_BYTES,
	GV_SLAB_CHUNK_OBJECTS = GV_SLAB_CHUNK_SLOTS - 1, /* slot 0 is the chunk's header */
	GV_SLAB_CHUNKS_MAX = 4096,
	GV_SLAB_MAGAZINE_ROUNDS = 256, /* objects that change hands at a time */
};

/* Slot 0 of a chunk. */
struct gv_slab_chunk {
	uint32_t number;	 /* place in the table; never changes */
	_Atomic uint32_t carved; /* slots below this one were handed out (header included) */
	_Atomic uint64_t generation_floor; /* see gv_slab_generation_floor */
	struct gv_slab_chunk *next;	   /* slab lock: chunks to carve, or set aside */
	struct gv_slab *slab;
	uint32_t free_seen; /* trim lock: its objects that the trim has found */
	bool aside;	    /* trim lock: its objects go out of circulation */
	bool dropped;	    /* slab lock: carved again after its memory was given back */
} GV_ALIGNED(GV_SLAB_OBJECT_BYTES);

struct gv_slab_magazine; /* up to GV_SLAB_MAGAZINE_ROUNDS pointers to free objects */

/* One user's stock of free objects.  For the thread that owns it, without atomics. */
struct gv_slab_cache {
	void **top; /* of the current magazine: one above the next object to hand out */
	void **base;
	void **limit;
	struct gv_slab *slab;
	struct gv_slab_magazine *current;
	struct gv_slab_magazine *spare;
	uint32_t flush_seen;
};

typedef uint64_t gv_slab_generation_fn(const void *object);

/* A static variable; zero until gv_slab_init. */
struct gv_slab {
	/* Written once, or rarely; read by everybody. */
	_Atomic(struct gv_slab_chunk *) table[GV_SLAB_CHUNKS_MAX];
	const char *name;
	gv_slab_generation_fn *generation;
	uint32_t max_objects;
	_Atomic uint32_t flush_wanted; /* counts the requests to bring caches back */

	/* The depot: under the lock, which nobody holds for longer than some microseconds. */
	struct gv_lock lock GV_ALIGNED(GV_CACHE_LINE);
	struct gv_slab_magazine *full; /* newest first */
	struct gv_slab_magazine *empty;
	struct gv_slab_magazine *partial; /* for threads without a cache; NULL at first */
	struct gv_slab_chunk *carving;	  /* chunks with slots that were not handed out */
	struct gv_slab_chunk **carving_end;
	struct gv_slab_block *blocks; /* memory of the magazines */
	uint32_t chunks;
	uint32_t carved;	/* objects in circulation: in use, cached, in the depot or held */
	uint32_t depot_free;	/* of these: in the depot */
	uint32_t trim_held;	/* of these: taken out of the depot by a trim that looks at them */
	uint32_t dropped_count; /* chunks whose memory was given back and not carved since */
	uint32_t magazines_spare; /* magazines that no chunk and no cache counts on */

	/* Trim: one at a time. */
	struct gv_lock trim_lock GV_ALIGNED(GV_CACHE_LINE);
	struct gv_slab_chunk *aside; /* between gv_slab_trim_begin and _finish */
	_Atomic uint32_t aside_count;
	_Atomic bool depot_missed; /* an allocation found the depot empty during a trim */
};

/*
 * Make an empty slab.  `name` is for statistics; `max_objects` 0 means as many as indices allow.
 * `generation` (or NULL) reads the caller's generation out of an object, for gv_slab_trim_finish.
 * Maps nothing.  The slab lives until the process ends; to make it again changes nothing.
 */
void gv_slab_init(struct gv_slab *slab, const char *name, uint32_t max_objects,
		  gv_slab_generation_fn *generation);

/* Returns 0 or -ENOMEM. */
int gv_slab_cache_init(struct gv_slab_cache *cache, struct gv_slab *slab);

/* Owner, or whoever outlived it: bring everything back to the depot.  The cache can be used on. */
void gv_slab_cache_flush(struct gv_slab_cache *cache);

/* The same, and give up the magazines; the cache must be initialised again before use. */
void gv_slab_cache_close(struct gv_slab_cache *cache);

/* The part of alloc and free that leaves the current magazine. */
void *gv_slab_alloc_slow(struct gv_slab_cache *cache);
void gv_slab_free_slow(struct gv_slab_cache *cache, void *object);

/*
 * Owner: an object, or NULL if there is neither one left nor memory for more.  Objects never
 * handed out since their memory came from the kernel are zero; others are as they were freed.
 * Objects allocated in a row from fresh memory lie in a row.
 */
static inline void *gv_slab_alloc(struct gv_slab_cache *cache)
{
	if (GV_LIKELY(cache->top != cache->base))
		return *--cache->top;
	return gv_slab_alloc_slow(cache);
}

/* Owner: hand an object of the same slab back, wherever it was allocated.  Cannot fail. */
static inline void gv_slab_free(struct gv_slab_cache *cache, void *object)
{
	if (GV_LIKELY(cache->top != cache->limit))
		*cache->top++ = object;
	else
		gv_slab_free_slow(cache, object);
}

/* The same for any thread, under the slab's lock: not from signal handlers. */
void *gv_slab_alloc_shared(struct gv_slab *slab);
void gv_slab_free_shared(struct gv_slab *slab, void *object);

static inline struct gv_slab_chunk *gv_slab_chunk_of(const void *object)
{
	return (struct gv_slab_chunk *)((uintptr_t)object & ~(uintptr_t)(GV_SLAB_CHUNK_BYTES - 1));
}

/* Never 0. */
static inline uint32_t gv_slab_index(const void *object)
{
	uintptr_t slot = ((uintptr_t)object % GV_SLAB_CHUNK_BYTES) / GV_SLAB_OBJECT_BYTES;

	return gv_slab_chunk_of(object)->number * (uint32_t)GV_SLAB_CHUNK_SLOTS + (uint32_t)slot;
}

/*
 * The object of an index, free or not; NULL if the index never belonged to one.  From anywhere,
 * signal handlers included.
 */
static inline void *gv_slab_at(struct gv_slab *slab, uint32_t index)
{
	uint32_t number = index / GV_SLAB_CHUNK_SLOTS;
	uint32_t slot = index % GV_SLAB_CHUNK_SLOTS;
	if (GV_UNLIKELY(number >= GV_SLAB_CHUNKS_MAX || slot == 0))
		return NULL;

	/* [chunk] pairs with the store in slab.c: the header is complete. */
	struct gv_slab_chunk *chunk = gv_load(&slab->table[number], acquire);
	return chunk ? (char *)chunk + (size_t)slot * GV_SLAB_OBJECT_BYTES : NULL;
}

/*
 * No generation at or below this one may be used for an object that comes out of gv_slab_alloc
 * with generation zero: its earlier lives used them, before its memory was given back.
 */
static inline uint64_t gv_slab_generation_floor(const void *object)
{
	/* relaxed: written before the object got into the depot, which hands it out under a lock */
	return gv_load(&gv_slab_chunk_of(object)->generation_floor, relaxed);
}

/*
 * Show every object that was handed out since its memory came from the kernel, free ones too: the
 * visitor judges by the content, with atomic reads.  Ends early when it returns false.  From any
 * thread; objects handed out meanwhile may be missed.
 */
void gv_slab_each(struct gv_slab *slab, bool (*visit)(void *object, void *arg), void *arg);

/*
 * Give memory back, in two steps around a grace period.
 *
 * _begin: if the depot holds far more than is in use, take whole chunks of free objects out of
 * circulation.  Returns their number; 0 means nothing to do.  Otherwise the caller sees to it that
 * _finish runs once, after every thread that reads objects without owning them has passed a
 * quiescent state (gv_reclaim_retire(node, gv_slab_trim_finish, slab)).  It also asks the owners
 * of caches to flush, see gv_slab_cache_tick: objects in caches hold their chunks back.
 *
 * _finish: raise each chunk's generation floor to the highest generation of its objects, drop its
 * pages, and let it be carved again.
 *
 * Allocation and freeing go on meanwhile.
 */
uint32_t gv_slab_trim_begin(struct gv_slab *slab);
void gv_slab_trim_finish(void *slab);

/* Owner, now and then (and before a long sleep): flush if a trim has asked for it. */
static inline void gv_slab_cache_tick(struct gv_slab_cache *cache)
{
	/* relaxed: a hint; a request that is seen late is answered late */
	if (GV_UNLIKELY(gv_load(&cache->slab->flush_wanted, relaxed) != cache->flush_seen))
		gv_slab_cache_flush(cache);
}

/* Around fork, inside gv_reclaim_before_fork: nobody else is in the depot while it is held. */
void gv_slab_fork_lock(struct gv_slab *slab);
void gv_slab_fork_unlock(struct gv_slab *slab);

struct gv_slab_stats {
	const char *name;
	uint64_t chunks;	 /* of GV_SLAB_CHUNK_BYTES, mapped */
	uint64_t chunks_dropped; /* of these: without memory at present */
	uint64_t chunks_aside;	 /* of these: waiting for a grace period */
	uint64_t objects;	 /* in circulation: handed out at least once */
	uint64_t objects_free;	 /* of these: in the depot; the others are in use or in a cache */
};

void gv_slab_stats(struct gv_slab *slab, struct gv_slab_stats *out);

/*
 * Between slab.c, slab_depot.c and slab_trim.c.
 */

enum {
	GV_SLAB_BLOCK_MAGAZINES = 96,

	/*
	 * 64 that its objects can fill, one for `partial`, and three that a trim has in its hands,
	 * counted for each chunk to keep the sum simple.
	 */
	GV_SLAB_MAGAZINES_PER_CHUNK = GV_SLAB_CHUNK_SLOTS / GV_SLAB_MAGAZINE_ROUNDS + 4,
};

struct gv_slab_magazine {
	void **rounds;
	struct gv_slab_magazine *next;
	uint32_t count; /* of the cached current one: not up to date */
	bool idle;	/* slab lock: on the list of empty ones */
	bool dropped;	/* slab lock: idle, and its memory was given back */
};

/* Memory of magazines: their descriptions; the pointers lie behind. */
struct gv_slab_block {
	struct gv_slab_block *next;
	struct gv_slab_magazine magazine[GV_SLAB_BLOCK_MAGAZINES];
};

enum gv_slab_refill { GV_SLAB_REFILLED, GV_SLAB_NEEDS_CHUNK, GV_SLAB_EXHAUSTED };

/* Exchange the empty *magazine for one with objects, or put fresh objects into it. */
enum gv_slab_refill gv_slab_refill_locked(struct gv_slab *slab, struct gv_slab_magazine **magazine);

/* Without the lock.  Return false if there is no memory for another chunk, or block. */
bool gv_slab_grow(struct gv_slab *slab);
bool gv_slab_add_block(struct gv_slab *slab);

void gv_slab_put_full_locked(struct gv_slab *slab, struct gv_slab_magazine *magazine);
void gv_slab_put_empty_locked(struct gv_slab *slab, struct gv_slab_magazine *magazine);
struct gv_slab_magazine *gv_slab_take_empty_locked(struct gv_slab *slab);

/* Through the partial magazine: one object, or all of a magazine, which is empty then. */
void gv_slab_put_object_locked(struct gv_slab *slab, void *object);
void gv_slab_put_objects_locked(struct gv_slab *slab, struct gv_slab_magazine *magazine);

void gv_slab_append_carving_locked(struct gv_slab *slab, struct gv_slab_chunk *chunk);

/* NULL behind the last. */
struct gv_slab_chunk *gv_slab_chunk_at(struct gv_slab *slab, uint32_t number);

#endif
