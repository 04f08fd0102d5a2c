/* SPDX-License-Identifier: MIT */
/*
 * test_label.c - names and numbers, and that they go with the record.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "sched/label.h"

static struct grove_greenlet *new_record(void)
{
	struct grove_greenlet *g = gv_slab_alloc_shared(&gv_records);

	assert_non_null(g);
	gv_record_begin(g, NULL, NULL, NULL, GV_DONE_REFERENCE, 0);
	return g;
}

static void drop(struct grove_greenlet *g)
{
	gv_record_release(g, NULL);
}

static void test_default_name_has_the_id(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	char expected[GV_NAME_BYTES];
	char name[GV_NAME_BYTES];

	snprintf(expected, sizeof(expected), "greenlet-%" PRIu64, gv_record_id(g));
	assert_int_equal(gv_label_name(g, name, sizeof(name)), strlen(expected));
	assert_string_equal(name, expected);
	assert_false(gv_labelled(g));
	drop(g);
}

static void test_name_is_kept(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	char name[GV_NAME_BYTES];

	assert_int_equal(gv_label_set_name(g, "heron"), 0);
	assert_int_equal(gv_label_name(g, name, sizeof(name)), 5);
	assert_string_equal(name, "heron");
	assert_int_equal(gv_label_name_unlocked(g, name, sizeof(name)), 5);
	assert_string_equal(name, "heron");
	drop(g);
}

static void test_later_name_replaces_the_earlier(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	char name[GV_NAME_BYTES];

	assert_int_equal(gv_label_set_name(g, "heron"), 0);
	assert_int_equal(gv_label_set_name(g, "owl"), 0);
	gv_label_name(g, name, sizeof(name));
	assert_string_equal(name, "owl");
	drop(g);
}

static void test_long_name_is_cut(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	char longer[2 * GV_NAME_BYTES];
	char name[2 * GV_NAME_BYTES];

	memset(longer, 'z', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(gv_label_set_name(g, longer), 0);
	assert_int_equal(gv_label_name(g, name, sizeof(name)), GV_NAME_BYTES - 1);
	assert_int_equal(strlen(name), GV_NAME_BYTES - 1);
	drop(g);
}

static void test_little_room_gets_the_beginning(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	char text[4] = "???";

	assert_int_equal(gv_label_name(g, text, 0) > 9, true);
	assert_string_equal(text, "???");
	gv_label_name(g, text, sizeof(text));
	assert_string_equal(text, "gre");
	assert_int_equal(gv_label_set_name(g, "heron"), 0);
	assert_int_equal(gv_label_name(g, text, sizeof(text)), 5);
	assert_string_equal(text, "her");
	drop(g);
}

static void test_empty_name_is_the_default_name(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	char name[GV_NAME_BYTES];

	assert_int_equal(gv_label_set_name(g, ""), 0);
	gv_label_name(g, name, sizeof(name));
	assert_memory_equal(name, "greenlet-", 9);
	drop(g);
}

static void test_number_stays_the_same(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	uint64_t number = gv_label_number(g);

	assert_int_equal(gv_label_set_name(g, "heron"), 0);
	assert_int_equal(gv_label_number(g), number);
	drop(g);
}

static void test_smallest_free_number_is_given_again(void **state)
{
	(void)state;
	struct grove_greenlet *g[4];

	for (unsigned i = 0; i < 4; i++) {
		g[i] = new_record();
		assert_int_equal(gv_label_number(g[i]), i);
	}
	drop(g[2]);
	drop(g[1]);
	g[1] = new_record();
	assert_int_equal(gv_label_number(g[1]), 1);
	g[2] = new_record();
	assert_int_equal(gv_label_number(g[2]), 2);
	for (unsigned i = 0; i < 4; i++)
		drop(g[i]);
}

static void test_next_life_has_no_name(void **state)
{
	(void)state;
	struct grove_greenlet *first = new_record();
	char name[GV_NAME_BYTES];

	assert_int_equal(gv_label_set_name(first, "heron"), 0);
	drop(first);
	/* Most likely the same record. */
	struct grove_greenlet *second = new_record();
	assert_false(gv_labelled(second));
	gv_label_name(second, name, sizeof(name));
	assert_memory_equal(name, "greenlet-", 9);
	drop(second);
}

static void test_forgetting_who_has_none_does_no_harm(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();

	gv_label_forget(g);
	assert_int_equal(gv_label_number(g), 0);
	drop(g);
}

/* More than one word of the bitmap, and more than one size of it. */
static void test_many_numbers(void **state)
{
	(void)state;
	enum { MANY = 3000 };
	static struct grove_greenlet *g[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		g[i] = new_record();
		assert_int_equal(gv_label_number(g[i]), i);
	}
	drop(g[2047]);
	g[2047] = new_record();
	assert_int_equal(gv_label_number(g[2047]), 2047);
	for (unsigned i = 0; i < MANY; i++)
		drop(g[i]);
}

#ifdef GV_FAULT

static void test_without_memory_there_is_no_label(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();

	gv_fault_arm(1);
	assert_int_equal(gv_label_set_name(g, "heron"), -ENOMEM);
	gv_fault_arm(1);
	assert_true(gv_label_number(g) == UINT64_MAX);
	gv_fault_arm(0);
	assert_false(gv_labelled(g));
	assert_int_equal(gv_label_number(g), 0);
	drop(g);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_name_has_the_id),
		cmocka_unit_test(test_name_is_kept),
		cmocka_unit_test(test_later_name_replaces_the_earlier),
		cmocka_unit_test(test_long_name_is_cut),
		cmocka_unit_test(test_little_room_gets_the_beginning),
		cmocka_unit_test(test_empty_name_is_the_default_name),
		cmocka_unit_test(test_number_stays_the_same),
		cmocka_unit_test(test_smallest_free_number_is_given_again),
		cmocka_unit_test(test_next_life_has_no_name),
		cmocka_unit_test(test_forgetting_who_has_none_does_no_harm),
		cmocka_unit_test(test_many_numbers),
#ifdef GV_FAULT
		cmocka_unit_test(test_without_memory_there_is_no_label),
#endif
	};
	gv_record_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
