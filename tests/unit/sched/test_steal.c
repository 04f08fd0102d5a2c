/* SPDX-License-Identifier: MIT */
/*
 * test_steal.c - what a hub takes from one that works, sleeps, or is stuck.
 */
#include "sched_test.h"

#include "sched/ready.h"
#include "sched/steal.h"

static struct gv_hub *thief;
static struct gv_hub *victim;

static int two_hubs(void **state)
{
	(void)state;
	st_hubs(2, 16);
	thief = gv_hub_at(0);
	victim = gv_hub_at(1);
	return 0;
}

static int no_hubs(void **state)
{
	(void)state;
	st_drop_hubs();
	return 0;
}

static void fill_fifo(struct grove_greenlet *g[], int count)
{
	for (int i = 0; i < count; i++) {
		g[i] = st_suspended(1);
		assert_int_equal(gv_fifo_push(&victim->fifo, (gv_item)g[i], false), 0);
	}
}

static void fill_deque(struct grove_greenlet *g[], int count)
{
	for (int i = 0; i < count; i++) {
		g[i] = st_fresh(1);
		assert_int_equal(gv_deque_push(&victim->deque, (gv_item)g[i] | GV_ITEM_FRESH), 0);
	}
}

static void test_older_half_of_the_fifo(void **state)
{
	(void)state;
	struct grove_greenlet *g[6];

	fill_fifo(g, 6);
	assert_true(gv_steal_worth(victim));
	assert_true(gv_steal_from(thief, victim, false));
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(gv_fifo_pop(&thief->fifo), g[i]);
	assert_int_equal(gv_fifo_size(&thief->fifo), 0);
	for (int i = 3; i < 6; i++)
		assert_ptr_equal(gv_fifo_pop(&victim->fifo), g[i]);
	st_drop_all(g, 6);
}

static void test_older_half_of_the_deque(void **state)
{
	(void)state;
	struct grove_greenlet *g[6];

	fill_deque(g, 6);
	assert_true(gv_steal_worth(victim));
	assert_true(gv_steal_from(thief, victim, false));
	assert_int_equal(gv_deque_size(&thief->deque), 3);
	assert_int_equal(gv_deque_size(&victim->deque), 3);
	assert_int_equal(gv_deque_pop(&victim->deque), (gv_item)g[5] | GV_ITEM_FRESH);
	assert_int_equal(gv_deque_take_oldest(&thief->deque), (gv_item)g[0] | GV_ITEM_FRESH);
	st_drop_all(g, 6);
}

static void test_lone_items_are_left(void **state)
{
	(void)state;
	struct grove_greenlet *g[2];

	fill_fifo(&g[0], 1);
	fill_deque(&g[1], 1);
	assert_false(gv_steal_worth(victim));
	assert_false(gv_steal_from(thief, victim, false));
	assert_int_equal(gv_fifo_size(&victim->fifo), 1);
	assert_int_equal(gv_deque_size(&victim->deque), 1);
	st_drop_all(g, 2);
}

static void test_lone_items_of_a_stuck_hub_are_taken(void **state)
{
	(void)state;
	struct grove_greenlet *g[2];

	fill_fifo(&g[0], 1);
	fill_deque(&g[1], 1);
	assert_true(gv_steal_from(thief, victim, true));
	assert_int_equal(gv_fifo_size(&victim->fifo), 0);
	assert_int_equal(gv_deque_size(&victim->deque), 0);
	assert_ptr_equal(gv_fifo_pop(&thief->fifo), g[0]);
	assert_int_equal(gv_deque_pop(&thief->deque), (gv_item)g[1] | GV_ITEM_FRESH);
	st_drop_all(g, 2);
}

static void fill_inbox(struct grove_greenlet *g[], int count)
{
	for (int i = 0; i < count; i++) {
		g[i] = st_suspended(1);
		gv_inbox_push(&victim->shared, &g[i]->link);
	}
}

static void test_inbox_of_a_sleeping_hub_is_taken(void **state)
{
	(void)state;
	struct grove_greenlet *g[3];

	fill_inbox(g, 3);
	st_sleep(victim);
	assert_true(gv_steal_worth(victim));
	assert_true(gv_steal_from(thief, victim, false));
	assert_true(gv_inbox_empty(&victim->shared));
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(gv_fifo_pop(&thief->fifo), g[i]);
	st_drop_all(g, 3);
}

static void test_inbox_of_a_working_hub_is_left(void **state)
{
	(void)state;
	struct grove_greenlet *g[3];

	fill_inbox(g, 3);
	assert_false(gv_steal_worth(victim));
	assert_false(gv_steal_from(thief, victim, false));
	assert_false(gv_inbox_empty(&victim->shared));
	st_drop_all(g, 3);
}

static void test_inbox_of_a_stuck_hub_is_taken(void **state)
{
	(void)state;
	struct grove_greenlet *g[2];

	fill_inbox(g, 2);
	assert_true(gv_steal_from(thief, victim, true));
	assert_ptr_equal(gv_fifo_pop(&thief->fifo), g[0]);
	assert_ptr_equal(gv_fifo_pop(&thief->fifo), g[1]);
	st_drop_all(g, 2);
}

static void test_what_is_pinned_stays(void **state)
{
	(void)state;
	struct grove_greenlet *here = st_suspended(1 | GV_HUB_PINNED);
	struct grove_greenlet *given = st_suspended(1 | GV_HUB_PINNED);

	gv_ready(victim, here, false);
	gv_ready(thief, given, false);
	st_sleep(victim);
	assert_false(gv_steal_from(thief, victim, true));
	assert_ptr_equal(victim->pinned_oldest, &here->link);
	assert_false(gv_inbox_empty(&victim->pinned));
	st_drop(here);
	st_drop(given);
}

static void test_due_timers_of_a_stuck_hub_are_run(void **state)
{
	(void)state;
	struct gv_wheel_timer due = { .cookie = { 11, 0 } };
	struct gv_wheel_timer later = { .cookie = { 22, 0 } };

	gv_wheel_start(&victim->wheel, &due, 1);
	gv_wheel_start(&victim->wheel, &later, INT64_MAX / 2);
	assert_false(gv_steal_from(thief, victim, false));
	assert_int_equal(st_due, 0);
	assert_true(gv_steal_from(thief, victim, true));
	assert_int_equal(st_due, 1);
	assert_int_equal(st_cookie, 11);
	assert_true(gv_wheel_cancel(&later));
}

static void test_who_is_leaving_goes_back_from_a_fifo(void **state)
{
	(void)state;
	struct grove_greenlet *leaving = st_leaving(1);
	struct grove_greenlet *rest[2];
	unsigned count;

	assert_int_equal(gv_fifo_push(&victim->fifo, (gv_item)leaving, false), 0);
	fill_fifo(rest, 2);
	gv_steal_from(thief, victim, false);
	assert_ptr_equal(gv_fifo_pop(&thief->fifo), rest[0]);
	assert_int_equal(gv_fifo_size(&thief->fifo), 0);
	assert_ptr_equal(st_inbox(&victim->shared, &count), leaving);
	assert_int_equal(count, 1);
	st_drop(leaving);
	st_drop_all(rest, 2);
}

/* It may have left that stack since, and found nothing more to do. */
static void test_who_goes_back_wakes_its_hub(void **state)
{
	(void)state;
	struct grove_greenlet *leaving = st_leaving(1);
	struct grove_greenlet *rest[2];
	unsigned count;

	assert_int_equal(gv_fifo_push(&victim->fifo, (gv_item)leaving, false), 0);
	fill_fifo(rest, 2);
	st_sleep(victim);
	gv_steal_from(thief, victim, false);
	assert_ptr_equal(st_inbox(&victim->shared, &count), leaving);
	assert_int_equal(gv_load(&victim->park, relaxed), GV_PARK_RUN);
	st_drop(leaving);
	st_drop_all(rest, 2);
}

static void test_who_is_leaving_goes_back_to_an_inbox(void **state)
{
	(void)state;
	struct grove_greenlet *leaving = st_leaving(1);
	struct grove_greenlet *rest[2];
	unsigned count;

	gv_inbox_push(&victim->shared, &leaving->link);
	fill_inbox(rest, 2);
	st_sleep(victim);
	assert_true(gv_steal_from(thief, victim, false));
	assert_ptr_equal(gv_fifo_pop(&thief->fifo), rest[0]);
	assert_ptr_equal(gv_fifo_pop(&thief->fifo), rest[1]);
	assert_ptr_equal(st_inbox(&victim->shared, &count), leaving);
	assert_int_equal(count, 1);
	/* It must look there once it has left that stack. */
	assert_int_equal(gv_load(&victim->park, relaxed), GV_PARK_RUN);
	st_drop(leaving);
	st_drop_all(rest, 2);
}

#define WITH_HUBS(test) cmocka_unit_test_setup_teardown(test, two_hubs, no_hubs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HUBS(test_older_half_of_the_fifo),
		WITH_HUBS(test_older_half_of_the_deque),
		WITH_HUBS(test_lone_items_are_left),
		WITH_HUBS(test_lone_items_of_a_stuck_hub_are_taken),
		WITH_HUBS(test_inbox_of_a_sleeping_hub_is_taken),
		WITH_HUBS(test_inbox_of_a_working_hub_is_left),
		WITH_HUBS(test_inbox_of_a_stuck_hub_is_taken),
		WITH_HUBS(test_what_is_pinned_stays),
		WITH_HUBS(test_due_timers_of_a_stuck_hub_are_run),
		WITH_HUBS(test_who_is_leaving_goes_back_from_a_fifo),
		WITH_HUBS(test_who_goes_back_wakes_its_hub),
		WITH_HUBS(test_who_is_leaving_goes_back_to_an_inbox),
	};
	return cmocka_run_group_tests(tests, st_begin, st_end);
}
