/* SPDX-License-Identifier: MIT */
/*
 * test_event.c - event.c: what is sent, who gets it, and in which order.
 */
#include "prim_test.h"

static void run_one_hub(gt_body *body)
{
	gt_one_hub_begin();
	gt_run(body);
	gt_one_hub_end();
}

#define ONE_HUB_TEST(name) GT_TEST_ON(name, run_one_hub)

static void *wait_for(void *event)
{
	void *value = NULL;
	int rc = grove_event_wait(event, &value, GROVE_NEVER);

	return rc < 0 ? CODE(rc) : value;
}

static grove_failure *make(int code)
{
	grove_failure *failure = grove_failure_new(code, "sent");

	CHECK(failure != NULL);
	return failure;
}

GT_TEST(test_fresh_event)
{
	grove_event event, zero = GROVE_EVENT_INIT;
	void *value = &value;

	memset(&event, 0, sizeof(event));
	CHECK(memcmp(&event, &zero, sizeof(event)) == 0);
	CHECK(!grove_event_ready(&event));
	CHECK_IS(-EAGAIN, grove_event_wait(&event, &value, GROVE_POLL));
	CHECK(value == &value);
	CHECK_IS(-EINVAL, grove_event_reset(&event));
	CHECK_IS(0, grove_event_destroy(&event));
}

GT_TEST(test_null_and_destroyed)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = make(-EIO);

	CHECK_IS(0, grove_event_destroy(&event));
	for (int i = 0; i < 2; i++) {
		grove_event *bad = i == 0 ? NULL : &event;

		CHECK_IS(-EINVAL, grove_event_send(bad, NULL));
		CHECK_IS(-EINVAL, grove_event_send(bad, CODE(INTPTR_MIN)));
		CHECK_IS(-EINVAL, grove_event_send_failure(bad, failure));
		CHECK_IS(-EINVAL, grove_event_wait(bad, NULL, GROVE_NEVER));
		CHECK_IS(-EINVAL, grove_event_wait(bad, NULL, GROVE_POLL));
		CHECK_IS(-EINVAL, grove_event_reset(bad));
		CHECK_IS(-EINVAL, grove_event_destroy(bad));
		CHECK(!grove_event_ready(bad));
	}
	event = (grove_event)GROVE_EVENT_INIT;
	CHECK_IS(-EINVAL, grove_event_send_failure(&event, NULL));
	CHECK(!grove_event_ready(&event));
	grove_failure_release(failure);
}

/* Around the 61 bits that fit into the word. */
static const intptr_t values[] = {
	0,
	1,
	-1,
	7,
	-8,
	INT32_MAX,
	INT32_MIN,
	(INTPTR_MAX >> 3),
	(INTPTR_MAX >> 3) + 1,
	(INTPTR_MIN >> 3),
	(INTPTR_MIN >> 3) - 1,
	INTPTR_MAX,
	INTPTR_MIN,
};

GT_TEST(test_values_before_the_wait)
{
	for (size_t i = 0; i < GV_ARRAY_LEN(values); i++) {
		grove_event event = GROVE_EVENT_INIT;
		void *value = &value;

		CHECK_IS(0, grove_event_send(&event, CODE(values[i])));
		CHECK(grove_event_ready(&event));
		for (int again = 0; again < 2; again++) {
			CHECK_IS(0, grove_event_wait(&event, &value,
						     again ? GROVE_NEVER : GROVE_POLL));
			CHECK((intptr_t)value == values[i]);
		}
		CHECK_IS(0, grove_event_wait(&event, NULL, GROVE_DEADLINE(0)));
		CHECK_IS(0, grove_event_destroy(&event));
	}
}

GT_TEST(test_values_during_the_wait)
{
	for (size_t i = 0; i < GV_ARRAY_LEN(values); i++) {
		grove_event event = GROVE_EVENT_INIT;
		grove_greenlet *g = spawn(wait_for, &event);

		until_parked(g);
		CHECK_IS(0, grove_event_send(&event, CODE(values[i])));
		CHECK(value_of(g) == values[i]);
	}
}

GT_TEST(test_first_send_stands)
{
	grove_failure *failure = make(-EIO);

	for (int first = 0; first < 3; first++) {
		grove_event event = GROVE_EVENT_INIT;
		void *sent = CODE(first == 0 ? 5 : INTPTR_MAX);
		void *value = NULL;

		CHECK_IS(0, first == 2 ? grove_event_send_failure(&event, failure)
				       : grove_event_send(&event, sent));
		CHECK_IS(-EALREADY, grove_event_send(&event, CODE(6)));
		CHECK_IS(-EALREADY, grove_event_send(&event, CODE(INTPTR_MIN)));
		CHECK_IS(-EALREADY, grove_event_send_failure(&event, failure));
		CHECK_IS(first == 2 ? GROVE_FAILED : 0,
			 grove_event_wait(&event, &value, GROVE_POLL));
		if (first < 2)
			CHECK(value == sent);
		CHECK_IS(0, grove_event_destroy(&event));
	}
	grove_failure_release(failure);
}

static void *wait_for_failure(void *event)
{
	void *value = &value;

	CHECK_IS(GROVE_FAILED, grove_event_wait(event, &value, GROVE_NEVER));
	CHECK(value == &value);
	return grove_last_failure();
}

GT_TEST(test_failure_comes_as_it_is)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = make(-ENODEV);
	grove_greenlet *g[20];

	for (size_t i = 0; i < GV_ARRAY_LEN(g); i++) {
		g[i] = spawn(wait_for_failure, &event);
		until_parked(g[i]);
	}
	CHECK_IS(0, grove_event_send_failure(&event, failure));
	for (size_t i = 0; i < GV_ARRAY_LEN(g); i++)
		CHECK(value_of(g[i]) == (intptr_t)failure);
	grove_failure_release(failure); /* the event has its own */
	CHECK(grove_event_ready(&event));
	CHECK_IS(GROVE_FAILED, grove_event_wait(&event, NULL, GROVE_POLL));
	CHECK(grove_last_failure() == failure);
	CHECK_IS(0, grove_event_destroy(&event));
	CHECK_IS(-ENODEV, grove_failure_code(grove_last_failure()));
}

GT_TEST(test_deadlines)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_deadline deadline = grove_in_ms(3);
	void *value = &value;

	CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, &value, deadline));
	CHECK(grove_now_ns() >= deadline.ns);
	CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, &value, GROVE_DEADLINE(0)));
	CHECK(value == &value);
	CHECK_IS(0, grove_event_destroy(&event));
}

/* ---- reset and destroy ---- */

GT_TEST(test_reset_makes_it_fresh)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = make(-EIO);
	void *value = NULL;

	CHECK_IS(0, grove_event_send(&event, CODE(1)));
	CHECK_IS(0, grove_event_reset(&event));
	CHECK(!grove_event_ready(&event));
	CHECK_IS(-EINVAL, grove_event_reset(&event));
	CHECK_IS(0, grove_event_send(&event, CODE(INTPTR_MAX)));
	CHECK_IS(0, grove_event_reset(&event));
	CHECK_IS(0, grove_event_send_failure(&event, failure));
	CHECK_IS(0, grove_event_reset(&event));
	CHECK_IS(0, grove_event_send(&event, CODE(2)));
	CHECK_IS(0, grove_event_wait(&event, &value, GROVE_POLL));
	CHECK_IS(2, (intptr_t)value);
	grove_failure_release(failure);
}

/* The send that ends a wait decides what it gets, whatever happens before it runs. */
GT_STRICT_TEST(test_waiter_keeps_what_was_sent_to_it)
{
	grove_event event = GROVE_EVENT_INIT;

	for (size_t i = 0; i < GV_ARRAY_LEN(values); i++) {
		grove_greenlet *g = spawn(wait_for, &event);

		until_parked(g);
		CHECK_IS(0, grove_event_send(&event, CODE(values[i])));
		CHECK_IS(0, grove_event_reset(&event));
		CHECK_IS(0, grove_event_send(&event, CODE(INTPTR_MAX - 1)));
		CHECK_IS(0, grove_event_reset(&event));
		CHECK(value_of(g) == values[i]);
	}
	CHECK_IS(0, grove_event_destroy(&event));
}

GT_TEST(test_destroy_with_waiters)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *a = spawn(wait_for, &event);
	until_parked(a);
	grove_greenlet *b = spawn(wait_for, &event);
	until_parked(b);

	CHECK_IS(-EBUSY, grove_event_destroy(&event));
	CHECK_IS(0, grove_kill(a, NULL, gt_soon()));
	CHECK_IS(-EBUSY, grove_event_destroy(&event));
	CHECK_IS(0, grove_event_send(&event, CODE(4)));
	CHECK_IS(GROVE_KILLED, value_of(a));
	CHECK_IS(4, value_of(b));
	CHECK_IS(0, grove_event_destroy(&event));
}

static void *destroy_when_woken(void *event)
{
	CHECK_IS(0, grove_event_wait(event, NULL, GROVE_NEVER));
	CHECK_IS(0, grove_event_destroy(event));
	memset(event, 0xee, sizeof(grove_event));
	free(event);
	return NULL;
}

GT_TEST(test_waiter_frees_the_event)
{
	for (int i = 0; i < GT_SCALED(5000); i++) {
		grove_event *event = calloc(1, sizeof(*event));

		CHECK(event != NULL);
		grove_greenlet *g = spawn(destroy_when_woken, event);
		until_parked(g);
		CHECK_IS(0, grove_event_send(event, CODE(values[i % (int)GV_ARRAY_LEN(values)])));
		gt_join(g);
	}
}

/* ---- order ---- */

struct queue {
	grove_event event;
	size_t count;
};

static void *note_place(void *arg)
{
	struct queue *q = arg;

	CHECK_IS(0, grove_event_wait(&q->event, NULL, GROVE_NEVER));
	return CODE(q->count++);
}

static void in_order(size_t count)
{
	struct queue q = { .count = 0 };
	grove_greenlet **g = calloc(count, sizeof(g[0]));

	CHECK(g != NULL);
	for (size_t i = 0; i < count; i++) {
		g[i] = spawn(note_place, &q);
		until_parked(g[i]);
		/* Those who gave up in between are not in the way. */
		if (i % 7 == 0)
			CHECK_IS(-ETIMEDOUT, grove_event_wait(&q.event, NULL, GROVE_DEADLINE(0)));
	}
	CHECK_IS(0, grove_event_send(&q.event, NULL));
	gt_until(q.count == count);
	for (size_t i = 0; i < count; i++)
		CHECK_IS(i, value_of(g[i]));
	free(g);
}

ONE_HUB_TEST(test_order_of_waiters)
{
	in_order(2);
	in_order(16);
	in_order(17);
	in_order(300);
	in_order(5000);
}

GT_STRICT_TEST(test_strict_order_of_waiters)
{
	in_order(17);
	in_order(300);
	in_order(GT_SCALED(5000));
}

/* ---- those who give up ---- */

static uint64_t nodes_in_use(void)
{
	struct gv_slab_stats stats;

	gv_slab_stats(&gv_nodes, &stats); /* counts those in the hubs' caches as well */
	return stats.objects - stats.objects_free;
}

GT_TEST(test_timed_out_waits_keep_memory_bounded)
{
	grove_event event = GROVE_EVENT_INIT;
	uint64_t before = nodes_in_use();

	for (int i = 0; i < 10000; i++)
		CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, NULL, GROVE_DEADLINE(0)));
	CHECK(nodes_in_use() < before + 2000);
	CHECK_IS(0, grove_event_send(&event, NULL));
}

GT_TEST(test_cleaning_keeps_the_living)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g[30];

	for (size_t i = 0; i < GV_ARRAY_LEN(g); i++) {
		g[i] = spawn(wait_for, &event);
		until_parked(g[i]);
		for (int j = 0; j < 100; j++)
			CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, NULL, GROVE_DEADLINE(0)));
	}
	CHECK_IS(-EBUSY, grove_event_destroy(&event));
	CHECK_IS(0, grove_event_send(&event, CODE(6)));
	for (size_t i = 0; i < GV_ARRAY_LEN(g); i++)
		CHECK_IS(6, value_of(g[i]));
}

GT_TEST(test_destroy_frees_what_they_left)
{
	grove_event event = GROVE_EVENT_INIT;

	for (int i = 0; i < 100; i++)
		CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, NULL, GROVE_DEADLINE(0)));
	CHECK_IS(0, grove_event_destroy(&event));
}

/* ---- other contexts ---- */

static void *wait_outside(void *event)
{
	void *value = NULL;

	CHECK_IS(-ETIMEDOUT, grove_event_wait(event, &value, grove_in_ms(1)));
	CHECK_IS(-EAGAIN, grove_event_wait(event, &value, GROVE_POLL));
	CHECK_IS(0, grove_event_send(&((grove_event *)event)[1], NULL));
	CHECK_IS(0, grove_event_wait(event, &value, GROVE_NEVER));
	return value;
}

static void *check_outside(void *event)
{
	CHECK(wait_outside(event) == CODE(INTPTR_MIN));
	return NULL;
}

GT_TEST(test_foreign_pthreads)
{
	grove_event events[2] = { GROVE_EVENT_INIT, GROVE_EVENT_INIT };
	pthread_t thread;

	start_thread(&thread, check_outside, events);
	CHECK_IS(0, grove_event_wait(&events[1], NULL, gt_soon()));
	CHECK_IS(0, grove_event_send(&events[0], CODE(INTPTR_MIN)));
	join_thread(thread);
	CHECK_IS(0, grove_event_destroy(&events[0]));
}

struct in_hub {
	grove_event never, done;
	int polled, waited;
};

static void wait_in_callback(void *arg)
{
	struct in_hub *h = arg;

	h->polled = grove_event_wait(&h->never, NULL, GROVE_POLL);
	h->waited = grove_event_wait(&h->never, NULL, GROVE_NEVER);
	CHECK_IS(0, grove_event_send(&h->done, NULL));
}

GT_TEST(test_hub_callback_sends_and_does_not_wait)
{
	struct in_hub h = { .polled = 0 };
	grove_timer timer = GROVE_TIMER_INIT;

	CHECK_IS(0, grove_timer_start(&timer, wait_in_callback, &h, 0, 0, GROVE_POLL));
	CHECK_IS(0, grove_event_wait(&h.done, NULL, gt_soon()));
	CHECK_IS(-EAGAIN, h.polled);
	CHECK_IS(GROVE_IN_HUB, h.waited);
	CHECK_IS(0, grove_event_destroy(&h.never));
}

/* ---- senders at once ---- */

struct contest {
	grove_event event;
	int codes[4];
	grove_greenlet *waiter;
	int rounds;
};

static void send_own(unsigned party, void *arg)
{
	struct contest *c = arg;

	gt_spin(200);
	c->codes[party] =
		grove_event_send(&c->event, CODE(party % 2 == 0 ? party : INTPTR_MAX - party));
}

static void judge(void *arg)
{
	struct contest *c = arg;
	intptr_t value = value_of(c->waiter);
	int winners = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (c->codes[i] == 0) {
			winners++;
			CHECK(value == (intptr_t)(i % 2 == 0 ? i : INTPTR_MAX - i));
		} else {
			CHECK_IS(-EALREADY, c->codes[i]);
		}
	}
	CHECK_IS(1, winners);
	CHECK_IS(0, grove_event_reset(&c->event));
	c->waiter = spawn(wait_for, &c->event);
}

GT_TEST(test_one_of_several_senders_wins)
{
	struct contest c = { .rounds = GT_SCALED(2000) };
	struct gt_race race = { .parties = 4,
				.threads = 1,
				.rounds = c.rounds,
				.act = send_own,
				.between = judge,
				.arg = &c };

	c.waiter = spawn(wait_for, &c.event);
	gt_race(&race);
	CHECK_IS(0, grove_event_send(&c.event, NULL));
	gt_join(c.waiter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fresh_event),
		cmocka_unit_test(test_null_and_destroyed),
		cmocka_unit_test(test_values_before_the_wait),
		cmocka_unit_test(test_values_during_the_wait),
		cmocka_unit_test(test_first_send_stands),
		cmocka_unit_test(test_failure_comes_as_it_is),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_reset_makes_it_fresh),
		cmocka_unit_test(test_waiter_keeps_what_was_sent_to_it),
		cmocka_unit_test(test_destroy_with_waiters),
		cmocka_unit_test(test_waiter_frees_the_event),
		cmocka_unit_test(test_order_of_waiters),
		cmocka_unit_test(test_strict_order_of_waiters),
		cmocka_unit_test(test_timed_out_waits_keep_memory_bounded),
		cmocka_unit_test(test_cleaning_keeps_the_living),
		cmocka_unit_test(test_destroy_frees_what_they_left),
		cmocka_unit_test(test_foreign_pthreads),
		cmocka_unit_test(test_hub_callback_sends_and_does_not_wait),
		cmocka_unit_test(test_one_of_several_senders_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
