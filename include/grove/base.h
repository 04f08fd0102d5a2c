/* SPDX-License-Identifier: MIT */
/**
 * @file
 * base.h - what every other header of Grove relies on: codes, deadlines, callbacks.
 *
 * Vocabulary of the comments in these headers
 *
 * From         who may make the call.  "Anywhere" is greenlets, hub callbacks and foreign
 *              pthreads (every pthread that is no hub).  Signal handlers are allowed only where
 *              they are named; those calls then keep errno.  If the runtime does not run, the
 *              calls that need hubs start it (runtime.h); the others work without.
 * Threads      what may run at the same time on the same object.
 * Ordering     which memory effects become visible to whom.
 * waits        the call may suspend a greenlet or block a foreign pthread.  Every call that
 *              waits has a deadline as its last parameter and is a cancellation point, but only
 *              when it suspends: what can complete at once completes, whatever the deadline and
 *              whether or not a kill is pending.  A call without a deadline never suspends;
 *              grove_yield is the one exception.
 *
 * A greenlet may run on another pthread after any call that waits.  Keep no address of a
 * thread-local variable, and no pthread mutex, over such a call, or use grove_pin.
 */
#ifndef GROVE_BASE_H
#define GROVE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Marks what the library exports; everything else in it is hidden. */
#define GROVE_API __attribute__((visibility("default")))

/** The result says what ended the call and may not be dropped. */
#define GROVE_MUST_CHECK __attribute__((warn_unused_result))

/** The call does not come back. */
#define GROVE_NO_RETURN __attribute__((noreturn))

/** Lets the compiler compare a format with its arguments, as for printf. */
#define GROVE_PRINTF(format_, first_) __attribute__((format(printf, format_, first_)))

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Codes
 * =====
 * A function that returns a code returns 0 (input and output: a count or a descriptor), or a
 * negative code that says what ended the call.  Down to -4095 it is a negated errno value, with
 * its kernel meaning unless a comment says otherwise; Grove's own lie below, where no kernel
 * error is.  They are dense, and a number is never given a second meaning in a later release.
 *
 * errno values with a fixed meaning all over Grove:
 *   -EAGAIN      would have to wait, and the deadline is GROVE_POLL; or a limit set in the
 *                options is reached (spawning)
 *   -ETIMEDOUT   the deadline of this very call came.  The kernel's ETIMEDOUT (the peer does not
 *                answer) is reported as GROVE_PEER_LOST instead
 *   -EDEADLK     would wait for itself
 *   -EALREADY    second send or set, or too late to cancel or start
 *   -EBUSY       in use; nothing was changed
 *   -EOVERFLOW   released, stopped or unpinned more often than taken
 *   -ESHUTDOWN   the object is closed, or the runtime is stopping
 *   -ECANCELED   the runtime stopped under a foreign pthread that was waiting
 *   -ESRCH       the call concerns the calling greenlet, and the caller is none
 *   -ENOENT      no such thing
 *   -EINVAL      an argument has no meaning, or the object was destroyed
 *   -ENOMEM      no memory; nothing was changed
 *
 * Codes of every wait.  A comment that says "wait codes" stands for this list:
 *   GROVE_KILLED       the calling greenlet was killed; the kill is now delivered
 *   GROVE_INTERRUPTED  a timeout scope around the call fired
 *   GROVE_IN_HUB       would wait, and the caller is a hub callback; returned at once
 *   GROVE_DEADLOCK     nothing is left that could end the wait (main greenlet of grove_run only)
 *   -ECANCELED         the caller is a foreign pthread, and the runtime stopped
 * Exactly one cause ends a wait.  A cause that comes too late changes nothing: a late wake-up
 * stays in the object, a late kill waits for the next suspension, a late deadline is forgotten.
 * GROVE_KILLED and GROVE_INTERRUPTED are somebody else's will: clean up and pass them on.
 */

/** The object that was waited for holds a failure; grove_last_failure() has it. */
#define GROVE_FAILED (-4096)
/**
 * The calling greenlet was killed, with whatever failure; grove_last_failure() has it.  As the
 * code of a failure: a request to end that counts as success, see grove_failure_exit().
 */
#define GROVE_KILLED (-4097)
/** A timeout scope around the call fired; the scope's owner will recognise it. */
#define GROVE_INTERRUPTED (-4098)
/** The kernel gave up on the other side of a connection (its ETIMEDOUT). */
#define GROVE_PEER_LOST (-4099)
/** The call would have to wait inside a hub callback. */
#define GROVE_IN_HUB (-4100)
/** Nothing is left in this process that could ever end the wait. */
#define GROVE_DEADLOCK (-4101)
/** Only the owner of the object may do this. */
#define GROVE_NOT_OWNER (-4102)
/** The barrier was broken. */
#define GROVE_BROKEN (-4103)
/** The stream or the iteration is over. */
#define GROVE_END (-4104)
/**
 * Only as the code of a failure: a failure with this code that escapes its greenlet is also
 * thrown into the main greenlet of grove_run.
 */
#define GROVE_FATAL (-4105)
/**
 * A name could not be resolved; eai is the (negative) EAI_ value of getaddrinfo.  GROVE_DNS(0) is
 * no code; the values from GROVE_DNS(-1) down to GROVE_DNS(-255) are set aside for this.
 */
#define GROVE_DNS(eai) (-4352 + (eai))

/**
 * Describe a code.
 *
 * code         any value that a function of Grove returned; 0 and positive values are "success".
 *
 * Returns      a text that lives as long as the library, in English whatever the locale; never
 *              NULL.  An unknown code gives a general text without its number.
 *
 * From         anywhere, signal handlers too.
 */
GROVE_API const char *grove_strerror(int code);

/**
 * Tell whether a code means that time ran out: -ETIMEDOUT (the call's own deadline),
 * GROVE_INTERRUPTED (a scope around it) or GROVE_PEER_LOST (the kernel's patience).
 *
 * From         anywhere, signal handlers too.
 *
 * eventlet marks such errors with an attribute that is_timeout() tests.
 */
GROVE_API bool grove_is_timeout(int code);

/*
 * Deadlines
 * =========
 * A deadline is a point of CLOCK_MONOTONIC, always absolute and always the last parameter, so a
 * budget for several calls is computed once and handed to each.
 *
 *   GROVE_NEVER   no limit
 *   GROVE_POLL    never suspends: completes at once or gives -EAGAIN
 *   passed        a deadline that is already over suspends once: other greenlets that can run
 *                 get their turn, then the call ends with -ETIMEDOUT unless it could complete
 *
 * A zeroed grove_deadline is one that has passed.  Resolution is a nanosecond; a wait never ends
 * before its deadline, and ends after it as soon as a hub gets round to it.
 */

/** A point in time; build it with the functions and macros below. */
typedef struct grove_deadline {
	int64_t ns; /**< CLOCK_MONOTONIC, nanoseconds; the extreme values are NEVER and POLL */
} grove_deadline;

#ifdef __cplusplus
#define GROVE_DEADLINE(ns_) (grove_deadline{ ns_ })
#else
#define GROVE_DEADLINE(ns_) ((grove_deadline){ ns_ })
#endif

/** No limit. */
#define GROVE_NEVER GROVE_DEADLINE(INT64_MAX)
/** Do not suspend. */
#define GROVE_POLL GROVE_DEADLINE(INT64_MIN)

/**
 * Build a deadline from a distance to now: nanoseconds, milliseconds, seconds.
 *
 * Zero and negative distances give a deadline that has passed.  What does not fit gives
 * GROVE_NEVER (also an infinite number of seconds); a NaN gives a deadline that has passed.
 * Fractions of a nanosecond are rounded up.  None of them ever gives GROVE_POLL.
 *
 * From         anywhere, signal handlers too.
 */
GROVE_API grove_deadline grove_in_ns(int64_t ns);
GROVE_API grove_deadline grove_in_ms(int64_t ms);
GROVE_API grove_deadline grove_in_s(double s);

/**
 * Build a deadline from a point of CLOCK_MONOTONIC in nanoseconds, as grove_now_ns() gives it.
 *
 * INT64_MAX gives GROVE_NEVER.  INT64_MIN gives a deadline that has passed, not GROVE_POLL.
 *
 * From         anywhere, signal handlers too.
 */
GROVE_API grove_deadline grove_at_ns(int64_t ns);

/**
 * Read CLOCK_MONOTONIC in nanoseconds.
 *
 * From         anywhere, signal handlers too.
 */
GROVE_API int64_t grove_now_ns(void);

/**
 * Tell how many nanoseconds are left until a deadline.
 *
 * Returns      0 for a deadline that has passed and for GROVE_POLL, INT64_MAX for GROVE_NEVER.
 *
 * From         anywhere, signal handlers too.
 */
GROVE_API int64_t grove_left_ns(grove_deadline deadline);

/*
 * Functions that the program hands to Grove
 * =========================================
 * A C++ exception that leaves one of them ends the process (std::terminate).
 */

/**
 * The body of a greenlet.  Returns the greenlet's value, or what grove_fail or grove_fail_code
 * gave it.  It may wait.  pthread_exit, pthread_cancel and longjmp out of it are undefined.
 */
typedef void *grove_fn(void *arg);

/**
 * A callback or release function.  Unless a comment says otherwise it runs in hub context, on
 * any hub, where waiting gives GROVE_IN_HUB; keep it short, since it holds up its hub.
 */
typedef void grove_cb(void *arg);

#ifdef __cplusplus
}
#endif

#endif
