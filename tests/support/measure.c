/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include "scale.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void gt_die(const char *file, int line, const char *format, ...)
{
	va_list values;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fputc('\n', stderr);
	abort();
}

bool gt_slow_build(void)
{
	return GT_SCALE != 1;
}

/* --- the command line --- */

bool gt_show(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--show") == 0)
			return true;
	}
	return false;
}

int64_t gt_number(int argc, char **argv, const char *name, int64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return strtoll(argv[i + 1], NULL, 0);
	}
	return otherwise;
}

/* --- samples --- */

void gt_sample(struct gt_samples *samples, int64_t value)
{
	if (samples->count == samples->room) {
		samples->room = samples->room == 0 ? 1024 : 2 * samples->room;
		samples->value = realloc(samples->value, samples->room * sizeof(samples->value[0]));
		GT_CHECK(samples->value != NULL);
	}
	samples->value[samples->count++] = value;
}

void gt_samples_add(struct gt_samples *to, const struct gt_samples *from)
{
	for (size_t i = 0; i < from->count; i++)
		gt_sample(to, from->value[i]);
}

void gt_samples_free(struct gt_samples *samples)
{
	free(samples->value);
	*samples = (struct gt_samples){ 0 };
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t gt_percentile(struct gt_samples *samples, double part)
{
	if (samples->count == 0)
		return 0;
	qsort(samples->value, samples->count, sizeof(samples->value[0]), compare);

	size_t rank = (size_t)ceil(part * (double)samples->count);
	return samples->value[rank == 0 ? 0 : rank - 1];
}

void gt_print_samples(const char *name, struct gt_samples *samples, double unit)
{
	static const double parts[] = { 0.5, 0.99, 0.999, 1 };

	if (name == NULL) {
		printf("%-28s %8s %10s %10s %10s %10s\n", "", "count", "p50", "p99", "p99.9",
		       "max");
		return;
	}
	printf("%-28s %8zu", name, samples->count);
	for (size_t i = 0; i < GV_ARRAY_LEN(parts); i++)
		printf(" %10.3f", (double)gt_percentile(samples, parts[i]) / unit);
	putchar('\n');
}

/* --- the machine --- */

int64_t gt_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

struct gt_machine gt_machine_now(void)
{
	enum { IDLE = 3, WAITING = 4, STEAL = 7, FIELDS = 8 };
	struct gt_machine machine = { 0 };
	uint64_t ticks[FIELDS] = { 0 };
	char line[512] = "";
	struct timespec cpu;
	FILE *file = fopen("/proc/stat", "r");

	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	if (file != NULL)
		fclose(file);
	char *at = line + strcspn(line, " ");
	for (int i = 0; i < FIELDS; i++) {
		ticks[i] = strtoull(at, &at, 10);
		machine.total += ticks[i];
	}
	machine.idle = ticks[IDLE] + ticks[WAITING];
	machine.steal = ticks[STEAL];

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	uint64_t ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
	machine.own = ns / (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
	return machine;
}

static double part(uint64_t some, uint64_t all)
{
	return all == 0 ? 0 : (double)some / (double)all;
}

double gt_stolen_since(const struct gt_machine *since)
{
	struct gt_machine now = gt_machine_now();

	return part(now.steal - since->steal, now.total - since->total);
}

double gt_others_since(const struct gt_machine *since)
{
	struct gt_machine now = gt_machine_now();
	uint64_t total = now.total - since->total;
	uint64_t known = now.idle - since->idle + now.steal - since->steal + now.own - since->own;

	return known >= total ? 0 : part(total - known, total);
}

void gt_print_machine(const struct gt_machine *since)
{
	printf("machine: %ld CPUs, meanwhile %.2f %% of their time stolen by the host, "
	       "%.1f %% used by others\n",
	       sysconf(_SC_NPROCESSORS_ONLN), 100 * gt_stolen_since(since),
	       100 * gt_others_since(since));
}

/* --- a process --- */

static pid_t known_pid(pid_t pid)
{
	return pid != 0 ? pid : getpid();
}

/* The text behind "name:" in a file of that form. */
static bool read_field(const char *path, const char *name, char *text, size_t room)
{
	char line[256];
	size_t length = strlen(name);
	bool found = false;
	FILE *file = fopen(path, "r");

	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, name, length) != 0 || line[length] != ':')
			continue;
		snprintf(text, room, "%s", line + length + 1);
		found = true;
	}
	if (file != NULL)
		fclose(file);
	return found;
}

int64_t gt_status_kib(pid_t pid, const char *field)
{
	char path[64];
	char text[128];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)known_pid(pid));
	return read_field(path, field, text, sizeof(text)) ? strtoll(text, NULL, 10) : -1;
}

/* Call fn with the folder of each thread. */
static void each_thread(pid_t pid, bool only_hubs, void (*fn)(const char *folder, void *arg),
			void *arg)
{
	char tasks[64];
	char folder[128];
	char path[160];
	char name[32];
	struct dirent *entry;

	pid = known_pid(pid);
	snprintf(tasks, sizeof(tasks), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(tasks);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(folder, sizeof(folder), "%s/%.20s", tasks, entry->d_name);
		snprintf(path, sizeof(path), "%s/status", folder);
		if (only_hubs && strtol(entry->d_name, NULL, 10) != pid &&
		    (!read_field(path, "Name", name, sizeof(name)) ||
		     strstr(name, "grove-hub") == NULL))
			continue;
		fn(folder, arg);
	}
	if (dir != NULL)
		closedir(dir);
}

static void add_switches(const char *folder, void *arg)
{
	uint64_t *sum = arg;
	char path[160];
	char text[64];

	snprintf(path, sizeof(path), "%s/status", folder);
	if (read_field(path, "voluntary_ctxt_switches", text, sizeof(text)))
		*sum += strtoull(text, NULL, 10);
}

uint64_t gt_voluntary_switches(pid_t pid, bool only_hubs)
{
	uint64_t sum = 0;

	each_thread(pid, only_hubs, add_switches, &sum);
	return sum;
}

static void add_cpu(const char *folder, void *arg)
{
	int64_t *sum = arg;
	char path[160];
	int64_t ns = 0;

	snprintf(path, sizeof(path), "%s/schedstat", folder);
	FILE *file = fopen(path, "r");
	GT_CHECK(file != NULL);
	GT_CHECK_IS(1, fscanf(file, "%" SCNd64, &ns));
	fclose(file);
	*sum += ns;
}

int64_t gt_cpu_ns(pid_t pid, bool only_hubs)
{
	int64_t sum = 0;

	each_thread(pid, only_hubs, add_cpu, &sum);
	return sum;
}

static void add_one(const char *folder, void *arg)
{
	(void)folder;
	++*(unsigned *)arg;
}

unsigned gt_thread_count(pid_t pid)
{
	unsigned count = 0;

	each_thread(pid, false, add_one, &count);
	return count;
}

unsigned gt_descriptor_count(void)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (dir != NULL && readdir(dir) != NULL)
		count++;
	if (dir != NULL)
		closedir(dir);
	return count;
}
