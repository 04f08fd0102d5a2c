/* SPDX-License-Identifier: MIT */
/*
 * fence.h - full fences whose price is paid by the rare side.
 *
 * Layer   plat.
 * Owns    the decision, made once at start, which kind of fence this process uses.
 * Entry   gv_fence_setup() before the first hub; then the two calls below.
 *
 * [asymmetric]  Side A:  store X;  gv_fence_light();  load Y.
 *               Side B:  store Y;  gv_fence_heavy();  load X.
 *     At least one side sees the other's store.  The heavy side makes the kernel run a full
 *     fence on every CPU that executes this process before it returns, so a compiler barrier
 *     is enough on the light side: either A's store was done before that fence, and B's load sees
 *     it, or A's load comes after it and sees B's store.  Two light sides order nothing.
 *
 * Where the call is missing (old kernel, seccomp filter, some sandboxes) both sides are full
 * fences.  The choice must not change while hubs run.
 *
 * Cost here: light 0, full 4.6 ns; heavy 0.25 us alone, some 9 us while another CPU runs us.
 */
#ifndef GV_PLAT_FENCE_H
#define GV_PLAT_FENCE_H

#include "base/atomic.h"
#include "base/compiler.h"

#include <stdbool.h>

/* True: the light side is a full fence as well.  Written by gv_fence_setup only. */
extern bool gv_fence_strong;

#if GV_TSAN
/* ThreadSanitizer does not model fences; it does model read-modify-writes of one word. */
extern _Atomic unsigned gv_fence_word;
#endif

/* Order everything before against everything after, stores against later loads included. */
GV_INLINE void gv_fence_full(void)
{
#if GV_TSAN
	gv_add(&gv_fence_word, 1, seq_cst); /* [asymmetric] */
#elif defined(__x86_64__) && !defined(GV_MODEL)
	/* A locked operation on the top of the stack costs a quarter of mfence. */
	__asm__ volatile("lock orl $0, (%%rsp)" ::: "memory", "cc");
#else
	gv_fence(seq_cst); /* [asymmetric] */
#endif
}

GV_INLINE void gv_fence_light(void)
{
#if GV_TSAN || defined(GV_MODEL)
	gv_fence_full();
#else
	if (GV_UNLIKELY(gv_fence_strong))
		gv_fence_full();
	else
		gv_compiler_barrier();
#endif
}

void gv_fence_heavy(void);

/*
 * Choose.  May be called again, while no hub runs.
 *
 * Returns 0, or the negative error of the missing call; full fences are in use then.
 */
int gv_fence_setup(void);

#endif
