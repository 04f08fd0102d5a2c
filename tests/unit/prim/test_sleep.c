/* SPDX-License-Identifier: MIT */
/*
 * test_sleep.c - sleep.c: turns, times and pins.
 */
#include "prim_test.h"

static void *count_turn(void *turns)
{
	++*(int *)turns;
	return NULL;
}

GT_STRICT_TEST(test_poll_does_not_give_way)
{
	int turns = 0;
	grove_greenlet *g = spawn(count_turn, &turns);

	CHECK_IS(0, grove_sleep(GROVE_POLL));
	CHECK_IS(0, turns);
	gt_join(g);
}

GT_STRICT_TEST(test_passed_deadline_gives_way)
{
	grove_deadline passed[] = { GROVE_DEADLINE(0), GROVE_DEADLINE(-1), GROVE_DEADLINE(1) };

	for (size_t i = 0; i < GV_ARRAY_LEN(passed); i++) {
		int turns = 0;
		grove_greenlet *g = spawn(count_turn, &turns);

		CHECK_IS(0, grove_sleep(passed[i]));
		CHECK_IS(1, turns);
		gt_join(g);
	}
}

GT_TEST(test_sleep_is_never_short)
{
	for (int64_t ns = 1; ns < 10 * GT_MS; ns *= 10) {
		grove_deadline deadline = grove_in_ns(ns);

		CHECK_IS(0, grove_sleep(deadline));
		CHECK(grove_now_ns() >= deadline.ns);
	}
}

static void *sleep_for_ever(void *arg)
{
	(void)arg;
	return CODE(grove_sleep(GROVE_NEVER));
}

static void *sleep_long(void *arg)
{
	(void)arg;
	return CODE(grove_sleep(gt_soon()));
}

GT_TEST(test_kill_ends_a_sleep)
{
	grove_fn *bodies[] = { sleep_for_ever, sleep_long };

	for (size_t i = 0; i < GV_ARRAY_LEN(bodies); i++) {
		grove_greenlet *g = spawn(bodies[i], NULL);

		until_parked(g);
		CHECK_IS(0, grove_kill(g, NULL, gt_soon()));
		CHECK_IS(GROVE_KILLED, value_of(g));
		CHECK_IS(0, gt_stats().timers);
	}
}

struct turns {
	int order[12];
	int count;
};

struct taker {
	struct turns *turns;
	int number;
	int64_t wake_ns;
};

static void *take_turns(void *arg)
{
	struct taker *t = arg;

	for (int i = 0; i < 4; i++) {
		t->turns->order[t->turns->count++] = t->number;
		CHECK_IS(0, grove_yield());
	}
	return NULL;
}

GT_STRICT_TEST(test_yield_goes_round)
{
	struct turns turns = { .count = 0 };
	struct taker takers[3];
	grove_greenlet *g[3];

	for (int i = 0; i < 3; i++) {
		takers[i] = (struct taker){ .turns = &turns, .number = i };
		g[i] = spawn(take_turns, &takers[i]);
	}
	for (int i = 0; i < 3; i++)
		gt_join(g[i]);
	for (int i = 0; i < 12; i++)
		CHECK_IS(i % 3, turns.order[i]);
}

static void *sleep_and_note(void *arg)
{
	struct taker *t = arg;

	CHECK_IS(0, grove_sleep(grove_at_ns(t->wake_ns)));
	t->turns->order[t->turns->count++] = t->number;
	return NULL;
}

GT_STRICT_TEST(test_sleepers_wake_by_their_deadlines)
{
	struct turns turns = { .count = 0 };
	struct taker takers[8];
	grove_greenlet *g[8];
	int64_t start = grove_now_ns() + 20 * GT_MS;

	for (int i = 0; i < 8; i++) {
		int place = i * 5 % 8;

		takers[i] = (struct taker){ &turns, place, start + place * GT_MS };
		g[i] = spawn(sleep_and_note, &takers[i]);
	}
	for (int i = 0; i < 8; i++)
		gt_join(g[i]);
	for (int i = 0; i < 8; i++)
		CHECK_IS(i, turns.order[i]);
}

static void sleep_in_callback(void *done)
{
	CHECK_IS(0, grove_yield());
	CHECK_IS(0, grove_sleep(GROVE_POLL));
	CHECK_IS(0, grove_sleep(GROVE_DEADLINE(0)));
	CHECK_IS(GROVE_IN_HUB, grove_sleep(grove_in_s(60)));
	CHECK_IS(GROVE_IN_HUB, grove_sleep(GROVE_NEVER));
	CHECK_IS(-ESRCH, grove_pin());
	CHECK_IS(-ESRCH, grove_unpin());
	CHECK_IS(0, grove_event_send(done, NULL));
}

GT_TEST(test_hub_callbacks_do_not_sleep)
{
	grove_event done = GROVE_EVENT_INIT;
	grove_timer timer = GROVE_TIMER_INIT;

	CHECK_IS(0, grove_timer_start(&timer, sleep_in_callback, &done, 0, 0, GROVE_POLL));
	CHECK_IS(0, grove_event_wait(&done, NULL, gt_soon()));
}

GT_THREAD_TEST(test_foreign_pthread_sleeps)
{
	grove_deadline deadline = grove_in_ms(3);

	CHECK_IS(0, grove_sleep(deadline));
	CHECK(grove_now_ns() >= deadline.ns);
	CHECK_IS(0, grove_sleep(GROVE_POLL));
	CHECK_IS(0, grove_sleep(GROVE_DEADLINE(0)));
	CHECK_IS(0, grove_yield());
	CHECK_IS(-ESRCH, grove_pin());
	CHECK_IS(-ESRCH, grove_unpin());
}

GT_TEST(test_pins_nest)
{
	CHECK_IS(-EOVERFLOW, grove_unpin());
	for (int i = 0; i < UINT16_MAX; i++)
		CHECK_IS(0, grove_pin());
	CHECK_IS(-EOVERFLOW, grove_pin());
	for (int i = 0; i < UINT16_MAX; i++)
		CHECK_IS(0, grove_unpin());
	CHECK_IS(-EOVERFLOW, grove_unpin());
}

static void *stay(void *arg)
{
	CHECK_IS(0, grove_pin());
	pthread_t thread = pthread_self();
	for (int i = 0; i < GT_SCALED(2000); i++) {
		CHECK_IS(0, i % 100 == 0 ? grove_sleep(grove_in_ns(1000)) : grove_yield());
		CHECK(pthread_equal(thread, pthread_self()));
	}
	CHECK_IS(0, grove_unpin());
	return arg;
}

GT_TEST(test_pinned_ones_stay_on_their_pthread)
{
	grove_greenlet *g[8];

	for (int i = 0; i < 8; i++)
		g[i] = spawn(stay, NULL);
	for (int i = 0; i < 8; i++)
		gt_join(g[i]);
}

static void *unpin_what_is_not_ours(void *arg)
{
	CHECK_IS(-EOVERFLOW, grove_unpin());
	CHECK_IS(0, grove_pin());
	CHECK_IS(0, grove_unpin());
	CHECK_IS(0, grove_yield());
	CHECK_IS(0, grove_hub_id());
	return arg;
}

GT_TEST(test_place_of_birth_is_no_pin)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g = NULL;

	attributes.flags = GROVE_ON_HUB;
	CHECK_IS(0, grove_spawn_with(&g, unpin_what_is_not_ours, NULL, &attributes));
	gt_join(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_poll_does_not_give_way),
		cmocka_unit_test(test_passed_deadline_gives_way),
		cmocka_unit_test(test_sleep_is_never_short),
		cmocka_unit_test(test_kill_ends_a_sleep),
		cmocka_unit_test(test_yield_goes_round),
		cmocka_unit_test(test_sleepers_wake_by_their_deadlines),
		cmocka_unit_test(test_hub_callbacks_do_not_sleep),
		cmocka_unit_test(test_foreign_pthread_sleeps),
		cmocka_unit_test(test_pins_nest),
		cmocka_unit_test(test_pinned_ones_stay_on_their_pthread),
		cmocka_unit_test(test_place_of_birth_is_no_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
