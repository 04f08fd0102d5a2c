/* SPDX-License-Identifier: MIT */
/*
 * region.c - regions and their slots, see region.h.
 *
 * Layer   plat.
 *
 * [table]  gv_region_publish stores the entry, then the count (release).
 *          gv_region_at and gv_region_find load the count (acquire), then entries below it.
 *     A region that can be found is complete; what the lookups read of it changes no more.
 */
#include "plat/region.h"

#include "base/atomic.h"
#include "base/check.h"
#include "base/fault.h"
#include "plat/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static _Atomic(struct gv_region *) table[GV_REGION_MAX];
static _Atomic uint32_t table_count;

/* ---- regions ---- */

int gv_region_new(struct gv_region **out, size_t bytes, size_t stride, size_t guard, void *class)
{
	void *base;

	while (gv_pages_map(bytes, &base) != 0) {
		if (bytes / 2 < stride)
			return -ENOMEM;
		bytes /= 2;
	}

	uint32_t slots = (uint32_t)(bytes / stride);
	size_t words = (slots + 63) / 64;
	struct gv_region *region = NULL;
	if (!gv_fault_here("region_record"))
		region = calloc(1, sizeof(*region) + 3 * words * sizeof(uint64_t));
	if (region == NULL) {
		gv_pages_unmap(base, bytes);
		return -ENOMEM;
	}
	region->class = class;
	region->base = base;
	region->bytes = bytes;
	region->guard = guard;
	region->stride = stride;
	region->slots = slots;
	region->free_map = region->maps;
	region->warm_map = region->maps + words;
	region->canary_map = region->maps + 2 * words;
	gv_list_init(&region->node);
	*out = region;
	return 0;
}

int gv_region_publish(struct gv_region *region)
{
	uint32_t count = gv_load(&table_count, relaxed); /* relaxed: the caller's lock */

	if (count == GV_REGION_MAX)
		return -ENOMEM;
	region->number = count;
	gv_store(&table[count], region, relaxed);   /* relaxed: the count publishes it */
	gv_store(&table_count, count + 1, release); /* [table] */
	return 0;
}

void gv_region_free(struct gv_region *region)
{
	gv_pages_unmap(region->base, region->bytes);
	free(region);
}

void gv_region_free_all(void)
{
	uint32_t count = gv_load(&table_count, relaxed); /* relaxed: nobody else runs */

	gv_store(&table_count, 0, relaxed); /* ditto */
	for (uint32_t i = 0; i < count; i++)
		gv_region_free(gv_load(&table[i], relaxed)); /* ditto */
}

uint32_t gv_region_count(void)
{
	return gv_load(&table_count, acquire); /* [table] */
}

struct gv_region *gv_region_at(uint32_t number)
{
	GV_CHECK(number < gv_region_count(), "region %u of %u", number, gv_region_count());
	return gv_load(&table[number], relaxed); /* relaxed: the count ordered it */
}

/* Linear, since only reports of faults ask: a million stacks are 1300 regions. */
struct gv_region *gv_region_find(const void *address, uint32_t *slot)
{
	uint32_t count = gv_region_count();

	for (uint32_t i = 0; i < count; i++) {
		/* relaxed: the count ordered it */
		struct gv_region *region = gv_load(&table[i], relaxed);
		uintptr_t offset = (uintptr_t)address - (uintptr_t)region->base;

		if (offset < region->slots * region->stride) {
			*slot = (uint32_t)(offset / region->stride);
			return region;
		}
	}
	return NULL;
}

/* ---- slots ---- */

static bool bit_test(const uint64_t *map, uint32_t i)
{
	return (map[i / 64] >> i % 64 & 1) != 0;
}

static void bit_set(uint64_t *map, uint32_t i)
{
	map[i / 64] |= (uint64_t)1 << i % 64;
}

static void bit_clear(uint64_t *map, uint32_t i)
{
	map[i / 64] &= ~((uint64_t)1 << i % 64);
}

static uint32_t bit_first(const uint64_t *map)
{
	uint32_t word = 0;

	while (map[word] == 0)
		word++;
	return word * 64 + (uint32_t)__builtin_ctzll(map[word]);
}

void gv_region_mark(struct gv_region *region, uint32_t slot, bool warm)
{
	GV_CHECK(!bit_test(region->free_map, slot), "slot %u of region %u is free twice", slot,
		 region->number);
	bit_set(region->free_map, slot);
	region->free++;
	if (warm) {
		bit_set(region->warm_map, slot);
		region->warm++;
	}
}

bool gv_region_unmark(struct gv_region *region, uint32_t slot)
{
	bool warm = bit_test(region->warm_map, slot);

	bit_clear(region->free_map, slot);
	region->free--;
	if (warm) {
		bit_clear(region->warm_map, slot);
		region->warm--;
	}
	return warm;
}

uint32_t gv_region_first_free(const struct gv_region *region)
{
	GV_DEBUG_CHECK(region->free > 0, "region %u", region->number);
	return bit_first(region->free_map);
}

uint32_t gv_region_first_warm(const struct gv_region *region)
{
	GV_DEBUG_CHECK(region->warm > 0, "region %u", region->number);
	return bit_first(region->warm_map);
}

bool gv_region_is_canary(const struct gv_region *region, uint32_t slot)
{
	return bit_test(region->canary_map, slot);
}

void gv_region_set_canary(struct gv_region *region, uint32_t slot)
{
	bit_set(region->canary_map, slot);
}

/* ---- guards ---- */

void gv_region_guard(struct gv_region *region, uint32_t first, uint32_t count,
		     struct gv_region_guards *guards)
{
	struct iovec ranges[GV_REGION_BATCH];
	uint32_t done = 0;
	int error;

	guards->advised = 0;
	guards->protected = 0;
	memset(guards->canary, 0, sizeof(guards->canary));
	if (region->guard == 0)
		return;

	memset(ranges, 0, sizeof(ranges));
	for (uint32_t i = 0; i < count; i++) {
		ranges[i].iov_base = gv_region_begin(region, first + i);
		ranges[i].iov_len = region->guard;
	}
	if (guards->use_advised)
		done = (uint32_t)gv_pages_guard_advised(ranges, count, &error);
	guards->advised = done;

	for (; done < count; done++) {
		if (guards->protected < guards->may_protect &&
		    gv_pages_guard_protected(&ranges[done]) == 0)
			guards->protected ++;
		else
			guards->canary[done] = true;
	}
}

/* ---- giving memory back ---- */

size_t gv_region_collect(struct gv_region *region, uint32_t *at, struct gv_region_run *runs)
{
	size_t found = 0;
	uint32_t slot = *at;

	while (slot < region->carved && found < GV_REGION_BATCH) {
		uint32_t first = slot;
		bool warm = false;

		for (; slot < region->carved && bit_test(region->free_map, slot); slot++)
			warm |= bit_test(region->warm_map, slot);
		if (slot == first) {
			slot++;
			continue;
		}
		if (!warm)
			continue;
		for (uint32_t i = first; i < slot; i++)
			gv_region_unmark(region, i);
		runs[found].first = first;
		runs[found].count = slot - first;
		found++;
	}
	*at = slot;
	return found;
}

bool gv_region_is_worth_dropping(const struct gv_region *region)
{
	uint32_t used = region->carved - region->free;

	return region->warm * 4 >= region->slots || region->warm >= (used + 1) * 4;
}

void gv_region_drop(const struct gv_region *region, const struct gv_region_run *runs, size_t count)
{
	struct iovec ranges[GV_REGION_BATCH];

	for (size_t i = 0; i < count; i++) {
		char *low = gv_region_low(region, runs[i].first);
		char *end = gv_region_end(region, runs[i].first + runs[i].count - 1);

		ranges[i].iov_base = low;
		ranges[i].iov_len = (size_t)(end - low);
	}
	(void)gv_pages_drop(ranges, count);
}
