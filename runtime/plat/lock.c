/* SPDX-License-Identifier: MIT */
/*
 * lock.c - the three operations of lock.h.
 *
 * Layer   plat.
 */
#include "plat/lock.h"
#include "plat/relax.h"

#include "base/check.h"
#include "plat/futex.h"

enum { FREE = 0, HELD = 1, CONTENDED = 2 };

/* Some 1-2 us on current machines: longer than any critical section, shorter than a sleep. */
enum { SPINS = 64 };

bool gv_lock_try(struct gv_lock *lock)
{
	uint32_t seen = FREE;

	/* [lock] */
	return gv_cas(&lock->word, &seen, HELD, acquire, relaxed);
}

static GV_COLD void acquire_slow(struct gv_lock *lock)
{
	for (int i = 0; i < SPINS; i++) {
		gv_cpu_relax();
		/* relaxed: only a hint, the CAS decides */
		if (gv_load(&lock->word, relaxed) == FREE && gv_lock_try(lock))
			return;
	}

	/* [lock] whoever has slept takes the lock as contended: others may still sleep. */
	while (gv_xchg(&lock->word, CONTENDED, acquire) != FREE)
		(void)gv_futex_wait(&lock->word, CONTENDED, INT64_MAX);
}

void gv_lock_acquire(struct gv_lock *lock)
{
	if (GV_UNLIKELY(!gv_lock_try(lock)))
		acquire_slow(lock);
}

void gv_lock_release(struct gv_lock *lock)
{
	/* [lock] */
	uint32_t was = gv_xchg(&lock->word, FREE, release);

	GV_DEBUG_CHECK(was != FREE, "lock %p was not held", (void *)lock);
	if (GV_UNLIKELY(was == CONTENDED))
		(void)gv_futex_wake(&lock->word, 1);
}
