/* SPDX-License-Identifier: MIT */
/*
 * test_reclaim.c - reclaim.c.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/fault.h"
#include "store/reclaim.h"

#include <urcu/urcu-qsbr.h>

/* Set by a retired function; read by the tests. */
struct marker {
	struct gv_reclaim_node node;
	_Atomic uint32_t ran;
};

static void mark(void *arg)
{
	struct marker *marker = arg;

	gv_add(&marker->ran, 1, release); /* [ran] */
}

static uint32_t marks(struct marker *marker)
{
	return gv_load(&marker->ran, acquire); /* [ran] */
}

static void until_marked(struct marker *marker)
{
	while (marks(marker) == 0)
		sched_yield();
}

static void until(const _Atomic uint32_t *word, uint32_t value)
{
	while (gv_load(word, acquire) != value) /* [step] */
		sched_yield();
}

static void step(_Atomic uint32_t *word, uint32_t value)
{
	gv_store(word, value, release); /* [step] */
}

static int init(void **state)
{
	(void)state;
	return gv_reclaim_init();
}

static void test_init_starts_one_helper(void **state)
{
	(void)state;

	assert_int_equal(gv_reclaim_init(), 0);
	assert_int_equal(gv_reclaim_thread_count(), 1);
}

static void test_retired_function_runs_without_readers(void **state)
{
	struct marker marker = { 0 };
	(void)state;

	gv_reclaim_retire(&marker.node, mark, &marker);
	until_marked(&marker);
	gv_reclaim_barrier();
	assert_int_equal(marks(&marker), 1);
	assert_int_equal(gv_reclaim_pending(), 0);
}

static void test_barrier_waits_for_all(void **state)
{
	enum { COUNT = 1000 };
	struct marker *markers = calloc(COUNT, sizeof(*markers));
	(void)state;

	assert_non_null(markers);
	for (int i = 0; i < COUNT; i++)
		gv_reclaim_retire(&markers[i].node, mark, &markers[i]);
	gv_reclaim_barrier();
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(marks(&markers[i]), 1);
	assert_int_equal(gv_reclaim_pending(), 0);
	free(markers);
}

static struct marker followers[2];

static void retire_follower(void *arg)
{
	(void)arg;
	gv_reclaim_retire(&followers[1].node, mark, &followers[1]);
}

static void test_retired_function_may_retire(void **state)
{
	(void)state;

	gv_reclaim_retire(&followers[0].node, retire_follower, NULL);
	until_marked(&followers[1]);
	gv_reclaim_barrier();
}

/*
 * One reader that goes through the states that the test tells it.
 */

enum { IDLE, READING, SAY_QUIESCENT, SAY_IT_AGAIN, SAY_OFFLINE, SAY_ONLINE, SAY_END };

struct reader {
	struct gv_reclaim_reader record;
	_Atomic uint32_t order;
	_Atomic uint32_t done;
};

static void *run_reader(void *arg)
{
	struct reader *r = arg;
	uint32_t last = IDLE;

	gv_reclaim_register(&r->record);
	step(&r->done, READING);
	for (;;) {
		uint32_t order = gv_load(&r->order, acquire); /* [step] */

		if (order == last) {
			sched_yield();
			continue;
		}
		last = order;
		if (order == SAY_QUIESCENT || order == SAY_IT_AGAIN) {
			gv_reclaim_quiescent();
		} else if (order == SAY_OFFLINE) {
			gv_reclaim_offline();
		} else if (order == SAY_ONLINE) {
			gv_reclaim_online();
		} else if (order == SAY_END) {
			gv_reclaim_unregister(&r->record);
			step(&r->done, order);
			return NULL;
		}
		step(&r->done, order);
	}
}

static pthread_t start_reader(struct reader *r)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run_reader, r), 0);
	until(&r->done, READING);
	return thread;
}

static void tell(struct reader *r, uint32_t order)
{
	step(&r->order, order);
	until(&r->done, order);
}

/* Not proof but chance: time enough for a helper that does not wait. */
static void assert_held_back(struct marker *marker)
{
	for (int i = 0; i < 2000; i++)
		sched_yield();
	assert_int_equal(marks(marker), 0);
}

static void check_release_by(uint32_t order)
{
	struct reader r = { 0 };
	struct marker marker = { 0 };
	pthread_t thread = start_reader(&r);

	gv_reclaim_retire(&marker.node, mark, &marker);
	assert_held_back(&marker);
	assert_int_equal(gv_reclaim_pending(), 1);
	tell(&r, order);
	/* A grace period that begins only now wants a quiescent state of its own. */
	while (order == SAY_QUIESCENT && marks(&marker) == 0) {
		tell(&r, SAY_IT_AGAIN);
		tell(&r, SAY_QUIESCENT);
	}
	until_marked(&marker);
	if (order != SAY_END)
		tell(&r, SAY_END);
	assert_int_equal(pthread_join(thread, NULL), 0);
	gv_reclaim_barrier();
}

static void test_quiescent_state_lets_go(void **state)
{
	(void)state;
	check_release_by(SAY_QUIESCENT);
}

static void test_going_offline_lets_go(void **state)
{
	(void)state;
	check_release_by(SAY_OFFLINE);
}

static void test_unregistering_lets_go(void **state)
{
	(void)state;
	check_release_by(SAY_END);
}

static void test_reader_back_online_holds_again(void **state)
{
	struct reader r = { 0 };
	struct marker first = { 0 }, second = { 0 };
	pthread_t thread = start_reader(&r);
	(void)state;

	tell(&r, SAY_OFFLINE);
	gv_reclaim_retire(&first.node, mark, &first);
	until_marked(&first);
	tell(&r, SAY_ONLINE);
	gv_reclaim_retire(&second.node, mark, &second);
	assert_held_back(&second);
	tell(&r, SAY_END);
	until_marked(&second);
	assert_int_equal(pthread_join(thread, NULL), 0);
	gv_reclaim_barrier();
}

static void test_barrier_of_a_reader_does_not_wait_for_itself(void **state)
{
	struct gv_reclaim_reader self;
	struct marker marker = { 0 };
	(void)state;

	gv_reclaim_register(&self);
	gv_reclaim_retire(&marker.node, mark, &marker);
	gv_reclaim_barrier();
	assert_int_equal(marks(&marker), 1);
	gv_reclaim_unregister(&self);
}

/* A program that uses liburcu itself may have registered the thread. */
static void test_registered_thread_is_borrowed_and_given_back(void **state)
{
	struct gv_reclaim_reader self;
	(void)state;

	urcu_qsbr_register_thread();
	gv_reclaim_register(&self);
	assert_true(self.borrowed);
	gv_reclaim_offline();
	gv_reclaim_online();
	gv_reclaim_unregister(&self);
	assert_true(urcu_qsbr_read_ongoing());

	urcu_qsbr_thread_offline();
	gv_reclaim_register(&self);
	assert_true(urcu_qsbr_read_ongoing());
	gv_reclaim_unregister(&self);
	assert_false(urcu_qsbr_read_ongoing());
	urcu_qsbr_unregister_thread();
}

/*
 * The usual use: a shared pointer, readers that follow it, and an owner that replaces it.
 */

enum { READERS = 3, REPLACEMENTS = 400 };

struct box {
	uint64_t value; /* plain: the sanitizers see a read after the free */
	struct gv_reclaim_node node;
};

static _Atomic(struct box *) shared;
static _Atomic bool no_more;

static void free_box(void *arg)
{
	struct box *box = arg;

	box->value = 0;
	free(box);
}

static void *follow(void *arg)
{
	struct gv_reclaim_reader record;
	uint64_t *faults = arg;

	gv_reclaim_register(&record);
	for (int i = 1; !gv_load(&no_more, relaxed); i++) {  /* relaxed: only soon matters */
		struct box *box = gv_load(&shared, acquire); /* [box] */

		if (box->value == 0)
			++*faults;
		if (i % 61 == 0)
			gv_reclaim_quiescent();
		if (i % 1000 == 0) {
			gv_reclaim_offline();
			sched_yield();
			gv_reclaim_online();
		}
	}
	gv_reclaim_unregister(&record);
	return NULL;
}

static struct box *new_box(uint64_t value)
{
	struct box *box = calloc(1, sizeof(*box));

	assert_non_null(box);
	box->value = value;
	return box;
}

static void test_nothing_is_freed_under_a_reader(void **state)
{
	pthread_t threads[READERS];
	uint64_t faults[READERS] = { 0 };
	(void)state;

	gv_store(&shared, new_box(1), release); /* [box] */
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, follow, &faults[i]), 0);
	for (uint64_t i = 2; i < REPLACEMENTS; i++) {
		struct box *old = gv_xchg(&shared, new_box(i), acq_rel); /* [box] */

		gv_reclaim_retire(&old->node, free_box, old);
		if (i % 16 == 0)
			sched_yield();
		if (i % 100 == 0)
			gv_reclaim_barrier();
	}
	gv_store(&no_more, true, relaxed); /* relaxed: only soon matters */
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(faults[i], 0);
	}
	gv_reclaim_barrier();
	assert_int_equal(gv_reclaim_pending(), 0);
	free(gv_load(&shared, relaxed)); /* relaxed: alone again */
}

/*
 * Fork, with a reader that is online and does not exist in the child.
 */

static int use_in_child(struct gv_reclaim_reader *self, struct marker *before)
{
	struct marker marker = { 0 };

	/* The new helper may get the memory of the thread that is gone. */
	gv_reclaim_after_fork_child();
	gv_reclaim_unregister(self);
	gv_reclaim_register(self);
	gv_reclaim_retire(&marker.node, mark, &marker);
	gv_reclaim_barrier();
	gv_reclaim_unregister(self);
	return marks(&marker) == 1 && marks(before) == 1 ? 0 : 1;
}

static void test_child_is_free_of_the_parents_readers(void **state)
{
	struct reader r = { 0 };
	struct marker marker = { 0 };
	struct gv_reclaim_reader self;
	int status;
	(void)state;

	/* This sanitizer allows no new threads in a child of several. */
	if (GV_TSAN)
		skip();
	pthread_t thread = start_reader(&r);
	/* The caller is a reader as well, and online. */
	gv_reclaim_register(&self);
	gv_reclaim_before_fork();
	gv_reclaim_retire(&marker.node, mark, &marker);
	pid_t child = fork();
	if (child == 0)
		_exit(use_in_child(&self, &marker));
	gv_reclaim_after_fork_parent();
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);

	gv_reclaim_unregister(&self);
	assert_held_back(&marker);
	tell(&r, SAY_END);
	until_marked(&marker);
	assert_int_equal(pthread_join(thread, NULL), 0);
	gv_reclaim_barrier();
}

#ifdef GV_FAULT
/* First of all: before the helper exists. */
static void test_init_without_a_thread_fails(void **state)
{
	(void)state;

	gv_fault_arm(1);
	assert_int_equal(gv_reclaim_init(), -EAGAIN);
	gv_fault_arm(0);
	assert_int_equal(gv_reclaim_thread_count(), 0);
}
#endif

static void note_signal(int signo)
{
	(void)signo;
}

static _Atomic uint32_t signals_blocked;

static void look_at_mask(void *arg)
{
	sigset_t mask;

	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGTERM))
		gv_store(&signals_blocked, 1, relaxed); /* relaxed: the marker orders it */
	mark(arg);
}

static void test_helper_takes_no_signals(void **state)
{
	struct marker marker = { 0 };
	sigset_t mask;
	(void)state;

	(void)signal(SIGUSR1, note_signal);
	gv_reclaim_retire(&marker.node, look_at_mask, &marker);
	until_marked(&marker);
	gv_reclaim_barrier();
	assert_int_equal(signals_blocked, 1);
	/* And ours is as it was. */
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	assert_int_equal(sigismember(&mask, SIGUSR1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef GV_FAULT
		cmocka_unit_test(test_init_without_a_thread_fails),
#endif
		cmocka_unit_test_setup(test_init_starts_one_helper, init),
		cmocka_unit_test(test_retired_function_runs_without_readers),
		cmocka_unit_test(test_barrier_waits_for_all),
		cmocka_unit_test(test_retired_function_may_retire),
		cmocka_unit_test(test_quiescent_state_lets_go),
		cmocka_unit_test(test_going_offline_lets_go),
		cmocka_unit_test(test_unregistering_lets_go),
		cmocka_unit_test(test_reader_back_online_holds_again),
		cmocka_unit_test(test_barrier_of_a_reader_does_not_wait_for_itself),
		cmocka_unit_test(test_registered_thread_is_borrowed_and_given_back),
		cmocka_unit_test(test_nothing_is_freed_under_a_reader),
		cmocka_unit_test(test_child_is_free_of_the_parents_readers),
		cmocka_unit_test(test_helper_takes_no_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
