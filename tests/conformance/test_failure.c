/* SPDX-License-Identifier: MIT */
/*
 * test_failure.c - section 0 and ER-1: failures, which play the part of exceptions.  GL-8, AR-7,
 * CASES 77, 112 and 311 as far as they are about the object itself.
 */
#include "gt.h"

static int numbers[4];

static void count_release(void *count)
{
	atomic_fetch_add((_Atomic int *)count, 1);
}

/* --- the object ------------------------------------------------------------------------------------ */

/* A code, a message, a payload; the last reference releases it, once. */
static void test_life_of_a_failure(void **state)
{
	_Atomic int released = 0;
	grove_failure *failure = grove_failure_new(-EPROTO, "%s %d", "line", 7);

	(void)state;
	assert_int_equal(grove_failure_code(failure), -EPROTO);
	assert_string_equal(grove_failure_message(failure), "line 7");
	assert_null(grove_failure_payload(failure));
	assert_int_equal(grove_failure_attach(failure, &released, count_release), 0);
	assert_int_equal(grove_failure_attach(failure, numbers, count_release), -EALREADY);
	assert_ptr_equal(grove_failure_payload(failure), (void *)&released);
	grove_failure_retain(failure);
	grove_failure_release(failure);
	assert_int_equal(released, 0);
	grove_failure_release(failure);
	assert_int_equal(released, 1);
}

/* Codes that mean no failure are replaced; a message there always is, cut if need be. */
static void test_odd_failures(void **state)
{
	char *longest = malloc(5001);
	static const int codes[] = { 0, 1, INT32_MAX };

	(void)state;
	for (size_t i = 0; i < GV_ARRAY_LEN(codes); i++) {
		grove_failure *failure = grove_failure_new(codes[i], NULL);

		assert_int_equal(grove_failure_code(failure), -EINVAL);
		assert_string_equal(grove_failure_message(failure), grove_strerror(-EINVAL));
		grove_failure_release(failure);
	}

	memset(longest, 'y', 5000);
	longest[5000] = '\0';
	grove_failure *failure = grove_failure_new(-EIO, "%s", longest);
	assert_int_equal(strlen(grove_failure_message(failure)), 1023);
	grove_failure_release(failure);
	free(longest);

	assert_int_equal(grove_failure_code(NULL), -EINVAL);
	assert_string_equal(grove_failure_message(NULL), "");
	assert_null(grove_failure_payload(NULL));
	assert_int_equal(grove_failure_attach(NULL, numbers, NULL), -EINVAL);
	assert_int_equal(grove_failure_backtrace(NULL, NULL, 0), 0);
	grove_failure_retain(NULL);
	grove_failure_release(NULL);
}

/* GL-9: there is one exit, which nobody can change. */
static void test_exit_is_one_object(void **state)
{
	grove_failure *failure = grove_failure_exit();

	(void)state;
	assert_ptr_equal(grove_failure_exit(), failure);
	assert_int_equal(grove_failure_code(failure), GROVE_KILLED);
	assert_int_equal(grove_failure_attach(failure, numbers, NULL), -EBUSY);
	assert_null(grove_failure_payload(failure));
	grove_failure_release(failure);
	grove_failure_release(failure);
}

static void make_failure(void)
{
	grove_failure *failure = grove_failure_new(-EIO, "here");
	size_t count = grove_failure_backtrace(failure, NULL, 0);
	void *frames[8] = { NULL };

	GT_CHECK(count > 0);
	GT_CHECK_IS(count, grove_failure_backtrace(failure, frames, 1));
	GT_CHECK(frames[0] != NULL);
	GT_CHECK(frames[1] == NULL);
	/* AR-7: it does not grow on its way. */
	grove_event event = GROVE_EVENT_INIT;
	GT_CHECK_IS(0, grove_event_send_failure(&event, failure));
	for (int i = 0; i < 100; i++)
		GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&event, NULL, GROVE_NEVER));
	GT_CHECK_IS(count, grove_failure_backtrace(failure, NULL, 0));
	GT_CHECK_IS(0, grove_event_destroy(&event));
	grove_failure_release(failure);
}

/* The option backtraces. */
static void test_backtrace(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;

	(void)state;
	options.backtraces = true;
	gt_run_with(make_failure, &options);
}

/* --- ending with one ----------------------------------------------------------------------------------- */

enum way {
	NOTHING_FAILED,
	OTHER_VALUE,
	LAST_COUNTS,
	NO_FAILURE,
	CODE,
	CODE_ZERO,
	KILLED_WITHOUT_A_KILL,
};

static _Atomic int dropped;

static void *end_somehow(void *arg)
{
	grove_failure *failure;
	void *marker;

	switch ((enum way)(intptr_t)arg) {
	case NOTHING_FAILED:
		return &numbers[0];
	case OTHER_VALUE:
		failure = grove_failure_new(-EIO, NULL);
		GT_CHECK_IS(0, grove_failure_attach(failure, &dropped, count_release));
		marker = grove_fail(failure);
		GT_CHECK(marker != NULL);
		return &numbers[1];
	case LAST_COUNTS:
		failure = grove_failure_new(-EIO, NULL);
		GT_CHECK_IS(0, grove_failure_attach(failure, &dropped, count_release));
		marker = grove_fail(failure);
		GT_CHECK(marker == grove_fail_code(-EPROTO));
		return marker;
	case NO_FAILURE:
		return grove_fail(NULL);
	case CODE:
		return grove_fail_code(-ENOENT);
	case CODE_ZERO:
		return grove_fail_code(0);
	default:
		return grove_fail_code(GROVE_INTERRUPTED);
	}
}

static void check_end(enum way way, int code, void *value, int drops)
{
	grove_greenlet *greenlet = gt_spawn(end_somehow, GT_VALUE(way));
	void *got = NULL;

	atomic_store(&dropped, 0);
	int rc = grove_get(greenlet, &got, gt_soon());
	GT_CHECK_IS(code == 0 ? 0 : GROVE_FAILED, rc);
	GT_CHECK(got == value);
	if (code != 0) {
		GT_CHECK_IS(code, grove_failure_code(grove_failure_of(greenlet)));
		GT_CHECK_IS(1, gt_take_reports(NULL));
	}
	grove_greenlet_release(greenlet);
	GT_CHECK_IS(drops, dropped);
}

/* GL-7: what a body makes of grove_fail and grove_fail_code. */
GT_TEST(test_ways_to_fail)
{
	check_end(NOTHING_FAILED, 0, &numbers[0], 0);
	check_end(OTHER_VALUE, 0, &numbers[1], 1);
	check_end(LAST_COUNTS, -EPROTO, NULL, 1);
	check_end(NO_FAILURE, -EINVAL, NULL, 0);
	check_end(CODE, -ENOENT, NULL, 0);
	check_end(CODE_ZERO, -EINVAL, NULL, 0);
	check_end(KILLED_WITHOUT_A_KILL, GROVE_INTERRUPTED, NULL, 0);
}

static void *pass_on(void *event)
{
	return grove_fail_code(grove_event_wait(event, NULL, gt_soon()));
}

/* Section 0: a code that is passed on carries the object with it, through any number of greenlets. */
static void *pass_on_from_child(void *event)
{
	grove_greenlet *child = gt_spawn(pass_on, event);
	int rc = grove_get(child, NULL, gt_soon());

	grove_greenlet_release(child);
	return grove_fail_code(rc);
}

GT_TEST(test_failure_travels)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = grove_failure_new(-EIO, "from below");
	grove_greenlet *greenlet = gt_spawn(pass_on_from_child, &event);

	GT_CHECK_IS(0, grove_event_send_failure(&event, failure));
	GT_CHECK_IS(GROVE_FAILED, grove_get(greenlet, NULL, gt_soon()));
	GT_CHECK(grove_last_failure() == failure);
	GT_CHECK(grove_failure_of(greenlet) == failure);
	GT_CHECK_IS(2, gt_take_reports(NULL)); /* of the child and of its parent */
	grove_greenlet_release(greenlet);
	GT_CHECK_IS(0, grove_event_destroy(&event));
	grove_failure_release(failure);
}

/* Section 0: delivery is one-shot.  What was dropped is gone, and later calls work. */
static void *swallow(void *arg)
{
	grove_event never = GROVE_EVENT_INIT;

	(void)arg;
	GT_CHECK_IS(GROVE_KILLED, grove_event_wait(&never, NULL, gt_soon()));
	GT_CHECK_IS(-ETIMEDOUT, grove_event_wait(&never, NULL, grove_in_ms(1)));
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(1)));
	GT_CHECK(grove_last_failure() == grove_failure_exit());
	GT_CHECK_IS(0, grove_event_destroy(&never));
	return &numbers[2];
}

GT_TEST(test_delivery_is_one_shot)
{
	grove_greenlet *greenlet = gt_spawn(swallow, NULL);

	gt_until_parked(greenlet);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, gt_soon()));
	GT_CHECK_IS((intptr_t)&numbers[2], gt_value_of(greenlet));
}

/* --- the last failure --------------------------------------------------------------------------------- */

/* The latest code decides; other codes leave it alone. */
GT_TEST(test_last_failure)
{
	grove_event events[2] = { GROVE_EVENT_INIT };
	grove_failure *failures[2];
	_Atomic int released = 0;

	GT_CHECK(grove_last_failure() == NULL);
	for (int i = 0; i < 2; i++) {
		failures[i] = grove_failure_new(-EIO, NULL);
		GT_CHECK_IS(0, grove_failure_attach(failures[i], &released, count_release));
		GT_CHECK_IS(0, grove_event_send_failure(&events[i], failures[i]));
		grove_failure_release(failures[i]);
	}
	for (int i = 0; i < 2; i++) {
		grove_event fresh = GROVE_EVENT_INIT;

		GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&events[i], NULL, GROVE_NEVER));
		GT_CHECK(grove_last_failure() == failures[i]);
		GT_CHECK_IS(-ETIMEDOUT, grove_event_wait(&fresh, NULL, GROVE_DEADLINE(0)));
		GT_CHECK_IS(-EAGAIN, grove_event_wait(&fresh, NULL, GROVE_POLL));
		GT_CHECK_IS(0, grove_yield());
		GT_CHECK(grove_last_failure() == failures[i]);
		GT_CHECK_IS(0, grove_event_destroy(&fresh));
		GT_CHECK_IS(0, grove_event_destroy(&events[i]));
	}
	/* The first is gone; the second stays as long as it is the last. */
	GT_CHECK_IS(1, released);
}

struct thread_failure {
	grove_event event;
	grove_failure *seen;
	grove_failure *before;
};

static void *fail_in_thread(void *arg)
{
	struct thread_failure *t = arg;

	t->before = grove_last_failure();
	GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&t->event, NULL, gt_soon()));
	t->seen = grove_last_failure();
	return NULL;
}

/* CASES 77: a foreign pthread has one of its own, and leaves nothing behind. */
GT_TEST(test_last_failure_of_a_thread)
{
	struct thread_failure t = { .seen = NULL };
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	_Atomic int released = 0;
	pthread_t thread;

	GT_CHECK_IS(0, grove_failure_attach(failure, &released, count_release));
	gt_thread_start(&thread, fail_in_thread, &t);
	GT_CHECK_IS(0, grove_event_send_failure(&t.event, failure));
	gt_thread_join(thread);
	GT_CHECK(t.before == NULL);
	GT_CHECK(t.seen == failure);
	GT_CHECK(grove_last_failure() == NULL);
	GT_CHECK_IS(0, grove_event_destroy(&t.event));
	grove_failure_release(failure);
	gt_until(released == 1);
}

struct hub_failure {
	grove_event event;
	grove_failure *first, *again;
	int calls;
	grove_event done[2];
};

static void fail_in_hub(void *arg)
{
	struct hub_failure *h = arg;

	if (h->calls++ == 0) {
		GT_CHECK(grove_last_failure() == NULL);
		GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&h->event, NULL, GROVE_NEVER));
		h->first = grove_last_failure();
		GT_CHECK_IS(0, grove_event_send(&h->done[0], NULL));
	} else {
		h->again = grove_last_failure();
		GT_CHECK_IS(0, grove_event_send(&h->done[1], NULL));
	}
}

/* HB-16, CASES 77: in a callback it covers the calls of this callback only. */
GT_TEST(test_last_failure_of_a_callback)
{
	struct hub_failure h = { .calls = 0 };
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	grove_timer timers[2] = { GROVE_TIMER_INIT };

	GT_CHECK_IS(0, grove_event_send_failure(&h.event, failure));
	for (int i = 0; i < 2; i++) {
		GT_CHECK_IS(0, grove_timer_start(&timers[i], fail_in_hub, &h, 0, 0, GROVE_POLL));
		GT_CHECK_IS(0, grove_event_wait(&h.done[i], NULL, gt_soon()));
		gt_until(grove_timer_destroy(&timers[i]) == 0);
	}
	GT_CHECK(h.first == failure);
	GT_CHECK(h.again == NULL);
	GT_CHECK(grove_last_failure() == NULL);
	GT_CHECK_IS(0, grove_event_destroy(&h.event));
	grove_failure_release(failure);
}

static void *main_fails(void *failure)
{
	grove_failure_retain(failure);
	return grove_fail(failure);
}

/* runtime.h: grove_run leaves the failure of main with the pthread that called it. */
static void test_failure_of_main(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;
	grove_failure *failure = grove_failure_new(-EIO, "main");
	void *value = &numbers[3];

	(void)state;
	gt_options(&options);
	assert_int_equal(grove_run(main_fails, failure, &value, &options), GROVE_FAILED);
	assert_ptr_equal(value, &numbers[3]);
	assert_ptr_equal(grove_last_failure(), failure);
	assert_int_equal(gt_take_reports(NULL), 1);
	grove_failure_release(failure);
}

/* --- reports ---------------------------------------------------------------------------------------- */

static _Atomic int lines;
static char text[256];

static void keep_line(int level, const char *line, void *arg)
{
	(void)arg;
	if (level == GROVE_LOG_ERROR)
		atomic_fetch_add(&lines, 1);
	snprintf(text, sizeof(text), "%s", line);
}

static void *fail_in_log(void *arg)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlet = NULL;

	attributes.name = "unlucky";
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, pass_on, arg, &attributes));
	GT_CHECK_IS(GROVE_FAILED, grove_get(greenlet, NULL, gt_soon()));
	grove_greenlet_release(greenlet);
	return NULL;
}

/* ER-1, ER-2: without a handler, a line with name, code and message. */
static void test_failure_in_the_log(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = grove_failure_new(-EPROTO, "bad luck");
	char code[16];

	(void)state;
	atomic_store(&lines, 0);
	options.on_log = keep_line;
	assert_int_equal(grove_event_send_failure(&event, failure), 0);
	assert_int_equal(grove_run(fail_in_log, &event, NULL, &options), 0);
	assert_int_equal(lines, 1);
	assert_non_null(strstr(text, "unlucky"));
	assert_non_null(strstr(text, "bad luck"));
	snprintf(code, sizeof(code), "%d", -EPROTO);
	assert_non_null(strstr(text, code));
	assert_int_equal(grove_event_destroy(&event), 0);
	grove_failure_release(failure);
}

static void use_in_handler(grove_greenlet *greenlet, grove_failure *failure, void *event)
{
	/* It is alive until the handler returns, and nothing here may wait. */
	GT_CHECK_IS(GROVE_ACTIVE, grove_greenlet_state(greenlet));
	GT_CHECK_IS(-EIO, grove_failure_code(failure));
	GT_CHECK_IS(0, grove_event_send(event, NULL));
}

static void *fail_for_handler(void *event)
{
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	grove_event failing = GROVE_EVENT_INIT;

	GT_CHECK_IS(0, grove_event_send_failure(&failing, failure));
	grove_greenlet *greenlet = gt_spawn(pass_on, &failing);
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_FAILED, grove_get(greenlet, NULL, gt_soon()));
	GT_CHECK(grove_last_failure() == failure);
	grove_greenlet_release(greenlet);
	GT_CHECK_IS(0, grove_event_destroy(&failing));
	grove_failure_release(failure);
	return NULL;
}

/* ER-1, CASES 311: a handler that uses the library does not disturb the report or the greenlet. */
static void test_handler_uses_the_library(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;
	grove_event event = GROVE_EVENT_INIT;

	(void)state;
	options.on_failure = use_in_handler;
	options.hook_arg = &event;
	assert_int_equal(grove_run(fail_for_handler, &event, NULL, &options), 0);
}

/* --- codes ------------------------------------------------------------------------------------------ */

/* TM-10, CASES 112: three kinds of timeout, told apart and recognised together; every code has a text. */
static void test_codes(void **state)
{
	static const int own[] = {
		GROVE_FAILED,	GROVE_KILLED,	 GROVE_INTERRUPTED, GROVE_PEER_LOST, GROVE_IN_HUB,
		GROVE_DEADLOCK, GROVE_NOT_OWNER, GROVE_BROKEN,	    GROVE_END,	     GROVE_FATAL,
	};

	(void)state;
	for (size_t i = 0; i < GV_ARRAY_LEN(own); i++) {
		assert_int_equal(own[i], -4096 - (int)i);
		assert_string_not_equal(grove_strerror(own[i]), "");
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(grove_strerror(own[i]), grove_strerror(own[j]));
	}
	assert_string_equal(grove_strerror(0), grove_strerror(17));
	assert_non_null(grove_strerror(-100000));
	assert_non_null(grove_strerror(INT32_MIN));
	assert_true(grove_is_timeout(-ETIMEDOUT));
	assert_true(grove_is_timeout(GROVE_INTERRUPTED));
	assert_true(grove_is_timeout(GROVE_PEER_LOST));
	assert_false(grove_is_timeout(0));
	assert_false(grove_is_timeout(-EAGAIN));
	assert_false(grove_is_timeout(GROVE_KILLED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_of_a_failure),
		cmocka_unit_test(test_odd_failures),
		cmocka_unit_test(test_exit_is_one_object),
		cmocka_unit_test(test_backtrace),
		cmocka_unit_test(test_ways_to_fail),
		cmocka_unit_test(test_failure_travels),
		cmocka_unit_test(test_delivery_is_one_shot),
		cmocka_unit_test(test_last_failure),
		cmocka_unit_test(test_last_failure_of_a_thread),
		cmocka_unit_test(test_last_failure_of_a_callback),
		cmocka_unit_test(test_failure_of_main),
		cmocka_unit_test(test_failure_in_the_log),
		cmocka_unit_test(test_handler_uses_the_library),
		cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
