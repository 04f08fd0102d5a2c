/* SPDX-License-Identifier: MIT */
/*
 * slab_depot.c - where magazines of free objects come from.
 *
 * Layer   store.  Below: plat/lock.h.
 * Owns    the chunks and blocks of each struct gv_slab, and the lists of magazines between caches.
 * Entry   gv_slab_refill_locked(), and gv_slab_grow() when it asks for it.  Functions that end in
 *         _locked: under slab->lock.
 *
 *   magazine:   empty list --> a cache, filled there <--> full list
 *   refill:     the newest full one, else the shared partial one, else fresh neighbours
 *
 * Mapping a chunk happens outside the lock; two threads that need one at once get two, and the
 * second is carved later.
 *
 * [chunk], [carve]  the storing sides; slab.c has both, and the invariants.
 */
#include "base/check.h"
#include "base/fault.h"
#include "store/slab.h"

#include <sys/mman.h>

#if GV_ASAN
#include <sanitizer/lsan_interface.h>
#endif

enum {
	ROUNDS = GV_SLAB_MAGAZINE_ROUNDS,
	BLOCK_HEADER_BYTES = 64 << 10, /* no page of any size holds both descriptors and pointers */
	BLOCK_BYTES = BLOCK_HEADER_BYTES + GV_SLAB_BLOCK_MAGAZINES * ROUNDS * (int)sizeof(void *),
};

_Static_assert(sizeof(struct gv_slab_chunk) == GV_SLAB_OBJECT_BYTES, "the header is one slot");
_Static_assert(sizeof(struct gv_slab_block) <= 4096, "descriptors fit in the smallest page");
_Static_assert(GV_SLAB_MAGAZINES_PER_CHUNK <= GV_SLAB_BLOCK_MAGAZINES, "a chunk brings its own");

#if GV_ASAN
/* Objects may hold the only pointer to something allocated; the leak checker must look there. */
static void show_to_leak_checker(void *memory)
{
	__lsan_register_root_region(memory, GV_SLAB_CHUNK_BYTES);
}
#else
static void show_to_leak_checker(void *memory)
{
	(void)memory;
}
#endif

struct gv_slab_chunk *gv_slab_chunk_at(struct gv_slab *slab, uint32_t number)
{
	/* [chunk] */
	return number < GV_SLAB_CHUNKS_MAX ? gv_load(&slab->table[number], acquire) : NULL;
}

void gv_slab_put_empty_locked(struct gv_slab *slab, struct gv_slab_magazine *magazine)
{
	magazine->count = 0;
	magazine->idle = true;
	magazine->next = slab->empty;
	slab->empty = magazine;
}

struct gv_slab_magazine *gv_slab_take_empty_locked(struct gv_slab *slab)
{
	struct gv_slab_magazine *magazine = slab->empty;

	GV_CHECK(magazine != NULL, "slab %s: out of magazines, %u chunks", slab->name,
		 slab->chunks);
	slab->empty = magazine->next;
	magazine->idle = false;
	magazine->dropped = false;
	return magazine;
}

void gv_slab_put_full_locked(struct gv_slab *slab, struct gv_slab_magazine *magazine)
{
	slab->depot_free += magazine->count;
	magazine->next = slab->full;
	slab->full = magazine;
}

/* NULL if there is none. */
static struct gv_slab_magazine *take_full_locked(struct gv_slab *slab)
{
	struct gv_slab_magazine *magazine = slab->full;

	if (magazine == NULL)
		return NULL;
	slab->full = magazine->next;
	slab->depot_free -= magazine->count;
	return magazine;
}

void gv_slab_put_object_locked(struct gv_slab *slab, void *object)
{
	struct gv_slab_magazine *partial = slab->partial;

	if (partial->count == ROUNDS) {
		slab->depot_free -= ROUNDS; /* counted again by put_full */
		gv_slab_put_full_locked(slab, partial);
		partial = gv_slab_take_empty_locked(slab);
		slab->partial = partial;
	}
	partial->rounds[partial->count++] = object;
	slab->depot_free++;
}

void gv_slab_put_objects_locked(struct gv_slab *slab, struct gv_slab_magazine *magazine)
{
	while (magazine->count > 0)
		gv_slab_put_object_locked(slab, magazine->rounds[--magazine->count]);
}

static void add_block_locked(struct gv_slab *slab, struct gv_slab_block *block)
{
	void **rounds = (void **)((char *)block + BLOCK_HEADER_BYTES);

	/* The last becomes the first: low addresses are used first. */
	for (int i = GV_SLAB_BLOCK_MAGAZINES - 1; i >= 0; i--) {
		block->magazine[i].rounds = rounds + (size_t)i * ROUNDS;
		gv_slab_put_empty_locked(slab, &block->magazine[i]);
		block->magazine[i].dropped = true; /* never touched */
	}
	block->next = slab->blocks;
	slab->blocks = block;
	slab->magazines_spare += GV_SLAB_BLOCK_MAGAZINES;
}

/*
 * Chunks.
 */

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

bool gv_slab_add_block(struct gv_slab *slab)
{
	struct gv_slab_block *block = gv_fault_here("slab_block") ? NULL : map(BLOCK_BYTES);
	if (block == NULL)
		return false;

	gv_lock_acquire(&slab->lock);
	add_block_locked(slab, block);
	gv_lock_release(&slab->lock);
	return true;
}

/* A chunk, aligned to its size, and a block right behind it; NULL if there is no memory. */
static struct gv_slab_chunk *map_chunk(void)
{
	const size_t bytes = GV_SLAB_CHUNK_BYTES + BLOCK_BYTES;

	if (gv_fault_here("slab_chunk"))
		return NULL;

	char *memory = map(bytes + GV_SLAB_CHUNK_BYTES);
	if (memory == NULL)
		return NULL;

	size_t past = (uintptr_t)memory % GV_SLAB_CHUNK_BYTES;
	size_t before = past != 0 ? GV_SLAB_CHUNK_BYTES - past : 0;
	char *chunk = memory + before;
	if (before != 0)
		(void)munmap(memory, before);
	(void)munmap(chunk + bytes, GV_SLAB_CHUNK_BYTES - before);

	/* Huge pages: 26 to 325 ns per cold object, by luck; plain pages: steady. */
	(void)madvise(chunk, bytes, MADV_NOHUGEPAGE);
	return (struct gv_slab_chunk *)chunk;
}

void gv_slab_append_carving_locked(struct gv_slab *slab, struct gv_slab_chunk *chunk)
{
	chunk->next = NULL;
	*slab->carving_end = chunk;
	slab->carving_end = &chunk->next;
}

static void install_locked(struct gv_slab *slab, struct gv_slab_chunk *chunk)
{
	add_block_locked(slab, (struct gv_slab_block *)((char *)chunk + GV_SLAB_CHUNK_BYTES));
	slab->magazines_spare -= GV_SLAB_MAGAZINES_PER_CHUNK;
	if (slab->partial == NULL)
		slab->partial = gv_slab_take_empty_locked(slab);

	chunk->number = slab->chunks++;
	chunk->slab = slab;
	gv_store(&chunk->carved, 1, relaxed); /* relaxed: [chunk] publishes it */
	gv_slab_append_carving_locked(slab, chunk);

	/* [chunk] */
	gv_store(&slab->table[chunk->number], chunk, release);
}

bool gv_slab_grow(struct gv_slab *slab)
{
	struct gv_slab_chunk *chunk = map_chunk();
	if (chunk == NULL)
		return false;

	gv_lock_acquire(&slab->lock);
	bool room = slab->chunks < GV_SLAB_CHUNKS_MAX;
	if (room)
		install_locked(slab, chunk);
	gv_lock_release(&slab->lock);

	if (room)
		show_to_leak_checker(chunk);
	else
		(void)munmap(chunk, GV_SLAB_CHUNK_BYTES + BLOCK_BYTES);
	return room;
}

/* Fill an empty magazine with neighbours, the lowest on top.  Returns false if no chunk has any. */
static bool carve_locked(struct gv_slab *slab, struct gv_slab_magazine *magazine)
{
	struct gv_slab_chunk *chunk = slab->carving;
	uint32_t allowed = slab->max_objects - slab->carved;
	if (chunk == NULL || allowed == 0)
		return false;

	uint32_t carved = gv_load(&chunk->carved, relaxed); /* relaxed: written under the lock */
	uint32_t count = GV_MIN(GV_MIN(GV_SLAB_CHUNK_SLOTS - carved, (uint32_t)ROUNDS), allowed);
	char *end = (char *)chunk + (size_t)(carved + count) * GV_SLAB_OBJECT_BYTES;
	for (uint32_t i = 0; i < count; i++)
		magazine->rounds[i] = end - (size_t)(i + 1) * GV_SLAB_OBJECT_BYTES;
	magazine->count = count;
	slab->carved += count;

	if (chunk->dropped) {
		chunk->dropped = false;
		slab->dropped_count--;
	}
	if (carved + count == GV_SLAB_CHUNK_SLOTS) {
		slab->carving = chunk->next;
		if (slab->carving == NULL)
			slab->carving_end = &slab->carving;
	}

	/* [carve] */
	gv_store(&chunk->carved, carved + count, release);
	return true;
}

enum gv_slab_refill gv_slab_refill_locked(struct gv_slab *slab, struct gv_slab_magazine **magazine)
{
	struct gv_slab_magazine *full = take_full_locked(slab);
	if (full != NULL) {
		gv_slab_put_empty_locked(slab, *magazine);
		*magazine = full;
		return GV_SLAB_REFILLED;
	}

	/* relaxed: read by a trim that only wants to know soon */
	gv_store(&slab->depot_missed, true, relaxed);

	struct gv_slab_magazine *partial = slab->partial;
	if (partial != NULL && partial->count > 0 && *magazine != partial) {
		slab->depot_free -= partial->count;
		slab->partial = *magazine;
		*magazine = partial;
		return GV_SLAB_REFILLED;
	}
	if (carve_locked(slab, *magazine))
		return GV_SLAB_REFILLED;
	if (slab->chunks == GV_SLAB_CHUNKS_MAX || slab->carved >= slab->max_objects)
		return GV_SLAB_EXHAUSTED;
	return GV_SLAB_NEEDS_CHUNK;
}
