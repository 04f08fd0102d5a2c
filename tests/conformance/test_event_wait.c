/* SPDX-License-Identifier: MIT */
/*
 * test_event_wait.c - EV-5 to EV-9, EV-12 to EV-16: what ends a wait for an event, and who is woken, when
 * and from where.  CASES A.
 *
 * The value of a greenlet that waits is the code of its wait, or what it was sent.
 */
#include "gt.h"

#include <signal.h>
#include <unistd.h>

static int numbers[8];

#define V1 (&numbers[1])
#define V2 (&numbers[2])

/* A pointer that uses the highest bits: it does not fit beside the state. */
#define WIDE ((void *)(uintptr_t)UINT64_C(0x7123456789abcdef))

static void *wait_for_value(void *event)
{
	void *value = NULL;
	int rc = grove_event_wait(event, &value, gt_soon());

	return rc == 0 ? value : GT_VALUE(rc);
}

static void *wait_for_code(void *event)
{
	return GT_VALUE(grove_event_wait(event, NULL, gt_soon()));
}

static void check_value(void *expected, grove_event *event)
{
	void *value = NULL;

	GT_CHECK_IS(0, grove_event_wait(event, &value, GROVE_POLL));
	GT_CHECK(value == expected);
}

/* --- EV-5: what a waiter gets is captured by the send -------------------------------------------- */

/* EV-5, CASES 17: also if the event is reset and sent again before the waiter runs. */
GT_TEST(test_waiter_gets_what_was_sent_first)
{
	static const int counts[] = { 1, 16, 17, 100 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_greenlet *waiters[100];
		grove_event event = GROVE_EVENT_INIT;

		for (int j = 0; j < counts[i]; j++)
			waiters[j] = gt_spawn_parked(wait_for_value, &event);
		GT_CHECK_IS(0, grove_event_send(&event, V1));
		GT_CHECK_IS(0, grove_event_reset(&event));
		GT_CHECK_IS(0, grove_event_send(&event, V2));
		check_value(V2, &event);
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(V1, gt_value_of(waiters[j]));
	}
}

static void *wait_for_failure(void *event)
{
	GT_CHECK_IS(GROVE_FAILED, grove_event_wait(event, NULL, gt_soon()));
	return grove_last_failure();
}

/* EV-5: the same for failures, which the event itself no longer holds by then. */
GT_TEST(test_waiter_keeps_a_failure_that_was_reset)
{
	static const int counts[] = { 1, 16, 17, 100 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_greenlet *waiters[100];
		grove_event event = GROVE_EVENT_INIT;
		grove_failure *failure = grove_failure_new(-EIO, "first");

		for (int j = 0; j < counts[i]; j++)
			waiters[j] = gt_spawn_parked(wait_for_failure, &event);
		GT_CHECK_IS(0, grove_event_send_failure(&event, failure));
		GT_CHECK_IS(0, grove_event_reset(&event));
		GT_CHECK_IS(0, grove_event_send(&event, V2));
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS((intptr_t)failure, gt_value_of(waiters[j]));
		check_value(V2, &event);
		grove_failure_release(failure);
	}
}

/* --- EV-6: deadline and send in one slice --------------------------------------------------------- */

struct tie {
	grove_event event;
	grove_deadline deadline; /* set by the waiter */
};

static void *wait_until_tie(void *arg)
{
	struct tie *tie = arg;

	tie->deadline = grove_in_ms(20);
	return GT_VALUE(grove_event_wait(&tie->event, NULL, tie->deadline));
}

/* EV-6, CASES 22: the deadline came while the hub computed, then the event is sent.  Exactly one of
 * the two ends the wait, and the event is ready whichever it is. */
GT_TEST(test_due_deadline_and_send)
{
	struct tie tie = { 0 };
	grove_greenlet *waiter = gt_spawn_parked(wait_until_tie, &tie);

	gt_compute_until(tie.deadline.ns + GT_MS);
	GT_CHECK_IS(0, grove_event_send(&tie.event, V1));
	intptr_t rc = gt_value_of(waiter);
	GT_CHECK(rc == 0 || rc == -ETIMEDOUT);
	GT_CHECK(grove_event_ready(&tie.event));
	check_value(V1, &tie.event);
}

/* --- EV-7, EV-8, EV-9: kills ------------------------------------------------------------------- */

/* EV-7, CASES 19: who is killed leaves; a later send does not see it, and the others get theirs. */
GT_TEST(test_killed_waiter_leaves)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *first = gt_spawn_parked(wait_for_value, &event);
	grove_greenlet *killed = gt_spawn_parked(wait_for_value, &event);
	grove_greenlet *last = gt_spawn_parked(wait_for_value, &event);

	GT_CHECK_IS(0, grove_kill(killed, NULL, gt_soon()));
	GT_CHECK(!grove_event_ready(&event));
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(killed));
	GT_CHECK_IS(V1, gt_value_of(first));
	GT_CHECK_IS(V1, gt_value_of(last));
	check_value(V1, &event);
}

static void *wait_then_yield(void *event)
{
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	return GT_VALUE(grove_yield());
}

/* EV-8, CASES 20, decision 3: a kill that the sender issues after a short delivery comes after it. */
GT_TEST(test_kill_does_not_overtake_send)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *killed = gt_spawn_parked(wait_then_yield, &event);
	grove_greenlet *other = gt_spawn_parked(wait_for_value, &event);

	GT_CHECK_IS(0, grove_event_send(&event, V1));
	GT_CHECK_IS(0, grove_kill(killed, NULL, GROVE_POLL));
	intptr_t rc = gt_value_of(killed);
	/* With several hubs it may have met its yield before the kill came. */
	GT_CHECK(rc == GROVE_KILLED || (grove_hub_count() > 1 && rc == 0));
	GT_CHECK_IS(V1, gt_value_of(other));
}

/* EV-8, decision 3: in strict order that holds for any number of waiters. */
GT_STRICT_TEST(test_kill_does_not_overtake_a_long_delivery)
{
	enum { MANY = 100 };
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *waiters[MANY];

	for (int i = 0; i < MANY; i++)
		waiters[i] = gt_spawn_parked(wait_then_yield, &event);
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	for (int i = 0; i < MANY; i += 3)
		GT_CHECK_IS(0, grove_kill(waiters[i], NULL, GROVE_POLL));
	for (int i = 0; i < MANY; i++)
		GT_CHECK_IS(i % 3 == 0 ? GROVE_KILLED : 0, gt_value_of(waiters[i]));
}

/* EV-8: the other way round it is the kill, and the kill alone. */
GT_TEST(test_send_does_not_overtake_kill)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *killed = gt_spawn_parked(wait_for_code, &event);

	GT_CHECK_IS(0, grove_kill(killed, NULL, GROVE_POLL));
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(killed));
}

/* EV-8: a wait between the send and the wake-ups returns at once. */
GT_STRICT_TEST(test_wait_between_send_and_wake)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_for_value, &event);
	void *value = NULL;

	GT_CHECK_IS(0, grove_event_send(&event, V1));
	GT_CHECK_IS(0, grove_event_wait(&event, &value, GROVE_NEVER));
	GT_CHECK(value == V1);
	GT_CHECK(!grove_ready(waiter));
	GT_CHECK_IS(V1, gt_value_of(waiter));
}

struct twice {
	grove_event event;
	grove_deadline first;
	int codes[2];
};

static void *wait_twice(void *arg)
{
	struct twice *twice = arg;

	twice->codes[0] = grove_event_wait(&twice->event, NULL, twice->first);
	twice->codes[1] = grove_event_wait(&twice->event, NULL, gt_soon());
	return NULL;
}

/* EV-9: the deadline of a wait that a kill has ended does not end the next one on the same event. */
GT_TEST(test_stale_deadline_is_harmless)
{
	struct twice twice = { .first = grove_in_ms(10) };
	grove_greenlet *waiter = gt_spawn_parked(wait_twice, &twice);

	GT_CHECK_IS(0, grove_kill(waiter, NULL, GROVE_POLL));
	gt_until(grove_now_ns() > twice.first.ns + 3 * GT_MS);
	GT_CHECK(!grove_ready(waiter));
	GT_CHECK_IS(0, grove_event_send(&twice.event, V1));
	gt_join(waiter);
	GT_CHECK(twice.codes[0] == GROVE_KILLED || twice.codes[0] == -ETIMEDOUT);
	if (twice.codes[0] == GROVE_KILLED)
		GT_CHECK_IS(0, twice.codes[1]);
}

/* --- EV-12, EV-15: failures ---------------------------------------------------------------------- */

/* EV-12, CASES 10: all who wait and all who come later get the same object, as often as they ask. */
GT_TEST(test_failure_is_the_same_for_all)
{
	enum { MANY = 40 };
	grove_greenlet *waiters[MANY];
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = grove_failure_new(-EPROTO, "the %s", "reason");

	for (int i = 0; i < MANY; i++)
		waiters[i] = gt_spawn_parked(wait_for_failure, &event);
	GT_CHECK_IS(0, grove_event_send_failure(&event, failure));
	for (int i = 0; i < MANY; i++)
		GT_CHECK_IS((intptr_t)failure, gt_value_of(waiters[i]));
	for (int i = 0; i < 3; i++) {
		GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&event, NULL, GROVE_NEVER));
		GT_CHECK(grove_last_failure() == failure);
		GT_CHECK_IS(-EPROTO, grove_failure_code(failure));
		GT_CHECK(strcmp(grove_failure_message(failure), "the reason") == 0);
	}
	GT_CHECK_IS(0, grove_event_destroy(&event));
	grove_failure_release(failure);
}

static void *wait_and_fail(void *event)
{
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	return grove_fail_code(-EIO);
}

/* EV-15, CASES 4: every other waiter fails right after it was woken; nobody else is concerned. */
GT_TEST(test_waiters_that_fail_do_not_concern_others)
{
	enum { MANY = 40 };
	grove_greenlet *waiters[MANY];
	grove_event event = GROVE_EVENT_INIT;

	for (int i = 0; i < MANY; i++)
		waiters[i] = gt_spawn_parked(i % 2 == 0 ? wait_and_fail : wait_for_value, &event);
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	for (int i = 0; i < MANY; i++) {
		GT_CHECK_IS(0, grove_join(waiters[i], gt_soon()));
		if (i % 2 == 0)
			GT_CHECK_IS(GROVE_FAULTED, grove_greenlet_state(waiters[i]));
		else
			GT_CHECK(grove_value(waiters[i]) == V1);
		grove_greenlet_release(waiters[i]);
	}
	GT_CHECK_IS(MANY / 2, gt_take_reports(NULL));
}

/* --- EV-13: order ------------------------------------------------------------------------------ */

static int order[1000];
static int order_count;

struct place {
	grove_event *event;
	int number;
};

static void *wait_and_note(void *arg)
{
	struct place *place = arg;

	GT_CHECK_IS(0, grove_event_wait(place->event, NULL, gt_soon()));
	order[order_count++] = place->number;
	return NULL;
}

/* EV-13, CASES 26: first come, first served, in short deliveries and in long ones. */
GT_STRICT_TEST(test_waiters_run_in_order)
{
	static const int counts[] = { 5, 16, 17, 300, 1000 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		static struct place places[1000];
		grove_greenlet *waiters[1000];
		grove_event event = GROVE_EVENT_INIT;

		order_count = 0;
		for (int j = 0; j < counts[i]; j++) {
			places[j] = (struct place){ &event, j };
			waiters[j] = gt_spawn(wait_and_note, &places[j]);
		}
		for (int j = 0; j < counts[i]; j++)
			gt_until_parked(waiters[j]);
		GT_CHECK_IS(0, grove_event_send(&event, NULL));
		for (int j = 0; j < counts[i]; j++)
			gt_join(waiters[j]);
		GT_CHECK_IS(counts[i], order_count);
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(j, order[j]);
	}
}

/* EV-13: those that have given up leave the order of the others as it was. */
GT_STRICT_TEST(test_order_survives_those_who_left)
{
	enum { MANY = 400 };
	static struct place places[MANY];
	grove_greenlet *waiters[MANY];
	grove_event event = GROVE_EVENT_INIT;

	order_count = 0;
	for (int i = 0; i < MANY; i++) {
		places[i] = (struct place){ &event, i };
		waiters[i] = gt_spawn_parked(i % 4 == 3 ? wait_and_note : wait_for_code,
					     i % 4 == 3 ? (void *)&places[i] : (void *)&event);
		if (i % 4 != 3)
			GT_CHECK_IS(0, grove_kill(waiters[i], NULL, gt_soon()));
	}
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	for (int i = 0; i < MANY; i++)
		gt_join(waiters[i]);
	GT_CHECK_IS(MANY / 4, order_count);
	for (int i = 0; i < MANY / 4; i++)
		GT_CHECK_IS(4 * i + 3, order[i]);
}

/* --- EV-14, EV-16: from where -------------------------------------------------------------------- */

struct from_hub {
	grove_event fresh;
	grove_event sent;
	grove_event *other;
	int wait_fresh, wait_fresh_passed, poll_fresh, wait_sent, send, reset;
	grove_event done;
};

static void use_in_hub(void *arg)
{
	struct from_hub *f = arg;

	f->wait_fresh = grove_event_wait(&f->fresh, NULL, GROVE_NEVER);
	f->wait_fresh_passed = grove_event_wait(&f->fresh, NULL, GROVE_DEADLINE(0));
	f->poll_fresh = grove_event_wait(&f->fresh, NULL, GROVE_POLL);
	f->wait_sent = grove_event_wait(&f->sent, NULL, GROVE_NEVER);
	f->send = grove_event_send(f->other, V1);
	f->reset = grove_event_reset(&f->sent);
	GT_CHECK_IS(0, grove_event_send(&f->done, NULL));
}

/* EV-14, CASES 23: sending from a callback is fine, waiting there is not, unless it need not wait. */
GT_TEST(test_use_in_a_callback)
{
	grove_event event = GROVE_EVENT_INIT;
	struct from_hub f = { .other = &event };
	grove_timer timer = GROVE_TIMER_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_for_value, &event);

	GT_CHECK_IS(0, grove_event_send(&f.sent, V2));
	GT_CHECK_IS(0, grove_timer_start(&timer, use_in_hub, &f, 0, 0, grove_in_ms(1)));
	GT_CHECK_IS(0, grove_event_wait(&f.done, NULL, gt_soon()));
	GT_CHECK_IS(V1, gt_value_of(waiter));
	GT_CHECK_IS(GROVE_IN_HUB, f.wait_fresh);
	GT_CHECK_IS(GROVE_IN_HUB, f.wait_fresh_passed);
	GT_CHECK_IS(-EAGAIN, f.poll_fresh);
	GT_CHECK_IS(0, f.wait_sent);
	GT_CHECK_IS(0, f.send);
	GT_CHECK_IS(0, f.reset);
	GT_CHECK_IS(0, grove_event_destroy(&f.fresh));
	gt_until(grove_timer_destroy(&timer) == 0);
}

static void *send_from_thread(void *event)
{
	return GT_VALUE(grove_event_send(event, V1));
}

/* EV-16, XT-5: a foreign pthread sends; greenlets wake, however many, with and without deadline. */
GT_TEST(test_send_from_a_thread)
{
	static const int counts[] = { 1, 16, 17, 100 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_greenlet *waiters[100];
		grove_event event = GROVE_EVENT_INIT;
		pthread_t thread;

		for (int j = 0; j < counts[i]; j++)
			waiters[j] = gt_spawn_parked(wait_for_value, &event);
		gt_thread_start(&thread, send_from_thread, &event);
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(V1, gt_value_of(waiters[j]));
		gt_thread_join(thread);
	}
}

struct thread_wait {
	grove_event event;
	_Atomic bool begun;
	void *value;
	int rc, timed_out, polled;
};

static void *wait_in_thread(void *arg)
{
	struct thread_wait *w = arg;

	w->polled = grove_event_wait(&w->event, NULL, GROVE_POLL);
	w->timed_out = grove_event_wait(&w->event, NULL, grove_in_ms(1));
	atomic_store(&w->begun, true);
	w->rc = grove_event_wait(&w->event, &w->value, gt_soon());
	return NULL;
}

/* EV-16, decision 13: a foreign pthread waits, a greenlet sends. */
GT_TEST(test_wait_in_a_thread)
{
	struct thread_wait w = { 0 };
	pthread_t thread;

	gt_thread_start(&thread, wait_in_thread, &w);
	gt_until(atomic_load(&w.begun));
	GT_CHECK_IS(0, grove_event_send(&w.event, V1));
	gt_thread_join(thread);
	GT_CHECK_IS(-EAGAIN, w.polled);
	GT_CHECK_IS(-ETIMEDOUT, w.timed_out);
	GT_CHECK_IS(0, w.rc);
	GT_CHECK(w.value == V1);
	GT_CHECK_IS(0, grove_event_destroy(&w.event));
}

static void *wait_in_thread_for_value(void *event)
{
	return wait_for_value(event);
}

/* EV-2, EV-16: one send for greenlets of all hubs, some of them pinned, and threads among them. */
GT_TEST(test_send_to_a_mixed_crowd)
{
	enum { GREENLETS = 200, THREADS = 4 };

	for (int round = 0; round < 5; round++) {
		grove_attributes pinned = GROVE_ATTRIBUTES_INIT;
		grove_event event = GROVE_EVENT_INIT;
		grove_greenlet *waiters[GREENLETS];
		pthread_t threads[THREADS];

		pinned.flags = GROVE_ON_HUB;
		for (int i = 0; i < GREENLETS; i++) {
			if (i % (GREENLETS / THREADS) == 10)
				gt_thread_start(&threads[i * THREADS / GREENLETS],
						wait_in_thread_for_value, &event);
			pinned.hub = i % 3 == 0 ? i / 3 % grove_hub_count() : GROVE_ANY_HUB;
			GT_CHECK_IS(0, grove_spawn_with(&waiters[i], wait_for_value, &event, &pinned));
		}
		for (int i = 0; i < GREENLETS; i++)
			gt_until_parked(waiters[i]);
		GT_CHECK_IS(0, grove_event_send(&event, round % 2 == 0 ? V1 : WIDE));
		for (int i = 0; i < GREENLETS; i++)
			GT_CHECK_IS(round % 2 == 0 ? V1 : WIDE, gt_value_of(waiters[i]));
		for (int i = 0; i < THREADS; i++) {
			void *value = NULL;

			gt_until(pthread_tryjoin_np(threads[i], &value) == 0);
			GT_CHECK(value == (round % 2 == 0 ? V1 : WIDE));
		}
		GT_CHECK_IS(0, grove_event_destroy(&event));
	}
}

static void *send_v1(void *event)
{
	return GT_VALUE(grove_event_send(event, V1));
}

/* EV-16: the same between the test's pthread and hubs that run behind its back. */
GT_THREAD_TEST(test_wait_for_greenlets_from_outside)
{
	grove_event event = GROVE_EVENT_INIT;
	void *value = NULL;

	grove_greenlet *sender = gt_spawn(send_v1, &event);
	GT_CHECK_IS(0, grove_event_wait(&event, &value, gt_soon()));
	GT_CHECK(value == V1);
	GT_CHECK_IS(0, gt_value_of(sender));
}

static grove_event sent_by_signal;

static void send_in_handler(int signo)
{
	(void)signo;
	errno = 4711;
	if (grove_event_send(&sent_by_signal, V1) != 0 || errno != 4711 ||
	    !grove_event_ready(&sent_by_signal))
		abort();
}

/* EV-16: a signal handler is one more place to send from, on a hub and on a foreign pthread. */
GT_TEST(test_send_from_a_signal_handler)
{
	static const int counts[] = { 1, 17, 100 };
	struct sigaction action = { .sa_handler = send_in_handler };
	struct sigaction before;

	sigaction(SIGUSR1, &action, &before);
	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_greenlet *waiters[100];

		memset(&sent_by_signal, 0, sizeof(sent_by_signal));
		for (int j = 0; j < counts[i]; j++)
			waiters[j] = gt_spawn_parked(wait_for_value, &sent_by_signal);
		GT_CHECK_IS(0, kill(getpid(), SIGUSR1));
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(V1, gt_value_of(waiters[j]));
	}
	sigaction(SIGUSR1, &before, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waiter_gets_what_was_sent_first),
		cmocka_unit_test(test_waiter_keeps_a_failure_that_was_reset),
		cmocka_unit_test(test_due_deadline_and_send),
		cmocka_unit_test(test_killed_waiter_leaves),
		cmocka_unit_test(test_kill_does_not_overtake_send),
		cmocka_unit_test(test_kill_does_not_overtake_a_long_delivery),
		cmocka_unit_test(test_send_does_not_overtake_kill),
		cmocka_unit_test(test_wait_between_send_and_wake),
		cmocka_unit_test(test_stale_deadline_is_harmless),
		cmocka_unit_test(test_failure_is_the_same_for_all),
		cmocka_unit_test(test_waiters_that_fail_do_not_concern_others),
		cmocka_unit_test(test_waiters_run_in_order),
		cmocka_unit_test(test_order_survives_those_who_left),
		cmocka_unit_test(test_use_in_a_callback),
		cmocka_unit_test(test_send_from_a_thread),
		cmocka_unit_test(test_wait_in_a_thread),
		cmocka_unit_test(test_send_to_a_mixed_crowd),
		cmocka_unit_test(test_wait_for_greenlets_from_outside),
		cmocka_unit_test(test_send_from_a_signal_handler),
	};

	return cmocka_run_group_tests_name("event_wait", tests, NULL, NULL);
}
