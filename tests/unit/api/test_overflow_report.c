/* SPDX-License-Identifier: MIT */
/*
 * test_overflow_report.c - who is named when a stack runs out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/overflow_report.h"
#include "base/compiler.h"
#include "sched/hub.h"

#include "grove.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct report {
	bool guard, usable, outside;
	char text[256];
	char low[32];
	size_t size;
};

static void *describe_myself(void *arg)
{
	struct report *report = arg;
	struct gv_stack *stack = gv_record_stack(grove_self());
	char other[16];

	(void)grove_set_name(grove_self(), "icarus");
	report->guard =
		gv_overflow_describe_greenlet(stack->low - 1, report->text, sizeof(report->text));
	report->usable = gv_overflow_describe_greenlet(stack->low, other, sizeof(other));
	report->outside = gv_overflow_describe_greenlet(report, other, sizeof(other));
	snprintf(report->low, sizeof(report->low), "%p", (void *)stack->low);
	report->size = stack->size;
	return NULL;
}

static void test_report_names_greenlet_bounds_and_size(void **state)
{
	(void)state;
	struct report report;
	char size[32];

	assert_int_equal(grove_run(describe_myself, &report, NULL, NULL), 0);
	assert_true(report.guard);
	assert_false(report.usable);
	assert_false(report.outside);
	assert_non_null(strstr(report.text, "icarus"));
	assert_non_null(strstr(report.text, report.low));
	snprintf(size, sizeof(size), "%zu", report.size);
	assert_non_null(strstr(report.text, size));
}

static GV_NOINLINE int dig(volatile int depth)
{
	volatile char bytes[512];

	bytes[0] = (char)depth;
	return depth == 0 ? 0 : dig(depth - 1) + bytes[0];
}

static void *dig_too_deep(void *arg)
{
	(void)grove_set_name(grove_self(), "badger");
	return (void *)(intptr_t)dig(*(int *)arg);
}

/* Returns only if nothing was noticed. */
static int overflow_on_a_hub(void)
{
	struct rlimit no_core = { 0, 0 };
	grove_greenlet *g;
	int depth = 1 << 20;

	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)signal(SIGSEGV, SIG_DFL); /* the test library catches it */
	int rc = grove_spawn(&g, dig_too_deep, &depth);
	return rc == 0 ? grove_join(g, GROVE_NEVER) : rc;
}

static void test_overflow_is_reported_and_kills(void **state)
{
	(void)state;
	char text[1024];
	size_t used = 0;
	int ends[2];
	int status = 0;

	if (GV_ASAN || GV_TSAN)
		skip(); /* their own handlers come first */
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		_exit(overflow_on_a_hub() == 0 ? 0 : 1);
	}
	(void)close(ends[1]);
	for (;;) {
		ssize_t got = read(ends[0], text + used, sizeof(text) - 1 - used);

		if (got <= 0)
			break;
		used += (size_t)got;
	}
	text[used] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
	assert_non_null(strstr(text, "stack overflow"));
	assert_non_null(strstr(text, "badger"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First, as it forks while nothing runs. */
		cmocka_unit_test(test_overflow_is_reported_and_kills),
		cmocka_unit_test(test_report_names_greenlet_bounds_and_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
