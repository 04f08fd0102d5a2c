/* SPDX-License-Identifier: MIT */
/*
 * test_region.c - slots of a region: marks, guards, runs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/fault.h"
#include "plat/os.h"
#include "plat/region.h"

enum { SLOTS = 200, SLOT_PAGES = 3 };

static size_t page;

static int make_region(void **state)
{
	struct gv_region *region;

	page = gv_os_page_size();
	if (gv_region_new(&region, SLOTS * SLOT_PAGES * page, SLOT_PAGES * page, page, NULL) != 0)
		return -1;
	*state = region;
	return gv_region_publish(region);
}

static int remove_region(void **state)
{
	(void)state;
	gv_region_free_all();
	return 0;
}

static void test_slots_follow_each_other(void **state)
{
	struct gv_region *region = *state;

	assert_int_equal(region->slots, SLOTS);
	assert_ptr_equal(gv_region_begin(region, 0), region->base);
	assert_ptr_equal(gv_region_low(region, 0), region->base + page);
	assert_ptr_equal(gv_region_end(region, SLOTS - 1), region->base + region->bytes);
	assert_ptr_equal(gv_region_end(region, 7), gv_region_begin(region, 8));
}

static void test_addresses_are_found(void **state)
{
	struct gv_region *region = *state;
	struct gv_region *second;
	uint32_t slot = 99;

	assert_ptr_equal(gv_region_find(region->base, &slot), region);
	assert_int_equal(slot, 0);
	assert_ptr_equal(gv_region_find(gv_region_end(region, 5) - 1, &slot), region);
	assert_int_equal(slot, 5);
	assert_ptr_equal(gv_region_find(region->base + region->bytes - 1, &slot), region);
	assert_int_equal(slot, SLOTS - 1);
	assert_null(gv_region_find(&slot, &slot));
	assert_null(gv_region_find(NULL, &slot));
	assert_null(gv_region_find((void *)UINTPTR_MAX, &slot));

	assert_int_equal(gv_region_new(&second, 10 * page, 4 * page, 0, NULL), 0);
	assert_null(gv_region_find(second->base, &slot));
	assert_int_equal(gv_region_publish(second), 0);
	assert_int_equal(second->slots, 2);
	assert_int_equal(second->number, 1);
	assert_ptr_equal(gv_region_at(1), second);
	assert_ptr_equal(gv_region_find(second->base + 5 * page, &slot), second);
	assert_int_equal(slot, 1);
	/* What is left over at the end belongs to nobody. */
	assert_ptr_not_equal(gv_region_find(second->base + 9 * page, &slot), second);
}

static void test_marks_are_counted(void **state)
{
	struct gv_region *region = *state;

	gv_region_mark(region, 130, false);
	gv_region_mark(region, 70, true);
	gv_region_mark(region, 199, true);
	assert_int_equal(region->free, 3);
	assert_int_equal(region->warm, 2);
	assert_int_equal(gv_region_first_free(region), 70);
	assert_int_equal(gv_region_first_warm(region), 70);
	assert_true(gv_region_unmark(region, 70));
	assert_int_equal(gv_region_first_free(region), 130);
	assert_int_equal(gv_region_first_warm(region), 199);
	assert_false(gv_region_unmark(region, 130));
	assert_true(gv_region_unmark(region, 199));
	assert_int_equal(region->free, 0);
	assert_int_equal(region->warm, 0);
}

static void test_runs_take_free_neighbours_along(void **state)
{
	struct gv_region *region = *state;
	struct gv_region_run runs[GV_REGION_BATCH];
	uint32_t at = 0;

	region->carved = 150;
	for (uint32_t slot = 0; slot < 10; slot++)
		gv_region_mark(region, slot, slot == 4);
	for (uint32_t slot = 20; slot < 30; slot++)
		gv_region_mark(region, slot, false); /* cold: not worth a call */
	gv_region_mark(region, 149, true);
	assert_int_equal(gv_region_collect(region, &at, runs), 2);
	assert_int_equal(runs[0].first, 0);
	assert_int_equal(runs[0].count, 10);
	assert_int_equal(runs[1].first, 149);
	assert_int_equal(runs[1].count, 1);
	assert_int_equal(region->free, 10);
	assert_int_equal(region->warm, 0);
	assert_int_equal(gv_region_collect(region, &at, runs), 0);
}

static void test_more_runs_than_a_batch_take_two_calls(void **state)
{
	struct gv_region *region = *state;
	struct gv_region_run runs[GV_REGION_BATCH];
	uint32_t at = 0;

	region->carved = SLOTS;
	for (uint32_t slot = 0; slot < 2 * (GV_REGION_BATCH + 3); slot += 2)
		gv_region_mark(region, slot, true);
	assert_int_equal(gv_region_collect(region, &at, runs), GV_REGION_BATCH);
	assert_int_equal(gv_region_collect(region, &at, runs), 3);
	assert_int_equal(runs[2].first, 2 * (GV_REGION_BATCH + 2));
	assert_int_equal(gv_region_collect(region, &at, runs), 0);
	assert_int_equal(region->free, 0);
}

static void test_a_drop_must_be_worth_it(void **state)
{
	struct gv_region *region = *state;

	/* Ten free slots among a hundred in use: ten calls for ten pages. */
	region->carved = 110;
	for (uint32_t slot = 0; slot < 110; slot += 11)
		gv_region_mark(region, slot, true);
	assert_false(gv_region_is_worth_dropping(region));

	/* A quarter of the region. */
	for (uint32_t slot = 1; slot < 110; slot += 11) {
		for (uint32_t i = 0; i < 4; i++)
			gv_region_mark(region, slot + i, true);
	}
	assert_true(gv_region_is_worth_dropping(region));
}

static void test_little_in_use_makes_a_drop_worth_it(void **state)
{
	struct gv_region *region = *state;

	region->carved = 10;
	for (uint32_t slot = 0; slot < 8; slot++)
		gv_region_mark(region, slot, true);
	assert_false(gv_region_is_worth_dropping(region));
	gv_region_mark(region, 8, true);
	assert_true(gv_region_is_worth_dropping(region));
}

static void test_drop_empties_runs_only(void **state)
{
	struct gv_region *region = *state;
	struct gv_region_run runs[2] = { { 2, 3 }, { 10, 1 } };
	unsigned char resident[SLOTS * SLOT_PAGES];
	size_t count = 0;

	for (uint32_t slot = 0; slot < 20; slot++)
		memset(gv_region_low(region, slot), 1, 2 * page);
	gv_region_drop(region, runs, 2);
	assert_int_equal(*gv_region_low(region, 2), 0);
	assert_int_equal(gv_region_end(region, 4)[-1], 0);
	assert_int_equal(*gv_region_low(region, 10), 0);
	assert_int_equal(gv_region_end(region, 1)[-1], 1);
	assert_int_equal(*gv_region_low(region, 5), 1);
	assert_int_equal(*gv_region_low(region, 11), 1);

	runs[0] = (struct gv_region_run){ 0, SLOTS };
	gv_region_drop(region, runs, 1);
	assert_int_equal(mincore(region->base, region->bytes, resident), 0);
	for (size_t i = 0; i < sizeof(resident); i++)
		count += resident[i] & 1;
	assert_int_equal(count, 0);
}

static void test_guards_fall_back_in_order(void **state)
{
	struct gv_region *region = *state;
	struct gv_region_guards guards = { .use_advised = false, .may_protect = 3 };

	gv_region_guard(region, 8, 5, &guards);
	assert_int_equal(guards.advised, 0);
	assert_int_equal(guards.protected, 3);
	for (int i = 0; i < 5; i++)
		assert_int_equal(guards.canary[i], i >= 3);

	guards.use_advised = true;
	guards.may_protect = 0;
	gv_region_guard(region, 20, GV_REGION_BATCH, &guards);
	assert_true(guards.advised == 0 || guards.advised == GV_REGION_BATCH);
	assert_int_equal(guards.protected, 0);
	assert_int_equal(guards.canary[0], guards.advised == 0);

	assert_false(gv_region_is_canary(region, 67));
	gv_region_set_canary(region, 67);
	assert_true(gv_region_is_canary(region, 67));
}

static void test_no_guard_no_call(void **state)
{
	(void)state;
	struct gv_region *region;
	struct gv_region_guards guards = { .use_advised = true, .may_protect = 9 };

	assert_int_equal(gv_region_new(&region, 8 * page, 2 * page, 0, NULL), 0);
	gv_region_guard(region, 0, 4, &guards);
	assert_int_equal(guards.advised + guards.protected, 0);
	assert_false(guards.canary[0]);
	memset(region->base, 1, 8 * page);
	gv_region_free(region);
}

/* 2^46 bytes are more than the kernel gives; some half of a half of it is not. */
static void test_refused_regions_shrink(void **state)
{
	(void)state;
	struct gv_region *region;
	size_t huge = (size_t)1 << 48;

	assert_int_equal(gv_region_new(&region, huge, huge, page, NULL), -ENOMEM);
	if (GV_ASAN || GV_TSAN)
		skip(); /* their shadow has to be mapped along */
	assert_int_equal(gv_region_new(&region, huge, (size_t)1 << 40, page, NULL), 0);
	assert_true(region->bytes < huge);
	assert_int_equal(region->slots, region->bytes >> 40);
	gv_region_free(region);
}

#ifdef GV_FAULT
static void test_every_failure_is_an_error(void **state)
{
	(void)state;
	struct gv_region *region;

	for (long n = 1; n <= 3; n++) {
		gv_fault_arm(n);
		assert_int_equal(gv_region_new(&region, 2 * page, 2 * page, page, NULL), -ENOMEM);
	}
	gv_fault_arm(0);
}
#endif

int main(void)
{
#define WITH_REGION(test) cmocka_unit_test_setup_teardown(test, make_region, remove_region)
	const struct CMUnitTest tests[] = {
		WITH_REGION(test_slots_follow_each_other),
		WITH_REGION(test_addresses_are_found),
		WITH_REGION(test_marks_are_counted),
		WITH_REGION(test_runs_take_free_neighbours_along),
		WITH_REGION(test_more_runs_than_a_batch_take_two_calls),
		WITH_REGION(test_a_drop_must_be_worth_it),
		WITH_REGION(test_little_in_use_makes_a_drop_worth_it),
		WITH_REGION(test_drop_empties_runs_only),
		WITH_REGION(test_guards_fall_back_in_order),
		WITH_REGION(test_no_guard_no_call),
		WITH_REGION(test_refused_regions_shrink),
#ifdef GV_FAULT
		WITH_REGION(test_every_failure_is_an_error),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
