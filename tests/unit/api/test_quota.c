/* SPDX-License-Identifier: MIT */
/*
 * test_quota.c - the number of hubs follows what the process may use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/quota.h"
#include "plat/os.h"
#include "sched/idle.h"
#include "sched/loop.h"
#include "sched/runtime.h"

#include "grove/greenlet.h"
#include "grove/runtime.h"

#include <sched.h>

static _Atomic unsigned allowed;
static _Atomic int asked;

static unsigned ask(void)
{
	atomic_fetch_add(&asked, 1);
	return atomic_load(&allowed);
}

static void be_quiet(int level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

/* Keeps a hub running until so many hubs are active; the clock of the chore is put forward. */
static void *run_until_hubs(void *arg)
{
	int wanted = *(int *)arg;

	gv_store(&gv_loop_chore_ns, 0, relaxed); /* relaxed: whoever comes by */
	while (grove_hub_count() != wanted)
		(void)grove_yield();
	return NULL;
}

/* Keeps a hub running until the chores were done once more. */
static void *run_a_chore(void *arg)
{
	gv_store(&gv_loop_chore_ns, 0, relaxed); /* relaxed: whoever comes by */
	while (gv_load(&gv_loop_chore_ns, relaxed) == 0)
		(void)grove_yield();
	return arg;
}

static void expect(int hubs)
{
	grove_greenlet *g;

	assert_int_equal(grove_spawn(&g, run_until_hubs, &hubs), 0);
	assert_int_equal(grove_join(g, grove_in_s(60)), 0);
	grove_greenlet_release(g);
}

static void become(int hubs)
{
	atomic_store(&allowed, (unsigned)hubs);
	expect(hubs);
}

static void test_quota_is_followed_both_ways(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	if (gv_os_cpu_list(NULL, 0) < 2)
		skip();
	options.on_log = be_quiet;
	atomic_store(&allowed, 2);
	gv_quota_ask(ask);
	assert_int_equal(grove_start(&options), 0);
	become(2);
	become(1);
	assert_true(gv_load(&gv_hub_at(1)->retired, relaxed));
	become(2);
	assert_false(gv_load(&gv_hub_at(1)->retired, relaxed));

	/* Never below one, never more than there are. */
	atomic_store(&allowed, 0);
	expect(1);
	atomic_store(&allowed, 5000);
	expect((int)GV_MIN(gv_hub_total(), 5000u));
	assert_int_equal(grove_stop(grove_in_s(60)), 0);
	gv_quota_ask(NULL);
}

static void test_quota_is_not_followed_if_the_number_was_given(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 2;
	atomic_store(&allowed, 1);
	atomic_store(&asked, 0);
	gv_quota_ask(ask);
	assert_int_equal(grove_start(&options), 0);
	grove_greenlet *g;
	assert_int_equal(grove_spawn(&g, run_a_chore, NULL), 0);
	assert_int_equal(grove_join(g, grove_in_s(60)), 0);
	grove_greenlet_release(g);
	assert_int_equal(grove_stop(grove_in_s(60)), 0);
	assert_int_equal(atomic_load(&asked), 0);
	gv_quota_ask(NULL);
}

static void test_quota_does_not_wake_an_idle_process(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;
	atomic_store(&allowed, 1);
	gv_quota_ask(ask);
	assert_int_equal(grove_start(&options), 0);

	/* It may not have come to rest at first; but then nothing looks, although it is time. */
	int quiet = 0;
	for (int i = 0; i < 100 && !quiet; i++) {
		while (gv_load(&gv_idle.asleep, relaxed) < gv_hub_total())
			(void)sched_yield();
		gv_store(&gv_loop_chore_ns, 0, relaxed); /* relaxed: nobody may see it */
		atomic_store(&asked, 0);
		assert_int_equal(grove_sleep(grove_in_ms(20)), 0);
		quiet = atomic_load(&asked) == 0;
	}
	assert_true(quiet);
	assert_int_equal(grove_stop(grove_in_s(60)), 0);
	gv_quota_ask(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quota_is_followed_both_ways),
		cmocka_unit_test(test_quota_is_not_followed_if_the_number_was_given),
		cmocka_unit_test(test_quota_does_not_wake_an_idle_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
