/* SPDX-License-Identifier: MIT */
/*
 * drain.h - ending all greenlets.
 *
 * Layer   api.
 */
#ifndef GV_API_DRAIN_H
#define GV_API_DRAIN_H

#include "grove/base.h"

/*
 * No new greenlets from here on; kill all but the caller, once each, and wait for their end.
 *
 * Returns      0           no other greenlet lives
 *              -ETIMEDOUT  some do; they are named in the log.  Spawning stays forbidden
 *              -EAGAIN     the same, for GROVE_POLL
 *
 * From         the pthread that stops the runtime, or the last greenlet of grove_run.
 */
int gv_drain(grove_deadline deadline);

/* New greenlets are welcome again. */
void gv_drain_undo(void);

#endif
