/* SPDX-License-Identifier: MIT */
/*
 * test_start.c - starting, stopping, running; who counts, who is refused, who is ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "plat/os.h"
#include "sched/hub.h"
#include "support/scale.h"
#include "wait/waitset.h"

#include "grove.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* For code in greenlets, where a failed assertion must not jump. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static char logged[1024];

static void keep_line(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	snprintf(logged, sizeof(logged), "%s", line);
}

static grove_options options_with(uint32_t hubs)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = hubs;
	options.on_log = keep_line;
	logged[0] = '\0';
	return options;
}

static void *give_back(void *arg)
{
	return arg;
}

static void *sleep_on(void *arg)
{
	(void)arg;
	return grove_fail_code(grove_sleep(GROVE_NEVER));
}

/* ---- grove_run ---- */

static void test_run_returns_the_value_of_main(void **state)
{
	(void)state;
	for (uint32_t hubs = 0; hubs <= 4; hubs++) {
		grove_options options = options_with(hubs);
		void *value = NULL;

		assert_int_equal(grove_run(give_back, state, &value, &options), 0);
		assert_ptr_equal(value, state);
	}
	assert_int_equal(grove_run(give_back, state, NULL, NULL), 0);
	assert_int_equal(grove_hub_count(), 0);
}

static void *fail_with(void *arg)
{
	grove_failure_retain(arg);
	return grove_fail(arg);
}

static void test_run_returns_the_failure_of_main(void **state)
{
	(void)state;
	grove_options options = options_with(2);
	grove_failure *failure = grove_failure_new(-EPIPE, "no more");
	void *value = state;

	assert_int_equal(grove_run(fail_with, failure, &value, &options), GROVE_FAILED);
	assert_ptr_equal(grove_last_failure(), failure);
	assert_ptr_equal(value, state);
	assert_non_null(strstr(logged, "no more"));
	grove_failure_release(failure);

	logged[0] = '\0';
	assert_int_equal(grove_run(fail_with, grove_failure_exit(), &value, &options), 0);
	assert_null(value);
	assert_string_equal(logged, "");
}

static void *leave_early(void *arg)
{
	grove_exit(arg);
}

static void test_run_accepts_an_early_exit(void **state)
{
	(void)state;
	void *value = NULL;

	assert_int_equal(grove_run(leave_early, state, &value, NULL), 0);
	assert_ptr_equal(value, state);
}

struct count {
	_Atomic int begun, killed, cleaned;
};

static void *clean_up_slowly(void *arg)
{
	struct count *count = arg;

	atomic_fetch_add(&count->begun, 1);
	if (grove_sleep(GROVE_NEVER) == GROVE_KILLED)
		atomic_fetch_add(&count->killed, 1);
	CHECK(grove_spawn(NULL, give_back, NULL) == -ESHUTDOWN);
	CHECK(grove_start(NULL) == -ESHUTDOWN);
	CHECK(grove_sleep(grove_in_ms(2)) == 0);
	atomic_fetch_add(&count->cleaned, 1);
	return NULL;
}

static void *leave_many(void *arg)
{
	struct count *count = arg;

	for (int i = 0; i < 50; i++)
		CHECK(grove_spawn(NULL, clean_up_slowly, arg) == 0);
	while (atomic_load(&count->begun) < 50)
		CHECK(grove_yield() == 0);
	return arg;
}

static void test_run_ends_the_others_and_waits_for_them(void **state)
{
	(void)state;
	for (uint32_t hubs = 1; hubs <= 3; hubs++) {
		grove_options options = options_with(hubs);
		struct count count = { 0 };

		assert_int_equal(grove_run(leave_many, &count, NULL, &options), 0);
		assert_int_equal(atomic_load(&count.killed), 50);
		assert_int_equal(atomic_load(&count.cleaned), 50);
	}
}

static void *run_again(void *arg)
{
	int *codes = arg;

	codes[0] = grove_run(give_back, NULL, NULL, NULL);
	codes[1] = grove_start(arg);
	codes[2] = grove_stop(GROVE_NEVER);
	codes[3] = grove_start(NULL);
	codes[4] = grove_start(NULL);
	codes[5] = grove_stop(GROVE_NEVER);
	return NULL;
}

static void test_run_lets_starts_and_stops_only_count(void **state)
{
	(void)state;
	int codes[6];

	assert_int_equal(grove_run(run_again, codes, NULL, NULL), 0);
	assert_int_equal(codes[0], -EBUSY);
	assert_int_equal(codes[1], -EBUSY);
	assert_int_equal(codes[2], -EOVERFLOW);
	assert_int_equal(codes[3], 0);
	assert_int_equal(codes[4], 0);
	assert_int_equal(codes[5], 0);
	/* What was still owed went with the runtime. */
	assert_int_equal(grove_stop(GROVE_NEVER), -EOVERFLOW);
}

static void test_run_is_refused_while_a_runtime_runs(void **state)
{
	(void)state;
	assert_int_equal(grove_start(NULL), 0);
	assert_int_equal(grove_run(give_back, NULL, NULL, NULL), -EBUSY);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
}

static void test_run_refuses_what_makes_no_sense(void **state)
{
	(void)state;
	grove_options options = options_with(10000);

	assert_int_equal(grove_run(NULL, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(grove_run(give_back, NULL, NULL, &options), -EINVAL);
	assert_non_null(strstr(logged, "10000"));
	options = options_with(1);
	options.size = 8;
	assert_int_equal(grove_run(give_back, NULL, NULL, &options), -EINVAL);
	assert_int_equal(setenv("GROVE_HUBS", "many", 1), 0);
	options = options_with(1);
	assert_int_equal(grove_run(give_back, NULL, NULL, &options), -EINVAL);
	assert_non_null(strstr(logged, "GROVE_HUBS"));
	assert_int_equal(unsetenv("GROVE_HUBS"), 0);
	assert_int_equal(grove_run(give_back, NULL, NULL, NULL), 0);
}

static void *use_much_stack(void *arg)
{
	volatile char bytes[700 << 10];

	for (size_t i = 0; i < sizeof(bytes); i += 512)
		bytes[i] = 1;
	return bytes[0] == 1 ? arg : NULL;
}

static void test_run_gives_main_a_large_stack(void **state)
{
	(void)state;
	void *value = NULL;

	assert_int_equal(grove_run(use_much_stack, state, &value, NULL), 0);
	assert_ptr_equal(value, state);
}

static void *throw_fatal(void *arg)
{
	(void)arg;
	return grove_fail(grove_failure_new(GROVE_FATAL, "all is lost"));
}

static void *wait_for_the_worst(void *arg)
{
	CHECK(grove_spawn(NULL, throw_fatal, NULL) == 0);
	CHECK(grove_sleep(GROVE_NEVER) == GROVE_KILLED);
	*(int *)arg = grove_failure_code(grove_last_failure());
	return NULL;
}

static void test_run_kills_main_with_a_fatal_failure(void **state)
{
	(void)state;
	grove_options options = options_with(2);
	int code = 0;

	assert_int_equal(grove_run(wait_for_the_worst, &code, NULL, &options), 0);
	assert_int_equal(code, GROVE_FATAL);
}

static void *kill_self_never_run(grove_greenlet *greenlet)
{
	return grove_kill(greenlet, NULL, GROVE_POLL) == 0 ? greenlet : NULL;
}

static void kill_at_spawn(grove_greenlet *greenlet, void *arg)
{
	int *left = arg;

	if ((*left)-- > 0)
		CHECK(kill_self_never_run(greenlet) != NULL);
}

static void test_run_of_a_main_that_never_ran(void **state)
{
	(void)state;
	grove_options options = options_with(2);
	int kills = 1;

	/* Nobody but this hook can get at main so early. */
	options.on_spawn = kill_at_spawn;
	options.hook_arg = &kills;
	options.on_log = NULL;
	void *value = state;
	int rc = grove_run(give_back, state, &value, &options);
	assert_int_equal(rc, 0);
	assert_null(value);
}

/* In a child process, as only the end of the process can follow. */
static bool for_ever = true;

static void *stay_for_ever(void *arg)
{
	CHECK(grove_set_name(grove_self(), "limpet") == 0);
	atomic_fetch_add(&((struct count *)arg)->begun, 1);
	while (for_ever)
		(void)grove_sleep(GROVE_NEVER);
	return NULL;
}

static void *compute_for_ever(void *arg)
{
	atomic_fetch_add(&((struct count *)arg)->begun, 1);
	while (for_ever)
		(void)grove_yield();
	return NULL;
}

static void *leave_stubborn(void *arg)
{
	struct count *count = arg;

	CHECK(grove_spawn(NULL, stay_for_ever, arg) == 0);
	CHECK(grove_spawn(NULL, compute_for_ever, arg) == 0);
	while (atomic_load(&count->begun) < 2)
		CHECK(grove_yield() == 0);
	return arg;
}

static int outlive(void)
{
	static struct count count;
	grove_options options = options_with(2);
	void *value = NULL;

	options.stop_timeout_ns = 20 * 1000 * 1000;
	CHECK(grove_run(leave_stubborn, &count, &value, &options) == -ETIMEDOUT);
	CHECK(value == &count);
	CHECK(strstr(logged, "limpet") != NULL);
	CHECK(grove_hub_count() == 0);
	CHECK(grove_start(NULL) == -EBUSY);
	CHECK(grove_run(give_back, NULL, NULL, NULL) == -EBUSY);
	CHECK(grove_spawn(NULL, give_back, NULL) == -ESHUTDOWN);
	CHECK(grove_stop(GROVE_POLL) == -EOVERFLOW);
	return 0;
}

static void test_run_gives_up_on_those_who_outlive_it(void **state)
{
	(void)state;
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(outlive());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- grove_start, grove_stop ---- */

static void test_start_is_counted(void **state)
{
	(void)state;
	grove_options options = options_with(2);

	assert_int_equal(grove_stop(GROVE_NEVER), -EOVERFLOW);
	assert_int_equal(grove_start(&options), 0);
	assert_int_equal(grove_start(&options), -EBUSY);
	assert_int_equal(grove_start(NULL), 0);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	assert_int_equal(grove_hub_count(), 2);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	assert_int_equal(grove_hub_count(), 0);
	assert_int_equal(grove_stop(GROVE_NEVER), -EOVERFLOW);
}

static void *stop_from_inside(void *arg)
{
	int *codes = arg;

	codes[0] = grove_start(NULL);
	codes[1] = grove_stop(GROVE_NEVER);
	codes[2] = grove_stop(GROVE_NEVER);
	return NULL;
}

static void test_stop_by_a_greenlet_is_never_the_last(void **state)
{
	(void)state;
	grove_greenlet *g;
	int codes[3];

	assert_int_equal(grove_start(NULL), 0);
	assert_int_equal(grove_spawn(&g, stop_from_inside, codes), 0);
	assert_int_equal(grove_join(g, GROVE_NEVER), 0);
	grove_greenlet_release(g);
	assert_int_equal(codes[0], 0);
	assert_int_equal(codes[1], 0);
	assert_int_equal(codes[2], -EDEADLK);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
}

static void test_stop_ends_what_a_spawn_started(void **state)
{
	(void)state;
	assert_int_equal(grove_spawn(NULL, sleep_on, NULL), 0);
	assert_true(grove_hub_count() > 0);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	assert_int_equal(grove_hub_count(), 0);

	assert_int_equal(grove_spawn(NULL, sleep_on, NULL), 0);
	assert_int_equal(grove_start(NULL), 0);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	assert_int_equal(grove_hub_count(), 0);
}

static grove_event way_out = GROVE_EVENT_INIT;

static void *ignore_kills(void *arg)
{
	(void)arg;
	CHECK(grove_set_name(grove_self(), "barnacle") == 0);
	while (grove_event_wait(&way_out, NULL, GROVE_NEVER) != 0)
		;
	return NULL;
}

static void test_stop_that_times_out_may_be_repeated(void **state)
{
	(void)state;
	grove_options options = options_with(2);
	grove_greenlet *g;
	void *value = NULL;

	assert_int_equal(grove_start(&options), 0);
	assert_int_equal(grove_spawn(&g, ignore_kills, NULL), 0);
	while (grove_greenlet_state(g) != GROVE_ACTIVE)
		assert_int_equal(grove_sleep(grove_in_ms(1)), 0);
	assert_int_equal(grove_stop(grove_in_ms(20)), -ETIMEDOUT);
	assert_non_null(strstr(logged, "barnacle"));
	assert_int_equal(grove_stop(GROVE_POLL), -EAGAIN);
	assert_int_equal(grove_hub_count(), 2);

	/* It works on. */
	grove_greenlet *other;
	assert_int_equal(grove_spawn(&other, give_back, state), 0);
	assert_int_equal(grove_get(other, &value, GROVE_NEVER), 0);
	assert_ptr_equal(value, state);
	grove_greenlet_release(other);

	assert_int_equal(grove_event_send(&way_out, NULL), 0);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	grove_greenlet_release(g);
}

static void *wait_as_pthread(void *arg)
{
	return (void *)(intptr_t)grove_event_wait(arg, NULL, GROVE_NEVER);
}

static void test_stop_ends_the_waits_of_pthreads(void **state)
{
	(void)state;
	static grove_event event = GROVE_EVENT_INIT;
	pthread_t thread;
	void *code = NULL;

	assert_int_equal(grove_start(NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_as_pthread, &event), 0);
	while (gv_chain_of(gv_load((_Atomic uint64_t *)(void *)&event, relaxed)) == NULL)
		assert_int_equal(grove_sleep(grove_in_ms(1)), 0);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	assert_int_equal(pthread_join(thread, &code), 0);
	assert_int_equal((intptr_t)code, -ECANCELED);
}

static void *start_as_pthread(void *arg)
{
	pthread_barrier_wait(arg);
	return (void *)(intptr_t)grove_start(NULL);
}

static void test_start_by_many_at_once(void **state)
{
	(void)state;
	pthread_t threads[8];
	pthread_barrier_t barrier;

	for (int round = 0; round < 20; round++) {
		assert_int_equal(pthread_barrier_init(&barrier, NULL, 8), 0);
		for (int i = 0; i < 8; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, start_as_pthread, &barrier), 0);
		for (int i = 0; i < 8; i++) {
			void *code;

			assert_int_equal(pthread_join(threads[i], &code), 0);
			assert_int_equal((intptr_t)code, 0);
		}
		for (int i = 0; i < 8; i++) {
			assert_true(grove_hub_count() > 0);
			assert_int_equal(grove_stop(GROVE_NEVER), 0);
		}
		assert_int_equal(grove_hub_count(), 0);
		assert_int_equal(pthread_barrier_destroy(&barrier), 0);
	}
}

struct codes {
	_Atomic int run, start, stop, hubs;
};

static void call_from_callback(int hub, void *arg)
{
	struct codes *codes = arg;

	(void)hub;
	atomic_store(&codes->run, grove_run(give_back, NULL, NULL, NULL));
	atomic_store(&codes->start, grove_start(NULL));
	atomic_store(&codes->stop, grove_stop(GROVE_POLL));
	atomic_fetch_add(&codes->hubs, 1);
}

static void test_callbacks_may_neither_start_nor_stop(void **state)
{
	(void)state;
	grove_options options = options_with(2);
	struct codes codes = { 0 };

	options.on_hub_start = call_from_callback;
	options.on_hub_stop = call_from_callback;
	options.hook_arg = &codes;
	options.on_log = NULL;
	assert_int_equal(grove_start(&options), 0);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	assert_int_equal(atomic_load(&codes.hubs), 4);
	assert_int_equal(atomic_load(&codes.run), GROVE_IN_HUB);
	assert_int_equal(atomic_load(&codes.start), GROVE_IN_HUB);
	assert_int_equal(atomic_load(&codes.stop), GROVE_IN_HUB);
}

static void test_stop_makes_timers_idle(void **state)
{
	(void)state;
	static grove_timer far = GROVE_TIMER_INIT;
	static grove_timer never = GROVE_TIMER_INIT;
	grove_cb *callback = (grove_cb *)(uintptr_t)abort;

	assert_int_equal(grove_start(NULL), 0);
	assert_int_equal(grove_timer_start(&far, callback, NULL, 0, 0, grove_in_s(1000)), 0);
	assert_int_equal(grove_timer_start(&never, callback, NULL, 0, 0, GROVE_NEVER), 0);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	assert_int_equal(grove_timer_destroy(&far), 0);
	assert_int_equal(grove_timer_destroy(&never), 0);
}

static void note_timer(void *arg)
{
	(void)grove_event_send(arg, NULL);
}

static void test_timers_work_after_a_restart(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		grove_timer timer = GROVE_TIMER_INIT;
		grove_timer far = GROVE_TIMER_INIT;
		grove_event event = GROVE_EVENT_INIT;
		int64_t begun = grove_now_ns();

		assert_int_equal(grove_start(NULL), 0);
		assert_int_equal(
			grove_timer_start(&far, note_timer, &event, 0, 0, grove_in_s(1000)), 0);
		assert_int_equal(
			grove_timer_start(&timer, note_timer, &event, 0, 0, grove_in_ms(10)), 0);
		assert_int_equal(grove_event_wait(&event, NULL, GROVE_NEVER), 0);
		assert_true(grove_now_ns() - begun >= 10000000);
		assert_int_equal(grove_stop(GROVE_NEVER), 0);
		assert_int_equal(grove_timer_destroy(&far), 0);
	}
}

static void test_restarts_leave_nothing_behind(void **state)
{
	(void)state;
	grove_options options = options_with(3);
	unsigned threads = 0;

	for (int i = 0; i < 110; i++) {
		if (i % 2 == 0) {
			assert_int_equal(grove_start(&options), 0);
			for (int j = 0; j < 20; j++)
				assert_int_equal(grove_spawn(NULL, sleep_on, NULL), 0);
			assert_int_equal(grove_stop(grove_in_s(60)), 0);
		} else {
			assert_int_equal(grove_run(give_back, NULL, NULL, &options), 0);
		}
		if (i == 2)
			threads = gv_os_task_count();
	}
	assert_int_equal(gv_os_task_count(), threads);

	grove_stats stats = GROVE_STATS_INIT;
	assert_int_equal(grove_stats_read(&stats), 0);
	assert_int_equal(stats.live, 0);
	assert_int_equal(stats.stacks_in_use, 0);
	assert_int_equal(stats.timers, 0);
}

static _Atomic int blocks, blocks_ever;

static void *count_block(size_t size, void *context)
{
	CHECK(context == &blocks);
	atomic_fetch_add(&blocks, 1);
	atomic_fetch_add(&blocks_ever, 1);
	return malloc(size);
}

static void count_back(void *block, void *context)
{
	CHECK(context == &blocks);
	atomic_fetch_sub(&blocks, 1);
	free(block);
}

static void *use_memory(void *arg)
{
	grove_greenlet *g;

	CHECK(grove_spawn_copy(&g, give_back, "text", 5) == 0);
	CHECK(grove_set_name(g, "somebody") == 0);
	CHECK(grove_join(g, GROVE_NEVER) == 0);
	grove_greenlet_release(g);
	grove_failure_release(grove_failure_new(-EPIPE, "never mind"));
	return arg;
}

static void test_start_names_the_allocator(void **state)
{
	(void)state;
	grove_options options = options_with(2);

	options.allocator = (grove_allocator){ count_block, count_back, &blocks };
	assert_int_equal(grove_run(use_memory, state, NULL, &options), 0);
	assert_true(atomic_load(&blocks_ever) >= 3);

	/* The next start names another; the failures that a checked build keeps for a while go back. */
	int ever = atomic_load(&blocks_ever);
	assert_int_equal(grove_run(use_memory, state, NULL, NULL), 0);
	assert_int_equal(atomic_load(&blocks_ever), ever);
	for (int i = 0; i < 1000; i++)
		grove_failure_release(grove_failure_new(-EPIPE, NULL));
	assert_int_equal(atomic_load(&blocks), 0);
}

/* ---- the calling pthread ---- */

static void test_run_returns_the_pthread_as_it_was(void **state)
{
	(void)state;
	static grove_event event = GROVE_EVENT_INIT;
	sigset_t before, after;

	/* It was known as a waiting pthread before. */
	assert_int_equal(grove_start(NULL), 0);
	assert_int_equal(grove_event_wait(&event, NULL, grove_in_ms(1)), -ETIMEDOUT);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	struct gv_self *self = gv_self_get();
	assert_int_equal(grove_run(give_back, NULL, NULL, NULL), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_ptr_equal(gv_self_get(), self);
	assert_int_equal(grove_event_destroy(&event), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First, as it forks while nothing runs. */
		cmocka_unit_test(test_run_gives_up_on_those_who_outlive_it),
		cmocka_unit_test(test_run_returns_the_value_of_main),
		cmocka_unit_test(test_run_returns_the_failure_of_main),
		cmocka_unit_test(test_run_accepts_an_early_exit),
		cmocka_unit_test(test_run_ends_the_others_and_waits_for_them),
		cmocka_unit_test(test_run_lets_starts_and_stops_only_count),
		cmocka_unit_test(test_run_is_refused_while_a_runtime_runs),
		cmocka_unit_test(test_run_refuses_what_makes_no_sense),
		cmocka_unit_test(test_run_gives_main_a_large_stack),
		cmocka_unit_test(test_run_kills_main_with_a_fatal_failure),
		cmocka_unit_test(test_run_of_a_main_that_never_ran),
		cmocka_unit_test(test_start_is_counted),
		cmocka_unit_test(test_stop_by_a_greenlet_is_never_the_last),
		cmocka_unit_test(test_stop_ends_what_a_spawn_started),
		cmocka_unit_test(test_stop_that_times_out_may_be_repeated),
		cmocka_unit_test(test_stop_ends_the_waits_of_pthreads),
		cmocka_unit_test(test_start_by_many_at_once),
		cmocka_unit_test(test_callbacks_may_neither_start_nor_stop),
		cmocka_unit_test(test_stop_makes_timers_idle),
		cmocka_unit_test(test_timers_work_after_a_restart),
		cmocka_unit_test(test_restarts_leave_nothing_behind),
		cmocka_unit_test(test_start_names_the_allocator),
		cmocka_unit_test(test_run_returns_the_pthread_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
