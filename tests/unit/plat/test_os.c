/* SPDX-License-Identifier: MIT */
/*
 * test_os.c - CPUs, quotas, threads.
 *
 * Quotas are tried on invented control groups: files in a temporary directory.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "plat/os.h"

/* ---- invented control groups ---- */

struct place {
	char root[64];
	char cgroup[128];
	char mountinfo[128];
};

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* Write a file below the root, with the directories it needs. */
static void put(const struct place *place, const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", place->root, name);
	for (char *at = path + strlen(place->root) + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*at = '/';
	}
	write_file(path, text);
}

static void put_mount(const struct place *place, const char *root, const char *kind)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "21 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw\n"
		 "30 23 0:26 %s %s/fs rw,nosuid shared:4 master:1 - %s\n",
		 root, place->root, kind);
	write_file(place->mountinfo, text);
}

static int make_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (place == NULL)
		return -1;
	*state = place;
	strcpy(place->root, "/tmp/grove-os-XXXXXX");
	if (mkdtemp(place->root) == NULL)
		return -1;
	snprintf(place->cgroup, sizeof(place->cgroup), "%s/cgroup", place->root);
	snprintf(place->mountinfo, sizeof(place->mountinfo), "%s/mountinfo", place->root);
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", place->root);
	int result = system(command);
	free(place);
	return result;
}

static unsigned quota(const struct place *place)
{
	return gv_os_cpu_quota(place->cgroup, place->mountinfo);
}

static void test_quota_of_version_2_is_rounded_up(void **state)
{
	const struct place *place = *state;

	write_file(place->cgroup, "0::/app\n");
	put_mount(place, "/", "cgroup2 cgroup2 rw,nsdelegate");
	put(place, "fs/app/cpu.max", "150000 100000\n");
	assert_int_equal(quota(place), 2);
	put(place, "fs/app/cpu.max", "100000 100000\n");
	assert_int_equal(quota(place), 1);
	put(place, "fs/app/cpu.max", "1000 100000\n");
	assert_int_equal(quota(place), 1);
	put(place, "fs/app/cpu.max", "max 100000\n");
	assert_int_equal(quota(place), 0);
}

/* A group may not use more than the groups above it, whatever its own file says. */
static void test_quota_of_an_ancestor_counts(void **state)
{
	const struct place *place = *state;

	write_file(place->cgroup, "0::/slice/pod/app\n");
	put_mount(place, "/", "cgroup2 cgroup2 rw");
	put(place, "fs/slice/pod/app/cpu.max", "max 100000\n");
	put(place, "fs/slice/cpu.max", "350000 100000\n");
	assert_int_equal(quota(place), 4);
	put(place, "fs/slice/pod/cpu.max", "200000 100000\n");
	assert_int_equal(quota(place), 2);
	put(place, "fs/slice/pod/app/cpu.max", "900000 100000\n");
	assert_int_equal(quota(place), 2);
}

/* In a container the mount shows a part of the tree, and the group's path begins with it. */
static void test_quota_is_found_below_a_mounted_part(void **state)
{
	const struct place *place = *state;

	write_file(place->cgroup, "0::/docker/abc/inner\n");
	put_mount(place, "/docker/abc", "cgroup2 cgroup2 rw");
	put(place, "fs/inner/cpu.max", "max 100000\n");
	put(place, "fs/cpu.max", "300000 100000\n");
	assert_int_equal(quota(place), 3);

	/* A path outside of what is mounted: the mount's root is the best we can see. */
	write_file(place->cgroup, "0::/../elsewhere\n");
	assert_int_equal(quota(place), 3);
}

static void test_quota_of_version_1_is_read(void **state)
{
	const struct place *place = *state;

	write_file(place->cgroup, "12:memory:/app\n4:cpu,cpuacct:/app\n1:name=systemd:/x\n0::/\n");
	put_mount(place, "/", "cgroup cgroup rw,cpu,cpuacct");
	put(place, "fs/app/cpu.cfs_quota_us", "250000\n");
	put(place, "fs/app/cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota(place), 3);
	put(place, "fs/app/cpu.cfs_quota_us", "-1\n");
	assert_int_equal(quota(place), 0);
	put(place, "fs/cpu.cfs_quota_us", "50000\n");
	put(place, "fs/cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota(place), 1);
}

/* "cpuset" is another controller, and a long line must not hide those behind it. */
static void test_quota_survives_odd_files(void **state)
{
	const struct place *place = *state;
	char *text = malloc(20000);

	assert_non_null(text);
	write_file(place->cgroup, "5:cpuset,cpuacct:/app\nno colons\n:\n\n");
	put_mount(place, "/", "cgroup cgroup rw,cpuset");
	put(place, "fs/app/cpu.cfs_quota_us", "100000\n");
	put(place, "fs/app/cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota(place), 0);

	write_file(place->cgroup, "0::/app");
	int length = snprintf(text, 20000, "1 1 0:1 / /%09000d rw - overlay x y\n", 0);
	snprintf(text + length, 20000 - (size_t)length,
		 "broken line\n30 23 0:26 / %s/f\\163 rw - cgroup2 c rw", place->root);
	write_file(place->mountinfo, text);
	put(place, "fs/app/cpu.max", "200000 100000");
	assert_int_equal(quota(place), 0); /* a line without its end is no line */
	strcat(text, "\n");
	write_file(place->mountinfo, text);
	write_file(place->cgroup, "0::/app\n");
	assert_int_equal(quota(place), 2);
	free(text);

	put(place, "fs/app/cpu.max", "");
	assert_int_equal(quota(place), 0);
	assert_int_equal(gv_os_cpu_quota("/nonexistent", place->mountinfo), 0);
	assert_int_equal(gv_os_cpu_quota(place->cgroup, "/nonexistent"), 0);
}

/* ---- affinity ---- */

static void test_cpu_list_is_the_affinity_mask(void **state)
{
	(void)state;
	int cpus[1024];
	cpu_set_t set;
	size_t count = gv_os_cpu_list(cpus, 1024);

	assert_in_range(count, 1, 1024);
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_int_equal(count, CPU_COUNT(&set));
	for (size_t i = 0; i < count; i++) {
		assert_true(CPU_ISSET((size_t)cpus[i], &set));
		assert_true(i == 0 || cpus[i - 1] < cpus[i]);
	}
	assert_in_range(gv_os_cpu_count(), 1, count);
}

static void test_pin_moves_the_thread_and_back(void **state)
{
	(void)state;
	int cpus[1024];
	size_t count = gv_os_cpu_list(cpus, 1024);

	assert_int_equal(gv_os_pin(cpus[count - 1]), 0);
	assert_int_equal(sched_getcpu(), cpus[count - 1]);
	assert_int_equal(gv_os_cpu_count(), 1);
	assert_int_equal(gv_os_pin_to(cpus, count), 0);
	assert_int_equal(gv_os_cpu_list(NULL, 0), count);
	assert_int_equal(gv_os_pin(-1), -EINVAL);
	assert_int_equal(gv_os_pin(8191), -EINVAL);
	assert_int_equal(gv_os_pin(1 << 20), -EINVAL);
}

/* ---- the rest ---- */

static void test_thread_name_is_cut(void **state)
{
	(void)state;
	char before[16];
	char name[16];

	assert_int_equal(pthread_getname_np(pthread_self(), before, sizeof(before)), 0);
	gv_os_thread_name("a-name-that-is-too-long");
	assert_int_equal(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
	assert_string_equal(name, "a-name-that-is-");
	gv_os_thread_name(before);
}

static _Atomic bool stop;

static void *wait_for_stop(void *arg)
{
	while (!gv_load(&stop, relaxed)) /* relaxed: nothing else is shared */
		sched_yield();
	return arg;
}

static void test_task_count_follows_threads(void **state)
{
	(void)state;
	pthread_t thread;

	/* A sanitizer starts a thread of its own beside the first one. */
	gv_store(&stop, true, relaxed); /* relaxed: nothing else is shared */
	assert_int_equal(pthread_create(&thread, NULL, wait_for_stop, NULL), 0);
	pthread_join(thread, NULL);
	gv_store(&stop, false, relaxed); /* ditto */

	unsigned before = gv_os_task_count();
	assert_true(before >= 1);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_stop, NULL), 0);
	assert_int_equal(gv_os_task_count(), before + 1);
	gv_store(&stop, true, relaxed); /* relaxed: nothing else is shared */
	pthread_join(thread, NULL);
}

static void test_page_size_and_mappings_are_sane(void **state)
{
	(void)state;
	size_t page = gv_os_page_size();

	assert_true(page >= 4096 && (page & (page - 1)) == 0);
	assert_true(gv_os_max_map_count() >= 1024);
}

static void test_read_file_cuts_and_reports(void **state)
{
	const struct place *place = *state;
	char text[6];

	write_file(place->cgroup, "0123456789");
	assert_int_equal(gv_os_read_file(place->cgroup, text, sizeof(text)), 5);
	assert_string_equal(text, "01234");
	assert_int_equal(gv_os_read_file("/nonexistent", text, sizeof(text)), -ENOENT);
	assert_int_equal(gv_os_read_file("/", text, sizeof(text)), -EISDIR);
}

int main(void)
{
#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)
	const struct CMUnitTest tests[] = {
		WITH_PLACE(test_quota_of_version_2_is_rounded_up),
		WITH_PLACE(test_quota_of_an_ancestor_counts),
		WITH_PLACE(test_quota_is_found_below_a_mounted_part),
		WITH_PLACE(test_quota_of_version_1_is_read),
		WITH_PLACE(test_quota_survives_odd_files),
		cmocka_unit_test(test_cpu_list_is_the_affinity_mask),
		cmocka_unit_test(test_pin_moves_the_thread_and_back),
		cmocka_unit_test(test_thread_name_is_cut),
		cmocka_unit_test(test_task_count_follows_threads),
		cmocka_unit_test(test_page_size_and_mappings_are_sane),
		WITH_PLACE(test_read_file_cuts_and_reports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
