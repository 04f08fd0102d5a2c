/* SPDX-License-Identifier: MIT */
/*
 * context.c - the first frame of a stack, where the switch is our own assembly.
 *
 * Layer   plat.
 * Owns    the struct gv_context at the top of a stack until its first switch.
 */
#include "plat/context.h"

#ifndef GV_CONTEXT_UCONTEXT

/* Never called from C: the first switch jumps to it. */
void gv_context_trampoline(void) __attribute__((visibility("hidden")));

_Static_assert(sizeof(struct gv_context) % 16 == 0, "the trampoline calls with an aligned stack");

void *gv_context_make(void *stack_top, gv_context_entry *entry)
{
	uintptr_t top = (uintptr_t)stack_top & ~(uintptr_t)15;
	struct gv_context *fresh = (struct gv_context *)(top - sizeof(struct gv_context));

	fresh->pc = (void *)(uintptr_t)gv_context_trampoline;
	fresh->fp = NULL;
	fresh->sp = fresh;
	fresh->entry = entry;
	return fresh;
}

#else
/* A translation unit must not be empty. */
typedef int gv_context_is_ucontext;
#endif
