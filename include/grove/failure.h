/* SPDX-License-Identifier: MIT */
/**
 * @file
 * failure.h - failures: what an exception is to a greenlet that is written in C.
 *
 * A failure is a counted, immutable object with a code, a message, and optionally a payload of
 * the program's.  It is what a greenlet that fails leaves behind, what an event or result can
 * carry instead of a value, and what a kill delivers.  It keeps its identity on the way: all who
 * are told of it get the same object, however often, and it does not grow.
 *
 * Functions that are given a failure borrow it and take a reference of their own if they keep
 * it; grove_fail alone takes the caller's reference over.
 */
#ifndef GROVE_FAILURE_H
#define GROVE_FAILURE_H

#include <grove/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A failure; counted. */
typedef struct grove_failure grove_failure;

/**
 * Make a failure.
 *
 * code         any negative code; anything else is replaced by -EINVAL.  GROVE_KILLED makes a
 *              request to end that counts as success (a subclass of GreenletExit, so to say);
 *              GROVE_FATAL makes a failure that also reaches the main greenlet.
 * format       printf format of the message, with its arguments; copied.  NULL: the text of
 *              grove_strerror(code).  A message is cut after 1023 bytes.
 *
 * Returns      a reference for the caller to release; never NULL.  Without memory it is one
 *              static failure with code -ENOMEM, shared by all who meet that.
 *
 * With the option `backtraces` the call stack of the caller is recorded.
 *
 * From         anywhere, also before the runtime starts and after it stopped.
 */
GROVE_API GROVE_MUST_CHECK grove_failure *grove_failure_new(int code, const char *format, ...)
	GROVE_PRINTF(2, 3);

/**
 * Get the failure that asks a greenlet to end: code GROVE_KILLED, no payload.  A greenlet that
 * ends with it counts as successful, and nobody reports it (gevent's GreenletExit).
 *
 * Returns      a reference for the caller to release; never NULL, always the same object.
 *
 * From         anywhere.
 */
GROVE_API GROVE_MUST_CHECK grove_failure *grove_failure_exit(void);

/**
 * Give a failure a payload, once, before anybody else knows the failure.
 *
 * payload      the program's; Grove does not look at it.
 * release      called with the payload when the last reference goes, in whatever context that
 *              happens; must not wait.  May be NULL.
 *
 * Returns      0          attached; release will run exactly once
 *              -EALREADY  it has a payload
 *              -EBUSY     a shared failure: that of grove_failure_exit, or the one made without
 *                         memory
 *              -EINVAL    failure is NULL
 *              On an error the payload stays the caller's.
 *
 * From         anywhere.
 * Threads      not together with any other call on this failure.
 */
GROVE_API GROVE_MUST_CHECK int grove_failure_attach(grove_failure *failure, void *payload,
						    grove_cb *release);

/**
 * Read the code of a failure.
 *
 * Returns      the code, or -EINVAL for NULL.
 *
 * From         anywhere.
 */
GROVE_API int grove_failure_code(grove_failure *failure);

/**
 * Read the message of a failure.
 *
 * Returns      a text that lives as long as the failure; never NULL ("" for NULL).
 *
 * From         anywhere.
 */
GROVE_API const char *grove_failure_message(grove_failure *failure);

/**
 * Read the payload of a failure.
 *
 * Returns      what was attached, or NULL.  It lives as long as the failure.
 *
 * From         anywhere.
 */
GROVE_API void *grove_failure_payload(grove_failure *failure);

/**
 * Read where a failure was made.
 *
 * frames       receives return addresses, innermost first; may be NULL if room is 0.
 * room         how many fit.
 *
 * Returns      how many were recorded, which may be more than room; 0 without the option
 *              `backtraces`.
 *
 * From         anywhere.
 */
GROVE_API size_t grove_failure_backtrace(grove_failure *failure, void **frames, size_t room);

/**
 * Take one more reference.  NULL is ignored.
 *
 * From         anywhere.
 */
GROVE_API void grove_failure_retain(grove_failure *failure);

/**
 * Give a reference back; the last one frees the failure and releases its payload.  NULL is
 * ignored.
 *
 * One reference too many is a defect of the program that the checked build reports and stops at.
 *
 * From         anywhere.
 * Threads      safe; everything done with the failure before any release comes before the
 *              payload's release function.
 */
GROVE_API void grove_failure_release(grove_failure *failure);

/**
 * Get the failure behind the caller's latest GROVE_FAILED, GROVE_KILLED or GROVE_INTERRUPTED.
 *
 * Returns      a borrowed failure, valid until the caller's next call that returns one of these
 *              codes (retain it to keep it longer), or NULL if there was none.
 *
 * Every greenlet and every foreign pthread has its own; a greenlet's moves with it.  What
 * happens in one is never seen in another.  grove_run leaves the failure of its main greenlet
 * with the calling pthread.
 *
 * From         anywhere.  In a hub callback it covers the calls of this callback only.
 */
GROVE_API grove_failure *grove_last_failure(void);

/**
 * Make the calling greenlet end with a failure: return the result of this call from its body.
 *
 * failure      the reference is taken over, whatever happens.  NULL stands for a new failure of
 *              code -EINVAL.
 *
 * Returns      the one pointer that Grove recognises when the body returns it.  If the body
 *              returns something else, that is its value, and the failure is dropped; the last of
 *              several calls counts.
 *
 * From         greenlets.  Elsewhere the failure is released and the result means nothing.
 */
GROVE_API GROVE_MUST_CHECK void *grove_fail(grove_failure *failure);

/**
 * Make the calling greenlet end with a code: return the result of this call from its body.
 *
 * code         GROVE_FAILED, GROVE_KILLED, GROVE_INTERRUPTED: pass grove_last_failure() on as it
 *              is, if the latest such code of this caller is the same; so a greenlet that passes
 *              on the exit it was killed with ends as successful.  Otherwise, and for every other
 *              negative code, a failure of that code is made.  0 and above stand for -EINVAL.
 *
 * Returns      see grove_fail.
 *
 * From         greenlets.
 */
GROVE_API GROVE_MUST_CHECK void *grove_fail_code(int code);

#ifdef __cplusplus
}
#endif

#endif
