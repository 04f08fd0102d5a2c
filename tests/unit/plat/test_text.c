/* SPDX-License-Identifier: MIT */
/*
 * test_text.c - messages without printf.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plat/text.h"

static void test_text_puts_words_and_numbers_together(void **state)
{
	(void)state;
	char buffer[100];
	char expected[100];
	struct gv_text text;

	gv_text_begin(&text, buffer, sizeof(buffer));
	assert_string_equal(buffer, "");
	gv_text_add(&text, "slot ");
	gv_text_add_number(&text, 0);
	gv_text_add(&text, " of ");
	gv_text_add_number(&text, UINT64_MAX);
	gv_text_add(&text, " at ");
	gv_text_add_pointer(&text, buffer);
	snprintf(expected, sizeof(expected), "slot 0 of 18446744073709551615 at %p",
		 (void *)buffer);
	assert_string_equal(buffer, expected);
}

static void test_text_cuts_what_does_not_fit(void **state)
{
	(void)state;
	char buffer[12];
	struct gv_text text;

	memset(buffer, 'x', sizeof(buffer));
	gv_text_begin(&text, buffer, 8);
	gv_text_add(&text, "12345");
	gv_text_add_number(&text, 678901);
	gv_text_add(&text, "more");
	assert_string_equal(buffer, "1234567");
	assert_int_equal(buffer[8], 'x');

	gv_text_begin(&text, buffer, 1);
	gv_text_add(&text, "a");
	assert_string_equal(buffer, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_puts_words_and_numbers_together),
		cmocka_unit_test(test_text_cuts_what_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
