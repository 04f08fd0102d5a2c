/* SPDX-License-Identifier: MIT */
/*
 * reclaim.h - when something that other hubs may still be reading can be freed.
 *
 * Layer   store.  Over liburcu's QSBR flavour; the hand-over stands in reclaim.c.
 *
 * Readers are hubs only.  A hub reads shared structures at any time between two quiescent states
 * of its own; what is retired is freed when every hub that was online then has passed one.
 * Foreign pthreads and signal handlers are no readers: what they look at is never freed.
 */
#ifndef GV_RECLAIM_H
#define GV_RECLAIM_H

#include "base/compiler.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

/* A reading thread.  Embedded in the hub; lives from register to unregister. */
struct gv_reclaim_reader {
	struct gv_list link;
	void *state;	 /* liburcu's record of the thread; NULL: not registered */
	bool borrowed;	 /* the program had registered the thread itself */
	bool was_online; /* and was reading */
};

/* Embedded in what is retired; nobody touches it until the function runs. */
struct gv_reclaim_node {
	void *head[2]; /* liburcu's */
	void (*fn)(void *arg);
	void *arg;
};

/*
 * Before everything else; more than once does no harm.  Starts the helper thread that waits for
 * grace periods, with all signals blocked.  Returns 0 or -EAGAIN.
 */
int gv_reclaim_init(void);

/* Helper threads of the process that belong to reclaiming: 0 or 1. */
unsigned gv_reclaim_thread_count(void);

/* The calling thread becomes a reader, online; and stops being one. */
void gv_reclaim_register(struct gv_reclaim_reader *reader);
void gv_reclaim_unregister(struct gv_reclaim_reader *reader);

/* Reader: I hold no pointer that I read before this call.  Cheap. */
void gv_reclaim_quiescent(void);

/* Reader: I shall read nothing until gv_reclaim_online.  Around every sleep. */
void gv_reclaim_offline(void);
void gv_reclaim_online(void);

/*
 * Run fn(arg) on the helper thread after a grace period.  What is retired must be out of reach
 * for new readers.  Any thread, a reader or not, but no signal handler.  Neither blocks nor fails.
 * `fn` may retire, may not block for long, and may not call gv_reclaim_barrier.
 */
void gv_reclaim_retire(struct gv_reclaim_node *node, void (*fn)(void *arg), void *arg);

/*
 * Wait until everything retired before the call has run.  For shutdown and for tests: blocks the
 * thread until every online hub has passed a quiescent state (the caller counts as passed).
 */
void gv_reclaim_barrier(void);

/* Retired, and not run yet. */
uint64_t gv_reclaim_pending(void);

/*
 * Around fork.  _before blocks until the helper thread stands still: if something is retired this
 * needs a quiescent state of every online hub (the caller counts as passed).  In the child only the
 * calling thread remains a reader, if it was one; what was pending stays pending.
 */
void gv_reclaim_before_fork(void);
void gv_reclaim_after_fork_parent(void);
void gv_reclaim_after_fork_child(void);

#endif
