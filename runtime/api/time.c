/* SPDX-License-Identifier: MIT */
/*
 * time.c - building deadlines that cannot overflow.
 *
 * Layer   api.
 *
 * The smallest and the largest number mean POLL and NEVER, so no sum may give them by accident:
 * a sum that is too large is NEVER on purpose, the smallest that comes out is INT64_MIN + 1.
 */
#include "base/compiler.h"
#include "plat/clock.h"

#include "grove/base.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* The largest double below 2^63. */
#define LARGEST_NS 9223372036854774784.0

grove_deadline grove_at_ns(int64_t ns)
{
	return GROVE_DEADLINE(ns == INT64_MIN ? ns + 1 : ns);
}

grove_deadline grove_in_ns(int64_t ns)
{
	int64_t now = gv_clock_ns();
	int64_t when;

	if (ns <= 0)
		return GROVE_DEADLINE(now);
	if (__builtin_add_overflow(now, ns, &when))
		return GROVE_NEVER;
	return GROVE_DEADLINE(when);
}

grove_deadline grove_in_ms(int64_t ms)
{
	return grove_in_ns(ms > INT64_MAX / NS_PER_MS ? INT64_MAX : ms * (ms > 0 ? NS_PER_MS : 0));
}

grove_deadline grove_in_s(double s)
{
	double ns = s * (double)NS_PER_S;

	if (!(ns > 0)) /* NaN as well */
		return grove_in_ns(0);
	if (ns > LARGEST_NS)
		return GROVE_NEVER;
	int64_t whole = (int64_t)ns;
	return grove_in_ns((double)whole < ns ? whole + 1 : whole);
}

int64_t grove_now_ns(void)
{
	return gv_clock_ns();
}

int64_t grove_left_ns(grove_deadline deadline)
{
	int64_t left;

	if (deadline.ns == INT64_MAX)
		return INT64_MAX;
	if (deadline.ns == INT64_MIN)
		return 0;
	/* The clock is never negative, so the difference can only be too small. */
	if (__builtin_sub_overflow(deadline.ns, gv_clock_ns(), &left))
		return 0;
	return GV_MAX(left, 0);
}
