/* SPDX-License-Identifier: MIT */
/*
 * os.c - CPUs, quotas, threads, pages.
 *
 * Layer   plat.
 *
 * Where the quota stands.  /proc/self/cgroup names our group within each hierarchy; the hierarchy
 * is mounted somewhere, perhaps with a part of it as its root, as /proc/self/mountinfo tells.
 * Version 2 has one file per group, "cpu.max" with "quota period" or "max period"; version 1 has
 * cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us.  A group is held by the quota of every group
 * above it too, so the walk goes up to the mount point.
 */
#include "plat/os.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Enough for 8192 CPUs; the kernel refuses a set that is smaller than its own. */
enum { CPU_SET_BITS = 8192 };

/* ---- files, read without allocation ---- */

static ssize_t read_retry(int fd, void *buffer, size_t room)
{
	ssize_t got;

	do
		got = read(fd, buffer, room);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static int open_to_read(const char *path)
{
	if (gv_fault_here("os_open"))
		return -EMFILE;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

long gv_os_read_file(const char *path, char *text, size_t room)
{
	int fd = open_to_read(path);
	if (fd < 0)
		return fd;

	size_t length = 0;
	ssize_t got = 0;
	while (length < room - 1) {
		got = read_retry(fd, text + length, room - 1 - length);
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	close(fd);
	if (got < 0)
		return got;
	text[length] = '\0';
	return (long)length;
}

/* Lines of a file of any length, one at a time. */
struct lines {
	int fd;
	size_t begin;
	size_t end;
	char buffer[4096];
};

static int lines_open(struct lines *lines, const char *path)
{
	lines->fd = open_to_read(path);
	lines->begin = 0;
	lines->end = 0;
	return lines->fd < 0 ? lines->fd : 0;
}

/* What does not fit the buffer is passed over: the tail of such a line reads as a line. */
static char *lines_next(struct lines *lines)
{
	for (;;) {
		char *line = lines->buffer + lines->begin;
		char *stop = memchr(line, '\n', lines->end - lines->begin);
		if (stop != NULL) {
			*stop = '\0';
			lines->begin = (size_t)(stop - lines->buffer) + 1;
			return line;
		}

		memmove(lines->buffer, line, lines->end - lines->begin);
		lines->end -= lines->begin;
		lines->begin = 0;
		if (lines->end == sizeof(lines->buffer))
			lines->end = 0;

		ssize_t got = read_retry(lines->fd, lines->buffer + lines->end,
					 sizeof(lines->buffer) - lines->end);
		if (got <= 0)
			return NULL;
		lines->end += (size_t)got;
	}
}

static void lines_close(struct lines *lines)
{
	close(lines->fd);
}

/* ---- quota ---- */

enum version { VERSION_1, VERSION_2 };

/* One mounted hierarchy, and our place in it. */
struct hierarchy {
	enum version version;
	char group[1024]; /* as /proc/self/cgroup has it */
	char root[1024];  /* what part of the hierarchy is mounted */
	char mount[1024]; /* and where */
};

/* True if the comma-separated list contains the word. */
static bool list_contains(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; at != NULL; at = strchr(at, ',')) {
		if (*at == ',')
			at++;
		if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
	}
	return false;
}

static bool copy_text(char *to, size_t room, const char *from)
{
	size_t length = strlen(from);

	if (length >= room)
		return false;
	memcpy(to, from, length + 1);
	return true;
}

/* Lines "id:controllers:path"; version 2 is "0::path". */
static bool find_group(struct hierarchy *h, const char *cgroup_file)
{
	struct lines lines;
	bool found = false;
	char *line;

	if (lines_open(&lines, cgroup_file) < 0)
		return false;
	while (!found && (line = lines_next(&lines)) != NULL) {
		char *controllers = strchr(line, ':');
		char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		if (path == NULL)
			continue;
		*path++ = '\0';
		controllers++;
		found = h->version == VERSION_2 ? *controllers == '\0'
						: list_contains(controllers, "cpu");
		if (found)
			found = copy_text(h->group, sizeof(h->group), path);
	}
	lines_close(&lines);
	return found;
}

/* Spaces and backslashes of a path are written as \040 and \134. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
		    from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* Lines "id parent device root mount options [tags] - type source superoptions". */
static bool parse_mount(struct hierarchy *h, char *line)
{
	char *rest = strstr(line, " - ");
	char *field[5];
	char *save = NULL;

	if (rest == NULL)
		return false;
	*rest = '\0';
	for (int i = 0; i < 5; i++) {
		field[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (field[i] == NULL)
			return false;
	}

	char *type = strtok_r(rest + 3, " ", &save);
	if (strtok_r(NULL, " ", &save) == NULL)
		return false;
	char *options = strtok_r(NULL, " ", &save);
	if (type == NULL || options == NULL)
		return false;
	if (h->version == VERSION_2 ? strcmp(type, "cgroup2") != 0
				    : strcmp(type, "cgroup") != 0 || !list_contains(options, "cpu"))
		return false;

	unescape(field[3]);
	unescape(field[4]);
	return copy_text(h->root, sizeof(h->root), field[3]) &&
	       copy_text(h->mount, sizeof(h->mount), field[4]);
}

static bool find_mount(struct hierarchy *h, const char *mountinfo_file)
{
	struct lines lines;
	bool found = false;
	char *line;

	if (lines_open(&lines, mountinfo_file) < 0)
		return false;
	while (!found && (line = lines_next(&lines)) != NULL)
		found = parse_mount(h, line);
	lines_close(&lines);
	return found;
}

/* The part of the group's path below the mounted root; "" if the group lies elsewhere. */
static const char *below_root(const struct hierarchy *h)
{
	size_t length = strlen(h->root);

	if (strcmp(h->root, "/") == 0)
		return strcmp(h->group, "/") == 0 ? "" : h->group;
	if (strncmp(h->group, h->root, length) == 0 &&
	    (h->group[length] == '/' || h->group[length] == '\0'))
		return h->group + length;
	return "";
}

static unsigned round_up_cpus(long long quota, long long period)
{
	if (quota <= 0 || period <= 0)
		return 0;
	long long cpus = (quota + period - 1) / period;
	return cpus > CPU_SET_BITS ? 0 : (unsigned)cpus;
}

static bool read_in(const char *directory, const char *name, char *text, size_t room)
{
	char path[2200];
	int length = snprintf(path, sizeof(path), "%s/%s", directory, name);

	return length > 0 && (size_t)length < sizeof(path) && gv_os_read_file(path, text, room) > 0;
}

/* 0: no limit in this one group. */
static unsigned quota_of(enum version version, const char *directory)
{
	char text[64];
	char *end;

	if (version == VERSION_2) {
		if (!read_in(directory, "cpu.max", text, sizeof(text)))
			return 0;
		long long quota = strtoll(text, &end, 10); /* "max" gives 0 */
		return round_up_cpus(quota, strtoll(end, NULL, 10));
	}

	if (!read_in(directory, "cpu.cfs_quota_us", text, sizeof(text)))
		return 0;
	long long quota = strtoll(text, NULL, 10);
	if (!read_in(directory, "cpu.cfs_period_us", text, sizeof(text)))
		return 0;
	return round_up_cpus(quota, strtoll(text, NULL, 10));
}

static unsigned tighter(unsigned a, unsigned b)
{
	if (a == 0 || b == 0)
		return GV_MAX(a, b);
	return GV_MIN(a, b);
}

static unsigned quota_in(enum version version, const char *cgroup_file, const char *mountinfo_file)
{
	struct hierarchy h = { .version = version };
	char directory[2100];
	unsigned cpus = 0;

	if (!find_group(&h, cgroup_file) || !find_mount(&h, mountinfo_file))
		return 0;

	size_t top = strlen(h.mount);
	int length = snprintf(directory, sizeof(directory), "%s%s", h.mount, below_root(&h));
	if (length < 0 || (size_t)length >= sizeof(directory))
		return 0;
	for (;;) {
		cpus = tighter(cpus, quota_of(version, directory));
		char *slash = strrchr(directory, '/');
		if (slash == NULL || slash < directory + top)
			return cpus;
		*slash = '\0';
	}
}

unsigned gv_os_cpu_quota(const char *cgroup_file, const char *mountinfo_file)
{
	return tighter(quota_in(VERSION_2, cgroup_file, mountinfo_file),
		       quota_in(VERSION_1, cgroup_file, mountinfo_file));
}

/* ---- affinity ---- */

typedef union {
	unsigned char bytes[CPU_SET_BITS / 8];
	cpu_set_t set;
} wide_set;

size_t gv_os_cpu_list(int *cpus, size_t room)
{
	wide_set allowed;
	size_t count = 0;

	if (gv_fault_here("sched_getaffinity") ||
	    sched_getaffinity(0, sizeof(allowed), &allowed.set) < 0) {
		if (room > 0)
			cpus[0] = 0;
		return 1;
	}
	for (int cpu = 0; cpu < CPU_SET_BITS; cpu++) {
		if (!CPU_ISSET_S((size_t)cpu, sizeof(allowed), &allowed.set))
			continue;
		if (count < room)
			cpus[count] = cpu;
		count++;
	}
	return GV_MAX(count, 1);
}

unsigned gv_os_cpu_count(void)
{
	unsigned allowed = (unsigned)gv_os_cpu_list(NULL, 0);

	return tighter(allowed, gv_os_cpu_quota("/proc/self/cgroup", "/proc/self/mountinfo"));
}

int gv_os_pin_to(const int *cpus, size_t count)
{
	wide_set wanted;

	memset(&wanted, 0, sizeof(wanted));
	for (size_t i = 0; i < count; i++) {
		if (cpus[i] < 0 || cpus[i] >= CPU_SET_BITS)
			return -EINVAL;
		CPU_SET_S((size_t)cpus[i], sizeof(wanted), &wanted.set);
	}
	if (gv_fault_here("sched_setaffinity"))
		return -EPERM;
	return -pthread_setaffinity_np(pthread_self(), sizeof(wanted), &wanted.set);
}

int gv_os_pin(int cpu)
{
	return gv_os_pin_to(&cpu, 1);
}

/* ---- the rest ---- */

void gv_os_thread_name(const char *name)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%s", name);
	(void)pthread_setname_np(pthread_self(), text);
}

size_t gv_os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

size_t gv_os_max_map_count(void)
{
	char text[32];

	if (gv_os_read_file("/proc/sys/vm/max_map_count", text, sizeof(text)) <= 0)
		return 65530;
	return strtoul(text, NULL, 10);
}

unsigned gv_os_task_count(void)
{
	char text[1024];

	/* "pid (name) state ppid ..."; the name may hold anything, so the count starts behind it. */
	if (gv_os_read_file("/proc/self/stat", text, sizeof(text)) <= 0)
		return 0;
	char *at = strrchr(text, ')');
	for (int field = 2; at != NULL && field < 20; field++)
		at = strchr(at + 1, ' ');
	return at != NULL ? (unsigned)strtoul(at, NULL, 10) : 0;
}
