/* SPDX-License-Identifier: MIT */
/*
 * test_memory.c - blocks go back to where they came from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

#include <errno.h>

struct shop {
	int out;
	bool empty;
};

static void *shop_allocate(size_t size, void *context)
{
	struct shop *shop = context;

	if (shop->empty)
		return NULL;
	shop->out++;
	return malloc(size);
}

static void shop_release(void *block, void *context)
{
	struct shop *shop = context;

	assert_non_null(block);
	shop->out--;
	free(block);
}

static grove_allocator allocator_of(struct shop *shop)
{
	return (grove_allocator){ shop_allocate, shop_release, shop };
}

static const grove_allocator none;

static void test_memory_is_aligned_and_cleared_on_request(void **state)
{
	(void)state;
	for (size_t size = 0; size < 200; size++) {
		char *block = gv_malloc(size);
		char *zeroed = gv_zalloc(size);

		assert_non_null(block);
		assert_non_null(zeroed);
		assert_int_equal((uintptr_t)block % _Alignof(max_align_t), 0);
		memset(block, 0xff, size);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(zeroed[i], 0);
		gv_free(block);
		gv_free(zeroed);
	}
	gv_free(NULL);
}

static void test_memory_goes_back_to_its_allocator(void **state)
{
	(void)state;
	static struct shop first, second;
	grove_allocator a = allocator_of(&first);
	grove_allocator b = allocator_of(&second);

	void *from_malloc = gv_malloc(10);
	assert_int_equal(gv_memory_use(&a), 0);
	void *from_first = gv_malloc(10);
	assert_int_equal(gv_memory_use(&b), 0);
	void *from_second = gv_malloc(10);
	assert_int_equal(gv_memory_use(&none), 0);
	void *again = gv_malloc(10);

	assert_int_equal(first.out, 1);
	assert_int_equal(second.out, 1);
	gv_free(from_first);
	assert_int_equal(first.out, 0);
	gv_free(from_second);
	assert_int_equal(second.out, 0);
	gv_free(from_malloc);
	gv_free(again);
	assert_int_equal(first.out, 0);
}

static void test_memory_that_is_refused_is_null(void **state)
{
	(void)state;
	static struct shop shop = { .empty = true };
	grove_allocator a = allocator_of(&shop);

	assert_int_equal(gv_memory_use(&a), 0);
	assert_null(gv_malloc(10));
	assert_null(gv_zalloc(10));
	assert_int_equal(gv_memory_use(&none), 0);
	assert_null(gv_malloc(SIZE_MAX));
	assert_null(gv_malloc(SIZE_MAX - 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_aligned_and_cleared_on_request),
		cmocka_unit_test(test_memory_goes_back_to_its_allocator),
		cmocka_unit_test(test_memory_that_is_refused_is_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
