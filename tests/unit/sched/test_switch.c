/* SPDX-License-Identifier: MIT */
/*
 * test_switch.c - whom a hub picks, and what a switch carries.
 */
#include "sched_test.h"

#include "gt.h"

#include "sched/switch.h"

static int one_hub(void **state)
{
	(void)state;
	st_hubs(1, 128);
	return 0;
}

static int no_hubs(void **state)
{
	(void)state;
	st_drop_hubs();
	return 0;
}

static void test_root_runs_when_there_is_nothing(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);

	assert_ptr_equal(gv_pick(hub), &hub->root);
}

static void test_fifo_runs_oldest_first(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *g[3];

	for (int i = 0; i < 3; i++) {
		g[i] = st_suspended(0);
		assert_int_equal(gv_fifo_push(&hub->fifo, (gv_item)g[i], false), 0);
	}
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(gv_pick(hub), g[i]);
	assert_ptr_equal(gv_pick(hub), &hub->root);
	st_drop_all(g, 3);
}

static void push_fresh(struct gv_hub *hub, struct grove_greenlet *g)
{
	assert_int_equal(gv_deque_push(&hub->deque, (gv_item)g | GV_ITEM_FRESH), 0);
}

static void test_deque_runs_newest_first(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *g[3];

	for (int i = 0; i < 3; i++) {
		g[i] = st_fresh(0);
		push_fresh(hub, g[i]);
	}
	for (int i = 2; i >= 0; i--)
		assert_ptr_equal(gv_pick(hub), g[i]);
	st_drop_all(g, 3);
}

static void test_fifo_and_deque_take_turns(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *woken[4];
	struct grove_greenlet *fresh[4];
	int balance = 0;

	for (int i = 0; i < 4; i++) {
		woken[i] = st_suspended(0);
		assert_int_equal(gv_fifo_push(&hub->fifo, (gv_item)woken[i], false), 0);
		fresh[i] = st_fresh(0);
		push_fresh(hub, fresh[i]);
	}
	for (int i = 0; i < 8; i++) {
		balance += gv_record_started(gv_load(&gv_pick(hub)->body, relaxed)) ? 1 : -1;
		assert_in_range(balance + 1, 0, 2);
	}
	assert_int_equal(balance, 0);
	st_drop_all(woken, 4);
	st_drop_all(fresh, 4);
}

static void test_every_61st_pick_is_the_root(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *g = st_suspended(0);

	for (int i = 1; i < GV_TICK_PICKS; i++) {
		assert_int_equal(gv_fifo_push(&hub->fifo, (gv_item)g, false), 0);
		assert_ptr_equal(gv_pick(hub), g);
	}
	assert_int_equal(gv_fifo_push(&hub->fifo, (gv_item)g, false), 0);
	assert_ptr_equal(gv_pick(hub), &hub->root);
	assert_int_equal(hub->tick_left, 0);
	assert_int_equal(gv_fifo_size(&hub->fifo), 1);
	assert_int_equal(gv_load(&hub->picks, relaxed), GV_TICK_PICKS);
	st_drop(g);
}

static void test_oldest_fresh_one_can_be_picked(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *g[3];

	assert_null(gv_pick_oldest(hub));
	for (int i = 0; i < 3; i++) {
		g[i] = st_fresh(0);
		push_fresh(hub, g[i]);
	}
	assert_ptr_equal(gv_pick_oldest(hub), g[0]);
	assert_ptr_equal(gv_pick(hub), g[2]);
	st_drop_all(g, 3);
}

static void test_only_one_takes_a_fresh_one(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *g = st_fresh(0);

	assert_true(gv_take_fresh(hub, g));
	assert_int_equal(st_references(g), 2);
	assert_true(gv_load(&g->done, relaxed) & GV_DONE_TAKEN);
	assert_false(gv_take_fresh(hub, g));
	assert_int_equal(st_references(g), 1);
	st_drop(g);
}

static void test_tombstones_are_passed_over(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *good = st_fresh(0);
	struct grove_greenlet *gone = st_fresh(0);

	push_fresh(hub, good);
	push_fresh(hub, gone);
	gv_or(&gone->done, GV_DONE_TAKEN, relaxed);
	assert_ptr_equal(gv_pick(hub), good);
	assert_int_equal(st_references(gone), 1);
	st_drop(good);
	st_drop(gone);
}

static void test_nodes_are_left_to_the_root(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *g = st_suspended(0);
	static char node[GV_CACHE_LINE] GV_ALIGNED(GV_CACHE_LINE);

	assert_int_equal(gv_fifo_push(&hub->fifo, (gv_item)node | GV_ITEM_NODE, false), 0);
	assert_int_equal(gv_fifo_push(&hub->fifo, (gv_item)g, false), 0);
	assert_ptr_equal(gv_pick(hub), &hub->root);
	assert_ptr_equal(gv_item_node(hub->pending), node);
	/* Nobody else runs before it was run. */
	assert_ptr_equal(gv_pick(hub), &hub->root);
	hub->pending = 0;
	assert_ptr_equal(gv_pick(hub), g);
	st_drop(g);
}

static void test_pinned_ones_share_with_the_others(void **state)
{
	(void)state;
	struct gv_hub *hub = gv_hub_at(0);
	struct grove_greenlet *g[4];
	struct grove_greenlet *other = st_suspended(0);
	int others = 0;
	int picks = 0;

	for (int i = 0; i < 4; i++) {
		g[i] = st_suspended(0 | GV_HUB_PINNED);
		gv_ready(hub, g[i], false);
	}
	for (int i = 0; i < 4;) {
		if (gv_fifo_size(&hub->fifo) == 0)
			gv_ready(hub, other, false);
		struct grove_greenlet *next = gv_pick(hub);
		picks++;
		if (next == other)
			others++;
		else
			assert_ptr_equal(next, g[i++]);
		assert_in_range(picks, 0, 20);
	}
	assert_true(others > 0);
	st_drop_all(g, 4);
	st_drop(other);
}

static void *keep_errno(void *arg)
{
	for (int i = 0; i < 10; i++) {
		errno = (int)(intptr_t)arg;
		GT_CHECK_IS(0, grove_yield());
		GT_CHECK_IS((int)(intptr_t)arg, errno);
	}
	return NULL;
}

static void *keep_each_errno(void *arg)
{
	grove_greenlet *g[4];

	for (int i = 0; i < 4; i++)
		g[i] = gt_spawn(keep_errno, GT_VALUE(i + 1));
	for (int i = 0; i < 4; i++)
		gt_join(g[i]);
	return arg;
}

static void test_each_greenlet_has_its_errno(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;

	(void)state;
	options.hubs = 2;
	GT_CHECK_IS(0, grove_run(keep_each_errno, NULL, NULL, &options));
}

int main(void)
{
	const struct CMUnitTest picks[] = {
		cmocka_unit_test_setup_teardown(test_root_runs_when_there_is_nothing, one_hub,
						no_hubs),
		cmocka_unit_test_setup_teardown(test_fifo_runs_oldest_first, one_hub, no_hubs),
		cmocka_unit_test_setup_teardown(test_deque_runs_newest_first, one_hub, no_hubs),
		cmocka_unit_test_setup_teardown(test_fifo_and_deque_take_turns, one_hub, no_hubs),
		cmocka_unit_test_setup_teardown(test_every_61st_pick_is_the_root, one_hub, no_hubs),
		cmocka_unit_test_setup_teardown(test_oldest_fresh_one_can_be_picked, one_hub,
						no_hubs),
		cmocka_unit_test_setup_teardown(test_only_one_takes_a_fresh_one, one_hub, no_hubs),
		cmocka_unit_test_setup_teardown(test_tombstones_are_passed_over, one_hub, no_hubs),
		cmocka_unit_test_setup_teardown(test_nodes_are_left_to_the_root, one_hub, no_hubs),
		cmocka_unit_test_setup_teardown(test_pinned_ones_share_with_the_others, one_hub,
						no_hubs),
	};
	const struct CMUnitTest runs[] = {
		cmocka_unit_test(test_each_greenlet_has_its_errno),
	};
	int failed = cmocka_run_group_tests(runs, NULL, NULL);

	return failed + cmocka_run_group_tests(picks, st_begin, st_end);
}
