/* SPDX-License-Identifier: MIT */
/*
 * test_runtime.c - hubs are made, started, stopped and started again.
 */
#include "sched_test.h"

#include "gt.h"

#include "base/fault.h"
#include "sched/loop.h"

static _Atomic unsigned started;
static _Atomic unsigned stopped;
static _Atomic uint64_t started_hubs;

static void note_start(int hub, void *arg)
{
	(void)arg;
	gv_add(&started, 1, relaxed);
	gv_or(&started_hubs, UINT64_C(1) << hub, relaxed);
}

static void note_stop(int hub, void *arg)
{
	(void)hub;
	(void)arg;
	gv_add(&stopped, 1, relaxed);
}

static int begin(void **state)
{
	(void)state;
	memset(&gv_runtime.options, 0, sizeof(gv_runtime.options));
	gv_runtime.options.pin = GROVE_PIN_OFF;
	gv_runtime.options.on_hub_start = note_start;
	gv_runtime.options.on_hub_stop = note_stop;
	gv_store(&started, 0, relaxed);
	gv_store(&stopped, 0, relaxed);
	gv_store(&started_hubs, 0, relaxed);
	return 0;
}

static void run_behind(unsigned hubs)
{
	assert_int_equal(gv_runtime_begin(hubs, false), 0);
	assert_int_equal(gv_hub_total(), hubs);
	gt_until(gv_load(&gv_idle.asleep, seq_cst) == hubs);
	gv_runtime_ask_stop();
	gv_runtime_end();
	assert_int_equal(gv_hub_total(), 0);
}

static void check_hubs(unsigned hubs)
{
	assert_int_equal(gv_load(&started, relaxed), hubs);
	assert_int_equal(gv_load(&stopped, relaxed), hubs);
	assert_true(gv_load(&started_hubs, relaxed) == (UINT64_C(1) << hubs) - 1);
}

static void test_one_hub(void **state)
{
	(void)state;
	run_behind(1);
	check_hubs(1);
}

static void test_two_hubs(void **state)
{
	(void)state;
	run_behind(2);
	check_hubs(2);
}

static void test_eight_hubs(void **state)
{
	(void)state;
	run_behind(8);
	check_hubs(8);
}

static void test_stop_may_come_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(gv_runtime_begin(4, false), 0);
		gv_runtime_ask_stop();
		gv_runtime_end();
	}
	assert_int_equal(gv_load(&stopped, relaxed), 80);
}

static void test_hubs_are_made_once(void **state)
{
	(void)state;
	run_behind(2);
	struct gv_hub *first[2] = { gv_hub_at(0), gv_hub_at(1) };
	run_behind(4);
	assert_ptr_equal(gv_hub_at(0), first[0]);
	assert_ptr_equal(gv_hub_at(1), first[1]);
	run_behind(1);
	assert_int_equal(gv_load(&started, relaxed), 7);
	assert_int_equal(gv_load(&stopped, relaxed), 7);
}

static void *ask_stop(void *hub)
{
	gt_until(gv_load(&gv_idle.asleep, seq_cst) == 2);
	gv_runtime_ask_stop();
	return hub;
}

static void test_calling_pthread_may_be_a_hub(void **state)
{
	pthread_t thread;

	(void)state;
	/* Its own reader makes way for that of the hub. */
	gv_reclaim_unregister(&st_reader);
	assert_int_equal(gv_runtime_begin(2, true), 0);
	assert_ptr_equal(gv_hub_self(), gv_hub_at(0));
	assert_int_equal(pthread_create(&thread, NULL, ask_stop, NULL), 0);
	gv_runtime_loop_here();
	gv_runtime_end();
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_null(gv_hub_self());
	gv_reclaim_register(&st_reader);
	check_hubs(2);
}

static void test_fewer_hubs_may_be_active(void **state)
{
	(void)state;
	assert_int_equal(gv_runtime_begin(4, false), 0);
	gv_runtime_set_active(2);
	assert_false(gv_load(&gv_hub_at(1)->retired, relaxed));
	assert_true(gv_load(&gv_hub_at(2)->retired, relaxed));
	assert_true(gv_load(&gv_hub_at(3)->retired, relaxed));
	gv_runtime_set_active(0);
	assert_int_equal(gv_load(&gv_runtime.active_hubs, relaxed), 1);
	assert_false(gv_load(&gv_hub_at(0)->retired, relaxed));
	gv_runtime_set_active(100);
	assert_int_equal(gv_load(&gv_runtime.active_hubs, relaxed), 4);
	assert_false(gv_load(&gv_hub_at(3)->retired, relaxed));
	gv_runtime_ask_stop();
	gv_runtime_end();
}

#ifdef GV_FAULT

static void test_whatever_fails_nothing_runs(void **state)
{
	bool threads_failed = false;

	(void)state;
	/* Hubs are made anew, so that their parts are points, too. */
	gv_runtime_forget();
	for (long n = 1;; n++) {
		gv_fault_arm(n);
		int rc = gv_runtime_begin(3, false);
		bool past = gv_fault_seen() < n;
		gv_fault_arm(0);
		if (rc == 0) {
			gv_runtime_ask_stop();
			gv_runtime_end();
			if (past)
				break;
		}
		assert_true(rc == 0 || rc == -ENOMEM || rc == -EAGAIN);
		threads_failed |= rc == -EAGAIN;
		assert_int_equal(gv_hub_total(), 0);
		assert_int_equal(gv_load(&started, relaxed), gv_load(&stopped, relaxed));
	}
	assert_true(threads_failed);
	begin(NULL);
	run_behind(3);
	check_hubs(3);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_hub, begin),
		cmocka_unit_test_setup(test_two_hubs, begin),
		cmocka_unit_test_setup(test_eight_hubs, begin),
		cmocka_unit_test_setup(test_stop_may_come_at_once, begin),
		cmocka_unit_test_setup(test_hubs_are_made_once, begin),
		cmocka_unit_test_setup(test_calling_pthread_may_be_a_hub, begin),
		cmocka_unit_test_setup(test_fewer_hubs_may_be_active, begin),
#ifdef GV_FAULT
		cmocka_unit_test_setup(test_whatever_fails_nothing_runs, begin),
#endif
	};
	return cmocka_run_group_tests(tests, st_begin, st_end);
}
