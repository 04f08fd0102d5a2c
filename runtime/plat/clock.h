/* SPDX-License-Identifier: MIT */
/*
 * clock.h - the one clock of the runtime: nanoseconds that never go back.
 *
 * Layer   plat.
 */
#ifndef GV_PLAT_CLOCK_H
#define GV_PLAT_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC, about 20 ns.  From anywhere, signal handlers included. */
int64_t gv_clock_ns(void);

#endif
