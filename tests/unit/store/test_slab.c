/* SPDX-License-Identifier: MIT */
/*
 * test_slab.c - slab.c, slab_depot.c and slab_trim.c.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/rng.h"
#include "plat/os.h"
#include "store/slab.h"

/* What the runtime keeps in an object, as far as a slab is concerned. */
struct thing {
	_Atomic uint64_t generation;
	_Atomic uint64_t owner;
	uint64_t rest[6];
};

_Static_assert(sizeof(struct thing) == GV_SLAB_OBJECT_BYTES, "one object");

static uint64_t thing_generation(const void *object)
{
	const struct thing *thing = object;

	return gv_load(&thing->generation, relaxed); /* relaxed: the value alone matters */
}

static struct gv_slab *new_slab(uint32_t max_objects)
{
	struct gv_slab *slab = aligned_alloc(GV_CACHE_LINE, sizeof(*slab));

	assert_non_null(slab);
	memset(slab, 0, sizeof(*slab));
	gv_slab_init(slab, "test", max_objects, thing_generation);
	return slab;
}

static struct gv_slab_stats stats_of(struct gv_slab *slab)
{
	struct gv_slab_stats stats;

	gv_slab_stats(slab, &stats);
	return stats;
}

static void **alloc_many(struct gv_slab_cache *cache, size_t count)
{
	void **objects = calloc(count, sizeof(*objects));

	assert_non_null(objects);
	for (size_t i = 0; i < count; i++) {
		objects[i] = gv_slab_alloc(cache);
		assert_non_null(objects[i]);
	}
	return objects;
}

static void free_many(struct gv_slab_cache *cache, void **objects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		gv_slab_free(cache, objects[i]);
}

static void shuffle(void **objects, size_t count, uint64_t seed)
{
	struct gv_rng rng;

	gv_rng_seed(&rng, seed);
	for (size_t i = count; i > 1; i--) {
		size_t j = gv_rng_below(&rng, (uint32_t)i);
		void *swapped = objects[i - 1];
		objects[i - 1] = objects[j];
		objects[j] = swapped;
	}
}

static void test_fresh_objects_are_zero_aligned_and_in_a_row(void **state)
{
	static const char zero[GV_SLAB_OBJECT_BYTES];
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache cache;
	(void)state;

	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	char *last = NULL;
	for (int i = 0; i < GV_SLAB_CHUNK_OBJECTS; i++) {
		char *object = gv_slab_alloc(&cache);

		assert_non_null(object);
		assert_int_equal((uintptr_t)object % GV_SLAB_OBJECT_BYTES, 0);
		assert_memory_equal(object, zero, sizeof(zero));
		if (last != NULL)
			assert_ptr_equal(object, last + GV_SLAB_OBJECT_BYTES);
		last = object;
	}
	assert_int_equal(stats_of(slab).chunks, 1);
	assert_non_null(gv_slab_alloc(&cache));
	assert_int_equal(stats_of(slab).chunks, 2);
	gv_slab_cache_close(&cache);
	free(slab);
}

static void test_index_leads_back_to_the_object(void **state)
{
	const size_t count = 2 * GV_SLAB_CHUNK_OBJECTS + 5;
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache cache;
	(void)state;

	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	void **objects = alloc_many(&cache, count);
	uint32_t highest = 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t index = gv_slab_index(objects[i]);

		assert_int_not_equal(index, 0);
		assert_ptr_equal(gv_slab_at(slab, index), objects[i]);
		highest = GV_MAX(highest, index);
	}
	assert_true(highest < 3 * GV_SLAB_CHUNK_SLOTS);
	free(objects);
	gv_slab_cache_close(&cache);
	free(slab);
}

static void test_foreign_indices_give_null(void **state)
{
	struct gv_slab *slab = new_slab(0);
	(void)state;

	assert_null(gv_slab_at(slab, 1));
	assert_non_null(gv_slab_alloc_shared(slab));
	assert_non_null(gv_slab_at(slab, 1));
	assert_null(gv_slab_at(slab, 0));
	assert_null(gv_slab_at(slab, GV_SLAB_CHUNK_SLOTS));
	assert_null(gv_slab_at(slab, GV_SLAB_CHUNK_SLOTS + 1));
	assert_null(gv_slab_at(slab, UINT32_MAX));
	free(slab);
}

static void test_freed_object_keeps_its_content_and_comes_back_first(void **state)
{
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache cache;
	(void)state;

	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	struct thing *thing = gv_slab_alloc(&cache);
	struct thing *other = gv_slab_alloc(&cache);
	memset(thing, 0x5a, sizeof(*thing));
	struct thing before = *thing;

	gv_slab_free(&cache, thing);
	assert_memory_equal(thing, &before, sizeof(before));
	assert_ptr_equal(gv_slab_alloc(&cache), thing);
	assert_memory_equal(thing, &before, sizeof(before));
	assert_ptr_not_equal(thing, other);
	gv_slab_cache_close(&cache);
	free(slab);
}

static void test_exhaustion_is_null_and_passes(void **state)
{
	enum { MOST = 700 };
	struct gv_slab *slab = new_slab(MOST);
	struct gv_slab_cache cache;
	(void)state;

	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	void **objects = alloc_many(&cache, MOST);
	assert_null(gv_slab_alloc(&cache));
	assert_null(gv_slab_alloc(&cache));
	assert_null(gv_slab_alloc_shared(slab));

	gv_slab_free(&cache, objects[3]);
	assert_ptr_equal(gv_slab_alloc(&cache), objects[3]);
	gv_slab_free_shared(slab, objects[4]);
	assert_ptr_equal(gv_slab_alloc(&cache), objects[4]);
	gv_slab_free(&cache, objects[5]);
	gv_slab_cache_flush(&cache);
	assert_ptr_equal(gv_slab_alloc_shared(slab), objects[5]);
	free(objects);
	gv_slab_cache_close(&cache);
	free(slab);
}

static void test_flush_and_close_bring_everything_back(void **state)
{
	const size_t count = 1000;
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache first, second;
	(void)state;

	assert_int_equal(gv_slab_cache_init(&first, slab), 0);
	assert_int_equal(gv_slab_cache_init(&second, slab), 0);
	void **objects = alloc_many(&first, count);
	free_many(&second, objects, count);
	gv_slab_cache_flush(&second);
	gv_slab_cache_flush(&first);
	struct gv_slab_stats stats = stats_of(slab);
	assert_int_equal(stats.objects_free, stats.objects);

	/* What the one freed, the other gets, before anything fresh. */
	free(objects);
	objects = alloc_many(&first, (size_t)stats.objects);
	assert_int_equal(stats_of(slab).objects, stats.objects);
	assert_int_equal(stats_of(slab).objects_free, 0);
	free_many(&first, objects, (size_t)stats.objects);
	gv_slab_cache_close(&first);
	gv_slab_cache_close(&second);
	assert_int_equal(stats_of(slab).objects_free, stats.objects);
	free(objects);
	free(slab);
}

static void test_second_init_changes_nothing(void **state)
{
	struct gv_slab *slab = new_slab(0);
	(void)state;

	char *first = gv_slab_alloc_shared(slab);
	gv_slab_init(slab, "again", 1, NULL);
	assert_ptr_equal(gv_slab_alloc_shared(slab), first + GV_SLAB_OBJECT_BYTES);
	assert_string_equal(stats_of(slab).name, "test");
	free(slab);
}

static void test_many_caches_come_and_go(void **state)
{
	enum { CACHES = 200 };
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache *caches = calloc(CACHES, sizeof(*caches));
	(void)state;

	assert_non_null(caches);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < CACHES; i++) {
			assert_int_equal(gv_slab_cache_init(&caches[i], slab), 0);
			gv_slab_free(&caches[i], gv_slab_alloc(&caches[i]));
		}
		for (int i = 0; i < CACHES; i++)
			gv_slab_cache_close(&caches[i]);
	}
	struct gv_slab_stats stats = stats_of(slab);
	assert_int_equal(stats.objects_free, stats.objects);
	free(caches);
	free(slab);
}

/* Random traffic between caches and the shared door; nothing is handed out twice. */
static void test_random_traffic_hands_out_each_object_once(void **state)
{
	enum { CACHES = 3, HELD = 6000, STEPS = 300000 };
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache caches[CACHES];
	struct thing **held = calloc(HELD, sizeof(struct thing *));
	struct gv_rng rng;
	size_t count = 0;
	(void)state;

	assert_non_null(held);
	gv_rng_seed(&rng, 20);
	for (int i = 0; i < CACHES; i++)
		assert_int_equal(gv_slab_cache_init(&caches[i], slab), 0);
	for (int step = 0; step < STEPS; step++) {
		uint32_t door = gv_rng_below(&rng, CACHES + 1);
		/* Phases of growing and shrinking, so that whole magazines travel. */
		uint32_t chance = (step / 5000) % 2 ? 70 : 30;

		if (count == 0 || (count < HELD && gv_rng_below(&rng, 100) < chance)) {
			struct thing *thing = door < CACHES ? gv_slab_alloc(&caches[door])
							    : gv_slab_alloc_shared(slab);
			assert_non_null(thing);
			assert_int_equal(thing->owner, 0);
			thing->owner = 1;
			held[count++] = thing;
		} else {
			size_t pick = gv_rng_below(&rng, (uint32_t)count);
			struct thing *thing = held[pick];
			held[pick] = held[--count];
			assert_int_equal(thing->owner, 1);
			thing->owner = 0;
			if (door < CACHES)
				gv_slab_free(&caches[door], thing);
			else
				gv_slab_free_shared(slab, thing);
		}
	}
	while (count > 0)
		gv_slab_free(&caches[0], held[--count]);
	for (int i = 0; i < CACHES; i++)
		gv_slab_cache_close(&caches[i]);
	struct gv_slab_stats stats = stats_of(slab);
	assert_int_equal(stats.objects_free, stats.objects);
	assert_true(stats.objects < HELD + (CACHES + 1) * 2 * GV_SLAB_MAGAZINE_ROUNDS);
	free(held);
	free(slab);
}

struct census {
	size_t seen;
	size_t owned;
	size_t limit;
};

static bool take_census(void *object, void *arg)
{
	struct thing *thing = object;
	struct census *census = arg;

	census->seen++;
	/* relaxed: the test looks at a state that stands still */
	if (gv_load(&thing->owner, relaxed) != 0)
		census->owned++;
	return census->seen < census->limit;
}

static void test_each_shows_what_was_handed_out(void **state)
{
	const size_t count = GV_SLAB_CHUNK_OBJECTS + 100;
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache cache;
	struct census census = { .limit = SIZE_MAX };
	(void)state;

	gv_slab_each(slab, take_census, &census);
	assert_int_equal(census.seen, 0);

	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	void **objects = alloc_many(&cache, count);
	for (size_t i = 0; i < count; i++)
		((struct thing *)objects[i])->owner = i % 2;
	gv_slab_each(slab, take_census, &census);
	assert_int_equal(census.seen, stats_of(slab).objects);
	assert_int_equal(census.owned, count / 2);

	census = (struct census){ .limit = 10 };
	gv_slab_each(slab, take_census, &census);
	assert_int_equal(census.seen, 10);
	free(objects);
	gv_slab_cache_close(&cache);
	free(slab);
}

/*
 * Trim.
 */

/* Pages of the chunk of this object that have memory. */
static size_t resident_pages(const void *object)
{
	size_t pages = GV_SLAB_CHUNK_BYTES / gv_os_page_size(), resident = 0;
	unsigned char *vector = calloc(pages, 1);

	assert_non_null(vector);
	assert_int_equal(mincore(gv_slab_chunk_of(object), GV_SLAB_CHUNK_BYTES, vector), 0);
	for (size_t i = 0; i < pages; i++)
		resident += vector[i] & 1;
	free(vector);
	return resident;
}

enum { TRIM_CHUNKS = 6, TRIM_OBJECTS = TRIM_CHUNKS * GV_SLAB_CHUNK_OBJECTS };

/* TRIM_OBJECTS objects with generations 1, 2, ... and owner set, freed in random order but for
 * `used` ones, one in each chunk from the first on. */
static void **fill_and_free(struct gv_slab *slab, size_t used)
{
	struct gv_slab_cache cache;

	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	void **objects = alloc_many(&cache, TRIM_OBJECTS);
	for (size_t i = 0; i < TRIM_OBJECTS; i++) {
		struct thing *thing = objects[i];
		thing->generation = i + 1;
		thing->owner = 1;
	}
	for (size_t i = 0; i < used; i++) {
		size_t j = i * GV_SLAB_CHUNK_OBJECTS;
		void *swapped = objects[i];
		objects[i] = objects[j];
		objects[j] = swapped;
	}
	shuffle(objects + used, TRIM_OBJECTS - used, 7);
	free_many(&cache, objects + used, TRIM_OBJECTS - used);
	gv_slab_cache_close(&cache);
	return objects;
}

static void test_trim_gives_memory_back_and_keeps_addresses(void **state)
{
	struct gv_slab *slab = new_slab(0);
	void **objects = fill_and_free(slab, 0);
	(void)state;

	uint32_t aside = gv_slab_trim_begin(slab);
	assert_in_range(aside, 1, TRIM_CHUNKS - 1);
	struct gv_slab_stats stats = stats_of(slab);
	assert_int_equal(stats.chunks_aside, aside);
	assert_int_equal(stats.chunks_dropped, 0);
	assert_int_equal(stats.objects, (TRIM_CHUNKS - aside) * GV_SLAB_CHUNK_OBJECTS);
	assert_int_equal(stats.objects_free, stats.objects);
	assert_int_equal(gv_slab_trim_begin(slab), 0);

	gv_slab_trim_finish(slab);
	stats = stats_of(slab);
	assert_int_equal(stats.chunks, TRIM_CHUNKS);
	assert_int_equal(stats.chunks_aside, 0);
	assert_int_equal(stats.chunks_dropped, aside);

	size_t empty = 0;
	for (size_t i = 0; i < TRIM_OBJECTS; i += 997) {
		struct thing *thing = gv_slab_at(slab, gv_slab_index(objects[i]));

		assert_ptr_equal(thing, objects[i]);
		if (thing->generation == 0) {
			assert_int_equal(thing->owner, 0);
			empty++;
		}
	}
	assert_true(empty > 0);
	free(objects);
	free(slab);
}

static void test_dropped_chunks_have_one_page(void **state)
{
	struct gv_slab *slab = new_slab(0);
	void **objects = fill_and_free(slab, 0);
	size_t dropped = 0;
	(void)state;

	uint32_t aside = gv_slab_trim_begin(slab);
	gv_slab_trim_finish(slab);
	for (uint32_t number = 0; number < TRIM_CHUNKS; number++) {
		void *object = gv_slab_at(slab, number * GV_SLAB_CHUNK_SLOTS + 1);

		if (resident_pages(object) == 1)
			dropped++;
	}
	assert_int_equal(dropped, aside);
	free(objects);
	free(slab);
}

/* An object comes back either with its old generation or with zero and a floor above it. */
static void test_generations_never_restart(void **state)
{
	struct gv_slab *slab = new_slab(0);
	uint64_t *last = calloc(TRIM_CHUNKS * GV_SLAB_CHUNK_SLOTS, sizeof(*last));
	uint64_t highest = TRIM_OBJECTS;
	struct gv_slab_cache cache;
	(void)state;

	assert_non_null(last);
	void **objects = fill_and_free(slab, 0);
	for (size_t i = 0; i < TRIM_OBJECTS; i++)
		last[gv_slab_index(objects[i])] = ((struct thing *)objects[i])->generation;
	free(objects);

	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	for (int round = 0; round < 3; round++) {
		if (gv_slab_trim_begin(slab) > 0)
			gv_slab_trim_finish(slab);
		objects = alloc_many(&cache, TRIM_OBJECTS);
		assert_int_equal(stats_of(slab).chunks, TRIM_CHUNKS);
		assert_int_equal(stats_of(slab).chunks_dropped, 0);
		for (size_t i = 0; i < TRIM_OBJECTS; i++) {
			struct thing *thing = objects[i];
			uint64_t *known = &last[gv_slab_index(thing)];
			uint64_t floor = GV_MAX(thing->generation, gv_slab_generation_floor(thing));

			if (floor < *known)
				fail_msg("generation %lu after %lu", (unsigned long)floor,
					 (unsigned long)*known);
			thing->generation = *known = ++highest;
		}
		shuffle(objects, TRIM_OBJECTS, (uint64_t)round);
		free_many(&cache, objects, TRIM_OBJECTS);
		gv_slab_cache_flush(&cache);
		free(objects);
	}
	gv_slab_cache_close(&cache);
	free(last);
	free(slab);
}

static void test_trim_spares_chunks_in_use(void **state)
{
	struct gv_slab *slab = new_slab(0);
	void **objects = fill_and_free(slab, TRIM_CHUNKS - 1);
	(void)state;

	assert_int_equal(gv_slab_trim_begin(slab), 1);
	gv_slab_trim_finish(slab);
	for (size_t i = 0; i < TRIM_CHUNKS - 1; i++)
		assert_int_equal(((struct thing *)objects[i])->owner, 1);
	assert_int_equal(stats_of(slab).objects,
			 (TRIM_CHUNKS - 1) * (uint64_t)GV_SLAB_CHUNK_OBJECTS);
	free(objects);
	free(slab);
}

static void test_trim_without_surplus_does_nothing(void **state)
{
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache cache;
	(void)state;

	assert_int_equal(gv_slab_trim_begin(slab), 0);
	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	void **objects = alloc_many(&cache, TRIM_OBJECTS);
	assert_int_equal(gv_slab_trim_begin(slab), 0);
	/* As many free as in use: an ebb, not a surplus. */
	free_many(&cache, objects, TRIM_OBJECTS / 2);
	gv_slab_cache_flush(&cache);
	assert_int_equal(gv_slab_trim_begin(slab), 0);
	free_many(&cache, objects + TRIM_OBJECTS / 2, TRIM_OBJECTS - TRIM_OBJECTS / 2);
	gv_slab_cache_flush(&cache);
	assert_int_not_equal(gv_slab_trim_begin(slab), 0);
	gv_slab_trim_finish(slab);
	gv_slab_cache_close(&cache);
	free(objects);
	free(slab);
}

static void test_trim_asks_caches_to_flush(void **state)
{
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache cache;
	(void)state;

	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	gv_slab_free(&cache, gv_slab_alloc(&cache));
	uint64_t before = stats_of(slab).objects_free;
	gv_slab_cache_tick(&cache);
	assert_int_equal(stats_of(slab).objects_free, before);

	free(fill_and_free(slab, 0));
	if (gv_slab_trim_begin(slab) > 0)
		gv_slab_trim_finish(slab);
	assert_true(stats_of(slab).objects_free < stats_of(slab).objects);
	gv_slab_cache_tick(&cache);
	assert_int_equal(stats_of(slab).objects_free, stats_of(slab).objects);
	gv_slab_cache_close(&cache);
	free(slab);
}

/*
 * Threads.
 */

enum { THREADS = 3, THREAD_STEPS = 60000, THREAD_HELD = 900 };

struct traffic {
	struct gv_slab *slab;
	uint64_t seed;
	size_t faults;
	size_t trims;
	_Atomic bool *stop;
};

/* Takes and returns objects in waves; each must belong to nobody when it comes. */
static void *run_traffic(void *arg)
{
	struct traffic *t = arg;
	struct gv_slab_cache cache;
	struct thing *held[THREAD_HELD];
	struct gv_rng rng;
	size_t count = 0;

	if (gv_slab_cache_init(&cache, t->slab) != 0)
		return arg;
	gv_rng_seed(&rng, t->seed);
	for (int step = 0; step < THREAD_STEPS; step++) {
		bool shared = gv_rng_below(&rng, 8) == 0;
		uint32_t chance = (step / 3000) % 2 ? 75 : 25;

		gv_slab_cache_tick(&cache);
		if (count == 0 || (count < THREAD_HELD && gv_rng_below(&rng, 100) < chance)) {
			struct thing *thing =
				shared ? gv_slab_alloc_shared(t->slab) : gv_slab_alloc(&cache);
			/* relaxed: the slab orders one owner after the other */
			if (thing == NULL || gv_xchg(&thing->owner, t->seed, relaxed) != 0) {
				t->faults++;
				continue;
			}
			thing->rest[0] = t->seed; /* seen by the sanitizer */
			held[count++] = thing;
		} else {
			struct thing *thing = held[--count];

			if (thing->rest[0] != t->seed)
				t->faults++;
			/* relaxed: as above */
			if (gv_xchg(&thing->owner, 0, relaxed) != t->seed)
				t->faults++;
			if (shared)
				gv_slab_free_shared(t->slab, thing);
			else
				gv_slab_free(&cache, thing);
		}
	}
	while (count > 0) {
		struct thing *thing = held[--count];
		gv_store(&thing->owner, 0, relaxed); /* relaxed: as above */
		gv_slab_free(&cache, thing);
	}
	gv_slab_cache_close(&cache);
	return NULL;
}

/* Takes and returns whole chunks, so that there is a surplus now and then. */
static void *run_waves(void *arg)
{
	enum { WAVES = 6, CREST = 5 * GV_SLAB_CHUNK_OBJECTS };
	struct traffic *t = arg;
	struct gv_slab_cache cache;
	struct thing **held = calloc(CREST, sizeof(struct thing *));

	if (held == NULL || gv_slab_cache_init(&cache, t->slab) != 0)
		return arg;
	for (int wave = 0; wave < WAVES; wave++) {
		for (size_t i = 0; i < CREST; i++) {
			held[i] = gv_slab_alloc(&cache);
			/* relaxed: the slab orders one owner after the other */
			if (held[i] == NULL || gv_xchg(&held[i]->owner, t->seed, relaxed) != 0) {
				t->faults++;
				return arg;
			}
		}
		for (size_t i = 0; i < CREST; i++) {
			if (gv_xchg(&held[i]->owner, 0, relaxed) != t->seed) /* relaxed: as above */
				t->faults++;
			gv_slab_free(&cache, held[i]);
		}
		gv_slab_cache_flush(&cache);
		sched_yield();
	}
	gv_slab_cache_close(&cache);
	free(held);
	return NULL;
}

/* No reader looks at objects without owning them here, so the grace period is empty. */
static void *run_trims(void *arg)
{
	struct traffic *t = arg;

	while (!gv_load(t->stop, relaxed)) { /* relaxed: pthread_join orders the rest */
		if (gv_slab_trim_begin(t->slab) > 0) {
			gv_slab_trim_finish(t->slab);
			t->trims++;
		}
		sched_yield();
	}
	return NULL;
}

static void test_threads_and_a_trim_keep_objects_apart(void **state)
{
	struct gv_slab *slab = new_slab(0);
	_Atomic bool stop = false;
	struct traffic traffic[THREADS + 1];
	pthread_t threads[THREADS + 1];
	(void)state;

	free(fill_and_free(slab, 0)); /* a surplus to trim */
	for (uint32_t i = 1; gv_slab_at(slab, i) != NULL || i % GV_SLAB_CHUNK_SLOTS == 0; i++) {
		struct thing *thing = gv_slab_at(slab, i);
		if (thing != NULL)
			thing->owner = 0;
	}

	for (int i = 0; i <= THREADS; i++) {
		void *(*run)(void *) = i == 0 ? run_waves : i < THREADS ? run_traffic : run_trims;

		traffic[i] =
			(struct traffic){ .slab = slab, .seed = (uint64_t)i + 1, .stop = &stop };
		assert_int_equal(pthread_create(&threads[i], NULL, run, &traffic[i]), 0);
	}
	for (int i = 0; i <= THREADS; i++) {
		void *failed;

		if (i == THREADS)
			gv_store(&stop, true, relaxed); /* relaxed: as in run_trims */
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
		assert_int_equal(traffic[i].faults, 0);
	}
	print_message("%zu trims\n", traffic[THREADS].trims);
	struct gv_slab_stats stats = stats_of(slab);
	assert_int_equal(stats.objects_free, stats.objects);
	free(slab);
}

static void test_fork_locks_can_be_taken(void **state)
{
	struct gv_slab *slab = new_slab(0);
	(void)state;

	gv_slab_fork_lock(slab);
	gv_slab_fork_unlock(slab);
	assert_non_null(gv_slab_alloc_shared(slab));
	free(slab);
}

#ifdef GV_FAULT
static void test_failing_memory_is_reported(void **state)
{
	struct gv_slab *slab = new_slab(0);
	struct gv_slab_cache cache;
	(void)state;

	gv_fault_arm(1);
	assert_int_equal(gv_slab_cache_init(&cache, slab), -ENOMEM);
	assert_int_equal(gv_slab_cache_init(&cache, slab), 0);
	gv_fault_arm(1);
	assert_null(gv_slab_alloc(&cache));
	gv_fault_arm(1);
	assert_null(gv_slab_alloc_shared(slab));
	gv_fault_arm(0);
	assert_non_null(gv_slab_alloc(&cache));
	gv_slab_cache_close(&cache);
	free(slab);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fresh_objects_are_zero_aligned_and_in_a_row),
		cmocka_unit_test(test_index_leads_back_to_the_object),
		cmocka_unit_test(test_foreign_indices_give_null),
		cmocka_unit_test(test_freed_object_keeps_its_content_and_comes_back_first),
		cmocka_unit_test(test_exhaustion_is_null_and_passes),
		cmocka_unit_test(test_flush_and_close_bring_everything_back),
		cmocka_unit_test(test_second_init_changes_nothing),
		cmocka_unit_test(test_many_caches_come_and_go),
		cmocka_unit_test(test_random_traffic_hands_out_each_object_once),
		cmocka_unit_test(test_each_shows_what_was_handed_out),
		cmocka_unit_test(test_trim_gives_memory_back_and_keeps_addresses),
		cmocka_unit_test(test_dropped_chunks_have_one_page),
		cmocka_unit_test(test_generations_never_restart),
		cmocka_unit_test(test_trim_spares_chunks_in_use),
		cmocka_unit_test(test_trim_without_surplus_does_nothing),
		cmocka_unit_test(test_trim_asks_caches_to_flush),
		cmocka_unit_test(test_threads_and_a_trim_keep_objects_apart),
		cmocka_unit_test(test_fork_locks_can_be_taken),
#ifdef GV_FAULT
		cmocka_unit_test(test_failing_memory_is_reported),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
