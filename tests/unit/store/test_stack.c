/* SPDX-License-Identifier: MIT */
/*
 * test_stack.c - stack.c, stack_class.c and stack_form.c.
 *
 * What must kill the process is tried in a child.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/fault.h"
#include "base/rng.h"
#include "plat/context.h"
#include "plat/lock.h"
#include "plat/os.h"
#include "store/stack.h"

/* A fiber of the thread sanitizer is large. */
enum { CROWD = GV_TSAN ? 400 : GV_ASAN ? 4000 : 60000 };

static size_t page;
static struct gv_stack_cache cache;
static struct gv_stack *crowd[CROWD];

static int setup(void **state)
{
	(void)state;
	memset(&cache, 0, sizeof(cache));
	return gv_stack_setup(NULL);
}

static int teardown(void **state)
{
	(void)state;
	gv_stack_cache_drain(&cache);
	gv_stack_release_all();
	return 0;
}

static struct gv_stack *get(struct gv_stack_cache *from, size_t bytes)
{
	struct gv_stack *stack = NULL;

	assert_int_equal(gv_stack_get(from, bytes, &stack), 0);
	assert_non_null(stack);
	return stack;
}

static struct gv_stack_stats stats(void)
{
	struct gv_stack_stats now;

	gv_stack_stats(&now);
	return now;
}

static char *end_of(const struct gv_stack *stack)
{
	return gv_region_end(stack->region, stack->slot);
}

/* Pages of a stack that are in memory. */
static size_t pages_of(const struct gv_stack *stack)
{
	static unsigned char map[4096];
	size_t count = 0;
	size_t pages = (size_t)(end_of(stack) - stack->low) / page;

	assert_true(pages <= sizeof(map));
	assert_int_equal(mincore(stack->low, pages * page, map), 0);
	for (size_t i = 0; i < pages; i++)
		count += map[i] & 1;
	return count;
}

/* Exit status of a child, or 256 + the signal that ended it. */
static int in_child(int (*body)(void *arg), void *arg)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(100);
		_exit(body(arg));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- shape ---- */

static void test_a_stack_is_as_large_as_asked(void **state)
{
	(void)state;
	static const struct {
		size_t asked;
		size_t least;
	} sizes[] = {
		{ 0, 65536 },	  { 65536, 65536 },  { 1, 16384 },	   { 16384, 16384 },
		{ 20000, 32768 }, { 65537, 131072 }, { 1 << 20, 1 << 20 }, { 100 << 20, 128 << 20 },
	};

	for (size_t i = 0; i < GV_ARRAY_LEN(sizes); i++) {
		struct gv_stack *stack = get(&cache, sizes[i].asked);
		size_t most = GV_ASAN ? SIZE_MAX : sizes[i].least + 3 * page;

		assert_in_range(stack->size, sizes[i].least, most);
		assert_ptr_equal(stack->low + stack->size, stack->top);
		assert_int_equal((uintptr_t)stack->low % page, 0);
		assert_int_equal((uintptr_t)stack->top % 64, 0);
		assert_int_equal((uintptr_t)stack->cold % 64, 0);
		assert_true((char *)stack >= stack->top);
		assert_true((char *)(stack + 1) <= end_of(stack));
		*stack->low = 1;
		gv_stack_put(&cache, stack);
	}
	struct gv_stack *none = NULL;
	assert_int_equal(gv_stack_get(&cache, SIZE_MAX, &none), -EINVAL);
	assert_int_equal(gv_stack_get(NULL, ((size_t)64 << 30) + 1, &none), -EINVAL);
	assert_null(none);
}

/* Neighbours differ in the cache set of their tops and in the TLB set of their pages. */
static void test_neighbours_are_coloured(void **state)
{
	(void)state;
	unsigned seen = 0;

	for (int i = 0; i < 16; i++)
		crowd[i] = get(&cache, 0);
	for (int i = 0; i < 16; i++) {
		size_t offset =
			(size_t)(end_of(crowd[i]) - crowd[i]->top) - sizeof(struct gv_stack);

		assert_int_equal(offset % 64, 0);
		assert_in_range(offset / 64, 0, 15);
		seen |= 1u << offset / 64;
		assert_int_equal(crowd[i]->region->stride / page % 2, 1);
	}
	assert_int_equal(seen, 0xffff);
	for (int i = 0; i < 16; i++)
		gv_stack_put(&cache, crowd[i]);
}

static void *main_context;
static void *parked_context;
static struct gv_sanitizer main_sanitizer;

static void park_at_once(void *arg)
{
	struct gv_stack *stack = arg;
	volatile char frame[1024];

	gv_sanitizer_after_switch(&stack->sanitizer);
	frame[0] = 1;
	gv_sanitizer_switch(&parked_context, main_context, NULL, &stack->sanitizer, &main_sanitizer,
			    false);
	_exit(frame[0]);
}

/* Header, cold area, colour, an entry frame of 1 KiB and a park: one page. */
static void test_a_parked_greenlet_keeps_one_page(void **state)
{
	(void)state;
	if (GV_ASAN)
		skip(); /* instrumented frames are larger */
	gv_sanitizer_adopt_thread(&main_sanitizer);
	for (int i = 0; i < 16; i++) {
		crowd[i] = get(&cache, 0);
		memset(crowd[i]->cold, 1, sizeof(crowd[i]->cold));
		gv_sanitizer_switch(&main_context, gv_context_make(crowd[i]->top, park_at_once),
				    crowd[i], &main_sanitizer, &crowd[i]->sanitizer, false);
		/* swapcontext and a sanitizer's hook have larger frames. */
#if !defined(GV_CONTEXT_UCONTEXT) && !GV_SANITIZER
		assert_int_equal(pages_of(crowd[i]), 1);
#endif
		size_t first = (size_t)(crowd[i]->top - (end_of(crowd[i]) - page));
		assert_in_range(first, 2432, page);
	}
	for (int i = 0; i < 16; i++)
		gv_stack_put(&cache, crowd[i]);
}

/* ---- guards ---- */

static int touch(void *address)
{
	*(volatile char *)address = 1;
	return 0;
}

static void test_below_a_stack_is_a_guard(void **state)
{
	(void)state;
	struct gv_stack *stack = get(&cache, 0);
	struct gv_stack *large = get(&cache, 1 << 20);

	assert_int_equal(in_child(touch, stack->low), 0);
	assert_int_not_equal(in_child(touch, stack->low - 1), 0);
	assert_int_not_equal(in_child(touch, stack->low - 16384), 0);
	assert_int_not_equal(in_child(touch, large->low - 1), 0);
	assert_int_equal(stats().guard_canary, 0);
	assert_int_equal(stats().unguarded, 0);
	assert_true(stats().guard_advised + stats().guard_protected >= 2);
	gv_stack_put(&cache, large);
	gv_stack_put(&cache, stack);
}

static void test_find_names_the_owner(void **state)
{
	(void)state;
	struct gv_stack *stack = get(&cache, 0);
	struct gv_stack *found = NULL;
	bool in_guard = true;

	assert_true(gv_stack_find(stack->low, &found, &in_guard));
	assert_ptr_equal(found, stack);
	assert_false(in_guard);
	assert_true(gv_stack_find(stack->top - 1, &found, &in_guard));
	assert_ptr_equal(found, stack);
	assert_true(gv_stack_find(stack->low - 1, &found, &in_guard));
	assert_ptr_equal(found, stack);
	assert_true(in_guard);
	assert_true(gv_stack_find(stack->low - 16384, &found, &in_guard));
	assert_ptr_equal(found, stack);
	assert_false(gv_stack_find(&found, &found, &in_guard));
	assert_false(gv_stack_find(NULL, &found, &in_guard));

	/* Nobody's stack: one that was put back, and one that was never taken. */
	char *low = stack->low;
	struct gv_region *region = stack->region;
	gv_stack_put(&cache, stack);
	assert_true(gv_stack_find(low, &found, &in_guard));
	assert_null(found);
	assert_true(gv_stack_find(gv_region_low(region, region->slots - 1), &found, &in_guard));
	assert_null(found);
}

static int overwrite_and_put(void *arg)
{
	struct gv_stack *stack = arg;

	memset(stack->low, 7, 8);
	gv_stack_put(&cache, stack);
	return 0;
}

static int put_twice(void *arg)
{
	gv_stack_put(&cache, arg);
	gv_stack_put(&cache, arg);
	return 0;
}

static void test_mprotect_is_the_second_way(void **state)
{
	(void)state;
	struct gv_stack_config config = { .no_advised = true };

	assert_int_equal(gv_stack_setup(&config), 0);
	struct gv_stack *stack = get(&cache, 0);
	assert_int_not_equal(in_child(touch, stack->low - 1), 0);
	assert_int_equal(stats().guard_advised, 0);
	assert_true(stats().guard_protected > 0);
	gv_stack_put(&cache, stack);
}

static void test_a_canary_is_the_last_way(void **state)
{
	(void)state;
	struct gv_stack_config config = { .no_advised = true, .no_protect = true };

	assert_int_equal(gv_stack_setup(&config), 0);
	struct gv_stack *stack = get(&cache, 0);
	struct gv_stack *large = get(&cache, 1 << 20);
	assert_true(stats().guard_canary >= 2);
	assert_int_equal(in_child(overwrite_and_put, stack), 256 + SIGABRT);
	assert_int_equal(in_child(overwrite_and_put, large), 256 + SIGABRT);
	gv_stack_put(&cache, large);

	/* The canary outlives the trimming of a deep stack, and is there again after a drop. */
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = get(&cache, 0);
		if (i < 100)
			memset(crowd[i]->low + page, 1, crowd[i]->size - page);
	}
	for (int i = 0; i < CROWD; i++)
		gv_stack_put(&cache, crowd[i]);
	assert_true(stats().trims >= 30);
	for (int i = 0; i < CROWD; i++)
		crowd[i] = get(&cache, 0);
	for (int i = 0; i < CROWD; i++)
		gv_stack_put(&cache, crowd[i]);
	gv_stack_put(&cache, stack);
}

static void test_guards_can_be_left_out(void **state)
{
	(void)state;
	struct gv_stack_config config = { .guard = GV_STACK_NO_GUARD };

	assert_int_equal(gv_stack_setup(&config), 0);
	struct gv_stack *stack = get(&cache, 0);
	assert_ptr_equal(gv_region_begin(stack->region, stack->slot), stack->low);
	assert_true(stats().unguarded > 0);
	assert_int_equal(stats().guard_advised + stats().guard_protected + stats().guard_canary, 0);
	assert_int_equal(in_child(overwrite_and_put, stack), 0);
	gv_stack_put(&cache, stack);
}

static void test_a_second_put_dies(void **state)
{
	(void)state;
	struct gv_stack *stack = get(&cache, 0);

	assert_int_equal(in_child(put_twice, stack), 256 + SIGABRT);
	gv_stack_put(&cache, stack);
}

/* ---- caches and depot ---- */

static void test_the_hottest_stack_comes_first(void **state)
{
	(void)state;
	struct gv_stack *a = get(&cache, 0);
	struct gv_stack *b = get(&cache, 0);

	gv_stack_put(&cache, a);
	gv_stack_put(&cache, b);
	assert_ptr_equal(get(&cache, 0), b);
	assert_ptr_equal(get(&cache, 0), a);
	gv_stack_put(&cache, b);

	/* Over the depot too, for a thread without a cache. */
	gv_stack_put(NULL, a);
	assert_ptr_equal(get(NULL, 0), a);
	gv_stack_put(NULL, a);
}

/* One hub creates, another one ends: stacks go round, they do not pile up. */
static void test_magazines_go_from_hub_to_hub(void **state)
{
	(void)state;
	struct gv_stack_cache second = { 0 };

	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 100; i++)
			crowd[i] = get(&cache, 0);
		for (int i = 0; i < 100; i++)
			gv_stack_put(&second, crowd[i]);
	}
	assert_int_equal(stats().regions, 1);
	assert_true(stats().guard_advised + stats().guard_protected <= 400);
	assert_true(stats().peak_out <= 400);
	assert_int_equal(stats().drops, 0);
	gv_stack_cache_drain(&second);
	assert_int_equal(second.count, 0);
	gv_stack_cache_drain(&cache);
	assert_int_equal(stats().out, 0);
	assert_int_equal(stats().trims, 0);
}

static void test_slow_halves_keep_errno(void **state)
{
	(void)state;
	errno = ERANGE;
	for (int i = 0; i < 200; i++)
		crowd[i] = get(&cache, 0);
	for (int i = 0; i < 200; i++)
		gv_stack_put(&cache, crowd[i]);
	assert_int_equal(errno, ERANGE);
}

static void fill_and_empty(bool scattered)
{
	struct gv_rng rng;

	gv_rng_seed(&rng, 5);
	for (int i = 0; i < CROWD; i++)
		crowd[i] = get(&cache, 0);
	for (int i = CROWD - 1; scattered && i > 0; i--) {
		uint32_t k = gv_rng_below(&rng, (uint32_t)i + 1);
		struct gv_stack *stack = crowd[i];

		crowd[i] = crowd[k];
		crowd[k] = stack;
	}
	for (int i = 0; i < CROWD; i++)
		gv_stack_put(&cache, crowd[i]);
	gv_stack_cache_drain(&cache);
}

/* What may stay: the ring, and what the regions keep warm. */
static void check_memory_went_back(void)
{
	struct gv_stack_stats now = stats();
	size_t carved = now.guard_advised + now.guard_protected + now.guard_canary;

	assert_int_equal(now.out, 0);
	assert_int_equal(now.free_warm + now.free_cold, carved);
	assert_in_range(now.peak_out, CROWD, CROWD + 64);
	if (CROWD > 20000)
		assert_true(now.free_warm <= 1024 + 8192 + 4096);
}

static void test_memory_goes_back_after_a_peak(void **state)
{
	(void)state;
	fill_and_empty(false);
	check_memory_went_back();
	/* and again: what was given back is used again, nothing new is carved */
	size_t regions = stats().regions;
	fill_and_empty(false);
	check_memory_went_back();
	assert_int_equal(stats().regions, regions);
}

static void test_memory_goes_back_in_any_order(void **state)
{
	(void)state;
	fill_and_empty(true);
	check_memory_went_back();
	fill_and_empty(true);
	check_memory_went_back();
}

static size_t resident_bytes(void)
{
	size_t resident = 0;
	char text[128];

	assert_true(gv_os_read_file("/proc/self/statm", text, sizeof(text)) > 0);
	assert_int_equal(sscanf(text, "%*u %zu", &resident), 1);
	return resident * page;
}

static void test_the_kernel_sees_it_too(void **state)
{
	(void)state;
	if (GV_SANITIZER)
		skip(); /* their own memory dwarfs ours */
	size_t before = resident_bytes();

	for (int i = 0; i < CROWD; i++)
		crowd[i] = get(&cache, 0);
	size_t peak = resident_bytes() - before;
	for (int i = 0; i < CROWD; i++)
		gv_stack_put(&cache, crowd[i]);
	gv_stack_cache_drain(&cache);
	size_t after = resident_bytes();
	assert_true(peak >= (size_t)CROWD * page);
	assert_true(peak < (size_t)CROWD * page + ((size_t)4 << 20));
	assert_true(after < before + peak / 3);
}

/* ---- depth ---- */

static void test_deep_stacks_are_trimmed(void **state)
{
	(void)state;
	struct gv_stack *deep = get(&cache, 0);
	struct gv_stack *flat = get(&cache, 0);
	struct gv_stack *large = get(NULL, 1 << 20);

	memset(deep->low, 1, deep->size);
	memset(flat->top - 8192, 1, 8192);
	memset(large->low, 1, large->size);
	assert_true(pages_of(deep) > 16);
	gv_stack_put(&cache, deep);
	gv_stack_put(&cache, flat);
	gv_stack_put(NULL, large);
	gv_stack_cache_drain(&cache);
	assert_int_equal(pages_of(deep), 1);
	assert_int_equal(pages_of(large), 1);
	/* not worth a call while it may be used again at once */
	assert_in_range(pages_of(flat), 3, 4); /* one was only looked at */
	assert_int_equal(stats().trims, 2);
}

static void test_high_water_is_what_was_written(void **state)
{
	(void)state;
	struct gv_stack *stack = get(&cache, 0);

	assert_true(gv_stack_high_water(stack) <= page);
	memset(stack->top - 1000, 1, 1000);
	assert_int_equal(gv_stack_high_water(stack), 1000);
	memset(stack->top - 10000, 1, 8);
	assert_int_equal(gv_stack_high_water(stack), 10000);
	stack->top[-50000] = 1;
	assert_int_equal(gv_stack_high_water(stack), 50000);
	*stack->low = 1;
	assert_int_equal(gv_stack_high_water(stack), stack->size);
	gv_stack_put(&cache, stack);
}

/* ---- settings and limits ---- */

static void test_sizes_change_only_when_all_are_back(void **state)
{
	(void)state;
	struct gv_stack_config config = { .bytes = 100000, .guard = 4096 };
	struct gv_stack_config absurd = { .bytes = SIZE_MAX / 2 };
	struct gv_stack *stack = get(&cache, 0);

	assert_int_equal(gv_stack_setup(&config), -EBUSY);
	assert_int_equal(gv_stack_setup(NULL), 0);
	gv_stack_put(&cache, stack);
	gv_stack_cache_drain(&cache);
	assert_int_equal(gv_stack_setup(&absurd), -EINVAL);
	assert_int_equal(gv_stack_setup(&config), 0);
	assert_int_equal(stats().free_warm, 0);

	stack = get(&cache, 0);
	assert_in_range(stack->size, 100000, GV_ASAN ? SIZE_MAX : 100000 + 4 * page);
	gv_stack_put(&cache, stack);
	assert_ptr_equal(get(&cache, 100000), stack);
	gv_stack_put(&cache, stack);
	/* The old default is a size like others now. */
	stack = get(&cache, 65536);
	assert_true((stack->flags & GV_STACK_UNCACHED) != 0);
	gv_stack_put(&cache, stack);
	gv_stack_cache_drain(&cache);

	assert_int_equal(gv_stack_setup(NULL), 0);
	stack = get(&cache, 0);
	assert_int_equal(stack->flags, GV_STACK_USED);
	gv_stack_put(&cache, stack);
}

static int run_out_of_address_space(void *arg)
{
	(void)arg;
	struct rlimit limit = { (rlim_t)1 << 30, (rlim_t)1 << 30 };
	struct gv_stack *stack;
	struct gv_stack *last = NULL;
	int count = 0;
	int error;

	if (setrlimit(RLIMIT_AS, &limit) < 0)
		return 1;
	while ((error = gv_stack_get(&cache, 0, &stack)) == 0) {
		last = stack;
		count++;
	}
	/* Nearly all of it must have been used: the last regions are smaller ones. */
	if (error != -ENOMEM || count < 10000)
		return 2;
	if (strstr(gv_stack_limit_text(), "RLIMIT_AS") == NULL)
		return 3;
	gv_stack_put(&cache, last);
	return gv_stack_get(&cache, 0, &stack) == 0 && stack == last ? 0 : 4;
}

static void test_running_out_is_an_error_with_a_name(void **state)
{
	(void)state;
	if (GV_SANITIZER)
		skip(); /* they have more address space than that */
	assert_int_equal(in_child(run_out_of_address_space, NULL), 0);
}

#ifdef GV_FAULT
/* Each call fails in turn: a get works, perhaps in a lesser way, or is -ENOMEM; nothing is lost. */
static void test_every_failing_call_is_survived(void **state)
{
	long n = 1;

	do {
		struct gv_stack *stack = NULL;

		teardown(state);
		setup(state);
		gv_fault_arm(n);
		int error = gv_stack_get(&cache, n % 2 == 0 ? 0 : 300000, &stack);
		assert_true(error == 0 || error == -ENOMEM);
		if (error == 0) {
			memset(stack->low + page, 1, stack->size - page);
			gv_stack_put(&cache, stack);
		}
		gv_stack_cache_drain(&cache);
		assert_int_equal(stats().out, 0);
	} while (gv_fault_seen() >= n++);
	gv_fault_arm(0);
}
#endif

/* ---- many threads ---- */

enum { THREADS = 4, SHELF = 64, ROUNDS = GV_TSAN ? 3000 : 30000 };

static struct {
	struct gv_lock lock;
	struct gv_stack *stack;
} shelf[SHELF];

/* Take a stack or pass one on; whoever has it writes his number into it and reads it back. */
static void *trade(void *arg)
{
	struct gv_stack_cache own = { 0 };
	struct gv_stack_cache *mine = (uintptr_t)arg == 0 ? NULL : &own;
	struct gv_rng rng;
	unsigned char mark = (unsigned char)(1 + (uintptr_t)arg);

	gv_rng_seed(&rng, (uintptr_t)arg + 1);
	for (int i = 0; i < ROUNDS; i++) {
		struct gv_stack *stack;
		unsigned place = gv_rng_below(&rng, SHELF);

		GV_CHECK(gv_stack_get(mine, gv_rng_below(&rng, 50) == 0 ? 30000 : 0, &stack) == 0,
			 "no stack");
		memset(stack->cold, mark, sizeof(stack->cold));
		if (gv_rng_below(&rng, 20) == 0)
			memset(stack->top - 20000, mark, 64);
		GV_CHECK(stack->cold[0] == mark && stack->cold[GV_STACK_COLD_BYTES - 1] == mark,
			 "two owners");

		gv_lock_acquire(&shelf[place].lock);
		struct gv_stack *old = shelf[place].stack;
		shelf[place].stack = stack;
		gv_lock_release(&shelf[place].lock);
		if (old != NULL)
			gv_stack_put(mine, old);
	}
	gv_stack_cache_drain(&own);
	return NULL;
}

static void test_threads_share_the_depot(void **state)
{
	(void)state;
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, trade, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < SHELF; i++) {
		if (shelf[i].stack != NULL)
			gv_stack_put(&cache, shelf[i].stack);
		shelf[i].stack = NULL;
	}
	gv_stack_cache_drain(&cache);
	assert_int_equal(stats().out, 0);
	assert_true(stats().peak_out <= SHELF + THREADS * (GV_STACK_CACHE_ROOM + 1));
}

static struct gv_stack *pile[THREADS][CROWD / THREADS];

/* Everything at once and back: regions are carved, dropped and taken again beside each other. */
static void *hoard(void *arg)
{
	struct gv_stack_cache own = { 0 };
	struct gv_stack **mine = pile[(uintptr_t)arg];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < CROWD / THREADS; i++)
			GV_CHECK(gv_stack_get(&own, 0, &mine[i]) == 0, "no stack");
		for (int i = 0; i < CROWD / THREADS; i++)
			memset(mine[i]->cold, (int)(uintptr_t)arg, sizeof(mine[i]->cold));
		for (int i = 0; i < CROWD / THREADS; i++) {
			GV_CHECK(mine[i]->cold[7] == (uintptr_t)arg, "two owners");
			gv_stack_put(&own, mine[i]);
		}
	}
	gv_stack_cache_drain(&own);
	return NULL;
}

static void test_threads_peak_together(void **state)
{
	(void)state;
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hoard, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	struct gv_stack_stats now = stats();
	assert_int_equal(now.out, 0);
	assert_int_equal(now.free_warm + now.free_cold,
			 now.guard_advised + now.guard_protected + now.guard_canary);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_a_stack_is_as_large_as_asked),
		CASE(test_neighbours_are_coloured),
		CASE(test_a_parked_greenlet_keeps_one_page),
		CASE(test_below_a_stack_is_a_guard),
		CASE(test_find_names_the_owner),
		CASE(test_mprotect_is_the_second_way),
		CASE(test_a_canary_is_the_last_way),
		CASE(test_guards_can_be_left_out),
		CASE(test_a_second_put_dies),
		CASE(test_the_hottest_stack_comes_first),
		CASE(test_magazines_go_from_hub_to_hub),
		CASE(test_slow_halves_keep_errno),
		CASE(test_memory_goes_back_after_a_peak),
		CASE(test_memory_goes_back_in_any_order),
		CASE(test_the_kernel_sees_it_too),
		CASE(test_deep_stacks_are_trimmed),
		CASE(test_high_water_is_what_was_written),
		CASE(test_sizes_change_only_when_all_are_back),
		CASE(test_running_out_is_an_error_with_a_name),
#ifdef GV_FAULT
		CASE(test_every_failing_call_is_survived),
#endif
		CASE(test_threads_share_the_depot),
		CASE(test_threads_peak_together),
	};
	page = gv_os_page_size();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
