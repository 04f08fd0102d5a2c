/* SPDX-License-Identifier: MIT */
/*
 * failure.h - the object that says why something failed: counted, with a payload.
 *
 * Layer   sched.  The public functions are in prim/failure.c.
 */
#ifndef GV_FAILURE_H
#define GV_FAILURE_H

#include "base/atomic.h"
#include "base/compiler.h"

#include "grove/failure.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	GV_FAILURE_FRAMES = 32,
	GV_FAILURE_TEXT = 1023, /* the longest message; the rest is cut */
};

struct grove_failure {
	_Atomic uint64_t references; /* 0: static, never freed */
	int code;
	uint16_t frame_count;
	bool attached; /* payload and release are written, before it is shared */
	void *payload;
	grove_cb *release;
	void **frames;	     /* NULL: none were recorded */
	const char *message; /* `text`, or one that lives as long as the library; never NULL */
	char text[];
};

/* The two that need no memory. */
extern struct grove_failure gv_failure_exit_object;
extern struct grove_failure gv_failure_nomem_object;

/* What a body returns to end with the failure that its stack keeps; only the address counts. */
extern const char gv_fail_marker;

/* Whether new failures record where they are made; an option of the runtime. */
extern _Atomic bool gv_failure_backtraces;

/*
 * Never NULL: without memory it is gv_failure_nomem_object.  Without a format the message is what
 * grove_strerror says.
 */
struct grove_failure *gv_failure_make(int code, const char *format, va_list values);
struct grove_failure *gv_failure_make_code(int code);

/* The same; `caller` is the return address at which the recorded stack begins. */
struct grove_failure *gv_failure_make_at(void *caller, int code, const char *format,
					 va_list values);
struct grove_failure *gv_failure_make_code_at(void *caller, int code);

/* Any thread, signal handlers included for retain.  NULL is allowed. */
void gv_failure_retain(struct grove_failure *failure);
void gv_failure_release(struct grove_failure *failure);

/* Made once, shared by all: nothing may be attached, and nobody counts. */
static inline bool gv_failure_is_static(const struct grove_failure *failure)
{
	return failure == &gv_failure_exit_object || failure == &gv_failure_nomem_object;
}

/* Whether it means "please end", which is a success of who ends by it. */
static inline bool gv_failure_is_exit(const struct grove_failure *failure)
{
	return failure->code == GROVE_KILLED;
}

#endif
