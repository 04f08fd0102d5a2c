/* SPDX-License-Identifier: MIT */
/*
 * test_report.c - lines of the log, and who is told of failures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sched/hub.h"
#include "sched/report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int told_level;
static char told_line[2 * GV_LOG_BYTES];
static void *told_arg;
static int told;

static void keep_line(int level, const char *line, void *arg)
{
	told_level = level;
	told_arg = arg;
	strncpy(told_line, line, sizeof(told_line) - 1);
	told++;
}

static grove_failure *told_failure;
static grove_greenlet *told_greenlet;

static void keep_failure(grove_greenlet *greenlet, grove_failure *failure, void *arg)
{
	told_greenlet = greenlet;
	told_failure = failure;
	told_arg = arg;
	told++;
}

static int be_silent(void **state)
{
	(void)state;
	memset(&gv_runtime.options, 0, sizeof(gv_runtime.options));
	told = 0;
	return 0;
}

/* What one call writes to standard error. */
static size_t catch_errors(char *text, size_t room, void (*call)(void))
{
	int ends[2];
	int saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(ends), 0);
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	(void)dup2(ends[1], STDERR_FILENO);
	call();
	(void)dup2(saved, STDERR_FILENO);
	ssize_t length = read(ends[0], text, room - 1);
	(void)close(ends[0]);
	(void)close(ends[1]);
	(void)close(saved);
	text[length > 0 ? length : 0] = '\0';
	return length > 0 ? (size_t)length : 0;
}

static void say_three(void)
{
	gv_log(GROVE_LOG_WARNING, "%d is %s", 3, "three");
}

static void say_much(void)
{
	char text[3 * GV_LOG_BYTES];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	gv_log(GROVE_LOG_INFO, "%s", text);
}

static void say_lines(void)
{
	gv_log(GROVE_LOG_ERROR, "one\ntwo\x1b[1m\tgr\xc3\xbc\xc3\x9f");
}

static void test_log_writes_one_line(void **state)
{
	(void)state;
	char text[4 * GV_LOG_BYTES];

	catch_errors(text, sizeof(text), say_three);
	assert_string_equal(text, "grove: warning: 3 is three\n");
}

static void test_log_cuts_long_lines(void **state)
{
	(void)state;
	char text[4 * GV_LOG_BYTES];
	size_t length = catch_errors(text, sizeof(text), say_much);

	assert_int_equal(length, strlen("grove: info: ") + GV_LOG_BYTES - 1 + 1);
	assert_int_equal(text[length - 1], '\n');
}

static void test_log_lets_nobody_forge_lines(void **state)
{
	(void)state;
	char text[4 * GV_LOG_BYTES];

	catch_errors(text, sizeof(text), say_lines);
	assert_string_equal(text, "grove: error: one two [1m gr\xc3\xbc\xc3\x9f\n");
}

static void test_log_keeps_errno(void **state)
{
	(void)state;
	int saved = dup(STDERR_FILENO);

	(void)close(STDERR_FILENO);
	errno = ENOTTY;
	gv_log(GROVE_LOG_ERROR, "nobody hears this");
	int after = errno;
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	assert_int_equal(after, ENOTTY);
}

static void test_log_goes_to_the_program_if_it_wants(void **state)
{
	(void)state;
	int mark;

	gv_runtime.options.on_log = keep_line;
	gv_runtime.options.hook_arg = &mark;
	gv_log(GROVE_LOG_INFO, "for %s", "you");
	assert_int_equal(told, 1);
	assert_int_equal(told_level, GROVE_LOG_INFO);
	assert_string_equal(told_line, "for you");
	assert_ptr_equal(told_arg, &mark);
}

static struct grove_greenlet *new_record(void)
{
	static struct gv_extra *no_extra;
	struct grove_greenlet *g = gv_slab_alloc_shared(&gv_records);

	gv_record_begin(g, NULL, NULL, no_extra, GV_DONE_REFERENCE, 0);
	return g;
}

static void test_failure_goes_to_the_handler(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	struct grove_failure *failure = gv_failure_make_code(-EPIPE);
	int mark;

	gv_runtime.options.on_failure = keep_failure;
	gv_runtime.options.hook_arg = &mark;
	gv_report_failure(g, failure);
	assert_int_equal(told, 1);
	assert_ptr_equal(told_greenlet, g);
	assert_ptr_equal(told_failure, failure);
	assert_ptr_equal(told_arg, &mark);
	gv_failure_release(failure);
	gv_record_release(g, NULL);
}

static void test_failure_goes_to_the_log_without_a_handler(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	grove_failure *failure = grove_failure_new(-EPIPE, "wire %d cut", 7);
	uint64_t before = gv_load(&gv_report_failures, relaxed);

	gv_runtime.options.on_log = keep_line;
	assert_int_equal(grove_set_name(g, "diver"), 0);
	gv_report_failure(g, failure);
	assert_int_equal(told, 1);
	assert_int_equal(told_level, GROVE_LOG_ERROR);
	assert_non_null(strstr(told_line, "diver"));
	assert_non_null(strstr(told_line, "-32"));
	assert_non_null(strstr(told_line, "wire 7 cut"));
	assert_int_equal(gv_load(&gv_report_failures, relaxed), before + 1);
	grove_failure_release(failure);
	gv_record_release(g, NULL);
}

static void test_failure_without_a_message_is_explained(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	struct grove_failure *failure = gv_failure_make_code(GROVE_BROKEN);

	gv_runtime.options.on_log = keep_line;
	gv_report_failure(g, failure);
	assert_non_null(strstr(told_line, grove_strerror(GROVE_BROKEN)));
	gv_failure_release(failure);
	gv_record_release(g, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_log_writes_one_line, be_silent),
		cmocka_unit_test_setup(test_log_cuts_long_lines, be_silent),
		cmocka_unit_test_setup(test_log_lets_nobody_forge_lines, be_silent),
		cmocka_unit_test_setup(test_log_keeps_errno, be_silent),
		cmocka_unit_test_setup(test_log_goes_to_the_program_if_it_wants, be_silent),
		cmocka_unit_test_setup(test_failure_goes_to_the_handler, be_silent),
		cmocka_unit_test_setup(test_failure_goes_to_the_log_without_a_handler, be_silent),
		cmocka_unit_test_setup(test_failure_without_a_message_is_explained, be_silent),
	};
	gv_record_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
