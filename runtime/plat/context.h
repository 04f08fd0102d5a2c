/* SPDX-License-Identifier: MIT */
/*
 * context.h - leaving one stack and going on with another.
 *
 * Layer   plat.
 * Owns    struct gv_context, which lies in the frame of the function that switched away.
 * Entry   gv_context_make() prepares a stack; gv_context_switch() runs it.
 *
 * A handle is the address of a suspended context.  It is good for one switch: it names a local
 * variable of a function that goes on, so whoever resumes it must be the only one who does.
 *
 *   fresh --switch--> running --switch(save)--> suspended --switch--> running ...
 *
 * I1  *save is written as the last act of the old context, after its registers are saved and the
 *     stack pointer has left its stack, and as a release store: whoever reads the handle with
 *     acquire may resume the context at once, on any core.  [saved]
 * I2  Nothing is stored below the stack pointer: a red zone stays intact.
 * I3  The entry function never returns.
 *
 * The switch is inline assembly that names every register as clobbered except the stack pointer
 * and the frame pointer.  The compiler then keeps only what is alive at that place, and the
 * unwind table of the surrounding C function is right at the resume point because nothing was
 * pushed.  Two contexts in turn, when this was written: 0.7 ns a switch; with a routine that saves
 * six registers and jumps, 3.2; with one that returns, 7.5, for the return predictor is always
 * wrong (tests/unit/plat/test_context.c prints the first figure).
 *
 * I4  A function that contains the switch is marked GV_CONTEXT_CALLER.  Compilers know that the
 *     assembly may change any memory, but gcc's summary of the function leaves it out: a static
 *     variable of the same file whose address is never taken would seem untouched by a call.
 *
 * Rejected: setjmp/longjmp (the fortified one refuses frames that look "below"), and saving all
 * callee-saved registers in a separate routine (the figures above).
 *
 * Shadow stacks (x86 SHSTK, aarch64 GCS) are not switched: the property notes of the .S files
 * claim landing pads only, so the loader leaves shadow stacks off in a process that has us.
 */
#ifndef GV_PLAT_CONTEXT_H
#define GV_PLAT_CONTEXT_H

#include "base/compiler.h"

#if defined(__has_attribute)
#if __has_attribute(noipa)
#define GV_CONTEXT_CALLER __attribute__((noinline, noipa))
#endif
#endif
#ifndef GV_CONTEXT_CALLER
#define GV_CONTEXT_CALLER GV_NOINLINE
#endif

/*
 * Code that a sanitizer must not touch.  clang's no_sanitize leaves the notes of calls and returns
 * in place, the other attribute does not.  gcc marks the variables of what it inlines as out of
 * scope even here and never as in scope again, hence a switch that is not inlined.
 */
#if defined(__has_attribute)
#if __has_attribute(disable_sanitizer_instrumentation)
#define GV_NOT_INSTRUMENTED __attribute__((noinline, disable_sanitizer_instrumentation))
#endif
#endif
#ifndef GV_NOT_INSTRUMENTED
#define GV_NOT_INSTRUMENTED __attribute__((noinline, no_sanitize("address", "thread")))
#endif

#if GV_ASAN || GV_TSAN
#define GV_CONTEXT_INLINE static GV_UNUSED GV_NOT_INSTRUMENTED
#else
#define GV_CONTEXT_INLINE GV_INLINE
#endif

/* A context in use starts here.  `arg` is what the first switch passed. */
typedef void gv_context_entry(void *arg);

/*
 * Prepare a context whose first switch calls entry(arg) just below stack_top.
 *
 * stack_top    end of the memory, exclusive; any alignment.
 *
 * Returns the handle.  Backtraces from inside end after `entry`.
 */
void *gv_context_make(void *stack_top, gv_context_entry *entry);

#if !defined(GV_CONTEXT_UCONTEXT) &&                                                               \
	!((defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__))
#define GV_CONTEXT_UCONTEXT 1
#endif

/*
 * gv_context_switch(save, target, arg): suspend here, go on at target.
 *
 * save         receives the handle of the suspended context.
 * target       a handle; used up.
 * arg          what target's own gv_context_switch returns, or its entry function gets.
 *
 * Returns the arg of whoever resumed us.  errno, the signal mask and the floating point control
 * words belong to the thread and are not touched.
 */
#if defined(GV_CONTEXT_UCONTEXT)
void *gv_context_switch(void **save, void *target, void *arg);
#elif defined(__x86_64__)
#include "plat/context_x86_64.h"
#else
#include "plat/context_aarch64.h"
#endif

/* The words that say how floating point rounds and traps. */
struct gv_context_fpu {
	uint64_t word;
};

/* For the option that gives each greenlet its own rounding; costs some 2-5 ns a switch. */
GV_INLINE void gv_context_fpu_save(struct gv_context_fpu *fpu)
{
#if defined(__x86_64__)
	uint32_t sse;
	uint16_t x87;
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(sse), "=m"(x87));
	fpu->word = (uint64_t)x87 << 32 | sse;
#elif defined(__aarch64__)
	__asm__ volatile("mrs %0, fpcr" : "=r"(fpu->word));
#else
	fpu->word = 0;
#endif
}

GV_INLINE void gv_context_fpu_restore(const struct gv_context_fpu *fpu)
{
#if defined(__x86_64__)
	uint32_t sse = (uint32_t)fpu->word;
	uint16_t x87 = (uint16_t)(fpu->word >> 32);
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" ::"m"(sse), "m"(x87));
#elif defined(__aarch64__)
	__asm__ volatile("msr fpcr, %0" ::"r"(fpu->word));
#else
	(void)fpu;
#endif
}

#endif
