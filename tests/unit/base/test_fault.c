/* SPDX-License-Identifier: MIT */
/*
 * test_fault.c - fault.c: which of the points that are passed fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/fault.h"

#include <errno.h>
#include <pthread.h>

#include "grove.h"

#ifdef GV_FAULT
static int disarm(void **state)
{
	(void)state;
	gv_fault_arm(0);
	return 0;
}

static void test_nothing_fails_unarmed(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_false(gv_fault_here("point"));
}

static void test_the_first_point_fails(void **state)
{
	(void)state;
	gv_fault_arm(1);
	assert_true(gv_fault_here("point"));
}

static void test_the_last_of_the_countdown_fails(void **state)
{
	(void)state;
	for (long n = 1; n < 50; n++) {
		gv_fault_arm(n);
		for (long i = 1; i < n; i++)
			assert_false(gv_fault_here("point"));
		assert_true(gv_fault_here("point"));
	}
}

static void test_only_one_fails(void **state)
{
	(void)state;
	gv_fault_arm(3);
	int failed = 0;
	for (int i = 0; i < 1000; i++)
		failed += gv_fault_here("point");
	assert_int_equal(failed, 1);
}

static void test_disarming_takes_the_countdown_back(void **state)
{
	(void)state;
	gv_fault_arm(3);
	assert_false(gv_fault_here("point"));
	gv_fault_arm(0);
	for (int i = 0; i < 100; i++)
		assert_false(gv_fault_here("point"));
}

static void test_the_names_do_not_count_apart(void **state)
{
	(void)state;
	gv_fault_arm(2);
	assert_false(gv_fault_here("one"));
	assert_true(gv_fault_here("another"));
	assert_false(gv_fault_here("one"));
}

static void test_passed_points_are_counted(void **state)
{
	(void)state;
	gv_fault_arm(0);
	assert_int_equal(gv_fault_seen(), 0);
	for (int i = 0; i < 7; i++)
		assert_false(gv_fault_here("point"));
	assert_int_equal(gv_fault_seen(), 7);
}

static void test_the_one_that_fails_counts_too(void **state)
{
	(void)state;
	gv_fault_arm(2);
	for (int i = 0; i < 5; i++)
		(void)gv_fault_here("point");
	assert_int_equal(gv_fault_seen(), 5);
}

static void test_arming_counts_from_zero(void **state)
{
	(void)state;
	gv_fault_arm(5);
	assert_false(gv_fault_here("point"));
	gv_fault_arm(2);
	assert_int_equal(gv_fault_seen(), 0);
	assert_false(gv_fault_here("point"));
	assert_true(gv_fault_here("point"));
}

enum { THREADS = 4, PASSES = 10000 };

static void *pass_points(void *failed)
{
	for (int i = 0; i < PASSES; i++)
		*(int *)failed += gv_fault_here("point");
	return NULL;
}

static void test_of_several_threads_one_fails_once(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		pthread_t threads[THREADS];
		int failed[THREADS] = { 0 };
		int sum = 0;

		gv_fault_arm(1 + round * 997);
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, pass_points, &failed[i]),
					 0);
		for (int i = 0; i < THREADS; i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			sum += failed[i];
		}
		assert_int_equal(sum, 1);
		assert_int_equal(gv_fault_seen(), THREADS * PASSES);
	}
}

static void *never_run(void *arg)
{
	return arg;
}

/* The first point on the way of this call is the copy's memory. */
static void test_the_caller_sees_a_failure(void **state)
{
	(void)state;
	grove_greenlet *g = NULL;
	int data = 1;

	gv_fault_arm(1);
	assert_int_equal(grove_spawn_copy(&g, never_run, &data, sizeof(data)), -ENOMEM);
	assert_null(g);
	assert_int_equal(gv_fault_seen(), 1);
	assert_int_equal(grove_hub_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_nothing_fails_unarmed, disarm),
		cmocka_unit_test_teardown(test_the_first_point_fails, disarm),
		cmocka_unit_test_teardown(test_the_last_of_the_countdown_fails, disarm),
		cmocka_unit_test_teardown(test_only_one_fails, disarm),
		cmocka_unit_test_teardown(test_disarming_takes_the_countdown_back, disarm),
		cmocka_unit_test_teardown(test_the_names_do_not_count_apart, disarm),
		cmocka_unit_test_teardown(test_passed_points_are_counted, disarm),
		cmocka_unit_test_teardown(test_the_one_that_fails_counts_too, disarm),
		cmocka_unit_test_teardown(test_arming_counts_from_zero, disarm),
		cmocka_unit_test_teardown(test_of_several_threads_one_fails_once, disarm),
		cmocka_unit_test_teardown(test_the_caller_sees_a_failure, disarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void test_the_question_is_free(void **state)
{
	(void)state;
	int looked = 0;

	assert_false(gv_fault_here((looked++, "point")));
	assert_int_equal(looked, 0);
}

static void test_countdowns(void **state)
{
	(void)state;
	skip(); /* nothing can be armed in this build */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_question_is_free),
		cmocka_unit_test(test_countdowns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
