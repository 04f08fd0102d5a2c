/* SPDX-License-Identifier: MIT */
/*
 * failure.c - what programs do with failures.
 *
 * Layer   prim.  Below: sched/failure.h, which owns the object; wait/park.h.
 * Entry   grove_failure_new and the accessors, grove_last_failure, grove_fail.
 *
 * A greenlet that fails returns gv_fail_marker; the failure itself stands at the top of its stack
 * (gv_cold.failing) from grove_fail until the end of the greenlet takes it or drops it.
 */
#include "sched/failure.h"
#include "wait/park.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

grove_failure *grove_failure_new(int code, const char *format, ...)
{
	void *caller = __builtin_return_address(0);
	va_list values;

	if (code >= 0)
		code = -EINVAL;
	if (format == NULL)
		return gv_failure_make_code_at(caller, code);
	va_start(values, format);
	struct grove_failure *failure = gv_failure_make_at(caller, code, format, values);
	va_end(values);
	return failure;
}

grove_failure *grove_failure_exit(void)
{
	return &gv_failure_exit_object;
}

int grove_failure_attach(grove_failure *failure, void *payload, grove_cb *release)
{
	if (failure == NULL)
		return -EINVAL;
	if (gv_failure_is_static(failure))
		return -EBUSY;
	if (failure->attached)
		return -EALREADY;
	failure->attached = true;
	failure->payload = payload;
	failure->release = release;
	return 0;
}

int grove_failure_code(grove_failure *failure)
{
	return failure != NULL ? failure->code : -EINVAL;
}

const char *grove_failure_message(grove_failure *failure)
{
	return failure != NULL ? failure->message : "";
}

void *grove_failure_payload(grove_failure *failure)
{
	return failure != NULL ? failure->payload : NULL;
}

size_t grove_failure_backtrace(grove_failure *failure, void **frames, size_t room)
{
	if (failure == NULL || failure->frames == NULL)
		return 0;
	size_t count = GV_MIN((size_t)failure->frame_count, room);
	if (frames != NULL && count != 0)
		memcpy(frames, failure->frames, count * sizeof(frames[0]));
	return failure->frame_count;
}

void grove_failure_retain(grove_failure *failure)
{
	gv_failure_retain(failure);
}

void grove_failure_release(grove_failure *failure)
{
	gv_failure_release(failure);
}

grove_failure *grove_last_failure(void)
{
	return gv_wait_last_failure(gv_hub_self());
}

/* Make the reference what the caller fails with, if it is a greenlet. */
static void *fail_with(struct gv_hub *hub, struct grove_failure *failure)
{
	struct grove_failure *dropped = failure;

	if (hub != NULL) {
		if (!gv_in_hub_context(hub)) {
			struct gv_cold *cold = gv_record_cold(hub->current);

			dropped = cold->failing;
			cold->failing = failure;
		}
		gv_leave(hub);
	}
	gv_failure_release(dropped);
	return (void *)(uintptr_t)&gv_fail_marker;
}

void *grove_fail(grove_failure *failure)
{
	if (failure == NULL)
		failure = gv_failure_make_code_at(__builtin_return_address(0), -EINVAL);
	return fail_with(gv_enter(), failure);
}

/* The failure that the calling greenlet's latest such code came with, or NULL; borrowed. */
static struct grove_failure *behind_code(int code)
{
	struct gv_hub *hub = gv_hub_self();

	if (hub == NULL || gv_in_hub_context(hub))
		return NULL;
	struct gv_cold *cold = gv_record_cold(hub->current);
	return cold->last_code == code ? cold->last_failure : NULL;
}

void *grove_fail_code(int code)
{
	struct grove_failure *failure = behind_code(code);

	if (failure != NULL)
		gv_failure_retain(failure);
	else
		failure = gv_failure_make_code_at(__builtin_return_address(0),
						  code < 0 ? code : -EINVAL);
	return fail_with(gv_enter(), failure);
}
