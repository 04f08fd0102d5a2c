/* SPDX-License-Identifier: MIT */
#include "base/fault.h"

#ifdef GV_FAULT
#include "base/atomic.h"

static _Atomic long countdown;
static _Atomic long seen;

void gv_fault_arm(long n)
{
	gv_store(&seen, 0, relaxed); /* relaxed: tests arm before they start other threads */
	gv_store(&countdown, n, relaxed);
}

long gv_fault_seen(void)
{
	return gv_load(&seen, relaxed);
}

bool gv_fault_here(const char *point)
{
	(void)point;
	gv_add(&seen, 1, relaxed); /* relaxed: statistics */
	if (gv_load(&countdown, relaxed) <= 0)
		return false;
	return gv_sub(&countdown, 1, relaxed) == 1; /* relaxed: the RMW alone picks the one */
}
#else
/* A translation unit must not be empty. */
typedef int gv_fault_is_compiled_out;
#endif
