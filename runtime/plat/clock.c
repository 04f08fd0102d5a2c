/* SPDX-License-Identifier: MIT */
/*
 * clock.c - reading the clock.
 *
 * Layer   plat.
 */
#include "plat/clock.h"

#include <time.h>

int64_t gv_clock_ns(void)
{
	struct timespec now;

	/* Fails only for a clock that does not exist. */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
