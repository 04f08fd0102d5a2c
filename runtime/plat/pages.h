/* SPDX-License-Identifier: MIT */
/*
 * pages.h - address space for stacks: mapping it, guarding it, giving its memory back.
 *
 * Layer   plat.  No state but what the kernel was found to offer and what failed last.
 *
 * Guards, best way first:
 *   advised     MADV_GUARD_INSTALL (Linux 6.13): lives in the page table, costs no mapping
 *   protected   PROT_NONE: costs two mappings of the vm.max_map_count of the process
 *   canary      none at all; the owner of the memory checks a pattern (store/stack.c)
 * Advised and protected guards outlive gv_pages_drop().
 */
#ifndef GV_PLAT_PAGES_H
#define GV_PLAT_PAGES_H

#include "base/compiler.h"

#include <sys/uio.h>

/*
 * Map `bytes` of zeroed, readable and writable memory that is backed page by page when touched:
 * no huge pages, not locked even under mlockall(MCL_FUTURE), not committed unless
 * vm.overcommit_memory is 2.
 *
 * Returns 0, -ENOMEM or -EAGAIN; gv_pages_limit_text() then tells what was in the way.
 */
int gv_pages_map(size_t bytes, void **memory);

void gv_pages_unmap(void *memory, size_t bytes);

/*
 * Install advised guards.  Ranges are whole pages.
 *
 * Returns how many ranges, from the first on, have their guard; *error tells what stopped it
 * (0, or -EINVAL where the kernel does not know them).
 */
size_t gv_pages_guard_advised(const struct iovec *ranges, size_t count, int *error);

/* Protect one range.  Returns 0 or -errno. */
int gv_pages_guard_protected(const struct iovec *range);

/*
 * Give the memory of whole pages back; they read as zero afterwards.
 *
 * Returns 0 or -errno; a part may have been given back then.
 */
int gv_pages_drop(const struct iovec *ranges, size_t count);

/* The lowest address in the range whose page is in memory; its end if there is none. */
char *gv_pages_first_resident(char *low, size_t bytes);

/*
 * Name the limit that made the latest gv_pages_map() of any thread fail, as it looks now: an
 * rlimit, vm.max_map_count, the overcommit policy.  A constant text.
 */
const char *gv_pages_limit_text(void);

#endif
