/* SPDX-License-Identifier: MIT */
/*
 * test_futex.c - sleeping on a word.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plat/clock.h"
#include "plat/futex.h"

static void test_wait_on_another_value_returns(void **state)
{
	(void)state;
	_Atomic uint32_t word = 1;

	assert_int_equal(gv_futex_wait(&word, 0, INT64_MAX), -EAGAIN);
}

static void test_wait_ends_at_its_deadline(void **state)
{
	(void)state;
	_Atomic uint32_t word = 0;
	int64_t deadline = gv_clock_ns() + 1000000;

	assert_int_equal(gv_futex_wait(&word, 0, deadline), -ETIMEDOUT);
	assert_true(gv_clock_ns() >= deadline);
	assert_int_equal(gv_futex_wait(&word, 0, 0), -ETIMEDOUT);
	assert_int_equal(gv_futex_wait(&word, 0, INT64_MIN), -ETIMEDOUT);
}

static void test_wake_counts_sleepers_and_keeps_errno(void **state)
{
	(void)state;
	_Atomic uint32_t word = 0;

	errno = ERANGE;
	assert_int_equal(gv_futex_wake(&word, 1), 0);
	assert_int_equal(gv_futex_wake(NULL, 1), 0);
	assert_int_equal(errno, ERANGE);
}

struct sleeper {
	_Atomic uint32_t word;
	_Atomic int result; /* 1 until the wait has ended */
};

static void *sleep_on_zero(void *arg)
{
	struct sleeper *sleeper = arg;
	int result = gv_futex_wait(&sleeper->word, 0, INT64_MAX);

	gv_store(&sleeper->result, result, release); /* the test joins after */
	return NULL;
}

static void test_wake_ends_a_wait(void **state)
{
	(void)state;
	struct sleeper sleeper = { .result = 1 };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, sleep_on_zero, &sleeper), 0);
	while (gv_futex_wake(&sleeper.word, 1) == 0)
		sched_yield();
	pthread_join(thread, NULL);
	assert_int_equal(sleeper.result, 0);
}

static void no_op(int signo)
{
	(void)signo;
}

static void test_a_signal_ends_a_wait(void **state)
{
	(void)state;
	struct sleeper sleeper = { .result = 1 };
	struct sigaction action;
	pthread_t thread;

	memset(&action, 0, sizeof(action));
	action.sa_handler = no_op;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, sleep_on_zero, &sleeper), 0);
	while (gv_load(&sleeper.result, acquire) == 1) {
		pthread_kill(thread, SIGUSR1);
		sched_yield();
	}
	pthread_join(thread, NULL);
	assert_int_equal(sleeper.result, -EINTR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait_on_another_value_returns),
		cmocka_unit_test(test_wait_ends_at_its_deadline),
		cmocka_unit_test(test_wake_counts_sleepers_and_keeps_errno),
		cmocka_unit_test(test_wake_ends_a_wait),
		cmocka_unit_test(test_a_signal_ends_a_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
