/* SPDX-License-Identifier: MIT */
/*
 * test_async.c - async.c: XT-2, CASES 328.
 */
#include "prim_test.h"

#include <signal.h>

static void test_state_and_bad_input(void **state)
{
	(void)state;
	grove_async async = GROVE_ASYNC_INIT;

	assert_int_equal(grove_async_wait(&async, GROVE_POLL), -EAGAIN);
	grove_async_send(NULL);
	assert_int_equal(grove_async_wait(NULL, GROVE_POLL), -EINVAL);
	assert_int_equal(grove_async_destroy(NULL), -EINVAL);

	/* A ring that comes first is kept; several count as one; each is heard once. */
	grove_async_send(&async);
	grove_async_send(&async);
	grove_async_send(&async);
	assert_int_equal(grove_async_wait(&async, GROVE_NEVER), 0);
	assert_int_equal(grove_async_wait(&async, GROVE_POLL), -EAGAIN);
	grove_async_send(&async);
	assert_int_equal(grove_async_wait(&async, GROVE_POLL), 0);
	grove_async_send(&async);
	assert_int_equal(grove_async_wait(&async, GROVE_DEADLINE(0)), 0);

	/* One that nobody heard is dropped. */
	grove_async_send(&async);
	assert_int_equal(grove_async_destroy(&async), 0);
	assert_int_equal(grove_async_destroy(&async), -EINVAL);
	grove_async_send(&async);
	assert_int_equal(grove_async_wait(&async, GROVE_NEVER), -EINVAL);
	async = (grove_async)GROVE_ASYNC_INIT;
	assert_int_equal(grove_async_wait(&async, GROVE_POLL), -EAGAIN);
	assert_int_equal(grove_async_destroy(&async), 0);
}

static void *wait_for_ever(void *async)
{
	return CODE(grove_async_wait(async, GROVE_NEVER));
}

static void *body_of_one_seat(void *arg)
{
	grove_async async = GROVE_ASYNC_INIT;
	grove_greenlet *g = spawn(wait_for_ever, &async);

	until_parked(g);
	CHECK_IS(-EBUSY, grove_async_wait(&async, GROVE_NEVER));
	CHECK_IS(-EBUSY, grove_async_wait(&async, GROVE_POLL));
	CHECK_IS(-EBUSY, grove_async_destroy(&async));
	grove_async_send(&async);
	CHECK_IS(0, value_of(g));
	CHECK_IS(-EAGAIN, grove_async_wait(&async, GROVE_POLL));
	CHECK_IS(0, grove_async_destroy(&async));
	return arg;
}

static void test_one_waiter_at_a_time(void **state)
{
	(void)state;
	run_on(1, body_of_one_seat, NULL);
	run_on(2, body_of_one_seat, NULL);
	run_strict(body_of_one_seat, NULL);
}

/* A ring is kept if the wait it came for ends otherwise. */
static void *body_of_other_ends(void *arg)
{
	grove_async async = GROVE_ASYNC_INIT;

	for (int i = 0; i < 200; i++) { /* the dead do not pile up */
		CHECK_IS(-ETIMEDOUT, grove_async_wait(&async, GROVE_DEADLINE(0)));
		grove_greenlet *g = spawn(wait_for_ever, &async);
		until_parked(g);
		CHECK_IS(0, grove_kill(g, NULL, GROVE_POLL));
		grove_async_send(&async); /* too late for that one */
		CHECK_IS(GROVE_KILLED, value_of(g));
		CHECK_IS(0, grove_async_wait(&async, GROVE_POLL));
		CHECK_IS(-EAGAIN, grove_async_wait(&async, GROVE_POLL));
	}
	int64_t before = grove_now_ns();
	CHECK_IS(-ETIMEDOUT, grove_async_wait(&async, grove_in_ms(3)));
	CHECK(grove_now_ns() - before >= 3000000);
	CHECK_IS(0, grove_async_destroy(&async));
	return arg;
}

static void test_a_ring_outlives_deadline_and_kill(void **state)
{
	(void)state;
	run_on(1, body_of_other_ends, NULL);
}

static grove_async signalled;

static void send_in_handler(int number)
{
	(void)number;
	grove_async_send(&signalled);
}

static void *body_of_handler(void *arg)
{
	grove_greenlet *g = spawn(wait_for_ever, &signalled);

	until_parked(g);
	raise(SIGUSR1);
	CHECK_IS(0, value_of(g));

	/* Nobody waits yet. */
	raise(SIGUSR1);
	CHECK_IS(0, grove_async_wait(&signalled, GROVE_NEVER));

	/* The handler interrupts the runtime on this hub: it is remote then. */
	g = spawn(wait_for_ever, &signalled);
	until_parked(g);
	struct gv_hub *hub = gv_enter();
	raise(SIGUSR1);
	gv_leave(hub);
	CHECK_IS(0, value_of(g));
	CHECK_IS(0, grove_async_destroy(&signalled));
	return arg;
}

static void test_signal_handler_sends(void **state)
{
	(void)state;
	struct sigaction action = { .sa_handler = send_in_handler };

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	run_on(1, body_of_handler, NULL);
}

/* Ping-pong between a greenlet and a thread: no ring is lost, and each makes visible what was done
 * before it, by plain stores. */
struct pair {
	grove_async there;
	grove_async back;
	int rounds;
	int number;
};

static void *echo(void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < p->rounds; i++) {
		CHECK_IS(0, grove_async_wait(&p->there, GROVE_NEVER));
		CHECK_IS(2 * i + 1, p->number);
		p->number++;
		grove_async_send(&p->back);
	}
	return NULL;
}

static void *body_of_ping_pong(void *arg)
{
	struct pair p = { .rounds = GT_SCALED(20000) };
	pthread_t thread;

	start_thread(&thread, echo, &p);
	for (int i = 0; i < p.rounds; i++) {
		p.number++;
		grove_async_send(&p.there);
		CHECK_IS(0, grove_async_wait(&p.back, GROVE_NEVER));
		CHECK_IS(2 * i + 2, p.number);
	}
	join_thread(thread);
	CHECK_IS(0, grove_async_destroy(&p.there));
	CHECK_IS(0, grove_async_destroy(&p.back));
	return arg;
}

static void test_foreign_thread_and_greenlet(void **state)
{
	(void)state;
	run_on(1, body_of_ping_pong, NULL);
	run_on(2, body_of_ping_pong, NULL);
}

/* Several senders against waits with tiny deadlines: the last ring is always heard. */
struct storm {
	grove_async async;
	_Atomic int senders;
	_Atomic uint64_t sent;
};

static void *send_many(void *arg)
{
	struct storm *s = arg;

	for (int i = 0; i < GT_SCALED(50000); i++) {
		gv_add(&s->sent, 1, relaxed); /* relaxed: the ring orders it */
		grove_async_send(&s->async);
		if (i % 64 == 0)
			sched_yield();
	}
	gv_sub(&s->senders, 1, relaxed); /* relaxed: the next ring orders it */
	grove_async_send(&s->async);
	return NULL;
}

static void *body_of_storm(void *arg)
{
	struct storm s = { .senders = 3 };
	pthread_t threads[3];
	uint64_t heard = 0;

	for (int i = 0; i < 3; i++)
		start_thread(&threads[i], send_many, &s);
	for (int i = 0;; i++) {
		int rc = grove_async_wait(&s.async, i % 2 ? grove_in_ns(1000) : GROVE_NEVER);

		CHECK(rc == 0 || rc == -ETIMEDOUT);
		if (rc == 0)
			heard++;
		if (gv_load(&s.senders, relaxed) == 0) /* relaxed: the ring orders it */
			break;
	}
	CHECK(heard >= 1);
	for (int i = 0; i < 3; i++)
		join_thread(threads[i]);
	CHECK_IS(3 * GT_SCALED(50000), gv_load(&s.sent, relaxed)); /* relaxed: joined */
	CHECK_IS(0, grove_async_destroy(&s.async));
	return arg;
}

static void test_storm_of_rings(void **state)
{
	(void)state;
	run_on(1, body_of_storm, NULL);
	run_on(2, body_of_storm, NULL);
}

static void *destroy_when_rung(void *async)
{
	CHECK_IS(0, grove_async_wait(async, GROVE_NEVER));
	CHECK_IS(0, grove_async_destroy(async));
	memset(async, 0xee, sizeof(grove_async));
	free(async);
	return NULL;
}

static void *body_of_freeing_waiters(void *arg)
{
	for (int i = 0; i < GT_SCALED(20000); i++) {
		grove_async *async = calloc(1, sizeof(*async));
		grove_greenlet *g = spawn(destroy_when_rung, async);

		until_parked(g);
		grove_async_send(async);
		value_of(g);
	}
	return arg;
}

static void test_waiter_frees_the_bell(void **state)
{
	(void)state;
	run_on(2, body_of_freeing_waiters, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_and_bad_input),
		cmocka_unit_test(test_one_waiter_at_a_time),
		cmocka_unit_test(test_a_ring_outlives_deadline_and_kill),
		cmocka_unit_test(test_signal_handler_sends),
		cmocka_unit_test(test_foreign_thread_and_greenlet),
		cmocka_unit_test(test_storm_of_rings),
		cmocka_unit_test(test_waiter_frees_the_bell),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
