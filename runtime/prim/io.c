/* SPDX-License-Identifier: MIT */
/*
 * io.c - reading, writing, accepting, connecting: try, and wait if the kernel would block.
 *
 * Layer   prim.  Below: prim/fd.h, which is no primitive but what these are made of.
 * Entry   include/grove/io.h.
 *
 * Each operation has a function that tries (io_try.c); perform() calls it until it does not say
 * -EAGAIN any more, and waits in between.
 *
 * I2  Each call tries at least once, unless it was killed or the descriptor was closed.
 * I3  A transfer that moved something ends the call.
 * I4  errno is not read here: see I1 in io_try.c.
 */
#include "prim/io.h"

#include "base/compiler.h"
#include "plat/clock.h"

#include "grove/io.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

/* The kernel moves no more at once, so this much is not short. */
#define MOST_AT_ONCE ((size_t)0x7ffff000)

/* --- trying and waiting ------------------------------------------------------------------------- */

static bool is_poll(grove_deadline deadline)
{
	return deadline.ns == INT64_MIN;
}

static inline ssize_t code_of(ssize_t n)
{
	return GV_UNLIKELY(n == -ETIMEDOUT) ? GROVE_PEER_LOST : n;
}

static inline bool is_short(const struct gv_fd_use *use, const struct gv_io *io, ssize_t n)
{
	return io->drains && use->kind == GV_FD_TCP && n > 0 &&
	       (size_t)n < GV_MIN(io->size, MOST_AT_ONCE);
}

static ssize_t perform(struct gv_fd_use *use, struct gv_io *io, grove_deadline deadline)
{
	bool tried = false;
	ssize_t n;

	for (;;) {
		uint64_t seen = gv_fd_look(use, io->direction);

		if (GV_UNLIKELY(!gv_fd_current(use, seen)))
			return -EBADF;
		if (io->eager || is_poll(deadline) || !gv_fd_wait_first(use, seen)) {
			tried = true;
			n = io->try(use, io);
			if (GV_LIKELY(n != -EAGAIN)) {
				if (is_short(use, io, n) && !(seen & GV_FD_STICKY))
					gv_fd_blocked(use, io->direction, seen);
				return code_of(n);
			}
			gv_fd_blocked(use, io->direction, seen);
			if (is_poll(deadline))
				return -EAGAIN;
		}
		int rc = gv_fd_wait(use, io->direction, deadline);
		if (GV_LIKELY(rc == 0))
			continue;
		if (tried || (rc != -ETIMEDOUT && rc != GROVE_IN_HUB))
			return rc;
		/* I2: what we believed may not be true any more. */
		n = io->try(use, io);
		return n != -EAGAIN ? code_of(n) : rc;
	}
}

static ssize_t complete(int fd, struct gv_io *io, grove_deadline deadline)
{
	struct gv_fd_use use;
	int rc = gv_fd_enter(fd, &use);

	if (GV_UNLIKELY(rc < 0))
		return rc;
	ssize_t n = perform(&use, io, deadline);
	(void)gv_fd_leave(&use);
	return n;
}

/* --- transfers ---------------------------------------------------------------------------------- */

ssize_t grove_read(int fd, void *buffer, size_t size, grove_deadline deadline)
{
	struct gv_io io = {
		.try = GV_LIKELY(size != 0) ? gv_io_try_any : gv_io_try_nothing,
		.direction = GV_FD_READ,
		.eager = size == 0,
		.drains = true,
		.into = buffer,
		.size = size,
	};

	if (GV_UNLIKELY(size > SSIZE_MAX))
		return -EINVAL;
	return complete(fd, &io, deadline);
}

ssize_t grove_write(int fd, const void *buffer, size_t size, grove_deadline deadline)
{
	struct gv_io io = {
		.try = gv_io_try_any,
		.direction = GV_FD_WRITE,
		.drains = true,
		.from = buffer,
		.size = size,
	};

	if (GV_UNLIKELY(size > SSIZE_MAX))
		return -EINVAL;
	return complete(fd, &io, deadline);
}

ssize_t grove_recv(int fd, void *buffer, size_t size, int flags, grove_deadline deadline)
{
	const int ordinary = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC;
	struct gv_io io = {
		.try = gv_io_try_socket,
		.direction = GV_FD_READ,
		.eager = (flags & (MSG_OOB | MSG_ERRQUEUE)) || size == 0,
		.drains = (flags & ~ordinary) == 0,
		.flags = flags,
		.into = buffer,
		.size = size,
	};

	if (GV_UNLIKELY(size > SSIZE_MAX))
		return -EINVAL;
	if (flags & MSG_DONTWAIT)
		deadline = GROVE_POLL;
	if (size == 0) {
		/* The kernel would wait on a stream for what it then does not read. */
		ssize_t n = complete(fd, &io, GROVE_POLL);
		return n == -EAGAIN ? 0 : n;
	}
	return complete(fd, &io, deadline);
}

ssize_t grove_send(int fd, const void *buffer, size_t size, int flags, grove_deadline deadline)
{
	struct gv_io io = {
		.try = gv_io_try_socket,
		.direction = GV_FD_WRITE,
		.drains = (flags & MSG_OOB) == 0,
		.flags = flags,
		.from = buffer,
		.size = size,
	};

	if (GV_UNLIKELY(size > SSIZE_MAX))
		return -EINVAL;
	if (flags & MSG_DONTWAIT)
		deadline = GROVE_POLL;
	return complete(fd, &io, deadline);
}

/* All of it, as one use of the descriptor. */
static int move_all(int fd, struct gv_io *io, grove_deadline deadline)
{
	size_t left = io->size;
	struct gv_fd_use use;
	int rc = left > SSIZE_MAX ? -EINVAL : 0;
	bool entered = false;

	if (rc == 0 && left > 0) {
		rc = gv_fd_enter(fd, &use);
		entered = rc == 0;
	}
	while (rc == 0 && left > 0) {
		ssize_t n = perform(&use, io, deadline);

		if (n > 0) {
			left -= (size_t)n;
			io->into += n;
			io->size -= (size_t)n;
		} else if (n == 0) {
			/* No device should take nothing and not say why. */
			rc = io->direction == GV_FD_READ ? GROVE_END : -EIO;
		} else {
			rc = (int)n;
		}
		/* Between the pieces, whether or not the next one goes at once. */
		if (rc == 0 && left > 0 && !is_poll(deadline) && deadline.ns != INT64_MAX &&
		    gv_clock_ns() >= deadline.ns)
			rc = -ETIMEDOUT;
	}
	if (entered)
		(void)gv_fd_leave(&use);
	return rc;
}

int grove_read_full(int fd, void *buffer, size_t size, size_t *done, grove_deadline deadline)
{
	struct gv_io io = {
		.try = gv_io_try_any,
		.direction = GV_FD_READ,
		.drains = true,
		.into = buffer,
		.size = size,
	};
	int rc = move_all(fd, &io, deadline);

	if (done != NULL)
		*done = size - io.size;
	return rc;
}

int grove_write_full(int fd, const void *buffer, size_t size, size_t *done, grove_deadline deadline)
{
	struct gv_io io = {
		.try = gv_io_try_any,
		.direction = GV_FD_WRITE,
		.drains = true,
		.from = buffer,
		.size = size,
	};
	int rc = move_all(fd, &io, deadline);

	if (done != NULL)
		*done = size - io.size;
	return rc;
}

/* --- sockets ------------------------------------------------------------------------------------ */

int grove_accept(int fd, struct sockaddr *address, socklen_t *length, grove_deadline deadline)
{
	struct gv_io io = {
		.try = gv_io_try_accept,
		.direction = GV_FD_READ,
		.peer = address,
		.length = length,
	};

	return (int)complete(fd, &io, deadline);
}

/* Nothing tells when the queue of a unix socket has room: try again, less and less often. */
static ssize_t connect_to_busy(struct gv_fd_use *use, struct gv_io *io, grove_deadline deadline)
{
	int64_t pause_ns = 1000000;

	for (;;) {
		int64_t until = gv_clock_ns() + pause_ns;

		if (is_poll(deadline))
			return -EAGAIN;
		int rc = gv_fd_pause(use, GV_FD_WRITE, GROVE_DEADLINE(GV_MIN(until, deadline.ns)));
		if (rc < 0 && (rc != -ETIMEDOUT || until >= deadline.ns))
			return rc;
		ssize_t n = perform(use, io, deadline);
		if (n != GV_IO_QUEUE_FULL)
			return n;
		pause_ns = GV_MIN(2 * pause_ns, INT64_C(50000000));
	}
}

int grove_connect(int fd, const struct sockaddr *address, socklen_t length, grove_deadline deadline)
{
	struct gv_io io = {
		.try = gv_io_try_connect,
		.direction = GV_FD_WRITE,
		.eager = true,
		.to = address,
		.size = length,
	};
	struct gv_fd_use use;

	if (address == NULL)
		return -EFAULT;
	int rc = gv_fd_enter(fd, &use);
	if (rc < 0)
		return rc;
	ssize_t n = perform(&use, &io, deadline);
	if (n == GV_IO_QUEUE_FULL)
		n = connect_to_busy(&use, &io, deadline);
	(void)gv_fd_leave(&use);
	return (int)n;
}

int grove_shutdown(int fd, int how)
{
	struct gv_fd_use use;
	int rc = gv_fd_enter(fd, &use);

	if (rc < 0)
		return rc;
	rc = gv_io_shutdown(fd, how);
	/* The kernel reports it as well, but not of every kind of socket. */
	if (rc == 0 && how != SHUT_WR)
		gv_fd_mark(&use, GV_FD_READ, GV_FD_STICKY | GV_FD_SHUT);
	if (rc == 0 && how != SHUT_RD)
		gv_fd_mark(&use, GV_FD_WRITE, GV_FD_STICKY | GV_FD_SHUT);
	(void)gv_fd_leave(&use);
	return rc;
}

/* --- readiness ---------------------------------------------------------------------------------- */

/*
 * Either direction: both are claimed, the wait is on the word for reading, and what makes the
 * descriptor writable is forwarded there (GV_FD_FORWARD) from before each look at it.
 */
static ssize_t wait_for_either(struct gv_fd_use *use, struct gv_io *io, grove_deadline deadline)
{
	ssize_t n = gv_fd_claim(use, GV_FD_READ, 0);

	if (n < 0)
		return n;
	n = gv_fd_claim(use, GV_FD_WRITE, GV_FD_FORWARD);
	if (n < 0)
		goto release_read;
	for (;;) {
		uint64_t seen_read = gv_fd_look(use, GV_FD_READ);
		uint64_t seen_write = gv_fd_look(use, GV_FD_WRITE);

		n = gv_fd_current(use, seen_read) ? gv_io_try_ready(use, io) : -EBADF;
		if (n != -EAGAIN)
			break;
		gv_fd_blocked(use, GV_FD_READ, seen_read);
		gv_fd_blocked(use, GV_FD_WRITE, seen_write);
		n = gv_fd_wait_claimed(use, GV_FD_READ, deadline);
		if (n < 0)
			break;
	}
	gv_fd_release(use, GV_FD_WRITE, GV_FD_FORWARD);
release_read:
	gv_fd_release(use, GV_FD_READ, 0);
	return n;
}

int grove_fd_wait(int fd, unsigned events, grove_deadline deadline)
{
	struct gv_io io = {
		.try = gv_io_try_ready,
		.direction = events == GROVE_WRITE ? GV_FD_WRITE : GV_FD_READ,
		.flags = (int)events,
	};
	struct gv_fd_use use;

	if (events == 0 || (events & ~(GROVE_READ | GROVE_WRITE)))
		return -EINVAL;
	if (events != (GROVE_READ | GROVE_WRITE))
		return (int)complete(fd, &io, deadline);

	int rc = gv_fd_enter(fd, &use);
	if (rc < 0)
		return rc;
	ssize_t n = gv_io_try_ready(&use, &io);
	if (n == -EAGAIN && !is_poll(deadline))
		n = wait_for_either(&use, &io, deadline);
	(void)gv_fd_leave(&use);
	return (int)n;
}
