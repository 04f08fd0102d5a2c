/* SPDX-License-Identifier: MIT */
/*
 * test_self.c - who runs here, on hubs and elsewhere.
 */
#include "gt.h"

#include "sched/hub.h"
#include "sched/self.h"

#include <signal.h>

static void test_foreign_pthread_has_no_hub(void **state)
{
	(void)state;
	gv_self_set(NULL);
	assert_null(gv_self_get());
	assert_null(gv_hub_self());
}

static void test_what_is_set_is_found(void **state)
{
	(void)state;
	static struct gv_hub hub;
	struct gv_self self = { .hub = &hub };

	gv_self_set(&self);
	assert_ptr_equal(gv_self_get(), &self);
	assert_ptr_equal(gv_hub_self(), &hub);
	gv_self_set(NULL);
	assert_null(gv_self_get());
}

static void test_foreign_pthread_that_waits_has_no_hub(void **state)
{
	(void)state;
	struct gv_self self = { .proxy = (struct grove_greenlet *)&self };

	gv_self_set(&self);
	assert_null(gv_hub_self());
	gv_self_set(NULL);
}

static void *look(void *found)
{
	*(struct gv_self **)found = gv_self_get();
	gv_self_set(found);
	return NULL;
}

static void test_each_pthread_has_its_own(void **state)
{
	(void)state;
	struct gv_self self = { .hub = NULL };
	struct gv_self *found = &self;
	pthread_t thread;

	gv_self_set(&self);
	assert_int_equal(pthread_create(&thread, NULL, look, &found), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_null(found);
	assert_ptr_equal(gv_self_get(), &self);
	gv_self_set(NULL);
}

static _Atomic(struct gv_hub *) seen_by_handler;

static void handle(int signo)
{
	(void)signo;
	gv_store(&seen_by_handler, gv_hub_self(), relaxed);
}

static void test_signal_handler_may_ask(void **state)
{
	(void)state;
	static struct gv_hub hub;
	struct gv_self self = { .hub = &hub };

	gv_self_set(&self);
	signal(SIGUSR1, handle);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	assert_ptr_equal(gv_load(&seen_by_handler, relaxed), &hub);
	gv_self_set(NULL);
}

static void *compare(void *arg)
{
	for (int i = 0; i < 40; i++) {
		struct gv_hub *hub = gv_hub_self();

		GT_CHECK(hub != NULL);
		GT_CHECK(hub->current == grove_self());
		gt_pause();
	}
	return arg;
}

/* Its hub may be another one after each pause. */
GT_TEST(test_greenlet_finds_the_hub_that_runs_it)
{
	grove_greenlet *g[8];

	for (int i = 0; i < 8; i++)
		g[i] = gt_spawn(compare, NULL);
	for (int i = 0; i < 8; i++)
		gt_join(g[i]);
}

static void test_pthread_of_a_run_is_foreign_again(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;

	(void)state;
	options.hubs = 2;
	GT_CHECK_IS(0, grove_run(compare, NULL, NULL, &options));
	assert_null(gv_hub_self());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_foreign_pthread_has_no_hub),
		cmocka_unit_test(test_what_is_set_is_found),
		cmocka_unit_test(test_foreign_pthread_that_waits_has_no_hub),
		cmocka_unit_test(test_each_pthread_has_its_own),
		cmocka_unit_test(test_signal_handler_may_ask),
		cmocka_unit_test(test_greenlet_finds_the_hub_that_runs_it),
		cmocka_unit_test(test_pthread_of_a_run_is_foreign_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
