/* SPDX-License-Identifier: MIT */
/*
 * test_kill.c - kill.c: who is dead after a kill, and what the victim learns of it.
 */
#include "prim_test.h"

static void *count_run(void *arg)
{
	++*(int *)arg;
	return NULL;
}

static void *wait_for(void *event)
{
	return CODE(grove_event_wait(event, NULL, GROVE_NEVER));
}

static grove_greenlet *spawn_unstarted(grove_fn *fn, void *arg)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g = NULL;

	attributes.flags = GROVE_UNSTARTED;
	CHECK_IS(0, grove_spawn_with(&g, fn, arg, &attributes));
	return g;
}

static grove_failure *make(int code)
{
	grove_failure *failure = grove_failure_new(code, "made for a kill");

	CHECK(failure != NULL);
	return failure;
}

/* ---- never begun, or over ---- */

GT_TEST(test_nobody_to_kill)
{
	CHECK_IS(-EINVAL, grove_kill(NULL, NULL, GROVE_NEVER));
	CHECK_IS(-EINVAL, grove_kill(NULL, NULL, GROVE_POLL));
	CHECK_IS(-EINVAL, grove_cancel(NULL));
}

GT_STRICT_TEST(test_cancel_before_the_first_run)
{
	int runs = 0;
	grove_greenlet *pending = spawn(count_run, &runs);
	grove_greenlet *new = spawn_unstarted(count_run, &runs);

	CHECK_IS(0, grove_cancel(pending));
	CHECK_IS(0, grove_cancel(new));
	CHECK_IS(GROVE_EXITED, grove_greenlet_state(pending));
	CHECK_IS(GROVE_EXITED, grove_greenlet_state(new));
	CHECK(grove_failure_of(new) == grove_failure_exit());
	CHECK_IS(-EALREADY, grove_cancel(pending));
	CHECK_IS(-EALREADY, grove_cancel(new));
	CHECK_IS(0, grove_yield());
	CHECK_IS(0, value_of(pending));
	CHECK_IS(0, value_of(new));
	CHECK_IS(0, runs);
}

GT_TEST(test_cancel_comes_too_late)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn(wait_for, &event);

	until_parked(g);
	CHECK_IS(-EALREADY, grove_cancel(g));
	CHECK_IS(-EALREADY, grove_cancel(grove_self()));
	CHECK_IS(0, grove_event_send(&event, NULL));
	CHECK_IS(0, grove_join(g, gt_soon()));
	CHECK_IS(-EALREADY, grove_cancel(g));
	CHECK_IS(0, value_of(g));
}

/* Dead inside the call: no turn of anybody is needed. */
GT_STRICT_TEST(test_kill_before_the_first_run)
{
	grove_deadline deadlines[] = { GROVE_POLL, GROVE_NEVER, GROVE_DEADLINE(0) };

	for (size_t i = 0; i < GV_ARRAY_LEN(deadlines); i++) {
		int runs = 0, turns = 0;
		grove_greenlet *witness = spawn(count_run, &turns);
		grove_greenlet *g =
			i % 2 == 0 ? spawn(count_run, &runs) : spawn_unstarted(count_run, &runs);

		CHECK_IS(0, grove_kill(g, NULL, deadlines[i]));
		CHECK_IS(GROVE_EXITED, grove_greenlet_state(g));
		CHECK_IS(0, turns);
		CHECK_IS(0, value_of(g));
		CHECK_IS(0, value_of(witness));
		CHECK_IS(0, runs);
	}
}

GT_TEST(test_kill_with_a_failure_before_the_first_run)
{
	int runs = 0;
	grove_greenlet *g = spawn_unstarted(count_run, &runs);
	grove_failure *failure = make(-EPIPE);

	CHECK_IS(0, grove_kill(g, failure, GROVE_NEVER));
	grove_failure_release(failure);
	CHECK_IS(GROVE_FAULTED, grove_greenlet_state(g));
	CHECK(grove_failure_of(g) == failure);
	CHECK_IS(GROVE_FAILED, grove_get(g, NULL, GROVE_NEVER));
	CHECK(grove_last_failure() == failure);
	CHECK_IS(-EPIPE, grove_failure_code(failure));
	grove_greenlet_release(g);
	(void)gt_take_reports(NULL);
	CHECK_IS(0, runs);
}

GT_TEST(test_kill_of_the_dead_changes_nothing)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn(wait_for, &event);

	CHECK_IS(0, grove_event_send(&event, NULL));
	CHECK_IS(0, grove_join(g, gt_soon()));
	CHECK_IS(0, grove_kill(g, NULL, GROVE_NEVER));
	CHECK_IS(0, grove_kill(g, NULL, GROVE_POLL));
	CHECK_IS(GROVE_DONE, grove_greenlet_state(g));
	CHECK_IS(0, value_of(g));
}

static void *join_outside(void *greenlet)
{
	CHECK_IS(0, grove_join(greenlet, gt_soon()));
	return NULL;
}

/* Those who joined it before learn it, too. */
GT_TEST(test_joiner_of_one_that_never_runs)
{
	int runs = 0;
	grove_greenlet *g = spawn_unstarted(count_run, &runs);
	pthread_t thread;

	start_thread(&thread, join_outside, g);
	CHECK_IS(0, grove_yield());
	CHECK_IS(0, grove_cancel(g));
	join_thread(thread);
	grove_greenlet_release(g);
}

/* ---- while it waits ---- */

struct victim {
	grove_event event;
	int code, next;
	grove_failure *failure; /* to compare */
	bool requested_before, requested_after;
};

static void *meet_a_kill(void *arg)
{
	struct victim *v = arg;

	v->requested_before = grove_cancel_requested();
	v->code = grove_event_wait(&v->event, NULL, GROVE_NEVER);
	v->failure = grove_last_failure();
	v->requested_after = grove_cancel_requested();
	v->next = grove_sleep(grove_in_ms(1));
	return CODE(7);
}

GT_TEST(test_kill_ends_a_wait)
{
	struct victim v = { .code = 1 };
	grove_greenlet *g = spawn(meet_a_kill, &v);

	until_parked(g);
	CHECK_IS(0, grove_kill(g, NULL, gt_soon()));
	CHECK(grove_ready(g));
	CHECK_IS(GROVE_KILLED, v.code);
	CHECK(v.failure == grove_failure_exit());
	CHECK_IS(0, v.next); /* delivered once */
	CHECK(!v.requested_before && v.requested_after);

	/* It ended as it liked. */
	CHECK_IS(GROVE_DONE, grove_greenlet_state(g));
	CHECK_IS(7, value_of(g));
	CHECK_IS(0, grove_event_destroy(&v.event));
}

GT_TEST(test_victim_gets_the_very_failure)
{
	struct victim v = { .code = 1 };
	grove_greenlet *g = spawn(meet_a_kill, &v);
	grove_failure *failure = make(-ENETDOWN);

	until_parked(g);
	CHECK_IS(0, grove_kill(g, failure, GROVE_POLL));
	grove_failure_release(failure);
	gt_join(g);
	CHECK_IS(GROVE_KILLED, v.code);
	CHECK(v.failure == failure);
	CHECK_IS(0, grove_event_destroy(&v.event));
}

static void *pass_it_on(void *event)
{
	CHECK_IS(GROVE_KILLED, grove_event_wait(event, NULL, GROVE_NEVER));
	return grove_fail(grove_last_failure());
}

GT_TEST(test_passed_on_exit_and_failure)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = make(-EXDEV);
	grove_greenlet *g = spawn(pass_it_on, &event);

	until_parked(g);
	CHECK_IS(0, grove_kill(g, NULL, gt_soon()));
	CHECK_IS(GROVE_EXITED, grove_greenlet_state(g));
	CHECK_IS(0, value_of(g));

	g = spawn(pass_it_on, &event);
	until_parked(g);
	grove_failure_retain(failure); /* grove_fail takes one */
	CHECK_IS(0, grove_kill(g, failure, gt_soon()));
	CHECK_IS(GROVE_FAULTED, grove_greenlet_state(g));
	CHECK(grove_failure_of(g) == failure);
	grove_greenlet_release(g);
	CHECK_IS(1, gt_take_reports(NULL));
	grove_failure_release(failure);
	CHECK_IS(0, grove_event_destroy(&event));
}

struct stubborn {
	grove_event event;
	int codes[8];
	int met;
};

static void *ignore_kills(void *arg)
{
	struct stubborn *s = arg;
	int rc;

	while ((rc = grove_event_wait(&s->event, NULL, GROVE_NEVER)) == GROVE_KILLED)
		s->codes[s->met++] = grove_failure_code(grove_last_failure());
	return CODE(rc);
}

GT_TEST(test_kill_bounded_by_its_deadline)
{
	struct stubborn s = { .met = 0 };
	grove_greenlet *g = spawn(ignore_kills, &s);

	until_parked(g);
	CHECK_IS(-ETIMEDOUT, grove_kill(g, NULL, grove_in_ms(2)));
	CHECK_IS(-ETIMEDOUT, grove_kill(g, NULL, GROVE_DEADLINE(0)));
	gt_until(s.met == 2);
	until_parked(g);
	CHECK_IS(0, grove_event_send(&s.event, NULL));
	CHECK_IS(0, value_of(g));
}

/* One-hub order is not needed: all are sent before the first is met. */
GT_STRICT_TEST(test_kills_of_one_killer_come_in_order)
{
	int codes[] = { GROVE_KILLED, -EIO, GROVE_KILLED, GROVE_KILLED, -EPERM, -ENOENT };
	struct stubborn s = { .met = 0 };
	grove_greenlet *g = spawn(ignore_kills, &s);

	until_parked(g);
	for (size_t i = 0; i < GV_ARRAY_LEN(codes); i++) {
		grove_failure *failure = codes[i] == GROVE_KILLED ? NULL : make(codes[i]);

		CHECK_IS(0, grove_kill(g, failure, GROVE_POLL));
		grove_failure_release(failure);
	}
	gt_until(s.met == (int)GV_ARRAY_LEN(codes));
	until_parked(g);
	CHECK_IS(0, grove_event_send(&s.event, NULL));
	CHECK_IS(0, value_of(g));
	for (size_t i = 0; i < GV_ARRAY_LEN(codes); i++)
		CHECK_IS(codes[i], s.codes[i]);
}

static void *end_without_a_wait(void *arg)
{
	grove_failure *failure = make(-EIO);

	CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	CHECK_IS(0, grove_kill(grove_self(), failure, GROVE_POLL));
	grove_failure_release(failure);
	CHECK(grove_cancel_requested());
	return arg;
}

/* What was sent is given back, too. */
GT_TEST(test_kills_that_are_never_met)
{
	CHECK_IS(5, value_of(spawn(end_without_a_wait, CODE(5))));
}

GT_STRICT_TEST(test_wakeup_that_was_first_stands)
{
	struct victim v = { .code = 1 };
	grove_greenlet *g = spawn(meet_a_kill, &v);

	until_parked(g);
	CHECK_IS(0, grove_event_send(&v.event, NULL));
	CHECK_IS(0, grove_kill(g, NULL, GROVE_POLL));
	gt_join(g);
	CHECK_IS(0, v.code);
	CHECK_IS(GROVE_KILLED, v.next);
}

/* ---- the caller itself ---- */

GT_TEST(test_own_kill_with_a_deadline)
{
	grove_failure *failure = make(-EDOM);

	CHECK_IS(GROVE_KILLED, grove_kill(grove_self(), failure, GROVE_NEVER));
	CHECK(grove_last_failure() == failure);
	grove_failure_release(failure);
	CHECK(grove_cancel_requested());
	CHECK_IS(0, grove_yield()); /* it was delivered */
}

GT_TEST(test_own_kill_comes_at_the_next_suspension)
{
	grove_event event = GROVE_EVENT_INIT;

	CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));

	/* What can complete at once does. */
	CHECK_IS(-EAGAIN, grove_event_wait(&event, NULL, GROVE_POLL));
	CHECK_IS(0, grove_sleep(GROVE_POLL));
	CHECK_IS(0, grove_event_send(&event, NULL));
	CHECK_IS(0, grove_event_wait(&event, NULL, GROVE_NEVER));

	CHECK_IS(GROVE_KILLED, grove_sleep(gt_soon()));
	CHECK_IS(0, grove_yield());
}

GT_TEST(test_yield_meets_a_kill)
{
	CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	CHECK_IS(GROVE_KILLED, grove_yield());
	CHECK(grove_last_failure() == grove_failure_exit());
	CHECK_IS(0, grove_yield());
}

/* ---- several killers ---- */

static void *kill_and_wait(void *greenlet)
{
	return CODE(grove_kill(greenlet, NULL, GROVE_NEVER));
}

GT_TEST(test_several_wait_for_the_same_end)
{
	struct stubborn s = { .met = 0 };
	grove_greenlet *g = spawn(ignore_kills, &s);
	grove_greenlet *killers[4];

	until_parked(g);
	for (int i = 0; i < 4; i++)
		killers[i] = spawn(kill_and_wait, g);
	for (int i = 0; i < 4; i++)
		until_parked(killers[i]);
	gt_until(s.met == 4);
	CHECK_IS(0, grove_event_send(&s.event, NULL));
	for (int i = 0; i < 4; i++)
		CHECK_IS(0, value_of(killers[i]));
	CHECK_IS(0, value_of(g));
}

GT_TEST(test_killed_killer)
{
	struct stubborn s = { .met = 0 };
	grove_greenlet *g = spawn(ignore_kills, &s);
	until_parked(g);
	grove_greenlet *killer = spawn(kill_and_wait, g);

	until_parked(killer);
	CHECK_IS(0, grove_kill(killer, NULL, gt_soon()));
	CHECK_IS(GROVE_KILLED, value_of(killer));
	gt_until(s.met == 1); /* in force all the same */
	CHECK_IS(0, grove_event_send(&s.event, NULL));
	CHECK_IS(0, value_of(g));
}

/* ---- other contexts ---- */

static void *kill_outside(void *greenlet)
{
	CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	CHECK(grove_ready(greenlet));
	return NULL;
}

GT_TEST(test_foreign_pthread_kills)
{
	struct victim v = { .code = 1 };
	grove_greenlet *g = spawn(meet_a_kill, &v);
	pthread_t thread;

	until_parked(g);
	start_thread(&thread, kill_outside, g);
	join_thread(thread);
	CHECK_IS(GROVE_KILLED, v.code);
	grove_greenlet_release(g);

	int runs = 0;
	g = spawn_unstarted(count_run, &runs);
	start_thread(&thread, kill_outside, g);
	join_thread(thread);
	CHECK_IS(0, runs);
	grove_greenlet_release(g);
	CHECK_IS(0, grove_event_destroy(&v.event));
}

struct in_hub {
	grove_greenlet *asked, *waited_for;
	int only_asked, waited;
	grove_event done;
};

static void kill_in_callback(void *arg)
{
	struct in_hub *h = arg;

	h->only_asked = grove_kill(h->asked, NULL, GROVE_POLL);
	h->waited = grove_kill(h->waited_for, NULL, GROVE_NEVER);
	CHECK_IS(0, grove_event_send(&h->done, NULL));
}

GT_TEST(test_hub_callback_only_asks)
{
	grove_event never = GROVE_EVENT_INIT;
	struct in_hub h = { .asked = spawn(wait_for, &never),
			    .waited_for = spawn(wait_for, &never) };
	grove_timer timer = GROVE_TIMER_INIT;

	until_parked(h.asked);
	until_parked(h.waited_for);
	CHECK_IS(0, grove_timer_start(&timer, kill_in_callback, &h, 0, 0, GROVE_POLL));
	CHECK_IS(0, grove_event_wait(&h.done, NULL, gt_soon()));
	CHECK_IS(0, h.only_asked);
	CHECK_IS(GROVE_IN_HUB, h.waited);
	CHECK_IS(GROVE_KILLED, value_of(h.asked));
	CHECK_IS(GROVE_KILLED, value_of(h.waited_for));
	CHECK_IS(0, grove_event_destroy(&never));
}

/* ---- races ---- */

struct duel {
	grove_event event;
	grove_greenlet *greenlet;
	int met, after;
	int rounds;
};

static void *wait_in_duel(void *arg)
{
	struct duel *d = arg;

	d->met = grove_event_wait(&d->event, NULL, GROVE_NEVER);
	d->after = grove_yield();
	return CODE(d->met);
}

static void begin_duel(struct duel *d)
{
	d->event = (grove_event)GROVE_EVENT_INIT;
	d->met = d->after = 1;
	d->greenlet = spawn(wait_in_duel, d);
}

static void fight(unsigned party, void *arg)
{
	struct duel *d = arg;

	gt_spin(300);
	if (party == 0)
		CHECK_IS(0, grove_event_send(&d->event, NULL));
	else
		CHECK_IS(0, grove_kill(d->greenlet, NULL, party == 1 ? GROVE_POLL : gt_soon()));
}

static void judge(void *arg)
{
	struct duel *d = arg;

	CHECK_IS(0, grove_join(d->greenlet, gt_soon()));
	switch (grove_greenlet_state(d->greenlet)) {
	case GROVE_EXITED: /* before its first run */
		CHECK(d->met == 1 && d->after == 1);
		break;
	case GROVE_DONE:
		CHECK(d->met == 0 || d->met == GROVE_KILLED);
		CHECK(d->after == 0 || d->after == GROVE_KILLED);
		break;
	default:
		CHECK(false);
	}
	grove_greenlet_release(d->greenlet);
	CHECK_IS(0, grove_event_destroy(&d->event));
	if (--d->rounds > 0)
		begin_duel(d);
}

GT_TEST(test_first_run_wakeup_and_two_kills_at_once)
{
	struct duel d = { .rounds = GT_SCALED(2000) };
	struct gt_race race = {
		.parties = 3,
		.threads = 1,
		.rounds = d.rounds,
		.act = fight,
		.between = judge,
		.arg = &d,
	};

	begin_duel(&d);
	gt_race(&race);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_to_kill),
		cmocka_unit_test(test_cancel_before_the_first_run),
		cmocka_unit_test(test_cancel_comes_too_late),
		cmocka_unit_test(test_kill_before_the_first_run),
		cmocka_unit_test(test_kill_with_a_failure_before_the_first_run),
		cmocka_unit_test(test_kill_of_the_dead_changes_nothing),
		cmocka_unit_test(test_joiner_of_one_that_never_runs),
		cmocka_unit_test(test_kill_ends_a_wait),
		cmocka_unit_test(test_victim_gets_the_very_failure),
		cmocka_unit_test(test_passed_on_exit_and_failure),
		cmocka_unit_test(test_kill_bounded_by_its_deadline),
		cmocka_unit_test(test_kills_of_one_killer_come_in_order),
		cmocka_unit_test(test_kills_that_are_never_met),
		cmocka_unit_test(test_wakeup_that_was_first_stands),
		cmocka_unit_test(test_own_kill_with_a_deadline),
		cmocka_unit_test(test_own_kill_comes_at_the_next_suspension),
		cmocka_unit_test(test_yield_meets_a_kill),
		cmocka_unit_test(test_several_wait_for_the_same_end),
		cmocka_unit_test(test_killed_killer),
		cmocka_unit_test(test_foreign_pthread_kills),
		cmocka_unit_test(test_hub_callback_only_asks),
		cmocka_unit_test(test_first_run_wakeup_and_two_kills_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
