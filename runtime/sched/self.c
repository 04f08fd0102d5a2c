/* SPDX-License-Identifier: MIT */
#include "sched/self.h"

#include "base/compiler.h"

static _Thread_local struct gv_self *current __attribute__((tls_model("initial-exec")));

GV_NOINLINE struct gv_self *gv_self_get(void)
{
	return current;
}

GV_NOINLINE void gv_self_set(struct gv_self *self)
{
	current = self;
}

GV_NOINLINE struct gv_hub *gv_hub_self(void)
{
	struct gv_self *self = current;

	return GV_LIKELY(self != NULL) ? self->hub : NULL;
}
