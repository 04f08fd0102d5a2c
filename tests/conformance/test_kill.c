/* SPDX-License-Identifier: MIT */
/*
 * test_kill.c - KL-1 to KL-4, KL-8 to KL-10, KL-13: asking a greenlet to end, CASES E.  GT-3 and GT-5 of
 * eventlet.  Kills that meet other things are in test_kill_order.c.
 */
#include "gt.h"

static int numbers[4];

#define V1 (&numbers[1])

/* Passes on what ends its wait. */
static void *wait_for_ever(void *arg)
{
	grove_event never = GROVE_EVENT_INIT;
	int rc = grove_event_wait(&never, NULL, GROVE_NEVER);

	GT_CHECK_IS(0, grove_event_destroy(&never));
	(void)arg;
	return grove_fail_code(rc);
}

/* --- KL-1: any state ------------------------------------------------------------------------------- */

/* KL-1: the dead are left alone, as often as one likes, without a switch. */
GT_STRICT_TEST(test_kill_of_the_dead)
{
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	grove_greenlet *dead = gt_spawn(gt_return_it, V1);
	bool ran = false;

	GT_CHECK_IS(0, grove_join(dead, gt_soon()));
	grove_greenlet *other = gt_spawn(gt_note_run, &ran);
	for (int i = 0; i < 3; i++) {
		GT_CHECK_IS(0, grove_kill(dead, NULL, gt_soon()));
		GT_CHECK_IS(0, grove_kill(dead, failure, GROVE_POLL));
	}
	GT_CHECK(!ran);
	GT_CHECK_IS(GROVE_DONE, grove_greenlet_state(dead));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(dead));
	GT_CHECK_IS(-EINVAL, grove_kill(NULL, NULL, GROVE_POLL));
	gt_join(other);
	grove_failure_release(failure);
}

/* --- KL-2: not yet run ------------------------------------------------------------------------------ */

enum unrun { MADE, STARTED, LATER, UNRUN_WAYS };

static grove_greenlet *make_unrun(enum unrun way, bool *ran)
{
	grove_greenlet *greenlet = NULL;

	switch (way) {
	case MADE:
		return gt_spawn_unstarted(gt_note_run, ran);
	case STARTED:
		return gt_spawn(gt_note_run, ran);
	default:
		GT_CHECK_IS(0, grove_spawn_later(&greenlet, gt_note_run, ran, grove_in_s(3600)));
		return greenlet;
	}
}

/* KL-2, CASES 91, 92, 97: dead inside the call, whether it would wait or not, without a switch; it
 * never runs, and its value is that of an exit. */
GT_STRICT_TEST(test_kill_before_the_first_run)
{
	for (int wait = 0; wait < 2; wait++) {
		for (enum unrun way = MADE; way < UNRUN_WAYS; way++) {
			bool ran = false;
			bool other_ran = false;
			grove_greenlet *greenlet = make_unrun(way, &ran);
			grove_greenlet *other = gt_spawn(gt_note_run, &other_ran);
			void *value = V1;

			GT_CHECK_IS(0, grove_kill(greenlet, NULL, wait ? gt_soon() : GROVE_POLL));
			GT_CHECK(!other_ran);
			GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(greenlet));
			GT_CHECK(grove_failure_of(greenlet) == grove_failure_exit());
			GT_CHECK_IS(0, grove_get(greenlet, &value, GROVE_POLL));
			GT_CHECK(value == NULL);
			GT_CHECK_IS(-EALREADY, grove_greenlet_start(greenlet, GROVE_POLL));
			gt_join(other);
			GT_CHECK_IS(0, grove_yield());
			GT_CHECK(!ran);
			gt_join(greenlet);
		}
	}
}

/* KL-2, KL-10, GT-5, CASES 94, 95, 100: with a failure of one's own it ends with that very object;
 * nothing escaped from anything, so nothing is reported. */
GT_STRICT_TEST(test_kill_before_the_first_run_with_a_failure)
{
	grove_failure *failure = grove_failure_new(-EPROTO, "not wanted");

	for (enum unrun way = MADE; way < UNRUN_WAYS; way++) {
		bool ran = false;
		grove_greenlet *greenlet = make_unrun(way, &ran);

		GT_CHECK_IS(0, grove_kill(greenlet, failure, gt_soon()));
		GT_CHECK_IS(GROVE_FAULTED, grove_greenlet_state(greenlet));
		GT_CHECK(grove_failure_of(greenlet) == failure);
		GT_CHECK(grove_value(greenlet) == NULL);
		GT_CHECK_IS(0, grove_join(greenlet, GROVE_POLL));
		GT_CHECK_IS(GROVE_FAILED, grove_get(greenlet, NULL, GROVE_POLL));
		GT_CHECK(grove_last_failure() == failure);
		GT_CHECK_IS(0, grove_yield());
		GT_CHECK(!ran);
		grove_greenlet_release(greenlet);
	}
	grove_failure_release(failure);
}

static void *join_it(void *greenlet)
{
	return GT_VALUE(grove_join(greenlet, gt_soon()));
}

/* KL-2: those who wait for it wake, one or many. */
GT_TEST(test_kill_before_the_first_run_wakes_joiners)
{
	for (int count = 1; count <= 40; count += 39) {
		bool ran = false;
		grove_greenlet *greenlet = gt_spawn_unstarted(gt_note_run, &ran);
		grove_greenlet *joiners[40];

		for (int i = 0; i < count; i++)
			joiners[i] = gt_spawn_parked(join_it, greenlet);
		GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
		for (int i = 0; i < count; i++)
			GT_CHECK_IS(0, gt_value_of(joiners[i]));
		GT_CHECK(!ran);
		gt_join(greenlet);
	}
}

/* --- KL-3, KL-8, KL-9: the usual kill ----------------------------------------------------------------- */

/* KL-3, KL-9, GL-9, GT-3: it is dead when a waiting kill returns, and has succeeded without a value. */
GT_TEST(test_kill_of_a_waiting_greenlet)
{
	grove_greenlet *greenlet = gt_spawn_parked(wait_for_ever, NULL);
	void *value = V1;

	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(greenlet));
	GT_CHECK(grove_failure_of(greenlet) == grove_failure_exit());
	GT_CHECK_IS(0, grove_get(greenlet, &value, GROVE_POLL));
	GT_CHECK(value == NULL);
	grove_greenlet_release(greenlet);
}

/* KL-3: who only asks does not wait. */
GT_STRICT_TEST(test_polling_kill_does_not_suspend)
{
	grove_greenlet *greenlet = gt_spawn_parked(wait_for_ever, NULL);
	bool ran = false;
	grove_greenlet *other = gt_spawn(gt_note_run, &ran);

	GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
	GT_CHECK(!ran);
	GT_CHECK_IS(GROVE_ACTIVE, grove_greenlet_state(greenlet));
	gt_join(greenlet);
	gt_join(other);
}

struct story {
	_Atomic int step;
	grove_deadline until;
};

static void *clean_up_and_return_7(void *arg)
{
	struct story *story = arg;
	grove_event never = GROVE_EVENT_INIT;

	atomic_store(&story->step, 1);
	GT_CHECK_IS(GROVE_KILLED, grove_event_wait(&never, NULL, GROVE_NEVER));
	GT_CHECK(grove_last_failure() == grove_failure_exit());
	atomic_store(&story->step, 2);
	GT_CHECK_IS(0, grove_event_destroy(&never));
	GT_CHECK_IS(0, grove_sleep(story->until));
	atomic_store(&story->step, 3);
	return GT_VALUE(7);
}

/* KL-8, KL-9, CASES 101, 316: it catches the kill, takes its time, and ends with a value of its own. */
GT_TEST(test_kill_waits_for_the_cleanup)
{
	struct story story = { .until = grove_in_ms(10) };
	grove_greenlet *greenlet = gt_spawn_parked(clean_up_and_return_7, &story);

	GT_CHECK_IS(1, story.step);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK_IS(3, story.step);
	GT_CHECK(grove_now_ns() >= story.until.ns);
	GT_CHECK_IS(GROVE_DONE, grove_greenlet_state(greenlet));
	GT_CHECK_IS(7, gt_value_of(greenlet));
}

static void *ignore_one_kill(void *event)
{
	GT_CHECK_IS(GROVE_KILLED, grove_event_wait(event, NULL, gt_soon()));
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	return GT_VALUE(grove_cancel_requested());
}

/* KL-8: it ignores the kill and lives on.  A deadline ends the wait of the killer only, and the kill was
 * delivered once, but is not forgotten. */
GT_TEST(test_kill_may_be_ignored)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *greenlet = gt_spawn_parked(ignore_one_kill, &event);
	grove_deadline deadline = grove_in_ms(3);

	GT_CHECK_IS(-ETIMEDOUT, grove_kill(greenlet, NULL, deadline));
	GT_CHECK(grove_now_ns() >= deadline.ns);
	GT_CHECK(!grove_ready(greenlet));
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(1, gt_value_of(greenlet));
}

static void *ask_and_stop(void *stop)
{
	GT_CHECK(!grove_cancel_requested());
	while (!grove_cancel_requested())
		(void)grove_yield(); /* drops the code */
	atomic_store((_Atomic bool *)stop, true);
	return NULL;
}

/* Section 0: a loop that drops codes can ask. */
GT_TEST(test_cancel_requested)
{
	_Atomic bool stopped = false;
	grove_greenlet *greenlet = gt_spawn(ask_and_stop, &stopped);

	gt_until(grove_greenlet_state(greenlet) == GROVE_ACTIVE);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK(stopped);
	GT_CHECK(!grove_cancel_requested());
	grove_greenlet_release(greenlet);
}

/* --- KL-4: deadlines --------------------------------------------------------------------------------- */

struct busy {
	int64_t until_ns;
	_Atomic bool begun;
};

static void *compute_then_wait(void *arg)
{
	struct busy *busy = arg;

	busy->until_ns = grove_now_ns() + 50 * GT_MS;
	atomic_store(&busy->begun, true);
	gt_compute_until(busy->until_ns);
	return wait_for_ever(NULL);
}

struct killer {
	grove_greenlet *target;
	grove_deadline deadline;
	int rc;
	struct busy *busy;
};

static void *kill_it(void *arg)
{
	struct killer *killer = arg;

	killer->rc = grove_kill(killer->target, NULL, killer->deadline);
	return NULL;
}

static void *kill_while_busy(void *arg)
{
	struct killer *killer = arg;

	gt_until(atomic_load(&killer->busy->begun));
	killer->deadline = grove_in_ms(10);
	kill_it(arg);
	int64_t returned_ns = grove_now_ns();
	GT_CHECK(killer->rc == 0 || killer->rc == -ETIMEDOUT);
	if (killer->rc == -ETIMEDOUT)
		GT_CHECK(returned_ns >= killer->deadline.ns);
	/* Late as it may be on a loaded machine, it did not wait for the delivery. */
	if (returned_ns < killer->busy->until_ns)
		GT_CHECK_IS(-ETIMEDOUT, killer->rc);
	return NULL;
}

/* KL-4, decision 4, CASES 103: the deadline covers the delivery.  A target that does not give way holds
 * up those on its own hub only; a pthread has to look on where there is one hub. */
GT_TEST(test_deadline_covers_the_delivery)
{
	for (int thread = 0; thread < 2; thread++) {
		struct busy busy = { 0 };
		struct killer killer = { .busy = &busy };
		pthread_t killing;

		if (!thread && grove_hub_count() == 1)
			continue;
		killer.target = gt_spawn(compute_then_wait, &busy);
		if (thread) {
			gt_thread_start(&killing, kill_while_busy, &killer);
			gt_thread_join(killing);
		} else {
			kill_while_busy(&killer);
		}
		gt_join(killer.target);
	}
}

/* --- KL-10: failures of one's own ----------------------------------------------------------------------- */

/* KL-10, CASES 94, KL-14: passed on, it is the target's failure, the very object, and is reported. */
GT_TEST(test_kill_with_a_failure)
{
	static const int codes[] = { -EIO, -ETIMEDOUT, GROVE_FAILED };

	for (size_t i = 0; i < GV_ARRAY_LEN(codes); i++) {
		grove_failure *failure = grove_failure_new(codes[i], "out");
		grove_greenlet *greenlet = gt_spawn_parked(wait_for_ever, NULL);

		GT_CHECK_IS(0, grove_kill(greenlet, failure, gt_soon()));
		GT_CHECK_IS(GROVE_FAULTED, grove_greenlet_state(greenlet));
		GT_CHECK(grove_failure_of(greenlet) == failure);
		GT_CHECK_IS(GROVE_FAILED, grove_get(greenlet, NULL, GROVE_POLL));
		GT_CHECK(grove_last_failure() == failure);
		GT_CHECK_IS(1, gt_take_reports(NULL));
		grove_greenlet_release(greenlet);
		grove_failure_release(failure);
	}
}

static void *catch_it(void *place)
{
	int rc;

	do
		rc = grove_yield();
	while (rc == 0);
	GT_CHECK_IS(GROVE_KILLED, rc);
	*(grove_failure **)place = grove_last_failure();
	return V1;
}

/* KL-10, CASES 98: it yields in a loop and catches E; then it has not failed. */
GT_TEST(test_kill_that_is_caught)
{
	grove_failure *failure = grove_failure_new(-EIO, "E");
	grove_failure *caught = NULL;
	grove_greenlet *greenlet = gt_spawn(catch_it, &caught);

	gt_until(grove_greenlet_state(greenlet) == GROVE_ACTIVE);
	GT_CHECK_IS(0, grove_kill(greenlet, failure, gt_soon()));
	GT_CHECK(caught == failure);
	GT_CHECK(grove_failure_of(greenlet) == NULL);
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	grove_failure_release(failure);
}

/* Section 0, CASES 112: a kill is no I/O error, however one asks for those. */
GT_TEST(test_kill_is_outside_the_errors_of_the_kernel)
{
	static const int own[] = { GROVE_KILLED, GROVE_INTERRUPTED, GROVE_FAILED };

	for (size_t i = 0; i < GV_ARRAY_LEN(own); i++) {
		GT_CHECK(own[i] < -4095);
		GT_CHECK(strcmp(grove_strerror(own[i]), grove_strerror(-EIO)) != 0);
	}
	GT_CHECK(!grove_is_timeout(GROVE_KILLED));
	GT_CHECK(grove_is_timeout(GROVE_INTERRUPTED));
	GT_CHECK(grove_is_timeout(-ETIMEDOUT));
}

/* --- KL-13: raw ones and main ------------------------------------------------------------------------- */

/* KL-13, CASES 119: gevent lets a raw greenlet run first; here it is like the others. */
GT_STRICT_TEST(test_kill_of_a_raw_one)
{
	bool ran = false;
	uint64_t id = 0;

	GT_CHECK_IS(0, grove_spawn_raw(&id, gt_note_run, &ran));
	grove_greenlet *greenlet = grove_lookup(id);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
	GT_CHECK(grove_ready(greenlet));
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK(!ran);
	grove_greenlet_release(greenlet);

	GT_CHECK_IS(0, grove_spawn_raw(&id, wait_for_ever, NULL));
	greenlet = grove_lookup(id);
	gt_until_parked(greenlet);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(greenlet));
	grove_greenlet_release(greenlet);
}

static void *kill_main(void *main)
{
	GT_CHECK_IS(0, grove_kill(main, NULL, GROVE_POLL));
	grove_greenlet_release(main);
	return NULL;
}

static void *be_killed(void *arg)
{
	grove_greenlet *self = grove_self();

	(void)arg;
	grove_greenlet_retain(self);
	GT_CHECK_IS(0, grove_spawn(NULL, kill_main, self));
	return grove_fail_code(grove_sleep(GROVE_NEVER));
}

/* KL-13: the main greenlet, too; a run that ends by an exit has succeeded. */
static void test_kill_of_main(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;
	struct gt_mark before = gt_mark();
	void *value = V1;

	(void)state;
	gt_options(&options);
	GT_CHECK_IS(0, grove_run(be_killed, NULL, &value, &options));
	GT_CHECK(value == NULL);
	GT_CHECK_IS(0, gt_take_reports(NULL));
	gt_check_left(&before);
}

/* --- from where ------------------------------------------------------------------------------------ */

struct from_hub {
	grove_greenlet *alive, *unrun;
	int alive_rc, asked_rc, unrun_rc;
	grove_event done;
};

static void kill_in_hub(void *arg)
{
	struct from_hub *f = arg;

	f->alive_rc = grove_kill(f->alive, NULL, gt_soon());
	f->unrun_rc = grove_kill(f->unrun, NULL, gt_soon());
	f->asked_rc = grove_kill(f->alive, NULL, GROVE_POLL);
	GT_CHECK_IS(0, grove_event_send(&f->done, NULL));
}

/* HB-2: a callback may ask; if it wants to wait, the kill is sent all the same. */
GT_TEST(test_kill_in_a_callback)
{
	bool ran = false;
	struct from_hub f = {
		.alive = gt_spawn_parked(wait_for_ever, NULL),
		.unrun = gt_spawn_unstarted(gt_note_run, &ran),
	};
	grove_timer timer = GROVE_TIMER_INIT;

	GT_CHECK_IS(0, grove_timer_start(&timer, kill_in_hub, &f, 0, 0, GROVE_POLL));
	GT_CHECK_IS(0, grove_event_wait(&f.done, NULL, gt_soon()));
	gt_join(f.alive);
	gt_join(f.unrun);
	GT_CHECK_IS(GROVE_IN_HUB, f.alive_rc);
	GT_CHECK_IS(0, f.asked_rc);
	GT_CHECK_IS(0, f.unrun_rc);
	gt_until(grove_timer_destroy(&timer) == 0);
}

/* Decision 13: a foreign pthread kills, and waits for the end. */
GT_THREAD_TEST(test_kill_from_outside)
{
	bool ran = false;
	grove_greenlet *greenlet = gt_spawn_parked(wait_for_ever, NULL);

	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(greenlet));
	grove_greenlet_release(greenlet);
	greenlet = gt_spawn_unstarted(gt_note_run, &ran);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK(!ran);
	grove_greenlet_release(greenlet);
	greenlet = gt_spawn_parked(wait_for_ever, NULL);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
	gt_join(greenlet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_of_the_dead),
		cmocka_unit_test(test_kill_before_the_first_run),
		cmocka_unit_test(test_kill_before_the_first_run_with_a_failure),
		cmocka_unit_test(test_kill_before_the_first_run_wakes_joiners),
		cmocka_unit_test(test_kill_of_a_waiting_greenlet),
		cmocka_unit_test(test_polling_kill_does_not_suspend),
		cmocka_unit_test(test_kill_waits_for_the_cleanup),
		cmocka_unit_test(test_kill_may_be_ignored),
		cmocka_unit_test(test_cancel_requested),
		cmocka_unit_test(test_deadline_covers_the_delivery),
		cmocka_unit_test(test_kill_with_a_failure),
		cmocka_unit_test(test_kill_that_is_caught),
		cmocka_unit_test(test_kill_is_outside_the_errors_of_the_kernel),
		cmocka_unit_test(test_kill_of_a_raw_one),
		cmocka_unit_test(test_kill_of_main),
		cmocka_unit_test(test_kill_in_a_callback),
		cmocka_unit_test(test_kill_from_outside),
	};

	return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
