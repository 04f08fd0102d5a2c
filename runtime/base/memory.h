/* SPDX-License-Identifier: MIT */
/*
 * memory.h - small blocks of memory, from malloc or from the program's allocator.
 *
 * Layer   base.  What is large, aligned or never freed does not come from here.
 */
#ifndef GV_MEMORY_H
#define GV_MEMORY_H

#include "base/compiler.h"

#include "grove/runtime.h"

/*
 * From now on take blocks from this allocator; NULL functions: malloc and free.  Blocks that exist go
 * back to where they came from.  The runtime does not run.  Returns 0 or -ENOMEM.
 */
int gv_memory_use(const grove_allocator *allocator);

/* Aligned for any type; not cleared.  NULL: there is none.  Any thread, but no signal handler. */
GV_MUST_CHECK void *gv_malloc(size_t size);

/* The same, all zero. */
GV_MUST_CHECK void *gv_zalloc(size_t size);

/* NULL is ignored. */
void gv_free(void *block);

#endif
