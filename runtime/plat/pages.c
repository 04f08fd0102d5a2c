/* SPDX-License-Identifier: MIT */
/*
 * pages.c - the memory calls of pages.h, and the diagnosis when one fails.
 *
 * Layer   plat.
 * Owns    `vectored`: whether the kernel takes advice for many ranges at once, learned on first
 *         use; `failed_*`: the latest mapping that was refused.
 *
 * One call with sixteen ranges costs 550 ns a guard and 660 ns a dropped stack, sixteen calls
 * 640 and 1050: the kernel flushes the translation caches once.
 */
#include "plat/pages.h"

#include "base/atomic.h"
#include "base/fault.h"
#include "plat/os.h"
#include "plat/sanitize.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Younger than the headers of the C libraries we build with. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* "This process" where a pidfd is asked for; a real one would name the parent after a fork. */
#define PIDFD_OF_SELF (-10001)

static atomic_bool vectored = true;

static _Atomic size_t failed_bytes;
static _Atomic int failed_error;

/* ---- mapping ---- */

static int failed(size_t bytes, int error)
{
	/* relaxed: two threads that fail at once may mix; both values are true of some failure */
	gv_store(&failed_bytes, bytes, relaxed);
	gv_store(&failed_error, error, relaxed);
	return error == EAGAIN ? -EAGAIN : -ENOMEM;
}

int gv_pages_map(size_t bytes, void **memory)
{
	void *base = MAP_FAILED;

	if (gv_fault_here("pages_mmap"))
		return failed(bytes, ENOMEM);

	/* Without access at first: under mlockall(MCL_FUTURE) the kernel would else fill it now. */
	base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
		    -1, 0);
	if (base == MAP_FAILED)
		return failed(bytes, errno);
	(void)munlock(base, bytes);

	int error = 0;
	if (gv_fault_here("pages_mprotect"))
		error = ENOMEM;
	else if (mprotect(base, bytes, PROT_READ | PROT_WRITE) < 0)
		error = errno;
	if (error != 0) {
		munmap(base, bytes);
		return failed(bytes, error);
	}

	/* Refused by kernels that have no huge pages, which is as good. */
	(void)madvise(base, bytes, MADV_NOHUGEPAGE);
	*memory = base;
	return 0;
}

void gv_pages_unmap(void *memory, size_t bytes)
{
	gv_sanitizer_unmap(memory, bytes);
	munmap(memory, bytes);
}

/* ---- advice ---- */

/* How many whole ranges the kernel has handled in one call; 0 where it cannot do that. */
static size_t advise_at_once(const struct iovec *ranges, size_t count, int advice)
{
#ifdef __NR_process_madvise
	/* relaxed: a hint that saves a failing call */
	if (count < 2 || !gv_load(&vectored, relaxed))
		return 0;

	long bytes = syscall(__NR_process_madvise, PIDFD_OF_SELF, ranges, count, advice, 0);
	if (bytes <= 0) {
		gv_store(&vectored, false, relaxed); /* relaxed: see above */
		return 0;
	}

	size_t done = 0;
	while (done < count && (size_t)bytes >= ranges[done].iov_len)
		bytes -= (long)ranges[done++].iov_len;
	return done;
#else
	(void)ranges, (void)count, (void)advice;
	return 0;
#endif
}

static size_t advise(const struct iovec *ranges, size_t count, int advice, int *error)
{
	*error = 0;
	for (size_t done = advise_at_once(ranges, count, advice); done < count; done++) {
		int result;

		do
			result = madvise(ranges[done].iov_base, ranges[done].iov_len, advice);
		while (result < 0 && errno == EINTR);
		if (result < 0) {
			*error = -errno;
			return done;
		}
	}
	return count;
}

size_t gv_pages_guard_advised(const struct iovec *ranges, size_t count, int *error)
{
	*error = -EINVAL;
	if (gv_fault_here("pages_guard"))
		return 0;
	return advise(ranges, count, MADV_GUARD_INSTALL, error);
}

int gv_pages_guard_protected(const struct iovec *range)
{
	if (gv_fault_here("pages_protect"))
		return -ENOMEM;
	return mprotect(range->iov_base, range->iov_len, PROT_NONE) < 0 ? -errno : 0;
}

int gv_pages_drop(const struct iovec *ranges, size_t count)
{
	int error = -EINVAL;

	if (!gv_fault_here("pages_drop"))
		(void)advise(ranges, count, MADV_DONTNEED, &error);
	return error;
}

char *gv_pages_first_resident(char *low, size_t bytes)
{
	enum { BATCH = 256 };
	unsigned char resident[BATCH];
	size_t page = gv_os_page_size();
	size_t pages = bytes / page;

	for (size_t at = 0; at < pages; at += BATCH) {
		size_t count = GV_MIN(pages - at, (size_t)BATCH);
		if (mincore(low + at * page, count * page, resident) < 0)
			return low;
		for (size_t i = 0; i < count; i++) {
			if (resident[i] & 1)
				return low + (at + i) * page;
		}
	}
	return low + bytes;
}

/* ---- what was in the way ---- */

static bool over_limit(const struct rlimit *limit, size_t used_pages, size_t wanted)
{
	return limit->rlim_cur != RLIM_INFINITY &&
	       used_pages * gv_os_page_size() + wanted > limit->rlim_cur;
}

/* Lines of /proc/self/maps; 0 if it cannot be read. */
static size_t count_mappings(void)
{
	char text[4096];
	size_t lines = 0;
	ssize_t got;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	while ((got = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < got; i++)
			lines += text[i] == '\n';
	}
	close(fd);
	return lines;
}

const char *gv_pages_limit_text(void)
{
	/* relaxed: see failed() */
	size_t wanted = gv_load(&failed_bytes, relaxed);
	int error = gv_load(&failed_error, relaxed);
	size_t total = 0;
	size_t data = 0;
	struct rlimit limit;
	char text[256];

	if (error == 0)
		return "no limit was hit";
	if (error == EAGAIN)
		return "RLIMIT_MEMLOCK (mlockall(MCL_FUTURE) is in force)";

	/* "total resident shared text 0 data 0", in pages */
	if (gv_os_read_file("/proc/self/statm", text, sizeof(text)) > 0)
		(void)sscanf(text, "%zu %*u %*u %*u %*u %zu", &total, &data);
	if (getrlimit(RLIMIT_AS, &limit) == 0 && over_limit(&limit, total, wanted))
		return "RLIMIT_AS (address space, ulimit -v)";
	if (getrlimit(RLIMIT_DATA, &limit) == 0 && over_limit(&limit, data, wanted))
		return "RLIMIT_DATA (ulimit -d)";

	/* The mapping may need a neighbour split off, hence not quite the limit itself. */
	if (count_mappings() + 4 >= gv_os_max_map_count())
		return "vm.max_map_count (mappings per process)";
	if (gv_os_read_file("/proc/sys/vm/overcommit_memory", text, sizeof(text)) > 0 &&
	    text[0] == '2')
		return "the commit limit (vm.overcommit_memory is 2)";
	return "memory";
}
