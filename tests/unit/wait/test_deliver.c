/* SPDX-License-Identifier: MIT */
/* wait/deliver.c: one outcome for everybody in a chain, short or long, in order. */
#include "../prim/prim_test.h"

#include "sched/hub.h"

struct round {
	grove_event event;
	int waiters;
	int next; /* in the order of running; one hub */
	_Atomic int done;
	_Atomic int wrong;
};

struct member {
	struct round *round;
	int number;
};

static void *wait_in_turn(void *arg)
{
	struct member *m = arg;
	struct round *r = m->round;
	void *value = NULL;
	int rc = grove_event_wait(&r->event, &value, GROVE_NEVER);

	if (rc != 0 || value != (void *)r)
		atomic_fetch_add(&r->wrong, 1);
	if (grove_hub_count() == 1) {
		if (r->next != m->number)
			atomic_fetch_add(&r->wrong, 1);
		r->next++;
	}
	atomic_fetch_add(&r->done, 1);
	free(m);
	return NULL;
}

static void *deliver_to_many(void *arg)
{
	struct round r = { .event = GROVE_EVENT_INIT, .waiters = *(int *)arg };

	for (int i = 0; i < r.waiters; i++) {
		struct member *m = malloc(sizeof(*m));

		CHECK(m != NULL);
		*m = (struct member){ .round = &r, .number = i };
		grove_greenlet *g = spawn(wait_in_turn, m);
		if (grove_hub_count() == 1)
			until_parked(g); /* so that they begin to wait in order */
		grove_greenlet_release(g);
	}
	CHECK_IS(0, grove_event_send(&r.event, &r));
	gt_until(atomic_load(&r.done) == r.waiters);
	CHECK_IS(0, atomic_load(&r.wrong));
	CHECK_IS(0, grove_event_destroy(&r.event));
	return NULL;
}

static void run_sizes(unsigned hubs)
{
	/* Around the bound of inline delivery, of a piece, and beyond. */
	const int sizes[] = { 1, 2, 15, 16, 17, 18, 255, 256, 257, 3000 };

	for (size_t i = 0; i < GV_ARRAY_LEN(sizes); i++) {
		int size = sizes[i];

		run_on(hubs, deliver_to_many, &size);
	}
}

/* EV-13, decision 10: with one hub, in the order in which they began to wait, however many. */
static void test_one_hub_wakes_in_order(void **state)
{
	(void)state;
	run_sizes(1);
}

static void test_every_waiter_is_woken_once_on_several_hubs(void **state)
{
	(void)state;
	run_sizes(2);
	run_sizes(4);
}

static void *send_from_outside(void *arg)
{
	CHECK_IS(0, grove_event_send(arg, arg));
	return NULL;
}

static void *wait_for_outside(void *arg)
{
	grove_event *event = arg;
	void *value = NULL;

	return CODE(grove_event_wait(event, &value, GROVE_NEVER) == 0 && value == event ? 0 : -1);
}

/* A remote sender delivers nothing itself: a hub does. */
static void *foreign_sender(void *arg)
{
	int waiters = *(int *)arg;
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g[100];
	pthread_t thread;

	for (int i = 0; i < waiters; i++) {
		g[i] = spawn(wait_for_outside, &event);
		until_parked(g[i]);
	}
	start_thread(&thread, send_from_outside, &event);
	for (int i = 0; i < waiters; i++)
		CHECK_IS(0, value_of(g[i]));
	join_thread(thread);
	CHECK_IS(0, grove_event_destroy(&event));
	return NULL;
}

static void test_a_foreign_sender_reaches_all(void **state)
{
	const int sizes[] = { 1, 2, 16, 17, 100 };

	(void)state;
	for (size_t i = 0; i < GV_ARRAY_LEN(sizes); i++) {
		int size = sizes[i];

		run_on(1, foreign_sender, &size);
		run_on(2, foreign_sender, &size);
	}
}

static void *wait_for_failure(void *arg)
{
	void *value;
	int rc = grove_event_wait(arg, &value, GROVE_NEVER);

	return CODE(rc == GROVE_FAILED && grove_failure_code(grove_last_failure()) == -EPROTO ? 0
											      : -1);
}

/* Every claimed waiter holds a reference of its own: the sender's is gone long before. */
static void *failure_to_many(void *arg)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g[40];
	grove_failure *failure = grove_failure_new(-EPROTO, "for %d", 40);

	(void)arg;
	for (int i = 0; i < 40; i++) {
		g[i] = spawn(wait_for_failure, &event);
		until_parked(g[i]);
	}
	CHECK_IS(0, grove_event_send_failure(&event, failure));
	grove_failure_release(failure);
	CHECK_IS(0, grove_event_reset(&event));
	for (int i = 0; i < 40; i++)
		CHECK_IS(0, value_of(g[i]));
	CHECK_IS(0, grove_event_destroy(&event));
	return NULL;
}

static void test_a_failure_outlives_its_sender(void **state)
{
	(void)state;
	run_on(1, failure_to_many, NULL);
	run_on(2, failure_to_many, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_hub_wakes_in_order),
		cmocka_unit_test(test_every_waiter_is_woken_once_on_several_hubs),
		cmocka_unit_test(test_a_foreign_sender_reaches_all),
		cmocka_unit_test(test_a_failure_outlives_its_sender),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
