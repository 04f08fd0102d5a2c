/* SPDX-License-Identifier: MIT */
/*
 * check.h - the one way to die.
 *
 * Layer   base.
 *
 * GV_CHECK guards the runtime's own invariants and misuse that cannot be returned as a code; it
 * stays in release builds.  GV_DEBUG_CHECK is for costly checks and disappears in release builds.
 * Both print the expression, the place and the given values before they abort.
 */
#ifndef GV_CHECK_H
#define GV_CHECK_H

#include "base/compiler.h"

_Noreturn GV_COLD GV_PRINTF(4, 5) void gv_die(const char *file, int line, const char *expression,
					      const char *format, ...);

/* GV_CHECK(condition, "format", values...): the format may not be left out. */
#define GV_CHECK(condition, ...)                                                                   \
	do {                                                                                       \
		if (GV_UNLIKELY(!(condition)))                                                     \
			gv_die(__FILE__, __LINE__, #condition, __VA_ARGS__);                       \
	} while (0)

#ifdef GV_CHECKED
#define GV_DEBUG_CHECK(condition, ...) GV_CHECK(condition, __VA_ARGS__)
#else
#define GV_DEBUG_CHECK(condition, ...) ((void)sizeof(!(condition)))
#endif

#endif
