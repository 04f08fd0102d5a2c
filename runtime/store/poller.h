/* SPDX-License-Identifier: MIT */
/*
 * poller.h - readiness of descriptors: the contract that every backend meets.
 *
 * Layer   store.  Backend: poller_epoll.c.
 *
 * One edge-triggered set for the process.  A descriptor is added once with a 64-bit cookie, for
 * all conditions; each change of its state to ready is reported once, to whoever waits.  All calls
 * may run at the same time on any threads, except open, close and reopen.
 *
 * An event may come out after gv_poller_remove, if it was on its way, and for another description
 * behind the same number: a cookie must carry a sequence number by which the caller tells.
 *
 * The set is a descriptor, too, and programs exist that close what they do not know.  When that
 * has happened a new set is made, and one gv_poller_wait returns -EBADF: the caller adds again
 * what it wants to hear of.
 */
#ifndef GV_POLLER_H
#define GV_POLLER_H

#include "base/atomic.h"
#include "base/compiler.h"
#include "plat/lock.h"

#include <stdint.h>

enum {
	GV_POLL_READABLE = 1 << 0,    /* a read will not block, errors and end included */
	GV_POLL_WRITABLE = 1 << 1,    /* the same of a write */
	GV_POLL_HANGUP = 1 << 2,      /* both directions are closed */
	GV_POLL_READ_HANGUP = 1 << 3, /* the peer will send no more */
	GV_POLL_ERROR = 1 << 4,
	GV_POLL_URGENT = 1 << 5, /* out-of-band data */
};

enum { GV_POLLER_BATCH = 64 }; /* events that one wait returns at most */

/* Reserved for the interruption. */
#define GV_POLLER_COOKIE_RESERVED UINT64_MAX

struct gv_poll_event {
	uint64_t cookie;
	uint32_t ready; /* GV_POLL_ bits; HANGUP and ERROR bring READABLE and WRITABLE with them */
};

struct gv_poller {
	_Atomic int set;	     /* descriptor of the set */
	_Atomic int bell;	     /* descriptor that gv_poller_interrupt makes ready */
	_Atomic uint32_t lost;	     /* 1: a new set was made, nobody was told */
	_Atomic uint32_t generation; /* sets made so far */
	struct gv_lock lock;	     /* held while a new set is made */
};

/* Returns 0, -ENOMEM, -EMFILE or -ENFILE.  The descriptors are close-on-exec. */
int gv_poller_open(struct gv_poller *poller);
void gv_poller_close(struct gv_poller *poller);

/*
 * After fork, in the child, before any other call: a set of its own, empty.  What the parent has
 * added stays with the parent.  Returns as gv_poller_open.
 */
int gv_poller_reopen(struct gv_poller *poller);

/*
 * Report this descriptor.  If it is ready now, that is reported.
 *
 * Returns      0
 *              -EPERM      it is always ready (a regular file, a directory)
 *              -EEXIST     it is in the set; gv_poller_rearm changes the cookie
 *              -EBADF      not an open descriptor
 *              -ENOMEM, -ENOSPC   limits of the kernel
 */
int gv_poller_add(struct gv_poller *poller, int fd, uint64_t cookie);

/*
 * The same whether or not it is in the set, with the new cookie from now on, and report again if
 * it is ready.  For numbers that may have been closed and reused without our knowledge.
 */
int gv_poller_rearm(struct gv_poller *poller, int fd, uint64_t cookie);

/* Returns 0, -ENOENT or -EBADF. */
int gv_poller_remove(struct gv_poller *poller, int fd);

/*
 * Take up to `room` events, but no more than GV_POLLER_BATCH.  timeout_ns: 0 looks, < 0 waits
 * without limit.  At most one thread may be in a call with a timeout other than 0.
 *
 * Returns the number of events; 0 also early, after an interruption or a signal.  -EBADF: a new
 * set was made, see above; reported to one call.  -EMFILE and so on: the set was lost and no new
 * one can be made yet; the next call tries again.
 */
int gv_poller_wait(struct gv_poller *poller, struct gv_poll_event out[], int room,
		   int64_t timeout_ns);

/*
 * Make the present or the next gv_poller_wait with a timeout other than 0 return.  Interruptions
 * that nobody has noticed yet are one.  From anywhere, signal handlers included; keeps errno.
 */
void gv_poller_interrupt(struct gv_poller *poller);

#endif
