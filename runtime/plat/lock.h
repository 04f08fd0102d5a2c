/* SPDX-License-Identifier: MIT */
/*
 * lock.h - a short lock for the slow paths: depots, lists of regions, start and stop.
 *
 * Layer   plat.
 * Owns    struct gv_lock, four bytes; zero bytes are a free lock.
 *
 *   FREE --acquire--> HELD --a second one waits--> CONTENDED
 *     ^                 |                              |
 *     '---- release ----'------ release, one wake -----'
 *
 * [lock]  acquire: CAS or exchange of the word (acquire).
 *         release: exchange of the word (release).
 *     What the last holder wrote is seen by the next.
 *
 * A waiter spins a bounded number of times and then sleeps; a holder that was preempted costs the
 * others a sleep, never a spin.  No recursion, no fairness, no use from signal handlers, and no
 * holder may switch its context.
 */
#ifndef GV_PLAT_LOCK_H
#define GV_PLAT_LOCK_H

#include "base/atomic.h"
#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>

struct gv_lock {
	_Atomic uint32_t word;
};

void gv_lock_acquire(struct gv_lock *lock);
GV_MUST_CHECK bool gv_lock_try(struct gv_lock *lock);
void gv_lock_release(struct gv_lock *lock);

#endif
