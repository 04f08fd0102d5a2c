/* SPDX-License-Identifier: MIT */
/*
 * io_test.h - what the tests of descriptors share.
 */
#ifndef IO_TEST_H
#define IO_TEST_H

#include "unit/prim/prim_test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prim/fd.h"
#include "wait/waitset.h"

/* Two connected unix stream sockets that block, as a program would have them. */
static inline void pair_of_sockets(int fds[2])
{
	CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
}

static inline int port_of(int listener)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	CHECK_IS(0, getsockname(listener, (struct sockaddr *)&address, &length));
	/* The port is at the same place in both families. */
	const unsigned char *port = (const unsigned char *)&address + 2;
	return port[0] << 8 | port[1];
}

/* Two connected TCP sockets that Grove opened.  For greenlets and threads. */
static inline void pair_of_tcp(int fds[2])
{
	int listener = grove_tcp_listen("127.0.0.1", 0);

	CHECK(listener >= 0);
	fds[0] = grove_tcp_connect("127.0.0.1", port_of(listener), GROVE_NEVER);
	CHECK(fds[0] >= 0);
	fds[1] = grove_accept(listener, NULL, NULL, GROVE_NEVER);
	CHECK(fds[1] >= 0);
	CHECK_IS(0, grove_close(listener));
}

static inline void close_both(const int fds[2])
{
	CHECK_IS(0, grove_close(fds[0]));
	CHECK_IS(0, grove_close(fds[1]));
}

/* With a fixed number of hubs: who watches the quota opens and closes files in the background. */
static inline void start(unsigned hubs)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = hubs;
	CHECK_IS(0, grove_start(&options));
}

static inline bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Whether a call waits for this direction, be it a greenlet's or a thread's. */
static inline bool is_waited_for(int fd, enum gv_fd_direction direction)
{
	struct gv_fd *record = gv_fd_find(fd);

	if (record == NULL)
		return false;
	uint64_t word = gv_load(&record->word[direction], acquire);
	return (word & GV_FD_BUSY) && gv_chain_of(word) != NULL;
}

static inline void until_waited_for(int fd, enum gv_fd_direction direction)
{
	while (!is_waited_for(fd, direction))
		(void)grove_yield();
}

static inline int count_open(void)
{
	int count = 0;

	for (int fd = 0; fd < 4096; fd++)
		count += is_open(fd);
	return count;
}

struct reading {
	int fd;
	grove_deadline deadline;
	char buffer[64];
};

/* The value of the greenlet, or thread, is what the call returned. */
static inline void *read_some(void *arg)
{
	struct reading *r = arg;

	return CODE(grove_read(r->fd, r->buffer, sizeof(r->buffer), r->deadline));
}

static inline struct reading reading_of(int fd)
{
	return (struct reading){ .fd = fd, .deadline = GROVE_NEVER };
}

/*
 * Write until nothing more goes in; returns how much did.  On TCP more may go in later: the kernel
 * moves it on, and makes the buffers larger, in its own time.
 */
static inline size_t fill(int fd)
{
	static const char block[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = grove_write(fd, block, sizeof(block), GROVE_POLL)) > 0)
		total += (size_t)n;
	CHECK_IS(-EAGAIN, n);
	return total;
}

/* More than any socket takes. */
static inline void *write_too_much(void *fd)
{
	static const char block[64 << 20];

	return CODE(grove_write_full(*(int *)fd, block, sizeof(block), NULL, GROVE_NEVER));
}

#endif
