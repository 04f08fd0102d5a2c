/* SPDX-License-Identifier: MIT */
/*
 * slab_trim.c - which chunks give their memory back, and when it is safe.
 *
 * Layer   store.  Below: plat/lock.h.
 * Owns    chunks that are set aside: gv_slab_trim_begin() to gv_slab_trim_finish().
 *
 *   begin:   take the depot's magazines - count free objects per chunk - choose - put the rest back
 *            (grace period, the caller's)
 *   finish:  raise the floor - drop the pages - let the chunk be carved again
 *
 * The counting takes a millisecond per million objects, too long for the lock.  So it works on
 * magazines that it has taken out of the depot, and puts them back at once when an allocation
 * misses them; that allocation carves meanwhile.
 *
 * Functions named trim_ run under slab->trim_lock and take slab->lock where needed.
 * [carve]  sets a chunk's count of slots back; slab.c has the other sides, and the invariants.
 *
 * Rejected: counters per chunk kept up to date at each exchange of a magazine (paid by everybody,
 * used by nobody but the trim).
 */
#include "base/fault.h"
#include "plat/os.h"
#include "store/slab.h"

#include <sys/mman.h>

enum {
	ROUNDS = GV_SLAB_MAGAZINE_ROUNDS,

	/* Free objects that a trim leaves alone, besides as many as are in use. */
	KEEP_FREE = 2 * GV_SLAB_CHUNK_OBJECTS,
};

/* What a trim has taken out of the depot: magazines of any fill, `partial`'s among them. */
struct held {
	struct gv_slab_magazine *magazines;
	uint32_t free;	     /* objects in them */
	uint32_t drop_limit; /* chunks that may go at most */
};

/* Take the depot's content if it is worth it. */
static bool trim_take(struct gv_slab *slab, struct held *held)
{
	gv_lock_acquire(&slab->lock);
	uint32_t keep = slab->carved - slab->depot_free + KEEP_FREE;
	bool worth = slab->depot_free / 2 > keep;
	if (worth) {
		struct gv_slab_magazine *partial = slab->partial;

		/* relaxed: hints, see gv_slab_cache_tick and refill_locked */
		gv_add(&slab->flush_wanted, 1, relaxed);
		gv_store(&slab->depot_missed, false, relaxed);

		slab->partial = gv_slab_take_empty_locked(slab);
		partial->next = slab->full;
		*held = (struct held){
			.magazines = partial,
			.free = slab->depot_free,
			.drop_limit = (slab->depot_free - keep) / GV_SLAB_CHUNK_OBJECTS,
		};
		slab->full = NULL;
		slab->trim_held = slab->depot_free;
		slab->depot_free = 0;
	}
	gv_lock_release(&slab->lock);
	return worth;
}

/* Give one magazine back to the depot, full, empty or between. */
static void trim_give_back(struct gv_slab *slab, struct gv_slab_magazine *magazine)
{
	gv_lock_acquire(&slab->lock);
	slab->trim_held -= magazine->count;
	if (magazine->count == ROUNDS) {
		gv_slab_put_full_locked(slab, magazine);
	} else {
		gv_slab_put_objects_locked(slab, magazine);
		gv_slab_put_empty_locked(slab, magazine);
	}
	gv_lock_release(&slab->lock);
}

/* Count free objects per chunk.  Returns false if somebody missed them meanwhile. */
static bool trim_count(struct gv_slab *slab, const struct held *held)
{
	struct gv_slab_chunk *chunk;

	/* Chunks installed from now on have no object in what is held. */
	for (uint32_t number = 0; (chunk = gv_slab_chunk_at(slab, number)) != NULL; number++)
		chunk->free_seen = 0;

	for (struct gv_slab_magazine *m = held->magazines; m != NULL; m = m->next) {
		/* relaxed: only soon matters */
		if (gv_load(&slab->depot_missed, relaxed))
			return false;
		for (uint32_t i = 0; i < m->count; i++)
			gv_slab_chunk_of(m->rounds[i])->free_seen++;
	}
	return true;
}

/* Choose chunks to set aside, high numbers first: low ones fill up and stay dense. */
static uint32_t trim_choose(struct gv_slab *slab, const struct held *held)
{
	uint32_t chosen = 0;

	for (uint32_t number = GV_SLAB_CHUNKS_MAX; number-- > 0 && chosen < held->drop_limit;) {
		struct gv_slab_chunk *chunk = gv_slab_chunk_at(slab, number);
		if (chunk == NULL || chunk->free_seen < GV_SLAB_CHUNK_OBJECTS)
			continue;
		chunk->free_seen = 0;
		chunk->aside = true;
		chunk->next = slab->aside;
		slab->aside = chunk;
		chosen++;
	}
	return chosen;
}

/* Leave in the magazine only what stays in circulation. */
static void trim_sift(struct gv_slab_magazine *magazine)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < magazine->count; i++) {
		if (!gv_slab_chunk_of(magazine->rounds[i])->aside)
			magazine->rounds[kept++] = magazine->rounds[i];
	}
	magazine->count = kept;
}

/* Move from the one to the other until the first is empty or the second full. */
static void trim_pour(struct gv_slab_magazine *from, struct gv_slab_magazine *to)
{
	while (from->count > 0 && to->count < ROUNDS)
		to->rounds[to->count++] = from->rounds[--from->count];
}

static void trim_return_kept(struct gv_slab *slab, struct held *held)
{
	struct gv_slab_magazine *filling = NULL;

	while (held->magazines != NULL) {
		struct gv_slab_magazine *magazine = held->magazines;

		held->magazines = magazine->next;
		trim_sift(magazine);
		if (filling != NULL)
			trim_pour(magazine, filling);
		else
			filling = magazine;
		if (filling->count == ROUNDS) {
			trim_give_back(slab, filling);
			filling = magazine != filling ? magazine : NULL;
		} else if (magazine != filling) {
			trim_give_back(slab, magazine);
		}
	}
	if (filling != NULL)
		trim_give_back(slab, filling);
}

static void trim_return_all(struct gv_slab *slab, struct held *held)
{
	while (held->magazines != NULL) {
		struct gv_slab_magazine *magazine = held->magazines;

		held->magazines = magazine->next;
		trim_give_back(slab, magazine);
	}
}

static uint32_t trim_begin(struct gv_slab *slab)
{
	struct held held;
	uint32_t chosen = 0;

	if (!trim_take(slab, &held))
		return 0;
	if (trim_count(slab, &held))
		chosen = trim_choose(slab, &held);
	if (chosen == 0) {
		trim_return_all(slab, &held);
		return 0;
	}

	trim_return_kept(slab, &held);
	gv_lock_acquire(&slab->lock);
	slab->carved -= slab->trim_held;
	slab->trim_held = 0;
	gv_lock_release(&slab->lock);
	return chosen;
}

uint32_t gv_slab_trim_begin(struct gv_slab *slab)
{
	uint32_t chosen = 0;

	if (!gv_lock_try(&slab->trim_lock))
		return 0;
	/* relaxed: written under the trim lock */
	if (gv_load(&slab->aside_count, relaxed) == 0) {
		chosen = trim_begin(slab);
		gv_store(&slab->aside_count, chosen, relaxed);
	}
	gv_lock_release(&slab->trim_lock);
	return chosen;
}

static void trim_raise_floor(struct gv_slab *slab, struct gv_slab_chunk *chunk)
{
	/* relaxed: read by those who get objects of the chunk, later and through the lock */
	uint64_t floor = gv_load(&chunk->generation_floor, relaxed);

	if (slab->generation == NULL)
		return;
	for (uint32_t slot = 1; slot < GV_SLAB_CHUNK_SLOTS; slot++) {
		void *object = (char *)chunk + (size_t)slot * GV_SLAB_OBJECT_BYTES;
		uint64_t generation = slab->generation(object);
		floor = GV_MAX(floor, generation);
	}
	gv_store(&chunk->generation_floor, floor, relaxed); /* relaxed: as above */
}

/* The page with the header stays; the objects in it will be handed out as they are. */
static void trim_drop_pages(struct gv_slab_chunk *chunk)
{
	size_t page = gv_os_page_size();

	if (!gv_fault_here("slab_drop"))
		(void)madvise((char *)chunk + page, GV_SLAB_CHUNK_BYTES - page, MADV_DONTNEED);
}

/* How many magazines from here on are idle. */
static int idle_run(const struct gv_slab_magazine *first, int count)
{
	int run = 0;

	while (run < count && first[run].idle)
		run++;
	return run;
}

/* Drop the whole pages among `count` idle magazines, unless nobody has touched them since. */
static void trim_drop_run_locked(struct gv_slab_magazine *first, int count)
{
	size_t page = gv_os_page_size();
	uintptr_t start = ((uintptr_t)first->rounds + page - 1) / page * page;
	uintptr_t end = (uintptr_t)(first->rounds + (size_t)count * ROUNDS) / page * page;
	bool touched = false;

	for (int i = 0; i < count; i++) {
		touched = touched || !first[i].dropped;
		first[i].dropped = true;
	}
	if (touched && start < end && !gv_fault_here("slab_drop"))
		(void)madvise((void *)start, end - start, MADV_DONTNEED);
}

/* The lock keeps idle magazines idle. */
static void trim_drop_block_locked(struct gv_slab_block *block)
{
	for (int i = 0; i < GV_SLAB_BLOCK_MAGAZINES; i++) {
		int run = idle_run(&block->magazine[i], GV_SLAB_BLOCK_MAGAZINES - i);

		if (run > 0)
			trim_drop_run_locked(&block->magazine[i], run);
		i += run;
	}
}

static void trim_drop_magazines(struct gv_slab *slab)
{
	gv_lock_acquire(&slab->lock);
	struct gv_slab_block *block = slab->blocks;
	gv_lock_release(&slab->lock);

	while (block != NULL) {
		gv_lock_acquire(&slab->lock);
		trim_drop_block_locked(block);
		gv_lock_release(&slab->lock);
		block = block->next;
	}
}

void gv_slab_trim_finish(void *arg)
{
	struct gv_slab *slab = arg;

	gv_lock_acquire(&slab->trim_lock);
	while (slab->aside != NULL) {
		struct gv_slab_chunk *chunk = slab->aside;

		slab->aside = chunk->next;
		trim_raise_floor(slab, chunk);
		/* [carve] nobody who finds the new count walks over the dropped pages */
		gv_store(&chunk->carved, 1, release);
		trim_drop_pages(chunk);
		chunk->aside = false;

		gv_lock_acquire(&slab->lock);
		chunk->dropped = true;
		slab->dropped_count++;
		gv_slab_append_carving_locked(slab, chunk);
		gv_lock_release(&slab->lock);
	}
	trim_drop_magazines(slab);
	gv_store(&slab->aside_count, 0, relaxed); /* relaxed: written under the trim lock */
	gv_lock_release(&slab->trim_lock);
}
