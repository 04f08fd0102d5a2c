/* SPDX-License-Identifier: MIT */
/*
 * test_steal_word.c - steal_word.h, steal_word.c.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plat/fence.h"
#include "store/steal_word.h"
#include "support/scale.h"

static void test_idle_word_is_its_top(void **state)
{
	uint64_t word = gv_steal_pack(12345, 0, 0);
	(void)state;

	assert_true(gv_steal_idle(word));
	assert_int_equal(word & GV_STEAL_TOP_MASK, 12345);
	assert_int_equal(gv_steal_len(word), 0);
	assert_int_equal(gv_steal_thief(word), 0);
}

static void test_announcement_keeps_its_three_parts(void **state)
{
	uint64_t word = gv_steal_pack(GV_STEAL_TOP_MASK, GV_STEAL_MAX, 1024);
	(void)state;

	assert_false(gv_steal_idle(word));
	assert_int_equal(word & GV_STEAL_TOP_MASK, GV_STEAL_TOP_MASK);
	assert_int_equal(gv_steal_len(word), GV_STEAL_MAX);
	assert_int_equal(gv_steal_thief(word), 1024);
}

static void test_owner_that_keeps_thieves_out_is_not_idle(void **state)
{
	uint64_t word = gv_steal_pack(0, 0, GV_STEAL_OWNER);
	(void)state;

	assert_false(gv_steal_idle(word));
	assert_int_equal(gv_steal_len(word), 0);
	assert_int_equal(gv_steal_thief(word), GV_STEAL_OWNER);
}

static void test_top_is_cut_to_its_bits(void **state)
{
	uint64_t index = (UINT64_C(5) << 40) + 77;
	(void)state;

	assert_int_equal(gv_steal_pack(index, 0, 0), 77);
}

static void test_distance_has_a_sign(void **state)
{
	uint64_t word = gv_steal_pack(1000, 7, 3);
	(void)state;

	assert_int_equal(gv_steal_distance(1000, word), 0);
	assert_int_equal(gv_steal_distance(1024, word), 24);
	assert_int_equal(gv_steal_distance(999, word), -1);
}

static void test_distance_survives_the_wrap_of_the_top(void **state)
{
	uint64_t index = (UINT64_C(1) << 40) - 2;
	uint64_t word = gv_steal_pack(index, 100, 9);
	(void)state;

	assert_int_equal(gv_steal_distance(index + 5, word), 5);
	assert_int_equal(gv_steal_distance(index - 5, word), -5);
	word = gv_steal_pack(index + 5, 100, 9);
	assert_int_equal(gv_steal_distance(index, word), -5);
}

static void test_thief_does_not_wait_for_a_stuck_owner(void **state)
{
	struct gv_steal_stamp stamp = { 0 };
	struct gv_thief thief = { .id = 1 };
	(void)state;

	gv_steal_settle(&stamp, &thief); /* returns */
	assert_int_equal(stamp.seen, 0);
}

static void test_no_stamp_is_given_twice(void **state)
{
	struct gv_steal_stamp stamp = { 0 };
	struct gv_thief first = { .id = 1 }, second = { .id = 2 };
	uint64_t asked[4];
	(void)state;

	for (int i = 0; i < 4; i++) {
		gv_steal_settle(&stamp, i % 2 == 0 ? &first : &second);
		asked[i] = stamp.asked;
		for (int j = 0; j < i; j++)
			assert_int_not_equal(asked[i], asked[j]);
	}
}

static void test_owner_repeats_the_latest_stamp(void **state)
{
	struct gv_steal_stamp stamp = { 0 };
	(void)state;

	stamp.asked = 4711;
	gv_steal_acknowledge(&stamp);
	assert_int_equal(stamp.seen, 4711);
	stamp.asked = 4712;
	gv_steal_acknowledge(&stamp);
	assert_int_equal(stamp.seen, 4712);
}

/*
 * What settling is for: owner and thief each write their own word and look at the other's.  With one
 * round of both at a time, at least one of them must see the other.
 */

static struct {
	_Atomic uint64_t steal; /* the announcement */
	_Atomic uint64_t taken; /* the owner's index */
	struct gv_steal_stamp stamp;
	_Atomic uint64_t round;
	_Atomic uint64_t owner_saw[2];
	_Atomic uint64_t done;
} duel;

enum { ROUNDS = 20000 };

static void *own(void *arg)
{
	for (uint64_t round = 1; round <= GT_SCALED(ROUNDS); round++) {
		while (gv_load(&duel.round, acquire) < round) /* [round] */
			sched_yield();

		gv_store(&duel.taken, round, relaxed);	       /* relaxed: the fence orders it */
		gv_fence_light();			       /* [range] */
		uint64_t word = gv_load(&duel.steal, relaxed); /* relaxed: the fence orders it */
		if (word == round)
			gv_steal_acknowledge(&duel.stamp);
		gv_store(&duel.owner_saw[round % 2], word, relaxed); /* relaxed: [round] */
		gv_store(&duel.done, round, release);		     /* [round] */
	}
	return arg;
}

static void test_after_settling_one_of_both_has_seen_the_other(void **state)
{
	struct gv_thief thief = { .id = 7 };
	pthread_t thread;
	(void)state;

	(void)gv_fence_setup();
	assert_int_equal(pthread_create(&thread, NULL, own, NULL), 0);
	for (uint64_t round = 1; round <= GT_SCALED(ROUNDS); round++) {
		gv_store(&duel.round, round, release); /* [round] */
		for (volatile uint64_t i = 0; i < round % 64; i++)
			;			       /* another phase each time */
		gv_store(&duel.steal, round, release); /* [round] */
		gv_steal_settle(&duel.stamp, &thief);
		uint64_t taken = gv_load(&duel.taken, acquire); /* [range] */
		while (gv_load(&duel.done, acquire) < round)	/* [round] */
			sched_yield();
		assert_true(taken == round || duel.owner_saw[round % 2] == round);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_word_is_its_top),
		cmocka_unit_test(test_announcement_keeps_its_three_parts),
		cmocka_unit_test(test_owner_that_keeps_thieves_out_is_not_idle),
		cmocka_unit_test(test_top_is_cut_to_its_bits),
		cmocka_unit_test(test_distance_has_a_sign),
		cmocka_unit_test(test_distance_survives_the_wrap_of_the_top),
		cmocka_unit_test(test_thief_does_not_wait_for_a_stuck_owner),
		cmocka_unit_test(test_no_stamp_is_given_twice),
		cmocka_unit_test(test_owner_repeats_the_latest_stamp),
		cmocka_unit_test(test_after_settling_one_of_both_has_seen_the_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
