/* SPDX-License-Identifier: MIT */
/*
 * stack.h - the stacks greenlets run on.
 *
 * Layer   store.
 * Owns    regions of address space, and every stack in them that nobody uses.
 * Entry   gv_stack_setup() once; gv_stack_get() and gv_stack_put().
 *
 *   low end of a slot                                                       high end
 *   | guard | low ...... usable ...... <-- top | header with cold area | colour |
 *                                      '------- first page from the end --------'
 *
 * A stack belongs to whoever got it until it is put back; the fields of the header are constant
 * in between, except `link` and `cold`, which are the user's.  Neither is cleared.
 *
 * | call          | hub with its cache          | any other thread          | signal handler |
 * |---------------|-----------------------------|---------------------------|----------------|
 * | get, put      | cache, seldom the depot     | cache NULL: depot, a lock | no             |
 * | find          | yes                         | yes                       | yes            |
 * | stats, drain  | drain: owner of the cache   | stats                     | no             |
 */
#ifndef GV_STORE_STACK_H
#define GV_STORE_STACK_H

#include "base/check.h"
#include "base/compiler.h"
#include "base/list.h"
#include "plat/region.h"
#include "plat/sanitize.h"

#include <stdbool.h>

enum {
	GV_STACK_COLD_BYTES = 512, /* room in the header for the scheduler's cold fields */
	GV_STACK_MAGAZINE = 32,	   /* how many go between a cache and the depot at once */
	GV_STACK_CACHE_ROOM = 2 * GV_STACK_MAGAZINE,
};

/* gv_stack.flags */
enum {
	GV_STACK_USED = 1,     /* between get and put */
	GV_STACK_CANARY = 2,   /* no guard: a pattern at `low` is checked when it comes back */
	GV_STACK_UNCACHED = 4, /* not of the default class */
};

/* At most 704 bytes: with the largest colour and this, 2432 bytes of the first page are left for
 * the entry frame and a park, so that a parked greenlet keeps one page. */
struct gv_stack {
	char *low;	       /* lowest usable byte; the guard ends here */
	size_t size;	       /* from low to top */
	char *top;	       /* for gv_context_make(); a multiple of 64 */
	struct gv_stack *link; /* the user's */
	struct gv_region *region;
	uint32_t slot;
	uint32_t flags;
	struct gv_sanitizer sanitizer;

	unsigned char cold[GV_STACK_COLD_BYTES] GV_ALIGNED(GV_CACHE_LINE);
} GV_ALIGNED(GV_CACHE_LINE);

_Static_assert(sizeof(struct gv_stack) <= 704, "a parked greenlet keeps one page");

/*
 * Per hub, zeroed at first; its owner only.  An even entry is a stack, the last one the hottest;
 * an odd one names a slot whose pages are not in memory and whose header is yet to be written.
 */
struct gv_stack_cache {
	size_t count;
	uintptr_t entry[GV_STACK_CACHE_ROOM];
};

struct gv_stack_config {
	size_t bytes;	 /* default class: usable at least; 0 = 64 KiB */
	size_t guard;	 /* 0 = 16 KiB; GV_STACK_NO_GUARD = none */
	bool no_advised; /* do not use MADV_GUARD_INSTALL */
	bool no_protect; /* do not use mprotect */
};

#define GV_STACK_NO_GUARD SIZE_MAX

/*
 * Set the sizes; NULL takes the defaults.
 *
 * Returns 0; -EBUSY if the default size would change while stacks are out; -EINVAL for a size
 * that no stack can have; -ENOMEM.
 */
int gv_stack_setup(const struct gv_stack_config *config);

int gv_stack_get_slow(struct gv_stack_cache *cache, size_t bytes, struct gv_stack **out);
void gv_stack_put_slow(struct gv_stack_cache *cache, struct gv_stack *stack);

/*
 * Take a stack.
 *
 * cache        of the calling hub, or NULL.
 * bytes        usable at least, rounded up to a power of two; 0 = the default size.
 *
 * Returns 0, -ENOMEM (gv_stack_limit_text() says why) or -EINVAL for more than 64 GiB.
 * Inline for benchmarks/bench_spawn.c.
 */
GV_INLINE GV_MUST_CHECK int gv_stack_get(struct gv_stack_cache *cache, size_t bytes,
					 struct gv_stack **out)
{
	if (GV_LIKELY(bytes == 0 && cache != NULL && cache->count != 0)) {
		uintptr_t entry = cache->entry[cache->count - 1];

		if (GV_LIKELY((entry & 1) == 0)) {
			struct gv_stack *stack = (struct gv_stack *)entry;

			cache->count--;
			stack->flags |= GV_STACK_USED;
			gv_sanitizer_create(&stack->sanitizer, stack->low, stack->size);
			*out = stack;
			return 0;
		}
	}
	return gv_stack_get_slow(cache, bytes, out);
}

/* Give a stack back, from another stack.  Dies of a stack given back twice or an overwritten
 * canary.  Inline for benchmarks/bench_spawn.c. */
GV_INLINE void gv_stack_put(struct gv_stack_cache *cache, struct gv_stack *stack)
{
	if (GV_LIKELY(stack->flags == GV_STACK_USED && cache != NULL &&
		      cache->count < GV_STACK_CACHE_ROOM)) {
		gv_sanitizer_destroy(&stack->sanitizer);
		stack->flags = 0;
		cache->entry[cache->count++] = (uintptr_t)stack;
		return;
	}
	gv_stack_put_slow(cache, stack);
}

/* Hand everything in the cache to the depot: before its hub ends, or sleeps for long. */
void gv_stack_cache_drain(struct gv_stack_cache *cache);

/*
 * Whose stack does an address belong to?
 *
 * stack        receives the stack, or NULL if nobody uses it.
 * in_guard     receives whether the address lies in its guard.
 *
 * Returns false if the address is in no region.  Async-signal-safe; the answer is certain for a
 * stack that cannot be put back meanwhile, such as the caller's own.
 */
bool gv_stack_find(const void *address, struct gv_stack **stack, bool *in_guard);

/* Bytes below top that were ever used since the stack's pages were last given back, by this user
 * or earlier ones; what was only reserved and never written does not count. */
size_t gv_stack_high_water(const struct gv_stack *stack);

/* Which limit made the latest -ENOMEM; a constant text.  From any thread. */
const char *gv_stack_limit_text(void);

struct gv_stack_stats {
	size_t regions;
	size_t mapped_bytes;
	size_t out;	  /* in use or in caches */
	size_t peak_out;  /* ever */
	size_t free_warm; /* free, with a page in memory */
	size_t free_cold; /* free, memory given back */
	size_t guard_advised;
	size_t guard_protected;
	size_t guard_canary;
	size_t unguarded; /* by option */
	size_t trims;	  /* stacks whose deep pages were given back */
	size_t drops;	  /* runs of free stacks given back with one range */
};

void gv_stack_stats(struct gv_stack_stats *stats);

/* ---- between the files of this unit: stack.c, stack_class.c, stack_form.c ---- */

enum { GV_STACK_SMALLEST = 16384 };

struct gv_stack_class {
	size_t bytes;	     /* what callers ask for */
	size_t guard;	     /* 0: none */
	size_t stride;	     /* from stack to stack */
	size_t region_bytes; /* of the next region */
	struct gv_list open; /* regions with cold or fresh slots only */
	struct gv_list warm; /* regions with warm slots, most recently used first */
};

/* Find or make the class of these sizes, rounded up to pages; NULL if there are too many. */
struct gv_stack_class *gv_stack_class_find(size_t bytes, size_t guard);

void gv_stack_class_forget_all(void);

/* The header of a slot: may be read only while it is true (region.h, I2). */
struct gv_stack *gv_stack_of_slot(const struct gv_region *region, uint32_t slot);

/* Write the header, the watermark, and the canary if the flags say so. */
struct gv_stack *gv_stack_form(struct gv_region *region, uint32_t slot, uint32_t flags);

bool gv_stack_canary_intact(const struct gv_stack *stack);

/*
 * Leave their first page to those, of a magazine at most, that used more than it; only_deep:
 * that used more than 16 KiB.  Returns how many there were.
 */
size_t gv_stack_trim(struct gv_stack *const *stacks, size_t count, bool only_deep);

/* ---- the end ---- */

/* Unmap everything.  For the end of tests: no stack may be out, no cache filled. */
void gv_stack_release_all(void);

#endif
