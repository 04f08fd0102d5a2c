/* SPDX-License-Identifier: MIT */
/*
 * test_where.c - where a caller is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sched/hub.h"

#include "grove/greenlet.h"
#include "grove/runtime.h"

#include <errno.h>

struct seen {
	int hubs;
	int id;
	bool in_greenlet;
};

static struct seen look(void)
{
	return (struct seen){ grove_hub_count(), grove_hub_id(), grove_in_greenlet() };
}

static void *look_here(void *arg)
{
	*(struct seen *)arg = look();
	return NULL;
}

static void look_in_callback(int hub, void *arg)
{
	struct seen *seen = arg;

	seen[hub] = look();
}

static void test_where_without_a_runtime(void **state)
{
	(void)state;
	struct seen seen = look();

	assert_int_equal(seen.hubs, 0);
	assert_int_equal(seen.id, -ESRCH);
	assert_false(seen.in_greenlet);
}

static void test_where_in_a_greenlet(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;
	struct seen seen = { 0 };

	options.hubs = 3;
	assert_int_equal(grove_run(look_here, &seen, NULL, &options), 0);
	assert_int_equal(seen.hubs, 3);
	assert_in_range(seen.id, 0, 2);
	assert_true(seen.in_greenlet);
	test_where_without_a_runtime(state);
}

static void test_where_in_a_callback(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;
	struct seen seen[2] = { { 0 } };

	options.hubs = 2;
	options.on_hub_start = look_in_callback;
	options.hook_arg = seen;
	assert_int_equal(grove_start(&options), 0);
	assert_int_equal(grove_hub_count(), 2);
	assert_int_equal(grove_hub_id(), -ESRCH);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(seen[i].hubs, 2);
		assert_int_equal(seen[i].id, i);
		assert_false(seen[i].in_greenlet);
	}
}

static void test_hold_counts(void **state)
{
	(void)state;
	grove_hold();
	grove_hold();
	assert_int_equal(gv_load(&gv_runtime.holds, relaxed), 2);
	grove_unhold();
	grove_unhold();
	assert_int_equal(gv_load(&gv_runtime.holds, relaxed), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where_without_a_runtime),
		cmocka_unit_test(test_where_in_a_greenlet),
		cmocka_unit_test(test_where_in_a_callback),
		cmocka_unit_test(test_hold_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
