/* SPDX-License-Identifier: MIT */
/*
 * test_time.c - deadlines at the ends of the number range.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grove/base.h"

#include <math.h>

#define S INT64_C(1000000000)

static bool never(grove_deadline d)
{
	return d.ns == INT64_MAX;
}

static bool passed(grove_deadline d)
{
	return d.ns != INT64_MIN && d.ns <= grove_now_ns();
}

/* Whether the deadline is so far from now, asked before and after. */
static bool lies_at(int64_t before, grove_deadline d, int64_t distance, int64_t after)
{
	return d.ns >= before + distance && d.ns <= after + distance;
}

static void test_in_counts_from_now(void **state)
{
	(void)state;
	int64_t before = grove_now_ns();
	grove_deadline ns = grove_in_ns(5);
	grove_deadline ms = grove_in_ms(5);
	grove_deadline s = grove_in_s(5);
	int64_t after = grove_now_ns();

	assert_true(lies_at(before, ns, 5, after));
	assert_true(lies_at(before, ms, 5 * S / 1000, after));
	assert_true(lies_at(before, s, 5 * S, after));
}

static void test_in_of_zero_and_less_has_passed(void **state)
{
	(void)state;
	static const int64_t distances[] = { 0, -1, -S, INT64_MIN + 1, INT64_MIN };

	for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
		assert_true(passed(grove_in_ns(distances[i])));
		assert_true(passed(grove_in_ms(distances[i])));
		assert_true(passed(grove_in_s((double)distances[i])));
	}
	assert_true(passed(grove_in_s(-INFINITY)));
	assert_true(passed(grove_in_s(NAN)));
	assert_true(passed(grove_in_s(-0.0)));
}

static void test_in_of_what_does_not_fit_is_never(void **state)
{
	(void)state;
	assert_true(never(grove_in_ns(INT64_MAX)));
	assert_true(never(grove_in_ns(INT64_MAX - 1)));
	assert_true(never(grove_in_ms(INT64_MAX)));
	assert_true(never(grove_in_ms(INT64_MAX / 1000000)));
	assert_true(never(grove_in_ms(INT64_MAX / 1000000 + 1)));
	assert_true(never(grove_in_s(1e10)));
	assert_true(never(grove_in_s(9223372036.854775807)));
	assert_true(never(grove_in_s(INFINITY)));
}

static void test_in_s_rounds_fractions_up(void **state)
{
	(void)state;
	int64_t before = grove_now_ns();
	grove_deadline tiny = grove_in_s(1e-12);
	grove_deadline half = grove_in_s(1.5e-9);
	int64_t after = grove_now_ns();

	assert_true(lies_at(before, tiny, 1, after));
	assert_true(lies_at(before, half, 2, after));
}

static void test_at_keeps_all_points_but_poll(void **state)
{
	(void)state;
	assert_int_equal(grove_at_ns(12345).ns, 12345);
	assert_int_equal(grove_at_ns(-12345).ns, -12345);
	assert_true(never(grove_at_ns(INT64_MAX)));
	assert_true(passed(grove_at_ns(INT64_MIN)));
	assert_true(passed(grove_at_ns(INT64_MIN + 1)));
	assert_true(passed(GROVE_DEADLINE(0)));
}

static void test_left_is_never_negative(void **state)
{
	(void)state;
	assert_int_equal(grove_left_ns(GROVE_POLL), 0);
	assert_int_equal(grove_left_ns(GROVE_DEADLINE(0)), 0);
	assert_int_equal(grove_left_ns(GROVE_DEADLINE(INT64_MIN + 1)), 0);
	assert_int_equal(grove_left_ns(grove_in_ns(-1)), 0);
	assert_int_equal(grove_left_ns(GROVE_NEVER), INT64_MAX);
	assert_in_range(grove_left_ns(grove_in_s(1000)), 900 * S, 1000 * S);
}

static void test_now_does_not_go_back(void **state)
{
	(void)state;
	int64_t last = grove_now_ns();

	for (int i = 0; i < 1000; i++) {
		int64_t now = grove_now_ns();
		assert_true(now >= last);
		last = now;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_counts_from_now),
		cmocka_unit_test(test_in_of_zero_and_less_has_passed),
		cmocka_unit_test(test_in_of_what_does_not_fit_is_never),
		cmocka_unit_test(test_in_s_rounds_fractions_up),
		cmocka_unit_test(test_at_keeps_all_points_but_poll),
		cmocka_unit_test(test_left_is_never_negative),
		cmocka_unit_test(test_now_does_not_go_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
