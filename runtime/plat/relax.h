/* SPDX-License-Identifier: MIT */
/*
 * relax.h - one step of a bounded spin.
 *
 * Layer   plat.
 */
#ifndef GV_PLAT_RELAX_H
#define GV_PLAT_RELAX_H

#include "base/atomic.h"

/* Lets the other hyper-thread, and the virtual machine's host, know that we only wait. */
static inline void gv_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	gv_compiler_barrier();
#endif
}

#endif
