/* SPDX-License-Identifier: MIT */
/*
 * test_clock.c - the clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "plat/clock.h"

static void test_clock_never_goes_back(void **state)
{
	(void)state;
	int64_t last = gv_clock_ns();

	for (int i = 0; i < 10000; i++) {
		int64_t now = gv_clock_ns();
		assert_true(now >= last);
		last = now;
	}
}

/* Deadlines are handed to the kernel as times of this clock. */
static void test_clock_is_the_kernels_monotonic_one(void **state)
{
	(void)state;
	struct timespec t;
	int64_t before = gv_clock_ns();

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
	int64_t between = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	int64_t after = gv_clock_ns();
	assert_true(before <= between && between <= after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_never_goes_back),
		cmocka_unit_test(test_clock_is_the_kernels_monotonic_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
