/* SPDX-License-Identifier: MIT */
/*
 * timer.c - callbacks at a given time, or as soon as their hub comes to them.
 *
 * Layer   prim.  Below: store/timer_wheel.h, sched/ready.h, wait/node.h.
 * Owns    struct gv_timer; gv_hub.running_timer.
 * Entry   grove_timer_start, grove_timer_cancel; gv_timer_due and gv_timer_run_node from the loop.
 *
 *             start            the wheel delivers
 *     IDLE ------------> ARMED -------.                       .--> IDLE     once
 *     ^ |                  |           +--> callback begins --+
 *     | '--- start ----> QUEUED ------'   (on any hub)        '--> RUNNING  periodic
 *     |    (GROVE_POLL)    | a node comes out of a queue              |
 *     +------ cancel ------'                                          |  callback returned
 *     '---------------------------- cancel ---------------------------+------> ARMED
 *
 * The state changes under the timer's own lock.  That lock is short, like the wheel's, which is
 * taken inside it; no code of the program runs under it.
 *
 * Who is first, cancel or due time, is not decided by the state but by whoever takes the timer out
 * of where it stands, so that nobody holds the address of a timer whose cancel has returned 0:
 *
 *     ARMED    gv_wheel_cancel against the delivery, under the wheel's lock
 *     QUEUED   the timer's address in the node: cancel clears it by CAS, the runner by exchange
 *
 * A timer that was delivered and has not come to its callback is still ARMED or QUEUED; a cancel
 * then says -EALREADY, and a period will not go on (`last`).
 *
 * I1  From the moment a one-shot callback begins, nothing of the runtime touches the timer: the
 *     callback, and whoever it tells, may free it.  What says that the callback is still running is
 *     therefore not in the timer but in its hub: running_timer.  The timer only knows which hub to
 *     ask: the one that ran it last.
 * I2  From the moment a timer is on a wheel or in a queue, and its lock is free, start touches it
 *     no more: its callback may have run already, elsewhere.
 * I3  A periodic timer is armed again after its callback has returned, and only if running_timer
 *     still says AGAIN: a callback that cancels, destroys or starts its own timer takes that back.
 * I4  A callback never runs twice at once: only a callback can arm its timer while it is running,
 *     and then the timer stands on the wheel or in a queue of the very hub that is in the callback.
 *     Another hub that comes upon it there (sched/steal.c) puts it back.
 *
 * [run]    run: store running_timer = the timer, under its lock; after the callback, store-release
 *          of 0.  start, cancel, destroy, run elsewhere: load-acquire, under the timer's lock.
 *          What the last run did is visible to whoever sees that it is over.
 * [call]   start: store of the address in the node, before it goes into a queue.  Runner: exchange,
 *          acq_rel.  cancel: CAS, acq_rel.
 * [sleep]  start for another hub: next_ns of its wheel; full fence; gv_idle_wake loads its park
 *          word.  idle.c: announce, then look at next_ns.  Either that hub sees the timer, or is
 *          woken.
 * [stop]   start by a remote caller: wheel or queue; full fence; load stopping.  The stop: store
 *          stopping, then hubs end, then gv_timer_end_all.
 *          Either the start sees it and takes the timer back, or the timer is found and dropped.
 *
 * A node for GROVE_POLL comes from a slab.  Without memory the timer goes to the wheel instead, due
 * at once: late and out of order is better than not at all.
 *
 * Rejected: a lock-free state word.  Two cancels and a delivery need an arbiter that all three can
 * reach without touching the timer afterwards; wheel and node are that already, and what remains is
 * short enough for a lock.
 */
#include "prim/timer.h"

#include "base/check.h"
#include "plat/clock.h"
#include "plat/fence.h"
#include "sched/idle.h"
#include "sched/ready.h"
#include "wait/park.h"

#include "grove/timer.h"

#include <errno.h>

enum gv_timer_state {
	IDLE = 0,
	ARMED = 1,   /* on a wheel, or delivered by it and on the way */
	QUEUED = 2,  /* in a node, or the node was taken out and is on the way */
	RUNNING = 3, /* periodic: will be armed again after this run */
	DESTROYED = 4,
};

struct gv_timer {
	struct gv_wheel_timer wheel;
	struct gv_lock lock;
	/* Under the lock.  `owner` is also read by who has the delivery. */
	uint16_t runner; /* 1 + the hub that ran it last; 0: it never ran */
	uint8_t state;
	bool once : 1; /* as it was started last */
	bool weak : 1;
	bool ran : 1;  /* since it was started last */
	bool last : 1; /* was cancelled when it had been delivered: no period after this run */
	grove_cb *callback;
	void *arg;
	int64_t period_ns;
	int64_t due_ns; /* the grid of the period */
	uint64_t owner; /* id of the greenlet that started it; 0: not local */
	struct gv_node *node;
};

_Static_assert(sizeof(struct gv_timer) <= sizeof(grove_timer), "fits the public type");
_Static_assert(_Alignof(struct gv_timer) <= _Alignof(grove_timer), "fits the public type");

/* What GROVE_NEVER is to the wheel: a time that only the end of the runtime comes to. */
#define FAR_NS (INT64_MAX - (INT64_C(2) << GV_WHEEL_TICK_BITS))

/* In running_timer, with the address: the run is one of a period, which goes on. */
#define AGAIN ((uintptr_t)1)

static struct gv_timer *inside(grove_timer *timer)
{
	return (struct gv_timer *)(void *)timer;
}

/* The timer's address in a node of kind GV_NODE_CALL, or NULL after a cancel. */
static _Atomic(void *) *call_of(struct gv_node *node)
{
	return (_Atomic(void *) *)(void *)&node->arg;
}

static bool is_in_callback_of(struct gv_hub *hub, const struct gv_timer *t)
{
	uintptr_t running = gv_load(&hub->running_timer, acquire); /* [run] */

	return (running & ~AGAIN) == (uintptr_t)t;
}

/* Whether its callback is running, on whatever hub. */
static bool is_running_locked(const struct gv_timer *t)
{
	struct gv_hub *hub = t->runner != 0 ? gv_hub_at(t->runner - 1u) : NULL;

	/* A hub before a fork is none of ours. */
	return hub != NULL && is_in_callback_of(hub, t);
}

/* Whether the caller is its callback. */
static bool is_own_callback_locked(const struct gv_timer *t)
{
	struct gv_hub *hub = gv_hub_self();

	return hub != NULL && gv_in_hub_context(hub) && t->runner == hub->id + 1u &&
	       is_in_callback_of(hub, t);
}

/* I3: the callback decides about its timer itself. */
static void forget_period(void)
{
	struct gv_hub *hub = gv_hub_self();
	uintptr_t running = gv_load(&hub->running_timer, relaxed); /* relaxed: own */

	gv_store(&hub->running_timer, running & ~AGAIN, release); /* [run] */
}

/* ---- arming ---- */

/* Whose wheel or queue takes what a remote caller starts: one hub, so that the order is kept. */
static struct gv_hub *keeper_for(struct gv_hub *hub)
{
	if (hub == NULL)
		hub = gv_hub_self();
	return hub != NULL ? hub : gv_hub_at(0);
}

static void arm_locked(struct gv_hub *hub, struct gv_timer *t, struct gv_hub *keeper,
		       int64_t when_ns)
{
	t->state = ARMED;
	gv_wheel_start(&keeper->wheel, &t->wheel, GV_MIN(when_ns, FAR_NS));
	if (keeper != hub) {
		gv_fence_full();      /* [sleep] */
		gv_idle_wake(keeper); /* [sleep] */
	}
}

static void queue_locked(struct gv_hub *hub, struct gv_timer *t, struct gv_node *node)
{
	t->state = QUEUED;
	t->node = node;
	gv_store(&node->kind, GV_NODE_CALL, relaxed); /* relaxed: the queue publishes it */
	gv_store(&node->next, NULL, relaxed);	      /* relaxed: the queue publishes it */
	gv_store(call_of(node), t, release);	      /* [call] */
	gv_ready_node(hub, node, keeper_for(hub)->id, false);
}

/* Take it back before its callback begins.  False: too late, it is on its way. */
static bool disarm_locked(struct gv_timer *t)
{
	if (t->state == QUEUED) {
		void *expected = t;

		if (!gv_cas(call_of(t->node), &expected, NULL, acq_rel, acquire)) /* [call] */
			return false;
		t->node = NULL; /* what is left of it frees who takes it from the queue */
	} else if (!gv_wheel_cancel(&t->wheel)) {
		return false;
	}
	t->state = IDLE;
	return true;
}

/* The first due time on the grid that lies ahead. */
static int64_t next_due(int64_t due_ns, int64_t period_ns, int64_t now_ns)
{
	int64_t ahead = period_ns;

	if (now_ns > due_ns) {
		uint64_t late = (uint64_t)now_ns - (uint64_t)due_ns;
		ahead -= (int64_t)(late % (uint64_t)period_ns);
	} else {
		now_ns = due_ns;
	}
	return now_ns > INT64_MAX - ahead ? INT64_MAX : now_ns + ahead;
}

/* ---- running ---- */

/* Whether the greenlet that it belongs to still lives.  Not under the lock: the last reference may
 * go, and release functions are the program's code. */
static bool owner_lives(struct gv_hub *hub, const struct gv_timer *t)
{
	if (t->owner == 0)
		return true;

	struct grove_greenlet *owner = gv_record_lookup(t->owner);
	if (owner == NULL)
		return false;
	/* relaxed: either answer is right if it is just ending */
	bool lives = !(gv_load(&owner->done, relaxed) & GV_DONE_ENDED);
	gv_record_release(owner, &hub->records);
	return lives;
}

/* The program's code, in hub context, outside the runtime. */
static void call_out(struct gv_hub *hub, grove_cb *callback, void *arg)
{
	gv_count(&hub->stats.callbacks);
	gv_leave(hub);
	callback(arg);
	gv_compiler_barrier();
	hub->inside = 1;
	gv_compiler_barrier();
	/* What failed in there is no business of the next callback. */
	if (hub->self.last_failure != NULL)
		gv_wait_set_last_failure(hub, NULL);
}

/* The caller has the delivery and the lock, which is free afterwards. */
static void run_and_unlock(struct gv_hub *hub, struct gv_timer *t, bool wanted)
{
	grove_cb *callback = t->callback;
	void *arg = t->arg;
	bool again = !t->once && !t->last;

	if (!wanted) {
		t->state = IDLE;
		gv_lock_release(&t->lock);
		return;
	}
	t->state = again ? RUNNING : IDLE;
	t->ran = true;
	t->runner = (uint16_t)(hub->id + 1);
	/* relaxed: who looks takes the lock first */
	gv_store(&hub->running_timer, (uintptr_t)t | (again ? AGAIN : 0), relaxed);
	gv_lock_release(&t->lock);

	call_out(hub, callback, arg); /* I1 */

	if (!(gv_load(&hub->running_timer, relaxed) & AGAIN)) { /* relaxed: own */
		gv_store(&hub->running_timer, 0, release);	/* [run] */
		return;
	}
	gv_lock_acquire(&t->lock);		   /* I3 */
	gv_store(&hub->running_timer, 0, release); /* [run] */
	if (t->state == RUNNING) {
		t->due_ns = next_due(t->due_ns, t->period_ns, gv_clock_ns());
		arm_locked(hub, t, hub, t->due_ns);
	}
	gv_lock_release(&t->lock);
}

static struct gv_timer *timer_of(const uint64_t cookie[2])
{
	return (struct gv_timer *)(uintptr_t)(cookie[0] - GV_TIMER_TAG);
}

void gv_timer_due(struct gv_hub *hub, const uint64_t cookie[2])
{
	struct gv_timer *t = timer_of(cookie);
	bool wanted = owner_lives(hub, t);

	gv_lock_acquire(&t->lock);
	GV_DEBUG_CHECK(t->state == ARMED, "timer %p in state %d is due", (void *)t, t->state);
	if (GV_UNLIKELY(is_running_locked(t))) { /* I4 */
		arm_locked(hub, t, gv_hub_at(t->runner - 1u), t->wheel.when_ns);
		gv_lock_release(&t->lock);
		return;
	}
	run_and_unlock(hub, t, wanted);
}

void gv_timer_run_node(struct gv_hub *hub, struct gv_node *node)
{
	struct gv_timer *t = gv_xchg(call_of(node), NULL, acq_rel); /* [call] */

	if (t == NULL) {
		gv_node_free(hub, node);
		return;
	}
	bool wanted = owner_lives(hub, t);
	gv_lock_acquire(&t->lock);
	GV_DEBUG_CHECK(t->state == QUEUED, "timer %p in state %d is called", (void *)t, t->state);
	if (GV_UNLIKELY(is_running_locked(t))) {     /* I4 */
		gv_store(call_of(node), t, release); /* [call] */
		gv_ready_node(hub, node, t->runner - 1u, false);
		gv_lock_release(&t->lock);
		return;
	}
	t->node = NULL;
	gv_node_free(hub, node);
	run_and_unlock(hub, t, wanted);
}

/* ---- no hub runs ---- */

static void drop(struct gv_timer *t)
{
	/* In the child of a fork, whoever held the lock is not there to release it. */
	if (gv_load(&gv_runtime.stopping, relaxed) == 0) /* relaxed: no hub runs */
		gv_init(&t->lock.word, 0);
	gv_lock_acquire(&t->lock);
	t->state = IDLE;
	t->node = NULL;
	gv_lock_release(&t->lock);
}

static void drop_from_wheel(struct gv_wheel *wheel)
{
	struct gv_wheel_fired fired[32];
	size_t count;

	do {
		count = gv_wheel_expire(wheel, INT64_MAX - 1, fired, GV_ARRAY_LEN(fired));
		for (size_t i = 0; i < count; i++) {
			/* The greenlets of waits and later starts are no more. */
			if ((fired[i].cookie[0] & GV_TIMER_TAG_BITS) == GV_TIMER_TAG)
				drop(timer_of(fired[i].cookie)); /* [stop] */
		}
	} while (count != 0 || gv_wheel_next_ns(wheel) < INT64_MAX - 1);

	/* It went to the end of time, where everybody's place is the same as seen from now. */
	gv_lock_acquire(&wheel->lock);
	wheel->tick = (uint64_t)gv_clock_ns() >> GV_WHEEL_TICK_BITS;
	gv_lock_release(&wheel->lock);
}

static void drop_from_inbox(struct gv_inbox *inbox)
{
	struct gv_link *link = gv_inbox_take(inbox);

	while (link != NULL) {
		struct gv_link *next = gv_load(&link->next, relaxed); /* relaxed: ours */
		struct gv_node *node = GV_CONTAINER_OF(link, struct gv_node, link);

		/* relaxed: ours */
		if ((uintptr_t)node % GV_CACHE_LINE == 0 &&
		    gv_load(&node->kind, relaxed) == GV_NODE_CALL) {
			struct gv_timer *t = gv_xchg(call_of(node), NULL, acq_rel); /* [call] */

			if (t != NULL)
				drop(t); /* [stop] */
			gv_node_free(NULL, node);
		} else {
			gv_inbox_push(inbox, link);
		}
		link = next;
	}
}

void gv_timer_end_all(void)
{
	for (unsigned i = 0; i < GROVE_MAX_HUBS && gv_hub_at(i) != NULL; i++) {
		drop_from_wheel(&gv_hub_at(i)->wheel);
		drop_from_inbox(&gv_hub_at(i)->shared);
	}
}

/* ---- the public functions ---- */

/* Whether it can be started by the caller.  Returns 0, -EINVAL or -EBUSY. */
static int check_startable_locked(const struct gv_timer *t)
{
	if (t->state == DESTROYED)
		return -EINVAL;
	if (t->state == ARMED || t->state == QUEUED)
		return -EBUSY;
	if (is_running_locked(t) && !is_own_callback_locked(t))
		return -EBUSY;
	return 0;
}

static int check_startable(struct gv_timer *t)
{
	gv_lock_acquire(&t->lock);
	int rc = check_startable_locked(t);
	gv_lock_release(&t->lock);
	return rc;
}

/* What a start writes, but for where it puts the timer. */
struct start {
	grove_cb *callback;
	void *arg;
	int64_t period_ns;
	int64_t due_ns;
	uint64_t owner; /* 0: not local */
	bool weak;
};

static void fill_locked(struct gv_timer *t, const struct start *s)
{
	t->callback = s->callback;
	t->arg = s->arg;
	t->period_ns = s->period_ns;
	t->due_ns = s->due_ns;
	t->owner = s->owner;
	t->once = s->period_ns == 0;
	t->weak = s->weak;
	t->ran = false;
	t->last = false;
	t->wheel.cookie[0] = (uintptr_t)t + GV_TIMER_TAG;
	t->wheel.cookie[1] = 0;
}

/* `node` is used or freed. */
static int start(struct gv_hub *hub, struct gv_timer *t, const struct start *s,
		 struct gv_node *node)
{
	gv_lock_acquire(&t->lock);
	int rc = check_startable_locked(t);
	if (rc == 0) {
		if (is_running_locked(t))
			forget_period();
		fill_locked(t, s);
		if (node != NULL)
			queue_locked(hub, t, node);
		else
			arm_locked(hub, t, keeper_for(hub), s->due_ns);
		node = NULL;
		if (GV_UNLIKELY(hub == NULL)) {
			gv_fence_full(); /* [stop] */
			if (gv_load(&gv_runtime.stopping, seq_cst) != 0 &&
			    disarm_locked(t)) /* [stop] */
				rc = -ESHUTDOWN;
		}
	}
	gv_lock_release(&t->lock); /* I2 */
	if (GV_UNLIKELY(node != NULL))
		gv_node_free(hub, node);
	return rc;
}

/* Before anything is changed.  Returns 0 or a code of grove_timer_start. */
static int check_runtime(struct gv_hub *hub, struct gv_timer *t)
{
	if (hub == NULL) {
		int rc = check_startable(t);

		if (rc < 0)
			return rc;
		if (gv_runtime.hooks.ensure == NULL)
			return -ESHUTDOWN;
		rc = gv_runtime.hooks.ensure();
		if (rc < 0)
			return rc;
	}
	return gv_load(&gv_runtime.draining, relaxed) != 0 ? -ESHUTDOWN : 0; /* relaxed: a hint */
}

int grove_timer_start(grove_timer *timer, grove_cb *callback, void *arg, int64_t period,
		      unsigned flags, grove_deadline deadline)
{
	if (timer == NULL || callback == NULL || period < 0 ||
	    (flags & ~(GROVE_TIMER_WEAK | GROVE_TIMER_LOCAL)) != 0)
		return -EINVAL;

	struct gv_timer *t = inside(timer);
	struct start s = {
		.callback = callback,
		.arg = arg,
		.period_ns = period,
		.due_ns = deadline.ns,
		.weak = (flags & GROVE_TIMER_WEAK) != 0,
	};
	struct gv_hub *hub = gv_enter();
	struct gv_node *node = NULL;
	int rc = -ESRCH;

	if (flags & GROVE_TIMER_LOCAL) {
		if (hub == NULL || gv_in_hub_context(hub))
			goto leave;
		s.owner = gv_record_id(hub->current);
	}
	rc = check_runtime(hub, t);
	if (GV_UNLIKELY(rc < 0))
		goto leave;
	if (deadline.ns == INT64_MIN) {
		s.due_ns = gv_clock_ns();
		node = gv_node_alloc(hub);
	}
	rc = start(hub, t, &s, node);
leave:
	if (hub != NULL)
		gv_leave(hub);
	return rc;
}

static int cancel_locked(struct gv_timer *t)
{
	switch ((enum gv_timer_state)t->state) {
	case DESTROYED:
		return -EINVAL;
	case ARMED:
	case QUEUED:
		if (!disarm_locked(t)) {
			t->last = true;
			return -EALREADY;
		}
		break;
	case RUNNING:
		t->state = IDLE;
		if (is_own_callback_locked(t))
			forget_period();
		return -EALREADY;
	case IDLE:
		if (t->once && t->ran)
			return -EALREADY;
		break;
	}
	return is_running_locked(t) ? -EALREADY : 0;
}

int grove_timer_cancel(grove_timer *timer)
{
	if (timer == NULL)
		return -EINVAL;

	struct gv_timer *t = inside(timer);
	gv_lock_acquire(&t->lock);
	int rc = cancel_locked(t);
	gv_lock_release(&t->lock);
	return rc;
}

static int destroy_locked(struct gv_timer *t)
{
	if (t->state == DESTROYED)
		return -EINVAL;
	if (t->state != IDLE)
		return -EBUSY;
	if (is_running_locked(t)) {
		if (!is_own_callback_locked(t))
			return -EBUSY;
		forget_period();
	}
	t->state = DESTROYED;
	return 0;
}

int grove_timer_destroy(grove_timer *timer)
{
	if (timer == NULL)
		return -EINVAL;

	struct gv_timer *t = inside(timer);
	gv_lock_acquire(&t->lock);
	int rc = destroy_locked(t);
	gv_lock_release(&t->lock);
	return rc;
}
