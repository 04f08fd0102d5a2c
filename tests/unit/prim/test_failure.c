/* SPDX-License-Identifier: MIT */
/*
 * test_failure.c - failure.c, and the object of sched/failure.c as programs see it.
 */
#include "prim_test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_code_and_message(void **state)
{
	(void)state;
	grove_failure *failure = grove_failure_new(-EIO, "disk %d: %s", 7, "gone");

	assert_int_equal(grove_failure_code(failure), -EIO);
	assert_string_equal(grove_failure_message(failure), "disk 7: gone");
	assert_null(grove_failure_payload(failure));
	assert_int_equal(grove_failure_backtrace(failure, NULL, 0), 0);
	grove_failure_release(failure);

	/* Without a format: what the code means. */
	failure = grove_failure_new(-EPIPE, NULL);
	assert_string_equal(grove_failure_message(failure), grove_strerror(-EPIPE));
	grove_failure_release(failure);
	failure = grove_failure_new(GROVE_FATAL, "%s", "");
	assert_int_equal(grove_failure_code(failure), GROVE_FATAL);
	assert_string_equal(grove_failure_message(failure), "");
	grove_failure_release(failure);

	/* No code of a failure. */
	int codes[] = { 0, 1, 4711 };
	for (size_t i = 0; i < GV_ARRAY_LEN(codes); i++) {
		failure = grove_failure_new(codes[i], NULL);
		assert_int_equal(grove_failure_code(failure), -EINVAL);
		grove_failure_release(failure);
	}

	assert_int_equal(grove_failure_code(NULL), -EINVAL);
	assert_string_equal(grove_failure_message(NULL), "");
	assert_null(grove_failure_payload(NULL));
	assert_int_equal(grove_failure_backtrace(NULL, NULL, 0), 0);
	grove_failure_retain(NULL);
	grove_failure_release(NULL);
}

static void test_long_messages_are_cut(void **state)
{
	(void)state;
	static char text[5000];
	size_t lengths[] = { 1, 160, 1022, 1023, 1024, 4999 };

	for (size_t i = 0; i < GV_ARRAY_LEN(lengths); i++) {
		memset(text, 'x', lengths[i]);
		text[lengths[i]] = '\0';
		grove_failure *failure = grove_failure_new(-EIO, "%s", text);
		const char *message = grove_failure_message(failure);

		assert_int_equal(strlen(message), GV_MIN(lengths[i], (size_t)1023));
		assert_int_equal(strncmp(message, text, strlen(message)), 0);
		grove_failure_release(failure);
	}
}

static void test_exit_is_one_object(void **state)
{
	(void)state;
	grove_failure *failure = grove_failure_exit();

	assert_ptr_equal(failure, grove_failure_exit());
	assert_int_equal(grove_failure_code(failure), GROVE_KILLED);
	assert_null(grove_failure_payload(failure));
	assert_int_equal(grove_failure_attach(failure, &failure, NULL), -EBUSY);
	for (int i = 0; i < 5; i++)
		grove_failure_release(failure);
	assert_int_equal(grove_failure_code(grove_failure_exit()), GROVE_KILLED);
}

static void count_release(void *payload)
{
	++*(int *)payload;
}

static void test_payload_goes_with_the_last_reference(void **state)
{
	(void)state;
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	int released = 0;

	assert_int_equal(grove_failure_attach(NULL, &released, count_release), -EINVAL);
	assert_int_equal(grove_failure_attach(failure, &released, count_release), 0);
	assert_int_equal(grove_failure_attach(failure, NULL, NULL), -EALREADY);
	assert_ptr_equal(grove_failure_payload(failure), &released);
	grove_failure_retain(failure);
	grove_failure_retain(failure);
	grove_failure_release(failure);
	grove_failure_release(failure);
	assert_int_equal(released, 0);
	grove_failure_release(failure);
	assert_int_equal(released, 1);

	/* NULL is a payload, and needs no release function. */
	failure = grove_failure_new(-EIO, NULL);
	assert_int_equal(grove_failure_attach(failure, NULL, NULL), 0);
	assert_int_equal(grove_failure_attach(failure, &released, count_release), -EALREADY);
	grove_failure_release(failure);
	assert_int_equal(released, 1);
}

/* ---- where it was made ---- */

static GV_NOINLINE grove_failure *make_here(void)
{
	grove_failure *failure = grove_failure_new(-EIO, "here");

	gv_compiler_barrier(); /* no tail call */
	return failure;
}

static void *body_of_backtraces(void *arg)
{
	grove_failure *failure = make_here();
	void *frames[64] = { NULL };
	size_t count = grove_failure_backtrace(failure, NULL, 0);

	CHECK(count >= 2 && count <= GV_ARRAY_LEN(frames));
	CHECK_IS(count, grove_failure_backtrace(failure, frames, GV_ARRAY_LEN(frames)));
	uintptr_t first = (uintptr_t)frames[0];
	CHECK(first > (uintptr_t)make_here && first < (uintptr_t)make_here + 512);
	uintptr_t second = (uintptr_t)frames[1];
	CHECK(second > (uintptr_t)body_of_backtraces &&
	      second < (uintptr_t)body_of_backtraces + 4096);
	memset(frames, 0, sizeof(frames));
	CHECK_IS(count, grove_failure_backtrace(failure, frames, 1));
	CHECK(frames[0] != NULL && frames[1] == NULL);
	grove_failure_release(failure);
	return arg;
}

static void *body_without_backtraces(void *arg)
{
	grove_failure *failure = make_here();

	CHECK_IS(0, grove_failure_backtrace(failure, NULL, 0));
	grove_failure_release(failure);
	return arg;
}

static void test_backtraces(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 1;
	options.backtraces = true;
	run_with(body_of_backtraces, NULL, &options);
	run_on(1, body_without_backtraces, NULL);
}

/* ---- ending with one ---- */

static void *fail_with(void *failure)
{
	return grove_fail(failure);
}

static void *fail_and_think_better(void *failure)
{
	if (grove_fail(failure) == NULL)
		abort();
	return CODE(7);
}

static void *fail_twice(void *failures)
{
	grove_failure **two = failures;

	if (grove_fail(two[0]) == NULL)
		abort();
	return grove_fail(two[1]);
}

static void *fail_with_code(void *code)
{
	return grove_fail_code((int)(intptr_t)code);
}

static void keep_quiet(grove_greenlet *greenlet, grove_failure *failure, void *arg)
{
	(void)greenlet;
	(void)failure;
	(void)arg;
}

/* The failure a greenlet ended with; a reference. */
static grove_failure *failure_of(grove_greenlet *g)
{
	CHECK_IS(GROVE_FAILED, grove_get(g, NULL, GROVE_NEVER));
	grove_failure *failure = grove_last_failure();
	CHECK(failure == grove_failure_of(g));
	grove_failure_retain(failure);
	grove_greenlet_release(g);
	return failure;
}

static void *body_of_fail(void *arg)
{
	int released[3] = { 0 };
	grove_failure *f[3];

	for (int i = 0; i < 3; i++) {
		f[i] = grove_failure_new(-EIO, "number %d", i);
		CHECK_IS(0, grove_failure_attach(f[i], &released[i], count_release));
	}
	grove_failure_retain(f[0]);
	grove_failure *got = failure_of(spawn(fail_with, f[0]));
	CHECK(got == f[0]);
	grove_failure_release(got);
	grove_failure_release(f[0]);

	/* What is returned instead is the value; the failure is dropped. */
	CHECK_IS(7, value_of(spawn(fail_and_think_better, f[1])));
	CHECK_IS(1, released[1]);

	/* The last call counts. */
	grove_failure *two[] = { grove_failure_new(-EPERM, NULL), f[2] };
	got = failure_of(spawn(fail_twice, two));
	CHECK(got == f[2]);
	grove_failure_release(got);

	got = failure_of(spawn(fail_with, NULL));
	CHECK_IS(-EINVAL, grove_failure_code(got));
	grove_failure_release(got);

	/* An exit is a success. */
	grove_greenlet *g = spawn(fail_with, grove_failure_exit());
	CHECK_IS(0, grove_join(g, GROVE_NEVER));
	CHECK_IS(GROVE_EXITED, grove_greenlet_state(g));
	CHECK_IS(0, value_of(g));

	int codes[] = { -EIO, GROVE_END, GROVE_FAILED, GROVE_INTERRUPTED };
	for (size_t i = 0; i < GV_ARRAY_LEN(codes); i++) {
		got = failure_of(spawn(fail_with_code, CODE(codes[i])));
		CHECK_IS(codes[i], grove_failure_code(got));
		CHECK(strcmp(grove_failure_message(got), grove_strerror(codes[i])) == 0);
		grove_failure_release(got);
	}
	got = failure_of(spawn(fail_with_code, CODE(1)));
	CHECK_IS(-EINVAL, grove_failure_code(got));
	grove_failure_release(got);

	/* Replaces the last failure, so that all are gone. */
	failure_of(spawn(fail_with_code, CODE(-ENOENT)));
	grove_failure_release(grove_last_failure());
	CHECK(released[0] == 1 && released[2] == 1);
	return arg;
}

static void *get_and_pass_on(void *arg)
{
	grove_greenlet *g = arg;
	int rc = grove_get(g, NULL, GROVE_NEVER);

	CHECK_IS(GROVE_FAILED, rc);
	return grove_fail_code(rc);
}

static void *sleep_and_pass_on(void *arg)
{
	int rc = grove_sleep(GROVE_NEVER);

	(void)arg;
	CHECK_IS(GROVE_KILLED, rc);
	return grove_fail_code(rc);
}

static void *body_of_passing_on(void *arg)
{
	grove_failure *failure = grove_failure_new(-EIO, "first");

	grove_failure_retain(failure);
	grove_greenlet *first = spawn(fail_with, failure);
	grove_failure *got = failure_of(spawn(get_and_pass_on, first));
	CHECK(got == failure);
	grove_failure_release(got);
	grove_greenlet_release(first);

	/* Killed by an exit, and passed on: a success. */
	grove_greenlet *g = spawn(sleep_and_pass_on, NULL);
	until_parked(g);
	CHECK_IS(0, grove_kill(g, NULL, GROVE_NEVER));
	CHECK_IS(GROVE_EXITED, grove_greenlet_state(g));
	grove_greenlet_release(g);

	/* Killed by something else, and passed on: that. */
	g = spawn(sleep_and_pass_on, NULL);
	until_parked(g);
	CHECK_IS(0, grove_kill(g, failure, GROVE_NEVER));
	got = failure_of(g);
	CHECK(got == failure);
	grove_failure_release(got);
	grove_failure_release(failure);
	return arg;
}

static void test_ending_with_a_failure(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	options.on_failure = keep_quiet;
	for (uint32_t hubs = 1; hubs <= 2; hubs++) {
		options.hubs = hubs;
		run_with(body_of_fail, NULL, &options);
		run_with(body_of_passing_on, NULL, &options);
	}
}

static void test_fail_outside_greenlets(void **state)
{
	(void)state;
	int released = 0;
	grove_failure *failure = grove_failure_new(-EIO, NULL);

	assert_int_equal(grove_failure_attach(failure, &released, count_release), 0);
	assert_non_null(grove_fail(failure));
	assert_int_equal(released, 1);
	assert_non_null(grove_fail(NULL));
	assert_non_null(grove_fail_code(GROVE_FAILED));
}

/* ---- last failures ---- */

static void *fail_by_result(void *result)
{
	CHECK(grove_last_failure() == NULL);
	CHECK_IS(GROVE_FAILED, grove_result_get(result, NULL, GROVE_NEVER));
	grove_failure *mine = grove_last_failure();
	CHECK_IS(0, grove_yield());
	CHECK(grove_last_failure() == mine);
	return CODE(grove_failure_code(mine));
}

static void *body_of_last_failures(void *arg)
{
	grove_result results[2] = { GROVE_RESULT_INIT, GROVE_RESULT_INIT };
	grove_greenlet *g[2];

	CHECK(grove_last_failure() == NULL);
	for (int i = 0; i < 2; i++) {
		grove_failure *failure = grove_failure_new(-1 - i, NULL);
		CHECK_IS(0, grove_result_set_failure(&results[i], failure));
		grove_failure_release(failure);
	}
	for (int i = 0; i < 2; i++)
		g[i] = spawn(fail_by_result, &results[i]);
	for (int i = 0; i < 2; i++)
		CHECK_IS(-1 - i, value_of(g[i]));
	CHECK(grove_last_failure() == NULL);

	pthread_t thread;
	start_thread(&thread, fail_by_result, &results[0]);
	join_thread(thread);
	CHECK(grove_last_failure() == NULL);
	for (int i = 0; i < 2; i++)
		CHECK_IS(0, grove_result_destroy(&results[i]));
	return arg;
}

static void test_everybody_has_a_last_failure(void **state)
{
	(void)state;
	run_on(1, body_of_last_failures, NULL);
	run_on(2, body_of_last_failures, NULL);
}

/* ---- threads, and misuse ---- */

static void *retain_and_release(void *failure)
{
	for (int i = 0; i < GT_SCALED(200000); i++) {
		grove_failure_retain(failure);
		grove_failure_release(failure);
	}
	grove_failure_release(failure);
	return NULL;
}

static void test_references_from_many_threads(void **state)
{
	(void)state;
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	pthread_t threads[3];
	int released = 0;

	assert_int_equal(grove_failure_attach(failure, &released, count_release), 0);
	for (int i = 0; i < 3; i++) {
		grove_failure_retain(failure);
		start_thread(&threads[i], retain_and_release, failure);
	}
	grove_failure_release(failure);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(released, 1);
}

#ifdef GV_CHECKED

/* Whether the process dies of it. */
static bool dies(void (*misuse)(void))
{
	pid_t child = fork();

	if (child == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		misuse();
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status);
}

static void release_twice(void)
{
	grove_failure *failure = grove_failure_new(-EIO, NULL);

	grove_failure_release(failure);
	grove_failure_release(failure);
}

static void retain_a_dead_one(void)
{
	grove_failure *failure = grove_failure_new(-EIO, NULL);

	grove_failure_release(failure);
	grove_failure_retain(failure);
}

static void test_one_reference_too_many(void **state)
{
	(void)state;
	assert_true(dies(release_twice));
	assert_true(dies(retain_a_dead_one));
}

#else

static void test_one_reference_too_many(void **state)
{
	(void)state;
	skip();
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_code_and_message),
		cmocka_unit_test(test_long_messages_are_cut),
		cmocka_unit_test(test_exit_is_one_object),
		cmocka_unit_test(test_payload_goes_with_the_last_reference),
		cmocka_unit_test(test_one_reference_too_many),
		cmocka_unit_test(test_backtraces),
		cmocka_unit_test(test_ending_with_a_failure),
		cmocka_unit_test(test_fail_outside_greenlets),
		cmocka_unit_test(test_everybody_has_a_last_failure),
		cmocka_unit_test(test_references_from_many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
