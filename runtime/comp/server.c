/* SPDX-License-Identifier: MIT */
/*
 * server.c - one greenlet that accepts, and one for each connection.
 *
 * Layer   comp.  Below: greenlets, descriptors and events, by their public functions.
 * Owns    the listener, the accepted descriptors, and the list of the greenlets that serve them.
 * Entry   include/grove/server.h.
 *
 *                  stop: `ending` is sent, the acceptor is killed            the last member ends
 *     ACCEPTING ------------------------------------------------> ENDING ---------------------> OVER
 *                                                                   |   deadline: members are       ^
 *                                                                   '-- killed, later ones at once -'
 *
 * V1  Members are the acceptor and the connections.  Each leaves the list once, in the release
 *     function of its greenlet, which runs however that ends, even if it never began.
 * V2  The listener is used and closed by the acceptor alone.  So no accept can meet a number that was
 *     closed and given out anew.
 * V3  A connection's descriptor is closed before its member leaves.
 * V4  `over` is sent after the last member has left a server that is ending.  That is the last touch:
 *     whoever waited may free the server.
 * V5  A connection has two holders, its greenlet's release function and whoever spawns or kills it.
 *     The handle in it is valid while it is in a list.
 *
 * The lock is held for some instructions and never over a call that may run a release function.
 */
#include "base/atomic.h"
#include "base/compiler.h"
#include "base/fault.h"
#include "base/list.h"
#include "base/memory.h"
#include "plat/lock.h"
#include "sched/report.h"

#include "grove/event.h"
#include "grove/greenlet.h"
#include "grove/io.h"
#include "grove/runtime.h"
#include "grove/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* So many connections are accepted before others get a turn. */
#define ACCEPTS_AT_ONCE 64
#define FIRST_PAUSE_MS 10
#define LONGEST_PAUSE_MS 1000

struct grove_server {
	grove_server_fn *handler;
	void *arg;
	int listener;
	grove_greenlet *acceptor;
	grove_event ending; /* ends a pause of the acceptor */
	grove_event over;

	struct gv_lock lock;
	/* Under the lock. */
	struct gv_list serving; /* connections */
	struct gv_list doomed;	/* connections that were killed, or will be by their spawner */
	uint64_t members;
	bool stopped; /* ENDING or OVER */
	bool killing; /* whoever comes now is killed, too */
};

struct connection {
	struct gv_list link;
	struct grove_server *server;
	int fd;
	grove_greenlet *greenlet;	/* under the lock; NULL until its spawner has written it */
	bool ended;			/* under the lock */
	_Atomic(grove_greenlet *) self; /* compared, not used */
};

/* A member has left; the server may be gone afterwards. */
static void leave(struct grove_server *server)
{
	gv_lock_acquire(&server->lock);
	bool last = --server->members == 0 && server->stopped;
	gv_lock_release(&server->lock);
	if (last)
		grove_event_send(&server->over, NULL); /* V4 */
}

/* --- connections -------------------------------------------------------------------------------- */

static void *serve(void *arg)
{
	struct connection *connection = arg;

	gv_store(&connection->self, grove_self(), relaxed); /* relaxed: matters to itself only */
	connection->server->handler(connection->fd, connection->server->arg);
	return NULL;
}

/* The greenlet of a connection has ended, or will never run: V1, V3. */
static void end_connection(void *arg)
{
	struct connection *connection = arg;
	struct grove_server *server = connection->server;

	grove_close(connection->fd);
	gv_lock_acquire(&server->lock);
	gv_list_remove(&connection->link);
	grove_greenlet *greenlet = connection->greenlet;
	connection->ended = true;
	gv_lock_release(&server->lock);

	/* Without a handle the spawner is not done with it, and frees it. */
	if (greenlet != NULL) {
		grove_greenlet_release(greenlet);
		gv_free(connection);
	}
	leave(server);
}

/* The spawner's last look.  Returns a handle, if the connection is to be killed. */
static grove_greenlet *publish(struct connection *connection, grove_greenlet *greenlet)
{
	struct grove_server *server = connection->server;
	grove_greenlet *kill = NULL;

	gv_lock_acquire(&server->lock);
	bool ended = connection->ended;
	if (!ended) {
		connection->greenlet = greenlet;
		if (server->killing) {
			gv_list_remove(&connection->link);
			gv_list_append(&server->doomed, &connection->link);
			grove_greenlet_retain(greenlet);
			kill = greenlet;
		}
	}
	gv_lock_release(&server->lock);
	if (ended) {
		grove_greenlet_release(greenlet);
		gv_free(connection);
	}
	return kill;
}

/* A greenlet for this descriptor.  Returns 0, and the descriptor is its; or a code of spawning. */
static int begin_connection(struct grove_server *server, int fd)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlet;

	if (gv_fault_here("connection"))
		return -ENOMEM;
	struct connection *connection = gv_zalloc(sizeof(*connection));
	if (connection == NULL)
		return -ENOMEM;
	connection->server = server;
	connection->fd = fd;
	gv_lock_acquire(&server->lock);
	gv_list_append(&server->serving, &connection->link);
	server->members++;
	gv_lock_release(&server->lock);

	attributes.release_arg = end_connection;
	int rc = grove_spawn_with(&greenlet, serve, connection, &attributes);
	if (rc < 0) {
		/* The acceptor is a member, so this one was not the last. */
		gv_lock_acquire(&server->lock);
		gv_list_remove(&connection->link);
		server->members--;
		gv_lock_release(&server->lock);
		gv_free(connection);
		return rc;
	}
	grove_greenlet *kill = publish(connection, greenlet);
	if (kill != NULL) {
		(void)grove_kill(kill, NULL, GROVE_POLL);
		grove_greenlet_release(kill);
	}
	return 0;
}

/* Kill every connection that was not killed before, and those that will still come. */
static void kill_connections(struct grove_server *server)
{
	grove_greenlet *greenlet;

	do {
		greenlet = NULL;
		gv_lock_acquire(&server->lock);
		server->killing = true;
		while (greenlet == NULL && !gv_list_empty(&server->serving)) {
			struct gv_list *first = server->serving.next;

			gv_list_remove(first);
			gv_list_append(&server->doomed, first);
			greenlet = GV_CONTAINER_OF(first, struct connection, link)->greenlet;
			grove_greenlet_retain(greenlet);
		}
		gv_lock_release(&server->lock);
		if (greenlet != NULL) {
			(void)grove_kill(greenlet, NULL, GROVE_POLL);
			grove_greenlet_release(greenlet);
		}
	} while (greenlet != NULL);
}

/* --- accepting ---------------------------------------------------------------------------------- */

static bool is_shortage(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOBUFS ||
	       code == -EAGAIN;
}

/* Let some time pass.  Returns 0, or the code that says why not to go on. */
static int pause_for(struct grove_server *server, int64_t *ms)
{
	int rc = grove_event_wait(&server->ending, NULL, grove_in_ms(*ms));

	*ms = GV_MIN(2 * *ms, (int64_t)LONGEST_PAUSE_MS);
	if (rc == -ETIMEDOUT)
		return 0;
	return rc < 0 ? rc : -ESHUTDOWN;
}

static bool is_stopped(struct grove_server *server)
{
	return grove_event_ready(&server->ending);
}

/* Accept until something ends it; returns what. */
static int accept_all(struct grove_server *server)
{
	int64_t pause_ms = FIRST_PAUSE_MS;
	bool complained = false;
	int fd = -1; /* accepted, but nobody serves it yet */

	for (unsigned in_a_row = 0;;) {
		int rc = 0;

		if (fd < 0)
			rc = fd = grove_accept(server->listener, NULL, NULL, GROVE_NEVER);
		if (is_stopped(server))
			rc = -ESHUTDOWN;
		if (rc >= 0)
			rc = begin_connection(server, fd);
		if (rc == 0) {
			fd = -1;
			pause_ms = FIRST_PAUSE_MS;
			if (++in_a_row % ACCEPTS_AT_ONCE == 0)
				rc = grove_yield();
		} else if (is_shortage(rc)) {
			if (!complained)
				gv_log(GROVE_LOG_WARNING, "a server pauses: %s",
				       grove_strerror(rc));
			complained = true;
			rc = pause_for(server, &pause_ms);
		}
		if (rc < 0) {
			if (fd >= 0)
				grove_close(fd);
			return rc;
		}
	}
}

static void *accept_body(void *arg)
{
	struct grove_server *server = arg;
	int rc = accept_all(server);

	switch (rc) {
	case GROVE_KILLED:
	case GROVE_INTERRUPTED:
		return grove_fail_code(rc);
	case -ESHUTDOWN:
		return NULL;
	default:
		if (!is_stopped(server))
			gv_log(GROVE_LOG_ERROR, "a server accepts no more: %s", grove_strerror(rc));
		/* The number is not the listener's any more. */
		if (rc == -EBADF || rc == -ENOTSOCK)
			server->listener = -1;
		return NULL;
	}
}

static void end_acceptor(void *arg)
{
	struct grove_server *server = arg;

	if (server->listener >= 0)
		grove_close(server->listener);
	leave(server);
}

/* --- the server --------------------------------------------------------------------------------- */

static int check_listener(int listener)
{
	int listens = 0;
	socklen_t length = sizeof(listens);

	if (getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) < 0)
		return -errno;
	return listens ? 0 : -EINVAL;
}

int grove_server_new(grove_server **out, int listener, grove_pool *pool, grove_server_fn *handler,
		     void *arg)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;

	if (out == NULL || handler == NULL || pool != NULL)
		return -EINVAL;
	int rc = check_listener(listener);
	if (rc < 0)
		return rc;
	struct grove_server *server = gv_fault_here("server") ? NULL : gv_zalloc(sizeof(*server));
	if (server == NULL)
		return -ENOMEM;
	server->handler = handler;
	server->arg = arg;
	server->listener = listener;
	server->members = 1;
	gv_list_init(&server->serving);
	gv_list_init(&server->doomed);

	attributes.name = "acceptor";
	attributes.release_arg = end_acceptor;
	rc = grove_spawn_with(&server->acceptor, accept_body, server, &attributes);
	if (rc < 0) {
		gv_free(server);
		return rc;
	}
	*out = server;
	return 0;
}

/* Whether the caller serves one of the connections. */
static bool is_handler(struct grove_server *server)
{
	grove_greenlet *self = grove_self();
	const struct gv_list *lists[] = { &server->serving, &server->doomed };
	bool found = false;

	if (self == NULL)
		return false;
	gv_lock_acquire(&server->lock);
	for (size_t i = 0; i < GV_ARRAY_LEN(lists) && !found; i++) {
		for (struct gv_list *l = lists[i]->next; l != lists[i] && !found; l = l->next) {
			struct connection *connection = GV_CONTAINER_OF(l, struct connection, link);

			/* relaxed: as in serve */
			found = gv_load(&connection->self, relaxed) == self;
		}
	}
	gv_lock_release(&server->lock);
	return found;
}

static void begin_to_end(struct grove_server *server)
{
	gv_lock_acquire(&server->lock);
	bool first = !server->stopped;
	bool over = first && server->members == 0;
	server->stopped = true;
	gv_lock_release(&server->lock);
	if (!first)
		return;
	grove_event_send(&server->ending, NULL);
	(void)grove_kill(server->acceptor, NULL, GROVE_POLL);
	if (over)
		grove_event_send(&server->over, NULL); /* V4: the members left before */
}

int grove_server_stop(grove_server *server, grove_deadline deadline)
{
	const bool at_once = deadline.ns == GROVE_POLL.ns;

	if (server == NULL)
		return -EINVAL;
	begin_to_end(server);
	if (is_handler(server))
		return -EDEADLK;
	if (at_once)
		kill_connections(server);
	int rc = grove_event_wait(&server->over, NULL, deadline);
	if (rc != -ETIMEDOUT)
		return rc;
	kill_connections(server);
	/* Those that had not begun are dead already. */
	return grove_event_wait(&server->over, NULL, GROVE_POLL) == 0 ? 0 : -ETIMEDOUT;
}

int grove_server_free(grove_server *server)
{
	if (server == NULL)
		return -EINVAL;
	if (!grove_event_ready(&server->over))
		return -EBUSY;
	grove_greenlet_release(server->acceptor);
	grove_event_destroy(&server->ending);
	grove_event_destroy(&server->over);
	gv_free(server);
	return 0;
}
