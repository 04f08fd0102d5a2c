/* SPDX-License-Identifier: MIT */
/*
 * os.h - what the machine and the kernel allow this process.
 *
 * Layer   plat.  No state: every call looks again, so a changed quota or affinity is seen.
 */
#ifndef GV_PLAT_OS_H
#define GV_PLAT_OS_H

#include "base/compiler.h"

#include <stdbool.h>

/*
 * How many hubs make sense: CPUs of the affinity mask, limited by the CPU quotas of the process's
 * control group and all groups above it (rounded up), at least 1.
 *
 * Some tens of microseconds; may be asked again every second or so.
 */
unsigned gv_os_cpu_count(void);

/*
 * The CPUs of the affinity mask of the calling thread, ascending.
 *
 * Returns how many there are, which may be more than `room`.
 */
size_t gv_os_cpu_list(int *cpus, size_t room);

/*
 * The smallest quota that the named files lead to, in whole CPUs, rounded up; 0 = unlimited.
 * gv_os_cpu_count() passes /proc/self/cgroup and /proc/self/mountinfo.
 */
unsigned gv_os_cpu_quota(const char *cgroup_file, const char *mountinfo_file);

/* Keep the calling thread on one CPU.  Returns 0 or -errno. */
int gv_os_pin(int cpu);

/* Let the calling thread run on all of these again.  Returns 0 or -errno. */
int gv_os_pin_to(const int *cpus, size_t count);

/* Name the calling thread for top and gdb; what is longer than 15 bytes is cut. */
void gv_os_thread_name(const char *name);

size_t gv_os_page_size(void);

/* vm.max_map_count; the kernel's default if it cannot be read. */
size_t gv_os_max_map_count(void);

/* Threads of this process; 0 if it cannot be told. */
unsigned gv_os_task_count(void);

/*
 * Read a small file as one string.
 *
 * Returns the length, or -errno; the text is cut to room - 1 bytes.  No allocation.
 */
long gv_os_read_file(const char *path, char *text, size_t room);

#endif
