/* SPDX-License-Identifier: MIT */
/**
 * @file
 * io.h - descriptors: POSIX calls that suspend the greenlet instead of the thread.
 *
 * Each call takes a plain descriptor, does what the POSIX function of that name does, has a
 * deadline as its last parameter, and returns a count or descriptor, or a negative code; errno
 * means nothing afterwards.  It tries first and waits only if the kernel says it would block.
 * EINTR never comes back.  The kernel's ETIMEDOUT comes back as GROVE_PEER_LOST, so -ETIMEDOUT is
 * always the call's own deadline.
 *
 * What moved, counts: a call that transferred something reports it, and a kill or deadline that
 * came meanwhile is met by the next call that suspends.
 *
 * Directions  One call may wait for each direction of a descriptor (reading and accepting; writing
 *             and connecting) at a time; a second one gets -EBUSY and the first is not disturbed.
 *             Both directions at once are fine.  (gevent: ConcurrentObjectUseError.)
 * Flags       O_NONBLOCK of a descriptor that Grove did not open is left alone.  Sockets work
 *             either way.  A pipe or terminal that blocks is never left to block a hub where the
 *             kernel offers a way around it (RWF_NOWAIT, or the wait before the call); a blocking
 *             listener that another process accepts from too may block a hub, so give those
 *             O_NONBLOCK.  Regular files never wait here.
 * SIGPIPE     is not raised for sockets; writing to a pipe without a reader raises it as usual.
 * Closing     Close descriptors that greenlets use with grove_close.  One that was closed behind
 *             Grove's back, and whose number the kernel gave out anew, is noticed at the next call
 *             on it; grove_fd_forget ends waits that were left on it.
 *
 * From         greenlets, which suspend, and foreign pthreads, which block; a wait of theirs
 *              starts the runtime if it does not run, and may then give any code of grove_start.
 *              In hub callbacks: what can complete at once; what would wait gives GROVE_IN_HUB.
 *              Not from signal handlers.
 * Threads      safe; what several calls on one descriptor do to each other is POSIX's matter.
 * Races        readiness, deadline, kill, close and stop each try to claim a wait; the first
 *              decides alone.  Nothing is read or written by a call that ended otherwise.
 *
 * Where a comment says "io codes" it means, besides the kernel's own for that call:
 *   -ETIMEDOUT       the deadline came before anything could be done
 *   -EAGAIN          it would wait, and the deadline is GROVE_POLL
 *   -EBADF           fd is not open, or was closed with grove_close during the call
 *   -EBUSY           another call waits for this direction of fd
 *   GROVE_PEER_LOST  the kernel gave up on the other side
 *   -ENOMEM          no memory to remember the descriptor
 *   wait codes       GROVE_KILLED, GROVE_INTERRUPTED, GROVE_IN_HUB, GROVE_DEADLOCK, -ECANCELED:
 *                    see base.h
 */
#ifndef GROVE_IO_H
#define GROVE_IO_H

#include <grove/base.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** For grove_fd_wait: something can be read or accepted, or the end of the stream is there. */
#define GROVE_READ 0x1u
/** For grove_fd_wait: something can be written, or a connection attempt has ended. */
#define GROVE_WRITE 0x2u

/**
 * Wait until a descriptor is ready.
 *
 * events       GROVE_READ, GROVE_WRITE or both.
 *
 * Returns      the events out of these that are ready, at least one.  An error or hang-up counts
 *              as both: the next read or write will tell.  Files that never wait are ready.
 *              -EINVAL   events is empty or has other bits
 *              io codes  see the head of this file
 *
 * Ready means that a call did not have to wait at that moment; somebody else may have been faster.
 *
 * gevent: wait_read, wait_write, wait_readwrite; eventlet: trampoline, for one direction only.
 */
GROVE_API GROVE_MUST_CHECK int grove_fd_wait(int fd, unsigned events, grove_deadline deadline);

/**
 * Read up to size bytes, as read(2).
 *
 * buffer       receives them; must live until the call returns.
 *
 * Returns      how many were read, at least 1; 0 at the end of the stream, or for size 0
 *              -EINVAL   size is larger than SSIZE_MAX
 *              io codes  see the head of this file
 */
GROVE_API GROVE_MUST_CHECK ssize_t grove_read(int fd, void *buffer, size_t size,
					      grove_deadline deadline);

/**
 * Write up to size bytes, as write(2) on a descriptor that does not block: some may be left.
 *
 * Returns      how many were written, at least 1; 0 only for size 0
 *              -EINVAL   size is larger than SSIZE_MAX
 *              -EPIPE    nobody reads any more
 *              io codes  see the head of this file
 */
GROVE_API GROVE_MUST_CHECK ssize_t grove_write(int fd, const void *buffer, size_t size,
					       grove_deadline deadline);

/**
 * Receive from a socket, as recv(2).
 *
 * flags        MSG_ flags of recv.  MSG_DONTWAIT makes the call behave as with GROVE_POLL;
 *              MSG_WAITALL is honoured only as far as one call of the kernel goes (use
 *              grove_read_full).
 *
 * Returns      as grove_read; -ENOTSOCK if fd is no socket
 */
GROVE_API GROVE_MUST_CHECK ssize_t grove_recv(int fd, void *buffer, size_t size, int flags,
					      grove_deadline deadline);

/**
 * Send to a connected socket, as send(2).
 *
 * flags        MSG_ flags of send; MSG_NOSIGNAL is added.  MSG_DONTWAIT as in grove_recv.
 *
 * Returns      as grove_write; -ENOTSOCK if fd is no socket
 */
GROVE_API GROVE_MUST_CHECK ssize_t grove_send(int fd, const void *buffer, size_t size, int flags,
					      grove_deadline deadline);

/**
 * Read until size bytes are there.
 *
 * done         receives how many were read, whatever the call returns.  May be NULL.
 * deadline     for all of it together.
 *
 * Returns      0          all of them
 *              GROVE_END  the stream ended first
 *              -EINVAL    size is larger than SSIZE_MAX
 *              io codes   see the head of this file; what was read until then is in buffer
 */
GROVE_API GROVE_MUST_CHECK int grove_read_full(int fd, void *buffer, size_t size, size_t *done,
					       grove_deadline deadline);

/**
 * Write size bytes.
 *
 * done         receives how many were written, whatever the call returns.  May be NULL.
 * deadline     for all of it together; looked at between the pieces even if each goes at once.
 *
 * Returns      0         all of them; size 0 makes no system call
 *              -EINVAL   size is larger than SSIZE_MAX
 *              -EPIPE    nobody reads any more
 *              io codes  see the head of this file
 *
 * gevent: sendall.
 */
GROVE_API GROVE_MUST_CHECK int grove_write_full(int fd, const void *buffer, size_t size,
						size_t *done, grove_deadline deadline);

/**
 * Accept a connection, as accept(2).
 *
 * address, length  as in accept; may be NULL.
 *
 * Returns      a new descriptor, at least 0, close-on-exec and not blocking; the caller closes it
 *              -EMFILE, -ENFILE  no descriptors left; nothing was taken from the queue.  A server
 *                                (server.h) waits a little then, a loop of your own should too
 *              -EINVAL           fd does not listen
 *              io codes          see the head of this file
 *
 * A connection that is gone before it was accepted (ECONNABORTED) is skipped.
 */
GROVE_API GROVE_MUST_CHECK int grove_accept(int fd, struct sockaddr *address, socklen_t *length,
					    grove_deadline deadline);

/**
 * Connect a socket, as connect(2).
 *
 * deadline     for the whole attempt.
 *
 * Returns      0             connected
 *              -ECONNREFUSED, -ENETUNREACH, ...  the kernel's
 *              io codes      see the head of this file
 *
 * After any error the socket is good for nothing but grove_close; the kernel may still be trying.
 */
GROVE_API GROVE_MUST_CHECK int grove_connect(int fd, const struct sockaddr *address,
					     socklen_t length, grove_deadline deadline);

/**
 * Close a descriptor, and end all waits on it with -EBADF.
 *
 * Returns      0       closed, or about to be
 *              -EBADF  it is not open, or was closed before
 *              the kernel's, such as -EIO; it is closed all the same
 *
 * Never suspends.  The number goes back to the kernel when the last call of Grove that was using
 * it has left, so no such call, and no late wake-up, ever meets whoever gets the number next.
 *
 * Races        an operation that had moved data reports it; all others get -EBADF.  Of two closers
 *              one gets 0.
 *
 * gevent: closing a socket on which others wait, with the same outcome.
 */
GROVE_API int grove_close(int fd);

/**
 * Shut a socket down, as shutdown(2): SHUT_RD, SHUT_WR or SHUT_RDWR.
 *
 * Waits in that direction end, and find what POSIX has for them: the end of the stream, -EPIPE, or
 * -EINVAL from accept.
 *
 * Returns      0            done
 *              -ENOTCONN, -ENOTSOCK, -EBADF, -EINVAL  the kernel's
 *
 * Never suspends.
 */
GROVE_API int grove_shutdown(int fd, int how);

/**
 * Drop what Grove knows of a descriptor, without closing it, and end all waits on it with -EBADF:
 * before it is handed to somebody else, or after it was closed without Grove.
 *
 * Returns      0       forgotten, also if it was not known
 *              -EBADF  fd is negative
 *
 * Never suspends.  A later call on the number starts afresh.
 */
GROVE_API int grove_fd_forget(int fd);

/**
 * Make a listening stream socket.
 *
 * host         a numeric IPv4 or IPv6 address, "::" for all of both kinds, NULL or "" for the
 *              same; or "unix:" and a path (or "unix:@" and an abstract name).
 * port         0 to 65535; 0: the kernel chooses one (see getsockname).  Not used with "unix:".
 *
 * Returns      a descriptor, at least 0, close-on-exec and not blocking, with SO_REUSEADDR and the
 *              longest backlog the kernel allows; the caller closes it
 *              GROVE_DNS(EAI_NONAME)  host is not numeric
 *              -EINVAL                a port out of range
 *              -ENAMETOOLONG          a path that does not fit
 *              -EADDRINUSE, -EACCES, -EMFILE, ...  the kernel's; a path that exists is in use
 *
 * Never suspends.
 *
 * From         anywhere.
 */
GROVE_API GROVE_MUST_CHECK int grove_tcp_listen(const char *host, int port);

/**
 * Make a stream socket that is connected.
 *
 * host         a numeric IPv4 or IPv6 address, or "unix:" as in grove_tcp_listen.
 * port         1 to 65535.  Not used with "unix:".
 * deadline     for the whole attempt.
 *
 * Returns      a descriptor, at least 0, close-on-exec and not blocking; the caller closes it
 *              GROVE_DNS(EAI_NONAME)  host is not numeric, NULL or ""
 *              -EINVAL                a port out of range
 *              -ENAMETOOLONG          a path that does not fit
 *              -ECONNREFUSED, -EMFILE, ...  the kernel's
 *              io codes               see the head of this file
 *
 * Whatever ends it early, no descriptor is left.
 */
GROVE_API GROVE_MUST_CHECK int grove_tcp_connect(const char *host, int port,
						 grove_deadline deadline);

#ifdef __cplusplus
}
#endif

#endif
