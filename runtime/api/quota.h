/* SPDX-License-Identifier: MIT */
/*
 * quota.h - as many working hubs as the process may use CPUs.
 *
 * Layer   api.
 */
#ifndef GV_API_QUOTA_H
#define GV_API_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/* Hubs run, `active` of them shall take work.  With `follow` that number changes with the quota. */
void gv_quota_begin(bool follow, unsigned active);

/* No hub runs. */
void gv_quota_end(void);

/* By one hub at a time, as often as it likes. */
void gv_quota_look(int64_t now_ns);

/* For tests: this is asked at every look what the process may use now; NULL: the kernel again. */
void gv_quota_ask(unsigned (*ask)(void));

#endif
