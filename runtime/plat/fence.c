/* SPDX-License-Identifier: MIT */
/*
 * fence.c - membarrier, or full fences.
 *
 * Layer   plat.
 * Owns    gv_fence_strong.
 */
#include "plat/fence.h"

#include "base/check.h"
#include "base/fault.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Full until gv_fence_setup has proved that less is enough. */
bool gv_fence_strong = true;

#if GV_TSAN
_Atomic unsigned gv_fence_word;
#endif

static int membarrier(int command)
{
	if (gv_fault_here("membarrier"))
		return -ENOSYS;
	return syscall(__NR_membarrier, command, 0, 0) < 0 ? -errno : 0;
}

int gv_fence_setup(void)
{
	int result = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);

	/* Seen to work once, before anything relies on it. */
	if (result == 0)
		result = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	gv_fence_strong = result != 0;
	return result;
}

/* A process may lock itself in after its start; the slow command needs no registration. */
static GV_COLD void heavy_failed(int error)
{
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
		return;
	GV_CHECK(false,
		 "membarrier worked at start and fails now (error %d): was a system call filter "
		 "installed while Grove runs?",
		 -error);
}

void gv_fence_heavy(void)
{
	gv_fence_full();
	if (gv_fence_strong)
		return;

	int saved = errno;
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0)
		heavy_failed(-errno);
	errno = saved;
}
