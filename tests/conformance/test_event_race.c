/* SPDX-License-Identifier: MIT */
/*
 * test_event_race.c - the cases of an event that need several hubs: CASES A marked [N].
 *
 * Each race is run with greenlets only, and again with foreign pthreads among the parties.
 */
#include "gt.h"

static int numbers[4];

static void race(unsigned parties, unsigned threads, int rounds,
		 void (*act)(unsigned party, void *arg), void (*between)(void *arg), void *arg)
{
	const struct gt_race race = { parties, threads, rounds, NULL, act, between, arg };

	gt_race(&race);
}

/* --- two senders ------------------------------------------------------------------------------- */

enum { SENDERS = 2, WAITERS = 3 };

struct duel {
	grove_event event;
	int sent[SENDERS];
	int codes[WAITERS];
	void *values[WAITERS];
};

static void fight(unsigned party, void *arg)
{
	struct duel *duel = arg;

	if (party < WAITERS) {
		duel->codes[party] =
			grove_event_wait(&duel->event, &duel->values[party], gt_soon());
		return;
	}
	unsigned sender = party - WAITERS;
	gt_spin(100);
	/* One of the two values takes the way over SENDING. */
	duel->sent[sender] = grove_event_send(
		&duel->event, sender == 0 ? &numbers[0] : (void *)(UINTPTR_MAX / 2));
}

static void judge(void *arg)
{
	struct duel *duel = arg;
	void *value = NULL;

	GT_CHECK_IS(-EALREADY, duel->sent[0] + duel->sent[1]);
	GT_CHECK(duel->sent[0] == 0 || duel->sent[1] == 0);
	GT_CHECK_IS(0, grove_event_wait(&duel->event, &value, GROVE_POLL));
	GT_CHECK(value == (duel->sent[0] == 0 ? &numbers[0] : (void *)(UINTPTR_MAX / 2)));
	for (int i = 0; i < WAITERS; i++) {
		GT_CHECK_IS(0, duel->codes[i]);
		GT_CHECK(duel->values[i] == value);
	}
	GT_CHECK_IS(0, grove_event_destroy(&duel->event));
	memset(duel, 0, sizeof(*duel));
}

/* EV-3, N-10, CASES 29: exactly one of two sends is first, and everybody sees its value. */
GT_TEST(test_two_senders)
{
	struct duel duel = { 0 };

	race(WAITERS + SENDERS, 0, GT_ROUNDS / 2, fight, judge, &duel);
	race(WAITERS + SENDERS, SENDERS, GT_ROUNDS / 4, fight, judge, &duel);
}

/* --- kill and send; kill, send and deadline ------------------------------------------------------ */

struct trial {
	grove_event event;
	grove_event never; /* not sent: only a kill ends its waits */
	grove_greenlet *waiter;
	_Atomic bool ready; /* it has left the gate, where it would meet the kill */
	bool timed;
	int code;
	void *value;
	int counts[3]; /* how often each cause won */
};

static void wait_for_cause(struct trial *trial)
{
	grove_deadline deadline = gt_soon();

	if (trial->timed) {
		deadline = grove_in_ns((int64_t)(grove_now_ns() % 20000));
		gt_spin(100);
	}
	trial->code = grove_event_wait(&trial->event, &trial->value, deadline);
	/* A kill that was late has to come next, and one that was not has gone. */
	if (trial->code == GROVE_KILLED)
		GT_CHECK_IS(0, grove_yield());
	else
		GT_CHECK_IS(GROVE_KILLED, grove_event_wait(&trial->never, NULL, gt_soon()));
}

static void try_causes(unsigned party, void *arg)
{
	struct trial *trial = arg;

	if (party == 0) {
		atomic_store(&trial->ready, true);
		wait_for_cause(trial);
		return;
	}
	gt_until(atomic_load(&trial->ready));
	gt_spin(300);
	if (party == 1)
		GT_CHECK_IS(0, grove_kill(trial->waiter, NULL, GROVE_POLL));
	else
		GT_CHECK_IS(0, grove_event_send(&trial->event, &numbers[1]));
}

static void count_causes(void *arg)
{
	struct trial *trial = arg;

	switch (trial->code) {
	case 0:
		GT_CHECK(trial->value == &numbers[1]);
		trial->counts[0]++;
		break;
	case GROVE_KILLED:
		trial->counts[1]++;
		break;
	default:
		GT_CHECK_IS(-ETIMEDOUT, trial->code);
		GT_CHECK(trial->timed);
		trial->counts[2]++;
	}
	trial->value = NULL;
	atomic_store(&trial->ready, false);
	GT_CHECK(grove_event_ready(&trial->event));
	GT_CHECK_IS(0, grove_event_destroy(&trial->event));
	memset(&trial->event, 0, sizeof(trial->event));
}

static void introduce(unsigned party, void *arg)
{
	struct trial *trial = arg;

	if (party == 0)
		trial->waiter = grove_self();
}

static void run_trial(bool timed, unsigned threads, int rounds)
{
	struct trial trial = { .timed = timed };

	const struct gt_race race = {
		3, threads, rounds, introduce, try_causes, count_causes, &trial,
	};

	rounds = gt_race(&race);
	GT_CHECK_IS(rounds, trial.counts[0] + trial.counts[1] + trial.counts[2]);
	GT_CHECK_IS(0, grove_event_destroy(&trial.never));
}

/* EV-8, KL-5, N-1, CASES 31: one cause ends the wait; a kill that lost comes at the next one. */
GT_TEST(test_kill_and_send)
{
	run_trial(false, 0, GT_ROUNDS / 2);
	run_trial(false, 2, GT_ROUNDS / 4);
}

/* EV-6, EV-7, N-1, CASES 32: the same with a deadline of some microseconds. */
GT_TEST(test_kill_send_and_deadline)
{
	run_trial(true, 0, GT_ROUNDS / 2);
	run_trial(true, 2, GT_ROUNDS / 4);
}

/* --- freed by the waiter ------------------------------------------------------------------------- */

struct gift {
	grove_event *event;
};

static void wait_and_free_or_send(unsigned party, void *arg)
{
	struct gift *gift = arg;
	grove_event *event = gift->event;

	if (party == 1) {
		gt_spin(50);
		GT_CHECK_IS(0, grove_event_send(event, (void *)(UINTPTR_MAX / 2)));
		return;
	}
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	GT_CHECK_IS(0, grove_event_destroy(event));
	memset(event, 0xa5, sizeof(*event));
	free(event);
}

static void make_gift(void *arg)
{
	struct gift *gift = arg;

	gift->event = calloc(1, sizeof(*gift->event));
	GT_CHECK(gift->event != NULL);
}

/* EV-17, N-9, CASES 34: the waiter frees the event while its send may still be inside the call. */
GT_TEST(test_waiter_frees_while_sending)
{
	for (unsigned threads = 0; threads < 2; threads++) {
		struct gift gift;

		make_gift(&gift);
		race(2, threads, GT_ROUNDS / 2, wait_and_free_or_send, make_gift, &gift);
		free(gift.event);
	}
}

/* --- publication --------------------------------------------------------------------------------- */

struct letter {
	grove_event event;
	uint64_t words[8];
	uint64_t turn;
};

static void read_letter(const struct letter *letter, void *value)
{
	const uint64_t *words = value;

	GT_CHECK(words == letter->words);
	for (uint64_t i = 0; i < 8; i++)
		GT_CHECK(words[i] == letter->turn * 8 + i);
}

static void write_or_read(unsigned party, void *arg)
{
	struct letter *letter = arg;
	void *value = NULL;

	if (party == 0) {
		for (uint64_t i = 0; i < 8; i++)
			letter->words[i] = letter->turn * 8 + i;
		GT_CHECK_IS(0, grove_event_send(&letter->event, letter->words));
		return;
	}
	if (party == 1) {
		gt_until(grove_event_ready(&letter->event));
		value = letter->words;
	} else {
		GT_CHECK_IS(0, grove_event_wait(&letter->event, &value, gt_soon()));
	}
	read_letter(letter, value);
}

static void next_letter(void *arg)
{
	struct letter *letter = arg;

	memset(&letter->event, 0, sizeof(letter->event));
	letter->turn++;
}

/* EV-2, N-5, CASES 35: what was written before the send is complete for all who learn of it, also by
 * grove_event_ready alone. */
GT_TEST(test_send_publishes)
{
	struct letter letter = { 0 };

	race(6, 0, GT_ROUNDS / 4, write_or_read, next_letter, &letter);
	race(6, 2, GT_ROUNDS / 4, write_or_read, next_letter, &letter);
}

/* --- reset and send ------------------------------------------------------------------------------ */

struct again {
	grove_event event;
	int reset, sent;
};

static void reset_or_send(unsigned party, void *arg)
{
	struct again *again = arg;

	gt_spin(50);
	if (party == 0)
		again->reset = grove_event_reset(&again->event);
	else
		again->sent = grove_event_send(&again->event, &numbers[2]);
}

static void check_order(void *arg)
{
	struct again *again = arg;
	void *value = NULL;

	GT_CHECK_IS(0, again->reset);
	if (again->sent == 0) {
		GT_CHECK_IS(0, grove_event_wait(&again->event, &value, GROVE_POLL));
		GT_CHECK(value == &numbers[2]);
		GT_CHECK_IS(0, grove_event_reset(&again->event));
	} else {
		GT_CHECK_IS(-EALREADY, again->sent);
		GT_CHECK_IS(-EAGAIN, grove_event_wait(&again->event, &value, GROVE_POLL));
	}
	GT_CHECK_IS(0, grove_event_send(&again->event, &numbers[1]));
}

/* EV-10, N-10, CASES 37: reset and send happen in one order or the other. */
GT_TEST(test_reset_and_send)
{
	struct again again = { 0 };

	GT_CHECK_IS(0, grove_event_send(&again.event, &numbers[1]));
	race(2, 0, GT_ROUNDS / 2, reset_or_send, check_order, &again);
	race(2, 1, GT_ROUNDS / 4, reset_or_send, check_order, &again);
}

/* --- many events, many waiters -------------------------------------------------------------------- */

enum { CROWD = 1000, EVENTS_MAX = 1000 };

struct crowd {
	grove_event events[EVENTS_MAX];
	int count;
	_Atomic long waits;
};

static void *wait_for_each(void *arg)
{
	struct crowd *crowd = arg;

	for (int i = 0; i < crowd->count; i++) {
		void *value = NULL;

		GT_CHECK_IS(0, grove_event_wait(&crowd->events[i], &value, gt_soon()));
		GT_CHECK(value == &crowd->events[i]);
		atomic_fetch_add_explicit(&crowd->waits, 1, memory_order_relaxed);
	}
	return NULL;
}

/* EV-13, N-6, CASES 38: a thousand waiters go through a row of events; no wake-up is lost. */
GT_TEST(test_no_wakeup_is_lost)
{
	static struct crowd crowd;
	grove_greenlet *waiters[CROWD];

	memset(&crowd, 0, sizeof(crowd));
	crowd.count = GT_SCALED(EVENTS_MAX);
	for (int i = 0; i < CROWD; i++)
		waiters[i] = gt_spawn(wait_for_each, &crowd);
	for (int i = 0; i < crowd.count; i++) {
		GT_CHECK_IS(0, grove_event_send(&crowd.events[i], &crowd.events[i]));
		if (i % 2 == 0)
			gt_pause();
	}
	for (int i = 0; i < CROWD; i++)
		gt_join(waiters[i]);
	GT_CHECK_IS((long)CROWD * crowd.count, crowd.waits);
	for (int i = 0; i < crowd.count; i++)
		GT_CHECK_IS(0, grove_event_destroy(&crowd.events[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_senders),
		cmocka_unit_test(test_kill_and_send),
		cmocka_unit_test(test_kill_send_and_deadline),
		cmocka_unit_test(test_waiter_frees_while_sending),
		cmocka_unit_test(test_send_publishes),
		cmocka_unit_test(test_reset_and_send),
		cmocka_unit_test(test_no_wakeup_is_lost),
	};

	return cmocka_run_group_tests_name("event_race", tests, NULL, NULL);
}
