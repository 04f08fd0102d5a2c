/* SPDX-License-Identifier: MIT */
/*
 * futex.c - the two calls of futex.h.
 *
 * Layer   plat.
 */
#include "plat/futex.h"

#include "base/fault.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int gv_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	struct timespec until;
	struct timespec *limit = NULL;

	/* The one failure that the contract knows: a sleep that ends early. */
	if (gv_fault_here("futex_wait"))
		return -EINTR;

	if (deadline_ns != INT64_MAX) {
		int64_t at = GV_MAX(deadline_ns, 0);
		until.tv_sec = (time_t)(at / 1000000000);
		until.tv_nsec = (long)(at % 1000000000);
		limit = &until;
	}

	/* The form with a bit set is the one that takes an absolute time. */
	if (syscall(__NR_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, limit, NULL,
		    FUTEX_BITSET_MATCH_ANY) == 0)
		return 0;
	return -errno;
}

int gv_futex_wake(_Atomic uint32_t *word, int count)
{
	int saved = errno;
	long woken =
		syscall(__NR_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);

	errno = saved;
	return woken < 0 ? 0 : (int)woken;
}
