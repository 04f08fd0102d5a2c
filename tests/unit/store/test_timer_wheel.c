/* SPDX-License-Identifier: MIT */
/*
 * test_timer_wheel.c - timer_wheel.c, also against a list that is searched from end to end.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "plat/clock.h"
#include "store/timer_wheel.h"

#define TICK_NS (INT64_C(1) << GV_WHEEL_TICK_BITS)
#define SECOND_NS INT64_C(1000000000)
#define YEAR_NS (365 * 24 * 3600 * SECOND_NS)

/* Some time after boot that is not a multiple of anything. */
#define START_NS (INT64_C(123456) * SECOND_NS + 789)

static struct gv_wheel *new_wheel(int64_t now_ns)
{
	struct gv_wheel *wheel = aligned_alloc(GV_CACHE_LINE, sizeof(*wheel));

	assert_non_null(wheel);
	memset(wheel, 0xaa, sizeof(*wheel));
	gv_wheel_init(wheel, now_ns);
	return wheel;
}

static void start(struct gv_wheel *wheel, struct gv_wheel_timer *timer, uint64_t cookie,
		  int64_t when_ns)
{
	timer->cookie[0] = cookie;
	timer->cookie[1] = ~cookie;
	gv_wheel_start(wheel, timer, when_ns);
}

/* Expire until there is nothing more to do.  Returns the number delivered. */
static size_t drain(struct gv_wheel *wheel, int64_t now_ns, struct gv_wheel_fired out[],
		    size_t room)
{
	size_t count = 0;

	while (gv_wheel_next_ns(wheel) <= now_ns) {
		assert_true(count < room);
		count += gv_wheel_expire(wheel, now_ns, out + count, room - count);
	}
	return count;
}

static void test_new_wheel_has_nothing(void **state)
{
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_fired fired;
	(void)state;

	assert_int_equal(gv_wheel_next_ns(wheel), INT64_MAX);
	assert_int_equal(gv_wheel_armed_count(wheel), 0);
	assert_int_equal(gv_wheel_expire(wheel, START_NS + YEAR_NS, &fired, 1), 0);
	free(wheel);
}

static void test_timer_comes_out_once_with_its_cookies(void **state)
{
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer timer = { 0 };
	struct gv_wheel_fired fired;
	int64_t when = START_NS + 5 * SECOND_NS;
	(void)state;

	assert_false(gv_wheel_armed(&timer));
	start(wheel, &timer, 42, when);
	assert_true(gv_wheel_armed(&timer));
	assert_int_equal(gv_wheel_armed_count(wheel), 1);
	assert_in_range(gv_wheel_next_ns(wheel), when, when + TICK_NS);

	assert_int_equal(gv_wheel_expire(wheel, when - 1, &fired, 1), 0);
	assert_int_equal(gv_wheel_expire(wheel, when + TICK_NS, &fired, 1), 1);
	assert_int_equal(fired.cookie[0], 42);
	assert_int_equal(fired.cookie[1], ~UINT64_C(42));
	assert_int_equal(fired.when_ns, when);
	assert_false(gv_wheel_armed(&timer));
	assert_int_equal(gv_wheel_next_ns(wheel), INT64_MAX);
	assert_int_equal(gv_wheel_expire(wheel, when + TICK_NS, &fired, 1), 0);

	/* And it can be started again. */
	start(wheel, &timer, 43, when + SECOND_NS);
	assert_int_equal(gv_wheel_expire(wheel, when + 2 * SECOND_NS, &fired, 1), 1);
	assert_int_equal(fired.cookie[0], 43);
	free(wheel);
}

/* Whoever sleeps until next_ns has at most as many vain wake-ups as there are levels. */
static void test_deadlines_of_all_lengths_are_met_within_a_tick(void **state)
{
	(void)state;

	for (int bit = 0; bit < 62; bit++) {
		for (int delta = -1; delta <= 1; delta++) {
			struct gv_wheel *wheel = new_wheel(START_NS);
			struct gv_wheel_timer timer = { 0 };
			struct gv_wheel_fired fired;
			int64_t when = START_NS + (INT64_C(1) << bit) + delta;
			int wakes = 0;
			size_t count = 0;

			start(wheel, &timer, 1, when);
			while (count == 0) {
				int64_t now = gv_wheel_next_ns(wheel);

				assert_true(now <= when + TICK_NS);
				assert_true(wakes++ <= GV_WHEEL_LEVELS);
				count = gv_wheel_expire(wheel, now, &fired, 1);
				if (count != 0)
					assert_true(now >= when);
			}
			free(wheel);
		}
	}
}

static void test_few_timers_cost_no_vain_wake_up(void **state)
{
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer timers[3] = { 0 };
	struct gv_wheel_fired fired;
	int64_t when = START_NS + 10 * SECOND_NS;
	(void)state;

	for (int i = 0; i < 3; i++)
		start(wheel, &timers[i], (uint64_t)i, when + i * SECOND_NS);
	for (int i = 0; i < 3; i++) {
		int64_t now = gv_wheel_next_ns(wheel);

		assert_in_range(now, when + i * SECOND_NS, when + i * SECOND_NS + TICK_NS);
		assert_int_equal(gv_wheel_expire(wheel, now, &fired, 1), 1);
		assert_int_equal(fired.cookie[0], i);
	}
	free(wheel);
}

static void test_deadline_in_the_past_is_due_at_once(void **state)
{
	static const int64_t past[] = { INT64_MIN, -1, 0, 1, START_NS - SECOND_NS, START_NS };
	struct gv_wheel_fired fired;
	(void)state;

	for (size_t i = 0; i < GV_ARRAY_LEN(past); i++) {
		struct gv_wheel *wheel = new_wheel(START_NS);
		struct gv_wheel_timer timer = { 0 };

		start(wheel, &timer, i, past[i]);
		int64_t now = START_NS + TICK_NS;
		assert_true(gv_wheel_next_ns(wheel) <= now);
		assert_int_equal(gv_wheel_expire(wheel, now, &fired, 1), 1);
		assert_int_equal(fired.when_ns, past[i]);
		free(wheel);
	}
}

static void test_farthest_deadlines_stay(void **state)
{
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer timers[2] = { 0 };
	struct gv_wheel_fired fired;
	(void)state;

	start(wheel, &timers[0], 0, INT64_MAX);
	start(wheel, &timers[1], 1, INT64_MAX - 1);
	assert_true(gv_wheel_next_ns(wheel) < INT64_MAX);
	for (int64_t now = START_NS; now < 200 * YEAR_NS; now += YEAR_NS)
		assert_int_equal(gv_wheel_expire(wheel, now, &fired, 1), 0);
	assert_true(gv_wheel_cancel(&timers[0]));
	assert_true(gv_wheel_cancel(&timers[1]));
	assert_int_equal(gv_wheel_next_ns(wheel), INT64_MAX);
	free(wheel);
}

static void test_cancelled_timer_leaves_nothing(void **state)
{
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer timers[3] = { 0 };
	struct gv_wheel_fired fired[3];
	int64_t when = START_NS + SECOND_NS;
	(void)state;

	for (uint64_t i = 0; i < 3; i++)
		start(wheel, &timers[i], i, when);
	assert_true(gv_wheel_cancel(&timers[1]));
	assert_false(gv_wheel_armed(&timers[1]));
	assert_false(gv_wheel_cancel(&timers[1]));
	assert_int_equal(gv_wheel_armed_count(wheel), 2);
	memset(&timers[1], 0xff, sizeof(timers[1]));

	assert_int_equal(drain(wheel, when + TICK_NS, fired, 3), 2);
	assert_int_equal(fired[0].cookie[0], 0);
	assert_int_equal(fired[1].cookie[0], 2);
	assert_false(gv_wheel_cancel(&timers[0]));
	free(wheel);
}

static void test_last_cancel_empties_the_wheel(void **state)
{
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer timers[2] = { 0 };
	(void)state;

	start(wheel, &timers[0], 0, START_NS + SECOND_NS);
	start(wheel, &timers[1], 1, START_NS + 2 * SECOND_NS);
	assert_true(gv_wheel_cancel(&timers[0]));
	assert_true(gv_wheel_next_ns(wheel) <= START_NS + 2 * SECOND_NS + TICK_NS);
	assert_true(gv_wheel_cancel(&timers[1]));
	assert_int_equal(gv_wheel_next_ns(wheel), INT64_MAX);
	assert_int_equal(gv_wheel_armed_count(wheel), 0);
	free(wheel);
}

static void test_due_timer_can_still_be_cancelled(void **state)
{
	enum { COUNT = 5 };
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer timers[COUNT] = { 0 };
	struct gv_wheel_fired fired[COUNT];
	int64_t when = START_NS + 100 * TICK_NS, now = when + TICK_NS;
	(void)state;

	for (uint64_t i = 0; i < COUNT; i++)
		start(wheel, &timers[i], i, when);
	assert_int_equal(gv_wheel_expire(wheel, now, fired, 1), 1);
	assert_true(gv_wheel_next_ns(wheel) <= now);
	assert_true(gv_wheel_cancel(&timers[2]));
	assert_int_equal(drain(wheel, now, fired, COUNT), COUNT - 2);
	assert_int_equal(fired[0].cookie[0], 1);
	assert_int_equal(fired[1].cookie[0], 3);
	assert_int_equal(gv_wheel_next_ns(wheel), INT64_MAX);
	free(wheel);
}

static void test_clock_that_lags_delivers_nothing_early(void **state)
{
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer timers[2] = { 0 };
	struct gv_wheel_fired fired[2];
	(void)state;

	start(wheel, &timers[0], 0, START_NS + SECOND_NS);
	start(wheel, &timers[1], 1, START_NS + 3 * SECOND_NS);
	assert_int_equal(gv_wheel_expire(wheel, START_NS + 2 * SECOND_NS, fired, 2), 1);
	assert_int_equal(gv_wheel_expire(wheel, START_NS + SECOND_NS, fired, 2), 0);
	assert_int_equal(gv_wheel_expire(wheel, 0, fired, 2), 0);
	assert_int_equal(gv_wheel_expire(wheel, START_NS + 4 * SECOND_NS, fired, 2), 1);
	free(wheel);
}

/* More than one call moves at a time, started before and after the wheel has reached their range,
 * and taken in small portions. */
static void test_equal_deadlines_keep_the_order_of_starts(void **state)
{
	enum { COUNT = 5 * GV_WHEEL_WORK, ROOM = 7 };
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer *timers = calloc(COUNT, sizeof(*timers));
	struct gv_wheel_fired fired[ROOM];
	int64_t when = START_NS + 3 * SECOND_NS, now = START_NS;
	uint64_t started = 0, expected = 0;
	(void)state;

	assert_non_null(timers);
	while (started < 4 * GV_WHEEL_WORK)
		start(wheel, &timers[started], started, when), started++;
	while (expected < COUNT) {
		/* Steps that shrink: every level is entered on the way. */
		now = GV_MIN(now + GV_MAX((when - now) / 3, TICK_NS), when + TICK_NS);
		for (int i = 0; i < 8 && started < COUNT; i++)
			start(wheel, &timers[started], started, when), started++;

		size_t count = gv_wheel_expire(wheel, now, fired, ROOM);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(fired[i].cookie[0], expected++);
	}
	assert_int_equal(gv_wheel_armed_count(wheel), 0);
	free(timers);
	free(wheel);
}

static void test_batch_is_sorted_within_a_tick(void **state)
{
	enum { COUNT = 300 };
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer timers[COUNT] = { 0 };
	struct gv_wheel_fired fired[COUNT];
	int64_t base = (START_NS / TICK_NS + 1000) * TICK_NS + 1;
	(void)state;

	for (int i = 0; i < COUNT; i++)
		start(wheel, &timers[i], (uint64_t)i, base + (i * 7919) % (TICK_NS - 1));
	assert_int_equal(drain(wheel, base + TICK_NS, fired, COUNT), COUNT);
	for (int i = 1; i < COUNT; i++)
		assert_true(fired[i - 1].when_ns < fired[i].when_ns ||
			    (fired[i - 1].when_ns == fired[i].when_ns &&
			     fired[i - 1].cookie[0] < fired[i].cookie[0]));
	free(wheel);
}

static void test_try_does_not_wait_for_the_lock(void **state)
{
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer timer = { 0 };
	struct gv_wheel_fired fired;
	size_t count = 99;
	(void)state;

	start(wheel, &timer, 1, START_NS);
	gv_lock_acquire(&wheel->lock);
	assert_int_equal(gv_wheel_try_expire(wheel, START_NS + TICK_NS, &fired, 1, &count), -EBUSY);
	assert_int_equal(count, 0);
	/* Nothing due: no lock needed. */
	assert_int_equal(gv_wheel_try_expire(wheel, START_NS - TICK_NS, &fired, 1, &count), 0);
	gv_lock_release(&wheel->lock);
	assert_int_equal(gv_wheel_try_expire(wheel, START_NS + TICK_NS, &fired, 1, &count), 0);
	assert_int_equal(count, 1);
	free(wheel);
}

/* A jump over years with everything due: each call does its share, and no empty slot is visited. */
static void test_long_jump_takes_bounded_calls(void **state)
{
	enum { COUNT = 20000, ROOM = 64 };
	struct gv_wheel *wheel = new_wheel(START_NS);
	struct gv_wheel_timer *timers = calloc(COUNT, sizeof(*timers));
	struct gv_wheel_fired fired[ROOM];
	int64_t now = START_NS + 100 * YEAR_NS, last = 0;
	size_t count = 0, calls = 0;
	struct gv_rng rng;
	(void)state;

	assert_non_null(timers);
	gv_rng_seed(&rng, 3);
	for (uint64_t i = 0; i < COUNT; i++) {
		int64_t delay = (int64_t)(gv_rng_next(&rng) >> (8 + gv_rng_below(&rng, 40)));
		start(wheel, &timers[i], i, GV_MIN(START_NS + delay, now - TICK_NS));
	}
	while (gv_wheel_next_ns(wheel) <= now) {
		size_t got = gv_wheel_expire(wheel, now, fired, ROOM);

		for (size_t i = 0; i < got; i++) {
			assert_true(fired[i].when_ns >= last - TICK_NS);
			last = fired[i].when_ns;
		}
		count += got;
		calls++;
	}
	assert_int_equal(count, COUNT);
	assert_true(calls <= COUNT / ROOM + COUNT * GV_WHEEL_LEVELS / GV_WHEEL_WORK + 2);
	free(timers);
	free(wheel);
}

/*
 * The model: an array that is searched from end to end.
 */

enum { MODEL_TIMERS = 400, MODEL_STEPS = 6000, MODEL_ROOM = 16 };

struct model {
	struct gv_wheel *wheel;
	struct gv_wheel_timer timers[MODEL_TIMERS];
	int64_t when[MODEL_TIMERS]; /* valid if armed */
	uint64_t order[MODEL_TIMERS];
	bool armed[MODEL_TIMERS];
	uint64_t count;
	uint64_t starts;
	int64_t now;
	struct gv_rng rng;
};

/* From less than a tick to years, and some that are late or equal. */
static int64_t model_deadline(struct model *m)
{
	uint32_t kind = gv_rng_below(&m->rng, 10);

	if (kind == 0)
		return m->now - (int64_t)gv_rng_below(&m->rng, 1000000);
	if (kind == 1)
		return m->when[gv_rng_below(&m->rng, MODEL_TIMERS)];
	return m->now + (int64_t)(gv_rng_next(&m->rng) >> (10 + gv_rng_below(&m->rng, 54)));
}

static void model_start(struct model *m, uint32_t i)
{
	if (m->armed[i])
		return;
	m->when[i] = model_deadline(m);
	m->order[i] = m->starts++;
	m->armed[i] = true;
	m->count++;
	start(m->wheel, &m->timers[i], i, m->when[i]);
}

static void model_cancel(struct model *m, uint32_t i)
{
	assert_int_equal(gv_wheel_cancel(&m->timers[i]), m->armed[i]);
	if (m->armed[i])
		m->count--;
	m->armed[i] = false;
	memset(&m->timers[i], 0, sizeof(m->timers[i]));
}

static void model_fired(struct model *m, const struct gv_wheel_fired *fired)
{
	uint64_t i = fired->cookie[0];

	assert_true(i < MODEL_TIMERS);
	assert_true(m->armed[i]);
	assert_int_equal(fired->cookie[1], ~i);
	assert_int_equal(fired->when_ns, m->when[i]);
	assert_true(m->when[i] <= m->now);
	m->armed[i] = false;
	m->count--;
	/* Nobody with the same deadline was started before. */
	for (size_t j = 0; j < MODEL_TIMERS; j++) {
		if (m->armed[j] && m->when[j] == m->when[i])
			assert_true(m->order[j] > m->order[i]);
	}
	memset(&m->timers[i], 0xcc, sizeof(m->timers[i]));
	memset(&m->timers[i], 0, sizeof(m->timers[i]));
}

static void model_expire(struct model *m, bool all)
{
	struct gv_wheel_fired fired[MODEL_ROOM];
	size_t room = 1 + gv_rng_below(&m->rng, MODEL_ROOM);

	do {
		size_t count = gv_wheel_expire(m->wheel, m->now, fired, room);

		assert_true(count <= room);
		for (size_t i = 0; i < count; i++) {
			if (i > 0)
				assert_true(fired[i - 1].when_ns <= fired[i].when_ns);
			model_fired(m, &fired[i]);
		}
	} while (all && gv_wheel_next_ns(m->wheel) <= m->now);
}

static void model_check(const struct model *m, bool drained)
{
	int64_t next = gv_wheel_next_ns(m->wheel);

	assert_int_equal(gv_wheel_armed_count(m->wheel), m->count);
	if (m->count == 0)
		assert_int_equal(next, INT64_MAX);
	for (size_t i = 0; i < MODEL_TIMERS; i++) {
		assert_int_equal(gv_wheel_armed(&m->timers[i]), m->armed[i]);
		if (!m->armed[i])
			continue;
		assert_true(next <= GV_MAX(m->when[i] + TICK_NS, m->now));
		if (drained)
			assert_true(m->when[i] > m->now - TICK_NS);
	}
	if (drained)
		assert_true(next > m->now);
}

static void run_model(uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	gv_rng_seed(&m->rng, seed);
	/* Near a carry through many levels in half of the runs. */
	m->now = seed % 2 ? START_NS : (INT64_C(1) << (30 + seed % 20)) - 5 * TICK_NS;
	m->wheel = new_wheel(m->now);
	for (int step = 0; step < MODEL_STEPS; step++) {
		uint32_t action = gv_rng_below(&m->rng, 20);
		uint32_t i = gv_rng_below(&m->rng, MODEL_TIMERS);
		bool drained = false;

		if (action < 11) {
			model_start(m, i);
		} else if (action < 15) {
			model_cancel(m, i);
		} else {
			m->now +=
				(int64_t)(gv_rng_next(&m->rng) >> (14 + gv_rng_below(&m->rng, 50)));
			drained = action >= 17;
			model_expire(m, drained);
		}
		model_check(m, drained);
		if (m->now > 200 * YEAR_NS)
			break;
	}
	m->now = INT64_MAX - 2 * TICK_NS;
	model_expire(m, true);
	model_check(m, true);
	free(m->wheel);
	free(m);
}

static void test_random_operations_match_the_model(void **state)
{
	(void)state;

	for (uint64_t seed = 1; seed <= 24; seed++)
		run_model(seed);
}

/*
 * Threads: one that starts and cancels, and expirers that compete.  What is neither cancelled nor
 * delivered, or both, is an error.
 */

enum { RACE_TIMERS = 200, RACE_ROUNDS = 150 };

struct race {
	struct gv_wheel *wheel;
	_Atomic uint32_t delivered[RACE_TIMERS];
	_Atomic uint32_t total;
	_Atomic bool stop;
};

static void *race_expire(void *arg)
{
	struct race *r = arg;
	struct gv_wheel_fired fired[8];

	while (!gv_load(&r->stop, relaxed)) { /* relaxed: only soon matters */
		size_t count = 0;

		if (gv_wheel_try_expire(r->wheel, gv_clock_ns(), fired, 8, &count) != 0)
			continue;
		for (size_t i = 0; i < count; i++)
			gv_add(&r->delivered[fired[i].cookie[0]], 1, release); /* [race] */
		gv_add(&r->total, (uint32_t)count, relaxed); /* relaxed: only soon matters */
	}
	return NULL;
}

static void test_cancel_and_expire_agree_on_each_timer(void **state)
{
	struct race *r = calloc(1, sizeof(*r));
	pthread_t threads[2];
	struct gv_rng rng;
	uint32_t cancelled = 0;
	(void)state;

	assert_non_null(r);
	gv_rng_seed(&rng, 11);
	r->wheel = new_wheel(gv_clock_ns());
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race_expire, r), 0);
	for (int round = 0; round < RACE_ROUNDS; round++) {
		/* In memory of their own: the sanitizer sees who comes too late. */
		struct gv_wheel_timer *timers = calloc(RACE_TIMERS, sizeof(*timers));
		bool was_armed[RACE_TIMERS];

		assert_non_null(timers);
		for (uint64_t i = 0; i < RACE_TIMERS; i++)
			start(r->wheel, &timers[i], i,
			      gv_clock_ns() +
				      (int64_t)gv_rng_below(&rng, i % 2 ? 200000 : 40000000));
		/* Cancel while some are out and some are not. */
		uint32_t enough = gv_load(&r->total, relaxed) + gv_rng_below(&rng, RACE_TIMERS / 4);
		while (gv_load(&r->total, relaxed) < enough && gv_wheel_armed_count(r->wheel) > 0)
			sched_yield();
		for (size_t i = 0; i < RACE_TIMERS; i++) {
			was_armed[i] = gv_wheel_cancel(&timers[i]);
			cancelled += was_armed[i];
		}
		memset(timers, 0xee, RACE_TIMERS * sizeof(*timers));
		free(timers);
		for (size_t i = 0; i < RACE_TIMERS; i++) {
			uint32_t expected = was_armed[i] ? 0 : 1;

			/* [race] an expirer may still have the cookie in its hands */
			while (gv_load(&r->delivered[i], acquire) < expected)
				sched_yield();
			assert_int_equal(gv_xchg(&r->delivered[i], 0, relaxed), expected);
		}
	}
	gv_store(&r->stop, true, relaxed); /* relaxed: only soon matters */
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < RACE_TIMERS; i++)
		assert_int_equal(gv_load(&r->delivered[i], relaxed), 0);
	assert_int_equal(gv_wheel_armed_count(r->wheel), 0);
	assert_int_equal(gv_wheel_next_ns(r->wheel), INT64_MAX);
	print_message("%u of %u cancelled\n", cancelled, RACE_TIMERS * RACE_ROUNDS);
	free(r->wheel);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_wheel_has_nothing),
		cmocka_unit_test(test_timer_comes_out_once_with_its_cookies),
		cmocka_unit_test(test_deadlines_of_all_lengths_are_met_within_a_tick),
		cmocka_unit_test(test_few_timers_cost_no_vain_wake_up),
		cmocka_unit_test(test_deadline_in_the_past_is_due_at_once),
		cmocka_unit_test(test_farthest_deadlines_stay),
		cmocka_unit_test(test_cancelled_timer_leaves_nothing),
		cmocka_unit_test(test_last_cancel_empties_the_wheel),
		cmocka_unit_test(test_due_timer_can_still_be_cancelled),
		cmocka_unit_test(test_clock_that_lags_delivers_nothing_early),
		cmocka_unit_test(test_equal_deadlines_keep_the_order_of_starts),
		cmocka_unit_test(test_batch_is_sorted_within_a_tick),
		cmocka_unit_test(test_try_does_not_wait_for_the_lock),
		cmocka_unit_test(test_long_jump_takes_bounded_calls),
		cmocka_unit_test(test_random_operations_match_the_model),
		cmocka_unit_test(test_cancel_and_expire_agree_on_each_timer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
