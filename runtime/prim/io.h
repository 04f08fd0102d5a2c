/* SPDX-License-Identifier: MIT */
/*
 * io.h - one operation on a descriptor, between waiting (io.c) and trying (io_try.c).
 *
 * Layer   prim.
 */
#ifndef GV_IO_H
#define GV_IO_H

#include "prim/fd.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct gv_io {
	ssize_t (*try)(struct gv_fd_use *use, struct gv_io *io);
	enum gv_fd_direction direction;
	bool eager;   /* try first, even if we believe that it would block */
	bool drains;  /* moving less than `size` proves that more would block, on a TCP stream */
	bool started; /* connect */
	int flags;    /* MSG_ flags; or GROVE_READ, GROVE_WRITE */
	union {
		char *into;
		const char *from;
		struct sockaddr *peer;
		const struct sockaddr *to;
	};
	size_t size;
	socklen_t *length; /* accept */
};

/* Other than any code: the queue of a listening unix socket is full, which nothing reports. */
#define GV_IO_QUEUE_FULL (-0x10000)

/*
 * Each makes its system calls so that they do not block the pthread, and returns what they returned;
 * or a negated errno, -EAGAIN if it would have to wait, -EBUSY if it may not try beside somebody.
 */
ssize_t gv_io_try_any(struct gv_fd_use *use, struct gv_io *io);	    /* read, write */
ssize_t gv_io_try_socket(struct gv_fd_use *use, struct gv_io *io);  /* recv, send */
ssize_t gv_io_try_nothing(struct gv_fd_use *use, struct gv_io *io); /* is it open? */
ssize_t gv_io_try_accept(struct gv_fd_use *use, struct gv_io *io);
ssize_t gv_io_try_connect(struct gv_fd_use *use, struct gv_io *io);
ssize_t gv_io_try_ready(struct gv_fd_use *use, struct gv_io *io); /* which of the events in flags */

/* shutdown(2): 0 or -errno. */
int gv_io_shutdown(int fd, int how);

#endif
