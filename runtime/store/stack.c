/* SPDX-License-Identifier: MIT */
/*
 * stack.c - where stacks come from and where they go.
 *
 * Layer   store.  Below: plat/region.h, plat/lock.h.
 * Owns    struct depot: the classes, the lists of their regions, the ring of warm stacks, and the
 *         marks inside the regions; all of it under depot.lock.
 * Entry   the slow halves of gv_stack_get() and gv_stack_put().
 *
 *                  .---------- cache of a hub (64) <---------.
 *      magazine    |                                         |    magazine, hottest first
 *                  v                                         |
 *   ring of warm stacks of the default class (1024) ---------'
 *                  |  oldest first                           ^
 *                  v                                         |
 *   WARM in its region  --- too many: drop --->  COLD in its region  <--- never used yet
 *
 * The states of a slot:  fresh -> out <-> (ring | warm | cold),  warm -> dropping -> cold.
 *
 * S1  A slot is in exactly one place: out of the depot, in the ring, or marked in the maps of its
 *     region.  Whoever drops pages has unmarked the slots before and marks them again after.
 * S2  A warm slot has its first page in memory and a header that is true.  One that is not is
 *     named by number: touching its header would cost a page.
 * S3  Guards are installed once per slot, by whoever takes it fresh, and outlive everything.
 * S4  No system call is made under the lock.
 *
 * How much stays warm: the ring, and in the regions as many as the recent peak of stacks out, up
 * to 8192 (32 MiB), or an eighth of that peak.  So bursts find their stacks again.  The peak decays
 * with each stack that comes back: when a million end, their memory goes with them.  A region is
 * dropped when that is worth the calls: when a quarter of it is warm or little of it is in use.
 * Free neighbours, guards between them included, go in one range.
 *
 * Rejected: free lists threaded through the headers (taking a cold stack from one touches its
 * page, and so does walking over it); a page of address space per colour step (half of the parked
 * stacks would need two pages).
 */
#include "store/stack.h"

#include "base/list.h"
#include "plat/lock.h"
#include "plat/os.h"
#include "plat/pages.h"

#include <errno.h>
#include <string.h>

enum { RING_ROOM = 1024, WARM_ALWAYS = 8192 };

static const size_t REGION_BYTES = (size_t)64 << 20;
static const size_t LARGEST = (size_t)64 << 30;

enum { UNLISTED, IN_OPEN, IN_WARM };

static struct depot {
	struct gv_lock lock;

	/* written by gv_stack_setup, while nothing else runs */
	struct gv_stack_class *standard;
	size_t asked; /* its size before rounding */
	size_t guard;
	bool no_advised;

	/* under the lock */
	uint32_t ring_newest; /* position behind it */
	uint32_t ring_count;
	struct gv_stack *ring[RING_ROOM];
	size_t peak;	       /* decaying */
	size_t warm;	       /* of all regions */
	size_t protect_budget; /* guards that mprotect may still make */
	size_t dropping;       /* slots whose pages are being dropped */
	struct gv_stack_stats stats;
} depot;

_Static_assert(sizeof(uintptr_t) == 8, "an entry holds the number of a region and of a slot");

/* ---- entries of caches: a stack, or the number of a slot without a header ---- */

static uintptr_t cold_entry(const struct gv_region *region, uint32_t slot, bool canary)
{
	return (uintptr_t)region->number << 32 | (uintptr_t)slot << 2 | (uintptr_t)canary << 1 | 1;
}

static bool entry_is_cold(uintptr_t entry)
{
	return (entry & 1) != 0;
}

static struct gv_region *entry_region(uintptr_t entry)
{
	return gv_region_at((uint32_t)(entry >> 32));
}

static uint32_t entry_slot(uintptr_t entry)
{
	return (uint32_t)entry >> 2;
}

/* This is where a cold stack gets its page. */
static struct gv_stack *entry_stack(uintptr_t entry)
{
	if (!entry_is_cold(entry))
		return (struct gv_stack *)entry;

	struct gv_region *region = entry_region(entry);
	uint32_t flags = (entry & 2) != 0 ? GV_STACK_CANARY : 0;
	if (region->class != depot.standard)
		flags |= GV_STACK_UNCACHED;
	return gv_stack_form(region, entry_slot(entry), flags);
}

/* ---- lists of regions ---- */

/* After any change of the counts: the region goes to the list it belongs in. */
static void relist_locked(struct gv_region *region)
{
	int listing = UNLISTED;

	if (region->warm > 0)
		listing = IN_WARM;
	else if (region->free > 0 || region->carved < region->slots)
		listing = IN_OPEN;
	if (listing == region->listing)
		return;

	gv_list_remove(&region->node);
	region->listing = listing;
	if (listing != UNLISTED) {
		struct gv_stack_class *class = region->class;
		struct gv_list *head = listing == IN_WARM ? &class->warm : &class->open;
		gv_list_append(head->next, &region->node); /* in front */
	}
}

static void mark_free_locked(struct gv_region *region, uint32_t slot, bool warm)
{
	gv_region_mark(region, slot, warm);
	depot.warm += warm;
	relist_locked(region);
}

static void unmark_free_locked(struct gv_region *region, uint32_t slot)
{
	depot.warm -= gv_region_unmark(region, slot);
	relist_locked(region);
}

/* ---- fresh address space ---- */

/* NULL: no such size. */
static struct gv_stack_class *class_for(size_t bytes)
{
	if (bytes == 0 || bytes == depot.asked)
		return depot.standard;
	if (bytes > LARGEST)
		return NULL;

	size_t rounded = GV_STACK_SMALLEST;
	while (rounded < bytes)
		rounded *= 2;
	gv_lock_acquire(&depot.lock);
	struct gv_stack_class *class = gv_stack_class_find(rounded, depot.guard);
	gv_lock_release(&depot.lock);
	return class;
}

/* Called and left with the lock held, which is given up meanwhile. */
static int region_add_unlocking(struct gv_stack_class *class)
{
	struct gv_region *region;
	size_t bytes = class->region_bytes;

	gv_lock_release(&depot.lock);
	int error = gv_region_new(&region, bytes, class->stride, class->guard, class);
	gv_lock_acquire(&depot.lock);
	if (error != 0)
		return error;

	/* What was refused is not tried again at once; what worked is doubled up to 64 MiB. */
	class->region_bytes = GV_MAX(region->bytes, GV_MIN(2 * region->bytes, REGION_BYTES));
	error = gv_region_publish(region);
	if (error != 0) {
		gv_region_free(region);
		return error;
	}
	depot.stats.regions++;
	depot.stats.mapped_bytes += region->bytes;
	relist_locked(region);
	return 0;
}

/* Called and left with the lock held.  The slots are ours alone: carved, and in no map. */
static void carve_unlocking(struct gv_region *region, uint32_t count, uintptr_t *entries)
{
	struct gv_region_guards guards = {
		.use_advised = !depot.no_advised,
		.may_protect = (uint32_t)GV_MIN(depot.protect_budget, (size_t)count),
	};
	uint32_t first = region->carved;

	region->carved += count;
	relist_locked(region);
	depot.protect_budget -= guards.may_protect;
	gv_lock_release(&depot.lock);
	gv_region_guard(region, first, count, &guards);
	gv_lock_acquire(&depot.lock);

	depot.protect_budget += guards.may_protect - guards.protected;
	depot.stats.guard_advised += guards.advised;
	depot.stats.guard_protected += guards.protected;
	if (region->guard == 0)
		depot.stats.unguarded += count;
	for (uint32_t i = 0; i < count; i++) {
		if (guards.canary[i]) {
			gv_region_set_canary(region, first + i);
			depot.stats.guard_canary++;
		}
		entries[i] = cold_entry(region, first + i, guards.canary[i]);
	}
}

/* ---- taking ---- */

static size_t ring_pop_locked(uintptr_t *entries, size_t count)
{
	count = GV_MIN(count, (size_t)depot.ring_count);
	depot.ring_count -= (uint32_t)count;
	depot.ring_newest -= (uint32_t)count;
	for (size_t i = 0; i < count; i++)
		entries[i] = (uintptr_t)depot.ring[(depot.ring_newest + i) % RING_ROOM];
	return count;
}

static size_t take_warm_locked(struct gv_stack_class *class, uintptr_t *entries, size_t count)
{
	size_t got = 0;

	while (got < count && !gv_list_empty(&class->warm)) {
		struct gv_region *region =
			GV_CONTAINER_OF(class->warm.next, struct gv_region, node);
		uint32_t slot = gv_region_first_warm(region);
		unmark_free_locked(region, slot);
		entries[got++] = (uintptr_t)gv_stack_of_slot(region, slot);
	}
	return got;
}

/* From the region at the head of the open list: cold slots, else fresh ones. */
static size_t take_open_unlocking(struct gv_stack_class *class, uintptr_t *entries, size_t count)
{
	struct gv_region *region = GV_CONTAINER_OF(class->open.next, struct gv_region, node);
	size_t got = 0;

	count = GV_MIN(count, (size_t)GV_REGION_BATCH);
	if (region->free == 0) {
		count = GV_MIN(count, (size_t)(region->slots - region->carved));
		carve_unlocking(region, (uint32_t)count, entries);
		return count;
	}
	while (got < count && region->free > 0) {
		uint32_t slot = gv_region_first_free(region);
		unmark_free_locked(region, slot);
		entries[got++] = cold_entry(region, slot, gv_region_is_canary(region, slot));
	}
	return got;
}

/* Some entries of a class, at most count, the hottest last; 0 with *error if there are none. */
static size_t take(struct gv_stack_class *class, uintptr_t *entries, size_t count, int *error)
{
	size_t got = 0;

	gv_lock_acquire(&depot.lock);
	if (class == depot.standard)
		got = ring_pop_locked(entries, count);
	while (got == 0) {
		got = take_warm_locked(class, entries, count);
		if (got == 0 && !gv_list_empty(&class->open))
			got = take_open_unlocking(class, entries, count);
		if (got == 0 && (*error = region_add_unlocking(class)) != 0)
			break;
	}
	depot.stats.out += got;
	depot.stats.peak_out = GV_MAX(depot.stats.peak_out, depot.stats.out);
	depot.peak = GV_MAX(depot.peak, depot.stats.out);
	gv_lock_release(&depot.lock);
	return got;
}

/* ---- dropping and trimming ---- */

/* Called and left with the lock held. */
static void drop_region_unlocking(struct gv_region *region)
{
	struct gv_region_run runs[GV_REGION_BATCH];
	uint32_t at = 0;
	size_t count;

	for (;;) {
		uint32_t warm = region->warm;
		count = gv_region_collect(region, &at, runs);
		depot.warm -= warm - region->warm;
		relist_locked(region);
		if (count == 0)
			return;

		for (size_t i = 0; i < count; i++)
			depot.dropping += runs[i].count;
		gv_lock_release(&depot.lock);
		gv_region_drop(region, runs, count);
		gv_lock_acquire(&depot.lock);
		depot.stats.drops += count;
		for (size_t i = 0; i < count; i++) {
			depot.dropping -= runs[i].count;
			for (uint32_t k = 0; k < runs[i].count; k++)
				mark_free_locked(region, runs[i].first + k, false);
		}
	}
}

/* At most one region per magazine that comes back: a hub does this between two greenlets. */
static void drop_surplus_unlocking(struct gv_stack_class *class)
{
	size_t bound = GV_MAX(GV_MIN(depot.peak, (size_t)WARM_ALWAYS), depot.peak / 8);

	for (int tries = 0; tries < 8 && depot.warm > bound; tries++) {
		if (gv_list_empty(&class->warm))
			return;
		struct gv_region *region =
			GV_CONTAINER_OF(class->warm.prev, struct gv_region, node);
		if (gv_region_is_worth_dropping(region)) {
			drop_region_unlocking(region);
			return;
		}
		/* To the front: the next step looks at another one. */
		gv_list_remove(&region->node);
		gv_list_append(class->warm.next, &region->node);
	}
}

/* ---- giving ---- */

/* From here on the header may be dropped. */
static void settle_one_locked(struct gv_stack *stack)
{
	gv_sanitizer_retire(&stack->sanitizer);
	mark_free_locked(stack->region, stack->slot, true);
}

/* Mark stacks in their regions; then see whether too much is warm. */
static void settle_unlocking(struct gv_stack *const *stacks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		settle_one_locked(stacks[i]);
	if (count > 0)
		drop_surplus_unlocking(stacks[0]->region->class);
}

/* Push count stacks; the oldest that have no room any more are moved to `evicted`. */
static size_t ring_push_locked(struct gv_stack *const *stacks, size_t count,
			       struct gv_stack **evicted)
{
	size_t room = RING_ROOM - depot.ring_count;
	size_t surplus = count > room ? count - room : 0;
	uint32_t oldest = depot.ring_newest - depot.ring_count;

	for (size_t i = 0; i < surplus; i++)
		evicted[i] = depot.ring[(oldest + i) % RING_ROOM];
	for (size_t i = 0; i < count; i++)
		depot.ring[depot.ring_newest++ % RING_ROOM] = stacks[i];
	depot.ring_count += (uint32_t)(count - surplus);
	return surplus;
}

static void came_back_locked(size_t count)
{
	depot.stats.out -= count;
	/* Half of a fall is forgotten after some 11,000 stacks. */
	if (depot.peak > depot.stats.out)
		depot.peak -= ((depot.peak - depot.stats.out) * count + 16383) / 16384;
}

/* Stacks of one class, none of them cold; at most a magazine. */
static void give(struct gv_stack *const *stacks, size_t count)
{
	struct gv_stack *evicted[GV_STACK_MAGAZINE];
	bool cached = (stacks[0]->flags & GV_STACK_UNCACHED) == 0;
	size_t trimmed = gv_stack_trim(stacks, count, cached);
	size_t surplus = 0;

	gv_lock_acquire(&depot.lock);
	came_back_locked(count);
	if (cached)
		surplus = ring_push_locked(stacks, count, evicted);
	else
		settle_unlocking(stacks, count);
	if (surplus > 0) {
		gv_lock_release(&depot.lock);
		trimmed += gv_stack_trim(evicted, surplus, false);
		gv_lock_acquire(&depot.lock);
		settle_unlocking(evicted, surplus);
	}
	depot.stats.trims += trimmed;
	gv_lock_release(&depot.lock);
}

static void give_cold(const uintptr_t *entries, size_t count)
{
	gv_lock_acquire(&depot.lock);
	came_back_locked(count);
	for (size_t i = 0; i < count; i++)
		mark_free_locked(entry_region(entries[i]), entry_slot(entries[i]), false);
	gv_lock_release(&depot.lock);
}

static void give_entries(const uintptr_t *entries, size_t count)
{
	struct gv_stack *stacks[GV_STACK_MAGAZINE];
	uintptr_t cold[GV_STACK_MAGAZINE];
	size_t stack_count = 0;
	size_t cold_count = 0;

	for (size_t i = 0; i < count; i++) {
		if (entry_is_cold(entries[i]))
			cold[cold_count++] = entries[i];
		else
			stacks[stack_count++] = (struct gv_stack *)entries[i];
	}
	if (cold_count > 0)
		give_cold(cold, cold_count);
	if (stack_count > 0)
		give(stacks, stack_count);
}

static void give_oldest(struct gv_stack_cache *cache)
{
	give_entries(cache->entry, GV_STACK_MAGAZINE);
	cache->count -= GV_STACK_MAGAZINE;
	memmove(cache->entry, cache->entry + GV_STACK_MAGAZINE,
		cache->count * sizeof(cache->entry[0]));
}

/* ---- interface ---- */

static int get(struct gv_stack_cache *cache, size_t bytes, uintptr_t *entry)
{
	int error = 0;

	GV_CHECK(depot.standard != NULL, "gv_stack_setup was not called");
	struct gv_stack_class *class = class_for(bytes);
	if (class == NULL)
		return bytes > LARGEST ? -EINVAL : -ENOMEM;

	if (cache == NULL || class != depot.standard)
		return take(class, entry, 1, &error) == 1 ? 0 : error;

	if (cache->count == 0)
		cache->count = take(class, cache->entry, GV_STACK_MAGAZINE, &error);
	if (cache->count == 0)
		return error;
	*entry = cache->entry[--cache->count];
	return 0;
}

/* Both slow halves leave errno alone: they run between a greenlet and the next. */
int gv_stack_get_slow(struct gv_stack_cache *cache, size_t bytes, struct gv_stack **out)
{
	uintptr_t entry;
	int saved = errno;
	int error = get(cache, bytes, &entry);

	if (error == 0) {
		*out = entry_stack(entry);
		(*out)->flags |= GV_STACK_USED;
		gv_sanitizer_create(&(*out)->sanitizer, (*out)->low, (*out)->size);
	}
	errno = saved;
	return error;
}

void gv_stack_put_slow(struct gv_stack_cache *cache, struct gv_stack *stack)
{
	GV_CHECK((stack->flags & GV_STACK_USED) != 0, "stack %p-%p was given back twice",
		 (void *)stack->low, (void *)stack->top);
	GV_CHECK((stack->flags & GV_STACK_CANARY) == 0 || gv_stack_canary_intact(stack),
		 "stack overflow: %zu bytes at %p-%p were not enough, and had no guard page",
		 stack->size, (void *)stack->low, (void *)stack->top);
	gv_sanitizer_destroy(&stack->sanitizer);
	stack->flags &= ~(uint32_t)GV_STACK_USED;

	int saved = errno;
	if (cache == NULL || (stack->flags & GV_STACK_UNCACHED) != 0) {
		give(&stack, 1);
	} else {
		if (cache->count == GV_STACK_CACHE_ROOM)
			give_oldest(cache);
		cache->entry[cache->count++] = (uintptr_t)stack;
	}
	errno = saved;
}

void gv_stack_cache_drain(struct gv_stack_cache *cache)
{
	for (size_t at = 0; at < cache->count; at += GV_STACK_MAGAZINE)
		give_entries(cache->entry + at,
			     GV_MIN(cache->count - at, (size_t)GV_STACK_MAGAZINE));
	cache->count = 0;
}

const char *gv_stack_limit_text(void)
{
	if (gv_region_count() == GV_REGION_MAX)
		return "the number of stack regions (131072)";
	return gv_pages_limit_text();
}

void gv_stack_stats(struct gv_stack_stats *stats)
{
	gv_lock_acquire(&depot.lock);
	*stats = depot.stats;
	stats->free_warm = depot.ring_count + depot.warm;
	stats->free_cold = depot.dropping;
	for (uint32_t i = 0; i < gv_region_count(); i++) {
		const struct gv_region *region = gv_region_at(i);
		stats->free_cold += region->free - region->warm;
	}
	gv_lock_release(&depot.lock);
}

/* ---- start and end ---- */

/* A ring holds stacks of one class: empty it, and let no header speak for the old one. */
static void forget_standard_unlocking(void)
{
	uintptr_t entries[GV_STACK_MAGAZINE];
	size_t count;

	while ((count = ring_pop_locked(entries, GV_STACK_MAGAZINE)) > 0) {
		for (size_t i = 0; i < count; i++)
			settle_one_locked((struct gv_stack *)entries[i]);
	}
	while (depot.standard != NULL && !gv_list_empty(&depot.standard->warm))
		drop_region_unlocking(
			GV_CONTAINER_OF(depot.standard->warm.next, struct gv_region, node));
}

/* Stacks whose guards mprotect may make: two mappings each, of half of what there is. */
static size_t protect_budget(size_t made)
{
	size_t may = gv_os_max_map_count() / 4;

	return may > made ? may - made : 0;
}

static int setup_locked(const struct gv_stack_config *config, size_t budget)
{
	size_t guard = config->guard == 0 ? 16384 : config->guard;
	if (guard == GV_STACK_NO_GUARD)
		guard = 0;
	size_t bytes = config->bytes == 0 ? 65536 : config->bytes;
	if (bytes > LARGEST || guard > LARGEST)
		return -EINVAL;

	struct gv_stack_class *class = gv_stack_class_find(bytes, guard);
	if (class == NULL)
		return -ENOMEM;
	if (class != depot.standard && depot.stats.out > 0)
		return -EBUSY;

	if (class != depot.standard)
		forget_standard_unlocking();
	class->region_bytes = GV_MAX(REGION_BYTES, class->stride);
	depot.standard = class;
	depot.asked = bytes;
	depot.guard = guard;
	depot.no_advised = config->no_advised;
	depot.protect_budget = config->no_protect ? 0 : budget;
	return 0;
}

int gv_stack_setup(const struct gv_stack_config *config)
{
	static const struct gv_stack_config defaults;
	size_t budget = protect_budget(depot.stats.guard_protected);

	gv_lock_acquire(&depot.lock);
	int error = setup_locked(config != NULL ? config : &defaults, budget);
	gv_lock_release(&depot.lock);
	return error;
}

void gv_stack_release_all(void)
{
	GV_CHECK(depot.stats.out == 0, "%zu stacks are out", depot.stats.out);
	gv_lock_acquire(&depot.lock);
	forget_standard_unlocking();
	gv_lock_release(&depot.lock);
	gv_region_free_all();
	gv_stack_class_forget_all();
	memset(&depot, 0, sizeof(depot));
}
