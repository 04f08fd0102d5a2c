/* SPDX-License-Identifier: MIT */
/*
 * stack_form.c - the shape of one stack: where its header lies, how far it was used.
 *
 * Layer   store.  Below: plat/region.h, plat/pages.h.
 * Owns    the header while it is written, the watermark, the canary.
 *
 * Trimming: the lowest word of the first page is the watermark.  While it is intact nothing below
 * has been used, and nothing below need be looked at, which would itself cost a page.  A stack
 * that went further is trimmed to its first page when it leaves the ring, and before it enters
 * the ring if it went 16 KiB deep.
 */
#include "store/stack.h"

#include "plat/os.h"
#include "plat/pages.h"

enum { DEEP = 16384 };

/* A free stack is poisoned in an ASan build, and a running one is its greenlet's: these words
 * are nobody's business but ours. */
#define RAW_ACCESS __attribute__((noinline, no_sanitize("address", "thread")))

/* ---- layout of a slot ---- */

/* The colour: the tops of 16 neighbours lie in different cache sets. */
struct gv_stack *gv_stack_of_slot(const struct gv_region *region, uint32_t slot)
{
	size_t colour = (slot + region->number) % 16 * GV_CACHE_LINE;

	return (struct gv_stack *)(void *)(gv_region_end(region, slot) - colour -
					   sizeof(struct gv_stack));
}

static char *first_page(const struct gv_region *region, uint32_t slot)
{
	return gv_region_end(region, slot) - gv_os_page_size();
}

/* ---- watermark and canary ---- */

static uint64_t pattern_for(const void *address)
{
	return (uint64_t)(uintptr_t)address ^ 0x9d5c3b7fa1e24860u;
}

static RAW_ACCESS void watermark_write(const struct gv_stack *stack)
{
	uint64_t *word = (uint64_t *)(void *)first_page(stack->region, stack->slot);

	*(volatile uint64_t *)word = pattern_for(word);
}

static RAW_ACCESS bool watermark_intact(const struct gv_stack *stack)
{
	uint64_t *word = (uint64_t *)(void *)first_page(stack->region, stack->slot);

	return *(volatile uint64_t *)word == pattern_for(word);
}

/* Only for a stack whose watermark is gone: the read may bring a page in. */
static RAW_ACCESS bool went_deep(const struct gv_stack *stack)
{
	size_t depth = GV_MAX((size_t)DEEP, 2 * gv_os_page_size());
	const volatile uint64_t *word =
		(const volatile uint64_t *)(const void *)(gv_region_end(stack->region,
									stack->slot) -
							  depth);

	for (int i = 0; i < 8; i++) {
		if (word[i] != 0)
			return true;
	}
	return false;
}

static RAW_ACCESS void canary_write(char *low)
{
	volatile uint64_t *word = (volatile uint64_t *)(void *)low;

	for (int i = 0; i < 8; i++)
		word[i] = pattern_for(low);
}

RAW_ACCESS bool gv_stack_canary_intact(const struct gv_stack *stack)
{
	const char *low = stack->low;
	const volatile uint64_t *word = (const volatile uint64_t *)(const void *)low;

	for (int i = 0; i < 8; i++) {
		if (word[i] != pattern_for(low))
			return false;
	}
	return true;
}

/* ---- the header ---- */

struct gv_stack *gv_stack_form(struct gv_region *region, uint32_t slot, uint32_t flags)
{
	struct gv_stack *stack = gv_stack_of_slot(region, slot);

	stack->low = gv_region_low(region, slot);
	stack->top = (char *)stack;
	stack->size = (size_t)(stack->top - stack->low);
	stack->link = NULL;
	stack->region = region;
	stack->slot = slot;
	stack->flags = flags;
	gv_sanitizer_init(&stack->sanitizer);
	watermark_write(stack);
	if ((flags & GV_STACK_CANARY) != 0)
		canary_write(stack->low);
	return stack;
}

/* ---- what was used ---- */

size_t gv_stack_trim(struct gv_stack *const *stacks, size_t count, bool only_deep)
{
	struct iovec ranges[GV_STACK_MAGAZINE];
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		struct gv_stack *stack = stacks[i];
		if (watermark_intact(stack) || (only_deep && !went_deep(stack)))
			continue;
		/* The canary must outlive the trimming. */
		bool canary = (stack->flags & GV_STACK_CANARY) != 0;
		char *low = canary ? stack->low + gv_os_page_size() : stack->low;
		ranges[found].iov_base = low;
		ranges[found].iov_len = (size_t)(first_page(stack->region, stack->slot) - low);
		found++;
		watermark_write(stack);
	}
	if (found > 0)
		(void)gv_pages_drop(ranges, found);
	return found;
}

bool gv_stack_find(const void *address, struct gv_stack **stack, bool *in_guard)
{
	uint32_t slot;
	struct gv_region *region = gv_region_find(address, &slot);

	if (region == NULL)
		return false;
	struct gv_stack *owner = gv_stack_of_slot(region, slot);
	bool used = owner->region == region && (owner->flags & GV_STACK_USED) != 0;
	*stack = used ? owner : NULL;
	*in_guard = (const char *)address < gv_region_low(region, slot);
	return true;
}

RAW_ACCESS size_t gv_stack_high_water(const struct gv_stack *stack)
{
	const char *end = first_page(stack->region, stack->slot);
	const char *at = gv_pages_first_resident(stack->low, (size_t)(end - stack->low));

	if ((stack->flags & GV_STACK_CANARY) != 0 && at == stack->low)
		at += 8 * sizeof(uint64_t);
	if (at == end)
		at += sizeof(uint64_t); /* the watermark */
	while (at < stack->top && *(const volatile uint64_t *)(const void *)at == 0)
		at += sizeof(uint64_t);
	return (size_t)(stack->top - at);
}
