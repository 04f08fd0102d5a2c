/* SPDX-License-Identifier: MIT */
/*
 * measure.h - what the programs that show a distribution share: samples, and what the kernel knows
 * of a process and of the machine.
 *
 * Anything that does not hold ends the program: its callers stand on stacks of greenlets, where a
 * test library could not jump away from.
 */
#ifndef GT_MEASURE_H
#define GT_MEASURE_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

_Noreturn GV_PRINTF(3, 4) void gt_die(const char *file, int line, const char *format, ...);

#define GT_CHECK(condition)                                                                        \
	do {                                                                                       \
		if (!(condition))                                                                  \
			gt_die(__FILE__, __LINE__, "%s", #condition);                              \
	} while (0)

#define GT_CHECK_IS(expected, value)                                                               \
	do {                                                                                       \
		long long value_ = (long long)(value);                                             \
		if (value_ != (long long)(expected))                                               \
			gt_die(__FILE__, __LINE__, "%s is %lld, not %s", #value, value_,           \
			       #expected);                                                         \
	} while (0)

/* Whether the sanitizer or another slow build makes times meaningless. */
bool gt_slow_build(void);

/* --- the command line: `--show` measures and prints, `--name N` sets a number --- */

bool gt_show(int argc, char **argv);
int64_t gt_number(int argc, char **argv, const char *name, int64_t otherwise);

/* --- samples --- */

/* Zeroed: empty. */
struct gt_samples {
	int64_t *value;
	size_t count;
	size_t room;
};

void gt_sample(struct gt_samples *samples, int64_t value);
void gt_samples_add(struct gt_samples *to, const struct gt_samples *from);
void gt_samples_free(struct gt_samples *samples);

/* The smallest value that `part` of all (0.999, say) do not exceed; sorts.  0 if there are none. */
int64_t gt_percentile(struct gt_samples *samples, double part);

/* A line with p50, p99, p99.9 and the largest, each divided by `unit`; `name` may be NULL: the
 * line with the names of the columns. */
void gt_print_samples(const char *name, struct gt_samples *samples, double unit);

/* --- the machine --- */

/* CLOCK_MONOTONIC. */
int64_t gt_now_ns(void);

/* Of all CPUs since the machine started, in clock ticks. */
struct gt_machine {
	uint64_t total;
	uint64_t idle;
	uint64_t steal;
	uint64_t own; /* of this process */
};

struct gt_machine gt_machine_now(void);

/* Parts of the time since then: taken by the host; used by other processes. */
double gt_stolen_since(const struct gt_machine *since);
double gt_others_since(const struct gt_machine *since);
void gt_print_machine(const struct gt_machine *since);

/* --- a process; 0 is the caller's --- */

/* A field of /proc/<pid>/status in KiB, such as "VmRSS"; -1 if there is none. */
int64_t gt_status_kib(pid_t pid, const char *field);

/* Voluntary context switches of all its threads; only_hubs: of those that Grove made, and of the
 * first one. */
uint64_t gt_voluntary_switches(pid_t pid, bool only_hubs);

/* The same threads: CPU time in nanoseconds. */
int64_t gt_cpu_ns(pid_t pid, bool only_hubs);

unsigned gt_thread_count(pid_t pid);
unsigned gt_descriptor_count(void);

#endif
