/* SPDX-License-Identifier: MIT */
/**
 * @file
 * greenlet.h - greenlets: green threads that any hub may run.
 *
 *   GROVE_NEW ------> GROVE_PENDING ------> GROVE_ACTIVE ------> GROVE_DONE     returned a value
 *       |    start         |     first run      |                GROVE_EXITED   ended by an exit
 *       |                  |                    +--------------> GROVE_FAULTED  ended by a failure
 *       '------------------'---- killed, cancelled ------------> EXITED or FAULTED, never ran
 *
 * DONE and EXITED count as success.  The state only moves to the right, and value and failure do
 * not change once it ended.
 *
 * A handle is counted: what spawn and lookup return is for the caller to release, grove_self() is
 * borrowed.  A greenlet runs on whether or not anybody holds it; an ended one keeps its value,
 * failure, name and id, but no stack, until the last handle goes.
 *
 * A greenlet has its own stack, errno and C++ exception state; locale, signal mask and (without
 * the option save_fpu) floating-point modes belong to the hub's pthread.
 */
#ifndef GROVE_GREENLET_H
#define GROVE_GREENLET_H

#include <grove/base.h>
#include <grove/failure.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A greenlet; counted. */
typedef struct grove_greenlet grove_greenlet;

/** Where a greenlet is in its life; everything from GROVE_DONE on has ended. */
enum grove_state {
	GROVE_NEW = 1,	   /**< made with GROVE_UNSTARTED, not started */
	GROVE_PENDING = 2, /**< started, or due later; has not run yet */
	GROVE_ACTIVE = 3,  /**< began to run: running, runnable or suspended */
	GROVE_DONE = 4,	   /**< ended with a value */
	GROVE_EXITED = 5,  /**< ended with an exit (a failure of code GROVE_KILLED): a success */
	GROVE_FAULTED = 6  /**< ended with any other failure */
};

/** Attribute flag: make the greenlet, but leave it GROVE_NEW for grove_greenlet_start. */
#define GROVE_UNSTARTED 0x1u
/** Attribute flag: if the spawning greenlet has ended by the time this one is due, cancel it. */
#define GROVE_WITH_SPAWNER 0x2u
/** Attribute flag: the field `hub` counts. */
#define GROVE_ON_HUB 0x4u

/** For the attribute `hub`: any hub may run it, as without GROVE_ON_HUB. */
#define GROVE_ANY_HUB (-1)

/** How to spawn.  Zero in any field is the default; GROVE_ATTRIBUTES_INIT sets the size. */
typedef struct grove_attributes {
	/** sizeof(grove_attributes) of the program. */
	size_t size;
	/** Copied.  NULL: the default name, see grove_name. */
	const char *name;
	/** Bytes, 16 KiB to 32 MiB, rounded up.  0: the option stack_size. */
	size_t stack_size;
	/** Called with arg, exactly once, when the body has ended or will never run. */
	grove_cb *release_arg;
	/** Called with the value of a body that returned one (not NULL), exactly once, when the last
	 * handle goes. */
	grove_cb *release_value;
	/** When it becomes runnable, as in grove_spawn_later.  Zero and GROVE_POLL: at once. */
	grove_deadline when;
	/** GROVE_UNSTARTED, GROVE_WITH_SPAWNER, GROVE_ON_HUB. */
	uint32_t flags;
	/** With GROVE_ON_HUB: it runs on this hub only and is never stolen. */
	int32_t hub;
} grove_attributes;

/* clang-format off */
#ifdef __cplusplus
#define GROVE_ATTRIBUTES_INIT { sizeof(grove_attributes), {}, {}, {}, {}, {}, {}, {} }
#else
#define GROVE_ATTRIBUTES_INIT { .size = sizeof(grove_attributes) }
#endif
/* clang-format on */

/*
 * Spawning
 * ========
 * All forms start the runtime if it does not run (runtime.h), make a greenlet that will call
 * fn(arg) and return without running it.  The new one queues behind what is runnable here in
 * strict order; otherwise any hub may begin it at any time, even before spawn returns.
 */

/**
 * Spawn a greenlet.
 *
 * greenlet     receives a handle for the caller to release; only on 0.  NULL if nobody will ask:
 *              the greenlet then lives just as long as it runs.
 * fn           its body.
 * arg          passed to fn; stays the program's.
 *
 * Returns      0           it will run
 *              -EINVAL     fn is NULL
 *              -EAGAIN     as many greenlets live as the option max_greenlets allows
 *              -ENOMEM     no memory for its record
 *              -ESHUTDOWN  the runtime is stopping
 *              any code of grove_start, if this call had to start the runtime
 *
 * A stack is found when the greenlet runs first.  If there is none to be had then, it ends
 * GROVE_FAULTED with a failure of code -ENOMEM that names the limit, and fn is not called.
 *
 * From         anywhere.
 * Threads      safe.
 * Ordering     what the caller did before is visible to fn.
 *
 * gevent: spawn, Greenlet.start.  A NULL function fails here, not in the new greenlet.
 */
GROVE_API int grove_spawn(grove_greenlet **greenlet, grove_fn *fn, void *arg);

/**
 * Spawn a greenlet with a copy of some bytes as its argument.
 *
 * data         size bytes that are copied before the call returns.
 * size         0: fn gets NULL, and data is not read.
 *
 * fn gets a pointer to the copy, aligned for any type, valid until fn returns.
 *
 * Returns      as grove_spawn; -EINVAL also if data is NULL while size is not 0, -ENOMEM also if
 *              there is no memory for the copy.
 *
 * Everything else as grove_spawn.
 */
GROVE_API int grove_spawn_copy(grove_greenlet **greenlet, grove_fn *fn, const void *data,
			       size_t size);

/**
 * Spawn a greenlet that nobody will ask for its result: the cheapest form.
 *
 * id           receives its id, for grove_lookup; only on 0.  May be NULL.
 *
 * The value is dropped; a failure is reported like that of any greenlet.  There is no handle, but
 * grove_lookup(id) gives one as long as it lives.
 *
 * Returns      as grove_spawn.
 *
 * Everything else as grove_spawn.  (gevent: spawn_raw; eventlet: spawn_n.)
 */
GROVE_API int grove_spawn_raw(uint64_t *id, grove_fn *fn, void *arg);

/**
 * Spawn a greenlet that becomes runnable at a given time.
 *
 * when         GROVE_POLL: at once, like grove_spawn.  A time that has passed: after all that is
 *              runnable now.  GROVE_NEVER: not until somebody kills it.
 *
 * Until then it is GROVE_PENDING, and a kill or cancel takes it away without a trace.
 *
 * Returns      as grove_spawn.
 *
 * Everything else as grove_spawn.  (gevent: spawn_later; eventlet: spawn_after.)
 */
GROVE_API int grove_spawn_later(grove_greenlet **greenlet, grove_fn *fn, void *arg,
				grove_deadline when);

/**
 * Spawn a greenlet with attributes.
 *
 * attributes   read during the call; NULL: all defaults.
 *
 * release_arg runs when the body has ended or it is certain that it never will begin: in the
 * greenlet's own hub, or in the caller of the kill or cancel; it must not wait.  release_value
 * runs wherever the last handle goes, and must not wait either.  If spawning fails, neither runs.
 *
 * Returns      as grove_spawn, and
 *              -EINVAL  size is smaller than that of the first release, an unknown flag is set,
 *                       the stack size is out of bounds, or there is no such hub
 *              -E2BIG   attributes has a field set that this library does not know
 *              -ESRCH   GROVE_WITH_SPAWNER, and the caller is no greenlet
 *
 * Everything else as grove_spawn.  GROVE_WITH_SPAWNER is eventlet's spawn_after_local.
 */
GROVE_API int grove_spawn_with(grove_greenlet **greenlet, grove_fn *fn, void *arg,
			       const grove_attributes *attributes);

/**
 * Start a greenlet that was made with GROVE_UNSTARTED.
 *
 * when         as in grove_spawn_later.
 *
 * Returns      0           started
 *              -EALREADY   it was started, cancelled or killed before; nothing was changed (a
 *                          later start does not hurry one that is pending)
 *              -EINVAL     NULL
 *              -ESHUTDOWN  the runtime is stopping
 *
 * Races        of a start and a kill or cancel at the same time one is first: either the
 *              greenlet never runs, or it runs and meets the kill at its first suspension.
 *
 * From         anywhere.
 */
GROVE_API int grove_greenlet_start(grove_greenlet *greenlet, grove_deadline when);

/*
 * The calling greenlet
 * ====================
 */

/**
 * Get the calling greenlet.
 *
 * Returns      a borrowed handle, valid while the greenlet runs; NULL outside greenlets.
 *
 * From         anywhere.
 */
GROVE_API grove_greenlet *grove_self(void);

/**
 * Let others run: all that were runnable on this hub before the call get their turn first (those
 * on the other hubs are not waited for).  A cancellation point that always suspends.
 *
 * Returns      0                  it is the caller's turn again; in hub callbacks, at once
 *              GROVE_KILLED       a kill was pending or came
 *              GROVE_INTERRUPTED  a timeout scope around the call fired
 *
 * A kill that comes while the caller is already queued to run is met at its next suspension.
 *
 * From         anywhere.  A foreign pthread gives up its time slice.
 *
 * gevent and eventlet: sleep(0).
 */
GROVE_API int grove_yield(void);

/**
 * Suspend until a deadline.
 *
 * deadline     GROVE_POLL returns at once.  A passed one yields.  GROVE_NEVER sleeps until killed.
 *
 * Returns      0           the deadline came, never early (so -ETIMEDOUT does not occur)
 *              wait codes  GROVE_KILLED, GROVE_INTERRUPTED, GROVE_IN_HUB, GROVE_DEADLOCK,
 *                          -ECANCELED: see base.h.  GROVE_IN_HUB only for a deadline that lies
 *                          ahead
 *
 * From         anywhere.
 */
GROVE_API int grove_sleep(grove_deadline deadline);

/**
 * End the calling greenlet now, with a value, as if its body returned it.  Does not return; what
 * the frames of the C functions above hold is not released, C++ destructors do not run.
 *
 * value        the greenlet's value; the result of grove_fail or grove_fail_code ends it with that
 *              failure.
 *
 * From         greenlets.  Anywhere else it is a defect of the program: it reports and aborts.
 */
GROVE_API GROVE_NO_RETURN void grove_exit(void *value);

/**
 * Tell whether somebody has asked the calling greenlet to end: true from the first kill on, also
 * after it was delivered, so that a loop which ignores codes still finds out.
 *
 * From         anywhere; false outside greenlets.
 */
GROVE_API bool grove_cancel_requested(void);

/**
 * Keep the calling greenlet on the hub it runs on, so that thread-local data and pthread mutexes
 * may be kept over waits.  Nests; grove_unpin takes one back.
 *
 * A pinned greenlet is not stolen: it waits while its hub computes.
 *
 * Returns      0           pinned
 *              -EOVERFLOW  2^16 - 1 deep already
 *              -ESRCH      the caller is no greenlet
 *
 * From         greenlets.
 */
GROVE_API int grove_pin(void);

/**
 * Take one grove_pin back.
 *
 * Returns      0           done; after the last one any hub may run the greenlet again
 *              -EOVERFLOW  it has no pin of its own (GROVE_ON_HUB is not taken back this way)
 *              -ESRCH      the caller is no greenlet
 *
 * From         greenlets.
 */
GROVE_API int grove_unpin(void);

/*
 * Waiting for a greenlet and ending it
 * ====================================
 */

/**
 * Wait until a greenlet has ended, in whatever way.
 *
 * Returns      0           it has ended; also if it failed
 *              -ETIMEDOUT  the deadline came first
 *              -EAGAIN     it has not ended, and the deadline is GROVE_POLL
 *              -EDEADLK    it is the caller itself
 *              -EINVAL     NULL
 *              wait codes  GROVE_KILLED, GROVE_INTERRUPTED, GROVE_IN_HUB, GROVE_DEADLOCK,
 *                          -ECANCELED: see base.h
 *
 * A greenlet that is still GROVE_NEW is waited for too, until somebody starts or kills it.
 *
 * Races        end, deadline, kill and stop each try to claim the wait; the first decides alone.
 *
 * From         anywhere.
 * Threads      safe; any number may join the same greenlet, and the handle need only live until
 *              the call returns.
 * Ordering     after 0 all that the greenlet did is visible.
 *
 * gevent: join.
 */
GROVE_API GROVE_MUST_CHECK int grove_join(grove_greenlet *greenlet, grove_deadline deadline);

/**
 * Wait until a greenlet has ended, and get its value.
 *
 * value        receives its value; only on 0.  May be NULL.
 *
 * Returns      0             it ended with a value, or by an exit, whose value is NULL
 *              GROVE_FAILED  it ended with a failure; grove_last_failure() has it, the same
 *                            object each time
 *              everything else as grove_join
 *
 * The value may be read any number of times; who owns it is the program's agreement, unless the
 * attribute release_value made it the greenlet's.
 *
 * From, Threads, Ordering, Races as grove_join.
 *
 * gevent: get; eventlet: GreenThread.wait (where a kill is a failure).
 */
GROVE_API GROVE_MUST_CHECK int grove_get(grove_greenlet *greenlet, void **value,
					 grove_deadline deadline);

/**
 * Ask a greenlet to end: throw a failure into it, and wait until it is dead.
 *
 * failure      what its suspended call reports as GROVE_KILLED, with grove_last_failure() giving
 *              this object.  Borrowed.  NULL: the exit, grove_failure_exit().
 * deadline     GROVE_POLL: only ask.  Otherwise bounds the whole call, delivery included.
 *
 * Returns      0           it is dead; with GROVE_POLL: dead, or the kill is sent
 *              -ETIMEDOUT  the deadline came and it is still alive; the kill stays in force
 *              -EINVAL     NULL
 *              -ENOMEM     no memory to keep the kill; nothing was sent (not for the exit, unless
 *                          other kills are on their way)
 *              GROVE_KILLED, GROVE_INTERRUPTED, -ECANCELED
 *                          the caller was stopped while it waited for the end; the kill stays in
 *                          force
 *              GROVE_IN_HUB  a callback may only ask; the kill was sent
 *              GROVE_DEADLOCK  see base.h
 *
 * Never run    (NEW or PENDING) it is dead inside the call, which does not suspend: EXITED, or
 *              FAULTED with the given failure.
 * Started      the kill is delivered once, at its current or next suspension; earlier kills of
 *              the same target from the same caller come before it.  The greenlet may clean up,
 *              wait meanwhile, handle it and live on, or end with a value of its own.
 * Dead         nothing happens.
 * The caller   gets its own kill as GROVE_KILLED from this call, or with GROVE_POLL from its next
 *              suspension.
 *
 * Races        of the target's natural end and the kill one is first; a kill that is late leaves
 *              its outcome alone.  A wake-up that claimed the target's wait first stands, and the
 *              kill is met at the next suspension.
 *
 * From         anywhere; not from signal handlers.
 * Threads      safe; several killers may wait for the same end.
 * Ordering     after 0 of a waiting kill all that the greenlet did is visible.
 *
 * gevent: kill (whose timeout does not cover the delivery); eventlet's never waits.
 */
GROVE_API int grove_kill(grove_greenlet *greenlet, grove_failure *failure, grove_deadline deadline);

/**
 * Take a greenlet away if it has not begun to run.
 *
 * Returns      0          it will never run; it is dead, GROVE_EXITED
 *              -EALREADY  it has begun, or ended before; nothing was changed
 *              -EINVAL    NULL
 *
 * Races        of cancel, kill and first run exactly one is first.
 *
 * From         anywhere.  (eventlet: cancel.)
 */
GROVE_API int grove_cancel(grove_greenlet *greenlet);

/*
 * Looking at a greenlet
 * =====================
 */

/**
 * Read the state of a greenlet.
 *
 * Returns      an enum grove_state, or -EINVAL for NULL.  A greenlet that is running is never
 *              seen as ended, not even by itself in its last line.
 *
 * From         anywhere.
 * Ordering     a state from GROVE_DONE on makes visible all that the greenlet did.
 */
GROVE_API int grove_greenlet_state(grove_greenlet *greenlet);

/**
 * Tell whether a greenlet has ended, so that join and get would return at once.  False for NULL.
 *
 * From         anywhere.
 * Ordering     as grove_greenlet_state.
 */
GROVE_API bool grove_ready(grove_greenlet *greenlet);

/**
 * Read the value of a greenlet: NULL unless it is GROVE_DONE.
 *
 * From         anywhere.
 */
GROVE_API void *grove_value(grove_greenlet *greenlet);

/**
 * Read what a greenlet ended with: its failure if GROVE_FAULTED, the exit if GROVE_EXITED, else
 * NULL.
 *
 * Returns      borrowed; valid as long as the caller holds the greenlet.
 *
 * From         anywhere.
 */
GROVE_API grove_failure *grove_failure_of(grove_greenlet *greenlet);

/**
 * Read the id of a greenlet: unique in the process for its whole life, never 0, never given out
 * twice.  0 for NULL.
 *
 * From         anywhere, signal handlers too.
 */
GROVE_API uint64_t grove_id(grove_greenlet *greenlet);

/**
 * Read the number of a greenlet: the smallest that was free when it was asked for first, counted
 * from 0 over all hubs, kept until the last handle goes and then used again.
 *
 * Returns      the number; UINT64_MAX for NULL, or if there is no memory to keep track of it.
 *
 * From         anywhere.  (gevent: minimal_ident, there per hub.)
 */
GROVE_API uint64_t grove_number(grove_greenlet *greenlet);

/**
 * Find a living greenlet by its id, raw ones too.
 *
 * Returns      a handle for the caller to release, or NULL if it has ended and nobody holds it,
 *              or never was.
 *
 * From         anywhere.
 * Threads      safe, with ids of any age.
 */
GROVE_API GROVE_MUST_CHECK grove_greenlet *grove_lookup(uint64_t id);

/**
 * Name a greenlet, for reports.
 *
 * name         copied, cut after 63 bytes.  NULL: the default again.
 *
 * Returns      0        named
 *              -ENOMEM  no memory; it keeps its name
 *              -EINVAL  greenlet is NULL
 *
 * From         anywhere.
 * Threads      safe.
 */
GROVE_API int grove_set_name(grove_greenlet *greenlet, const char *name);

/**
 * Read the name of a greenlet; by default it is made of "greenlet-" and its id.
 *
 * text         receives the name with its final zero, cut to fit; may be NULL if room is 0.
 * room         bytes in text.
 *
 * Returns      the length of the whole name without its zero; 0 for NULL.
 *
 * From         anywhere.
 * Threads      safe.
 */
GROVE_API size_t grove_name(grove_greenlet *greenlet, char *text, size_t room);

/**
 * Take one more reference to a greenlet.  NULL is ignored.
 *
 * From         anywhere.
 */
GROVE_API void grove_greenlet_retain(grove_greenlet *greenlet);

/**
 * Give a reference back.  It neither ends the greenlet nor waits.  After the last one an ended
 * greenlet is gone, with its value released as the attributes say.  NULL is ignored.
 *
 * One reference too many is a defect of the program that the checked build reports and stops at.
 *
 * From         anywhere.
 * Threads      safe.
 */
GROVE_API void grove_greenlet_release(grove_greenlet *greenlet);

#ifdef __cplusplus
}
#endif

#endif
