/* SPDX-License-Identifier: MIT */
/*
 * test_version.c - the version of the library and that of its headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "grove/version.h"

static void test_version_is_that_of_the_headers(void **state)
{
	(void)state;
	char expected[32];

	snprintf(expected, sizeof(expected), "%d.%d.%d", GROVE_VERSION_MAJOR, GROVE_VERSION_MINOR,
		 GROVE_VERSION_PATCH);
	assert_string_equal(grove_version(), expected);
	assert_int_equal(GROVE_VERSION_NUMBER >> 16, GROVE_VERSION_MAJOR);
	assert_int_equal(GROVE_VERSION_NUMBER & 0xff, GROVE_VERSION_PATCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_is_that_of_the_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
