/* SPDX-License-Identifier: MIT */
/*
 * options.h - from what the program and the environment ask for to what the runtime runs with.
 *
 * Layer   api.
 */
#ifndef GV_API_OPTIONS_H
#define GV_API_OPTIONS_H

#include "store/stack.h"

#include "grove/runtime.h"

#include <stdbool.h>

struct gv_settings {
	grove_options options; /* no field means "default" any more; hubs: how many are made */
	bool follow_quota;     /* hubs was left to us */
	unsigned active;       /* how many of the hubs take work at first */
	struct gv_stack_config stacks;
};

/*
 * Resolve `given` (NULL: all defaults) with the strings `environment` ("NAME=value", ends with NULL).
 * On an error a line in the log names it, and `out` is not written.
 *
 * Returns 0, -EINVAL, -E2BIG or -ENOTSUP, as grove_start.
 */
int gv_options_resolve(const grove_options *given, char *const *environment,
		       struct gv_settings *out);

#endif
