/* SPDX-License-Identifier: MIT */
/*
 * test_stats.c - counters add up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"

#include "grove.h"

#include <errno.h>
#include <string.h>

static grove_stats read_stats(void)
{
	grove_stats stats = GROVE_STATS_INIT;

	assert_int_equal(grove_stats_read(&stats), 0);
	assert_int_equal(stats.size, sizeof(stats));
	return stats;
}

static void be_quiet(grove_greenlet *greenlet, grove_failure *failure, void *arg)
{
	(void)greenlet;
	(void)failure;
	(void)arg;
}

static void be_quiet_timer(void *arg)
{
	(void)arg;
}

static int start(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;

	(void)state;
	options.hubs = 2;
	options.on_failure = be_quiet;
	return grove_start(&options);
}

static int stop(void **state)
{
	(void)state;
	return grove_stop(grove_in_s(60));
}

static void *sleep_on(void *arg)
{
	(void)arg;
	return grove_fail_code(grove_sleep(GROVE_NEVER));
}

static void *fail_now(void *arg)
{
	(void)arg;
	return grove_fail_code(-EIO);
}

static void *nothing(void *arg)
{
	return arg;
}

static void test_stats_checks_sizes(void **state)
{
	(void)state;
	struct {
		grove_stats stats;
		uint64_t newer[2];
	} room;

	assert_int_equal(grove_stats_read(NULL), -EINVAL);
	memset(&room, 0xff, sizeof(room));
	room.stats.size = sizeof(grove_stats) - 1;
	assert_int_equal(grove_stats_read(&room.stats), -EINVAL);
	room.stats.size = 0;
	assert_int_equal(grove_stats_read(&room.stats), -EINVAL);

	/* What a newer program asks for besides is 0; what nobody asked for is not written. */
	room.stats.size = sizeof(grove_stats) + sizeof(uint64_t);
	assert_int_equal(grove_stats_read(&room.stats), 0);
	assert_int_equal(room.stats.size, sizeof(grove_stats) + sizeof(uint64_t));
	assert_int_equal(room.stats.hubs, 0);
	assert_int_equal(room.newer[0], 0);
	assert_true(room.newer[1] == UINT64_MAX);
}

static void test_stats_count_lives(void **state)
{
	(void)state;
	grove_stats before = read_stats();
	grove_greenlet *g[10];

	for (int i = 0; i < 10; i++)
		assert_int_equal(grove_spawn(&g[i], sleep_on, NULL), 0);
	assert_int_equal(read_stats().live, before.live + 10);
	assert_int_equal(read_stats().spawned, before.spawned + 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(grove_kill(g[i], NULL, GROVE_NEVER), 0);
		grove_greenlet_release(g[i]);
	}
	assert_int_equal(read_stats().live, before.live);
	assert_int_equal(read_stats().spawned, before.spawned + 10);
	assert_int_equal(read_stats().failed, before.failed);
}

static void test_stats_count_failures(void **state)
{
	(void)state;
	grove_greenlet *g;

	assert_int_equal(read_stats().failed, 0);
	assert_int_equal(grove_spawn(&g, fail_now, NULL), 0);
	assert_int_equal(grove_join(g, GROVE_NEVER), 0);
	grove_greenlet_release(g);
	assert_int_equal(read_stats().failed, 1);
}

static void test_stats_know_hubs_stacks_and_timers(void **state)
{
	(void)state;
	static grove_timer timer = GROVE_TIMER_INIT;
	grove_stats stats;
	grove_greenlet *g;

	assert_int_equal(grove_spawn(&g, sleep_on, NULL), 0);
	while (grove_greenlet_state(g) != GROVE_ACTIVE)
		assert_int_equal(grove_sleep(grove_in_ms(1)), 0);
	assert_int_equal(grove_timer_start(&timer, be_quiet_timer, NULL, 0, 0, grove_in_s(1000)),
			 0);
	stats = read_stats();
	assert_int_equal(stats.hubs, 2);
	assert_true(stats.hubs_sleeping <= 2);
	assert_int_equal(stats.stacks_in_use, 1);
	assert_true(stats.stacks_high_water >= 1);
	assert_int_equal(stats.timers, 1);
	assert_int_equal(stats.stacks_refused, 0);
	assert_true(stats.stacks_in_use + stats.stacks_cached <=
		    stats.stacks_guarded_madvise + stats.stacks_guarded_mprotect +
			    stats.stacks_guarded_canary + stats.stacks_unguarded);
	assert_int_equal(grove_timer_cancel(&timer), 0);
	assert_int_equal(read_stats().timers, 0);
	assert_int_equal(grove_kill(g, NULL, GROVE_NEVER), 0);
	grove_greenlet_release(g);

	/* An idle process falls asleep. */
	do
		stats = read_stats();
	while (stats.hubs_sleeping < 2);
	assert_int_equal(stats.runnable, 0);
	assert_true(stats.sleeps > 0);
}

static void test_stats_stand_still_after_a_stop_and_begin_again(void **state)
{
	(void)state;
	assert_int_equal(start(NULL), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(grove_spawn(NULL, nothing, NULL), 0);
	assert_int_equal(stop(NULL), 0);
	grove_stats stats = read_stats();
	assert_int_equal(stats.spawned, 5);
	assert_int_equal(stats.live, 0);
	assert_int_equal(stats.hubs, 0);
	assert_int_equal(stats.hubs_sleeping, 0);
	assert_int_equal(stats.stacks_in_use, 0);

	assert_int_equal(start(NULL), 0);
	assert_int_equal(read_stats().spawned, 0);
	assert_int_equal(stop(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stats_checks_sizes),
		cmocka_unit_test_setup_teardown(test_stats_count_lives, start, stop),
		cmocka_unit_test_setup_teardown(test_stats_count_failures, start, stop),
		cmocka_unit_test_setup_teardown(test_stats_know_hubs_stacks_and_timers, start,
						stop),
		cmocka_unit_test(test_stats_stand_still_after_a_stop_and_begin_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
