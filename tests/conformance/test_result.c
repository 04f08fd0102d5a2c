/* SPDX-License-Identifier: MIT */
/*
 * test_result.c - AR-1 to AR-7: gevent's AsyncResult, CASES C.
 */
#include "gt.h"

static int numbers[4];

#define V1 (&numbers[1])
#define V2 (&numbers[2])

/* A pointer that uses the highest bits: it does not fit beside the state. */
#define WIDE ((void *)(uintptr_t)UINT64_C(0x7123456789abcdef))

static void *get_value(void *result)
{
	void *value = NULL;
	int rc = grove_result_get(result, &value, gt_soon());

	return rc == 0 ? value : GT_VALUE(rc);
}

static void check_value(void *expected, grove_result *result)
{
	void *value = NULL;

	GT_CHECK_IS(0, grove_result_get(result, &value, GROVE_POLL));
	GT_CHECK(value == expected);
}

/* --- AR-1: set, ready, successful ----------------------------------------------------------------- */

/* AR-1, CASES 55: a value, of every kind; it is read as often as anybody likes. */
GT_TEST(test_set_and_get)
{
	void *values[] = { V1, NULL, GT_VALUE(-1), WIDE };

	for (size_t i = 0; i < GV_ARRAY_LEN(values); i++) {
		grove_result result;

		memset(&result, 0, sizeof(result));
		GT_CHECK_IS(-EAGAIN, grove_result_get(&result, NULL, GROVE_POLL));
		grove_greenlet *reader = gt_spawn_parked(get_value, &result);
		GT_CHECK_IS(0, grove_result_set(&result, values[i]));
		GT_CHECK_IS((intptr_t)values[i], gt_value_of(reader));
		for (int j = 0; j < 3; j++) {
			check_value(values[i], &result);
			GT_CHECK_IS((intptr_t)values[i], (intptr_t)get_value(&result));
		}
		GT_CHECK_IS(0, grove_result_destroy(&result));
	}
}

static void *get_failure(void *result)
{
	GT_CHECK_IS(GROVE_FAILED, grove_result_get(result, NULL, gt_soon()));
	grove_failure *failure = grove_last_failure();
	/* Whoever was told of a failure goes on as before. */
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(1)));
	return failure;
}

/* AR-1, CASES 56: a failure fails those who wait, is reported by nobody, and they wait on. */
GT_TEST(test_set_failure)
{
	enum { MANY = 20 };
	grove_result result = GROVE_RESULT_INIT;
	grove_greenlet *readers[MANY];
	grove_failure *failure = grove_failure_new(-EPROTO, "no");

	for (int i = 0; i < MANY; i++)
		readers[i] = gt_spawn_parked(get_failure, &result);
	GT_CHECK_IS(0, grove_result_set_failure(&result, failure));
	for (int i = 0; i < MANY; i++)
		GT_CHECK_IS((intptr_t)failure, gt_value_of(readers[i]));
	GT_CHECK_IS(GROVE_FAILED, grove_result_get(&result, NULL, GROVE_POLL));
	GT_CHECK(grove_last_failure() == failure);
	GT_CHECK_IS(0, grove_result_destroy(&result));
	grove_failure_release(failure);
}

/* AR-1: neither set nor a get of a set one suspends. */
GT_STRICT_TEST(test_set_does_not_suspend)
{
	grove_result result = GROVE_RESULT_INIT;
	grove_greenlet *reader = gt_spawn_parked(get_value, &result);
	bool ran = false;

	grove_greenlet *other = gt_spawn(gt_note_run, &ran);
	GT_CHECK_IS(0, grove_result_set(&result, V1));
	GT_CHECK_IS(0, grove_result_get(&result, NULL, GROVE_NEVER));
	GT_CHECK_IS(0, grove_result_get(&result, NULL, GROVE_DEADLINE(0)));
	GT_CHECK(!ran);
	GT_CHECK(!grove_ready(reader));
	gt_join(reader);
	gt_join(other);
}

/* --- AR-2: once ------------------------------------------------------------------------------- */

/* AR-2, decision 2, CASES 61: the second set is an error, whatever the two are, and never a mixture. */
GT_TEST(test_second_set_is_refused)
{
	void *values[] = { V1, WIDE };
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	grove_failure *other = grove_failure_new(-EPROTO, NULL);

	for (size_t i = 0; i < GV_ARRAY_LEN(values); i++) {
		grove_result result = GROVE_RESULT_INIT;

		GT_CHECK_IS(0, grove_result_set(&result, values[i]));
		GT_CHECK_IS(-EALREADY, grove_result_set(&result, V2));
		GT_CHECK_IS(-EALREADY, grove_result_set(&result, WIDE));
		GT_CHECK_IS(-EALREADY, grove_result_set_failure(&result, failure));
		check_value(values[i], &result);
		GT_CHECK_IS(0, grove_result_destroy(&result));
	}

	grove_result result = GROVE_RESULT_INIT;
	GT_CHECK_IS(0, grove_result_set_failure(&result, failure));
	GT_CHECK_IS(-EALREADY, grove_result_set(&result, GT_VALUE(3)));
	GT_CHECK_IS(-EALREADY, grove_result_set(&result, WIDE));
	GT_CHECK_IS(-EALREADY, grove_result_set_failure(&result, other));
	GT_CHECK_IS(GROVE_FAILED, grove_result_get(&result, NULL, GROVE_POLL));
	GT_CHECK(grove_last_failure() == failure);
	GT_CHECK_IS(0, grove_result_destroy(&result));
	grove_failure_release(failure);
	grove_failure_release(other);
}

/* AR-2: two sets before the waiter runs: it gets the first one's value, not the second's. */
GT_TEST(test_waiter_gets_the_first)
{
	grove_result result = GROVE_RESULT_INIT;
	grove_greenlet *reader = gt_spawn_parked(get_value, &result);

	GT_CHECK_IS(0, grove_result_set(&result, V1));
	GT_CHECK_IS(-EALREADY, grove_result_set(&result, V2));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(reader));
}

/* --- AR-3, AR-4: get --------------------------------------------------------------------------- */

/* AR-3, CASES 59: get_nowait does not suspend. */
GT_STRICT_TEST(test_poll_does_not_suspend)
{
	grove_result result = GROVE_RESULT_INIT;
	bool ran = false;
	void *value = V2;

	grove_greenlet *other = gt_spawn(gt_note_run, &ran);
	GT_CHECK_IS(-EAGAIN, grove_result_get(&result, &value, GROVE_POLL));
	GT_CHECK(!ran);
	GT_CHECK(value == V2);
	gt_join(other);
}

/* AR-3: the deadline is kept, and the result works on. */
GT_TEST(test_get_times_out)
{
	grove_result result = GROVE_RESULT_INIT;
	grove_deadline deadline = grove_in_ms(5);

	GT_CHECK_IS(-ETIMEDOUT, grove_result_get(&result, NULL, deadline));
	GT_CHECK(grove_now_ns() >= deadline.ns);
	GT_CHECK_IS(-ETIMEDOUT, grove_result_get(&result, NULL, GROVE_DEADLINE(0)));
	grove_greenlet *reader = gt_spawn_parked(get_value, &result);
	GT_CHECK_IS(0, grove_result_set(&result, V1));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(reader));
}

/* AR-4, CASES 62: value, NULL value, failure and timeout have a code each; no failure is thrown. */
GT_TEST(test_outcomes_are_told_apart)
{
	grove_result unset = GROVE_RESULT_INIT;
	grove_result null = GROVE_RESULT_INIT;
	grove_result failed = GROVE_RESULT_INIT;
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	void *value = V2;

	GT_CHECK_IS(0, grove_result_set(&null, NULL));
	GT_CHECK_IS(0, grove_result_set_failure(&failed, failure));
	GT_CHECK_IS(-ETIMEDOUT, grove_result_get(&unset, &value, grove_in_ms(1)));
	GT_CHECK(value == V2);
	GT_CHECK_IS(GROVE_FAILED, grove_result_get(&failed, &value, grove_in_ms(1)));
	GT_CHECK(value == V2);
	GT_CHECK_IS(0, grove_result_get(&null, &value, grove_in_ms(1)));
	GT_CHECK(value == NULL);
	GT_CHECK_IS(0, grove_result_destroy(&unset));
	GT_CHECK_IS(0, grove_result_destroy(&failed));
	grove_failure_release(failure);
}

/* --- AR-5: order ------------------------------------------------------------------------------ */

static int order[300];
static int order_count;

struct place {
	grove_result *result;
	int number;
};

static void *get_and_note(void *arg)
{
	struct place *place = arg;

	GT_CHECK_IS(0, grove_result_get(place->result, NULL, gt_soon()));
	order[order_count++] = place->number;
	return NULL;
}

/* AR-5: first come, first served. */
GT_STRICT_TEST(test_readers_run_in_order)
{
	static const int counts[] = { 3, 16, 17, 300 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		static struct place places[300];
		grove_greenlet *readers[300];
		grove_result result = GROVE_RESULT_INIT;

		order_count = 0;
		for (int j = 0; j < counts[i]; j++) {
			places[j] = (struct place){ &result, j };
			readers[j] = gt_spawn(get_and_note, &places[j]);
		}
		for (int j = 0; j < counts[i]; j++)
			gt_until_parked(readers[j]);
		GT_CHECK_IS(0, grove_result_set(&result, NULL));
		for (int j = 0; j < counts[i]; j++)
			gt_join(readers[j]);
		GT_CHECK_IS(counts[i], order_count);
		for (int j = 0; j < counts[i]; j++)
			GT_CHECK_IS(j, order[j]);
	}
}

/* AR-5, EV-7: who is killed leaves, and the others get theirs. */
GT_TEST(test_killed_reader_leaves)
{
	grove_result result = GROVE_RESULT_INIT;
	grove_greenlet *first = gt_spawn_parked(get_value, &result);
	grove_greenlet *killed = gt_spawn_parked(get_value, &result);

	GT_CHECK_IS(-EBUSY, grove_result_destroy(&result));
	GT_CHECK_IS(0, grove_kill(killed, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_KILLED, gt_value_of(killed));
	GT_CHECK_IS(0, grove_result_set(&result, V1));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(first));
	GT_CHECK_IS(0, grove_result_destroy(&result));
}

/* --- AR-7: failures do not grow ------------------------------------------------------------------ */

static void count_release(void *count)
{
	(*(int *)count)++;
}

/* AR-7, CASES 64: the same object each time, as it was, released once. */
GT_TEST(test_failure_does_not_grow)
{
	grove_result result = GROVE_RESULT_INIT;
	grove_failure *failure = grove_failure_new(-EIO, "once and for all");
	int released = 0;

	GT_CHECK_IS(0, grove_failure_attach(failure, &released, count_release));
	GT_CHECK_IS(0, grove_result_set_failure(&result, failure));
	for (int i = 0; i < 1000; i++) {
		GT_CHECK_IS(GROVE_FAILED, grove_result_get(&result, NULL, GROVE_NEVER));
		GT_CHECK(grove_last_failure() == failure);
		GT_CHECK_IS(-EIO, grove_failure_code(failure));
		GT_CHECK(strcmp(grove_failure_message(failure), "once and for all") == 0);
		GT_CHECK(grove_failure_payload(failure) == &released);
		GT_CHECK_IS(0, grove_failure_backtrace(failure, NULL, 0));
	}
	GT_CHECK_IS(0, grove_result_destroy(&result));
	grove_failure_release(failure);
	GT_CHECK_IS(0, released); /* it is still our last failure */

	grove_result other = GROVE_RESULT_INIT;
	failure = grove_failure_new(-EIO, NULL);
	GT_CHECK_IS(0, grove_result_set_failure(&other, failure));
	GT_CHECK_IS(GROVE_FAILED, grove_result_get(&other, NULL, GROVE_POLL));
	GT_CHECK_IS(1, released);
	GT_CHECK_IS(0, grove_result_destroy(&other));
	grove_failure_release(failure);
}

/* --- several hubs and threads ------------------------------------------------------------------- */

enum { SETTERS = 2, READERS = 4 };

struct duel {
	grove_result result;
	grove_failure *failure;
	int sets[SETTERS];
	int codes[READERS];
	void *values[READERS];
};

static void fight(unsigned party, void *arg)
{
	struct duel *duel = arg;

	if (party < READERS) {
		duel->codes[party] =
			grove_result_get(&duel->result, &duel->values[party], gt_soon());
		if (duel->codes[party] == GROVE_FAILED)
			duel->values[party] = grove_last_failure();
		return;
	}
	gt_spin(100);
	if (party == READERS)
		duel->sets[0] = grove_result_set(&duel->result, WIDE);
	else
		duel->sets[1] = grove_result_set_failure(&duel->result, duel->failure);
}

static void judge(void *arg)
{
	struct duel *duel = arg;
	bool failed = duel->sets[1] == 0;

	GT_CHECK_IS(-EALREADY, duel->sets[0] + duel->sets[1]);
	GT_CHECK(duel->sets[0] == 0 || duel->sets[1] == 0);
	for (int i = 0; i < READERS; i++) {
		GT_CHECK_IS(failed ? GROVE_FAILED : 0, duel->codes[i]);
		GT_CHECK(duel->values[i] == (failed ? (void *)duel->failure : WIDE));
	}
	GT_CHECK_IS(0, grove_result_destroy(&duel->result));
	memset(&duel->result, 0, sizeof(duel->result));
}

/* AR-2, N-10, CASES 65 [N]: a value and a failure at the same time; all readers agree. */
GT_TEST(test_set_and_set_failure)
{
	struct duel duel = { .failure = grove_failure_new(-EIO, NULL) };
	struct gt_race race = {
		.parties = READERS + SETTERS,
		.rounds = GT_ROUNDS / 4,
		.act = fight,
		.between = judge,
		.arg = &duel,
	};

	gt_race(&race);
	race.threads = SETTERS;
	gt_race(&race);
	grove_failure_release(duel.failure);
}

struct letter {
	grove_result result;
	uint64_t words[8];
	uint64_t turn;
};

static void write_or_read(unsigned party, void *arg)
{
	struct letter *letter = arg;
	void *value = NULL;

	if (party == 0) {
		for (uint64_t i = 0; i < 8; i++)
			letter->words[i] = letter->turn * 8 + i;
		GT_CHECK_IS(0, grove_result_set(&letter->result, letter->words));
		return;
	}
	GT_CHECK_IS(0, grove_result_get(&letter->result, &value, gt_soon()));
	for (uint64_t i = 0; i < 8; i++)
		GT_CHECK(((uint64_t *)value)[i] == letter->turn * 8 + i);
}

static void next_letter(void *arg)
{
	struct letter *letter = arg;

	memset(&letter->result, 0, sizeof(letter->result));
	letter->turn++;
}

/* XT-5, N-5, CASES 67 [N]: set here, read there, and the reverse, with complete data. */
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
	race.threads = 4; /* not a greenlet among them */
	race.rounds = GT_ROUNDS / 20;
	gt_race(&race);
}

static void *set_v1(void *result)
{
	return GT_VALUE(grove_result_set(result, V1));
}

/* XT-5, CASES 67: the test's own pthread reads what a greenlet sets, and the reverse. */
GT_THREAD_TEST(test_between_greenlets_and_outside)
{
	grove_result there = GROVE_RESULT_INIT;
	grove_result back = GROVE_RESULT_INIT;
	grove_greenlet *reader = gt_spawn_parked(get_value, &back);

	grove_greenlet *setter = gt_spawn(set_v1, &there);
	GT_CHECK_IS((intptr_t)V1, (intptr_t)get_value(&there));
	GT_CHECK_IS(0, gt_value_of(setter));
	GT_CHECK_IS(0, grove_result_set(&back, V2));
	GT_CHECK_IS((intptr_t)V2, gt_value_of(reader));
}

struct from_hub {
	grove_result unset, set, waited;
	int get_unset, get_set, set_waited;
	grove_event done;
};

static void use_in_hub(void *arg)
{
	struct from_hub *f = arg;

	f->get_unset = grove_result_get(&f->unset, NULL, GROVE_NEVER);
	f->get_set = grove_result_get(&f->set, NULL, GROVE_NEVER);
	f->set_waited = grove_result_set(&f->waited, V1);
	GT_CHECK_IS(0, grove_event_send(&f->done, NULL));
}

/* HB-2: in a callback a result may be set, and read if it is there. */
GT_TEST(test_use_in_a_callback)
{
	struct from_hub f = { .get_unset = 1 };
	grove_timer timer = GROVE_TIMER_INIT;
	grove_greenlet *reader = gt_spawn_parked(get_value, &f.waited);

	GT_CHECK_IS(0, grove_result_set(&f.set, V2));
	GT_CHECK_IS(0, grove_timer_start(&timer, use_in_hub, &f, 0, 0, GROVE_POLL));
	GT_CHECK_IS(0, grove_event_wait(&f.done, NULL, gt_soon()));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(reader));
	GT_CHECK_IS(GROVE_IN_HUB, f.get_unset);
	GT_CHECK_IS(0, f.get_set);
	GT_CHECK_IS(0, f.set_waited);
	gt_until(grove_timer_destroy(&timer) == 0);
}

/* --- the end of a result -------------------------------------------------------------------------- */

/* EV-17 for results. */
GT_TEST(test_bad_input)
{
	grove_result result = GROVE_RESULT_INIT;
	grove_failure *failure = grove_failure_new(-EIO, NULL);

	for (int set = 0; set < 2; set++) {
		memset(&result, 0, sizeof(result));
		if (set)
			GT_CHECK_IS(0, grove_result_set(&result, V1));
		GT_CHECK_IS(0, grove_result_destroy(&result));
		GT_CHECK_IS(-EINVAL, grove_result_destroy(&result));
		GT_CHECK_IS(-EINVAL, grove_result_set(&result, V1));
		GT_CHECK_IS(-EINVAL, grove_result_set(&result, WIDE));
		GT_CHECK_IS(-EINVAL, grove_result_set_failure(&result, failure));
		GT_CHECK_IS(-EINVAL, grove_result_get(&result, NULL, GROVE_POLL));
		GT_CHECK_IS(-EINVAL, grove_result_get(&result, NULL, GROVE_NEVER));
	}
	GT_CHECK_IS(-EINVAL, grove_result_set(NULL, V1));
	GT_CHECK_IS(-EINVAL, grove_result_set_failure(NULL, failure));
	memset(&result, 0, sizeof(result));
	GT_CHECK_IS(-EINVAL, grove_result_set_failure(&result, NULL));
	GT_CHECK_IS(-EAGAIN, grove_result_get(&result, NULL, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_result_get(NULL, NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_result_destroy(NULL));
	grove_failure_release(failure);
}

static void *get_and_free(void *result)
{
	GT_CHECK_IS(0, grove_result_get(result, NULL, gt_soon()));
	GT_CHECK_IS(0, grove_result_destroy(result));
	memset(result, 0xa5, sizeof(grove_result));
	free(result);
	return NULL;
}

/* N-9: a woken waiter may free it. */
GT_TEST(test_woken_reader_may_free)
{
	for (int i = 0; i < GT_ROUNDS / 20; i++) {
		grove_result *result = calloc(1, sizeof(*result));
		grove_greenlet *reader = gt_spawn_parked(get_and_free, result);

		GT_CHECK_IS(0, grove_result_set(result, i % 2 == 0 ? V1 : WIDE));
		gt_join(reader);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_get),
		cmocka_unit_test(test_set_failure),
		cmocka_unit_test(test_set_does_not_suspend),
		cmocka_unit_test(test_second_set_is_refused),
		cmocka_unit_test(test_waiter_gets_the_first),
		cmocka_unit_test(test_poll_does_not_suspend),
		cmocka_unit_test(test_get_times_out),
		cmocka_unit_test(test_outcomes_are_told_apart),
		cmocka_unit_test(test_readers_run_in_order),
		cmocka_unit_test(test_killed_reader_leaves),
		cmocka_unit_test(test_failure_does_not_grow),
		cmocka_unit_test(test_set_and_set_failure),
		cmocka_unit_test(test_set_publishes),
		cmocka_unit_test(test_between_greenlets_and_outside),
		cmocka_unit_test(test_use_in_a_callback),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_woken_reader_may_free),
	};

	return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
