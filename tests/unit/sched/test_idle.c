/* SPDX-License-Identifier: MIT */
/*
 * test_idle.c - who is woken, that no wake-up is lost, and that an idle process does nothing.
 */
#include "sched_test.h"

#include "gt.h"

#include "base/rng.h"
#include "sched/idle.h"
#include "sched/ready.h"

static int three_hubs(void **state)
{
	(void)state;
	st_hubs(3, 16);
	return 0;
}

static int no_hubs(void **state)
{
	(void)state;
	st_drop_hubs();
	return 0;
}

static uint32_t park_of(unsigned number)
{
	return gv_load(&gv_hub_at(number)->park, relaxed);
}

static void test_sleeper_is_woken(void **state)
{
	(void)state;
	st_sleep(gv_hub_at(1));
	gv_idle_wake(gv_hub_at(1));
	assert_int_equal(park_of(1), GV_PARK_RUN);
}

static void test_searcher_stays_one_when_it_is_woken(void **state)
{
	(void)state;
	gv_store(&gv_hub_at(1)->park, GV_PARK_SEARCH, relaxed);
	gv_idle_wake(gv_hub_at(1));
	assert_int_equal(park_of(1), GV_PARK_SEARCH);
}

static void test_any_sleeper_becomes_a_searcher(void **state)
{
	(void)state;
	st_sleep(gv_hub_at(1));
	st_sleep(gv_hub_at(2));
	gv_idle_wake_any();
	assert_int_equal(gv_load(&gv_idle.searching, relaxed), 1);
	assert_int_equal((park_of(1) == GV_PARK_SEARCH) + (park_of(2) == GV_PARK_SEARCH), 1);
	assert_int_equal((park_of(1) == GV_PARK_FUTEX) + (park_of(2) == GV_PARK_FUTEX), 1);
}

static void test_nobody_is_woken_while_somebody_searches(void **state)
{
	(void)state;
	st_sleep(gv_hub_at(1));
	gv_store(&gv_idle.searching, 1, relaxed);
	gv_idle_wake_any();
	assert_int_equal(park_of(1), GV_PARK_FUTEX);
	assert_int_equal(gv_load(&gv_idle.searching, relaxed), 1);
}

static void test_nobody_sleeps(void **state)
{
	(void)state;
	gv_idle_wake_any();
	assert_int_equal(gv_load(&gv_idle.searching, relaxed), 0);
}

static void test_retired_hub_sleeps_on(void **state)
{
	(void)state;
	st_sleep(gv_hub_at(1));
	gv_store(&gv_hub_at(1)->retired, true, relaxed);
	gv_idle_wake_any();
	assert_int_equal(park_of(1), GV_PARK_FUTEX);
	assert_int_equal(gv_load(&gv_idle.searching, relaxed), 0);
}

static void test_lone_item_wakes_nobody(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *g[2] = { st_suspended(0), st_suspended(0) };

	st_sleep(gv_hub_at(1));
	gv_ready(hub, g[0], false);
	assert_int_equal(park_of(1), GV_PARK_FUTEX);
	gv_ready(hub, g[1], false);
	assert_int_equal(park_of(1), GV_PARK_SEARCH);
	st_drop_all(g, 2);
}

/* --- hubs that run --- */

static bool all_sleep(unsigned hubs)
{
	return gv_load(&gv_idle.asleep, seq_cst) == hubs &&
	       gv_load(&gv_idle.running, seq_cst) == 0 && gv_load(&gv_idle.searching, seq_cst) == 0;
}

static bool others_sleep(unsigned hubs)
{
	return gv_load(&gv_idle.asleep, seq_cst) == hubs - 1;
}

static void start(unsigned hubs)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = hubs;
	GT_CHECK_IS(0, grove_start(&options));
}

static void stop(void)
{
	GT_CHECK_IS(0, grove_stop(gt_soon()));
}

/* Nobody sleeps with a time limit: nothing will happen until somebody asks for it. */
static void test_idle_process_does_not_tick(void **state)
{
	(void)state;
	start(4);
	gt_until(all_sleep(4) && gv_load(&gv_idle.ticking, seq_cst) == 0);
	assert_int_not_equal(gv_load(&gv_idle.sentinel, seq_cst), 0);
	stop();
}

static void *get_hub(void *arg)
{
	(void)arg;
	return GT_VALUE(grove_hub_id());
}

static grove_greenlet *spawn_on(int hub, grove_fn *fn, void *arg)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g = NULL;

	attributes.flags = GROVE_ON_HUB;
	attributes.hub = hub;
	GT_CHECK_IS(0, grove_spawn_with(&g, fn, arg, &attributes));
	return g;
}

static void test_each_sleeping_hub_can_be_woken(void **state)
{
	(void)state;
	start(4);
	for (int i = 0; i < 40; i++) {
		int hub = i % 4;

		if (i < 12)
			gt_until(all_sleep(4));
		assert_int_equal(gt_value_of(spawn_on(hub, get_hub, NULL)), hub);
	}
	stop();
}

static void *wake_from_main(void *arg)
{
	GT_CHECK_IS(0, grove_pin());
	int other = 1 - grove_hub_id();
	for (int i = 0; i < 25; i++) {
		gt_until(others_sleep(2));
		GT_CHECK_IS(other, gt_value_of(spawn_on(other, get_hub, NULL)));
	}
	GT_CHECK_IS(0, grove_unpin());
	return arg;
}

static void test_greenlet_wakes_another_hub(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;

	(void)state;
	options.hubs = 2;
	GT_CHECK_IS(0, grove_run(wake_from_main, NULL, NULL, &options));
}

enum { PLAYERS = 4, TURNS = GT_SCALED(1000) + 100 };

static grove_event turn[PLAYERS];
static _Atomic unsigned turns;

/* Waits for its turn, gives it to the next one, sometimes after a while. */
static void *play(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct gv_rng rng;

	gv_rng_seed(&rng, 77 + me);
	for (int i = 0; i < TURNS / PLAYERS; i++) {
		GT_CHECK_IS(0, grove_event_wait(&turn[me], NULL, gt_soon()));
		GT_CHECK_IS(0, grove_event_reset(&turn[me]));
		gv_add(&turns, 1, relaxed);
		for (volatile unsigned n = gv_rng_below(&rng, 4) * gv_rng_below(&rng, 3000); n > 0;
		     n--)
			continue;
		GT_CHECK_IS(0, grove_event_send(&turn[(me + 1) % PLAYERS], NULL));
	}
	return NULL;
}

static void test_no_wake_up_is_lost(void **state)
{
	grove_greenlet *g[PLAYERS];

	(void)state;
	gv_store(&turns, 0, relaxed);
	start(PLAYERS);
	for (int i = 0; i < PLAYERS; i++) {
		turn[i] = (grove_event)GROVE_EVENT_INIT;
		g[i] = spawn_on(i, play, GT_VALUE(i));
	}
	GT_CHECK_IS(0, grove_event_send(&turn[0], NULL));
	for (int i = 0; i < PLAYERS; i++)
		gt_join(g[i]);
	assert_int_equal(gv_load(&turns, relaxed), TURNS / PLAYERS * PLAYERS);
	stop();
	for (int i = 0; i < PLAYERS; i++)
		(void)grove_event_destroy(&turn[i]);
}

static _Atomic bool done;

static void *compute_until_done(void *arg)
{
	while (!gv_load(&done, acquire))
		continue;
	return arg;
}

static void *finish(void *arg)
{
	gv_store(&done, true, release);
	return arg;
}

static void *get_stuck(void *arg)
{
	/* It stands in the own deque, alone: only who looks after stuck hubs may take it. */
	grove_greenlet *g = gt_spawn(finish, NULL);

	compute_until_done(NULL);
	gt_join(g);
	return arg;
}

static void test_stuck_hub_is_robbed(void **state)
{
	(void)state;
	start(2);
	for (int i = 0; i < 4; i++) {
		gt_until(all_sleep(2));
		gv_store(&done, false, relaxed);
		gt_join(gt_spawn(get_stuck, NULL));
	}
	stop();
}

#define WITH_HUBS(test) cmocka_unit_test_setup_teardown(test, three_hubs, no_hubs)

int main(void)
{
	const struct CMUnitTest steps[] = {
		WITH_HUBS(test_sleeper_is_woken),
		WITH_HUBS(test_searcher_stays_one_when_it_is_woken),
		WITH_HUBS(test_any_sleeper_becomes_a_searcher),
		WITH_HUBS(test_nobody_is_woken_while_somebody_searches),
		WITH_HUBS(test_nobody_sleeps),
		WITH_HUBS(test_retired_hub_sleeps_on),
		WITH_HUBS(test_lone_item_wakes_nobody),
	};
	const struct CMUnitTest runs[] = {
		cmocka_unit_test(test_idle_process_does_not_tick),
		cmocka_unit_test(test_each_sleeping_hub_can_be_woken),
		cmocka_unit_test(test_greenlet_wakes_another_hub),
		cmocka_unit_test(test_no_wake_up_is_lost),
		cmocka_unit_test(test_stuck_hub_is_robbed),
	};
	int failed = cmocka_run_group_tests(runs, NULL, NULL);

	return failed + cmocka_run_group_tests(steps, st_begin, st_end);
}
