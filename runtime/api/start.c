/* SPDX-License-Identifier: MIT */
/*
 * start.c - starting and stopping the one runtime of the process.
 *
 * Layer   api.  Below: sched/runtime.h makes and ends hubs; drain.h ends greenlets.
 * Owns    the phase, and the count of those who use the runtime.
 * Entry   grove_run, grove_start, grove_stop; gv_api_ensure from the first spawn.
 *
 *               claimed                begun                last stop, main ended
 *     STOPPED ----------> STARTING ------------> RUNNING -------------------------> STOPPING
 *        ^ ^                 |                     ^ ^                               |  |  |
 *        | '---- failed -----'                     | '-- greenlets outlived a stop --'  |  |
 *        '-------------------------------------------------- nobody is left -----------'  |
 *     CHILD (of a fork, until grove_fork_child)    LOST  <-- greenlets outlived grove_run -'
 *
 * I1  The phase changes under the lock.  Nobody keeps the lock over anything that takes long: who
 *     claimed STARTING or STOPPING works alone, without it.
 * I2  `users` counts starts that are owed a stop.  A runtime that nobody started by grove_start or
 *     grove_run ("implied") has none, and the first stop that finds no other user ends it.
 * I3  Under grove_run starts and stops only count.
 * I4  Main of grove_run ends the others itself, between its last line and its end: its argument's
 *     release function does it.  So its failure is known when all is over, and no greenlet has to be
 *     made for this at a time when there may be no memory.  Only if main never ran, one is made.
 *
 * [phase]  changes: store-release, after what the phase stands for.  gv_api_ensure: load-acquire.
 *
 * [ended]  stop: store hub_count = 0 (runtime.c); fence; end all foreign waits.
 *          wait/park.c: begin the foreign wait; load hub_count.
 *     Either the waiter sees that nothing runs, or its wait is ended.
 *
 * Rejected: a watching greenlet beside main (it would count as living, and be told to on_spawn).
 */
#include "api/start.h"

#include "api/chores.h"
#include "api/drain.h"
#include "api/fork.h"
#include "api/hooks.h"
#include "api/options.h"
#include "api/overflow_report.h"
#include "api/quota.h"
#include "api/stats.h"
#include "base/check.h"
#include "base/memory.h"
#include "plat/futex.h"
#include "plat/lock.h"
#include "plat/overflow.h"
#include "prim/fd.h"
#include "prim/spawn.h"
#include "prim/timer.h"
#include "sched/failure.h"
#include "sched/report.h"
#include "sched/runtime.h"
#include "wait/park.h"

#include "grove/runtime.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <unistd.h>

enum phase { STOPPED, STARTING, RUNNING, STOPPING, LOST, CHILD };

static struct gv_lock lock;
static _Atomic uint32_t phase;

/* Under the lock. */
static uint32_t users;
static bool by_run; /* grove_run started it */

/* By who starts. */
static bool set_up;

/* ---- phases ---- */

static enum phase phase_now(void)
{
	return (enum phase)gv_load(&phase, relaxed); /* relaxed: under the lock, or a hint */
}

static void set_phase_locked(enum phase next)
{
	gv_store(&phase, next, release); /* [phase] */
}

static void set_phase(enum phase next)
{
	gv_lock_acquire(&lock);
	set_phase_locked(next);
	gv_lock_release(&lock);
	gv_futex_wake(&phase, INT_MAX);
}

/*
 * Wait out a start that is under way.  Returns, with the lock held: 0 if the caller shall start the
 * runtime (phase STARTING now), 1 if it runs, or what is in the way.
 */
static int claim_start_locked(void)
{
	for (;;) {
		gv_lock_acquire(&lock);
		switch (phase_now()) {
		case STOPPED:
			set_phase_locked(STARTING);
			return 0;
		case RUNNING:
			return 1;
		case STOPPING:
			return -ESHUTDOWN;
		case LOST:
		case CHILD:
			return -EBUSY;
		case STARTING:
			break;
		}
		gv_lock_release(&lock);
		(void)gv_futex_wait(&phase, STARTING, INT64_MAX);
	}
}

static bool in_callback(void)
{
	struct gv_hub *hub = gv_hub_self();

	return hub != NULL && gv_in_hub_context(hub);
}

bool gv_api_lost(void)
{
	return phase_now() == LOST;
}

/* ---- beginning ---- */

static int set_up_once(void)
{
	if (set_up)
		return 0;
	int rc = gv_runtime_setup(&gv_api_hooks);
	if (rc < 0)
		return rc;
	rc = gv_fork_watch();
	if (rc < 0)
		return rc;
	/* Without it an overflow is only less well explained. */
	if (gv_overflow_install(gv_overflow_describe_greenlet) < 0)
		gv_log(GROVE_LOG_WARNING, "stack overflows will not be explained");
	set_up = true;
	return 0;
}

/* What is said from here on goes where these options want it. */
static void speak_as(const grove_options *options)
{
	grove_options now = gv_runtime.options;
	bool usable = options != NULL && options->size >= sizeof(*options);

	now.on_log = usable ? options->on_log : NULL;
	now.hook_arg = usable ? options->hook_arg : NULL;
	gv_runtime_set_options(&now);
}

static int prepare_stacks(const struct gv_settings *settings)
{
	int rc = gv_stack_setup(&settings->stacks);

	if (rc == -ENOMEM)
		gv_log(GROVE_LOG_ERROR, "no address space for stacks: %s", gv_stack_limit_text());
	else if (rc < 0)
		gv_log(GROVE_LOG_ERROR, "stacks of %zu bytes are not possible (error %d)",
		       settings->stacks.bytes, -rc);
	return rc;
}

static int say_why(int rc, const char *what)
{
	const char *why = "no memory";

	if (rc == -EAGAIN)
		why = "no more threads";
	else if (rc == -EMFILE || rc == -ENFILE)
		why = "no more descriptors";
	if (rc < 0)
		gv_log(GROVE_LOG_ERROR, "cannot start %s: %s (error %d)", what, why, -rc);
	return rc;
}

/* Phase STARTING.  Returns 0, or a code of grove_start with nothing begun. */
static int begin(const grove_options *options, bool here)
{
	struct gv_settings settings;

	speak_as(options);
	int rc = gv_options_resolve(options, environ, &settings);
	if (rc == 0)
		rc = gv_memory_use(&settings.options.allocator);
	if (rc == 0)
		rc = say_why(set_up_once(), "the runtime");
	if (rc == 0)
		rc = prepare_stacks(&settings);
	if (rc == 0)
		rc = say_why(gv_fd_begin(), "the poller");
	if (rc < 0)
		goto speechless;

	gv_runtime_set_options(&settings.options);
	gv_store(&gv_runtime.live, 0, relaxed);	    /* relaxed: no hub runs yet */
	gv_store(&gv_runtime.main_id, 0, relaxed);  /* relaxed: the same */
	gv_store(&gv_runtime.draining, 0, relaxed); /* relaxed: the same */
	gv_store(&gv_failure_backtraces, settings.options.backtraces,
		 relaxed); /* relaxed: an option */
	gv_stats_begin();
	rc = say_why(gv_runtime_begin(settings.options.hubs, here), "the hubs");
	if (rc < 0)
		goto end_fd;
	gv_stats_begun(settings.options.hubs);
	gv_quota_begin(settings.follow_quota, settings.active);
	gv_chores_begin();
	return 0;

end_fd:
	gv_fd_end();
speechless:
	speak_as(NULL);
	return rc;
}

/* Phase STARTING becomes RUNNING with so many users, or STOPPED again. */
static int begin_in_background(const grove_options *options, uint32_t first_users)
{
	int rc = begin(options, false);

	gv_lock_acquire(&lock);
	users = first_users;
	by_run = false;
	set_phase_locked(rc == 0 ? RUNNING : STOPPED);
	gv_lock_release(&lock);
	gv_futex_wake(&phase, INT_MAX);
	return rc;
}

int grove_start(const grove_options *options)
{
	if (in_callback())
		return GROVE_IN_HUB;

	int rc = claim_start_locked();
	if (rc == 1) {
		rc = options != NULL ? -EBUSY : 0;
		if (rc == 0)
			users++;
		gv_lock_release(&lock);
		return rc;
	}
	gv_lock_release(&lock);
	return rc < 0 ? rc : begin_in_background(options, 1);
}

int gv_api_ensure(void)
{
	enum phase now = (enum phase)gv_load(&phase, acquire); /* [phase] */

	/* On a hub, whatever its phase: it runs. */
	if (now == RUNNING || gv_hub_self() != NULL)
		return 0;
	/* While hubs are left, waits go on, that of grove_stop for one.  `draining` is for the rest. */
	if ((now == STOPPING || now == LOST) && gv_hub_total() != 0)
		return 0;

	int rc = claim_start_locked();
	gv_lock_release(&lock);
	if (rc == 1)
		return 0;
	return rc < 0 ? rc : begin_in_background(NULL, 0);
}

/* ---- ending ---- */

/* No hub runs any more. */
static void wind_up(void)
{
	gv_chores_end();
	gv_quota_end();
	gv_timer_end_all();
	gv_fd_end();
	gv_fence(seq_cst);			   /* [ended] */
	gv_wait_end_foreign(-ECANCELED);	   /* [ended] */
	gv_store(&gv_runtime.main_id, 0, relaxed); /* relaxed: no hub runs */
}

/* Phase STOPPING, nobody waits for the lock.  Ends RUNNING again if greenlets live on. */
static int end_in_background(grove_deadline deadline)
{
	int rc = gv_drain(deadline);

	if (rc < 0) {
		gv_drain_undo();
		set_phase(RUNNING);
		return rc;
	}
	gv_runtime_ask_stop();
	gv_runtime_end();
	wind_up();
	gv_lock_acquire(&lock);
	users = 0;
	set_phase_locked(STOPPED);
	gv_lock_release(&lock);
	return 0;
}

int grove_stop(grove_deadline deadline)
{
	int rc = 0;
	bool last = false;

	if (in_callback())
		return GROVE_IN_HUB;
	gv_lock_acquire(&lock);
	if (by_run && users > 0 && (phase_now() == RUNNING || phase_now() == STOPPING))
		users--; /* I3 */
	else if (phase_now() == STOPPING && !by_run)
		rc = -EALREADY;
	else if (phase_now() != RUNNING || by_run)
		rc = -EOVERFLOW;
	else if (users > 1)
		users--;
	else if (gv_hub_self() != NULL)
		rc = -EDEADLK;
	else
		last = true; /* I2 */
	if (last)
		set_phase_locked(STOPPING);
	gv_lock_release(&lock);
	return last ? end_in_background(deadline) : rc;
}

/* ---- grove_run ---- */

struct run {
	uint64_t main; /* id */
	int rc;	       /* of the drain; before [stop] */
};

static void end_others(struct run *run)
{
	int64_t limit = gv_runtime.options.stop_timeout_ns;

	set_phase(STOPPING);
	run->rc = gv_drain(limit < 0 ? GROVE_NEVER : grove_in_ns(limit));
	if (run->rc == 0)
		gv_runtime_ask_stop();
	else
		gv_runtime_abandon();
}

static void *undertaker(void *arg)
{
	end_others(arg);
	return NULL;
}

/* Main's body has ended, or never will begin (I4). */
static void main_ended(void *arg)
{
	struct run *run = arg;
	grove_greenlet *self = grove_self();

	if (self != NULL && gv_record_id(self) == run->main) {
		end_others(run);
		return;
	}
	run->rc = gv_spawn(NULL, undertaker, run, NULL, 0, GV_HUB_FOREIGN);
	if (run->rc < 0)
		gv_runtime_abandon();
}

/* Main in front of the queue of hub 0, which is ours. */
static int spawn_main(struct run *run, grove_fn *fn, void *arg, grove_greenlet **out)
{
	struct gv_hub *hub = gv_hub_self();
	struct gv_extra *extra = gv_extra_new(0);

	if (extra == NULL)
		return -ENOMEM;
	extra->stack_bytes = gv_runtime.options.main_stack_size;
	extra->release_arg = main_ended;
	extra->release_with = run;

	/* Held until its id is known. */
	gv_leave(hub);
	int rc = gv_spawn(out, fn, arg, extra, GV_DONE_HELD, GV_HUB_FOREIGN);
	if (rc == 0) {
		run->main = gv_record_id(*out);
		gv_store(&gv_runtime.main_id, run->main, relaxed); /* relaxed: it has not begun */
		/* Not if the option on_spawn has killed it already. */
		(void)grove_greenlet_start(*out, GROVE_POLL);
	} else {
		gv_extra_free(extra);
	}
	hub = gv_enter();
	return rc;
}

/* Others run on, and nobody waits for them; main at least has ended, or is about to. */
static void await_end(grove_greenlet *main)
{
	while (!grove_ready(main)) {
		if (grove_join(main, GROVE_NEVER) < 0)
			sched_yield();
	}
}

static int collect(struct run *run, grove_greenlet *main, void **value)
{
	if (run->rc < 0)
		await_end(main);
	int rc = grove_get(main, value, GROVE_POLL);
	grove_greenlet_release(main);
	GV_CHECK(rc == 0 || rc == GROVE_FAILED, "main has not ended: %d", rc);
	return rc == 0 && run->rc < 0 ? -ETIMEDOUT : rc;
}

int grove_run(grove_fn *fn, void *arg, void **value, const grove_options *options)
{
	struct run run = { .rc = 0 };
	grove_greenlet *main = NULL;

	if (in_callback())
		return GROVE_IN_HUB;
	if (fn == NULL)
		return -EINVAL;
	int rc = claim_start_locked();
	gv_lock_release(&lock);
	if (rc != 0)
		return rc == 1 ? -EBUSY : rc;

	rc = begin(options, true);
	if (rc < 0) {
		set_phase(STOPPED);
		return rc;
	}
	gv_lock_acquire(&lock);
	users = 0;
	by_run = true;
	set_phase_locked(RUNNING);
	gv_lock_release(&lock);
	gv_futex_wake(&phase, INT_MAX);

	rc = say_why(spawn_main(&run, fn, arg, &main), "the main greenlet");
	if (rc < 0)
		gv_runtime_ask_stop();
	gv_runtime_loop_here();
	if (run.rc < 0) {
		set_phase(LOST);
		return collect(&run, main, value);
	}
	gv_runtime_end();
	if (main != NULL)
		rc = collect(&run, main, value);
	wind_up();
	gv_lock_acquire(&lock);
	users = 0;
	by_run = false;
	set_phase_locked(STOPPED);
	gv_lock_release(&lock);
	return rc;
}

/* ---- fork ---- */

void gv_start_before_fork(void)
{
	gv_lock_acquire(&lock);
}

void gv_start_after_fork_parent(void)
{
	gv_lock_release(&lock);
}

void gv_start_after_fork_child(void)
{
	set_phase_locked(CHILD);
	gv_lock_release(&lock);
}

int gv_start_renew(void (*renew)(void))
{
	int rc = -EINVAL;

	gv_lock_acquire(&lock);
	if (phase_now() == CHILD) {
		renew();
		users = 0;
		by_run = false;
		set_phase_locked(STOPPED);
		rc = 0;
	}
	gv_lock_release(&lock);
	return rc;
}
