/* SPDX-License-Identifier: MIT */
/*
 * region.h - a stretch of address space cut into guarded slots of one size.
 *
 * Layer   plat.
 * Owns    the table of all regions, which only grows; the memory of every region.
 * Entry   gv_region_new(), gv_region_publish(); then the slots, by number.
 *
 *   fresh --carve--> taken --mark--> free (warm or not) --unmark--> taken ...
 *
 * I1  A slot that is marked free belongs to the region, any other carved slot to whoever took it.
 *     Guarding and dropping are done by that owner, so they need no lock.
 * I2  warm is a part of free: the slot's last page is in memory and what was written there is
 *     still true.  A slot that is free and not warm is best left untouched until it is needed.
 * I3  Guards are installed once and outlive everything.
 *
 * Not thread safe: one lock of the caller guards the counts and maps of all regions.  Only the
 * lookups gv_region_at() and gv_region_find() may run beside anything, in signal handlers too.
 */
#ifndef GV_PLAT_REGION_H
#define GV_PLAT_REGION_H

#include "base/compiler.h"
#include "base/list.h"

#include <stdbool.h>

enum {
	GV_REGION_MAX = 1 << 17, /* regions in a process */
	GV_REGION_BATCH = 16,	 /* slots to carve, or runs to drop, at once */
};

struct gv_region {
	/* constant */
	void *class; /* the caller's */
	char *base;
	size_t bytes;
	size_t guard;
	size_t stride; /* slot to slot, guard included */
	uint32_t number;
	uint32_t slots;

	/* under the caller's lock */
	struct gv_list node; /* the caller's */
	int listing;	     /* the caller's */
	uint32_t carved;     /* slots from here on are fresh */
	uint32_t free;	     /* marked */
	uint32_t warm;	     /* marked warm */
	uint64_t *free_map;
	uint64_t *warm_map;
	uint64_t *canary_map; /* slots that got no guard */
	uint64_t maps[];
};

/* ---- regions ---- */

/*
 * Map up to `bytes`, at least one slot: in halves while the kernel refuses.
 *
 * Returns 0 or -ENOMEM.
 */
int gv_region_new(struct gv_region **out, size_t bytes, size_t stride, size_t guard, void *class);

/* Give it a number and let it be found.  -ENOMEM: the table is full. */
int gv_region_publish(struct gv_region *region);

/* Unmap one that was not published. */
void gv_region_free(struct gv_region *region);

/* Unmap all of them: for the end of tests. */
void gv_region_free_all(void);

uint32_t gv_region_count(void);
struct gv_region *gv_region_at(uint32_t number);

/* The region and slot that an address lies in, guards included; NULL if in none. */
struct gv_region *gv_region_find(const void *address, uint32_t *slot);

/* ---- slots ---- */

GV_INLINE char *gv_region_begin(const struct gv_region *region, uint32_t slot)
{
	return region->base + (size_t)slot * region->stride;
}

/* The guard ends and the usable part begins. */
GV_INLINE char *gv_region_low(const struct gv_region *region, uint32_t slot)
{
	return gv_region_begin(region, slot) + region->guard;
}

GV_INLINE char *gv_region_end(const struct gv_region *region, uint32_t slot)
{
	return gv_region_begin(region, slot) + region->stride;
}

void gv_region_mark(struct gv_region *region, uint32_t slot, bool warm);

/* Returns whether it was warm. */
bool gv_region_unmark(struct gv_region *region, uint32_t slot);

/* The first free slot, the first warm one; there must be one. */
uint32_t gv_region_first_free(const struct gv_region *region);
uint32_t gv_region_first_warm(const struct gv_region *region);

bool gv_region_is_canary(const struct gv_region *region, uint32_t slot);
void gv_region_set_canary(struct gv_region *region, uint32_t slot);

/* ---- system calls on slots that the caller has taken: no lock needed ---- */

struct gv_region_guards {
	bool use_advised;
	uint32_t may_protect; /* how many may cost a mapping */

	uint32_t advised; /* how many got which */
	uint32_t protected;
	bool canary[GV_REGION_BATCH]; /* these got none */
};

/* Guard slots [first, first + count), at most a batch. */
void gv_region_guard(struct gv_region *region, uint32_t first, uint32_t count,
		     struct gv_region_guards *guards);

struct gv_region_run {
	uint32_t first;
	uint32_t count;
};

/*
 * Under the lock: unmark the next runs of free neighbours with something warm among them, from
 * slot *at on, at most a batch.  Returns how many; 0 when the region is through.
 */
size_t gv_region_collect(struct gv_region *region, uint32_t *at, struct gv_region_run *runs);

/* Neighbours go in one range, and what is in use parts them: are there many warm ones to a run? */
bool gv_region_is_worth_dropping(const struct gv_region *region);

/* Give back the memory of runs.  If the kernel refuses it stays in use; nothing else is lost. */
void gv_region_drop(const struct gv_region *region, const struct gv_region_run *runs, size_t count);

#endif
