/* SPDX-License-Identifier: MIT */
/*
 * test_event.c - EV-1 to EV-4, EV-10, EV-11, EV-17: what can be done to an event, CASES A.  What waiters
 * see is in test_event_wait.c, races are in test_event_race.c.
 *
 * The value of a greenlet that waits is the code of its wait, or what it was sent.
 */
#include "gt.h"

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

/* --- EV-1: states ------------------------------------------------------------------------------ */

/* EV-1, EV-2, CASES 1: from FRESH to SENT, with every kind of value. */
GT_TEST(test_send_makes_it_ready)
{
	void *values[] = { V1, NULL, GT_VALUE(-1), GT_VALUE(1), WIDE };

	for (size_t i = 0; i < GV_ARRAY_LEN(values); i++) {
		grove_event event = GROVE_EVENT_INIT;

		GT_CHECK(!grove_event_ready(&event));
		GT_CHECK_IS(-EAGAIN, grove_event_wait(&event, NULL, GROVE_POLL));
		GT_CHECK_IS(0, grove_event_send(&event, values[i]));
		GT_CHECK(grove_event_ready(&event));
		check_value(values[i], &event);
		GT_CHECK_IS(0, grove_event_destroy(&event));
	}
}

/* EV-1: zero bytes are a fresh event, and so they are after a destroy. */
GT_TEST(test_zero_bytes_are_fresh)
{
	grove_event event;

	for (int i = 0; i < 2; i++) {
		memset(&event, 0, sizeof(event));
		GT_CHECK(!grove_event_ready(&event));
		grove_greenlet *waiter = gt_spawn_parked(wait_for_value, &event);
		GT_CHECK_IS(0, grove_event_send(&event, V1));
		GT_CHECK_IS(V1, gt_value_of(waiter));
		GT_CHECK_IS(0, grove_event_destroy(&event));
	}
}

/* EV-1, CASES 11: a failure is no value.  Its success and its failure exclude each other. */
GT_TEST(test_failure_is_no_result)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = grove_failure_new(-EIO, "five");
	void *value = V2;

	GT_CHECK_IS(0, grove_event_send_failure(&event, failure));
	GT_CHECK(grove_event_ready(&event));
	GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&event, &value, GROVE_POLL));
	GT_CHECK(value == V2);
	GT_CHECK(grove_last_failure() == failure);
	GT_CHECK_IS(0, grove_event_destroy(&event));
	grove_failure_release(failure);
}

/* EV-1, CASES 25: an array of events is polled with ready. */
GT_TEST(test_ready_finds_those_that_were_sent)
{
	static const int sent[] = { 3, 1, 4 };
	grove_event events[5] = { GROVE_EVENT_INIT };
	int found = 0;

	for (size_t i = 0; i < GV_ARRAY_LEN(sent); i++)
		GT_CHECK_IS(0, grove_event_send(&events[sent[i]], &numbers[sent[i]]));
	for (int i = 0; i < 5; i++) {
		if (!grove_event_ready(&events[i]))
			continue;
		found = 10 * found + i;
		check_value(&numbers[i], &events[i]);
	}
	GT_CHECK_IS(134, found);
}

/* EV-11: poll, has_result and has_exception are one call with GROVE_POLL, which never suspends. */
GT_STRICT_TEST(test_poll_never_suspends)
{
	grove_event fresh = GROVE_EVENT_INIT;
	grove_event sent = GROVE_EVENT_INIT;
	grove_event failed = GROVE_EVENT_INIT;
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	bool ran = false;

	GT_CHECK_IS(0, grove_event_send(&sent, V1));
	GT_CHECK_IS(0, grove_event_send_failure(&failed, failure));
	grove_greenlet *other = gt_spawn(gt_note_run, &ran);
	GT_CHECK_IS(-EAGAIN, grove_event_wait(&fresh, NULL, GROVE_POLL));
	GT_CHECK_IS(0, grove_event_wait(&sent, NULL, GROVE_POLL));
	GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&failed, NULL, GROVE_POLL));
	GT_CHECK(!ran);
	gt_join(other);
	GT_CHECK_IS(0, grove_event_destroy(&failed));
	grove_failure_release(failure);
}

/* --- EV-2: send -------------------------------------------------------------------------------- */

/* EV-2, CASES 1: the waiter gets what is sent. */
GT_TEST(test_send_wakes_the_waiter)
{
	void *values[] = { V1, NULL, WIDE };

	for (size_t i = 0; i < GV_ARRAY_LEN(values); i++) {
		grove_event event = GROVE_EVENT_INIT;
		grove_greenlet *waiter = gt_spawn_parked(wait_for_value, &event);

		GT_CHECK_IS(0, grove_event_send(&event, values[i]));
		GT_CHECK_IS(values[i], gt_value_of(waiter));
	}
}

static char written[16];

static void *write_and_wait(void *event)
{
	void *value = NULL;

	strcat(written, "w");
	GT_CHECK_IS(0, grove_event_wait(event, &value, GROVE_NEVER));
	strcat(written, value);
	return NULL;
}

/* EV-2, CASES 2, the worked example of seed 001: send does not unschedule its caller. */
GT_STRICT_TEST(test_send_does_not_suspend)
{
	grove_event event = GROVE_EVENT_INIT;

	written[0] = '\0';
	grove_greenlet *waiter = gt_spawn(write_and_wait, &event);
	GT_CHECK(strcmp(written, "") == 0);
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK(strcmp(written, "w") == 0);
	GT_CHECK_IS(0, grove_event_send(&event, "a"));
	GT_CHECK(strcmp(written, "w") == 0);
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK(strcmp(written, "wa") == 0);
	GT_CHECK(grove_ready(waiter));
	gt_join(waiter);
}

/* EV-2: one hub runs nobody inside send, in any order of greenlets, for a crowd neither. */
GT_TEST(test_send_runs_nobody)
{
	enum { MANY = 100 };
	grove_greenlet *waiters[MANY];
	grove_event event = GROVE_EVENT_INIT;

	for (int i = 0; i < MANY; i++)
		waiters[i] = gt_spawn_parked(wait_for_value, &event);
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	for (int i = 0; i < MANY; i++) {
		if (grove_hub_count() == 1)
			GT_CHECK(!grove_ready(waiters[i]));
	}
	for (int i = 0; i < MANY; i++)
		GT_CHECK_IS(V1, gt_value_of(waiters[i]));
}

/* EV-2: crowds on both sides of what a send delivers itself, and of a piece of a longer delivery. */
GT_TEST(test_send_wakes_any_number)
{
	static const int counts[] = { 1, 2, 15, 16, 17, 64, 65, 256, 257, 1000 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_greenlet *waiters[1000];
		grove_event event = GROVE_EVENT_INIT;

		for (int j = 0; j < counts[i]; j++)
			waiters[j] = gt_spawn(wait_for_value, &event);
		for (int j = 0; j < counts[i]; j++)
			gt_until_parked(waiters[j]);
		GT_CHECK_IS(0, grove_event_send(&event, V1));
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(V1, gt_value_of(waiters[j]));
		GT_CHECK_IS(0, grove_event_destroy(&event));
	}
}

/* --- EV-3: one send ---------------------------------------------------------------------------- */

/* EV-3, CASES 7: the second send, of whatever kind, is refused in every build and changes nothing. */
GT_TEST(test_second_send_is_refused)
{
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	void *values[] = { V1, WIDE };

	for (size_t i = 0; i < GV_ARRAY_LEN(values); i++) {
		grove_event event = GROVE_EVENT_INIT;
		grove_greenlet *waiter = gt_spawn_parked(wait_for_value, &event);

		GT_CHECK_IS(0, grove_event_send(&event, values[i]));
		GT_CHECK_IS(-EALREADY, grove_event_send(&event, V2));
		GT_CHECK_IS(-EALREADY, grove_event_send(&event, NULL));
		GT_CHECK_IS(-EALREADY, grove_event_send_failure(&event, failure));
		check_value(values[i], &event);
		GT_CHECK_IS(values[i], gt_value_of(waiter));
	}

	grove_event event = GROVE_EVENT_INIT;
	GT_CHECK_IS(0, grove_event_send_failure(&event, failure));
	GT_CHECK_IS(-EALREADY, grove_event_send(&event, V1));
	GT_CHECK_IS(-EALREADY, grove_event_send(&event, WIDE));
	GT_CHECK_IS(-EALREADY, grove_event_send_failure(&event, failure));
	GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&event, NULL, GROVE_POLL));
	GT_CHECK_IS(0, grove_event_destroy(&event));
	grove_failure_release(failure);
}

/* --- EV-4: wait -------------------------------------------------------------------------------- */

/* EV-4, CASES 5: what was sent is had at once, any number of times, whatever the deadline. */
GT_STRICT_TEST(test_wait_on_a_sent_one_does_not_suspend)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_deadline deadlines[] = { GROVE_NEVER, GROVE_POLL, grove_in_ms(0), grove_in_ms(-1) };
	bool ran = false;

	GT_CHECK_IS(0, grove_event_send(&event, V1));
	grove_greenlet *other = gt_spawn(gt_note_run, &ran);
	for (size_t i = 0; i < 3 * GV_ARRAY_LEN(deadlines); i++) {
		void *value = NULL;

		GT_CHECK_IS(0, grove_event_wait(&event, &value,
						deadlines[i % GV_ARRAY_LEN(deadlines)]));
		GT_CHECK(value == V1);
	}
	GT_CHECK(!ran);
	gt_join(other);
}

static void *send_v1_after_a_nap(void *event)
{
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(2)));
	GT_CHECK_IS(0, grove_event_send(event, V1));
	return NULL;
}

/* EV-4, CASES 13: sent before the deadline. */
GT_TEST(test_wait_ends_before_its_deadline)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_deadline deadline = gt_soon();
	void *value = NULL;

	grove_greenlet *sender = gt_spawn(send_v1_after_a_nap, &event);
	GT_CHECK_IS(0, grove_event_wait(&event, &value, deadline));
	GT_CHECK(value == V1);
	GT_CHECK(grove_left_ns(deadline) > 0);
	gt_join(sender);
}

/* EV-4, CASES 14: nobody sends.  The code differs from a NULL that was sent, and the event is as
 * fresh as before. */
GT_TEST(test_wait_times_out)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_deadline deadline = grove_in_ms(5);
	void *value = V2;

	GT_CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, &value, deadline));
	GT_CHECK(grove_now_ns() >= deadline.ns);
	GT_CHECK(value == V2);
	GT_CHECK(!grove_event_ready(&event));

	grove_greenlet *waiter = gt_spawn_parked(wait_for_value, &event);
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(0, gt_value_of(waiter));
	check_value(NULL, &event);
}

/* EV-4, CASES 16: a deadline that has passed lets those that can run have their turn. */
GT_STRICT_TEST(test_passed_deadline_suspends_once)
{
	grove_deadline passed[] = { GROVE_DEADLINE(0), grove_in_ms(0), grove_in_ms(-1) };
	grove_event event = GROVE_EVENT_INIT;

	for (size_t i = 0; i < GV_ARRAY_LEN(passed); i++) {
		bool ran = false;
		grove_greenlet *other = gt_spawn(gt_note_run, &ran);

		GT_CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, NULL, passed[i]));
		GT_CHECK(ran);
		gt_join(other);
	}
	GT_CHECK_IS(0, grove_event_destroy(&event));
}

/* EV-4: a passed deadline does not keep a value out that arrives during that one turn... */
static void *send_v1(void *event)
{
	return GT_VALUE(grove_event_send(event, V1));
}

GT_STRICT_TEST(test_passed_deadline_may_still_get_the_value)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *sender = gt_spawn(send_v1, &event);
	int rc = grove_event_wait(&event, NULL, GROVE_DEADLINE(0));

	/* ... or the deadline is served first: exactly one of the two. */
	GT_CHECK(rc == 0 || rc == -ETIMEDOUT);
	GT_CHECK_IS(0, gt_value_of(sender));
	check_value(V1, &event);
}

/* --- EV-10: reset ------------------------------------------------------------------------------ */

/* EV-10, CASES 8. */
GT_TEST(test_reset_is_for_sent_events)
{
	grove_event event = GROVE_EVENT_INIT;

	GT_CHECK_IS(-EINVAL, grove_event_reset(&event));
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	GT_CHECK_IS(0, grove_event_reset(&event));
	GT_CHECK(!grove_event_ready(&event));
	GT_CHECK_IS(-EINVAL, grove_event_reset(&event));
	GT_CHECK_IS(-EAGAIN, grove_event_wait(&event, NULL, GROVE_POLL));

	grove_greenlet *waiter = gt_spawn_parked(wait_for_value, &event);
	GT_CHECK_IS(-EINVAL, grove_event_reset(&event));
	GT_CHECK_IS(0, grove_event_send(&event, V2));
	GT_CHECK_IS(V2, gt_value_of(waiter));
	check_value(V2, &event);
}

static void release_payload(void *count)
{
	(*(int *)count)++;
}

/* EV-10: a failure that the event held goes with the reset. */
GT_TEST(test_reset_releases_a_failure)
{
	grove_event event = GROVE_EVENT_INIT;
	int released = 0;

	for (int i = 0; i < 3; i++) {
		grove_failure *failure = grove_failure_new(-EIO, NULL);

		GT_CHECK_IS(0, grove_failure_attach(failure, &released, release_payload));
		GT_CHECK_IS(0, grove_event_send_failure(&event, failure));
		grove_failure_release(failure);
		GT_CHECK_IS(i, released);
		GT_CHECK_IS(0, i < 2 ? grove_event_reset(&event) : grove_event_destroy(&event));
		GT_CHECK_IS(i + 1, released);
	}
}

/* --- EV-17: the end of an event -------------------------------------------------------------------- */

/* EV-17, CASES 28, decision 11: not while somebody waits; nothing changes then. */
GT_TEST(test_destroy_needs_no_waiters)
{
	static const int counts[] = { 1, 100 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_greenlet *waiters[100];
		grove_event event = GROVE_EVENT_INIT;

		for (int j = 0; j < counts[i]; j++)
			waiters[j] = gt_spawn_parked(wait_for_value, &event);
		GT_CHECK_IS(-EBUSY, grove_event_destroy(&event));
		GT_CHECK_IS(-EBUSY, grove_event_destroy(&event));
		GT_CHECK_IS(0, grove_event_send(&event, V1));
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(V1, gt_value_of(waiters[j]));
		GT_CHECK_IS(0, grove_event_destroy(&event));
	}
}

/* EV-17: those who gave up are no waiters any more, and leave nothing behind. */
GT_TEST(test_destroy_after_all_gave_up)
{
	enum { MANY = 300 };
	grove_event event = GROVE_EVENT_INIT;

	for (int i = 0; i < MANY; i++) {
		if (i % 3 == 0) {
			GT_CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, NULL, GROVE_DEADLINE(0)));
			continue;
		}
		grove_greenlet *waiter = gt_spawn_parked(wait_for_code, &event);
		GT_CHECK_IS(0, grove_kill(waiter, NULL, gt_soon()));
		GT_CHECK_IS(GROVE_KILLED, gt_value_of(waiter));
	}
	GT_CHECK_IS(0, grove_event_destroy(&event));
}

/* EV-17: a destroyed event refuses everything as long as its memory is intact. */
GT_TEST(test_destroyed_event_is_refused)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = grove_failure_new(-EIO, NULL);

	for (int sent = 0; sent < 2; sent++) {
		memset(&event, 0, sizeof(event));
		if (sent)
			GT_CHECK_IS(0, grove_event_send(&event, V1));
		GT_CHECK_IS(0, grove_event_destroy(&event));
		GT_CHECK_IS(-EINVAL, grove_event_destroy(&event));
		GT_CHECK_IS(-EINVAL, grove_event_send(&event, V1));
		GT_CHECK_IS(-EINVAL, grove_event_send(&event, WIDE));
		GT_CHECK_IS(-EINVAL, grove_event_send_failure(&event, failure));
		GT_CHECK_IS(-EINVAL, grove_event_wait(&event, NULL, GROVE_NEVER));
		GT_CHECK_IS(-EINVAL, grove_event_wait(&event, NULL, GROVE_POLL));
		GT_CHECK_IS(-EINVAL, grove_event_reset(&event));
		GT_CHECK(!grove_event_ready(&event));
	}
	grove_failure_release(failure);
}

/* EV-17: NULL is refused, too. */
GT_TEST(test_null_is_refused)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = grove_failure_new(-EIO, NULL);

	GT_CHECK_IS(-EINVAL, grove_event_send(NULL, V1));
	GT_CHECK_IS(-EINVAL, grove_event_send_failure(NULL, failure));
	GT_CHECK_IS(-EINVAL, grove_event_send_failure(&event, NULL));
	GT_CHECK_IS(-EINVAL, grove_event_wait(NULL, NULL, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_event_wait(NULL, NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_event_reset(NULL));
	GT_CHECK_IS(-EINVAL, grove_event_destroy(NULL));
	GT_CHECK(!grove_event_ready(NULL));
	GT_CHECK(!grove_event_ready(&event));
	grove_failure_release(failure);
}

static void *wait_and_free(void *event)
{
	void *value = NULL;

	GT_CHECK_IS(0, grove_event_wait(event, &value, gt_soon()));
	GT_CHECK_IS(0, grove_event_destroy(event));
	memset(event, 0xa5, sizeof(grove_event));
	free(event);
	return value;
}

/* EV-17, N-9: the waiter that was woken may end the event's life at once. */
GT_TEST(test_woken_waiter_may_free)
{
	for (int i = 0; i < 100; i++) {
		grove_event *event = calloc(1, sizeof(*event));
		grove_greenlet *waiter = gt_spawn_parked(wait_and_free, event);

		GT_CHECK_IS(0, grove_event_send(event, i % 2 == 0 ? V1 : WIDE));
		gt_join(waiter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send_makes_it_ready),
		cmocka_unit_test(test_zero_bytes_are_fresh),
		cmocka_unit_test(test_failure_is_no_result),
		cmocka_unit_test(test_ready_finds_those_that_were_sent),
		cmocka_unit_test(test_poll_never_suspends),
		cmocka_unit_test(test_send_wakes_the_waiter),
		cmocka_unit_test(test_send_does_not_suspend),
		cmocka_unit_test(test_send_runs_nobody),
		cmocka_unit_test(test_send_wakes_any_number),
		cmocka_unit_test(test_second_send_is_refused),
		cmocka_unit_test(test_wait_on_a_sent_one_does_not_suspend),
		cmocka_unit_test(test_wait_ends_before_its_deadline),
		cmocka_unit_test(test_wait_times_out),
		cmocka_unit_test(test_passed_deadline_suspends_once),
		cmocka_unit_test(test_passed_deadline_may_still_get_the_value),
		cmocka_unit_test(test_reset_is_for_sent_events),
		cmocka_unit_test(test_reset_releases_a_failure),
		cmocka_unit_test(test_destroy_needs_no_waiters),
		cmocka_unit_test(test_destroy_after_all_gave_up),
		cmocka_unit_test(test_destroyed_event_is_refused),
		cmocka_unit_test(test_null_is_refused),
		cmocka_unit_test(test_woken_waiter_may_free),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
