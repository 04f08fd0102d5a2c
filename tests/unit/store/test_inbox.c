/* SPDX-License-Identifier: MIT */
/*
 * test_inbox.c - inbox.c.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/inbox.h"
#include "support/scale.h"

struct letter {
	struct gv_link link;
	uint32_t sender;
	uint32_t number;
	uint8_t read;
};

static struct letter *letter_of(struct gv_link *link)
{
	return GV_CONTAINER_OF(link, struct letter, link);
}

static struct gv_link *after(struct gv_link *link)
{
	return gv_load(&link->next, relaxed); /* relaxed: taken */
}

static void test_new_inbox_is_empty(void **state)
{
	struct gv_inbox inbox = { NULL };
	(void)state;

	assert_true(gv_inbox_empty(&inbox));
	assert_null(gv_inbox_take(&inbox));
}

static void test_push_tells_whether_it_was_empty(void **state)
{
	struct gv_inbox inbox = { NULL };
	struct letter a, b, c;
	(void)state;

	assert_true(gv_inbox_push(&inbox, &a.link));
	assert_false(gv_inbox_push(&inbox, &b.link));
	assert_non_null(gv_inbox_take(&inbox));
	assert_true(gv_inbox_push(&inbox, &c.link));
}

static void test_take_gives_everything_oldest_first(void **state)
{
	struct gv_inbox inbox = { NULL };
	struct letter letters[5];
	(void)state;

	for (int i = 0; i < 5; i++)
		gv_inbox_push(&inbox, &letters[i].link);
	struct gv_link *link = gv_inbox_take(&inbox);
	for (int i = 0; i < 5; i++) {
		assert_ptr_equal(link, &letters[i].link);
		link = after(link);
	}
	assert_null(link);
	assert_true(gv_inbox_empty(&inbox));
	assert_null(gv_inbox_take(&inbox));
}

static void test_letter_can_be_sent_again_once_it_was_taken(void **state)
{
	struct gv_inbox inbox = { NULL };
	struct letter a, b;
	(void)state;

	for (int i = 0; i < 3; i++) {
		gv_inbox_push(&inbox, &a.link);
		gv_inbox_push(&inbox, &b.link);
		struct gv_link *link = gv_inbox_take(&inbox);
		assert_ptr_equal(link, &a.link);
		assert_ptr_equal(after(link), &b.link);
		assert_null(after(after(link)));
	}
}

static void test_chain_comes_out_in_its_order(void **state)
{
	struct gv_inbox inbox = { NULL };
	struct letter letters[4];
	(void)state;

	gv_inbox_push(&inbox, &letters[0].link);
	/* Linked newest to oldest: 3, 2, 1. */
	gv_init(&letters[3].link.next, &letters[2].link);
	gv_init(&letters[2].link.next, &letters[1].link);
	assert_false(gv_inbox_push_chain(&inbox, &letters[3].link, &letters[1].link));
	struct gv_link *link = gv_inbox_take(&inbox);
	for (int i = 0; i < 4; i++) {
		assert_ptr_equal(link, &letters[i].link);
		link = after(link);
	}
	assert_null(link);
}

/*
 * Senders and takers at once: every letter arrives once, and those of one sender in their order,
 * in each batch at least; with one taker over all batches.
 */

enum { SENDERS = 3, LETTERS = 200000, TAKERS_MAX = 2 };

static struct gv_inbox box;
static struct letter *letters[SENDERS];
static _Atomic uint32_t senders_left;

static void *send_all(void *arg)
{
	struct letter *mine = arg;

	for (uint32_t i = 0; i < GT_SCALED(LETTERS); i++) {
		gv_inbox_push(&box, &mine[i].link);
		if (i % 64 == 0)
			sched_yield();
	}
	gv_sub(&senders_left, 1, release); /* [sent] */
	return NULL;
}

struct taker {
	bool alone;
	uint64_t count;
	uint64_t faults;
};

static uint64_t read_all(struct taker *taker, uint32_t latest[SENDERS])
{
	struct gv_link *link = gv_inbox_take(&box);
	uint64_t count = 0;

	if (!taker->alone) {
		for (int i = 0; i < SENDERS; i++)
			latest[i] = 0;
	}
	for (; link != NULL; link = after(link), count++) {
		struct letter *letter = letter_of(link);

		if (letter->read++ != 0 || letter->number <= latest[letter->sender])
			taker->faults++;
		latest[letter->sender] = letter->number;
	}
	taker->count += count;
	return count;
}

static void *take_all(void *arg)
{
	struct taker *taker = arg;
	uint32_t latest[SENDERS] = { 0 };

	for (;;) {
		bool last = gv_load(&senders_left, acquire) == 0; /* [sent] */

		if (read_all(taker, latest) == 0) {
			if (last)
				return NULL;
			sched_yield();
		}
	}
}

static void check_senders(unsigned takers)
{
	struct taker taker[TAKERS_MAX] = { { 0 } };
	pthread_t threads[SENDERS + TAKERS_MAX];
	uint64_t count = 0;

	gv_store(&senders_left, SENDERS, relaxed); /* relaxed: nobody runs yet */
	for (uint32_t s = 0; s < SENDERS; s++) {
		letters[s] = calloc(GT_SCALED(LETTERS), sizeof(*letters[s]));
		assert_non_null(letters[s]);
		for (uint32_t i = 0; i < GT_SCALED(LETTERS); i++) {
			letters[s][i].sender = s;
			letters[s][i].number = i + 1;
		}
	}
	for (unsigned s = 0; s < SENDERS; s++)
		assert_int_equal(pthread_create(&threads[s], NULL, send_all, letters[s]), 0);
	for (unsigned t = 0; t < takers; t++) {
		taker[t].alone = takers == 1;
		assert_int_equal(pthread_create(&threads[SENDERS + t], NULL, take_all, &taker[t]),
				 0);
	}
	for (unsigned i = 0; i < SENDERS + takers; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned t = 0; t < takers; t++) {
		assert_int_equal(taker[t].faults, 0);
		count += taker[t].count;
	}
	assert_int_equal(count, (uint64_t)SENDERS * GT_SCALED(LETTERS));
	for (unsigned s = 0; s < SENDERS; s++)
		free(letters[s]);
}

static void test_each_letter_arrives_once_in_the_order_of_its_sender(void **state)
{
	(void)state;
	check_senders(1);
}

static void test_two_takers_share_without_loss(void **state)
{
	(void)state;
	check_senders(2);
}

/*
 * A signal handler pushes on the thread that it interrupts in the middle of a push.
 */

enum { SIGNALS = 1000 };

static struct letter *from_handler;
static volatile sig_atomic_t signals_seen;

static void push_from_handler(int signo)
{
	(void)signo;
	if (signals_seen < SIGNALS)
		gv_inbox_push(&box, &from_handler[signals_seen++].link);
}

static void *bombard(void *arg)
{
	pthread_t target = *(pthread_t *)arg;

	while (gv_load(&senders_left, acquire) != 0) { /* [sent] */
		pthread_kill(target, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

static void test_handler_pushes_into_the_inbox_that_it_interrupts(void **state)
{
	struct sigaction action = { .sa_handler = push_from_handler }, before;
	struct letter *mine = calloc(64, sizeof(*mine));
	pthread_t self = pthread_self(), thread;
	uint64_t pushed = 0, taken = 0;
	(void)state;

	from_handler = calloc(SIGNALS, sizeof(*from_handler));
	assert_non_null(from_handler);
	assert_non_null(mine);
	signals_seen = 0;
	gv_store(&senders_left, 1, relaxed); /* relaxed: nobody runs yet */
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(pthread_create(&thread, NULL, bombard, &self), 0);
	while (signals_seen < SIGNALS / 10) {
		for (int i = 0; i < 64; i++, pushed++)
			gv_inbox_push(&box, &mine[i].link);
		for (struct gv_link *link = gv_inbox_take(&box); link != NULL; link = after(link))
			taken++;
	}
	gv_store(&senders_left, 0, release); /* [sent] */
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	for (struct gv_link *link = gv_inbox_take(&box); link != NULL; link = after(link))
		taken++;
	assert_int_equal(taken, pushed + (uint64_t)signals_seen);
	free(from_handler);
	free(mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_inbox_is_empty),
		cmocka_unit_test(test_push_tells_whether_it_was_empty),
		cmocka_unit_test(test_take_gives_everything_oldest_first),
		cmocka_unit_test(test_letter_can_be_sent_again_once_it_was_taken),
		cmocka_unit_test(test_chain_comes_out_in_its_order),
		cmocka_unit_test(test_each_letter_arrives_once_in_the_order_of_its_sender),
		cmocka_unit_test(test_two_takers_share_without_loss),
		cmocka_unit_test(test_handler_pushes_into_the_inbox_that_it_interrupts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
