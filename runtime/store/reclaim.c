/* SPDX-License-Identifier: MIT */
/*
 * reclaim.c - grace periods, by liburcu's quiescent-state flavour.
 *
 * Layer   store.  Below: plat/lock.h, plat/futex.h.
 * Owns    the list of readers, which only fork needs; the helper thread is liburcu's default one.
 * Entry   reclaim.h.
 *
 *   reader:  (none) --register--> ONLINE <--online / offline--> OFFLINE --unregister--> (none)
 *                                  |  ^
 *                                  '--' quiescent
 *
 * R1  A retired function runs after every reader that was online at the time has said quiescent,
 *     offline or unregister, some time later: the period it counts for begins when the helper does.
 * R2  Nothing here waits for a grace period but gv_reclaim_barrier and gv_reclaim_before_fork.
 * R3  After fork, a reader of a thread that is not in the child is taken off liburcu's registry:
 *     its record lies in memory that the C library gives to the next thread.
 * R4  Nobody waits for readers_lock while online: a fork holds it until the helper stands still,
 *     and the helper may be waiting for just that thread.
 *
 * Polling for a grace period, which needs no thread, came with liburcu 0.14; this is written for
 * 0.13.  The helper sleeps on a futex while nothing is retired.
 *
 * [passed]  the helper, behind all that was retired before: barrier's word = 1 (release).
 *           gv_reclaim_barrier loads it (acquire).
 *
 * The sanitizer for threads sees neither liburcu's code nor its inline assembly.  Two hand-overs
 * are told to it, and only here:
 *   a reader's end of reading --> retired function    (address: `grace`)
 *   gv_reclaim_retire         --> retired function    (address: the node)
 *
 * Rejected: a worker of our own (it could not be stopped for fork inside liburcu's locks);
 * liburcu's barrier (it allocates, and ends the process if it cannot).
 */
#include "store/reclaim.h"

#include "base/atomic.h"
#include "base/check.h"
#include "base/fault.h"
#include "plat/futex.h"
#include "plat/lock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <urcu/urcu-qsbr.h>
#include <urcu/static/urcu-qsbr.h> /* the record of a thread */

#if GV_TSAN
#include <sanitizer/tsan_interface.h>

static void tell_release(void *address)
{
	__tsan_release(address);
}

static void tell_acquire(void *address)
{
	__tsan_acquire(address);
}
#else
static inline void tell_release(void *address)
{
	(void)address;
}

static inline void tell_acquire(void *address)
{
	(void)address;
}
#endif

_Static_assert(sizeof(struct rcu_head) <= sizeof(((struct gv_reclaim_node *)0)->head),
	       "liburcu's node fits");

/* What the sanitizer orders by; nothing is stored in it. */
static char grace;

/* Guards the list; held over fork, so that no registration is half done in the child. */
static struct gv_lock readers_lock;
static struct gv_list readers = { &readers, &readers };

static _Atomic bool started;
static _Atomic uint64_t retired, reclaimed;

static void *do_nothing(void *arg)
{
	return arg;
}

/* liburcu ends the process where it cannot start its thread; so try with one of our own. */
static int try_thread(void)
{
	pthread_t thread;

	if (gv_fault_here("reclaim_thread"))
		return -EAGAIN;
	int code = pthread_create(&thread, NULL, do_nothing, NULL);
	if (code == 0)
		(void)pthread_join(thread, NULL);
	return -code;
}

/* The helper inherits its signal mask: the program's handlers shall not run there. */
static int start_helper(void)
{
	sigset_t all, saved;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &saved);
	int code = try_thread();
	if (code == 0) {
		struct call_rcu_data *helper = urcu_qsbr_get_default_call_rcu_data();
		(void)pthread_setname_np(urcu_qsbr_get_call_rcu_thread(helper), "grove-reclaim");
	}
	(void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return code;
}

int gv_reclaim_init(void)
{
	int code = 0;

	gv_lock_acquire(&readers_lock);
	if (!gv_load(&started, relaxed)) { /* relaxed: written under the lock */
		code = start_helper();
		gv_store(&started, code == 0, relaxed);
	}
	gv_lock_release(&readers_lock);
	return code;
}

unsigned gv_reclaim_thread_count(void)
{
	return gv_load(&started, relaxed) ? 1 : 0; /* relaxed: statistics */
}

void gv_reclaim_register(struct gv_reclaim_reader *reader)
{
	struct urcu_qsbr_reader *state = &URCU_TLS(urcu_qsbr_reader);

	*reader = (struct gv_reclaim_reader){
		.state = state,
		.borrowed = state->registered,
		.was_online = urcu_qsbr_read_ongoing() != 0,
	};
	if (reader->was_online)
		gv_reclaim_offline(); /* R4 */
	gv_lock_acquire(&readers_lock);
	if (reader->borrowed)
		urcu_qsbr_thread_online();
	else
		urcu_qsbr_register_thread();
	gv_list_append(&readers, &reader->link);
	gv_lock_release(&readers_lock);
}

void gv_reclaim_unregister(struct gv_reclaim_reader *reader)
{
	GV_CHECK(reader->state == &URCU_TLS(urcu_qsbr_reader), "reader %p of another thread",
		 (void *)reader);

	gv_reclaim_offline(); /* R4 */
	gv_lock_acquire(&readers_lock);
	gv_list_remove(&reader->link);
	if (!reader->borrowed)
		urcu_qsbr_unregister_thread();
	else if (reader->was_online)
		urcu_qsbr_thread_online();
	reader->state = NULL;
	gv_lock_release(&readers_lock);
}

void gv_reclaim_quiescent(void)
{
	tell_release(&grace);
	urcu_qsbr_quiescent_state();
}

void gv_reclaim_offline(void)
{
	tell_release(&grace);
	urcu_qsbr_thread_offline();
}

void gv_reclaim_online(void)
{
	urcu_qsbr_thread_online();
}

/*
 * To the helper that gv_reclaim_init has started, whatever the program has chosen for this thread:
 * one queue, so that a barrier comes after what was retired before it.
 */
static void hand_over(struct rcu_head *head, void (*run)(struct rcu_head *head))
{
	struct call_rcu_data *chosen = urcu_qsbr_get_thread_call_rcu_data();

	tell_release(head);
	urcu_qsbr_set_thread_call_rcu_data(urcu_qsbr_get_default_call_rcu_data());
	urcu_qsbr_call_rcu(head, run);
	urcu_qsbr_set_thread_call_rcu_data(chosen);
}

static void run_retired(struct rcu_head *head)
{
	struct gv_reclaim_node *node = GV_CONTAINER_OF(head, struct gv_reclaim_node, head);

	tell_acquire(&grace);
	tell_acquire(head);
	/* The node may be part of what the function frees. */
	node->fn(node->arg);
	gv_add(&reclaimed, 1, relaxed); /* relaxed: statistics */
}

void gv_reclaim_retire(struct gv_reclaim_node *node, void (*fn)(void *arg), void *arg)
{
	node->fn = fn;
	node->arg = arg;
	gv_add(&retired, 1, relaxed); /* relaxed: statistics */
	hand_over((struct rcu_head *)(void *)node->head, run_retired);
}

struct barrier {
	struct rcu_head head;
	_Atomic uint32_t passed;
};

static void pass_barrier(struct rcu_head *head)
{
	struct barrier *barrier = GV_CONTAINER_OF(head, struct barrier, head);
	_Atomic uint32_t *passed = &barrier->passed;

	tell_acquire(head);
	/* [passed]  The barrier may be gone after this; a wake of its address does no harm. */
	gv_store(passed, 1, release);
	(void)gv_futex_wake(passed, 1);
}

void gv_reclaim_barrier(void)
{
	struct barrier barrier = { .passed = 0 };
	bool was_online = urcu_qsbr_read_ongoing() != 0;

	if (was_online)
		gv_reclaim_offline();
	hand_over(&barrier.head, pass_barrier);
	while (gv_load(&barrier.passed, acquire) == 0) /* [passed] */
		(void)gv_futex_wait(&barrier.passed, 0, INT64_MAX);
	if (was_online)
		gv_reclaim_online();
}

uint64_t gv_reclaim_pending(void)
{
	/* relaxed: statistics.  In this order, so that the difference is never negative. */
	uint64_t finished = gv_load(&reclaimed, relaxed);
	uint64_t begun = gv_load(&retired, relaxed);

	return begun > finished ? begun - finished : 0;
}

void gv_reclaim_before_fork(void)
{
	bool was_online = urcu_qsbr_read_ongoing() != 0;

	gv_lock_acquire(&readers_lock);
	/* The helper may stand in a grace period that waits for this very thread. */
	if (was_online)
		gv_reclaim_offline();
	urcu_qsbr_call_rcu_before_fork();
	if (was_online)
		gv_reclaim_online();
}

void gv_reclaim_after_fork_parent(void)
{
	urcu_qsbr_call_rcu_after_fork_parent();
	gv_lock_release(&readers_lock);
}

void gv_reclaim_after_fork_child(void)
{
	struct gv_list *link = readers.next;

	while (link != &readers) {
		struct gv_reclaim_reader *reader =
			GV_CONTAINER_OF(link, struct gv_reclaim_reader, link);
		struct urcu_qsbr_reader *state = reader->state;

		link = link->next;
		if (state == &URCU_TLS(urcu_qsbr_reader))
			continue;
		gv_list_remove(&reader->link);
		cds_list_del(&state->node);
		reader->state = NULL;
	}
	urcu_qsbr_call_rcu_after_fork_child();
	gv_lock_release(&readers_lock);
}
