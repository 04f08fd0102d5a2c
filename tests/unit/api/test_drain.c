/* SPDX-License-Identifier: MIT */
/*
 * test_drain.c - ending all greenlets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/drain.h"
#include "sched/hub.h"
#include "support/scale.h"

#include "grove/event.h"
#include "grove/greenlet.h"
#include "grove/runtime.h"
#include "grove/stats.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static _Atomic int killed, refused;
static char logged[1024];

static void keep_line(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	snprintf(logged, sizeof(logged), "%s", line);
}

static int start(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;

	(void)state;
	options.hubs = 2;
	options.on_log = keep_line;
	atomic_store(&killed, 0);
	atomic_store(&refused, 0);
	logged[0] = '\0';
	return grove_start(&options);
}

static int stop(void **state)
{
	(void)state;
	gv_drain_undo();
	return grove_stop(grove_in_s(60));
}

static uint64_t living(void)
{
	grove_stats stats = GROVE_STATS_INIT;

	assert_int_equal(grove_stats_read(&stats), 0);
	return stats.live;
}

static void *sleep_until_killed(void *arg)
{
	int rc = grove_sleep(GROVE_NEVER);

	(void)arg;
	if (rc == GROVE_KILLED)
		atomic_fetch_add(&killed, 1);
	return grove_fail_code(rc);
}

/* Waits while it cleans up, and notes what becomes of a spawn. */
static void *clean_up(void *arg)
{
	(void)arg;
	(void)grove_sleep(GROVE_NEVER);
	if (grove_spawn(NULL, sleep_until_killed, NULL) == -ESHUTDOWN)
		atomic_fetch_add(&refused, 1);
	if (grove_sleep(grove_in_ms(5)) == 0)
		atomic_fetch_add(&killed, 1);
	return NULL;
}

static grove_event way_out = GROVE_EVENT_INIT;

static void *ignore_kills(void *arg)
{
	(void)arg;
	while (grove_event_wait(&way_out, NULL, GROVE_NEVER) != 0)
		;
	return NULL;
}

static void *spin_until_killed(void *arg)
{
	(void)arg;
	while (grove_yield() == 0)
		;
	atomic_fetch_add(&killed, 1);
	return NULL;
}

static void wait_until_active(grove_greenlet *g)
{
	while (grove_greenlet_state(g) != GROVE_ACTIVE)
		assert_int_equal(grove_sleep(grove_in_ms(1)), 0);
}

static void test_drain_of_nobody(void **state)
{
	(void)state;
	assert_int_equal(gv_drain(GROVE_POLL), 0);
	assert_int_equal(gv_drain(GROVE_NEVER), 0);
	assert_string_equal(logged, "");
}

static void test_drain_ends_greenlets_of_every_kind(void **state)
{
	(void)state;
	int count = GT_SCALED(2000);
	grove_attributes unstarted = GROVE_ATTRIBUTES_INIT;
	grove_attributes pinned = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *held = NULL;
	grove_greenlet *last = NULL;

	unstarted.flags = GROVE_UNSTARTED;
	pinned.flags = GROVE_ON_HUB;
	pinned.hub = 1;
	for (int i = 0; i < count; i++)
		assert_int_equal(grove_spawn(NULL, sleep_until_killed, NULL), 0);
	assert_int_equal(grove_spawn_later(NULL, sleep_until_killed, NULL, GROVE_NEVER), 0);
	assert_int_equal(grove_spawn_later(NULL, sleep_until_killed, NULL, grove_in_s(1000)), 0);
	assert_int_equal(grove_spawn_with(&held, sleep_until_killed, NULL, &unstarted), 0);
	assert_int_equal(grove_spawn_with(NULL, sleep_until_killed, NULL, &pinned), 0);
	assert_int_equal(grove_spawn(&last, spin_until_killed, NULL), 0);
	wait_until_active(last);

	assert_int_equal(gv_drain(grove_in_s(60)), 0);
	assert_int_equal(living(), 0);
	assert_int_equal(grove_greenlet_state(held), GROVE_EXITED);
	assert_int_equal(grove_greenlet_state(last), GROVE_DONE);
	assert_int_equal(grove_spawn(NULL, sleep_until_killed, NULL), -ESHUTDOWN);
	grove_greenlet_release(held);
	grove_greenlet_release(last);
}

static void test_drain_kills_once_and_lets_them_clean_up(void **state)
{
	(void)state;
	grove_greenlet *g;

	assert_int_equal(grove_spawn(&g, clean_up, NULL), 0);
	wait_until_active(g);
	assert_int_equal(gv_drain(grove_in_s(60)), 0);
	assert_int_equal(atomic_load(&killed), 1);
	assert_int_equal(atomic_load(&refused), 1);
	grove_greenlet_release(g);
}

static void test_drain_names_those_who_stay(void **state)
{
	(void)state;
	grove_attributes named = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g;

	named.name = "methuselah";
	assert_int_equal(grove_spawn_with(&g, ignore_kills, NULL, &named), 0);
	wait_until_active(g);
	assert_int_equal(gv_drain(grove_in_ms(20)), -ETIMEDOUT);
	assert_non_null(strstr(logged, "methuselah"));
	logged[0] = '\0';
	assert_int_equal(gv_drain(GROVE_POLL), -EAGAIN);
	assert_non_null(strstr(logged, "methuselah"));
	assert_int_equal(grove_event_send(&way_out, NULL), 0);
	assert_int_equal(gv_drain(GROVE_NEVER), 0);
	grove_greenlet_release(g);
}

static void *drain(void *arg)
{
	int *rc = arg;

	*rc = gv_drain(grove_in_s(60));
	return NULL;
}

static void test_drain_by_a_greenlet_spares_it(void **state)
{
	(void)state;
	int rc = -1;
	grove_greenlet *g;

	atomic_store(&killed, 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(grove_spawn(NULL, sleep_until_killed, NULL), 0);
	assert_int_equal(grove_spawn(&g, drain, &rc), 0);
	assert_int_equal(grove_join(g, grove_in_s(60)), 0);
	assert_int_equal(rc, 0);
	assert_int_equal(living(), 0);
	grove_greenlet_release(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_drain_of_nobody, start, stop),
		cmocka_unit_test_setup_teardown(test_drain_ends_greenlets_of_every_kind, start,
						stop),
		cmocka_unit_test_setup_teardown(test_drain_kills_once_and_lets_them_clean_up, start,
						stop),
		cmocka_unit_test_setup_teardown(test_drain_names_those_who_stay, start, stop),
		cmocka_unit_test_setup_teardown(test_drain_by_a_greenlet_spares_it, start, stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
