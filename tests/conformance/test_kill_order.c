/* SPDX-License-Identifier: MIT */
/*
 * test_kill_order.c - KL-5 to KL-7, KL-11, KL-12, KL-15: several kills, kills between other causes, and
 * killers that are killed.  CASES E.
 */
#include "gt.h"

static int numbers[4];

#define V1 (&numbers[1])

static void *ignore_one_kill(void *event)
{
	GT_CHECK_IS(GROVE_KILLED, grove_event_wait(event, NULL, gt_soon()));
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	return GT_VALUE(grove_cancel_requested());
}

struct killer {
	grove_greenlet *target;
	int rc;
};

static void *kill_it(void *arg)
{
	struct killer *killer = arg;

	killer->rc = grove_kill(killer->target, NULL, gt_soon());
	return NULL;
}

/* --- KL-5: order ----------------------------------------------------------------------------------- */

struct yields {
	int codes[3];
	bool waiting;
};

static void *yield_thrice(void *arg)
{
	struct yields *yields = arg;

	yields->waiting = true;
	for (int i = 0; i < 3; i++)
		yields->codes[i] = grove_yield();
	return NULL;
}

/* KL-5, CASES 106: killed while it is queued already: it passes that yield and meets the kill at the
 * next one, once. */
GT_STRICT_TEST(test_kill_of_a_queued_greenlet)
{
	struct yields yields = { .codes = { 1, 1, 1 } };
	grove_greenlet *greenlet = gt_spawn(yield_thrice, &yields);

	GT_CHECK_IS(0, grove_yield());
	GT_CHECK(yields.waiting);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
	gt_join(greenlet);
	GT_CHECK_IS(0, yields.codes[0]);
	GT_CHECK_IS(GROVE_KILLED, yields.codes[1]);
	GT_CHECK_IS(0, yields.codes[2]);
}

static void *yield_once(void *arg)
{
	GT_CHECK_IS(0, grove_yield());
	return arg;
}

/* KL-5: it ends before it suspends again: the kill came too late, and its result stands. */
GT_STRICT_TEST(test_kill_that_is_too_late)
{
	grove_greenlet *greenlet = gt_spawn(yield_once, V1);

	GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_DONE, grove_greenlet_state(greenlet));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
}

/* base.h: what can complete at once completes, and does not look for kills; nor does what only asks. */
static void *complete_at_once(void *arg)
{
	grove_event sent = GROVE_EVENT_INIT;
	grove_event fresh = GROVE_EVENT_INIT;
	grove_flag up = GROVE_FLAG_INIT;

	(void)arg;
	GT_CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	GT_CHECK_IS(0, grove_event_send(&sent, NULL));
	grove_flag_set(&up);
	GT_CHECK_IS(0, grove_event_wait(&sent, NULL, GROVE_NEVER));
	GT_CHECK_IS(0, grove_event_wait(&sent, NULL, GROVE_DEADLINE(0)));
	GT_CHECK_IS(0, grove_flag_wait(&up, GROVE_NEVER));
	GT_CHECK_IS(-EAGAIN, grove_event_wait(&fresh, NULL, GROVE_POLL));
	GT_CHECK_IS(0, grove_sleep(GROVE_POLL));
	return GT_VALUE(grove_sleep(grove_in_s(3600)));
}

/* base.h: a deadline that has passed suspends once, and so meets the kill. */
static void *suspend_once(void *way)
{
	grove_event fresh = GROVE_EVENT_INIT;
	int rc;

	GT_CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	if (way == NULL)
		rc = grove_sleep(GROVE_DEADLINE(0));
	else
		rc = grove_event_wait(&fresh, NULL, GROVE_DEADLINE(0));
	GT_CHECK_IS(0, grove_event_destroy(&fresh));
	return GT_VALUE(rc);
}

GT_TEST(test_kill_waits_for_a_suspension)
{
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(gt_spawn(complete_at_once, NULL)));
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(gt_spawn(suspend_once, NULL)));
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(gt_spawn(suspend_once, V1)));
}

/* --- KL-6, KL-7, KL-12: several kills ---------------------------------------------------------------- */

struct pair {
	grove_failure *seen[2];
	_Atomic bool second;
};

static void *take_two(void *arg)
{
	struct pair *pair = arg;
	grove_event never = GROVE_EVENT_INIT;

	for (int i = 0; i < 2; i++) {
		GT_CHECK_IS(GROVE_KILLED, grove_event_wait(&never, NULL, gt_soon()));
		pair->seen[i] = grove_last_failure();
	}
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, grove_event_destroy(&never));
	return NULL;
}

/* KL-6, CASES 104: each kill is delivered, in the order they were sent. */
GT_TEST(test_two_kills_in_a_row)
{
	grove_failure *a = grove_failure_new(-EIO, "A");
	grove_failure *b = grove_failure_new(-EIO, "B");
	grove_failure *const orders[][2] = {
		{ a, b }, { b, a }, { NULL, a }, { a, NULL }, { NULL, NULL },
	};

	for (size_t i = 0; i < GV_ARRAY_LEN(orders); i++) {
		struct pair pair = { .second = false };
		grove_greenlet *greenlet = gt_spawn_parked(take_two, &pair);

		GT_CHECK_IS(0, grove_kill(greenlet, orders[i][0], GROVE_POLL));
		GT_CHECK_IS(0, grove_kill(greenlet, orders[i][1], GROVE_POLL));
		gt_join(greenlet);
		for (int j = 0; j < 2; j++)
			GT_CHECK(pair.seen[j] ==
				 (orders[i][j] != NULL ? orders[i][j] : grove_failure_exit()));
	}
	grove_failure_release(a);
	grove_failure_release(b);
}

static void *kill_oneself(void *arg)
{
	grove_failure *failure = grove_failure_new(-EIO, "enough");

	(void)arg;
	GT_CHECK_IS(GROVE_KILLED, grove_kill(grove_self(), failure, gt_soon()));
	GT_CHECK(grove_last_failure() == failure);
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, grove_kill(grove_self(), failure, GROVE_POLL));
	GT_CHECK_IS(GROVE_KILLED, grove_yield());
	GT_CHECK(grove_last_failure() == failure);
	GT_CHECK_IS(0, grove_yield());
	grove_failure_release(failure);
	GT_CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	return V1;
}

/* KL-7: one's own kill is met at once, or at the next suspension; or never, who ends before. */
GT_TEST(test_self_kill)
{
	GT_CHECK_IS((intptr_t)V1, gt_value_of(gt_spawn(kill_oneself, NULL)));
}

/* KL-7, KL-6: an earlier kill of oneself by oneself comes first. */
static void *kill_oneself_twice(void *arg)
{
	grove_failure *a = grove_failure_new(-EIO, "A");
	grove_failure *b = grove_failure_new(-EIO, "B");

	(void)arg;
	GT_CHECK_IS(0, grove_kill(grove_self(), a, GROVE_POLL));
	GT_CHECK_IS(0, grove_kill(grove_self(), b, GROVE_POLL));
	GT_CHECK_IS(GROVE_KILLED, grove_yield());
	GT_CHECK(grove_last_failure() == a);
	GT_CHECK_IS(GROVE_KILLED, grove_yield());
	GT_CHECK(grove_last_failure() == b);
	grove_failure_release(a);
	grove_failure_release(b);
	return NULL;
}

GT_TEST(test_self_kills_come_in_order)
{
	gt_join(gt_spawn(kill_oneself_twice, NULL));
}

static void *clean_up_slowly(void *event)
{
	GT_CHECK_IS(GROVE_KILLED, grove_event_wait(event, NULL, gt_soon()));
	for (int i = 0; i < 3; i++)
		(void)grove_sleep(grove_in_ms(1)); /* further kills come here */
	return NULL;
}

/* KL-12: several killers wait for one end, and all return. */
GT_TEST(test_several_killers)
{
	grove_event never = GROVE_EVENT_INIT;
	grove_greenlet *target = gt_spawn_parked(clean_up_slowly, &never);
	struct killer killers[20];
	grove_greenlet *greenlets[20];

	for (int i = 0; i < 20; i++) {
		killers[i] = (struct killer){ .target = target };
		greenlets[i] = gt_spawn(kill_it, &killers[i]);
	}
	for (int i = 0; i < 20; i++) {
		gt_join(greenlets[i]);
		GT_CHECK_IS(0, killers[i].rc);
	}
	GT_CHECK(grove_ready(target));
	grove_greenlet_release(target);
	GT_CHECK_IS(0, grove_event_destroy(&never));
}

static void count_release(void *count)
{
	atomic_fetch_add((_Atomic int *)count, 1);
}

/* KL-6, KL-10: kills that were never delivered are released with their target. */
GT_STRICT_TEST(test_undelivered_kills_are_released)
{
	_Atomic int released = 0;
	grove_greenlet *greenlet = gt_spawn(yield_once, V1);

	GT_CHECK_IS(0, grove_yield());
	for (int i = 0; i < 3; i++) {
		grove_failure *failure = grove_failure_new(-EIO, NULL);

		GT_CHECK_IS(0, grove_failure_attach(failure, &released, count_release));
		GT_CHECK_IS(0, grove_kill(greenlet, failure, GROVE_POLL));
		grove_failure_release(failure);
	}
	GT_CHECK_IS(0, released);
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	gt_until(released == 3);
}

/* --- KL-11: the killer is interrupted ---------------------------------------------------------------- */

/* KL-11, CASES 107: it is killed while it waits; it leaves, and the kill it has sent stays in force. */
GT_TEST(test_killed_killer)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *target = gt_spawn_parked(ignore_one_kill, &event);
	struct killer killer = { .target = target };
	grove_greenlet *greenlet = gt_spawn(kill_it, &killer);

	gt_until_parked(greenlet);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_KILLED, killer.rc);
	grove_greenlet_release(greenlet);
	GT_CHECK(!grove_ready(target));
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(1, gt_value_of(target));
}

struct enemies {
	grove_greenlet *greenlet[2];
	_Atomic int begun;
	int codes[2];
};

static void kill_each_other(unsigned party, void *arg)
{
	struct enemies *enemies = arg;

	enemies->codes[party] = grove_kill(enemies->greenlet[!party], NULL, gt_soon());
}

static void *be_an_enemy(void *arg)
{
	void **args = arg;
	struct enemies *enemies = args[0];
	unsigned party = (unsigned)(uintptr_t)args[1];

	atomic_fetch_add(&enemies->begun, 1);
	while (atomic_load(&enemies->begun) < 3)
		gt_pause();
	kill_each_other(party, enemies);
	return grove_fail_code(GROVE_KILLED);
}

/* KL-11, CASES 127 [N]: two on two hubs kill each other, and wait for it; both end. */
GT_TEST(test_mutual_kill)
{
	for (int i = 0; i < GT_ROUNDS / 50; i++) {
		struct enemies enemies = { .begun = 0 };
		void *args[2][2] = { { &enemies, GT_VALUE(0) }, { &enemies, GT_VALUE(1) } };

		for (int j = 0; j < 2; j++)
			enemies.greenlet[j] = gt_spawn(be_an_enemy, args[j]);
		gt_until(atomic_load(&enemies.begun) == 2);
		atomic_store(&enemies.begun, 3);
		for (int j = 0; j < 2; j++) {
			gt_join(enemies.greenlet[j]);
			GT_CHECK(enemies.codes[j] == 0 || enemies.codes[j] == GROVE_KILLED);
		}
	}
}

/* --- KL-15: cleaning up ------------------------------------------------------------------------------- */

struct cleaning {
	int codes[3];
	grove_event entered;
};

static void *clean_up_at_length(void *arg)
{
	struct cleaning *c = arg;
	grove_event never = GROVE_EVENT_INIT;

	c->codes[0] = grove_event_wait(&never, NULL, gt_soon());
	/* It blocks, spawns and joins, as at any other time. */
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(1)));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(gt_spawn(gt_return_it, V1)));
	GT_CHECK_IS(0, grove_event_send(&c->entered, NULL));
	c->codes[1] = grove_event_wait(&never, NULL, gt_soon());
	c->codes[2] = grove_sleep(grove_in_ms(1));
	GT_CHECK_IS(0, grove_event_destroy(&never));
	return grove_fail_code(GROVE_KILLED);
}

/* KL-15, CASES 110: the clean-up waits, and is killed once more; it ends once. */
GT_TEST(test_kill_during_the_cleanup)
{
	struct cleaning c = { .codes = { 1, 1, 1 } };
	grove_greenlet *greenlet = gt_spawn_parked(clean_up_at_length, &c);

	GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
	GT_CHECK_IS(0, grove_event_wait(&c.entered, NULL, gt_soon()));
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_KILLED, c.codes[0]);
	GT_CHECK_IS(GROVE_KILLED, c.codes[1]);
	GT_CHECK_IS(0, c.codes[2]);
	GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(greenlet));
	grove_greenlet_release(greenlet);
}

/* --- races ------------------------------------------------------------------------------------------ */

struct shot {
	grove_greenlet *target;
	_Atomic bool ready;
	int rc;
	bool began;
};

static void *spin_then_yield(void *arg)
{
	struct shot *shot = arg;

	shot->began = true;
	gt_spin(200);
	int rc = grove_yield();
	return rc == 0 ? V1 : grove_fail_code(rc);
}

static void *spin_then_end(void *arg)
{
	struct shot *shot = arg;

	shot->began = true;
	gt_spin(200);
	return V1;
}

static void shoot_at_running(unsigned party, void *arg)
{
	struct shot *shot = arg;
	void *value = NULL;

	if (party == 0) {
		shot->rc = grove_kill(shot->target, NULL, gt_soon());
		return;
	}
	/* Joiners all wake, and agree. */
	GT_CHECK_IS(0, grove_get(shot->target, &value, gt_soon()));
	GT_CHECK(value == (grove_greenlet_state(shot->target) == GROVE_DONE ? V1 : NULL));
}

static void next_running(void *arg)
{
	struct shot *shot = arg;
	int state = grove_greenlet_state(shot->target);

	GT_CHECK_IS(0, shot->rc);
	GT_CHECK(state == GROVE_DONE || state == GROVE_EXITED);
	/* Either it never ran, without a trace, or it saw the kill at a suspension, or it was done. */
	if (!shot->began)
		GT_CHECK_IS(GROVE_EXITED, state);
	grove_greenlet_release(shot->target);
	shot->began = false;
	shot->target = gt_spawn(spin_then_yield, shot);
}

/* N-11, KL-2, KL-5, CASES 124 and 125 [N]: a kill races with the first run, with a suspension and with
 * the end. */
GT_TEST(test_kill_and_life)
{
	struct shot shot = { .rc = 0 };
	struct gt_race race = {
		.parties = 3,
		.rounds = GT_ROUNDS / 4,
		.act = shoot_at_running,
		.between = next_running,
		.arg = &shot,
	};

	shot.target = gt_spawn(spin_then_yield, &shot);
	gt_race(&race);
	race.threads = 1;
	gt_race(&race);
	gt_join(shot.target);
}

static void shoot_at_starting(unsigned party, void *arg)
{
	struct shot *shot = arg;

	gt_spin(50);
	if (party == 0) {
		shot->rc = grove_kill(shot->target, NULL, gt_soon());
	} else if (party == 1) {
		int rc = grove_greenlet_start(shot->target, GROVE_POLL);
		GT_CHECK(rc == 0 || rc == -EALREADY);
	} else {
		int rc = grove_cancel(shot->target);
		GT_CHECK(rc == 0 || rc == -EALREADY);
		if (rc == 0)
			GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(shot->target));
	}
}

static void next_starting(void *arg)
{
	struct shot *shot = arg;

	GT_CHECK_IS(0, shot->rc);
	GT_CHECK(grove_ready(shot->target));
	GT_CHECK_IS(shot->began ? GROVE_DONE : GROVE_EXITED, grove_greenlet_state(shot->target));
	grove_greenlet_release(shot->target);
	shot->began = false;
	shot->target = gt_spawn_unstarted(spin_then_end, shot);
}

/* KL-2, GL-3, GT-6 [N]: a kill, a cancel and a start at the same moment. */
GT_TEST(test_kill_cancel_and_start)
{
	struct shot shot = { .rc = 0 };
	struct gt_race race = {
		.parties = 3,
		.rounds = GT_ROUNDS / 4,
		.act = shoot_at_starting,
		.between = next_starting,
		.arg = &shot,
	};

	shot.target = gt_spawn_unstarted(spin_then_end, &shot);
	gt_race(&race);
	race.threads = 2;
	gt_race(&race);
	GT_CHECK_IS(0, grove_kill(shot.target, NULL, GROVE_POLL));
	gt_join(shot.target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_of_a_queued_greenlet),
		cmocka_unit_test(test_kill_that_is_too_late),
		cmocka_unit_test(test_kill_waits_for_a_suspension),
		cmocka_unit_test(test_two_kills_in_a_row),
		cmocka_unit_test(test_self_kill),
		cmocka_unit_test(test_self_kills_come_in_order),
		cmocka_unit_test(test_several_killers),
		cmocka_unit_test(test_undelivered_kills_are_released),
		cmocka_unit_test(test_killed_killer),
		cmocka_unit_test(test_mutual_kill),
		cmocka_unit_test(test_kill_during_the_cleanup),
		cmocka_unit_test(test_kill_and_life),
		cmocka_unit_test(test_kill_cancel_and_start),
	};

	return cmocka_run_group_tests_name("kill_order", tests, NULL, NULL);
}
