/* SPDX-License-Identifier: MIT */
/*
 * test_pages.c - mapping, guarding, dropping, and the names of limits.
 *
 * What kills or limits the process is tried in a child.
 */
#include <errno.h>
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

#include "base/compiler.h"
#include "plat/os.h"
#include "plat/pages.h"

enum { PAGES = 64 };

static size_t page;

/* Run a function in a child: its exit status, or 256 + the signal that ended it. */
static int in_child(int (*body)(void *arg), void *arg)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, SIG_DFL);
		_exit(body(arg));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int touch(void *address)
{
	*(volatile char *)address = 1;
	return 0;
}

static size_t resident(const char *memory)
{
	unsigned char map[PAGES];
	size_t count = 0;

	assert_int_equal(mincore((void *)(uintptr_t)memory, PAGES * page, map), 0);
	for (int i = 0; i < PAGES; i++)
		count += map[i] & 1;
	return count;
}

static void test_pages_come_when_touched_and_go_when_dropped(void **state)
{
	(void)state;
	void *base;
	char *memory;

	assert_int_equal(gv_pages_map(PAGES * page, &base), 0);
	memory = base;
	assert_int_equal(resident(memory), 0);
	assert_ptr_equal(gv_pages_first_resident(memory, PAGES * page), memory + PAGES * page);
	memory[10 * page] = 1;
	memory[20 * page] = 1;
	memory[30 * page] = 1;
	assert_int_equal(resident(memory), 3);
	assert_ptr_equal(gv_pages_first_resident(memory, PAGES * page), memory + 10 * page);

	struct iovec ranges[2] = { { memory + 8 * page, 4 * page }, { memory + 20 * page, page } };
	assert_int_equal(gv_pages_drop(ranges, 2), 0);
	assert_int_equal(resident(memory), 1);
	assert_int_equal(memory[10 * page], 0);
	assert_int_equal(memory[30 * page], 1);
	gv_pages_unmap(base, PAGES * page);
}

static void test_first_resident_looks_through_large_ranges(void **state)
{
	(void)state;
	void *base;
	size_t bytes = 1000 * page;

	assert_int_equal(gv_pages_map(bytes, &base), 0);
	char *memory = base;
	memory[777 * page] = 1;
	assert_ptr_equal(gv_pages_first_resident(memory, bytes), memory + 777 * page);
	gv_pages_unmap(base, bytes);
}

static void test_advised_guards_outlive_a_drop(void **state)
{
	(void)state;
	void *base;
	int error;

	assert_int_equal(gv_pages_map(PAGES * page, &base), 0);
	char *memory = base;
	struct iovec guards[3] = { { memory, page },
				   { memory + 10 * page, 2 * page },
				   { memory + 20 * page, page } };
	size_t done = gv_pages_guard_advised(guards, 3, &error);
	if (done == 0) {
		assert_true(error < 0);
		gv_pages_unmap(base, PAGES * page);
		skip(); /* this kernel has no such guards */
	}
	assert_int_equal(done, 3);
	assert_int_equal(error, 0);

	struct iovec all = { memory, PAGES * page };
	memory[page] = 1;
	assert_int_equal(gv_pages_drop(&all, 1), 0);
	assert_int_equal(memory[page], 0);
	assert_int_not_equal(in_child(touch, memory), 0);
	assert_int_not_equal(in_child(touch, memory + 12 * page - 1), 0);
	assert_int_not_equal(in_child(touch, memory + 20 * page), 0);
	assert_int_equal(in_child(touch, memory + 12 * page), 0);
	assert_int_equal(in_child(touch, memory + 10 * page - 1), 0);
	gv_pages_unmap(base, PAGES * page);
}

static void test_protected_guards_outlive_a_drop(void **state)
{
	(void)state;
	void *base;

	assert_int_equal(gv_pages_map(PAGES * page, &base), 0);
	char *memory = base;
	struct iovec guard = { memory + 10 * page, page };
	struct iovec all = { memory, PAGES * page };
	assert_int_equal(gv_pages_guard_protected(&guard), 0);
	assert_int_equal(gv_pages_drop(&all, 1), 0);
	assert_int_not_equal(in_child(touch, memory + 10 * page), 0);
	assert_int_equal(in_child(touch, memory + 11 * page), 0);
	gv_pages_unmap(base, PAGES * page);
}

static void test_a_bad_range_is_an_error(void **state)
{
	(void)state;
	void *base;
	int error = 0;

	assert_int_equal(gv_pages_map(4 * page, &base), 0);
	char *memory = base;
	gv_pages_unmap(base, 4 * page);
	struct iovec gone[2] = { { memory, page }, { memory + 2 * page, page } };
	assert_true(gv_pages_drop(gone, 2) < 0);
	assert_int_equal(gv_pages_guard_advised(gone, 2, &error), 0);
	assert_true(error < 0);
	assert_true(gv_pages_guard_protected(gone) < 0);
}

/* ---- limits; the sanitizers' own address space is above any of them ---- */

struct limited {
	int resource;
	rlim_t limit;
	const char *expected;
};

static int map_until_refused(const char *expected)
{
	void *base;

	for (int i = 0; i < 64; i++) {
		int result = gv_pages_map((size_t)64 << 20, &base);
		if (result != 0)
			return (result == -ENOMEM || result == -EAGAIN) &&
					       strstr(gv_pages_limit_text(), expected) != NULL
				       ? 0
				       : 2;
	}
	return 3;
}

static int map_under_rlimit(void *arg)
{
	const struct limited *limited = arg;
	struct rlimit limit = { limited->limit, limited->limit };

	if (setrlimit((__rlimit_resource_t)limited->resource, &limit) < 0)
		return 1;
	return map_until_refused(limited->expected);
}

static void test_the_limit_is_named(void **state)
{
	(void)state;
	static struct limited address_space = { RLIMIT_AS, (rlim_t)512 << 20, "RLIMIT_AS" };
	static struct limited data = { RLIMIT_DATA, (rlim_t)512 << 20, "RLIMIT_DATA" };

	if (GV_ASAN || GV_TSAN)
		skip();
	assert_int_equal(in_child(map_under_rlimit, &address_space), 0);
	assert_int_equal(in_child(map_under_rlimit, &data), 0);
}

/* Each page differs from its neighbour, so that none of them merge. */
static int use_up_mappings(void *arg)
{
	(void)arg;
	size_t count = gv_os_max_map_count();
	void *base;

	if (count > 200000)
		return 77;
	char *memory = mmap(NULL, count * page, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return 77;
	for (size_t i = 0; i < count; i += 2)
		mprotect(memory + i * page, page, PROT_READ);
	/* Unlike its neighbours too. */
	for (int i = 0; i < 16; i++) {
		if (gv_pages_map(page, &base) != 0)
			return strstr(gv_pages_limit_text(), "vm.max_map_count") != NULL ? 0 : 2;
		if (mprotect(base, page, PROT_READ | PROT_EXEC) < 0)
			return strstr(gv_pages_limit_text(), "no limit") != NULL ? 77 : 2;
	}
	return 3;
}

static void test_the_mapping_count_is_named(void **state)
{
	(void)state;
	if (GV_ASAN || GV_TSAN)
		skip();
	int result = in_child(use_up_mappings, NULL);
	if (result == 77)
		skip();
	assert_int_equal(result, 0);
}

/* 64 MiB under a limit of 64 KiB of locked memory: refused, or neither filled nor locked. */
static int map_under_mlockall(void *arg)
{
	(void)arg;
	void *base;
	struct rlimit small = { 65536, 65536 };
	struct rusage before;
	struct rusage after;

	if (geteuid() != 0 && setrlimit(RLIMIT_MEMLOCK, &small) < 0)
		return 1;
	if (mlockall(MCL_FUTURE) < 0)
		return 77;
	getrusage(RUSAGE_SELF, &before);
	int result = gv_pages_map((size_t)64 << 20, &base);
	if (result != 0)
		return strstr(gv_pages_limit_text(), "RLIMIT_MEMLOCK") != NULL ? 0 : 2;
	getrusage(RUSAGE_SELF, &after);
	struct iovec first = { base, page };
	if (gv_pages_drop(&first, 1) != 0)
		return 3; /* what is locked cannot be dropped */
	return after.ru_maxrss - before.ru_maxrss < 32768 ? 0 : 4;
}

static void test_mlockall_neither_fills_nor_locks(void **state)
{
	(void)state;
	if (GV_ASAN || GV_TSAN)
		skip();
	int result = in_child(map_under_mlockall, NULL);
	if (result == 77)
		skip();
	assert_int_equal(result, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_come_when_touched_and_go_when_dropped),
		cmocka_unit_test(test_first_resident_looks_through_large_ranges),
		cmocka_unit_test(test_advised_guards_outlive_a_drop),
		cmocka_unit_test(test_protected_guards_outlive_a_drop),
		cmocka_unit_test(test_a_bad_range_is_an_error),
		cmocka_unit_test(test_the_limit_is_named),
		cmocka_unit_test(test_the_mapping_count_is_named),
		cmocka_unit_test(test_mlockall_neither_fills_nor_locks),
	};
	page = gv_os_page_size();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
