/* SPDX-License-Identifier: MIT */
/*
 * quota.h - as many working hubs as the process may use CPUs.
 *
 * Layer   api.
 */
#ifndef GV_API_QUOTA_H
#define GV_API_QUOTA_H

#include "base/compiler.h"

#include <stdbool.h>

/* Hubs run, `active` of them shall take work.  With `follow` that number changes with the quota. */
void gv_quota_begin(bool follow, unsigned active);

/* No hub runs. */
void gv_quota_end(void);

/* For tests: what the process may use now is asked here instead of the kernel; NULL: the kernel. */
void gv_quota_ask(unsigned (*ask)(void));

#endif
