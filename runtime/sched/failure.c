/* SPDX-License-Identifier: MIT */
/*
 * failure.c - lives of failures.
 *
 * Layer   sched.
 * Owns    struct grove_failure.
 * Entry   gv_failure_make and its relatives, gv_failure_release.
 *
 * I1  Nothing of a failure changes once a second party knows it, but for the count.
 * I2  Who takes the count to zero releases the payload and frees; nobody else touches it then.
 *
 * [count]  release: sub acq_rel; who takes the count to zero sees what all holders wrote.  retain:
 *          needs no order, since the caller has a reference.
 *
 * A failure costs two allocations at most: itself with its message, and the frames.
 *
 * The checked build keeps the last failures that were freed for a while, marked dead, so that a
 * reference too many is found and not taken for one of whatever came to lie there.
 */
#include "sched/failure.h"

#include "base/check.h"
#include "base/fault.h"
#include "base/memory.h"
#include "plat/lock.h"

#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <string.h>

#define DEAD (UINT64_C(1) << 63)

struct grove_failure gv_failure_exit_object = { .code = GROVE_KILLED, .message = "exit" };
struct grove_failure gv_failure_nomem_object = { .code = -ENOMEM, .message = "out of memory" };
const char gv_fail_marker = 0;
_Atomic bool gv_failure_backtraces;

static void record_frames(struct grove_failure *failure, const void *caller)
{
	/* Above the caller stand this function and at most three that make failures. */
	void *frames[GV_FAILURE_FRAMES + 4];
	int count = backtrace(frames, GV_ARRAY_LEN(frames));
	int first = 0;

	while (first < count && frames[first] != caller)
		first++;
	if (first == count)
		first = 0; /* unwinding went another way: all is better than nothing */
	count = GV_MIN(count - first, (int)GV_FAILURE_FRAMES);
	if (count <= 0 || gv_fault_here("failure frames"))
		return;

	size_t bytes = (size_t)count * sizeof(frames[0]);
	failure->frames = gv_malloc(bytes);
	if (failure->frames == NULL)
		return;
	memcpy(failure->frames, frames + first, bytes);
	failure->frame_count = (uint16_t)count;
}

/* With room for a text of `length` bytes and its zero; NULL without memory. */
static struct grove_failure *new_failure(const void *caller, int code, size_t length)
{
	struct grove_failure *failure =
		gv_fault_here("failure") ? NULL : gv_malloc(sizeof(*failure) + length + 1);

	if (failure == NULL)
		return NULL;
	*failure = (struct grove_failure){ .code = code, .message = failure->text };
	gv_init(&failure->references, 1);
	if (gv_load(&gv_failure_backtraces, relaxed)) /* relaxed: an option, set before use */
		record_frames(failure, caller);
	return failure;
}

struct grove_failure *gv_failure_make_at(void *caller, int code, const char *format, va_list values)
{
	va_list again;
	char nothing;

	va_copy(again, values);
	int needed = vsnprintf(&nothing, 0, format, again);
	va_end(again);

	/* A text that cannot be formatted is none. */
	size_t length = needed > 0 ? GV_MIN((size_t)needed, (size_t)GV_FAILURE_TEXT) : 0;
	struct grove_failure *failure = new_failure(caller, code, length);
	if (failure == NULL)
		return &gv_failure_nomem_object;
	if (needed <= 0 || vsnprintf(failure->text, length + 1, format, values) < 0)
		failure->text[0] = '\0';
	return failure;
}

struct grove_failure *gv_failure_make_code_at(void *caller, int code)
{
	struct grove_failure *failure = new_failure(caller, code, 0);

	if (failure == NULL)
		return &gv_failure_nomem_object;
	failure->message = grove_strerror(code);
	return failure;
}

struct grove_failure *gv_failure_make(int code, const char *format, va_list values)
{
	return gv_failure_make_at(__builtin_return_address(0), code, format, values);
}

struct grove_failure *gv_failure_make_code(int code)
{
	return gv_failure_make_code_at(__builtin_return_address(0), code);
}

static void free_failure(struct grove_failure *failure)
{
	gv_free(failure->frames);
	gv_free(failure);
}

#ifdef GV_CHECKED

static struct gv_lock graves_lock;
static struct grove_failure *graves[64]; /* graves_lock */
static unsigned next_grave;		 /* graves_lock */

/* The dead stay for as long as 64 others take to follow. */
static void bury(struct grove_failure *failure)
{
	gv_store(&failure->references, DEAD, relaxed); /* relaxed: who finds it dies */
	gv_lock_acquire(&graves_lock);
	struct grove_failure *oldest = graves[next_grave];
	graves[next_grave] = failure;
	next_grave = (next_grave + 1) % (unsigned)GV_ARRAY_LEN(graves);
	gv_lock_release(&graves_lock);
	if (oldest != NULL)
		free_failure(oldest);
}

#else

static void bury(struct grove_failure *failure)
{
	free_failure(failure);
}

#endif

void gv_failure_retain(struct grove_failure *failure)
{
	if (failure == NULL || gv_failure_is_static(failure))
		return;

	uint64_t count = gv_add(&failure->references, 1, relaxed); /* relaxed: the caller has one */
	GV_DEBUG_CHECK(count != 0 && count < DEAD, "failure %p was freed", (void *)failure);
	(void)count;
}

void gv_failure_release(struct grove_failure *failure)
{
	if (failure == NULL || gv_failure_is_static(failure))
		return;

	uint64_t count = gv_sub(&failure->references, 1, acq_rel); /* [count] */
	GV_CHECK(count != 0 && count < DEAD, "failure %p released once too often", (void *)failure);
	if (count != 1)
		return;
	if (failure->release != NULL)
		failure->release(failure->payload);
	bury(failure);
}
