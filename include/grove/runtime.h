/* SPDX-License-Identifier: MIT */
/**
 * @file
 * runtime.h - starting and stopping Grove, and its options.
 *
 * One runtime per process: some hubs, each a pthread that runs greenlets.  There are three ways
 * to have it.
 *
 *   grove_run             main runs as a greenlet on the calling pthread, which is hub 0; when it
 *                         ends, the rest is killed and the runtime stops.  For programs.
 *   grove_start, _stop    hubs in the background, counted.  For programs that stay in pthreads,
 *                         and for libraries.
 *   neither               the first spawn, timer or wait for a descriptor starts it with default
 *                         options.  It then runs until grove_stop, or until the process ends.
 *
 * What outlives a stop: handles, failures and embedded objects.  A stopped runtime may be started
 * again.  exit() from a greenlet ends the process without running anybody's cleanup.
 *
 * Hub pthreads block all asynchronous signals (not SIGPROF), so the handlers of the program run
 * on its own pthreads; hub 0 of grove_run keeps its mask.
 */
#ifndef GROVE_RUNTIME_H
#define GROVE_RUNTIME_H

#include <grove/base.h>
#include <grove/failure.h>
#include <grove/greenlet.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The most hubs a runtime can have. */
#define GROVE_MAX_HUBS 1024

/** Whether hubs are tied to one CPU each. */
enum grove_pin_mode {
	/** Grove chooses. */
	GROVE_PIN_AUTO = 0,
	/** Tied, in turn, to the CPUs that the process may use. */
	GROVE_PIN_ON = 1,
	/** Free. */
	GROVE_PIN_OFF = 2
};

/** How a stack that overflows is noticed. */
enum grove_guard_mode {
	/** The best of the following that the kernel and its limits give. */
	GROVE_GUARD_AUTO = 0,
	/** MADV_GUARD_INSTALL (Linux 6.13), at once; without it the start gives -ENOTSUP. */
	GROVE_GUARD_MADVISE = 1,
	/** Pages without access, at once, within a share of vm.max_map_count; then as CANARY. */
	GROVE_GUARD_MPROTECT = 2,
	/** A pattern at the end of the stack, looked at when the greenlet ends or suspends. */
	GROVE_GUARD_CANARY = 3,
	/** Not at all. */
	GROVE_GUARD_NONE = 4
};

/** In which order greenlets run. */
enum grove_order {
	/** The order that keeps caches warm, within what each call promises. */
	GROVE_ORDER_FAST = 0,
	/** One hub and one queue for spawn, wake, yield and callbacks, first come first served, as
	 * in gevent and eventlet; where Grove decided otherwise than they did, it still does. */
	GROVE_ORDER_STRICT = 1
};

/** How urgent a line of the log is. */
enum grove_log_level {
	GROVE_LOG_ERROR = 1,   /**< something failed: a greenlet, an option, a limit */
	GROVE_LOG_WARNING = 2, /**< something works less well than it could */
	GROVE_LOG_INFO = 3     /**< something worth knowing */
};

/**
 * Where Grove takes memory from, stacks and the tables of greenlets excepted (those are mapped).
 *
 * Both functions or neither; they are called from any pthread, inside any function of Grove, at
 * the same time, and must neither wait nor call Grove.  A block goes back to the functions it came
 * from, even after a later start named others, so they must work until the process ends.
 */
typedef struct grove_allocator {
	void *(*allocate)(size_t size, void *context); /**< as malloc; NULL: there is none */
	void (*release)(void *block, void *context);   /**< as free; never called with NULL */
	void *context;				       /**< passed to both */
} grove_allocator;

/**
 * Told of every failure that ends a greenlet (not of an exit), once, before its joiners wake.
 * greenlet and failure are borrowed.  Hub context: must not wait.  Without one, a line with name,
 * code and message goes to the log.
 */
typedef void grove_failure_fn(grove_greenlet *greenlet, grove_failure *failure, void *arg);

/**
 * Told once when nothing can run or wake any more, before main gets GROVE_DEADLOCK.  report is a
 * text of several lines, who waits for what since when; it lives during the call.  Hub context.
 * Without one the text goes to the log.
 */
typedef void grove_deadlock_fn(const char *report, void *arg);

/** Gets each line of the log, without its newline.  Hub context, or any pthread that calls Grove;
 * several at a time.  Without one, lines go to standard error. */
typedef void grove_log_fn(int level, const char *line, void *arg);

/**
 * Told of every greenlet, raw ones too, when it is started (not when it is made), in the context
 * of whoever starts it and before it can run.  greenlet is borrowed.  Must not wait.
 */
typedef void grove_spawn_fn(grove_greenlet *greenlet, void *arg);

/** Told on a hub's own pthread that it begins, or ends.  Must not wait. */
typedef void grove_hub_fn(int hub, void *arg);

/**
 * Options of the runtime.  Zero in any field is the default; GROVE_OPTIONS_INIT sets the size.
 * New fields will be added at the end.
 */
typedef struct grove_options {
	/** sizeof(grove_options) of the program. */
	size_t size;
	/** 1 to GROVE_MAX_HUBS.  0: what CPU affinity and the quota of the control group allow; the
	 * quota is followed when it changes. */
	uint32_t hubs;
	/** An enum grove_pin_mode. */
	uint32_t pin;
	/** An enum grove_order. */
	uint32_t order;
	/** An enum grove_guard_mode. */
	uint32_t guard;
	/** Bytes below each stack, up to 1 MiB, rounded up to pages.  0: 16 KiB. */
	size_t guard_size;
	/** Bytes, 16 KiB to 32 MiB, rounded up.  0: 64 KiB.  Only what a greenlet touches of its
	 * stack takes memory. */
	size_t stack_size;
	/** The same for the main greenlet of grove_run.  0: 1 MiB. */
	size_t main_stack_size;
	/** Nanoseconds that an idle hub looks for work before it sleeps.  0: Grove chooses (none on
	 * one CPU or over the quota).  Negative: none. */
	int64_t spin_ns;
	/** How many greenlets may live before spawning gives -EAGAIN.  0: no limit. */
	uint64_t max_greenlets;
	/** Nanoseconds that grove_run gives the rest to end.  0: 10 s.  Negative: no limit. */
	int64_t stop_timeout_ns;
	/** Seed of the random choices, such as where to steal first.  0: another each time. */
	uint64_t seed;
	/** NULL functions: malloc and free. */
	grove_allocator allocator;
	/** NULL: a line in the log. */
	grove_failure_fn *on_failure;
	/** NULL: the report goes to the log. */
	grove_deadlock_fn *on_deadlock;
	/** NULL: standard error. */
	grove_log_fn *on_log;
	/** NULL: nothing. */
	grove_spawn_fn *on_spawn;
	/** NULL: nothing. */
	grove_hub_fn *on_hub_start;
	/** NULL: nothing. */
	grove_hub_fn *on_hub_stop;
	/** Passed to each of the six functions above. */
	void *hook_arg;
	/** Record where failures are made. */
	bool backtraces;
	/** Each greenlet has floating-point modes of its own (MXCSR and x87 control word, FPCR);
	 * every switch then takes longer. */
	bool save_fpu;
	/** Zero. */
	uint8_t reserved[6];
} grove_options;

/* clang-format off */
#ifdef __cplusplus
#define GROVE_OPTIONS_INIT { sizeof(grove_options), {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, \
			     {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {} }
#else
#define GROVE_OPTIONS_INIT { .size = sizeof(grove_options) }
#endif
/* clang-format on */

/*
 * The environment overrides options, for whoever runs the program:
 *
 *   GROVE_HUBS           a number, or "auto"
 *   GROVE_STACK_SIZE     bytes, with K, M or G for their powers of 1024; not 0
 *   GROVE_ORDER          "fast" or "strict"
 *   GROVE_SPIN_NS        a number; negative: no spinning
 *   GROVE_PIN            "auto", "on" or "off"
 *   GROVE_SEED           a number, decimal or 0x
 *   GROVE_MAX_GREENLETS  a number; 0: no limit
 *   GROVE_BACKTRACES     "0" or "1"
 *
 * A value that is not understood or out of bounds makes the start fail with -EINVAL and a line in
 * the log that names it.  A variable that begins with GROVE_ and is none of these gets a warning in
 * the log, as it may be misspelt.
 */

/**
 * Run a function as the main greenlet, on the calling pthread, until it ends; then kill all other
 * greenlets, wait for their end, and stop.
 *
 * fn, arg      the body; its stack has the option main_stack_size.
 * value        receives its value; only on 0.  May be NULL.
 * options      read during the call; NULL: all defaults.
 *
 * Returns      0             main returned, or ended by an exit (value NULL); all others have ended
 *              GROVE_FAILED  main ended with a failure; grove_last_failure() has it
 *              -ETIMEDOUT    main ended with a value, which is written, but others outlived
 *                            stop_timeout_ns; they are named in the log and will not run again.
 *                            Only the end of the process can follow: a new start gives -EBUSY
 *              -EBUSY        a runtime runs in this process; nothing was started
 *              GROVE_IN_HUB  the caller is a hub callback
 *              any code of grove_start but that of a running runtime
 *
 * A wait of main that nothing can end any more returns GROVE_DEADLOCK, once the whole process is
 * stuck: no greenlet can run, and no timer, descriptor, hold or pthread outside Grove is left that
 * could change that.  Main may then go on.  A failure of code GROVE_FATAL that escapes another
 * greenlet kills main with it.
 *
 * From         foreign pthreads, which means before anything runs: usually from main().
 */
GROVE_API GROVE_MUST_CHECK int grove_run(grove_fn *fn, void *arg, void **value,
					 const grove_options *options);

/**
 * Start the runtime with its hubs in the background, or note one more user of a running one.
 *
 * options      read during the call.  NULL: defaults if this call starts it, and whatever it runs
 *              with otherwise.
 *
 * Returns      0        it runs; a grove_stop is owed
 *              -EBUSY   it runs, and options were given, which cannot be changed any more; or one
 *                       that was given up (grove_run: -ETIMEDOUT) is in the way.  Nothing owed
 *              -EINVAL  an option or a GROVE_ variable is not understood or out of bounds: no such
 *                       mode, too many hubs, a stack too small, strict order with several hubs,
 *                       one allocator function without the other, a size smaller than that of the
 *                       first release.  A line in the log says which
 *              -E2BIG   options has a field set that this library does not know
 *              -ENOTSUP a guard mode that this kernel does not have
 *              -EAGAIN  no more threads
 *              -ENOMEM  no memory, or no address space for stacks; the log names the limit
 *              -EMFILE, -ENFILE  no descriptor for the poller
 *              -ESHUTDOWN  it is stopping right now
 *              GROVE_IN_HUB  the caller is a hub callback
 *
 * From         greenlets (which only count) and foreign pthreads.
 * Threads      safe; of several first callers one starts it, the others wait for that.
 */
GROVE_API GROVE_MUST_CHECK int grove_start(const grove_options *options);

/**
 * Take one grove_start back; the last one kills all greenlets, waits for their end, and stops.
 *
 * deadline     bounds the whole call.  GROVE_POLL kills and looks, without waiting.
 *
 * Returns      0           one user less; or, for the last, stopped: no hub runs, no callback will
 *                          be called, armed timers are idle again
 *              -ETIMEDOUT  greenlets are still alive (the log names some); the runtime works on,
 *              -EAGAIN     the start is still owed its stop, and the call may be repeated.
 *                          -EAGAIN under GROVE_POLL
 *              -EOVERFLOW  more stops than starts, or nothing runs
 *              -EDEADLK    it would be the last, and the caller is a greenlet, which would have to
 *                          wait for its own end; nothing was changed
 *              -EALREADY   another caller is stopping it
 *              GROVE_IN_HUB  the caller is a hub callback
 *
 * A runtime that a spawn started by itself is stopped by the first stop that finds no other user.
 * Under grove_run starts and stops only count.  While it stops, spawning gives -ESHUTDOWN, and the
 * waits of foreign pthreads end with -ECANCELED.
 *
 * From         greenlets and foreign pthreads.
 * Ordering     after 0 of the last stop all that greenlets and callbacks did is visible.
 */
GROVE_API int grove_stop(grove_deadline deadline);

/**
 * Tell how many hubs there are: 0 while the runtime does not run.
 *
 * The number may change where the option hubs is 0 and the quota of the process changes.
 *
 * From         anywhere.
 */
GROVE_API int grove_hub_count(void);

/**
 * Tell which hub the caller runs on.
 *
 * Returns      0 up to grove_hub_count() - 1, or -ESRCH on a foreign pthread.  For a greenlet that
 *              is not pinned the answer holds only until its next suspension.
 *
 * From         anywhere, signal handlers too.
 */
GROVE_API int grove_hub_id(void);

/**
 * Tell whether the caller is a greenlet, and not a hub callback or a foreign pthread.
 *
 * From         anywhere, signal handlers too.
 */
GROVE_API bool grove_in_greenlet(void);

/**
 * Make Grove usable in the child of a fork().
 *
 * Hubs, greenlets, timers and the poller of the parent do not exist in the child.  Until this call
 * the child may only exec, _exit, or use what is async-signal-safe: whatever would start the
 * runtime gives -EBUSY, and nothing else of Grove may be called.  The call abandons what was the
 * parent's, without running any cleanup, and closes the descriptors that only Grove knew.
 *
 * Embedded objects and handles are as the fork found them, values readable, but waiters are
 * forgotten; greenlets that had not ended never will.
 *
 * Returns      0        the runtime does not run, and may be started
 *              -EINVAL  this process is no such child, or was made usable before
 *              -ENOMEM, -EMFILE  what the child needs could not be made anew; may be repeated
 *
 * From         the one pthread of the child.  If a greenlet forked, it is none any more: it goes
 *              on as plain code on its stack, must not return from its body, and should exec or
 *              _exit.
 *
 * gevent: reinit, where the child keeps the greenlets of the forking thread.
 */
GROVE_API int grove_fork_child(void);

/**
 * Announce that a wake-up will come from where Grove cannot see it, such as a signal handler: no
 * deadlock is declared until grove_unhold.  Counted over the whole process.
 *
 * From         anywhere.
 */
GROVE_API void grove_hold(void);

/**
 * Take one grove_hold back.  One too many is a defect of the program: the checked build reports it
 * and stops, others ignore it.
 *
 * From         anywhere.
 */
GROVE_API void grove_unhold(void);

#ifdef __cplusplus
}
#endif

#endif
