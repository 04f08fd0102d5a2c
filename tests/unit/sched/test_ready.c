/* SPDX-License-Identifier: MIT */
/*
 * test_ready.c - which queue a runnable thing goes to, and what happens to full ones.
 */
#include "sched_test.h"

#include "sched/ready.h"

static struct gv_hub *here;
static struct gv_hub *there;

static int two_hubs(void **state)
{
	(void)state;
	st_hubs(2, 4);
	here = gv_hub_at(0);
	there = gv_hub_at(1);
	return 0;
}

static int no_hubs(void **state)
{
	(void)state;
	st_drop_hubs();
	return 0;
}

static void test_home_is_here(void **state)
{
	(void)state;
	struct grove_greenlet *g = st_suspended(0);

	gv_ready(here, g, false);
	assert_ptr_equal(gv_fifo_pop(&here->fifo), g);
	st_drop(g);
}

static void test_pinned_here(void **state)
{
	(void)state;
	struct grove_greenlet *g[2] = { st_suspended(GV_HUB_PINNED), st_suspended(GV_HUB_PINNED) };

	gv_ready(here, g[0], false);
	gv_ready(here, g[1], false);
	assert_ptr_equal(here->pinned_oldest, &g[0]->link);
	assert_ptr_equal(here->pinned_newest, &g[1]->link);
	assert_int_equal(gv_fifo_size(&here->fifo), 0);
	st_drop_all(g, 2);
}

static void test_pinned_elsewhere(void **state)
{
	(void)state;
	struct grove_greenlet *g = st_suspended(1 | GV_HUB_PINNED);
	unsigned count;

	st_sleep(there);
	gv_ready(here, g, false);
	assert_int_equal(gv_load(&there->park, relaxed), GV_PARK_RUN);
	assert_ptr_equal(st_inbox(&there->pinned, &count), g);
	assert_int_equal(count, 1);
	st_drop(g);
}

static void test_home_runs_elsewhere(void **state)
{
	(void)state;
	struct grove_greenlet *g = st_suspended(1);
	unsigned count;

	gv_ready(here, g, false);
	assert_int_equal(gv_fifo_size(&here->fifo), 0);
	assert_ptr_equal(st_inbox(&there->shared, &count), g);
	st_drop(g);
}

static void test_home_sleeps(void **state)
{
	(void)state;
	struct grove_greenlet *g = st_suspended(1);

	st_sleep(there);
	gv_ready(here, g, false);
	assert_ptr_equal(gv_fifo_pop(&here->fifo), g);
	assert_int_equal(gv_load(&there->park, relaxed), GV_PARK_FUTEX);
	st_drop(g);
}

static void test_who_is_leaving_goes_home(void **state)
{
	(void)state;
	struct grove_greenlet *g = st_leaving(1);
	unsigned count;

	st_sleep(there);
	gv_ready(here, g, false);
	assert_int_equal(gv_fifo_size(&here->fifo), 0);
	assert_ptr_equal(st_inbox(&there->shared, &count), g);
	assert_int_equal(gv_load(&there->park, relaxed), GV_PARK_RUN);
	st_drop(g);
}

static void test_home_is_stuck(void **state)
{
	(void)state;
	struct grove_greenlet *g = st_suspended(1);

	gv_store(&there->picks, 7, relaxed);
	gv_store(&there->stuck_at, 7, relaxed);
	gv_ready(here, g, false);
	assert_ptr_equal(gv_fifo_pop(&here->fifo), g);
	st_drop(g);
}

static void test_remote_caller_uses_the_inbox(void **state)
{
	(void)state;
	struct grove_greenlet *g = st_suspended(0);
	unsigned count;

	st_sleep(here);
	gv_ready(NULL, g, true);
	assert_ptr_equal(st_inbox(&here->shared, &count), g);
	assert_int_equal(gv_load(&here->park, relaxed), GV_PARK_RUN);
	st_drop(g);
}

static void test_foreign_pthread_is_told(void **state)
{
	(void)state;
	struct grove_greenlet *g = st_suspended(GV_HUB_FOREIGN);

	gv_ready(here, g, false);
	assert_ptr_equal(st_foreign, g);
	st_drop(g);
}

static void test_wake_up_may_be_paid_later(void **state)
{
	(void)state;
	struct grove_greenlet *g = st_suspended(1 | GV_HUB_PINNED);
	unsigned count;

	st_sleep(there);
	gv_ready(here, g, true);
	assert_true(here->owes);
	assert_int_equal(gv_load(&there->park, relaxed), GV_PARK_FUTEX);
	gv_ready_pay(here);
	assert_false(here->owes);
	assert_int_equal(gv_load(&there->park, relaxed), GV_PARK_RUN);
	assert_ptr_equal(st_inbox(&there->pinned, &count), g);
	st_drop(g);
}

/* I3: the ring has room for four. */
static void test_full_fifo_spills_in_order_and_grows_in_drain(void **state)
{
	(void)state;
	enum { MANY = 11 };
	struct grove_greenlet *g[MANY];

	for (int i = 0; i < MANY - 1; i++) {
		g[i] = st_suspended(0);
		gv_ready(here, g[i], false);
	}
	assert_int_equal(gv_fifo_size(&here->fifo), 4);
	assert_true(here->spilled);
	assert_false(gv_inbox_empty(&here->shared));

	/* Now there is room, but others came earlier. */
	assert_ptr_equal(gv_fifo_pop(&here->fifo), g[0]);
	g[MANY - 1] = st_suspended(0);
	gv_ready(here, g[MANY - 1], false);
	assert_int_equal(gv_fifo_size(&here->fifo), 3);

	assert_true(gv_ready_drain(here));
	assert_false(here->spilled);
	assert_int_equal(gv_fifo_size(&here->fifo), MANY - 1);
	for (int i = 1; i < MANY; i++)
		assert_ptr_equal(gv_fifo_pop(&here->fifo), g[i]);
	st_drop_all(g, MANY);
}

static void test_drain_knows_what_stands_in_inboxes(void **state)
{
	(void)state;
	static char node[GV_CACHE_LINE] GV_ALIGNED(GV_CACHE_LINE);
	struct grove_greenlet *fresh =
		st_record(GV_DONE_REFERENCE | GV_DONE_LINKED, GV_HUB_FOREIGN);
	struct grove_greenlet *woken = st_suspended(0);
	struct grove_greenlet *pinned = st_suspended(GV_HUB_PINNED);

	gv_store(&gv_runtime.active_hubs, 1, relaxed);
	gv_ready_start(NULL, fresh);
	gv_ready(NULL, woken, false);
	gv_ready_node(NULL, node, 0, false);
	gv_ready(NULL, pinned, false);
	assert_true(gv_ready_drain(here));
	assert_int_equal(gv_fifo_pop(&here->fifo), (gv_item)fresh | GV_ITEM_FRESH);
	assert_int_equal(gv_fifo_pop(&here->fifo), (gv_item)woken);
	assert_int_equal(gv_fifo_pop(&here->fifo), (gv_item)node | GV_ITEM_NODE);
	assert_int_equal(gv_fifo_pop(&here->fifo), 0);
	assert_ptr_equal(here->pinned_oldest, &pinned->link);
	assert_false(gv_ready_drain(here));
	st_drop(fresh);
	st_drop(woken);
	st_drop(pinned);
}

static void test_tombstones_are_swept(void **state)
{
	(void)state;
	struct grove_greenlet *g[4];

	for (int i = 0; i < 4; i++) {
		g[i] = st_fresh(0);
		gv_ready_start(here, g[i]);
		if (i > 0)
			gv_or(&g[i]->done, GV_DONE_TAKEN, relaxed);
	}
	gv_ready_sweep(here);
	assert_int_equal(gv_deque_size(&here->deque), 1);
	assert_int_equal(gv_deque_newest(&here->deque), (gv_item)g[0] | GV_ITEM_FRESH);
	assert_int_equal(st_references(g[0]), 2);
	for (int i = 1; i < 4; i++)
		assert_int_equal(st_references(g[i]), 1);
	st_drop_all(g, 4);
}

static void fill_here(struct grove_greenlet *g[4])
{
	for (int i = 0; i < 4; i++) {
		g[i] = st_suspended(0);
		gv_ready_queue(here, (gv_item)g[i]);
	}
}

static void test_fresh_one_in_an_inbox_is_linked(void **state)
{
	(void)state;
	struct grove_greenlet *g[4];
	struct grove_greenlet *fresh = st_fresh(0);
	unsigned count;

	fill_here(g);
	gv_ready_queue(here, (gv_item)fresh | GV_ITEM_FRESH);
	assert_true(gv_load(&fresh->done, relaxed) & GV_DONE_LINKED);
	assert_ptr_equal(st_inbox(&here->shared, &count), fresh);
	st_drop(fresh);
	st_drop_all(g, 4);
}

/* Its link may be in use: the greenlet runs, or waits, or stands in some inbox by itself. */
static void test_tombstone_is_not_put_into_an_inbox(void **state)
{
	(void)state;
	struct grove_greenlet *g[4];
	struct grove_greenlet *taken = st_fresh(0);

	fill_here(g);
	gv_or(&taken->done, GV_DONE_TAKEN, relaxed);
	gv_ready_queue(here, (gv_item)taken | GV_ITEM_FRESH);
	assert_true(gv_inbox_empty(&here->shared));
	assert_int_equal(st_references(taken), 1);
	st_drop(taken);
	st_drop_all(g, 4);
}

#define WITH_HUBS(test) cmocka_unit_test_setup_teardown(test, two_hubs, no_hubs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HUBS(test_home_is_here),
		WITH_HUBS(test_pinned_here),
		WITH_HUBS(test_pinned_elsewhere),
		WITH_HUBS(test_home_runs_elsewhere),
		WITH_HUBS(test_home_sleeps),
		WITH_HUBS(test_who_is_leaving_goes_home),
		WITH_HUBS(test_home_is_stuck),
		WITH_HUBS(test_remote_caller_uses_the_inbox),
		WITH_HUBS(test_foreign_pthread_is_told),
		WITH_HUBS(test_wake_up_may_be_paid_later),
		WITH_HUBS(test_full_fifo_spills_in_order_and_grows_in_drain),
		WITH_HUBS(test_drain_knows_what_stands_in_inboxes),
		WITH_HUBS(test_tombstones_are_swept),
		WITH_HUBS(test_fresh_one_in_an_inbox_is_linked),
		WITH_HUBS(test_tombstone_is_not_put_into_an_inbox),
	};
	return cmocka_run_group_tests(tests, st_begin, st_end);
}
