/* SPDX-License-Identifier: MIT */
/*
 * test_sleep.c - SL-1 to SL-6: yield and sleep; CASES 86, 241, 247, 248, 256, and TM-9.
 */
#include "gt.h"

/* --- SL-1: giving way --------------------------------------------------------------------------------- */

static char written[64];

static void *write_twice(void *name)
{
	for (int i = 1; i <= 2; i++) {
		size_t length = strlen(written);

		snprintf(written + length, sizeof(written) - length, "%d%s ", i, (char *)name);
		GT_CHECK_IS(0, grove_yield());
	}
	return NULL;
}

/* SL-1, CASES 248: two that take turns. */
GT_STRICT_TEST(test_two_take_turns)
{
	written[0] = '\0';
	grove_greenlet *a = gt_spawn(write_twice, "A");
	grove_greenlet *b = gt_spawn(write_twice, "B");
	gt_join(a);
	gt_join(b);
	GT_CHECK(strcmp(written, "1A 1B 2A 2B ") == 0);
}

/* SL-1, CASES 247: a yield, and a sleep whose deadline has passed, let all run that could before. */
GT_STRICT_TEST(test_yield_lets_all_run)
{
	enum { MANY = 100 };
	grove_deadline passed[] = { GROVE_DEADLINE(0), grove_in_ms(0), grove_in_ms(-5) };
	grove_greenlet *greenlets[MANY];
	bool ran[MANY];

	for (size_t way = 0; way <= GV_ARRAY_LEN(passed); way++) {
		memset(ran, 0, sizeof(ran));
		for (int i = 0; i < MANY; i++)
			greenlets[i] = gt_spawn(gt_note_run, &ran[i]);
		GT_CHECK_IS(0, way == 0 ? grove_yield() : grove_sleep(passed[way - 1]));
		for (int i = 0; i < MANY; i++)
			GT_CHECK(ran[i]);
		for (int i = 0; i < MANY; i++)
			gt_join(greenlets[i]);
	}
}

struct turns {
	grove_flag flag;
	_Atomic int ran;
};

static void *wait_then_count(void *arg)
{
	struct turns *turns = arg;

	GT_CHECK_IS(0, grove_flag_wait(&turns->flag, gt_soon()));
	atomic_fetch_add(&turns->ran, 1);
	return NULL;
}

/* SL-1: in every order, those that were woken before run before a yield of their hub returns. */
GT_TEST(test_yield_lets_the_woken_run)
{
	enum { MANY = 16 };
	struct turns turns = { .ran = 0 };
	grove_greenlet *greenlets[MANY];

	for (int i = 0; i < MANY; i++)
		greenlets[i] = gt_spawn_parked(wait_then_count, &turns);
	grove_flag_set(&turns.flag);
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK(turns.ran == MANY || grove_hub_count() > 1);
	for (int i = 0; i < MANY; i++)
		gt_join(greenlets[i]);
}

/* SL-1: new ones get their turn as well, if they are given way often enough. */
GT_TEST(test_yields_let_the_new_run)
{
	enum { MANY = 100 };
	grove_greenlet *greenlets[MANY];
	bool ran[MANY] = { false };

	for (int i = 0; i < MANY; i++)
		greenlets[i] = gt_spawn(gt_note_run, &ran[i]);
	for (int i = 0; i < MANY; i++)
		gt_until(grove_ready(greenlets[i]));
	for (int i = 0; i < MANY; i++) {
		GT_CHECK(ran[i]);
		gt_join(greenlets[i]);
	}
}

/* SL-1: a sleep with GROVE_POLL is none. */
GT_STRICT_TEST(test_polling_sleep_does_not_suspend)
{
	bool ran = false;
	grove_greenlet *other = gt_spawn(gt_note_run, &ran);

	GT_CHECK_IS(0, grove_sleep(GROVE_POLL));
	GT_CHECK(!ran);
	gt_join(other);
}

static void *yield_till_told(void *stop)
{
	long count = 0;

	while (!atomic_load((_Atomic bool *)stop)) {
		GT_CHECK_IS(0, grove_yield());
		count++;
	}
	return GT_VALUE(count);
}

/* SL-1, HB-4: yielding for ever does not starve timers or sleepers. */
GT_TEST(test_yielders_do_not_starve_sleepers)
{
	enum { YIELDERS = 4 };
	_Atomic bool stop = false;
	grove_greenlet *yielders[YIELDERS];

	for (int i = 0; i < YIELDERS; i++)
		yielders[i] = gt_spawn(yield_till_told, &stop);
	for (int i = 0; i < 3; i++)
		GT_CHECK_IS(0, grove_sleep(grove_in_ms(1)));
	atomic_store(&stop, true);
	for (int i = 0; i < YIELDERS; i++)
		GT_CHECK(gt_value_of(yielders[i]) > 0);
}

/* --- SL-2: sleeping --------------------------------------------------------------------------------- */

/* SL-2, CASES 247: never too short. */
GT_TEST(test_sleep_is_not_too_short)
{
	static const int64_t naps[] = { 1, 1000, 50000, GT_MS, 3 * GT_MS + 1 };

	for (size_t i = 0; i < 4 * GV_ARRAY_LEN(naps); i++) {
		grove_deadline deadline = grove_in_ns(naps[i % GV_ARRAY_LEN(naps)]);

		GT_CHECK_IS(0, grove_sleep(deadline));
		GT_CHECK(grove_now_ns() >= deadline.ns);
	}
}

/* TM-9, CASES 241: computing before it does not shorten it. */
GT_TEST(test_computing_does_not_shorten_a_sleep)
{
	GT_CHECK_IS(0, grove_yield());
	gt_compute_until(grove_now_ns() + 20 * GT_MS);
	int64_t before = grove_now_ns();
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(5)));
	GT_CHECK(grove_now_ns() - before >= 5 * GT_MS);
}

static int order[8];
static int order_count;

struct place {
	int number;
	grove_deadline deadline;
};

static void *sleep_and_note(void *arg)
{
	struct place *place = arg;

	GT_CHECK_IS(0, grove_sleep(place->deadline));
	order[order_count++] = place->number;
	return NULL;
}

/* SL-2: sleepers wake in the order of their deadlines; equal ones in the order they came. */
GT_STRICT_TEST(test_sleepers_wake_in_order)
{
	int64_t base = grove_now_ns() + 5 * GT_MS;
	struct place places[] = {
		{ 4, grove_at_ns(base + 9 * GT_MS) },
		{ 2, grove_at_ns(base + 6 * GT_MS) },
		{ 0, grove_at_ns(base) },
		{ 3, grove_at_ns(base + 6 * GT_MS) },
		{ 1, grove_at_ns(base + 3 * GT_MS) },
	};
	grove_greenlet *sleepers[GV_ARRAY_LEN(places)];

	order_count = 0;
	for (size_t i = 0; i < GV_ARRAY_LEN(places); i++)
		sleepers[i] = gt_spawn_parked(sleep_and_note, &places[i]);
	for (size_t i = 0; i < GV_ARRAY_LEN(places); i++)
		gt_join(sleepers[i]);
	for (int i = 0; i < (int)GV_ARRAY_LEN(places); i++)
		GT_CHECK_IS(i, order[i]);
}

static void *sleep_long(void *arg)
{
	(void)arg;
	return GT_VALUE(grove_sleep(grove_in_s(3600)));
}

static void *sleep_for_ever(void *arg)
{
	(void)arg;
	return GT_VALUE(grove_sleep(GROVE_NEVER));
}

/* SL-2, SL-6: a kill ends it, and its timer is gone. */
GT_TEST(test_sleep_can_be_killed)
{
	grove_fn *const ways[] = { sleep_long, sleep_for_ever };

	for (size_t i = 0; i < GV_ARRAY_LEN(ways); i++) {
		grove_greenlet *sleeper = gt_spawn_parked(ways[i], NULL);

		GT_CHECK_IS(i == 0, gt_stats().timers);
		GT_CHECK_IS(0, grove_kill(sleeper, NULL, GROVE_POLL));
		GT_CHECK_IS(GROVE_KILLED, gt_value_of(sleeper));
		GT_CHECK_IS(0, gt_stats().timers);
	}
}

static void *sleep_in_thread(void *arg)
{
	grove_deadline deadline = grove_in_ms(3);

	(void)arg;
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, grove_sleep(GROVE_POLL));
	GT_CHECK_IS(0, grove_sleep(GROVE_DEADLINE(0)));
	GT_CHECK_IS(0, grove_sleep(deadline));
	GT_CHECK(grove_now_ns() >= deadline.ns);
	return NULL;
}

/* Decision 13: foreign pthreads sleep, too. */
GT_TEST(test_sleep_in_a_thread)
{
	pthread_t thread;

	gt_thread_start(&thread, sleep_in_thread, NULL);
	gt_thread_join(thread);
}

/* --- SL-4, SL-5 ------------------------------------------------------------------------------------- */

/* SL-4, CASES 86: right after the start, with nothing else there, neither hangs. */
GT_TEST(test_yield_alone)
{
	for (int i = 0; i < 1000; i++)
		GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, grove_sleep(GROVE_DEADLINE(0)));
	GT_CHECK_IS(0, grove_sleep(grove_in_ns(1)));
}

static void *yield_till_killed(void *arg)
{
	int rc;

	(void)arg;
	do
		rc = grove_yield();
	while (rc == 0);
	return GT_VALUE(rc);
}

/* SL-5: who does nothing but yield can be stopped.  (A scope around it comes with part B.) */
GT_TEST(test_yield_is_a_cancellation_point)
{
	grove_greenlet *greenlet = gt_spawn(yield_till_killed, NULL);

	gt_until(grove_greenlet_state(greenlet) == GROVE_ACTIVE);
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(1)));
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(greenlet));
}

/* SL-5: the same with a deadline that is checked between two yields. */
GT_TEST(test_yield_lets_time_pass)
{
	grove_deadline deadline = grove_in_ms(5);
	grove_event never = GROVE_EVENT_INIT;
	int rc;

	do
		rc = grove_event_wait(&never, NULL, GROVE_POLL);
	while (rc == -EAGAIN && grove_yield() == 0 && grove_left_ns(deadline) > 0);
	GT_CHECK_IS(-EAGAIN, rc);
	GT_CHECK_IS(0, grove_left_ns(deadline));
}

/* --- many -------------------------------------------------------------------------------------------- */

struct crowd {
	_Atomic int early;
	_Atomic int woken;
};

static void *sleep_some_time(void *arg)
{
	struct crowd *crowd = arg;
	int64_t nap = (int64_t)((uintptr_t)grove_id(grove_self()) * 2654435761u % (50 * GT_MS));

	for (int i = 0; i < 2; i++) {
		grove_deadline deadline = grove_in_ns(nap / (i + 1));

		GT_CHECK_IS(0, grove_sleep(deadline));
		if (grove_now_ns() < deadline.ns)
			atomic_fetch_add(&crowd->early, 1);
	}
	atomic_fetch_add(&crowd->woken, 1);
	return NULL;
}

/* HB-13, CASES 256 [N]: very many sleep on all hubs; each wakes once, none early, no timer is left. */
GT_TEST(test_many_sleepers)
{
	int many = GT_LIVE(GT_SCALED(20000));
	grove_greenlet **sleepers = calloc((size_t)many, sizeof(sleepers[0]));
	struct crowd crowd = { 0 };

	GT_CHECK(sleepers != NULL);
	for (int i = 0; i < many; i++)
		sleepers[i] = gt_spawn(sleep_some_time, &crowd);
	for (int i = 0; i < many; i++)
		gt_join(sleepers[i]);
	free(sleepers);
	GT_CHECK_IS(many, crowd.woken);
	GT_CHECK_IS(0, crowd.early);
	GT_CHECK_IS(0, gt_stats().timers);
}

/* SL-6: sleeps that are ended by kills, again and again, leave no timer. */
GT_TEST(test_cancelled_sleeps_leave_no_timer)
{
	for (int i = 0; i < GT_ROUNDS / 20; i++) {
		grove_greenlet *sleeper = gt_spawn(sleep_long, NULL);

		if (i % 2 == 0)
			gt_until_parked(sleeper);
		GT_CHECK_IS(0, grove_kill(sleeper, NULL, gt_soon()));
		grove_greenlet_release(sleeper);
	}
	GT_CHECK_IS(0, gt_stats().timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_take_turns),
		cmocka_unit_test(test_yield_lets_all_run),
		cmocka_unit_test(test_yield_lets_the_woken_run),
		cmocka_unit_test(test_yields_let_the_new_run),
		cmocka_unit_test(test_polling_sleep_does_not_suspend),
		cmocka_unit_test(test_yielders_do_not_starve_sleepers),
		cmocka_unit_test(test_sleep_is_not_too_short),
		cmocka_unit_test(test_computing_does_not_shorten_a_sleep),
		cmocka_unit_test(test_sleepers_wake_in_order),
		cmocka_unit_test(test_sleep_can_be_killed),
		cmocka_unit_test(test_sleep_in_a_thread),
		cmocka_unit_test(test_yield_alone),
		cmocka_unit_test(test_yield_is_a_cancellation_point),
		cmocka_unit_test(test_yield_lets_time_pass),
		cmocka_unit_test(test_many_sleepers),
		cmocka_unit_test(test_cancelled_sleeps_leave_no_timer),
	};

	return cmocka_run_group_tests_name("sleep", tests, NULL, NULL);
}
