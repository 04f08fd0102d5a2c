/* SPDX-License-Identifier: MIT */
/*
 * futex.h - sleeping on a word and waking its sleepers.
 *
 * Layer   plat.
 *
 * The kernel compares and enqueues as one step against a wake of the same word.  A wake gives no
 * memory ordering by itself: the change of the word does.
 */
#ifndef GV_PLAT_FUTEX_H
#define GV_PLAT_FUTEX_H

#include "base/atomic.h"
#include "base/compiler.h"

#include <stdint.h>

/*
 * Sleep while *word == expected.
 *
 * deadline_ns  absolute, of gv_clock_ns(); INT64_MAX sleeps without limit.
 *
 * Returns      0           woken, perhaps for no reason
 *              -EAGAIN     the word had another value
 *              -ETIMEDOUT  the deadline came
 *              -EINTR      a signal handler ran
 */
int gv_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

/*
 * Wake up to `count` sleepers.
 *
 * Returns how many.  From anywhere, signal handlers included; errno stays.
 */
int gv_futex_wake(_Atomic uint32_t *word, int count);

#endif
