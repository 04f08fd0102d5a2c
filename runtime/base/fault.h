/* SPDX-License-Identifier: MIT */
/*
 * fault.h - named failure points.
 *
 * Layer   base.
 *
 * Every allocation and system call of the runtime that can fail asks here first.  In the fault
 * build a test makes the n-th point fail; elsewhere the question costs nothing.
 */
#ifndef GV_FAULT_H
#define GV_FAULT_H

#include <stdbool.h>

#ifdef GV_FAULT
bool gv_fault_here(const char *point); /* true: the caller must behave as if the call had failed */
void gv_fault_arm(long countdown);     /* the countdown-th point from now fails; 0 disarms */
long gv_fault_seen(void);	       /* points passed since gv_fault_arm */
#else
#define gv_fault_here(point) (false)
#endif

#endif
