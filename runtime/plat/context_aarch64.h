/* SPDX-License-Identifier: MIT */
/*
 * context_aarch64.h - the switch for 64-bit ARM; see context.h.
 *
 * Layer   plat.
 *
 * x0 carries arg in both directions.  The jump goes through x16, which may land on either kind of
 * landing pad.  Return addresses signed by the compiler stay valid: a context is resumed with
 * the stack pointer it was signed under.
 */
#ifndef GV_PLAT_CONTEXT_AARCH64_H
#define GV_PLAT_CONTEXT_AARCH64_H

#include "base/compiler.h"

/* The offsets are known to context_aarch64.S and to the assembly below. */
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

/* A vector register must be named in its full width to be lost in its full width. */
#if defined(__ARM_FEATURE_SVE)
#define GV_CONTEXT_CLOBBER_VECTORS                                                                 \
	"z0", "z1", "z2", "z3", "z4", "z5", "z6", "z7", "z8", "z9", "z10", "z11", "z12", "z13",    \
		"z14", "z15", "z16", "z17", "z18", "z19", "z20", "z21", "z22", "z23", "z24",       \
		"z25", "z26", "z27", "z28", "z29", "z30", "z31", "p0", "p1", "p2", "p3", "p4",     \
		"p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15", "ffr"
#else
#define GV_CONTEXT_CLOBBER_VECTORS                                                                 \
	"v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",    \
		"v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",       \
		"v25", "v26", "v27", "v28", "v29", "v30", "v31"
#endif

GV_CONTEXT_INLINE void *gv_context_switch(void **save, void *target, void *arg)
{
	struct gv_context here;
	register void *x0 __asm__("x0") = arg;
	register void **x1 __asm__("x1") = save;
	register void *x2 __asm__("x2") = target;
	register struct gv_context *x3 __asm__("x3") = &here;

	__asm__ volatile("adr x9, 1f\n\t"
			 "stp x9, x29, [x3]\n\t"
			 "mov x9, sp\n\t"
			 "str x9, [x3, #16]\n\t"
			 "ldr x9, [x2, #16]\n\t"
			 "ldp x16, x29, [x2]\n\t"
			 "mov sp, x9\n\t"
			 "stlr x3, [x1]\n\t" /* [saved] */
			 "br x16\n"
			 "1:\n\t"
			 "hint #36" /* bti j */
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
			   "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24",
			   "x25", "x26", "x27", "x28", "x30", "cc", "memory",
			   GV_CONTEXT_CLOBBER_VECTORS);
	return x0;
}

#endif
