/* SPDX-License-Identifier: MIT */
/*
 * test_codes.c - texts of codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "grove/base.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <netdb.h>
#include <string.h>

static const int own[] = {
	GROVE_FAILED,	GROVE_KILLED,	 GROVE_INTERRUPTED, GROVE_PEER_LOST, GROVE_IN_HUB,
	GROVE_DEADLOCK, GROVE_NOT_OWNER, GROVE_BROKEN,	    GROVE_END,	     GROVE_FATAL,
};

static void test_strerror_has_a_text_of_its_own_for_each_own_code(void **state)
{
	(void)state;
	const char *unknown = grove_strerror(-100000);

	for (size_t i = 0; i < GV_ARRAY_LEN(own); i++) {
		assert_string_not_equal(grove_strerror(own[i]), unknown);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(grove_strerror(own[i]), grove_strerror(own[j]));
	}
}

static void test_strerror_calls_nonnegative_values_success(void **state)
{
	(void)state;
	assert_string_equal(grove_strerror(0), "success");
	assert_string_equal(grove_strerror(INT_MAX), "success");
}

static void test_strerror_knows_the_kernels_codes(void **state)
{
	(void)state;
	const char *unknown = grove_strerror(-100000);

	assert_string_not_equal(grove_strerror(-ENOMEM), unknown);
	assert_string_not_equal(grove_strerror(-ECONNRESET), unknown);
	assert_string_not_equal(grove_strerror(-EHWPOISON), unknown);
}

static void test_strerror_is_a_constant_whatever_the_locale(void **state)
{
	(void)state;
	const char *before = grove_strerror(-ENOTCONN);

	(void)setlocale(LC_ALL, "");
	assert_ptr_equal(grove_strerror(-ENOTCONN), before);
	(void)setlocale(LC_ALL, "C");
}

static void test_strerror_knows_name_resolution(void **state)
{
	(void)state;
	const char *unknown = grove_strerror(-100000);

	assert_string_not_equal(grove_strerror(GROVE_DNS(EAI_NONAME)), unknown);
	assert_string_not_equal(grove_strerror(GROVE_DNS(EAI_AGAIN)),
				grove_strerror(GROVE_DNS(EAI_NONAME)));
	assert_string_not_equal(grove_strerror(GROVE_DNS(-1)), unknown);
	assert_string_not_equal(grove_strerror(GROVE_DNS(-255)), unknown);
	assert_string_equal(grove_strerror(GROVE_DNS(0)), unknown);
	assert_string_equal(grove_strerror(GROVE_DNS(-256)), unknown);
}

static void test_strerror_has_some_text_for_every_number(void **state)
{
	(void)state;
	for (int code = 10; code > -5000; code--)
		assert_true(strlen(grove_strerror(code)) > 0);
	assert_string_equal(grove_strerror(INT_MIN), grove_strerror(-100000));
	assert_string_equal(grove_strerror(-4095), grove_strerror(-100000));
}

static void test_is_timeout_holds_for_three_codes(void **state)
{
	(void)state;
	assert_true(grove_is_timeout(-ETIMEDOUT));
	assert_true(grove_is_timeout(GROVE_INTERRUPTED));
	assert_true(grove_is_timeout(GROVE_PEER_LOST));
	assert_false(grove_is_timeout(0));
	assert_false(grove_is_timeout(ETIMEDOUT));
	assert_false(grove_is_timeout(-EAGAIN));
	assert_false(grove_is_timeout(GROVE_KILLED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strerror_has_a_text_of_its_own_for_each_own_code),
		cmocka_unit_test(test_strerror_calls_nonnegative_values_success),
		cmocka_unit_test(test_strerror_knows_the_kernels_codes),
		cmocka_unit_test(test_strerror_is_a_constant_whatever_the_locale),
		cmocka_unit_test(test_strerror_knows_name_resolution),
		cmocka_unit_test(test_strerror_has_some_text_for_every_number),
		cmocka_unit_test(test_is_timeout_holds_for_three_codes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
