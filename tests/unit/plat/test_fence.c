/* SPDX-License-Identifier: MIT */
/*
 * test_fence.c - asymmetric fences.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/fault.h"
#include "plat/fence.h"

enum { ROUNDS = 20000 };

/* Two threads store their own word and read the other's, once per round. */
struct duel {
	GV_ALIGNED(GV_CACHE_LINE) _Atomic unsigned x;
	GV_ALIGNED(GV_CACHE_LINE) _Atomic unsigned y;
	GV_ALIGNED(GV_CACHE_LINE) _Atomic unsigned light_round;
	GV_ALIGNED(GV_CACHE_LINE) _Atomic unsigned heavy_round;
	unsigned light_saw[ROUNDS + 1];
	unsigned heavy_saw[ROUNDS + 1];
};

static struct duel duel;

/* Start each round together, or the stores never meet. */
static void meet(_Atomic unsigned *mine, _Atomic unsigned *other, unsigned round)
{
	gv_store(mine, round, release);					     /* [meet] */
	for (unsigned spins = 0; gv_load(other, acquire) < round; spins++) { /* [meet] */
		if (spins % 64 == 63)
			sched_yield();
	}
}

static void *light_side(void *arg)
{
	(void)arg;
	for (unsigned round = 1; round <= ROUNDS; round++) {
		meet(&duel.light_round, &duel.heavy_round, round);
		gv_store(&duel.x, round, relaxed); /* relaxed: the fence is what is tried */
		gv_fence_light();
		duel.light_saw[round] = gv_load(&duel.y, relaxed); /* ditto */
	}
	return NULL;
}

static void *heavy_side(void *arg)
{
	(void)arg;
	for (unsigned round = 1; round <= ROUNDS; round++) {
		meet(&duel.heavy_round, &duel.light_round, round);
		gv_store(&duel.y, round, relaxed); /* relaxed: the fence is what is tried */
		gv_fence_heavy();
		duel.heavy_saw[round] = gv_load(&duel.x, relaxed); /* ditto */
	}
	return NULL;
}

static void fight(void)
{
	pthread_t light;
	pthread_t heavy;
	unsigned lost = 0;

	duel.x = 0;
	duel.y = 0;
	duel.light_round = 0;
	duel.heavy_round = 0;
	assert_int_equal(pthread_create(&light, NULL, light_side, NULL), 0);
	assert_int_equal(pthread_create(&heavy, NULL, heavy_side, NULL), 0);
	pthread_join(light, NULL);
	pthread_join(heavy, NULL);
	for (unsigned round = 1; round <= ROUNDS; round++)
		lost += duel.light_saw[round] < round && duel.heavy_saw[round] < round;
	assert_int_equal(lost, 0);
}

static void test_one_side_sees_the_other(void **state)
{
	(void)state;
	int result = gv_fence_setup();

	print_message("membarrier: %d\n", result);
	assert_int_equal(gv_fence_strong, result != 0);
	fight();
}

static void test_full_fences_do_it_too(void **state)
{
	(void)state;
	gv_fence_strong = true;
	fight();
	assert_true(gv_fence_setup() <= 0);
}

static void test_heavy_keeps_errno(void **state)
{
	(void)state;
	errno = ERANGE;
	gv_fence_heavy();
	assert_int_equal(errno, ERANGE);
}

#ifdef GV_FAULT
static void test_missing_call_means_full_fences(void **state)
{
	(void)state;
	for (long n = 1; n <= 2; n++) {
		gv_fault_arm(n);
		assert_int_equal(gv_fence_setup(), -ENOSYS);
		assert_true(gv_fence_strong);
	}
	gv_fault_arm(0);
	gv_fence_heavy();
	gv_fence_light();
	(void)gv_fence_setup();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_side_sees_the_other),
		cmocka_unit_test(test_full_fences_do_it_too),
		cmocka_unit_test(test_heavy_keeps_errno),
#ifdef GV_FAULT
		cmocka_unit_test(test_missing_call_means_full_fences),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
