/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the seam between the runtime and whoever has memory.
 *
 * Layer   base.
 * Owns    the list of allocators that were ever named.
 *
 *     | source | ... | what the caller gets ...
 *     '----- 16 ----'
 *
 * In front of each block stands where it came from, as a later start may name other functions.
 * The few descriptions of sources are never freed: a failure may outlive every runtime.
 *
 * [source]  gv_memory_use: store-release after the description is complete.  gv_malloc: load-acquire.
 */
#include "base/memory.h"

#include "base/atomic.h"
#include "base/fault.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct source {
	grove_allocator allocator;
	struct source *older;
};

struct header {
	const struct source *source;
} GV_ALIGNED(16);

_Static_assert(sizeof(struct header) == 16, "keeps the alignment of malloc");

static void *usual_allocate(size_t size, void *context)
{
	(void)context;
	return malloc(size);
}

static void usual_release(void *block, void *context)
{
	(void)context;
	free(block);
}

static struct source usual = { .allocator = { usual_allocate, usual_release, NULL } };
static struct source *newest = &usual; /* by who starts the runtime */
static _Atomic(struct source *) current = &usual;

static bool same(const grove_allocator *a, const grove_allocator *b)
{
	return a->allocate == b->allocate && a->release == b->release && a->context == b->context;
}

int gv_memory_use(const grove_allocator *allocator)
{
	const grove_allocator *wanted = allocator->allocate != NULL ? allocator : &usual.allocator;
	struct source *source = newest;

	while (source != NULL && !same(&source->allocator, wanted))
		source = source->older;
	if (source == NULL) {
		source = gv_fault_here("allocator") ? NULL : malloc(sizeof(*source));
		if (source == NULL)
			return -ENOMEM;
		*source = (struct source){ .allocator = *wanted, .older = newest };
		newest = source;
	}
	gv_store(&current, source, release); /* [source] */
	return 0;
}

void *gv_malloc(size_t size)
{
	const struct source *source = gv_load(&current, acquire); /* [source] */
	struct header *header;

	if (gv_fault_here("memory") || size > SIZE_MAX - sizeof(*header))
		return NULL;
	header = source->allocator.allocate(size + sizeof(*header), source->allocator.context);
	if (header == NULL)
		return NULL;
	header->source = source;
	return header + 1;
}

void *gv_zalloc(size_t size)
{
	void *block = gv_malloc(size);

	return block != NULL ? memset(block, 0, size) : NULL;
}

void gv_free(void *block)
{
	if (block == NULL)
		return;

	struct header *header = (struct header *)block - 1;
	header->source->allocator.release(header, header->source->allocator.context);
}
