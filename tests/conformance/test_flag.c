/* SPDX-License-Identifier: MIT */
/*
 * test_flag.c - FL-1 to FL-7: gevent's Event, CASES B.
 *
 * The value of a greenlet that waits is the code of its wait.
 */
#include "gt.h"

#include <signal.h>
#include <unistd.h>

enum { CROWD = 1000 };

static void *wait_for_code(void *flag)
{
	return GT_VALUE(grove_flag_wait(flag, gt_soon()));
}

/* --- FL-1: up and down ------------------------------------------------------------------------- */

/* FL-1: set and clear may be repeated; zero bytes are a flag that is down. */
GT_TEST(test_set_and_clear_are_idempotent)
{
	grove_flag flag;

	memset(&flag, 0, sizeof(flag));
	GT_CHECK(!grove_flag_is_set(&flag));
	for (int i = 0; i < 2; i++) {
		grove_flag_clear(&flag);
		GT_CHECK(!grove_flag_is_set(&flag));
		GT_CHECK_IS(-EAGAIN, grove_flag_wait(&flag, GROVE_POLL));
		grove_flag_set(&flag);
		grove_flag_set(&flag);
		GT_CHECK(grove_flag_is_set(&flag));
		GT_CHECK_IS(0, grove_flag_wait(&flag, GROVE_POLL));
		grove_flag_clear(&flag);
	}
	GT_CHECK_IS(0, grove_flag_destroy(&flag));
}

/* FL-1: neither suspends, nor does a wait on a flag that is up, whatever its deadline. */
GT_STRICT_TEST(test_nothing_suspends_if_it_is_up)
{
	grove_flag flag = GROVE_FLAG_INIT;
	bool ran = false;

	grove_greenlet *other = gt_spawn(gt_note_run, &ran);
	for (int i = 0; i < 3; i++) {
		grove_flag_set(&flag);
		GT_CHECK_IS(0, grove_flag_wait(&flag, GROVE_NEVER));
		GT_CHECK_IS(0, grove_flag_wait(&flag, GROVE_DEADLINE(0)));
		GT_CHECK_IS(0, grove_flag_wait(&flag, GROVE_POLL));
		grove_flag_clear(&flag);
		GT_CHECK_IS(-EAGAIN, grove_flag_wait(&flag, GROVE_POLL));
	}
	GT_CHECK(!ran);
	gt_join(other);
}

struct from_hub {
	grove_flag *waited;
	grove_flag down, up;
	int wait_down, wait_up, poll_down;
	grove_flag done;
};

static void use_in_hub(void *arg)
{
	struct from_hub *f = arg;

	grove_flag_set(f->waited);
	f->wait_down = grove_flag_wait(&f->down, GROVE_NEVER);
	f->poll_down = grove_flag_wait(&f->down, GROVE_POLL);
	grove_flag_set(&f->up);
	f->wait_up = grove_flag_wait(&f->up, GROVE_NEVER);
	grove_flag_clear(&f->up);
	grove_flag_set(&f->done);
}

/* FL-1, HB-2: set and clear work in hub context; waiting there would be a defect and is none. */
GT_TEST(test_use_in_a_callback)
{
	grove_flag flag = GROVE_FLAG_INIT;
	struct from_hub f = { .waited = &flag };
	grove_timer timer = GROVE_TIMER_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_for_code, &flag);

	GT_CHECK_IS(0, grove_timer_start(&timer, use_in_hub, &f, 0, 0, grove_in_ms(1)));
	GT_CHECK_IS(0, grove_flag_wait(&f.done, gt_soon()));
	GT_CHECK_IS(0, gt_value_of(waiter));
	GT_CHECK_IS(GROVE_IN_HUB, f.wait_down);
	GT_CHECK_IS(-EAGAIN, f.poll_down);
	GT_CHECK_IS(0, f.wait_up);
	GT_CHECK(!grove_flag_is_set(&f.up));
	gt_until(grove_timer_destroy(&timer) == 0);
}

/* --- FL-2: what a wait returns -------------------------------------------------------------------- */

/* FL-2, CASES 46: before the set nobody returns, after it all do. */
GT_TEST(test_set_wakes_all)
{
	static const int counts[] = { 1, 16, 17, 100, CROWD };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_greenlet *waiters[CROWD];
		grove_flag flag = GROVE_FLAG_INIT;

		for (int j = 0; j < counts[i]; j++)
			waiters[j] = gt_spawn(wait_for_code, &flag);
		for (int j = 0; j < counts[i]; j++)
			gt_until_parked(waiters[j]);
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK(!grove_ready(waiters[j]));
		grove_flag_set(&flag);
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(0, gt_value_of(waiters[j]));
		GT_CHECK(grove_flag_is_set(&flag));
		GT_CHECK_IS(0, grove_flag_destroy(&flag));
	}
}

/* FL-2, CASES 41: also if the flag is down again before they run. */
GT_TEST(test_set_then_clear_wakes_all)
{
	static const int counts[] = { 1, 16, 17, 100, CROWD };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_greenlet *waiters[CROWD];
		grove_flag flag = GROVE_FLAG_INIT;

		for (int j = 0; j < counts[i]; j++)
			waiters[j] = gt_spawn(wait_for_code, &flag);
		for (int j = 0; j < counts[i]; j++)
			gt_until_parked(waiters[j]);
		grove_flag_set(&flag);
		grove_flag_clear(&flag);
		GT_CHECK(!grove_flag_is_set(&flag));
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(0, gt_value_of(waiters[j]));
		GT_CHECK(!grove_flag_is_set(&flag));
		GT_CHECK_IS(0, grove_flag_destroy(&flag));
	}
}

/* FL-2, CASES 46 and 40: a wait on a flag that stays down ends at its deadline, not before. */
GT_TEST(test_wait_times_out)
{
	grove_flag flag = GROVE_FLAG_INIT;
	grove_deadline deadline = grove_in_ms(5);

	GT_CHECK_IS(-ETIMEDOUT, grove_flag_wait(&flag, deadline));
	GT_CHECK(grove_now_ns() >= deadline.ns);
	GT_CHECK_IS(-ETIMEDOUT, grove_flag_wait(&flag, GROVE_DEADLINE(0)));
	GT_CHECK_IS(-ETIMEDOUT, grove_flag_wait(&flag, grove_in_ms(-1)));
	GT_CHECK(!grove_flag_is_set(&flag));
	GT_CHECK_IS(0, grove_flag_destroy(&flag));
}

static void *set_after_a_nap(void *flag)
{
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(2)));
	grove_flag_set(flag);
	return NULL;
}

/* FL-2: set before the deadline. */
GT_TEST(test_wait_ends_before_its_deadline)
{
	grove_flag flag = GROVE_FLAG_INIT;
	grove_deadline deadline = gt_soon();

	grove_greenlet *setter = gt_spawn(set_after_a_nap, &flag);
	GT_CHECK_IS(0, grove_flag_wait(&flag, deadline));
	GT_CHECK(grove_left_ns(deadline) > 0);
	gt_join(setter);
}

struct pulse {
	grove_flag flag;
	int seen;
	_Atomic bool stop;
};

static void *wait_for_pulses(void *arg)
{
	struct pulse *pulse = arg;

	for (;;) {
		GT_CHECK_IS(0, grove_flag_wait(&pulse->flag, gt_soon()));
		if (atomic_load(&pulse->stop))
			return NULL;
		pulse->seen++;
	}
}

/* FL-2, CASES 52: a pulse that came while somebody was registered is never lost. */
GT_TEST(test_no_pulse_is_lost)
{
	struct pulse pulse = { 0 };
	grove_greenlet *waiter = gt_spawn_parked(wait_for_pulses, &pulse);

	for (int i = 0; i < GT_ROUNDS / 4; i++) {
		GT_CHECK_IS(i, pulse.seen);
		grove_flag_set(&pulse.flag);
		grove_flag_clear(&pulse.flag);
		gt_until_parked(waiter);
	}
	atomic_store(&pulse.stop, true);
	grove_flag_set(&pulse.flag);
	gt_join(waiter);
}

struct hammer {
	grove_flag flag;
	_Atomic unsigned long woken;
	_Atomic bool stop;
};

static void *set_and_clear(void *arg)
{
	struct hammer *hammer = arg;

	while (!atomic_load(&hammer->stop)) {
		grove_flag_set(&hammer->flag);
		gt_spin(20);
		grove_flag_clear(&hammer->flag);
		gt_spin(20);
		gt_pause();
	}
	grove_flag_set(&hammer->flag);
	return NULL;
}

static void *wait_again_and_again(void *arg)
{
	struct hammer *hammer = arg;

	for (int i = 0; i < GT_ROUNDS / 4; i++) {
		GT_CHECK_IS(0, grove_flag_wait(&hammer->flag, gt_soon()));
		atomic_fetch_add_explicit(&hammer->woken, 1, memory_order_relaxed);
	}
	return NULL;
}

/* FL-2, CASES 52 [N]: set and clear in a loop here, waits in a loop there; each wait returns. */
GT_TEST(test_pulses_between_hubs)
{
	enum { WAITERS = 3 };
	struct hammer hammer = { 0 };
	grove_greenlet *waiters[WAITERS];
	grove_greenlet *setter = gt_spawn(set_and_clear, &hammer);

	for (int i = 0; i < WAITERS; i++)
		waiters[i] = gt_spawn(wait_again_and_again, &hammer);
	for (int i = 0; i < WAITERS; i++)
		gt_join(waiters[i]);
	atomic_store(&hammer.stop, true);
	gt_join(setter);
	GT_CHECK_IS((unsigned long)WAITERS * (GT_ROUNDS / 4), hammer.woken);
	GT_CHECK_IS(0, grove_flag_destroy(&hammer.flag));
}

/* --- FL-3: who is woken ----------------------------------------------------------------------- */

static int order[CROWD];
static int order_count;

struct place {
	grove_flag *flag;
	int number;
};

static void *wait_and_note(void *arg)
{
	struct place *place = arg;

	GT_CHECK_IS(0, grove_flag_wait(place->flag, gt_soon()));
	order[order_count++] = place->number;
	return NULL;
}

/* FL-3, EV-13: in the order they came. */
GT_STRICT_TEST(test_waiters_run_in_order)
{
	static const int counts[] = { 5, 16, 17, CROWD };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		static struct place places[CROWD];
		grove_greenlet *waiters[CROWD];
		grove_flag flag = GROVE_FLAG_INIT;

		order_count = 0;
		for (int j = 0; j < counts[i]; j++) {
			places[j] = (struct place){ &flag, j };
			waiters[j] = gt_spawn(wait_and_note, &places[j]);
		}
		for (int j = 0; j < counts[i]; j++)
			gt_until_parked(waiters[j]);
		grove_flag_set(&flag);
		for (int j = 0; j < counts[i]; j++)
			gt_join(waiters[j]);
		GT_CHECK_IS(counts[i], order_count);
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(j, order[j]);
	}
}

struct again {
	grove_flag flag;
	int second; /* code of the second wait */
};

static void *clear_and_wait_again(void *arg)
{
	struct again *again = arg;

	GT_CHECK_IS(0, grove_flag_wait(&again->flag, gt_soon()));
	grove_flag_clear(&again->flag);
	again->second = 1;
	again->second = grove_flag_wait(&again->flag, gt_soon());
	return NULL;
}

/* FL-3: the first one clears the flag and waits again.  The others of its round are woken all the same,
 * and it suspends. */
GT_STRICT_TEST(test_round_survives_a_clear)
{
	struct again again = { .second = -1 };
	grove_greenlet *first = gt_spawn_parked(clear_and_wait_again, &again);
	grove_greenlet *others[20];

	for (size_t i = 0; i < GV_ARRAY_LEN(others); i++)
		others[i] = gt_spawn_parked(wait_for_code, &again.flag);
	grove_flag_set(&again.flag);
	for (size_t i = 0; i < GV_ARRAY_LEN(others); i++)
		GT_CHECK_IS(0, gt_value_of(others[i]));
	gt_until_parked(first);
	GT_CHECK_IS(1, again.second);
	grove_flag_set(&again.flag);
	gt_join(first);
	GT_CHECK_IS(0, again.second);
}

/* --- FL-4: a wait during a round ----------------------------------------------------------------- */

/* FL-4, CASES 43: in strict order it comes behind those who were woken. */
GT_STRICT_TEST(test_wait_during_a_round_queues)
{
	grove_flag flag = GROVE_FLAG_INIT;
	struct place places[2] = { { &flag, 1 }, { &flag, 2 } };
	grove_greenlet *first = gt_spawn_parked(wait_and_note, &places[0]);
	grove_greenlet *second = gt_spawn_parked(wait_and_note, &places[1]);

	order_count = 0;
	grove_flag_set(&flag);
	GT_CHECK_IS(0, grove_flag_wait(&flag, gt_soon()));
	order[order_count++] = 3;
	gt_join(first);
	gt_join(second);
	GT_CHECK_IS(3, order_count);
	for (int i = 0; i < 3; i++)
		GT_CHECK_IS(i + 1, order[i]);
}

/* FL-4: otherwise it may pass them, and does not suspend in any case once the round is over. */
GT_TEST(test_wait_outside_a_round_does_not_suspend)
{
	grove_flag flag = GROVE_FLAG_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_for_code, &flag);
	bool ran = false;

	grove_flag_set(&flag);
	GT_CHECK_IS(0, grove_flag_wait(&flag, gt_soon()));
	GT_CHECK_IS(0, gt_value_of(waiter));
	grove_greenlet *other = gt_spawn(gt_note_run, &ran);
	GT_CHECK_IS(0, grove_flag_wait(&flag, gt_soon()));
	GT_CHECK(!ran || grove_hub_count() > 1);
	gt_join(other);
}

/* --- FL-5: deadline and set in one slice ------------------------------------------------------------ */

struct tie {
	grove_flag flag;
	int64_t nap_ns;
	grove_deadline deadline; /* set by the waiter */
};

static void *wait_until_tie(void *arg)
{
	struct tie *tie = arg;

	tie->deadline = grove_in_ns(tie->nap_ns);
	return GT_VALUE(grove_flag_wait(&tie->flag, tie->deadline));
}

static intptr_t set_after_the_deadline(struct tie *tie)
{
	grove_greenlet *waiter = gt_spawn(wait_until_tie, tie);

	gt_until_parked(waiter);
	gt_compute_until(tie->deadline.ns + GT_MS);
	grove_flag_set(&tie->flag);
	return gt_value_of(waiter);
}

/* FL-5: it came while the hub computed, then the flag is set: exactly one of the two. */
GT_TEST(test_due_deadline_and_set)
{
	struct tie tie = { .nap_ns = 20 * GT_MS };
	intptr_t rc = set_after_the_deadline(&tie);

	GT_CHECK(rc == 0 || rc == -ETIMEDOUT);
	GT_CHECK(grove_flag_is_set(&tie.flag));
	GT_CHECK_IS(0, grove_flag_destroy(&tie.flag));
}

/* FL-5, decision 5: strict order has gevent's rule, the set. */
GT_STRICT_TEST(test_set_beats_a_deadline_that_was_not_served)
{
	struct tie tie = { .nap_ns = 20 * GT_MS };

	GT_CHECK_IS(0, set_after_the_deadline(&tie));
}

/* FL-5: a deadline that was served stands, and a set a moment later does not change it. */
GT_TEST(test_served_deadline_stands)
{
	struct tie tie = { .nap_ns = GT_MS };
	grove_greenlet *waiter = gt_spawn(wait_until_tie, &tie);

	gt_until(grove_ready(waiter));
	grove_flag_set(&tie.flag);
	GT_CHECK_IS(-ETIMEDOUT, gt_value_of(waiter));
	GT_CHECK_IS(0, grove_flag_wait(&tie.flag, GROVE_NEVER));
	GT_CHECK_IS(0, grove_flag_destroy(&tie.flag));
}

/* --- FL-6: leaving ----------------------------------------------------------------------------- */

/* FL-6, CASES 47: the one in the middle is killed; the others are woken, and nobody is left. */
GT_TEST(test_killed_waiter_leaves)
{
	grove_flag flag = GROVE_FLAG_INIT;
	grove_greenlet *waiters[3];

	for (int i = 0; i < 3; i++)
		waiters[i] = gt_spawn_parked(wait_for_code, &flag);
	GT_CHECK_IS(-EBUSY, grove_flag_destroy(&flag));
	GT_CHECK_IS(0, grove_kill(waiters[1], NULL, gt_soon()));
	grove_flag_set(&flag);
	GT_CHECK_IS(0, gt_value_of(waiters[0]));
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(waiters[1]));
	GT_CHECK_IS(0, gt_value_of(waiters[2]));
	GT_CHECK_IS(0, grove_flag_destroy(&flag));
}

/* FL-6: all have gone, by deadline or kill: the flag may be destroyed, and keeps nothing. */
GT_TEST(test_flag_forgets_those_who_left)
{
	enum { MANY = 300 };
	grove_flag flag = GROVE_FLAG_INIT;

	for (int i = 0; i < MANY; i++) {
		if (i % 3 == 0) {
			GT_CHECK_IS(-ETIMEDOUT, grove_flag_wait(&flag, GROVE_DEADLINE(0)));
			continue;
		}
		grove_greenlet *waiter = gt_spawn_parked(wait_for_code, &flag);
		GT_CHECK_IS(0, grove_kill(waiter, NULL, gt_soon()));
		GT_CHECK_IS(GROVE_KILLED, gt_value_of(waiter));
	}
	GT_CHECK_IS(0, grove_flag_destroy(&flag));
}

static void *wait_then_yield(void *flag)
{
	int rc = grove_flag_wait(flag, gt_soon());

	if (rc < 0)
		return GT_VALUE(rc);
	return GT_VALUE(grove_yield() == GROVE_KILLED ? 2 : 1);
}

/* KL-5, CASES 49: set, then kill: the wait succeeds, and the kill is met at the next suspension. */
GT_TEST(test_kill_after_set)
{
	grove_flag flag = GROVE_FLAG_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_then_yield, &flag);

	grove_flag_set(&flag);
	GT_CHECK_IS(0, grove_kill(waiter, NULL, GROVE_POLL));
	intptr_t met = gt_value_of(waiter);
	GT_CHECK(met == 2 || (met == 1 && grove_hub_count() > 1));
}

/* KL-5, CASES 49: kill, then set. */
GT_TEST(test_set_after_kill)
{
	grove_flag flag = GROVE_FLAG_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_then_yield, &flag);

	GT_CHECK_IS(0, grove_kill(waiter, NULL, GROVE_POLL));
	grove_flag_set(&flag);
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(waiter));
}

/* --- FL-7: threads ----------------------------------------------------------------------------- */

static void *set_from_thread(void *flag)
{
	grove_flag_set(flag);
	return NULL;
}

/* FL-7 (gevent: one thread only), XT-5, CASES 53: set by a foreign pthread while nothing else is armed
 * anywhere; waiters without a deadline wake. */
static void *wait_without_deadline(void *flag)
{
	return GT_VALUE(grove_flag_wait(flag, GROVE_NEVER));
}

GT_TEST(test_set_from_a_thread)
{
	static const int counts[] = { 1, 16, 17, 100 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_greenlet *waiters[100];
		grove_flag flag = GROVE_FLAG_INIT;
		pthread_t thread;

		for (int j = 0; j < counts[i]; j++)
			waiters[j] = gt_spawn_parked(wait_without_deadline, &flag);
		gt_thread_start(&thread, set_from_thread, &flag);
		GT_CHECK_IS(0, grove_flag_wait(&flag, GROVE_NEVER));
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(0, gt_value_of(waiters[j]));
		gt_thread_join(thread);
	}
}

struct thread_wait {
	grove_flag flag;
	_Atomic bool begun;
	int timed_out, rc;
};

static void *wait_in_thread(void *arg)
{
	struct thread_wait *w = arg;

	w->timed_out = grove_flag_wait(&w->flag, grove_in_ms(1));
	atomic_store(&w->begun, true);
	w->rc = grove_flag_wait(&w->flag, gt_soon());
	return NULL;
}

/* FL-7, decision 13: a foreign pthread waits. */
GT_TEST(test_wait_in_a_thread)
{
	struct thread_wait w = { 0 };
	pthread_t thread;

	gt_thread_start(&thread, wait_in_thread, &w);
	gt_until(atomic_load(&w.begun));
	grove_flag_set(&w.flag);
	gt_thread_join(thread);
	GT_CHECK_IS(-ETIMEDOUT, w.timed_out);
	GT_CHECK_IS(0, w.rc);
	GT_CHECK_IS(0, grove_flag_destroy(&w.flag));
}

static grove_flag set_by_signal;

static void set_in_handler(int signo)
{
	(void)signo;
	errno = 4711;
	grove_flag_set(&set_by_signal);
	if (errno != 4711 || !grove_flag_is_set(&set_by_signal))
		abort();
}

/* FL-7: a signal handler may set, too. */
GT_TEST(test_set_from_a_signal_handler)
{
	struct sigaction action = { .sa_handler = set_in_handler };
	struct sigaction before;
	grove_greenlet *waiters[40];

	memset(&set_by_signal, 0, sizeof(set_by_signal));
	sigaction(SIGUSR1, &action, &before);
	for (size_t i = 0; i < GV_ARRAY_LEN(waiters); i++)
		waiters[i] = gt_spawn_parked(wait_for_code, &set_by_signal);
	GT_CHECK_IS(0, kill(getpid(), SIGUSR1));
	for (size_t i = 0; i < GV_ARRAY_LEN(waiters); i++)
		GT_CHECK_IS(0, gt_value_of(waiters[i]));
	sigaction(SIGUSR1, &before, NULL);
}

struct letter {
	grove_flag flag;
	uint64_t words[8];
	uint64_t turn;
};

static void write_or_read(unsigned party, void *arg)
{
	struct letter *letter = arg;

	if (party == 0) {
		for (uint64_t i = 0; i < 8; i++)
			letter->words[i] = letter->turn * 8 + i;
		grove_flag_set(&letter->flag);
		return;
	}
	if (party == 1)
		gt_until(grove_flag_is_set(&letter->flag));
	else
		GT_CHECK_IS(0, grove_flag_wait(&letter->flag, gt_soon()));
	for (uint64_t i = 0; i < 8; i++)
		GT_CHECK(letter->words[i] == letter->turn * 8 + i);
}

static void next_letter(void *arg)
{
	struct letter *letter = arg;

	grove_flag_clear(&letter->flag);
	letter->turn++;
}

/* N-5 [N]: what was written before the set is complete for those who wait and those who look. */
GT_TEST(test_set_publishes)
{
	struct letter letter = { 0 };
	struct gt_race race = {
		.parties = 4,
		.rounds = GT_ROUNDS / 4,
		.act = write_or_read,
		.between = next_letter,
		.arg = &letter,
	};

	gt_race(&race);
	race.threads = 2;
	gt_race(&race);
}

/* --- the end of a flag --------------------------------------------------------------------------- */

/* EV-17 for flags: a destroyed one, and NULL, are refused or ignored. */
GT_TEST(test_bad_input)
{
	grove_flag flag = GROVE_FLAG_INIT;

	for (int up = 0; up < 2; up++) {
		memset(&flag, 0, sizeof(flag));
		if (up)
			grove_flag_set(&flag);
		GT_CHECK_IS(0, grove_flag_destroy(&flag));
		GT_CHECK_IS(-EINVAL, grove_flag_destroy(&flag));
		grove_flag_set(&flag);
		grove_flag_clear(&flag);
		GT_CHECK(!grove_flag_is_set(&flag));
		GT_CHECK_IS(-EINVAL, grove_flag_wait(&flag, GROVE_POLL));
		GT_CHECK_IS(-EINVAL, grove_flag_wait(&flag, GROVE_NEVER));
	}
	grove_flag_set(NULL);
	grove_flag_clear(NULL);
	GT_CHECK(!grove_flag_is_set(NULL));
	GT_CHECK_IS(-EINVAL, grove_flag_wait(NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_flag_destroy(NULL));
}

static void *wait_and_free(void *flag)
{
	GT_CHECK_IS(0, grove_flag_wait(flag, gt_soon()));
	GT_CHECK_IS(0, grove_flag_destroy(flag));
	memset(flag, 0xa5, sizeof(grove_flag));
	free(flag);
	return NULL;
}

/* N-9: a woken waiter may free it. */
GT_TEST(test_woken_waiter_may_free)
{
	for (int i = 0; i < GT_ROUNDS / 20; i++) {
		grove_flag *flag = calloc(1, sizeof(*flag));
		grove_greenlet *waiter = gt_spawn_parked(wait_and_free, flag);

		grove_flag_set(flag);
		gt_join(waiter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_clear_are_idempotent),
		cmocka_unit_test(test_nothing_suspends_if_it_is_up),
		cmocka_unit_test(test_use_in_a_callback),
		cmocka_unit_test(test_set_wakes_all),
		cmocka_unit_test(test_set_then_clear_wakes_all),
		cmocka_unit_test(test_wait_times_out),
		cmocka_unit_test(test_wait_ends_before_its_deadline),
		cmocka_unit_test(test_no_pulse_is_lost),
		cmocka_unit_test(test_pulses_between_hubs),
		cmocka_unit_test(test_waiters_run_in_order),
		cmocka_unit_test(test_round_survives_a_clear),
		cmocka_unit_test(test_wait_during_a_round_queues),
		cmocka_unit_test(test_wait_outside_a_round_does_not_suspend),
		cmocka_unit_test(test_due_deadline_and_set),
		cmocka_unit_test(test_set_beats_a_deadline_that_was_not_served),
		cmocka_unit_test(test_served_deadline_stands),
		cmocka_unit_test(test_killed_waiter_leaves),
		cmocka_unit_test(test_flag_forgets_those_who_left),
		cmocka_unit_test(test_kill_after_set),
		cmocka_unit_test(test_set_after_kill),
		cmocka_unit_test(test_set_from_a_thread),
		cmocka_unit_test(test_wait_in_a_thread),
		cmocka_unit_test(test_set_from_a_signal_handler),
		cmocka_unit_test(test_set_publishes),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_woken_waiter_may_free),
	};

	return cmocka_run_group_tests_name("flag", tests, NULL, NULL);
}
