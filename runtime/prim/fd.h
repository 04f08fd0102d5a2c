/* SPDX-License-Identifier: MIT */
/*
 * fd.h - descriptors: who uses a number, who waits for it, and when it is really closed.
 *
 * Layer   prim.  The protocol and its proof stand in fd.c, the side of the poller in fd_poll.c.
 *
 * An operation enters, looks, tries, and if the kernel would block tells so (blocked) and waits;
 * then it looks again.  It leaves at its end.  What a call looked at decides what its failed try
 * proves: readiness that comes between look and blocked is never lost.
 *
 *     enter -> look -> READY? try -> done or short (blocked) -> leave
 *               ^        |  would block: blocked
 *               |        v
 *               '------ wait
 */
#ifndef GV_FD_H
#define GV_FD_H

#include "base/atomic.h"
#include "base/compiler.h"
#include "sched/hub.h"

#include "grove/base.h"

#include <stdbool.h>
#include <stdint.h>

enum gv_fd_direction { GV_FD_READ = 0, GV_FD_WRITE = 1 };

/* What is behind a number, as far as it was found out.  Only a guess if others close numbers too. */
enum gv_fd_kind {
	GV_FD_UNKNOWN = 0,
	GV_FD_TCP = 1,	  /* a short transfer means that the kernel would block now */
	GV_FD_SOCKET = 2, /* any other socket */
	GV_FD_PLAIN = 3,  /* no socket */
};

/*
 * One for each number, for ever.  `state`: | life:32 | calls:24 | flags and kind:8 |;
 * a word for each direction: | tick:8 | life, inverted life:4+4 | chain:42 | flags:6 |.
 */
struct gv_fd {
	_Atomic uint64_t state;
	_Atomic uint64_t word[2];
	_Atomic uint64_t inode; /* of the socket that was put into the poller's set, or 0 */
} GV_ALIGNED(GV_CACHE_LINE);

#define GV_FD_READY UINT64_C(0x01)   /* a try is worth it; else wait first */
#define GV_FD_BUSY UINT64_C(0x02)    /* a call has claimed this direction, to wait */
#define GV_FD_STICKY UINT64_C(0x04)  /* hang-up, error or urgent data: short proves nothing */
#define GV_FD_FORWARD UINT64_C(0x08) /* write: what makes it ready makes the read word ready, too */
#define GV_FD_SHUT UINT64_C(0x10) /* shut down by grove_shutdown: poll(2) does not always say so */
#define GV_FD_LIFE (UINT64_C(0xff) << 48)
#define GV_FD_TICK (UINT64_C(1) << 56)
#define GV_FD_TICKS (UINT64_C(0xff) << 56)

/* A call that uses a descriptor. */
struct gv_fd_use {
	struct gv_fd *record;
	int fd;
	uint32_t life;
	enum gv_fd_kind kind;
	bool owned;   /* opened by Grove: does not block, and is put into the poller's set once */
	bool watched; /* in the set when the call last looked */
};

/*
 * Begin to use a number: it will not be closed by grove_close before gv_fd_leave.  Returns 0,
 * -EBADF (not open, or being closed) or -ENOMEM.
 */
int gv_fd_enter(int fd, struct gv_fd_use *use);

/* Returns 0; or, if this was the last call and closed the descriptor, what close(2) said. */
int gv_fd_leave(const struct gv_fd_use *use);

/* The kernel has just given this number to Grove.  Ends what was known of it. */
void gv_fd_own(int fd, enum gv_fd_kind kind);

/* Find out what is behind the number, again.  Returns 0 or -EBADF. */
int gv_fd_probe(struct gv_fd_use *use);

/* The bits of a word that belong to this life; in another life at least one bit differs each way. */
static inline uint64_t gv_fd_life_bits(uint32_t life)
{
	return (uint64_t)(life & 15) << 48 | (uint64_t)(~life & 15) << 52;
}

static inline uint64_t gv_fd_look(const struct gv_fd_use *use, enum gv_fd_direction direction)
{
	return gv_load(&use->record->word[direction], acquire); /* [tick] */
}

/* Whether the descriptor that the call began with is still the one that the word is about. */
static inline bool gv_fd_current(const struct gv_fd_use *use, uint64_t word)
{
	return (word & GV_FD_LIFE) == gv_fd_life_bits(use->life);
}

/* A try after `seen` found that the kernel would block: not READY, unless something came since. */
void gv_fd_blocked(const struct gv_fd_use *use, enum gv_fd_direction direction, uint64_t seen);

/*
 * Claim a direction for a call that is going to wait, or must be the only one to try.  `also` are
 * further bits to set, and to be taken back by release.  Returns 0, -EBUSY or -EBADF.
 */
int gv_fd_claim(const struct gv_fd_use *use, enum gv_fd_direction direction, uint64_t also);
void gv_fd_release(const struct gv_fd_use *use, enum gv_fd_direction direction, uint64_t also);

/*
 * Wait until READY.  The deadline must not be GROVE_POLL.  Returns 0 (perhaps for no reason: look
 * again), -EBUSY, -EBADF, -ETIMEDOUT, -ENOMEM, what epoll_ctl says, or a wait code.
 */
int gv_fd_wait(struct gv_fd_use *use, enum gv_fd_direction direction, grove_deadline deadline);

/* The same for a direction that the caller has claimed. */
int gv_fd_wait_claimed(struct gv_fd_use *use, enum gv_fd_direction direction,
		       grove_deadline deadline);

/* Let time pass, until the deadline or the end of the descriptor: -ETIMEDOUT, or as gv_fd_wait. */
int gv_fd_pause(const struct gv_fd_use *use, enum gv_fd_direction direction,
		grove_deadline deadline);

/*
 * After a look: whether it is better to wait before the first try.  Only if readiness would have been
 * reported, and if nothing is there already that would end the wait.
 */
bool gv_fd_wait_first(const struct gv_fd_use *use, uint64_t seen);

/*
 * Something has happened: waits in this direction end, and the next calls try first.  `flags` of the
 * word to set, for the rest of this life.
 */
void gv_fd_mark(const struct gv_fd_use *use, enum gv_fd_direction direction, uint64_t flags);

/* --- gv_hooks, and the runtime's start and end ------------------------------------------------ */

void gv_fd_poll(struct gv_hub *hub, int64_t timeout_ns);
void gv_fd_interrupt(void);
bool gv_fd_wanted(void);

/* Open the poller.  Returns 0, -ENOMEM, -EMFILE or -ENFILE. */
int gv_fd_begin(void);

/* No hub runs any more: close it. */
void gv_fd_end(void);

/* In the child of a fork, its only thread: calls and waits of the parent are forgotten. */
void gv_fd_fork_child(void);

/* --- between fd.c and fd_poll.c --------------------------------------------------------------- */

#define GV_FD_CLOSING UINT64_C(0x01)
#define GV_FD_FINISHING UINT64_C(0x02)
#define GV_FD_SLEEPERS UINT64_C(0x04)
#define GV_FD_OWNED UINT64_C(0x08)
#define GV_FD_WATCHED UINT64_C(0x10)
#define GV_FD_KIND_SHIFT 5
#define GV_FD_KIND (UINT64_C(3) << GV_FD_KIND_SHIFT)
#define GV_FD_FLAGS UINT64_C(0xff)
#define GV_FD_CALL UINT64_C(0x100)
#define GV_FD_CALLS UINT64_C(0xffffff00)

enum { GV_FD_CHUNK_BITS = 8, GV_FD_CHUNK = 1 << GV_FD_CHUNK_BITS };

static inline uint32_t gv_fd_life_of(uint64_t state)
{
	return (uint32_t)(state >> 32);
}

/* The record of a number, or NULL if there is none yet. */
struct gv_fd *gv_fd_find(int fd);

/* In the child of a fork: calls and waits are forgotten, what is known of the descriptors stays. */
void gv_fd_reset_all(void);

/* Call fn with each record that exists. */
void gv_fd_each(void (*fn)(struct gv_fd *record, int fd));

/* The same by record and life, for a caller that has entered `hub`, or NULL. */
void gv_fd_mark_record(struct gv_hub *hub, struct gv_fd *record, enum gv_fd_direction direction,
		       uint32_t life, uint64_t flags);

/*
 * Make the poller report this descriptor, for the life of the call.  Returns 0, -EBADF, -EPERM (it
 * never waits), -ENOMEM or -ECANCELED.
 */
int gv_fd_watch(const struct gv_fd_use *use);

/* The descriptor of a record that is WATCHED is about to go: take it out of the set. */
void gv_fd_unwatch(struct gv_fd *record, int fd);

#endif
