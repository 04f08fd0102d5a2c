/* SPDX-License-Identifier: MIT */
/*
 * test_lock.c - the short lock.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "plat/lock.h"
#include "plat/os.h"

static void test_try_fails_while_held(void **state)
{
	(void)state;
	struct gv_lock lock = { 0 };

	assert_true(gv_lock_try(&lock));
	assert_false(gv_lock_try(&lock));
	gv_lock_release(&lock);
	gv_lock_acquire(&lock);
	assert_false(gv_lock_try(&lock));
	gv_lock_release(&lock);
	assert_true(gv_lock_try(&lock));
	gv_lock_release(&lock);
}

enum { THREADS = 4, ROUNDS = 20000 };

static struct gv_lock lock;
static uint64_t counter; /* under lock, and deliberately not atomic */

static void *count(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		gv_lock_acquire(&lock);
		counter++;
		gv_lock_release(&lock);
	}
	return arg;
}

static void test_no_increment_is_lost(void **state)
{
	(void)state;
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter, (uint64_t)THREADS * ROUNDS);
	assert_true(gv_lock_try(&lock));
	gv_lock_release(&lock);
}

struct waiter {
	struct gv_lock lock;
	_Atomic pid_t thread;
};

static void *acquire_once(void *arg)
{
	struct waiter *waiter = arg;

	gv_store(&waiter->thread, gettid(), relaxed); /* relaxed: nothing else is shared */
	gv_lock_acquire(&waiter->lock);
	gv_lock_release(&waiter->lock);
	return NULL;
}

/* The letter behind the name: S is asleep. */
static char thread_state(pid_t thread)
{
	char path[64];
	char text[256];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
	if (gv_os_read_file(path, text, sizeof(text)) <= 0)
		return '?';
	const char *end = strrchr(text, ')');
	return end != NULL ? end[2] : '?';
}

/* A waiter that spun for ever would never be seen asleep. */
static void test_a_waiter_sleeps(void **state)
{
	(void)state;
	struct waiter waiter = { .thread = 0 };
	pthread_t thread;

	gv_lock_acquire(&waiter.lock);
	assert_int_equal(pthread_create(&thread, NULL, acquire_once, &waiter), 0);
	/* relaxed: nothing else is shared */
	while (gv_load(&waiter.thread, relaxed) == 0 || gv_load(&waiter.lock.word, relaxed) != 2 ||
	       thread_state(gv_load(&waiter.thread, relaxed)) != 'S')
		sched_yield();
	gv_lock_release(&waiter.lock);
	pthread_join(thread, NULL);
	assert_true(gv_lock_try(&waiter.lock));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_try_fails_while_held),
		cmocka_unit_test(test_no_increment_is_lost),
		cmocka_unit_test(test_a_waiter_sleeps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
