/* SPDX-License-Identifier: MIT */
/*
 * hooks.h - what the scheduler calls above itself.
 *
 * Layer   api.
 */
#ifndef GV_API_HOOKS_H
#define GV_API_HOOKS_H

#include "sched/hub.h"

/* For gv_runtime_setup. */
extern const struct gv_hooks gv_api_hooks;

#endif
