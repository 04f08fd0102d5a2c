/* SPDX-License-Identifier: MIT */
/*
 * test_record.c - lives, ids and references of records.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "sched/failure.h"
#include "sched/hub.h"
#include "sched/label.h"
#include "sched/record.h"

static struct gv_slab_cache cache;
static int released;
static void *released_last;
static struct grove_greenlet *drained;

static void note_release(void *what)
{
	released++;
	released_last = what;
}

static void drop_kills(struct grove_greenlet *g)
{
	drained = g;
	gv_store(&g->kills, 0, relaxed);
}

static int begin(void **state)
{
	(void)state;
	released = 0;
	released_last = NULL;
	drained = NULL;
	return 0;
}

static struct grove_greenlet *new_record_with(struct gv_extra *extra, uint64_t done)
{
	struct grove_greenlet *g = gv_slab_alloc(&cache);

	assert_non_null(g);
	gv_record_begin(g, NULL, NULL, extra, done, 0);
	return g;
}

static struct grove_greenlet *new_record(void)
{
	return new_record_with(NULL, GV_DONE_REFERENCE);
}

static unsigned references(struct grove_greenlet *g)
{
	return (unsigned)(gv_load(&g->done, relaxed) >> 48);
}

static void test_each_life_has_a_larger_id(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	uint64_t id = gv_record_id(g);

	for (int i = 0; i < 100; i++) {
		gv_record_release(g, &cache);
		struct grove_greenlet *next = new_record();
		assert_ptr_equal(next, g); /* the cache hands out what came last */
		assert_true(gv_record_id(g) > id);
		id = gv_record_id(g);
	}
	gv_record_release(g, &cache);
}

static void test_lives_count_beyond_32_bits(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();

	gv_store(&g->life_low, UINT32_MAX, relaxed);
	uint64_t id = gv_record_id(g);
	gv_record_release(g, &cache);
	assert_ptr_equal(new_record(), g);
	assert_int_equal(gv_load(&g->life_high, relaxed), 1);
	assert_int_equal(gv_load(&g->life_low, relaxed), 0);
	assert_true(gv_record_id(g) > id);

	/* And on from there. */
	id = gv_record_id(g);
	gv_record_release(g, &cache);
	assert_ptr_equal(new_record(), g);
	assert_true(gv_record_id(g) > id);
	gv_record_release(g, &cache);
}

static void test_memory_that_was_given_back_starts_above_its_floor(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();

	gv_record_release(g, &cache);
	gv_store(&g->life_low, 0, relaxed);
	gv_store(&g->life_high, 0, relaxed);
	gv_store(&g->wait, 0, relaxed);
	gv_store(&gv_slab_chunk_of(g)->generation_floor, 5000, relaxed);
	assert_ptr_equal(new_record(), g);
	assert_int_equal(gv_load(&g->life_low, relaxed), 5001);
	assert_int_equal(gv_load(&g->wait, relaxed) / GV_WAIT_GENERATION, 5000);
	gv_record_release(g, &cache);
}

static void test_lookup_adds_a_reference(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();

	assert_ptr_equal(gv_record_lookup(gv_record_id(g)), g);
	assert_int_equal(references(g), 2);
	gv_record_release(g, &cache);
	gv_record_release(g, &cache);
}

static void test_lookup_finds_nothing_free(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	uint64_t id = gv_record_id(g);

	gv_record_release(g, &cache);
	assert_null(gv_record_lookup(id));
}

static void test_lookup_finds_no_earlier_life(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();
	uint64_t id = gv_record_id(g);

	gv_record_release(g, &cache);
	assert_ptr_equal(new_record(), g);
	assert_null(gv_record_lookup(id));
	assert_int_equal(references(g), 1);
	gv_record_release(g, &cache);
}

static void test_lookup_finds_no_id_that_never_was(void **state)
{
	(void)state;
	assert_null(gv_record_lookup(0));
	assert_null(gv_record_lookup(UINT64_MAX));
	assert_null(gv_record_lookup((UINT64_C(1) << 26) - 1));
}

static void test_references_stick_at_their_maximum(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();

	gv_store(&g->done, GV_DONE_REFERENCES - GV_DONE_REFERENCE, relaxed);
	gv_record_retain(g);
	assert_int_equal(references(g), 0xffff);
	gv_record_retain(g);
	gv_record_release(g, &cache);
	assert_ptr_equal(gv_record_lookup(gv_record_id(g)), g);
	assert_int_equal(references(g), 0xffff);

	gv_store(&g->done, GV_DONE_REFERENCE, relaxed);
	gv_record_release(g, &cache);
}

static void test_argument_of_one_never_started_is_released(void **state)
{
	(void)state;
	struct gv_extra *extra = gv_zalloc(sizeof(*extra));
	int arg;

	assert_non_null(extra);
	extra->release_arg = note_release;
	extra->release_with = &arg;
	struct grove_greenlet *g = new_record_with(extra, 2 * GV_DONE_REFERENCE);
	gv_record_release(g, &cache);
	assert_int_equal(released, 0);
	gv_record_release(g, &cache);
	assert_int_equal(released, 1);
	assert_ptr_equal(released_last, &arg);
}

static void test_value_goes_with_the_record(void **state)
{
	(void)state;
	struct gv_extra *extra = gv_zalloc(sizeof(*extra));
	int value;

	assert_non_null(extra);
	extra->release_value = note_release;
	struct grove_greenlet *g =
		new_record_with(extra, GV_DONE_REFERENCE | GV_DONE_TAKEN | GV_DONE_ENDED);
	g->slot = &value;
	gv_record_release(g, &cache);
	assert_int_equal(released, 1);
	assert_ptr_equal(released_last, &value);
}

static void test_failure_goes_with_the_record(void **state)
{
	(void)state;
	struct grove_failure *failure = gv_failure_make_code(-EIO);
	struct grove_greenlet *g = new_record_with(NULL, GV_DONE_REFERENCE | GV_DONE_TAKEN |
								 GV_DONE_ENDED | GV_DONE_FAILED);

	assert_int_equal(grove_failure_attach(failure, NULL, note_release), 0);
	g->slot = failure;
	gv_record_release(g, &cache);
	assert_int_equal(released, 1);
}

static void test_kills_and_name_go_with_the_record(void **state)
{
	(void)state;
	struct grove_greenlet *g = new_record();

	gv_runtime.hooks.drop_kills = drop_kills;
	gv_store(&g->kills, 64, relaxed);
	assert_int_equal(gv_label_set_name(g, "heron"), 0);
	gv_record_release(g, &cache);
	assert_ptr_equal(drained, g);
	assert_false(gv_labelled(g));
}

enum { FINDERS = 3, LIVES = 3000 };

static _Atomic uint64_t wanted;
static _Atomic bool over;
static _Atomic unsigned mistakes;

static void *find(void *arg)
{
	(void)arg;
	while (!gv_load(&over, relaxed)) {
		uint64_t id = gv_load(&wanted, relaxed);
		struct grove_greenlet *g = gv_record_lookup(id);

		if (g == NULL)
			continue;
		if (gv_record_id(g) != id)
			gv_add(&mistakes, 1, relaxed);
		gv_record_release(g, NULL);
	}
	return NULL;
}

static void test_each_life_ends_once_while_others_look_it_up(void **state)
{
	(void)state;
	pthread_t threads[FINDERS];

	gv_store(&over, false, relaxed);
	for (int i = 0; i < FINDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, find, NULL), 0);
	for (int i = 0; i < LIVES; i++) {
		struct gv_extra *extra = gv_zalloc(sizeof(*extra));

		assert_non_null(extra);
		struct grove_greenlet *g = new_record_with(extra, GV_DONE_REFERENCE);
		gv_store(&wanted, gv_record_id(g), relaxed);
		gv_record_release(g, &cache);
	}
	gv_store(&over, true, relaxed);
	for (int i = 0; i < FINDERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(gv_load(&mistakes, relaxed), 0);
	/* A second end would free the extra a second time. */
	assert_null(gv_record_lookup(gv_load(&wanted, relaxed)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_life_has_a_larger_id),
		cmocka_unit_test(test_lives_count_beyond_32_bits),
		cmocka_unit_test(test_memory_that_was_given_back_starts_above_its_floor),
		cmocka_unit_test(test_lookup_adds_a_reference),
		cmocka_unit_test(test_lookup_finds_nothing_free),
		cmocka_unit_test(test_lookup_finds_no_earlier_life),
		cmocka_unit_test(test_lookup_finds_no_id_that_never_was),
		cmocka_unit_test(test_references_stick_at_their_maximum),
		cmocka_unit_test_setup(test_argument_of_one_never_started_is_released, begin),
		cmocka_unit_test_setup(test_value_goes_with_the_record, begin),
		cmocka_unit_test_setup(test_failure_goes_with_the_record, begin),
		cmocka_unit_test_setup(test_kills_and_name_go_with_the_record, begin),
		cmocka_unit_test(test_each_life_ends_once_while_others_look_it_up),
	};
	gv_record_setup();
	if (gv_slab_cache_init(&cache, &gv_records) < 0)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	gv_slab_cache_close(&cache);
	return failed;
}
