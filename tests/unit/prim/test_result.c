/* SPDX-License-Identifier: MIT */
/*
 * test_result.c - result.c: AR-1 to AR-7, CASES C.
 */
#include "prim_test.h"

#define SMALL ((void *)(intptr_t)12345)
#define LARGE ((void *)(uintptr_t)0x1234567890abcdef) /* 61 bits do not hold it */

static void test_state_and_bad_input(void **state)
{
	(void)state;
	grove_result result = GROVE_RESULT_INIT;
	void *value = SMALL;

	assert_int_equal(grove_result_get(&result, &value, GROVE_POLL), -EAGAIN);
	assert_ptr_equal(value, SMALL);
	assert_int_equal(grove_result_get(NULL, &value, GROVE_POLL), -EINVAL);
	assert_int_equal(grove_result_set(NULL, NULL), -EINVAL);
	assert_int_equal(grove_result_set_failure(NULL, grove_failure_exit()), -EINVAL);
	assert_int_equal(grove_result_set_failure(&result, NULL), -EINVAL);
	assert_int_equal(grove_result_destroy(NULL), -EINVAL);
	assert_int_equal(grove_result_get(&result, NULL, GROVE_POLL), -EAGAIN);

	assert_int_equal(grove_result_destroy(&result), 0);
	assert_int_equal(grove_result_destroy(&result), -EINVAL);
	assert_int_equal(grove_result_get(&result, &value, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_result_set(&result, SMALL), -EINVAL);
	assert_int_equal(grove_result_set(&result, LARGE), -EINVAL);
	assert_int_equal(grove_result_set_failure(&result, grove_failure_exit()), -EINVAL);
}

static void *values[] = { NULL,
			  SMALL,
			  LARGE,
			  (void *)(intptr_t)-1,
			  (void *)INTPTR_MIN,
			  (void *)INTPTR_MAX,
			  (void *)(UINTPTR_MAX >> 3),
			  (void *)(UINTPTR_MAX >> 4),
			  (void *)~(UINTPTR_MAX >> 4) };

static void test_any_value_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < GV_ARRAY_LEN(values); i++) {
		grove_result result = GROVE_RESULT_INIT;
		void *value = &result;

		assert_int_equal(grove_result_set(&result, values[i]), 0);
		for (int n = 0; n < 3; n++) {
			value = &result;
			assert_int_equal(grove_result_get(&result, &value, GROVE_POLL), 0);
			assert_ptr_equal(value, values[i]);
		}
		assert_int_equal(grove_result_get(&result, NULL, GROVE_DEADLINE(0)), 0);
		assert_int_equal(grove_result_destroy(&result), 0);
	}
}

/* AR-2, decided: the first stands. */
static void test_second_set_changes_nothing(void **state)
{
	(void)state;
	void *firsts[] = { SMALL, LARGE };

	for (size_t i = 0; i < GV_ARRAY_LEN(firsts); i++) {
		grove_result result = GROVE_RESULT_INIT;
		void *value;

		assert_int_equal(grove_result_set(&result, firsts[i]), 0);
		assert_int_equal(grove_result_set(&result, SMALL), -EALREADY);
		assert_int_equal(grove_result_set(&result, LARGE), -EALREADY);
		assert_int_equal(grove_result_set_failure(&result, grove_failure_exit()),
				 -EALREADY);
		assert_int_equal(grove_result_get(&result, &value, GROVE_POLL), 0);
		assert_ptr_equal(value, firsts[i]);
		assert_int_equal(grove_result_destroy(&result), 0);
	}
}

static void count_release(void *payload)
{
	++*(int *)payload;
}

/* AR-1, AR-7: the same failure each time; it does not grow, and goes with the result. */
static void test_failure_comes_back_as_itself(void **state)
{
	(void)state;
	grove_result result = GROVE_RESULT_INIT;
	grove_failure *failure = grove_failure_new(-EIO, "no %s", "luck");
	grove_failure *other = grove_failure_new(-EPERM, NULL);
	void *value = SMALL;
	int released = 0;

	assert_int_equal(grove_failure_attach(failure, &released, count_release), 0);
	assert_int_equal(grove_result_set_failure(&result, failure), 0);
	assert_int_equal(grove_result_set_failure(&result, other), -EALREADY);
	assert_int_equal(grove_result_set(&result, SMALL), -EALREADY);
	grove_failure_release(other);
	uint64_t count = gv_load(&failure->references, relaxed);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(grove_result_get(&result, &value, GROVE_NEVER), GROVE_FAILED);
		assert_ptr_equal(grove_last_failure(), failure);
	}
	assert_int_equal(gv_load(&failure->references, relaxed), count + 1); /* the last failure */
	assert_ptr_equal(value, SMALL);

	grove_failure_release(failure);
	assert_int_equal(grove_result_destroy(&result), 0);
	assert_int_equal(released, 0);
	assert_int_equal(grove_failure_code(grove_last_failure()), -EIO);
	assert_string_equal(grove_failure_message(grove_last_failure()), "no luck");

	/* Another last failure takes its place. */
	result = (grove_result)GROVE_RESULT_INIT;
	assert_int_equal(grove_result_set_failure(&result, grove_failure_exit()), 0);
	assert_int_equal(grove_result_get(&result, NULL, GROVE_POLL), GROVE_FAILED);
	assert_int_equal(released, 1);
	assert_int_equal(grove_result_destroy(&result), 0);
}

/* ---- waiting ---- */

struct get {
	grove_result *result;
	int rc;
	void *value;
	int code; /* of the failure */
};

static void *get_it(void *arg)
{
	struct get *g = arg;

	g->value = &g->value;
	g->rc = grove_result_get(g->result, &g->value, GROVE_NEVER);
	if (g->rc == GROVE_FAILED) {
		g->code = grove_failure_code(grove_last_failure());
		CHECK(g->value == &g->value);
		CHECK_IS(0, grove_sleep(grove_in_ns(1))); /* one may wait for other things */
	}
	return NULL;
}

enum { WAITERS = 20 };

static void *body_of_waiters(void *arg)
{
	for (size_t v = 0; v <= GV_ARRAY_LEN(values); v++) {
		grove_result result = GROVE_RESULT_INIT;
		struct get gets[WAITERS];
		grove_greenlet *g[WAITERS];
		bool fail = v == GV_ARRAY_LEN(values);
		int released = 0;

		for (int i = 0; i < WAITERS; i++) {
			gets[i] = (struct get){ .result = &result };
			g[i] = spawn(get_it, &gets[i]);
		}
		for (int i = 0; i < WAITERS; i++)
			until_parked(g[i]);
		CHECK_IS(-EBUSY, grove_result_destroy(&result));
		if (fail) {
			grove_failure *failure = grove_failure_new(-EIO, NULL);

			CHECK_IS(0, grove_failure_attach(failure, &released, count_release));
			CHECK_IS(0, grove_result_set_failure(&result, failure));
			grove_failure_release(failure);
		} else {
			CHECK_IS(0, grove_result_set(&result, values[v]));
		}
		for (int i = 0; i < WAITERS; i++) {
			value_of(g[i]);
			CHECK_IS(fail ? GROVE_FAILED : 0, gets[i].rc);
			CHECK(fail ? gets[i].code == -EIO : gets[i].value == values[v]);
		}
		CHECK_IS(0, grove_result_destroy(&result));
		CHECK_IS(fail ? 1 : 0, released);
	}
	return arg;
}

static void test_waiters_get_what_was_set(void **state)
{
	(void)state;
	run_on(1, body_of_waiters, NULL);
	run_on(2, body_of_waiters, NULL);
	run_strict(body_of_waiters, NULL);
}

static void *get_for_ever(void *result)
{
	return CODE(grove_result_get(result, NULL, GROVE_NEVER));
}

static void *body_of_other_ends(void *arg)
{
	grove_result result = GROVE_RESULT_INIT;
	void *value = SMALL;
	int64_t before = grove_now_ns();

	CHECK_IS(-EAGAIN, grove_result_get(&result, &value, GROVE_POLL));
	CHECK_IS(-ETIMEDOUT, grove_result_get(&result, &value, GROVE_DEADLINE(0)));
	CHECK_IS(-ETIMEDOUT, grove_result_get(&result, &value, grove_in_ms(3)));
	CHECK(grove_now_ns() - before >= 3000000 && value == SMALL);

	grove_greenlet *killed = spawn(get_for_ever, &result);
	grove_greenlet *other = spawn(get_for_ever, &result);
	until_parked(killed);
	until_parked(other);
	CHECK_IS(0, grove_kill(killed, NULL, GROVE_NEVER));
	CHECK_IS(0, grove_result_set(&result, NULL));
	CHECK_IS(GROVE_KILLED, value_of(killed));
	CHECK_IS(0, value_of(other));
	CHECK_IS(0, grove_result_destroy(&result));

	result = (grove_result)GROVE_RESULT_INIT;
	killed = spawn(get_for_ever, &result);
	until_parked(killed);
	CHECK_IS(0, grove_kill(killed, NULL, GROVE_NEVER));
	value_of(killed);
	CHECK_IS(0, grove_result_destroy(&result));
	return arg;
}

static void test_deadlines_and_kills(void **state)
{
	(void)state;
	run_on(1, body_of_other_ends, NULL);
	run_on(2, body_of_other_ends, NULL);
}

/* ---- threads ---- */

static void *set_outside(void *result)
{
	CHECK_IS(0, grove_result_set(result, LARGE));
	return NULL;
}

static void *get_outside(void *result)
{
	void *value = NULL;

	CHECK_IS(0, grove_result_get(result, &value, GROVE_NEVER));
	CHECK(value == SMALL);
	return NULL;
}

static void *body_of_outsiders(void *arg)
{
	grove_result to_us = GROVE_RESULT_INIT;
	grove_result from_us = GROVE_RESULT_INIT;
	void *value = NULL;
	pthread_t setter, getter;

	start_thread(&getter, get_outside, &from_us);
	start_thread(&setter, set_outside, &to_us);
	CHECK_IS(0, grove_result_get(&to_us, &value, GROVE_NEVER));
	CHECK(value == LARGE);
	CHECK_IS(0, grove_result_set(&from_us, SMALL));
	join_thread(setter);
	join_thread(getter);
	CHECK_IS(0, grove_result_destroy(&to_us));
	CHECK_IS(0, grove_result_destroy(&from_us));
	return arg;
}

static void test_foreign_threads(void **state)
{
	(void)state;
	run_on(1, body_of_outsiders, NULL);
	run_on(2, body_of_outsiders, NULL);
}

enum { SETTERS = 3, READERS = 4 };

struct race {
	grove_result result;
	_Atomic int ready;
	_Atomic int won;
};

/* A third each: small, large, failure. */
static int set_as(struct race *r, int number)
{
	grove_failure *failure;
	int rc;

	switch (number % 3) {
	case 0:
		return grove_result_set(&r->result, SMALL);
	case 1:
		return grove_result_set(&r->result, LARGE);
	default:
		failure = grove_failure_new(-EIO, NULL);
		rc = grove_result_set_failure(&r->result, failure);
		grove_failure_release(failure);
		return rc;
	}
}

struct setter {
	struct race *race;
	int number;
};

static void *set_in_race(void *arg)
{
	struct setter *s = arg;

	gv_add(&s->race->ready, 1, relaxed); /* relaxed: only lets them begin together */
	while (gv_load(&s->race->ready, relaxed) < SETTERS)
		(void)grove_yield();
	int rc = set_as(s->race, s->number);
	CHECK(rc == 0 || rc == -EALREADY);
	if (rc == 0)
		gv_add(&s->race->won, s->number % 3 + 1, relaxed); /* relaxed: joined below */
	return NULL;
}

/* What was read, by the number of its setter. */
static void *read_in_race(void *arg)
{
	struct race *r = arg;
	void *value = NULL;

	switch (grove_result_get(&r->result, &value, GROVE_NEVER)) {
	case 0:
		return CODE(value == SMALL ? 1 : value == LARGE ? 2 : 0);
	case GROVE_FAILED:
		return CODE(grove_failure_code(grove_last_failure()) == -EIO ? 3 : 0);
	default:
		return CODE(0);
	}
}

/* CASES 65: all readers agree on the one outcome of the one winner. */
static void *body_of_races(void *arg)
{
	for (int i = 0; i < GT_SCALED(5000); i++) {
		struct race r = { .won = 0 };
		struct setter setters[SETTERS];
		grove_greenlet *readers[READERS];
		grove_greenlet *writers[SETTERS];

		for (int n = 0; n < READERS; n++)
			readers[n] = spawn(read_in_race, &r);
		for (int n = 0; n < SETTERS; n++) {
			setters[n] = (struct setter){ &r, n };
			writers[n] = spawn(set_in_race, &setters[n]);
		}
		for (int n = 0; n < SETTERS; n++)
			value_of(writers[n]);
		int won = gv_load(&r.won, relaxed); /* relaxed: joined */
		CHECK(won >= 1 && won <= 3);
		for (int n = 0; n < READERS; n++)
			CHECK_IS(won, value_of(readers[n]));
		CHECK_IS(0, grove_result_destroy(&r.result));
	}
	return arg;
}

static void test_setters_race(void **state)
{
	(void)state;
	run_on(2, body_of_races, NULL);
	run_on(4, body_of_races, NULL);
}

static void *destroy_when_got(void *arg)
{
	grove_result *result = arg;
	void *value = NULL;
	int rc = grove_result_get(result, &value, GROVE_NEVER);

	CHECK((rc == 0 && value == LARGE) || rc == GROVE_FAILED);
	CHECK_IS(0, grove_result_destroy(result));
	memset(result, 0xee, sizeof(*result));
	free(result);
	return NULL;
}

/* The set that is still inside its call when the result goes away, and its failure with it. */
static void *body_of_freeing_getters(void *arg)
{
	for (int i = 0; i < GT_SCALED(20000); i++) {
		grove_result *result = calloc(1, sizeof(*result));
		grove_greenlet *g = spawn(destroy_when_got, result);

		until_parked(g);
		if (i % 2 == 0) {
			CHECK_IS(0, grove_result_set(result, LARGE));
		} else {
			grove_failure *failure = grove_failure_new(-EIO, NULL);
			CHECK_IS(0, grove_result_set_failure(result, failure));
			grove_failure_release(failure);
		}
		value_of(g);
	}
	return arg;
}

static void test_getter_frees_the_result(void **state)
{
	(void)state;
	run_on(2, body_of_freeing_getters, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_and_bad_input),
		cmocka_unit_test(test_any_value_comes_back),
		cmocka_unit_test(test_second_set_changes_nothing),
		cmocka_unit_test(test_failure_comes_back_as_itself),
		cmocka_unit_test(test_waiters_get_what_was_set),
		cmocka_unit_test(test_deadlines_and_kills),
		cmocka_unit_test(test_foreign_threads),
		cmocka_unit_test(test_setters_race),
		cmocka_unit_test(test_getter_frees_the_result),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
