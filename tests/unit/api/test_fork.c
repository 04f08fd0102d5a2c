/* SPDX-License-Identifier: MIT */
/*
 * test_fork.c - the child of a fork gets a runtime of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "sched/hub.h"
#include "wait/waitset.h"

#include "grove.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* In children and greenlets a failed assertion must not jump. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void *give_back(void *arg)
{
	return arg;
}

static void *sleep_on(void *arg)
{
	(void)arg;
	return grove_fail_code(grove_sleep(GROVE_NEVER));
}

static void *await_event(void *arg)
{
	void *value = NULL;
	int rc = grove_event_wait(arg, &value, GROVE_NEVER);

	return rc == 0 ? value : grove_fail_code(rc);
}

static void *use_everything(void *arg)
{
	grove_greenlet *g[20];
	void *value;

	for (int i = 0; i < 20; i++)
		CHECK(grove_spawn(&g[i], give_back, &g[i]) == 0);
	for (int i = 0; i < 20; i++) {
		CHECK(grove_get(g[i], &value, GROVE_NEVER) == 0 && value == &g[i]);
		grove_greenlet_release(g[i]);
	}
	CHECK(grove_sleep(grove_in_ms(1)) == 0);
	CHECK(grove_spawn(NULL, sleep_on, NULL) == 0);
	return arg;
}

static void check_refused(void)
{
	CHECK(grove_start(NULL) == -EBUSY);
	CHECK(grove_run(give_back, NULL, NULL, NULL) == -EBUSY);
	CHECK(grove_spawn(NULL, give_back, NULL) == -EBUSY);
	CHECK(grove_hub_count() == 0);
	CHECK(!grove_in_greenlet());
}

static void check_usable(void)
{
	void *value = NULL;

	CHECK(grove_fork_child() == 0);
	CHECK(grove_fork_child() == -EINVAL);
	for (int i = 0; i < 3; i++) {
		CHECK(grove_run(use_everything, &value, &value, NULL) == 0);
		CHECK(value == &value);
		CHECK(grove_start(NULL) == 0);
		CHECK(grove_stop(GROVE_NEVER) == 0);
	}
}

/* Returns the status of a child that calls this. */
static int in_child(void (*body)(void *arg), void *arg)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		body(arg);
		_exit(0);
	}
	return waitpid(child, &status, 0) == child ? status : -1;
}

static void use_child(void *arg)
{
	(void)arg;
	check_refused();
	check_usable();
}

struct things {
	grove_event *event;
	grove_greenlet *waiting, *sleeping, *unborn, *ended;
};

static void look_at_things(void *arg)
{
	struct things *t = arg;
	void *value = NULL;

	CHECK(grove_fork_child() == 0);
	CHECK(grove_get(t->ended, &value, GROVE_POLL) == 0 && value == t);
	CHECK(grove_start(NULL) == 0);
	CHECK(grove_event_send(t->event, "x") == 0);
	CHECK(grove_event_wait(t->event, &value, GROVE_POLL) == 0);
	CHECK(grove_join(t->waiting, grove_in_ms(5)) == -ETIMEDOUT);
	CHECK(grove_join(t->unborn, grove_in_ms(5)) == -ETIMEDOUT);
	CHECK(grove_kill(t->sleeping, NULL, grove_in_ms(5)) == -ETIMEDOUT);
	grove_greenlet_release(t->waiting);
	CHECK(grove_stop(GROVE_NEVER) == 0);
}

static void test_fork_before_any_start_is_not_noticed(void **state)
{
	(void)state;
	assert_int_equal(grove_fork_child(), -EINVAL);
}

static void test_fork_from_a_pthread(void **state)
{
	(void)state;
	assert_int_equal(grove_start(NULL), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(in_child(use_child, NULL), 0);
	assert_int_equal(grove_fork_child(), -EINVAL);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
}

static void test_fork_while_stopped(void **state)
{
	(void)state;
	assert_int_equal(in_child(use_child, NULL), 0);
}

static void *fork_inside(void *arg)
{
	*(int *)arg = in_child(use_child, NULL);
	return NULL;
}

static void test_fork_from_a_greenlet(void **state)
{
	(void)state;
	int status = -1;

	assert_int_equal(grove_run(fork_inside, &status, NULL, NULL), 0);
	assert_int_equal(status, 0);

	grove_greenlet *g;
	assert_int_equal(grove_spawn(&g, fork_inside, &status), 0);
	assert_int_equal(grove_join(g, GROVE_NEVER), 0);
	grove_greenlet_release(g);
	assert_int_equal(status, 0);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
}

static void test_fork_leaves_values_and_forgets_waiters(void **state)
{
	(void)state;
	static grove_event event = GROVE_EVENT_INIT;
	struct things t = { .event = &event };

	assert_int_equal(grove_spawn(&t.waiting, await_event, &event), 0);
	assert_int_equal(grove_spawn(&t.sleeping, sleep_on, NULL), 0);
	assert_int_equal(grove_spawn_later(&t.unborn, sleep_on, NULL, grove_in_s(1000)), 0);
	assert_int_equal(grove_spawn(&t.ended, give_back, &t), 0);
	assert_int_equal(grove_join(t.ended, GROVE_NEVER), 0);
	while (gv_chain_of(gv_load((_Atomic uint64_t *)(void *)&event, relaxed)) == NULL)
		assert_int_equal(grove_sleep(grove_in_ms(1)), 0);
	while (grove_greenlet_state(t.sleeping) != GROVE_ACTIVE)
		assert_int_equal(grove_sleep(grove_in_ms(1)), 0);
	assert_int_equal(in_child(look_at_things, &t), 0);

	/* The parent noticed nothing. */
	void *value = NULL;
	assert_int_equal(grove_event_send(&event, "y"), 0);
	assert_int_equal(grove_get(t.waiting, &value, GROVE_NEVER), 0);
	assert_string_equal(value, "y");
	grove_greenlet_release(t.waiting);
	grove_greenlet_release(t.sleeping);
	grove_greenlet_release(t.unborn);
	grove_greenlet_release(t.ended);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
}

static void test_fork_of_a_child(void **state)
{
	(void)state;
	int status = -1;
	pid_t child;

	assert_int_equal(grove_start(NULL), 0);
	child = fork();
	if (child == 0) {
		CHECK(grove_fork_child() == 0);
		CHECK(grove_start(NULL) == 0);
		CHECK(in_child(use_child, NULL) == 0);
		CHECK(grove_stop(GROVE_NEVER) == 0);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork_before_any_start_is_not_noticed),
		cmocka_unit_test(test_fork_from_a_pthread),
		cmocka_unit_test(test_fork_while_stopped),
		cmocka_unit_test(test_fork_from_a_greenlet),
		cmocka_unit_test(test_fork_leaves_values_and_forgets_waiters),
		cmocka_unit_test(test_fork_of_a_child),
	};

	/* ThreadSanitizer cannot follow a child that starts threads. */
	if (GV_TSAN)
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
