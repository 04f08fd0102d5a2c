/* SPDX-License-Identifier: MIT */
/**
 * @file
 * server.h - a stream server: accepts connections, and gives each to a greenlet of its own.
 *
 * gevent's StreamServer.  It accepts until stopped; some connections at a time, so that others
 * get their turn.  While descriptors or greenlets run out it pauses, 10 ms at first and then twice
 * as long up to 1 s, and goes on.  If the listener itself is broken (-EBADF, -EINVAL, -ENOTSOCK) it
 * says so in the log and accepts no more.
 */
#ifndef GROVE_SERVER_H
#define GROVE_SERVER_H

#include <grove/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A server. */
typedef struct grove_server grove_server;

/** A pool of greenlets.  This release has none yet. */
typedef struct grove_pool grove_pool;

/**
 * Serves one connection, in a greenlet of its own.  fd is closed when the function returns or its
 * greenlet ends otherwise; do not close it (dup it to keep the connection).
 */
typedef void grove_server_fn(int fd, void *arg);

/**
 * Begin to serve.
 *
 * server       receives the server, for grove_server_free; only on 0.
 * listener     a listening stream socket; the server owns and closes it from now on.
 * pool         NULL: as many connections at a time as come.
 * handler      called with arg for each connection, on the default stack.
 *
 * Returns      0           it accepts
 *              -EINVAL     server or handler is NULL, pool is not, or listener does not listen
 *              -EBADF, -ENOTSOCK  listener is not what it should be
 *              -ENOMEM     no memory
 *              -EAGAIN, -ESHUTDOWN, any code of grove_start: as grove_spawn
 *              On an error listener stays the caller's.
 *
 * Never suspends.
 *
 * From         anywhere.
 */
GROVE_API GROVE_MUST_CHECK int grove_server_new(grove_server **server, int listener,
						grove_pool *pool, grove_server_fn *handler,
						void *arg);

/**
 * Stop a server: close the listener, wait until all handlers have ended, kill those that are left
 * at the deadline.
 *
 * deadline     how long handlers may go on by themselves.  GROVE_POLL kills them at once, and does
 *              not wait.
 *
 * Returns      0           nothing is left: no handler runs, or will
 *              -ETIMEDOUT  the deadline came; the rest was killed and may still be cleaning up
 *              -EAGAIN     the same under GROVE_POLL
 *              -EDEADLK    the caller is a handler of this server; the listener is closed
 *              -EINVAL     NULL
 *              wait codes  GROVE_KILLED, GROVE_INTERRUPTED, GROVE_IN_HUB, GROVE_DEADLOCK,
 *                          -ECANCELED: see base.h.  The listener is closed, handlers go on
 *
 * May be repeated, to wait for the rest, and called by several at a time.
 *
 * From         anywhere.
 * Ordering     after 0 all that the handlers did is visible.
 */
GROVE_API int grove_server_stop(grove_server *server, grove_deadline deadline);

/**
 * Free a server that was stopped.
 *
 * Returns      0        freed
 *              -EBUSY   it was not stopped, or handlers are still alive; nothing was changed
 *              -EINVAL  NULL
 *
 * From         anywhere.
 * Threads      not together with another call on the server.
 */
GROVE_API int grove_server_free(grove_server *server);

#ifdef __cplusplus
}
#endif

#endif
