/* SPDX-License-Identifier: MIT */
/*
 * test_async.c - XT-2: the door for other threads, CASES 328.
 */
#include "gt.h"

#include <signal.h>
#include <unistd.h>

/* --- async ------------------------------------------------------------------------------------------ */

static void *wait_for_ring(void *async)
{
	return GT_VALUE(grove_async_wait(async, gt_soon()));
}

static void *ring(void *async)
{
	grove_async_send(async);
	return NULL;
}

/* XT-2, CASES 328: from a thread, while somebody waits. */
GT_TEST(test_ring_wakes)
{
	grove_async async = GROVE_ASYNC_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_for_ring, &async);
	pthread_t thread;

	gt_thread_start(&thread, ring, &async);
	GT_CHECK_IS(0, gt_value_of(waiter));
	gt_thread_join(thread);
	GT_CHECK_IS(-EAGAIN, grove_async_wait(&async, GROVE_POLL));
	GT_CHECK_IS(0, grove_async_destroy(&async));
}

/* XT-2, CASES 328 (gevent #130): before anybody waits it is kept, and several count as one. */
GT_TEST(test_ring_is_kept)
{
	grove_async async;
	pthread_t thread;

	memset(&async, 0, sizeof(async));
	GT_CHECK_IS(-EAGAIN, grove_async_wait(&async, GROVE_POLL));
	gt_thread_start(&thread, ring, &async);
	gt_thread_join(thread);
	grove_async_send(&async);
	grove_async_send(&async);
	GT_CHECK_IS(0, grove_async_wait(&async, GROVE_NEVER));
	GT_CHECK_IS(-EAGAIN, grove_async_wait(&async, GROVE_POLL));
	GT_CHECK_IS(-ETIMEDOUT, grove_async_wait(&async, grove_in_ms(1)));
	grove_async_send(&async);
	GT_CHECK_IS(0, grove_async_wait(&async, GROVE_POLL));
	GT_CHECK_IS(0, grove_async_destroy(&async));
}

/* HB-11: it is a bell for one; the second is told so, and the first not disturbed. */
GT_TEST(test_one_waiter_at_a_time)
{
	grove_async async = GROVE_ASYNC_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_for_ring, &async);

	GT_CHECK_IS(-EBUSY, grove_async_wait(&async, gt_soon()));
	GT_CHECK_IS(-EBUSY, grove_async_wait(&async, GROVE_POLL));
	GT_CHECK_IS(-EBUSY, grove_async_destroy(&async));
	grove_async_send(&async);
	GT_CHECK_IS(0, gt_value_of(waiter));
	GT_CHECK_IS(0, grove_async_destroy(&async));
}

/* XT-2, N-3: a ring that comes together with a kill is not lost. */
GT_TEST(test_ring_survives_a_kill)
{
	grove_async async = GROVE_ASYNC_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_for_ring, &async);

	GT_CHECK_IS(0, grove_kill(waiter, NULL, GROVE_POLL));
	grove_async_send(&async);
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(waiter));
	GT_CHECK_IS(0, grove_async_wait(&async, gt_soon()));
	GT_CHECK_IS(0, grove_async_destroy(&async));
}

struct bell {
	grove_async async;
	grove_async never;
	_Atomic bool ready;
	grove_greenlet *waiter;
	int code;
	bool heard;
};

static void introduce(unsigned party, void *arg)
{
	struct bell *bell = arg;

	if (party == 0)
		bell->waiter = grove_self();
}

static void ring_and_kill(unsigned party, void *arg)
{
	struct bell *bell = arg;

	if (party == 0) {
		atomic_store(&bell->ready, true);
		bell->code = grove_async_wait(&bell->async, gt_soon());
		if (bell->code == GROVE_KILLED)
			GT_CHECK_IS(0, grove_async_wait(&bell->async, gt_soon()));
		else
			GT_CHECK_IS(GROVE_KILLED, grove_async_wait(&bell->never, gt_soon()));
		return;
	}
	gt_until(atomic_load(&bell->ready));
	gt_spin(100);
	if (party == 1)
		GT_CHECK_IS(0, grove_kill(bell->waiter, NULL, GROVE_POLL));
	else
		grove_async_send(&bell->async);
}

static void check_bell(void *arg)
{
	struct bell *bell = arg;

	GT_CHECK(bell->code == 0 || bell->code == GROVE_KILLED);
	GT_CHECK_IS(-EAGAIN, grove_async_wait(&bell->async, GROVE_POLL));
	atomic_store(&bell->ready, false);
}

/* XT-2, N-1, N-3 [N]: rung and killed at the same time: one cause, and the ring is heard exactly once. */
GT_TEST(test_ring_and_kill)
{
	struct bell bell = { .code = 0 };
	struct gt_race race = {
		.parties = 3,
		.rounds = GT_ROUNDS / 4,
		.begin = introduce,
		.act = ring_and_kill,
		.between = check_bell,
		.arg = &bell,
	};

	gt_race(&race);
	race.threads = 2;
	gt_race(&race);
	GT_CHECK_IS(0, grove_async_destroy(&bell.async));
	GT_CHECK_IS(0, grove_async_destroy(&bell.never));
}

struct stream {
	grove_async async;
	_Atomic long sent;
	long heard;
	_Atomic int senders;
};

static void *ring_many_times(void *arg)
{
	struct stream *stream = arg;

	for (int i = 0; i < GT_ROUNDS / 4; i++) {
		atomic_fetch_add_explicit(&stream->sent, 1, memory_order_relaxed);
		grove_async_send(&stream->async);
	}
	atomic_fetch_sub(&stream->senders, 1);
	grove_async_send(&stream->async);
	return NULL;
}

/* XT-2 [N]: threads ring in a storm; the last state of each is seen by the wait that hears it. */
GT_TEST(test_storm_of_rings)
{
	enum { SENDERS = 4 };
	struct stream stream = { .senders = SENDERS };
	pthread_t threads[SENDERS];

	for (int i = 0; i < SENDERS; i++)
		gt_thread_start(&threads[i], ring_many_times, &stream);
	do {
		GT_CHECK_IS(0, grove_async_wait(&stream.async, gt_soon()));
		stream.heard++;
	} while (atomic_load(&stream.senders) != 0);
	GT_CHECK_IS((long)SENDERS * (GT_ROUNDS / 4), stream.sent);
	GT_CHECK(stream.heard <= stream.sent + SENDERS);
	for (int i = 0; i < SENDERS; i++)
		gt_thread_join(threads[i]);
	int rc = grove_async_wait(&stream.async, GROVE_POLL);
	GT_CHECK(rc == 0 || rc == -EAGAIN);
	GT_CHECK_IS(0, grove_async_destroy(&stream.async));
}

static grove_async rung_by_signal;

static void ring_in_handler(int signo)
{
	(void)signo;
	grove_async_send(&rung_by_signal);
}

/* XT-2: a signal handler rings. */
GT_TEST(test_ring_from_a_signal_handler)
{
	struct sigaction action = { .sa_handler = ring_in_handler };
	struct sigaction before;

	memset(&rung_by_signal, 0, sizeof(rung_by_signal));
	sigaction(SIGUSR1, &action, &before);
	grove_greenlet *waiter = gt_spawn_parked(wait_for_ring, &rung_by_signal);
	GT_CHECK_IS(0, kill(getpid(), SIGUSR1));
	GT_CHECK_IS(0, gt_value_of(waiter));
	sigaction(SIGUSR1, &before, NULL);
	GT_CHECK_IS(0, grove_async_destroy(&rung_by_signal));
}

/* Bad input. */
GT_TEST(test_bad_bells)
{
	grove_async async = GROVE_ASYNC_INIT;

	grove_async_send(NULL);
	GT_CHECK_IS(-EINVAL, grove_async_wait(NULL, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_async_destroy(NULL));
	grove_async_send(&async);
	GT_CHECK_IS(0, grove_async_destroy(&async));
	GT_CHECK_IS(-EINVAL, grove_async_destroy(&async));
	GT_CHECK_IS(-EINVAL, grove_async_wait(&async, GROVE_NEVER));
	grove_async_send(&async);
	GT_CHECK_IS(-EINVAL, grove_async_wait(&async, GROVE_POLL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_wakes),
		cmocka_unit_test(test_ring_is_kept),
		cmocka_unit_test(test_one_waiter_at_a_time),
		cmocka_unit_test(test_ring_survives_a_kill),
		cmocka_unit_test(test_ring_and_kill),
		cmocka_unit_test(test_storm_of_rings),
		cmocka_unit_test(test_ring_from_a_signal_handler),
		cmocka_unit_test(test_bad_bells),
	};

	return cmocka_run_group_tests_name("async", tests, NULL, NULL);
}
