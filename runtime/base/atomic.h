/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - the only spelling of atomics in the runtime.
 *
 * Layer   base.
 *
 * Every access names its order.  The call sites carry a [label] for anything stronger than
 * relaxed; the opening comment of the file lists the label with both sides.  A model-checking
 * build replaces this file and nothing else, which is why no file of the runtime uses <stdatomic.h>
 * operations directly.
 */
#ifndef GV_ATOMIC_H
#define GV_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>

#ifdef GV_MODEL
#include "model/gv_model_atomic.h"
#else

/* Called before each shared access of the random-delay build (tests/perturb); nothing otherwise. */
#ifdef GV_PERTURB
void gv_perturb(void);
#else
#define gv_perturb() ((void)0)
#endif

/* Before others can see the object. */
#define gv_init(p, v) atomic_init((p), (v))

#define gv_load(p, order) (gv_perturb(), atomic_load_explicit((p), memory_order_##order))
#define gv_store(p, v, order) (gv_perturb(), atomic_store_explicit((p), (v), memory_order_##order))
#define gv_xchg(p, v, order)                                                                       \
	(gv_perturb(), atomic_exchange_explicit((p), (v), memory_order_##order))
#define gv_add(p, v, order)                                                                        \
	(gv_perturb(), atomic_fetch_add_explicit((p), (v), memory_order_##order))
#define gv_sub(p, v, order)                                                                        \
	(gv_perturb(), atomic_fetch_sub_explicit((p), (v), memory_order_##order))
#define gv_or(p, v, order) (gv_perturb(), atomic_fetch_or_explicit((p), (v), memory_order_##order))
#define gv_and(p, v, order)                                                                        \
	(gv_perturb(), atomic_fetch_and_explicit((p), (v), memory_order_##order))
#define gv_cas(p, expected, desired, ok, fail)                                                     \
	(gv_perturb(),                                                                             \
	 atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_##ok,    \
						 memory_order_##fail))
#define gv_fence(order) (gv_perturb(), atomic_thread_fence(memory_order_##order))

#endif

/* Keeps the compiler from moving accesses across; the CPU is not told.  For code that a signal
 * handler on the same thread may interrupt, and for the common side of asymmetric fences. */
#define gv_compiler_barrier() atomic_signal_fence(memory_order_seq_cst)

#endif
