/* SPDX-License-Identifier: MIT */
/*
 * test_check.c - check.c: what a process says before it dies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct death {
	int status;
	size_t length;
	char text[8192];
};

/* What a child that runs this function leaves behind. */
static void watch_it_die(void (*fn)(void), struct death *death)
{
	int ends[2];
	ssize_t got;

	memset(death, 0, sizeof(*death));
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		if (dup2(ends[1], STDERR_FILENO) < 0)
			_exit(100);
		close(ends[0]);
		close(ends[1]);
		fn();
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], death->text + death->length,
			   sizeof(death->text) - 1 - death->length)) > 0)
		death->length += (size_t)got;
	close(ends[0]);
	assert_int_equal(waitpid(child, &death->status, 0), child);
}

static void assert_aborted(const struct death *death)
{
	assert_true(WIFSIGNALED(death->status));
	assert_int_equal(WTERMSIG(death->status), SIGABRT);
}

/* One line, and it is whole. */
static void assert_one_line(const struct death *death)
{
	assert_true(death->length > 0);
	assert_int_equal(strlen(death->text), death->length);
	assert_ptr_equal(strchr(death->text, '\n'), death->text + death->length - 1);
}

static int answer(int n)
{
	return n;
}

static void fail_a_check(void)
{
	GV_CHECK(answer(6) * answer(9) == 42, "got %d from %s", answer(54), "arithmetic");
}

static void fail_without_values(void)
{
	GV_CHECK(answer(1) == 2, "out of luck");
}

static void fail_with_a_place(void)
{
	gv_die("some/file.c", 4711, "a < b", "a %u, b %#lx", 7u, 0x10ul);
}

static void fail_with_long_values(void)
{
	char values[3000];

	memset(values, 'v', sizeof(values) - 1);
	values[sizeof(values) - 1] = '\0';
	gv_die("file.c", 1, "short", "%s", values);
}

static void fail_with_a_long_expression(void)
{
	char expression[3000];

	memset(expression, 'e', sizeof(expression) - 1);
	expression[sizeof(expression) - 1] = '\0';
	gv_die("file.c", 1, expression, "values %d", 5);
}

static void fail_with_percents(void)
{
	gv_die("file.c", 1, "a %s b %n == 0", "%d%%", 100);
}

static void fail_without_stderr(void)
{
	close(STDERR_FILENO);
	GV_CHECK(answer(0), "nobody hears it");
}

static void fail_after_unflushed_output(void)
{
	setvbuf(stderr, NULL, _IOFBF, 4096);
	fprintf(stderr, "never flushed");
	GV_CHECK(answer(0), "last words");
}

static void fail_a_debug_check(void)
{
	GV_DEBUG_CHECK(answer(3) == 4, "value %d", answer(3));
}

enum { LINE_BEFORE = __LINE__ };
static void fail_where_the_line_is_known(void)
{
	GV_CHECK(answer(0), "%s", "here");
}

static void pass_checks(void)
{
	GV_CHECK(answer(1), "not %s", "printed");
	GV_DEBUG_CHECK(answer(1), "not %s", "printed");
}

static void test_a_check_that_holds_is_silent(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(pass_checks, &death);
	assert_int_equal(death.status, 0);
	assert_int_equal(death.length, 0);
}

static void test_a_check_reads_its_condition_once(void **state)
{
	(void)state;
	int looked = 0;

	GV_CHECK(++looked > 0, "%d", looked);
	assert_int_equal(looked, 1);
}

static void test_values_are_not_computed_while_it_holds(void **state)
{
	(void)state;
	int computed = 0;

	GV_CHECK(answer(1), "%d", ++computed);
	assert_int_equal(computed, 0);
}

static void test_a_failed_check_aborts(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(fail_a_check, &death);
	assert_aborted(&death);
}

static void test_the_message_has_expression_and_values(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(fail_a_check, &death);
	assert_one_line(&death);
	assert_non_null(strstr(death.text, "answer(6) * answer(9) == 42"));
	assert_non_null(strstr(death.text, "got 54 from arithmetic"));
}

static void test_the_message_has_the_place(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(fail_a_check, &death);
	assert_non_null(strstr(death.text, "test_check.c:"));
	watch_it_die(fail_with_a_place, &death);
	assert_string_equal(death.text,
			    "grove: some/file.c:4711: check failed: a < b: a 7, b 0x10\n");
	assert_aborted(&death);
}

static void test_values_may_be_left_out(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(fail_without_values, &death);
	assert_aborted(&death);
	assert_one_line(&death);
	assert_non_null(strstr(death.text, "answer(1) == 2: out of luck\n"));
}

static void test_long_values_are_cut(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(fail_with_long_values, &death);
	assert_aborted(&death);
	assert_one_line(&death);
	assert_true(death.length <= 1024);
	assert_non_null(strstr(death.text, "short: vvvv"));
}

static void test_a_long_expression_is_cut(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(fail_with_a_long_expression, &death);
	assert_aborted(&death);
	assert_one_line(&death);
	assert_true(death.length <= 1024);
	assert_non_null(strstr(death.text, "file.c:1: check failed: eeee"));
}

static void test_an_expression_is_no_format(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(fail_with_percents, &death);
	assert_aborted(&death);
	assert_non_null(strstr(death.text, "a %s b %n == 0: 100%\n"));
}

static void test_it_dies_with_nowhere_to_write(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(fail_without_stderr, &death);
	assert_aborted(&death);
	assert_int_equal(death.length, 0);
}

static void test_it_does_not_go_through_stdio(void **state)
{
	(void)state;
	struct death death;

	if (GV_TSAN)
		skip(); /* its abort flushes stdio */
	watch_it_die(fail_after_unflushed_output, &death);
	assert_aborted(&death);
	assert_non_null(strstr(death.text, "last words"));
	assert_null(strstr(death.text, "never flushed"));
}

static void test_debug_checks_are_for_checked_builds(void **state)
{
	(void)state;
	struct death death;

	watch_it_die(fail_a_debug_check, &death);
#ifdef GV_CHECKED
	assert_aborted(&death);
	assert_non_null(strstr(death.text, "answer(3) == 4: value 3\n"));
#else
	int computed = 0;

	assert_int_equal(death.status, 0);
	assert_int_equal(death.length, 0);
	GV_DEBUG_CHECK(++computed > 1, "%d", computed);
	assert_int_equal(computed, 0);
#endif
}

static void test_the_line_is_that_of_the_check(void **state)
{
	(void)state;
	struct death death;
	char place[64];

	watch_it_die(fail_where_the_line_is_known, &death);
	assert_aborted(&death);
	snprintf(place, sizeof(place), "test_check.c:%d: check failed: answer(0): here\n",
		 LINE_BEFORE + 3);
	assert_non_null(strstr(death.text, place));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_check_that_holds_is_silent),
		cmocka_unit_test(test_a_check_reads_its_condition_once),
		cmocka_unit_test(test_values_are_not_computed_while_it_holds),
		cmocka_unit_test(test_a_failed_check_aborts),
		cmocka_unit_test(test_the_message_has_expression_and_values),
		cmocka_unit_test(test_the_message_has_the_place),
		cmocka_unit_test(test_values_may_be_left_out),
		cmocka_unit_test(test_long_values_are_cut),
		cmocka_unit_test(test_a_long_expression_is_cut),
		cmocka_unit_test(test_an_expression_is_no_format),
		cmocka_unit_test(test_it_dies_with_nowhere_to_write),
		cmocka_unit_test(test_it_does_not_go_through_stdio),
		cmocka_unit_test(test_debug_checks_are_for_checked_builds),
		cmocka_unit_test(test_the_line_is_that_of_the_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
