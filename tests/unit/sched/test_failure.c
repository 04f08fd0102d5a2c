/* SPDX-License-Identifier: MIT */
/*
 * test_failure.c - lives of failures: message, count, payload, frames.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "sched/failure.h"

static int released;
static void *released_payload;

static void note_release(void *payload)
{
	released++;
	released_payload = payload;
}

static int forget_releases(void **state)
{
	(void)state;
	released = 0;
	released_payload = NULL;
	return 0;
}

GV_PRINTF(2, 3) static struct grove_failure *make(int code, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	struct grove_failure *failure = gv_failure_make(code, format, values);
	va_end(values);
	return failure;
}

static void test_message_is_formatted(void **state)
{
	(void)state;
	struct grove_failure *failure = make(-EPIPE, "%s %d", "valve", 12);

	assert_int_equal(failure->code, -EPIPE);
	assert_string_equal(failure->message, "valve 12");
	gv_failure_release(failure);
}

static void test_code_alone_is_explained(void **state)
{
	(void)state;
	struct grove_failure *failure = gv_failure_make_code(-ENOSPC);

	assert_int_equal(failure->code, -ENOSPC);
	assert_string_equal(failure->message, grove_strerror(-ENOSPC));
	gv_failure_release(failure);
}

static void test_long_message_is_cut(void **state)
{
	(void)state;
	char text[3 * GV_FAILURE_TEXT];

	memset(text, 'q', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	struct grove_failure *failure = make(-EIO, "%s", text);
	assert_int_equal(strlen(failure->message), GV_FAILURE_TEXT);
	gv_failure_release(failure);
}

static void test_last_reference_releases_the_payload(void **state)
{
	(void)state;
	int payload;
	struct grove_failure *failure = gv_failure_make_code(-EIO);

	assert_int_equal(grove_failure_attach(failure, &payload, note_release), 0);
	gv_failure_retain(failure);
	gv_failure_release(failure);
	assert_int_equal(released, 0);
	gv_failure_release(failure);
	assert_int_equal(released, 1);
	assert_ptr_equal(released_payload, &payload);
}

static void test_nothing_may_be_retained_and_released(void **state)
{
	(void)state;
	gv_failure_retain(NULL);
	gv_failure_release(NULL);
}

static void test_static_failures_are_not_counted(void **state)
{
	(void)state;
	struct grove_failure *both[] = { &gv_failure_exit_object, &gv_failure_nomem_object };

	for (size_t i = 0; i < GV_ARRAY_LEN(both); i++) {
		assert_true(gv_failure_is_static(both[i]));
		gv_failure_retain(both[i]);
		assert_int_equal(gv_load(&both[i]->references, relaxed), 0);
		gv_failure_release(both[i]);
		gv_failure_release(both[i]);
		assert_int_equal(gv_load(&both[i]->references, relaxed), 0);
	}
}

static void test_exit_is_known_by_its_code(void **state)
{
	(void)state;
	struct grove_failure *exit = gv_failure_make_code(GROVE_KILLED);
	struct grove_failure *other = gv_failure_make_code(-EIO);

	assert_true(gv_failure_is_exit(&gv_failure_exit_object));
	assert_true(gv_failure_is_exit(exit));
	assert_false(gv_failure_is_exit(other));
	assert_false(gv_failure_is_exit(&gv_failure_nomem_object));
	gv_failure_release(exit);
	gv_failure_release(other);
}

static void test_frames_are_recorded_only_if_wanted(void **state)
{
	(void)state;
	struct grove_failure *without = gv_failure_make_code(-EIO);

	gv_store(&gv_failure_backtraces, true, relaxed);
	struct grove_failure *with = gv_failure_make_code(-EIO);
	gv_store(&gv_failure_backtraces, false, relaxed);
	assert_null(without->frames);
	assert_int_equal(without->frame_count, 0);
	assert_non_null(with->frames);
	assert_in_range(with->frame_count, 1, GV_FAILURE_FRAMES);
	gv_failure_release(with);
	gv_failure_release(without);
}

enum { HOLDERS = 4, HOLDS = 20000 };

static void *hold_and_let_go(void *failure)
{
	for (int i = 0; i < HOLDS; i++) {
		gv_failure_retain(failure);
		gv_failure_release(failure);
	}
	gv_failure_release(failure);
	return NULL;
}

static void test_many_holders_release_once(void **state)
{
	(void)state;
	struct grove_failure *failure = gv_failure_make_code(-EIO);
	pthread_t threads[HOLDERS];

	assert_int_equal(grove_failure_attach(failure, NULL, note_release), 0);
	for (int i = 0; i < HOLDERS; i++) {
		gv_failure_retain(failure);
		assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, failure), 0);
	}
	gv_failure_release(failure);
	for (int i = 0; i < HOLDERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(released, 1);
}

#ifdef GV_FAULT

static void test_without_memory_it_is_the_static_one(void **state)
{
	(void)state;
	gv_fault_arm(1);
	assert_ptr_equal(make(-EIO, "lost"), &gv_failure_nomem_object);
	gv_fault_arm(1);
	assert_ptr_equal(gv_failure_make_code(-EIO), &gv_failure_nomem_object);
	gv_fault_arm(0);
}

static void test_without_memory_for_frames_there_are_none(void **state)
{
	(void)state;
	gv_store(&gv_failure_backtraces, true, relaxed);
	/* The first points are those of the failure itself. */
	struct grove_failure *failure = &gv_failure_nomem_object;
	for (long n = 1; failure == &gv_failure_nomem_object; n++) {
		gv_fault_arm(n);
		failure = make(-EIO, "kept");
	}
	gv_fault_arm(0);
	gv_store(&gv_failure_backtraces, false, relaxed);
	assert_string_equal(failure->message, "kept");
	assert_null(failure->frames);
	gv_failure_release(failure);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_is_formatted),
		cmocka_unit_test(test_code_alone_is_explained),
		cmocka_unit_test(test_long_message_is_cut),
		cmocka_unit_test_setup(test_last_reference_releases_the_payload, forget_releases),
		cmocka_unit_test(test_nothing_may_be_retained_and_released),
		cmocka_unit_test(test_static_failures_are_not_counted),
		cmocka_unit_test(test_exit_is_known_by_its_code),
		cmocka_unit_test(test_frames_are_recorded_only_if_wanted),
		cmocka_unit_test_setup(test_many_holders_release_once, forget_releases),
#ifdef GV_FAULT
		cmocka_unit_test(test_without_memory_it_is_the_static_one),
		cmocka_unit_test(test_without_memory_for_frames_there_are_none),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
