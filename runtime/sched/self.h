/* SPDX-License-Identifier: MIT */
/*
 * self.h - who runs here.
 *
 * Layer   sched.
 * Owns    the only thread-local variable of the library: one pointer.
 *
 * A greenlet goes on on another pthread, so the address of a thread-local variable must not be kept
 * over a switch, and compilers do keep it when they can see the access.  Hence the functions are
 * out of line, in a file of their own; and after a switch the hub comes from the switch itself.
 * The variable is initial-exec: reading it never calls into the loader, so it is safe in signal
 * handlers, and eight bytes fit the space that loaders keep for dlopen.
 */
#ifndef GV_SELF_H
#define GV_SELF_H

#include <stddef.h>

struct gv_hub;
struct grove_greenlet;

struct gv_self {
	struct gv_hub *hub;	      /* NULL: a foreign pthread */
	struct grove_greenlet *proxy; /* stands for a foreign pthread that waits */
	void *last_failure;	      /* of a foreign pthread or of hub context: a reference */
};

struct gv_self *gv_self_get(void);
void gv_self_set(struct gv_self *self);

/* The hub of the calling pthread, or NULL. */
struct gv_hub *gv_hub_self(void);

#endif
