/* SPDX-License-Identifier: MIT */
/*
 * context_ucontext.c - contexts where there is no assembly, or by choice (GROVE_CONTEXT=ucontext).
 *
 * Layer   plat.
 * Owns    struct gv_context: in the frame of gv_context_switch, or at the top of a fresh stack.
 *
 * The handle of a context is published by the one that runs next, when swapcontext is through.
 *
 * Slower by two system calls a switch, since swapcontext also carries the signal mask.
 */
#include "plat/context.h"

#ifdef GV_CONTEXT_UCONTEXT
#include "base/atomic.h"
#include "base/check.h"

#include <stdbool.h>
#include <ucontext.h>

struct gv_context {
	ucontext_t registers;
	gv_context_entry *entry; /* fresh contexts only */
	void *arg;		 /* written by whoever resumes this context */
	void **save;		 /* likewise: where to publish the handle of the one left behind, */
	void *left;		 /* and the handle */
};

/* [saved] swapcontext has stored everything of the context that was left: it may be resumed. */
static void publish_left(struct gv_context *self)
{
	gv_store((_Atomic(void *) *)self->save, self->left, release); /* [saved] */
}

/* makecontext passes ints only, hence the halves of a pointer. */
static void first_frame(unsigned high, unsigned low)
{
	struct gv_context *self =
		(struct gv_context *)(uintptr_t)((uint64_t)high << 32 | (uint64_t)low);

	publish_left(self);
	self->entry(self->arg);
	GV_CHECK(false, "the entry function of a context returned");
}

void *gv_context_make(void *stack_top, gv_context_entry *entry)
{
	const uintptr_t alignment = GV_MAX(_Alignof(struct gv_context), 16);
	uintptr_t top = ((uintptr_t)stack_top - sizeof(struct gv_context)) & ~(alignment - 1);
	struct gv_context *fresh = (struct gv_context *)top;

	GV_CHECK(getcontext(&fresh->registers) == 0, "getcontext");
	fresh->entry = entry;
	fresh->arg = NULL;

	/* makecontext looks only at the sum of the two. */
	fresh->registers.uc_stack.ss_size = 1024;
	fresh->registers.uc_stack.ss_sp = (char *)fresh - fresh->registers.uc_stack.ss_size;
	fresh->registers.uc_link = NULL;
	makecontext(&fresh->registers, (void (*)(void))(uintptr_t)first_frame, 2,
		    (unsigned)((uint64_t)top >> 32), (unsigned)top);
	return fresh;
}

void *gv_context_switch(void **save, void *target, void *arg)
{
	struct gv_context here;
	struct gv_context *to = target;

	to->arg = arg;
	to->save = save;
	to->left = &here;
	GV_CHECK(swapcontext(&here.registers, &to->registers) == 0, "swapcontext");
	publish_left(&here);
	return here.arg;
}

#else
/* A translation unit must not be empty. */
typedef int gv_context_is_assembly;
#endif
