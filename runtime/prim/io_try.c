/* SPDX-License-Identifier: MIT */
/*
 * io_try.c - system calls that must not block a hub.
 *
 * Layer   prim.
 * Entry   io.c, through the functions in io.h.
 *
 *     sockets            MSG_DONTWAIT; connect and accept need the flag of the description
 *     regular files      directly: they never wait here
 *     pipes, terminals   RWF_NOWAIT; where the file does not know it: directly if O_NONBLOCK is set,
 *                        else only what poll(2) says will not block, one call at a time
 *
 * I1  errno is read right after the system call, and here only.  io.c waits between two tries and
 *     may go on on another pthread, while the compiler takes errno's address for constant.
 */
#include "prim/io.h"

#include "base/compiler.h"
#include "base/fault.h"

#include "grove/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* After POLLOUT a terminal takes this much; what the kernel promises for pipes is PIPE_BUF. */
#define TERMINAL_BYTES ((size_t)256)

static int ready_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int count;

	do
		count = poll(&p, 1, 0);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	if (p.revents & POLLNVAL)
		return -EBADF;
	return p.revents;
}

/* Whether a call on this description returns -EAGAIN instead of blocking.  0, 1 or -errno. */
static int never_blocks(const struct gv_fd_use *use)
{
	if (use->owned)
		return 1;
	int flags = fcntl(use->fd, F_GETFL);
	if (flags < 0)
		return -errno;
	return (flags & O_NONBLOCK) != 0;
}

/*
 * Before a call that blocks unless something is ready: be the only one to make it, and ask whether
 * it is.  Returns 0 if so, and gv_fd_release is owed then.
 */
static int begin_guarded(struct gv_fd_use *use, enum gv_fd_direction direction)
{
	int rc = gv_fd_claim(use, direction, 0);

	if (rc < 0)
		return rc;
	rc = ready_now(use->fd, direction == GV_FD_READ ? POLLIN : POLLOUT);
	if (rc > 0)
		return 0;
	gv_fd_release(use, direction, 0);
	return rc < 0 ? rc : -EAGAIN;
}

static ssize_t read_directly(int fd, struct gv_io *io)
{
	ssize_t n;

	do
		n = read(fd, io->into, io->size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t write_directly(int fd, struct gv_io *io, size_t size)
{
	ssize_t n;

	do
		n = write(fd, io->from, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* The kernel's way around: one call that is told not to wait.  -EOPNOTSUPP if there is none. */
static ssize_t move_nowait(int fd, struct gv_io *io)
{
	struct iovec piece = { .iov_base = io->into, .iov_len = io->size };
	ssize_t n;

	do
		n = io->direction == GV_FD_READ ? preadv2(fd, &piece, 1, -1, RWF_NOWAIT)
						: pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ENOSYS || errno == EINVAL ? -EOPNOTSUPP : -errno;
	return n;
}

/* How much of a write does not block after POLLOUT. */
static size_t write_room(mode_t mode, size_t size)
{
	if (S_ISFIFO(mode))
		return GV_MIN(size, (size_t)PIPE_BUF);
	return S_ISCHR(mode) ? GV_MIN(size, TERMINAL_BYTES) : size;
}

static ssize_t move_guarded(struct gv_fd_use *use, struct gv_io *io, mode_t mode)
{
	ssize_t n = never_blocks(use);
	bool guard = n == 0;

	if (guard)
		n = begin_guarded(use, io->direction);
	if (n < 0)
		return n;
	if (io->direction == GV_FD_READ)
		n = read_directly(use->fd, io);
	else
		n = write_directly(use->fd, io, guard ? write_room(mode, io->size) : io->size);
	if (guard)
		gv_fd_release(use, io->direction, 0);
	return n;
}

/* What is no socket is looked at anew each time: a wrong guess could block the hub. */
static ssize_t move_plain(struct gv_fd_use *use, struct gv_io *io)
{
	struct stat file;

	if (fstat(use->fd, &file) < 0)
		return -errno;
	if (S_ISSOCK(file.st_mode)) {
		int rc = gv_fd_probe(use);
		return rc < 0 ? rc : -ENOTSOCK;
	}
	if (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode) || S_ISBLK(file.st_mode))
		return io->direction == GV_FD_READ ? read_directly(use->fd, io)
						   : write_directly(use->fd, io, io->size);
	ssize_t n = move_nowait(use->fd, io);
	return n == -EOPNOTSUPP ? move_guarded(use, io, file.st_mode) : n;
}

static ssize_t move_on_socket(int fd, struct gv_io *io)
{
	ssize_t n;

	do
		n = io->direction == GV_FD_READ
			    ? recv(fd, io->into, io->size, io->flags | MSG_DONTWAIT)
			    : send(fd, io->from, io->size, io->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* recv and send */
ssize_t gv_io_try_socket(struct gv_fd_use *use, struct gv_io *io)
{
	if (gv_fault_here("socket transfer"))
		return -ENOBUFS;
	if (GV_UNLIKELY(use->kind == GV_FD_UNKNOWN || use->kind == GV_FD_PLAIN)) {
		int rc = gv_fd_probe(use);
		if (rc < 0)
			return rc;
	}
	return move_on_socket(use->fd, io);
}

/* read and write, of anything */
ssize_t gv_io_try_any(struct gv_fd_use *use, struct gv_io *io)
{
	if (gv_fault_here("transfer"))
		return -ENOMEM;
	/* More than one turn only if others change what is behind the number. */
	for (int turn = 0;; turn++) {
		ssize_t n;

		if (GV_UNLIKELY(use->kind == GV_FD_UNKNOWN)) {
			int rc = gv_fd_probe(use);
			if (rc < 0)
				return rc;
		}
		if (GV_LIKELY(use->kind != GV_FD_PLAIN)) {
			n = move_on_socket(use->fd, io);
			if (GV_LIKELY(n != -ENOTSOCK))
				return n;
			use->kind = GV_FD_PLAIN;
		}
		n = move_plain(use, io);
		if (n != -ENOTSOCK || turn == 2)
			return n;
	}
}

/* For size 0, which reads nothing: is it open? */
ssize_t gv_io_try_nothing(struct gv_fd_use *use, struct gv_io *io)
{
	(void)io;
	return fcntl(use->fd, F_GETFD) < 0 ? -errno : 0;
}

/* A listener that has nothing to accept, or no listener, which never will. */
static int check_listens(int fd)
{
	int listens = 0;
	socklen_t length = sizeof(listens);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) < 0)
		return -errno;
	return listens ? -EAGAIN : -EINVAL;
}

ssize_t gv_io_try_accept(struct gv_fd_use *use, struct gv_io *io)
{
	int rc = never_blocks(use);
	bool guard = rc == 0;
	int fd;

	if (use->owned && use->kind == GV_FD_UNKNOWN)
		rc = gv_fd_probe(use);
	if (guard && rc >= 0)
		rc = begin_guarded(use, GV_FD_READ);
	if (rc < 0)
		return rc == -EAGAIN ? check_listens(use->fd) : rc;
	do {
		fd = gv_fault_here("accept")
			     ? (errno = EMFILE, -1)
			     : accept4(use->fd, io->peer, io->length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && (errno == EINTR || (errno == ECONNABORTED && !guard)));
	if (fd < 0)
		rc = errno == ECONNABORTED ? -EAGAIN : -errno;
	if (guard)
		gv_fd_release(use, GV_FD_READ, 0);
	if (fd < 0)
		return rc;
	/* What is known of somebody else's listener may be out of date. */
	gv_fd_own(fd, use->owned ? use->kind : GV_FD_UNKNOWN);
	return fd;
}

/* connect(2) for a description that may block, and that nobody else can be using yet. */
static int connect_nonblocking(const struct gv_fd_use *use, const struct gv_io *io)
{
	int flags = use->owned ? O_NONBLOCK : fcntl(use->fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (!(flags & O_NONBLOCK) && fcntl(use->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	int rc = gv_fault_here("connect") ? (errno = ENETUNREACH, -1)
					  : connect(use->fd, io->to, (socklen_t)io->size);
	rc = rc < 0 ? -errno : 0;
	if (!(flags & O_NONBLOCK))
		(void)fcntl(use->fd, F_SETFL, flags);
	return rc;
}

static int connect_outcome(int fd)
{
	int error = 0;
	socklen_t length = sizeof(error);
	int ready = ready_now(fd, POLLOUT);

	if (ready <= 0)
		return ready < 0 ? ready : -EAGAIN;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return -error;
}

ssize_t gv_io_try_connect(struct gv_fd_use *use, struct gv_io *io)
{
	if (io->started)
		return connect_outcome(use->fd);

	int rc = connect_nonblocking(use, io);
	if (rc == -EAGAIN && io->to->sa_family == AF_UNIX)
		return GV_IO_QUEUE_FULL;
	if (rc == -EINPROGRESS || rc == -EINTR) {
		io->started = true;
		return -EAGAIN;
	}
	return rc;
}

/* What of the events in `flags` is ready; -EAGAIN if nothing is. */
ssize_t gv_io_try_ready(struct gv_fd_use *use, struct gv_io *io)
{
	unsigned wanted = (unsigned)io->flags;
	int events = (wanted & GROVE_READ ? POLLIN | POLLRDHUP : 0) |
		     (wanted & GROVE_WRITE ? POLLOUT : 0);
	int found = ready_now(use->fd, (short)events);
	unsigned ready = 0;

	if (found < 0)
		return found;
	if (found & (POLLERR | POLLHUP))
		return (ssize_t)wanted;
	if ((found & (POLLIN | POLLRDHUP)) || (gv_fd_look(use, GV_FD_READ) & GV_FD_SHUT))
		ready |= GROVE_READ & wanted;
	if ((found & POLLOUT) || (gv_fd_look(use, GV_FD_WRITE) & GV_FD_SHUT))
		ready |= GROVE_WRITE & wanted;
	return ready != 0 ? (ssize_t)ready : -EAGAIN;
}

int gv_io_shutdown(int fd, int how)
{
	return shutdown(fd, how) < 0 ? -errno : 0;
}
