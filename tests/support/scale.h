/* SPDX-License-Identifier: MIT */
/*
 * scale.h - how much of a count a build does.
 *
 * A test names the count of the plain build; builds that take a multiple of its time do a part.
 */
#ifndef GT_SCALE_H
#define GT_SCALE_H

#include "base/compiler.h"

#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
#define GT_SLOW_BUILD 1
#endif
#endif
#if GV_ASAN || GV_TSAN || defined(GV_PERTURB)
#define GT_SLOW_BUILD 1
#endif

/* The one constant.  A long run may set its own. */
#ifndef GT_SCALE
#ifdef GT_SLOW_BUILD
#define GT_SCALE 50
#else
#define GT_SCALE 1
#endif
#endif

#define GT_SCALED(count) ((count) / GT_SCALE)

/* Greenlets that live at once: ThreadSanitizer has room for 8128 fibers and threads. */
#if GV_TSAN
#define GT_LIVE_MAX 4000
#else
#define GT_LIVE_MAX 1000000
#endif
#define GT_LIVE(count) GV_MIN((count), GT_LIVE_MAX)

#endif
