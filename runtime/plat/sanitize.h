/* SPDX-License-Identifier: MIT */
/*
 * sanitize.h - telling AddressSanitizer, ThreadSanitizer and Valgrind about stacks and switches.
 *
 * Layer   plat.
 * Owns    struct gv_sanitizer: one per stack, and one per thread that switches.
 * Entry   gv_sanitizer_switch() in place of gv_context_switch(); gv_sanitizer_after_switch() as
 *         the first act of an entry function.  Nothing of this costs anything in a plain build.
 *
 *   init --> { create --> (before_switch to it ... after_switch in it)* --> destroy }* --> retire
 *
 * I1  The hook that moves ThreadSanitizer to another fiber and the jump itself stand in one
 *     function that is not instrumented: its notes of calls and returns belong to a fiber, and a
 *     note written between the two would go to the wrong one.
 * I2  A context that will not be resumed says so in before_switch, which frees its fake stack;
 *     destroy follows from another context.
 *
 * ThreadSanitizer takes each switch as an ordering of the two fibers (flag 0): what a hub keeps
 * without locks is handed from context to context by exactly these switches.
 *
 * A fiber costs gcc's ThreadSanitizer half a millisecond, so it stays with its stack for a number of
 * contexts.  It has to go some day: frames that are never left pile up in its notes of calls.
 *
 * Build with GV_VALGRIND to have stacks registered with Valgrind; the request costs some ten
 * instructions per stack outside of Valgrind.
 */
#ifndef GV_PLAT_SANITIZE_H
#define GV_PLAT_SANITIZE_H

#include "base/compiler.h"
#include "plat/context.h"

#include <stdbool.h>

#if GV_ASAN || GV_TSAN || defined(GV_VALGRIND)
#define GV_SANITIZER 1
#else
#define GV_SANITIZER 0
#endif

struct gv_sanitizer {
#if GV_ASAN
	const void *low;
	size_t size;
	void *fake_stack; /* of a suspended context */
#endif
#if GV_TSAN
	void *fiber;
	unsigned uses; /* contexts that ended on it */
#endif
#if defined(GV_VALGRIND)
	unsigned valgrind_id;
#endif
};

#if GV_SANITIZER

/* The memory of *s is new. */
void gv_sanitizer_init(struct gv_sanitizer *s);

/* The memory of *s is about to be lost. */
void gv_sanitizer_retire(struct gv_sanitizer *s);

/* A stack of `size` bytes from stack_low is about to be used. */
void gv_sanitizer_create(struct gv_sanitizer *s, void *stack_low, size_t size);

/* Its context has ended; the caller runs on another one. */
void gv_sanitizer_destroy(struct gv_sanitizer *s);

/* Describe the calling thread and its own stack; undone by nothing. */
void gv_sanitizer_adopt_thread(struct gv_sanitizer *s);

/* This memory goes back to the kernel, which may hand it out for anything else. */
void gv_sanitizer_unmap(void *memory, size_t size);

void gv_sanitizer_before_switch(struct gv_sanitizer *from, struct gv_sanitizer *to, bool from_dies);
void gv_sanitizer_after_switch(struct gv_sanitizer *self);

/* gv_context_switch() with both hooks at their places. */
void *gv_sanitizer_switch(void **save, void *target, void *arg, struct gv_sanitizer *from,
			  struct gv_sanitizer *to, bool from_dies);

#else

GV_INLINE void gv_sanitizer_init(struct gv_sanitizer *s)
{
	(void)s;
}

GV_INLINE void gv_sanitizer_retire(struct gv_sanitizer *s)
{
	(void)s;
}

GV_INLINE void gv_sanitizer_create(struct gv_sanitizer *s, void *stack_low, size_t size)
{
	(void)s, (void)stack_low, (void)size;
}

GV_INLINE void gv_sanitizer_destroy(struct gv_sanitizer *s)
{
	(void)s;
}

GV_INLINE void gv_sanitizer_adopt_thread(struct gv_sanitizer *s)
{
	(void)s;
}

GV_INLINE void gv_sanitizer_unmap(void *memory, size_t size)
{
	(void)memory, (void)size;
}

GV_INLINE void gv_sanitizer_before_switch(struct gv_sanitizer *from, struct gv_sanitizer *to,
					  bool from_dies)
{
	(void)from, (void)to, (void)from_dies;
}

GV_INLINE void gv_sanitizer_after_switch(struct gv_sanitizer *self)
{
	(void)self;
}

GV_INLINE void *gv_sanitizer_switch(void **save, void *target, void *arg, struct gv_sanitizer *from,
				    struct gv_sanitizer *to, bool from_dies)
{
	(void)from, (void)to, (void)from_dies;
	return gv_context_switch(save, target, arg);
}

#endif
#endif
