/* SPDX-License-Identifier: MIT */
/*
 * compiler.h - what the language leaves to the compiler.
 *
 * Layer   base.  No dependencies.
 */
#ifndef GV_COMPILER_H
#define GV_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define GV_LIKELY(x) __builtin_expect(!!(x), 1)
#define GV_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define GV_NOINLINE __attribute__((noinline))
#define GV_INLINE static inline __attribute__((always_inline))
#define GV_COLD __attribute__((cold, noinline))
#define GV_UNUSED __attribute__((unused))
#define GV_MUST_CHECK __attribute__((warn_unused_result))
#define GV_PRINTF(format_, first_) __attribute__((format(printf, format_, first_)))

/* Two greenlets that run on two cores must not share one of these. */
#define GV_CACHE_LINE 64
#define GV_ALIGNED(n) __attribute__((aligned(n)))

#define GV_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define GV_CONTAINER_OF(pointer, type, member)                                                     \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define GV_MIN(a, b) ((a) < (b) ? (a) : (b))
#define GV_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Which sanitizer the translation unit is built for (gcc and clang spell it differently). */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GV_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define GV_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define GV_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define GV_TSAN 1
#endif
#ifndef GV_ASAN
#define GV_ASAN 0
#endif
#ifndef GV_TSAN
#define GV_TSAN 0
#endif

#endif
