/* SPDX-License-Identifier: MIT */
/*
 * context_x86_64.h - the switch for x86-64; see context.h.
 *
 * Layer   plat.
 *
 * rdi carries arg in both directions, so the trampoline of a fresh context need not move it.
 */
#ifndef GV_PLAT_CONTEXT_X86_64_H
#define GV_PLAT_CONTEXT_X86_64_H

#include "base/compiler.h"

/* The offsets are known to context_x86_64.S and to the assembly below. */
struct gv_context {
	void *pc;
	void *fp;
	void *sp;
	gv_context_entry *entry; /* fresh contexts only */
};

_Static_assert(offsetof(struct gv_context, pc) == 0, "assembly");
_Static_assert(offsetof(struct gv_context, fp) == 8, "assembly");
_Static_assert(offsetof(struct gv_context, sp) == 16, "assembly");
_Static_assert(offsetof(struct gv_context, entry) == 24, "assembly");

#if defined(__AVX512F__)
#define GV_CONTEXT_CLOBBER_AVX512                                                                  \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",         \
		"xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2",   \
		"k3", "k4", "k5", "k6", "k7"
#else
#define GV_CONTEXT_CLOBBER_AVX512
#endif

#if defined(__APX_F__)
#define GV_CONTEXT_CLOBBER_APX                                                                     \
	, "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27",      \
		"r28", "r29", "r30", "r31"
#else
#define GV_CONTEXT_CLOBBER_APX
#endif

GV_CONTEXT_INLINE void *gv_context_switch(void **save, void *target, void *arg)
{
	struct gv_context here;
	struct gv_context *frame = &here;

	/* rbp cannot be named as clobbered where it is the frame pointer, so it is carried. */
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rax, 0(%%rcx)\n\t"
			 "movq %%rbp, 8(%%rcx)\n\t"
			 "movq %%rsp, 16(%%rcx)\n\t"
			 "movq 16(%%rdx), %%rsp\n\t"
			 "movq 8(%%rdx), %%rbp\n\t"
			 "movq %%rcx, (%%rsi)\n\t" /* [saved] */
			 "jmpq *0(%%rdx)\n"
			 "1:\n\t"
			 "endbr64"
			 : "+D"(arg), "+S"(save), "+d"(target), "+c"(frame)
			 :
			 : "rax", "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
			   "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st",
			   "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc",
			   "memory" GV_CONTEXT_CLOBBER_AVX512 GV_CONTEXT_CLOBBER_APX);
	return arg;
}

#endif
