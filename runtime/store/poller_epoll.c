/* SPDX-License-Identifier: MIT */
/*
 * poller_epoll.c - the contract of poller.h over epoll and an eventfd.
 *
 * Layer   store.  Below: plat/lock.h.
 * Owns    the two descriptors of struct gv_poller.
 * Entry   poller.h.
 *
 * The bell (eventfd) is in the set, level-triggered, and only a wait that may block reads it.  A
 * thread that merely looks cannot take an interruption from the one that sleeps, and no flag
 * saves a write: an interrupter that stops between flag and write would hold up all others.
 *
 *   OPEN --- a call fails with EBADF or EINVAL ---> LOST --- renew ---> OPEN, generation + 1
 *                                                     ^                   (told by one wait)
 *                                                     '--- no descriptor left: the next call tries
 *
 * E1  Only renew and close change the descriptors, under the lock.  Others read them without, and
 *     learn from a failure that a number is stale.
 * E2  A number that was lost is never closed here: it may be somebody else's by now.
 *
 * [renewed]  renew stores the descriptors, then generation (all release).
 *            A call loads generation, then a descriptor (all acquire).
 *     Who finds the same generation after a failure knows that the set which failed is the present
 *     one; who finds another tries again with a newer set.  Who finds a number finds what renew
 *     has made of it.
 */
#include "store/poller.h"

#include "base/check.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { WATCHED = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI };

static uint32_t decode(uint32_t events)
{
	uint32_t ready = 0;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		ready |= GV_POLL_READABLE;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		ready |= GV_POLL_WRITABLE;
	if (events & EPOLLHUP)
		ready |= GV_POLL_HANGUP;
	if (events & EPOLLRDHUP)
		ready |= GV_POLL_READ_HANGUP;
	if (events & EPOLLERR)
		ready |= GV_POLL_ERROR;
	if (events & EPOLLPRI)
		ready |= GV_POLL_URGENT;
	return ready;
}

/* The number may name something else by now. */
static bool is_our_kind(int fd, const char *kind)
{
	char path[64], name[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, name, sizeof(name) - 1);
	if (length < 0)
		return false;
	name[length] = '\0';
	return strcmp(name, kind) == 0;
}

static int open_bell(void)
{
	if (gv_fault_here("poller_bell"))
		return -EMFILE;

	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return bell < 0 ? -errno : bell;
}

static int open_set(int bell)
{
	if (gv_fault_here("poller_set"))
		return -EMFILE;

	int set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		return -errno;

	struct epoll_event ring = { .events = EPOLLIN, .data.u64 = GV_POLLER_COOKIE_RESERVED };
	if (epoll_ctl(set, EPOLL_CTL_ADD, bell, &ring) == 0)
		return set;
	int code = -errno;
	(void)close(set);
	return code;
}

/* Make a new set, and a new bell if *bell is not usable.  The old set is forgotten, not closed. */
static int renew_locked(struct gv_poller *poller, int bell)
{
	bool new_bell = bell < 0;
	if (new_bell) {
		bell = open_bell();
		if (bell < 0)
			return bell;
	}

	int set = open_set(bell);
	if (set < 0) {
		if (new_bell)
			(void)close(bell);
		return set;
	}
	/* [renewed]  relaxed: written under the lock */
	uint32_t generation = gv_load(&poller->generation, relaxed);
	gv_store(&poller->bell, bell, release);
	gv_store(&poller->set, set, release);
	gv_store(&poller->generation, generation + 1, release);
	return 0;
}

int gv_poller_open(struct gv_poller *poller)
{
	*poller = (struct gv_poller){ .set = -1, .bell = -1 };
	return renew_locked(poller, -1);
}

void gv_poller_close(struct gv_poller *poller)
{
	/* relaxed: nobody else uses the poller any more */
	int set = gv_xchg(&poller->set, -1, relaxed);
	int bell = gv_xchg(&poller->bell, -1, relaxed);

	if (set >= 0)
		(void)close(set);
	if (bell >= 0)
		(void)close(bell);
}

int gv_poller_reopen(struct gv_poller *poller)
{
	/* The descriptors are shared with the parent, but closing them here is ours alone.  So is
	 * the lock, whoever held it at the time of the fork. */
	gv_poller_close(poller);
	return gv_poller_open(poller);
}

/*
 * A call on the set of this generation failed as only a lost set fails.  Returns 0: there is a set
 * to try again with; or why there is none.
 */
static int replace_lost(struct gv_poller *poller, uint32_t generation)
{
	int code = 0;

	gv_lock_acquire(&poller->lock);
	/* relaxed: written under the lock */
	if (gv_load(&poller->generation, relaxed) == generation) {
		int bell = gv_load(&poller->bell, relaxed);
		bool usable = bell >= 0 && is_our_kind(bell, "anon_inode:[eventfd]");

		gv_store(&poller->set, -1, relaxed); /* relaxed: as in renew */
		code = renew_locked(poller, usable ? bell : -1);
		if (code == 0)
			gv_store(&poller->lost, 1, relaxed); /* relaxed: one exchange takes it */
	}
	gv_lock_release(&poller->lock);

	/* Whoever sleeps in the old set shall notice; the bell is in both. */
	if (code == 0)
		gv_poller_interrupt(poller);
	return code;
}

/* epoll_ctl says EBADF of either descriptor, EINVAL if `set` is of another kind, or `fd` itself. */
static bool set_is_lost(int code, int set, int fd)
{
	return (code == -EBADF && fcntl(set, F_GETFD) < 0) || (code == -EINVAL && fd != set);
}

static int control_once(int set, int operation, int fd, uint64_t cookie)
{
	struct epoll_event event = { .events = WATCHED | (uint32_t)EPOLLET, .data.u64 = cookie };

	if (gv_fault_here("poller_control"))
		return -ENOMEM;
	return epoll_ctl(set, operation, fd, &event) == 0 ? 0 : -errno;
}

static int control(struct gv_poller *poller, int operation, int fd, uint64_t cookie)
{
	GV_DEBUG_CHECK(cookie != GV_POLLER_COOKIE_RESERVED, "descriptor %d", fd);

	/* A second failure of this kind is not the set's. */
	for (int attempt = 0;; attempt++) {
		/* [renewed] */
		uint32_t generation = gv_load(&poller->generation, acquire);
		int set = gv_load(&poller->set, acquire);

		int code = control_once(set, operation, fd, cookie);
		if (code == 0 || attempt == 1 || !set_is_lost(code, set, fd))
			return code;
		int lost = replace_lost(poller, generation);
		if (lost < 0)
			return lost;
	}
}

int gv_poller_add(struct gv_poller *poller, int fd, uint64_t cookie)
{
	return control(poller, EPOLL_CTL_ADD, fd, cookie);
}

int gv_poller_rearm(struct gv_poller *poller, int fd, uint64_t cookie)
{
	int code = control(poller, EPOLL_CTL_MOD, fd, cookie);
	if (code == -ENOENT)
		code = control(poller, EPOLL_CTL_ADD, fd, cookie);
	/* Somebody was quicker; what it has added is changed now. */
	if (code == -EEXIST)
		code = control(poller, EPOLL_CTL_MOD, fd, cookie);
	return code;
}

int gv_poller_remove(struct gv_poller *poller, int fd)
{
	return control(poller, EPOLL_CTL_DEL, fd, 0);
}

/* Milliseconds, rounded up; -1 for ever. */
static int coarse_timeout(int64_t timeout_ns)
{
	if (timeout_ns < 0)
		return -1;
	int64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
	return (int)GV_MIN(ms, (int64_t)INT_MAX);
}

#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 35)
#define HAVE_EPOLL_PWAIT2
#endif
#endif

#ifdef HAVE_EPOLL_PWAIT2
/* Whether the kernel has the call: 0 perhaps, 1 no. */
static _Atomic int pwait2_missing;

static int wait_fine(int set, struct epoll_event *events, int room, int64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / 1000000000),
		.tv_nsec = (long)(timeout_ns % 1000000000),
	};

	/* relaxed: a wrong guess costs one more call */
	if (timeout_ns <= 0 || gv_load(&pwait2_missing, relaxed) || gv_fault_here("poller_pwait2"))
		return epoll_wait(set, events, room, coarse_timeout(timeout_ns));

	int count = epoll_pwait2(set, events, room, &timeout, NULL);
	/* Some sandboxes answer EPERM to calls that they do not know. */
	if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
		gv_store(&pwait2_missing, 1, relaxed); /* relaxed: as above */
		return epoll_wait(set, events, room, coarse_timeout(timeout_ns));
	}
	return count;
}
#else
static int wait_fine(int set, struct epoll_event *events, int room, int64_t timeout_ns)
{
	return epoll_wait(set, events, room, coarse_timeout(timeout_ns));
}
#endif

static void quiet_bell(struct gv_poller *poller)
{
	uint64_t count;

	/* [renewed]  EAGAIN: it was another wait's. */
	(void)!read(gv_load(&poller->bell, acquire), &count, sizeof(count));
}

static int take_events(struct gv_poller *poller, const struct epoll_event *events, int count,
		       struct gv_poll_event out[], bool may_block)
{
	int taken = 0;

	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == GV_POLLER_COOKIE_RESERVED) {
			if (may_block)
				quiet_bell(poller);
			continue;
		}
		out[taken++] = (struct gv_poll_event){
			.cookie = events[i].data.u64,
			.ready = decode(events[i].events),
		};
	}
	return taken;
}

int gv_poller_wait(struct gv_poller *poller, struct gv_poll_event out[], int room,
		   int64_t timeout_ns)
{
	struct epoll_event events[GV_POLLER_BATCH];

	GV_CHECK(room > 0, "room %d", room);
	/* relaxed: the exchange decides who tells */
	if (GV_UNLIKELY(gv_load(&poller->lost, relaxed)) && gv_xchg(&poller->lost, 0, relaxed))
		return -EBADF;
	if (gv_fault_here("poller_wait"))
		return 0; /* as after a signal */

	/* [renewed] */
	uint32_t generation = gv_load(&poller->generation, acquire);
	int set = gv_load(&poller->set, acquire);

	int count = wait_fine(set, events, GV_MIN(room, (int)GV_POLLER_BATCH), timeout_ns);
	if (GV_LIKELY(count >= 0))
		return take_events(poller, events, count, out, timeout_ns != 0);
	if (errno == EINTR)
		return 0;
	if (errno != EBADF && errno != EINVAL)
		return -errno;

	int code = replace_lost(poller, generation);
	if (code < 0)
		return code;
	return gv_xchg(&poller->lost, 0, relaxed) ? -EBADF : 0; /* relaxed: decides who tells */
}

void gv_poller_interrupt(struct gv_poller *poller)
{
	const uint64_t one = 1;
	int saved = errno;

	/* [renewed]  A full counter is ready as well. */
	(void)!write(gv_load(&poller->bell, acquire), &one, sizeof(one));
	errno = saved;
}
