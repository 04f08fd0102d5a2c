/* SPDX-License-Identifier: MIT */
/*
 * test_options.c - what a start makes of options and environment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/options.h"
#include "base/compiler.h"
#include "plat/os.h"
#include "sched/hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char *const nothing[] = { NULL };

static char logged[1024];
static int log_lines, log_level;

static void keep_line(int level, const char *line, void *arg)
{
	(void)arg;
	log_level = level;
	snprintf(logged, sizeof(logged), "%s", line);
	log_lines++;
}

static int listen(void **state)
{
	(void)state;
	memset(&gv_runtime.options, 0, sizeof(gv_runtime.options));
	gv_runtime.options.on_log = keep_line;
	log_lines = 0;
	logged[0] = '\0';
	return 0;
}

static int resolve_with(const char *variable, struct gv_settings *out)
{
	char text[256];
	char *environment[] = { (char *)(uintptr_t) "HOME=/", text, NULL };

	snprintf(text, sizeof(text), "%s", variable);
	return gv_options_resolve(NULL, environment, out);
}

static const char *name_of(const char *variable)
{
	static char name[32];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(variable, "="), variable);
	return name;
}

static void test_options_leave_nothing_to_be_chosen(void **state)
{
	(void)state;
	struct gv_settings s;

	assert_int_equal(gv_options_resolve(NULL, nothing, &s), 0);
	assert_int_equal(s.options.size, sizeof(grove_options));
	assert_in_range(s.options.hubs, 1, GROVE_MAX_HUBS);
	assert_in_range(s.active, 1, s.options.hubs);
	assert_true(s.follow_quota);
	assert_int_equal(s.options.stack_size, 64 << 10);
	assert_int_equal(s.options.main_stack_size, 1 << 20);
	assert_int_equal(s.options.guard_size, 16 << 10);
	assert_int_equal(s.stacks.bytes, 64 << 10);
	assert_int_equal(s.stacks.guard, 16 << 10);
	assert_int_equal(s.options.stop_timeout_ns, INT64_C(10000000000));
	assert_int_equal(s.options.max_greenlets, 0);
	assert_true(s.options.spin_ns >= 0);
	assert_int_not_equal(s.options.seed, 0);
	assert_int_equal(log_lines, 0);
}

static void test_options_of_the_program_are_kept(void **state)
{
	(void)state;
	struct gv_settings s;
	grove_options given = GROVE_OPTIONS_INIT;

	given.hubs = 7;
	given.pin = GROVE_PIN_OFF;
	given.guard = GROVE_GUARD_NONE;
	given.stack_size = 100000;
	given.spin_ns = -5;
	given.max_greenlets = 12;
	given.stop_timeout_ns = -1;
	given.seed = 99;
	given.backtraces = true;
	assert_int_equal(gv_options_resolve(&given, nothing, &s), 0);
	assert_int_equal(s.options.hubs, 7);
	assert_int_equal(s.active, 7);
	assert_false(s.follow_quota);
	assert_int_equal(s.options.stack_size, 100000);
	assert_true(s.stacks.guard == GV_STACK_NO_GUARD);
	assert_int_equal(s.options.spin_ns, 0);
	assert_int_equal(s.options.max_greenlets, 12);
	assert_int_equal(s.options.stop_timeout_ns, -1);
	assert_int_equal(s.options.seed, 99);
	assert_true(s.options.backtraces);
}

static void test_options_without_spinning_on_one_hub_or_over_the_quota(void **state)
{
	(void)state;
	struct gv_settings s;
	grove_options given = GROVE_OPTIONS_INIT;

	given.hubs = 1;
	assert_int_equal(gv_options_resolve(&given, nothing, &s), 0);
	assert_int_equal(s.options.spin_ns, 0);
	given.hubs = gv_os_cpu_count() + 1;
	assert_int_equal(gv_options_resolve(&given, nothing, &s), 0);
	assert_int_equal(s.options.spin_ns, 0);
	given.spin_ns = 123;
	assert_int_equal(gv_options_resolve(&given, nothing, &s), 0);
	assert_int_equal(s.options.spin_ns, 123);
}

static void test_options_strict_order_means_one_hub(void **state)
{
	(void)state;
	struct gv_settings s;
	grove_options given = GROVE_OPTIONS_INIT;

	given.order = GROVE_ORDER_STRICT;
	assert_int_equal(gv_options_resolve(&given, nothing, &s), 0);
	assert_int_equal(s.options.hubs, 1);
	assert_false(s.follow_quota);
	given.hubs = 2;
	assert_int_equal(gv_options_resolve(&given, nothing, &s), -EINVAL);
	assert_non_null(strstr(logged, "strict"));
}

static void test_options_sizes_of_other_releases(void **state)
{
	(void)state;
	struct gv_settings s;
	struct {
		grove_options options;
		uint64_t newer[2];
	} given;

	memset(&given, 0, sizeof(given));
	assert_int_equal(gv_options_resolve(&given.options, nothing, &s), -EINVAL);
	assert_int_equal(log_lines, 1);
	given.options.size = sizeof(grove_options) - 1;
	assert_int_equal(gv_options_resolve(&given.options, nothing, &s), -EINVAL);
	given.options.size = sizeof(given);
	assert_int_equal(gv_options_resolve(&given.options, nothing, &s), 0);
	assert_int_equal(s.options.size, sizeof(grove_options));
	given.newer[1] = 1;
	assert_int_equal(gv_options_resolve(&given.options, nothing, &s), -E2BIG);
	given.newer[1] = 0;
	given.options.reserved[5] = 1;
	assert_int_equal(gv_options_resolve(&given.options, nothing, &s), -E2BIG);
}

#define BAD(field, value, word)                                                                    \
	do {                                                                                       \
		struct gv_settings s_ = { .active = 77 };                                          \
		grove_options bad_ = GROVE_OPTIONS_INIT;                                           \
		bad_.field = (value);                                                              \
		log_lines = 0;                                                                     \
		assert_int_equal(gv_options_resolve(&bad_, nothing, &s_), -EINVAL);                \
		assert_int_equal(log_lines, 1);                                                    \
		assert_int_equal(log_level, GROVE_LOG_ERROR);                                      \
		assert_non_null(strstr(logged, word));                                             \
		assert_int_equal(s_.active, 77);                                                   \
	} while (0)

static void *allocate_never(size_t size, void *context)
{
	(void)size;
	return context;
}

static void test_options_out_of_bounds_are_named(void **state)
{
	(void)state;
	BAD(hubs, GROVE_MAX_HUBS + 1, "hubs");
	BAD(hubs, 10000, "hubs");
	BAD(pin, 3, "pin");
	BAD(order, 2, "order");
	BAD(guard, 5, "guard");
	BAD(guard_size, (1 << 20) + 1, "guard_size");
	BAD(stack_size, 1, "stack_size");
	BAD(stack_size, (16 << 10) - 1, "stack_size");
	BAD(stack_size, (32 << 20) + 1, "stack_size");
	BAD(main_stack_size, 100, "main_stack_size");
	BAD(allocator.allocate, allocate_never, "allocator");
}

static void test_options_guards(void **state)
{
	(void)state;
	struct gv_settings s;
	grove_options given = GROVE_OPTIONS_INIT;

	given.guard = GROVE_GUARD_MPROTECT;
	assert_int_equal(gv_options_resolve(&given, nothing, &s), 0);
	assert_true(s.stacks.no_advised && !s.stacks.no_protect);
	given.guard = GROVE_GUARD_CANARY;
	assert_int_equal(gv_options_resolve(&given, nothing, &s), 0);
	assert_true(s.stacks.no_advised && s.stacks.no_protect);
	given.guard = GROVE_GUARD_MADVISE;
	int rc = gv_options_resolve(&given, nothing, &s);
	assert_true(rc == 0 || (rc == -ENOTSUP && strstr(logged, "MADV_GUARD_INSTALL") != NULL));
}

static void test_environment_overrides(void **state)
{
	(void)state;
	struct gv_settings s;
	grove_options given = GROVE_OPTIONS_INIT;
	char *environment[] = { (char *)(uintptr_t) "GROVE_HUBS=3",
				(char *)(uintptr_t) "GROVE_STACK_SIZE=128K",
				(char *)(uintptr_t) "GROVE_SPIN_NS=777",
				(char *)(uintptr_t) "GROVE_PIN=on",
				(char *)(uintptr_t) "GROVE_SEED=0xabc",
				(char *)(uintptr_t) "GROVE_MAX_GREENLETS=0",
				(char *)(uintptr_t) "GROVE_BACKTRACES=1",
				(char *)(uintptr_t) "GROVE_ORDER=fast",
				(char *)(uintptr_t) "GROVES=1",
				NULL };

	given.hubs = 5;
	given.order = GROVE_ORDER_STRICT;
	given.stack_size = 1; /* bad, but nobody gets to see it */
	given.max_greenlets = 12;
	assert_int_equal(gv_options_resolve(&given, environment, &s), 0);
	assert_int_equal(s.options.hubs, 3);
	assert_int_equal(s.options.stack_size, 128 << 10);
	assert_int_equal(s.options.spin_ns, 777);
	assert_int_equal(s.options.pin, GROVE_PIN_ON);
	assert_int_equal(s.options.seed, 0xabc);
	assert_int_equal(s.options.max_greenlets, 0);
	assert_true(s.options.backtraces);
	assert_int_equal(s.options.order, GROVE_ORDER_FAST);
}

static void test_environment_values_that_are_understood(void **state)
{
	(void)state;
	struct gv_settings s;

	assert_int_equal(resolve_with("GROVE_HUBS=auto", &s), 0);
	assert_true(s.follow_quota);
	assert_int_equal(resolve_with("GROVE_STACK_SIZE=65536", &s), 0);
	assert_int_equal(resolve_with("GROVE_STACK_SIZE=2M", &s), 0);
	assert_int_equal(s.options.stack_size, 2 << 20);
	assert_int_equal(resolve_with("GROVE_SPIN_NS=-1", &s), 0);
	assert_int_equal(s.options.spin_ns, 0);
	assert_int_equal(resolve_with("GROVE_ORDER=strict", &s), 0);
	assert_int_equal(resolve_with("GROVE_PIN=auto", &s), 0);
	assert_int_equal(resolve_with("GROVE_SEED=18446744073709551615", &s), 0);
	assert_true(s.options.seed == UINT64_MAX);
	assert_int_equal(resolve_with("GROVE_BACKTRACES=0", &s), 0);
	assert_int_equal(log_lines, 0);
}

static void test_environment_values_that_are_not_understood_are_named(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"GROVE_HUBS=",
		"GROVE_HUBS=0",
		"GROVE_HUBS=two",
		"GROVE_HUBS=-1",
		"GROVE_HUBS= 1",
		"GROVE_HUBS=1x",
		"GROVE_HUBS=1025",
		"GROVE_HUBS=99999999999",
		"GROVE_STACK_SIZE=0",
		"GROVE_STACK_SIZE=0K",
		"GROVE_STACK_SIZE=K",
		"GROVE_STACK_SIZE=64k",
		"GROVE_STACK_SIZE=1K",
		"GROVE_STACK_SIZE=1T",
		"GROVE_STACK_SIZE=99999999999G",
		"GROVE_STACK_SIZE=64KK",
		"GROVE_ORDER=Fast",
		"GROVE_ORDER=",
		"GROVE_SPIN_NS=x",
		"GROVE_SPIN_NS=--1",
		"GROVE_SPIN_NS=",
		"GROVE_PIN=yes",
		"GROVE_SEED=abc",
		"GROVE_SEED=0x",
		"GROVE_MAX_GREENLETS=many",
		"GROVE_MAX_GREENLETS=-1",
		"GROVE_BACKTRACES=2",
		"GROVE_BACKTRACES=true",
	};

	for (size_t i = 0; i < GV_ARRAY_LEN(bad); i++) {
		struct gv_settings s;

		log_lines = 0;
		assert_int_equal(resolve_with(bad[i], &s), -EINVAL);
		assert_int_equal(log_lines, 1);
		assert_int_equal(log_level, GROVE_LOG_ERROR);
		assert_non_null(strcasestr(logged, name_of(bad[i]) + strlen("GROVE_")));
	}
}

static void test_environment_variables_that_do_not_exist_get_a_warning(void **state)
{
	(void)state;
	static const char *const strange[] = { "GROVE_HUB=1", "GROVE_HUBSX=1", "GROVE_=1",
					       "GROVE_NOISE", "GROVE_hubs=1" };

	for (size_t i = 0; i < GV_ARRAY_LEN(strange); i++) {
		struct gv_settings s;

		log_lines = 0;
		assert_int_equal(resolve_with(strange[i], &s), 0);
		assert_int_equal(log_lines, 1);
		assert_int_equal(log_level, GROVE_LOG_WARNING);
		assert_non_null(strstr(logged, name_of(strange[i])));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_options_leave_nothing_to_be_chosen, listen),
		cmocka_unit_test_setup(test_options_of_the_program_are_kept, listen),
		cmocka_unit_test_setup(test_options_without_spinning_on_one_hub_or_over_the_quota,
				       listen),
		cmocka_unit_test_setup(test_options_strict_order_means_one_hub, listen),
		cmocka_unit_test_setup(test_options_sizes_of_other_releases, listen),
		cmocka_unit_test_setup(test_options_out_of_bounds_are_named, listen),
		cmocka_unit_test_setup(test_options_guards, listen),
		cmocka_unit_test_setup(test_environment_overrides, listen),
		cmocka_unit_test_setup(test_environment_values_that_are_understood, listen),
		cmocka_unit_test_setup(test_environment_values_that_are_not_understood_are_named,
				       listen),
		cmocka_unit_test_setup(test_environment_variables_that_do_not_exist_get_a_warning,
				       listen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
