/* SPDX-License-Identifier: MIT */
/*
 * test_loop.c - what the root context of a hub does: ticks, timers, nodes, chores, and its end.
 */
#include "sched_test.h"

#include "gt.h"

#include "sched/loop.h"
#include "sched/ready.h"

static int one_hub(void **state)
{
	(void)state;
	st_hubs(1, 16);
	gv_store(&gv_runtime.stopping, GV_STOP_WHEN_IDLE, relaxed);
	return 0;
}

static int no_hubs(void **state)
{
	(void)state;
	st_drop_hubs();
	return 0;
}

static void test_loop_leaves_when_it_may(void **state)
{
	(void)state;
	gv_loop_run(gv_hub_at(0));
}

static void test_nodes_are_run_before_the_end(void **state)
{
	(void)state;
	static char nodes[3][GV_CACHE_LINE] GV_ALIGNED(GV_CACHE_LINE);

	for (int i = 0; i < 3; i++)
		gv_ready_node(gv_hub_at(0), nodes[i], 0, false);
	gv_loop_run(gv_hub_at(0));
	assert_int_equal(st_nodes, 3);
	assert_ptr_equal(st_node, nodes[2]);
}

static void test_nodes_are_left_when_it_must_leave(void **state)
{
	(void)state;
	static char node[GV_CACHE_LINE] GV_ALIGNED(GV_CACHE_LINE);

	gv_ready_node(gv_hub_at(0), node, 0, false);
	gv_store(&gv_runtime.stopping, GV_STOP_NOW, relaxed);
	gv_loop_run(gv_hub_at(0));
	assert_int_equal(st_nodes, 0);
}

static void test_inbox_is_served_before_the_end(void **state)
{
	(void)state;
	static char node[GV_CACHE_LINE] GV_ALIGNED(GV_CACHE_LINE);

	gv_ready_node(NULL, node, 0, false);
	assert_false(gv_inbox_empty(&gv_hub_at(0)->shared));
	gv_loop_run(gv_hub_at(0));
	assert_ptr_equal(st_node, node);
}

static void test_due_timers_are_told(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct gv_wheel_timer due = { .cookie = { 31, 0 } };
	struct gv_wheel_timer later = { .cookie = { 32, 0 } };

	assert_false(gv_loop_timers(hub, gv_clock_ns()));
	gv_wheel_start(&hub->wheel, &later, INT64_MAX / 2);
	gv_wheel_start(&hub->wheel, &due, 1);
	assert_true(gv_loop_timers(hub, gv_clock_ns()));
	assert_int_equal(st_due, 1);
	assert_int_equal(st_cookie, 31);
	assert_false(gv_loop_timers(hub, gv_clock_ns()));
	assert_true(gv_wheel_cancel(&later));
}

static void test_flood_of_timers_is_served_in_parts(void **state)
{
	(void)state;
	enum { FLOOD = 3000 };
	struct gv_hub *hub = gv_hub_at(0);
	static struct gv_wheel_timer timers[FLOOD];
	int calls = 0;

	memset(timers, 0, sizeof(timers));
	for (int i = 0; i < FLOOD; i++)
		gv_wheel_start(&hub->wheel, &timers[i], 1);
	while (gv_wheel_armed_count(&hub->wheel) != 0) {
		(void)gv_loop_timers(hub, gv_clock_ns());
		calls++;
	}
	assert_int_equal(st_due, FLOOD);
	assert_in_range(calls, 2, FLOOD);
}

static int chores;

static void do_chore(int64_t now)
{
	(void)now;
	chores++;
	gv_store(&gv_loop_chore_ns, INT64_MAX, relaxed);
}

static void test_chore_is_done_when_its_time_has_come(void **state)
{
	(void)state;
	chores = 0;
	gv_store(&gv_loop_chore, do_chore, relaxed);
	gv_store(&gv_loop_chore_ns, INT64_MAX - 1, release);
	gv_loop_run(gv_hub_at(0));
	assert_int_equal(chores, 0);
	gv_store(&gv_loop_chore_ns, 1, release);
	gv_loop_run(gv_hub_at(0));
	assert_int_equal(chores, 1);
	gv_loop_run(gv_hub_at(0));
	assert_int_equal(chores, 1);
}

/* --- with greenlets --- */

static void *yield_often(void *arg)
{
	for (int i = 0; i < 10 * GV_TICK_PICKS; i++)
		GT_CHECK_IS(0, grove_yield());
	return arg;
}

static void *count_ticks(void *arg)
{
	struct gv_hub *hub = gv_hub_at(0);
	uint64_t ticks = gv_load(&hub->stats.ticks, relaxed);
	uint64_t picks = gv_load(&hub->picks, relaxed);
	grove_greenlet *other = gt_spawn(yield_often, NULL);

	yield_often(NULL);
	ticks = gv_load(&hub->stats.ticks, relaxed) - ticks;
	picks = gv_load(&hub->picks, relaxed) - picks;
	GT_CHECK(ticks >= 10);
	GT_CHECK(ticks <= picks / GV_TICK_PICKS + 1);
	gt_join(other);
	return arg;
}

static void run_on_one_hub(grove_fn *fn)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 1;
	GT_CHECK_IS(0, grove_run(fn, NULL, NULL, &options));
}

static void test_hub_ticks_while_greenlets_run(void **state)
{
	(void)state;
	run_on_one_hub(count_ticks);
}

static _Atomic int on_root;

static void look_where(void *arg)
{
	struct gv_hub *hub = gv_hub_self();

	(void)arg;
	GT_CHECK(hub != NULL);
	GT_CHECK(gv_in_hub_context(hub));
	GT_CHECK(!grove_in_greenlet());
	gv_add(&on_root, 1, relaxed);
}

static void *start_timer(void *arg)
{
	static grove_timer timer = GROVE_TIMER_INIT;

	gv_store(&on_root, 0, relaxed);
	GT_CHECK_IS(0, grove_timer_start(&timer, look_where, NULL, 0, 0, grove_in_ns(1)));
	/* The hub has always something else to run. */
	gt_until(gv_load(&on_root, relaxed) == 1);
	gt_until(grove_timer_destroy(&timer) == 0);
	return arg;
}

static void test_callbacks_run_on_the_root(void **state)
{
	(void)state;
	run_on_one_hub(start_timer);
}

static bool oldest_ran;

static void *be_oldest(void *arg)
{
	oldest_ran = true;
	return arg;
}

static void *follow(void *arg)
{
	/* Always a newer one in the deque. */
	if (!oldest_ran)
		grove_greenlet_release(gt_spawn(follow, NULL));
	return arg;
}

static void *overtake(void *arg)
{
	oldest_ran = false;
	grove_greenlet *oldest = gt_spawn(be_oldest, NULL);
	grove_greenlet_release(gt_spawn(follow, NULL));
	gt_join(oldest);
	return arg;
}

static void test_oldest_fresh_one_is_not_starved(void **state)
{
	(void)state;
	run_on_one_hub(overtake);
}

#define WITH_HUB(test) cmocka_unit_test_setup_teardown(test, one_hub, no_hubs)

int main(void)
{
	const struct CMUnitTest steps[] = {
		WITH_HUB(test_loop_leaves_when_it_may),
		WITH_HUB(test_nodes_are_run_before_the_end),
		WITH_HUB(test_nodes_are_left_when_it_must_leave),
		WITH_HUB(test_inbox_is_served_before_the_end),
		WITH_HUB(test_due_timers_are_told),
		WITH_HUB(test_flood_of_timers_is_served_in_parts),
		WITH_HUB(test_chore_is_done_when_its_time_has_come),
	};
	const struct CMUnitTest runs[] = {
		cmocka_unit_test(test_hub_ticks_while_greenlets_run),
		cmocka_unit_test(test_callbacks_run_on_the_root),
		cmocka_unit_test(test_oldest_fresh_one_is_not_starved),
	};
	int failed = cmocka_run_group_tests(runs, NULL, NULL);

	return failed + cmocka_run_group_tests(steps, st_begin, st_end);
}
