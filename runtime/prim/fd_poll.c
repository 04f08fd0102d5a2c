/* SPDX-License-Identifier: MIT */
/*
 * fd_poll.c - between the poller and the records of descriptors.
 *
 * Layer   prim.  Below: store/poller.h.
 * Owns    the one poller of the process, and the number of descriptors in its set.
 * Entry   gv_fd_poll from hubs; gv_fd_watch from waits (fd.c).
 *
 * A descriptor is in the set while its record says WATCHED.  The cookie is | number:32 | life:32 |,
 * so that an event which was on its way when the life ended finds a record of another life.
 *
 * W1  WATCHED is set before the descriptor is added.  If adding fails, whoever relied on it is
 *     woken and adds it again.
 * W2  When the set was lost, all records forget that they were watched, and all waits end: each
 *     tries again, and adds its descriptor to the new set.
 * W3  The first descriptor may come from a foreign pthread while all hubs sleep on their words: then
 *     one is woken, and finds on its way back to sleep that the poller is wanted.  Later ones find a
 *     hub that runs or that sleeps in the poller (idle.c).
 * W4  A socket has one description, and that stays in the set under a number until it is closed
 *     everywhere.  So where the inode is the one that was put there, the description is in the set;
 *     the ends of a pipe have the same inode, and are put there again.  Putting again what is ready
 *     to be written to has its price: an event that nobody waits for.
 * W5  Foreign pthreads use the poller under a lock, since it may be closed under them.  Hubs do
 *     not: it is closed when none is left.
 *
 * [wanted]  the first one: add seq_cst, then a push to an inbox ([sleep] of idle.c).  hub: takes the
 *           inbox, then loads `watched` before it sleeps.
 * [life], [tick]  see fd.c.
 */
#include "prim/fd.h"

#include "base/check.h"
#include "plat/clock.h"
#include "plat/futex.h"
#include "plat/lock.h"
#include "sched/ready.h"
#include "store/poller.h"
#include "wait/node.h"

#include <errno.h>
#include <sys/stat.h>

/* One call of gv_fd_poll looks at that many batches of events: the rest is for the next one. */
#define BATCHES_AT_ONCE 4
/* How long a hub sleeps if there is no set and none can be made. */
#define WITHOUT_SET_NS INT64_C(10000000)

static struct gv_poller poller = { .set = -1, .bell = -1 };
static _Atomic uint32_t watched; /* records that are WATCHED */
static struct gv_lock lock;	 /* W5 */
static bool opened;		 /* under the lock; hubs know */

int gv_fd_begin(void)
{
	int rc = 0;

	gv_lock_acquire(&lock);
	if (!opened)
		rc = gv_poller_open(&poller);
	opened = rc == 0;
	gv_lock_release(&lock);
	return rc;
}

bool gv_fd_wanted(void)
{
	return gv_load(&watched, relaxed) != 0; /* relaxed: [wanted] for the first, else a hint */
}

void gv_fd_interrupt(void)
{
	gv_poller_interrupt(&poller);
}

/* True if it was WATCHED until now. */
static bool clear_watched(struct gv_fd *record)
{
	/* relaxed: says nothing about other memory */
	if (!(gv_and(&record->state, ~GV_FD_WATCHED, relaxed) & GV_FD_WATCHED))
		return false;
	gv_sub(&watched, 1, relaxed); /* relaxed: a count */
	return true;
}

static void lose(struct gv_fd *record, int fd)
{
	(void)fd;
	if (!(gv_load(&record->state, relaxed) & GV_FD_WATCHED)) /* relaxed: looked at again */
		return;
	if (!clear_watched(record))
		return;
	uint32_t life = gv_fd_life_of(gv_load(&record->state, relaxed)); /* relaxed: W2 */
	struct gv_hub *hub = gv_enter();

	gv_fd_mark_record(hub, record, GV_FD_READ, life, 0);
	gv_fd_mark_record(hub, record, GV_FD_WRITE, life, 0);
	if (hub != NULL)
		gv_leave(hub);
}

/* Who still waits is a foreign pthread, and will be told why not any longer. */
static void not_watched(struct gv_fd *record, int fd)
{
	(void)fd;
	(void)clear_watched(record);
}

void gv_fd_end(void)
{
	gv_lock_acquire(&lock);
	if (opened)
		gv_poller_close(&poller);
	opened = false;
	gv_lock_release(&lock);
	gv_fd_each(not_watched);
}

void gv_fd_fork_child(void)
{
	lock = (struct gv_lock){ 0 };
	gv_store(&watched, 0, relaxed); /* relaxed: one thread */
	/* What the parent has stays as it is; these two numbers are the child's own. */
	if (opened)
		gv_poller_close(&poller);
	opened = false;
	gv_fd_reset_all();
}

/* --- the set ------------------------------------------------------------------------------------ */

static uint64_t cookie_of(int fd, uint32_t life)
{
	return (uint64_t)(uint32_t)fd << 32 | life;
}

/* Add it, or if that fails because it is there, let it be reported again. */
static int put(int fd, uint64_t cookie, bool again)
{
	int rc = again ? -EEXIST : gv_poller_add(&poller, fd, cookie);

	return rc == -EEXIST ? gv_poller_rearm(&poller, fd, cookie) : rc;
}

static int put_by_anybody(int fd, uint64_t cookie, bool again)
{
	if (GV_LIKELY(gv_hub_self() != NULL))
		return put(fd, cookie, again);

	int rc = -ECANCELED;
	gv_lock_acquire(&lock); /* W5 */
	if (opened)
		rc = put(fd, cookie, again);
	gv_lock_release(&lock);
	return rc;
}

static void do_nothing(void *arg)
{
	(void)arg;
}

/* W3 */
static int wake_some_hub(void)
{
	struct gv_node *node = gv_node_alloc(NULL);

	if (node == NULL)
		return -ENOMEM;
	node->fn = do_nothing;
	node->arg = NULL;
	gv_store(&node->kind, GV_NODE_CALL, relaxed); /* relaxed: a push follows */
	gv_ready_node(NULL, node, GV_HUB_FOREIGN, false);
	return 0;
}

static void fail_to_watch(const struct gv_fd_use *use)
{
	if (clear_watched(use->record)) {
		gv_fd_mark(use, GV_FD_READ, 0); /* W1 */
		gv_fd_mark(use, GV_FD_WRITE, 0);
	}
}

/* Names a socket as long as it exists; 0: it is none. */
static uint64_t socket_inode(int fd)
{
	struct stat file;

	return fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode) ? (uint64_t)file.st_ino : 0;
}

int gv_fd_watch(const struct gv_fd_use *use)
{
	struct gv_fd *record = use->record;
	uint64_t state = gv_load(&record->state, relaxed); /* relaxed: the CAS decides */
	uint64_t cookie = cookie_of(use->fd, use->life);
	bool was_watched;

	do {
		if (gv_fd_life_of(state) != use->life)
			return -EBADF;
		was_watched = (state & GV_FD_WATCHED) != 0;
		if (GV_LIKELY(was_watched && use->owned))
			return 0;
		/* relaxed: says nothing about other memory */
	} while (!gv_cas(&record->state, &state, state | GV_FD_WATCHED, relaxed, relaxed));

	uint64_t inode = use->owned ? 0 : socket_inode(use->fd);
	if (was_watched && inode != 0 &&
	    gv_load(&record->inode, relaxed) == inode) /* relaxed: W4 */
		return 0;
	bool first = !was_watched && gv_add(&watched, 1, seq_cst) == 0; /* [wanted] */
	int rc = put_by_anybody(use->fd, cookie, was_watched);
	if (rc == 0 && GV_UNLIKELY(first) && gv_hub_self() == NULL)
		rc = wake_some_hub();
	if (GV_UNLIKELY(rc < 0)) {
		fail_to_watch(use);
		return rc == -ENOSPC ? -ENOMEM : rc;
	}
	gv_store(&record->inode, inode, relaxed); /* relaxed: W4 */
	return 0;
}

void gv_fd_unwatch(struct gv_fd *record, int fd)
{
	if (!clear_watched(record))
		return;
	if (GV_LIKELY(gv_hub_self() != NULL)) {
		(void)gv_poller_remove(&poller, fd);
		return;
	}
	gv_lock_acquire(&lock); /* W5 */
	if (opened)
		(void)gv_poller_remove(&poller, fd);
	gv_lock_release(&lock);
}

/* --- events ------------------------------------------------------------------------------------- */

static void take_event(struct gv_hub *hub, const struct gv_poll_event *event)
{
	struct gv_fd *record = gv_fd_find((int)(event->cookie >> 32));
	uint32_t life = (uint32_t)event->cookie;
	uint64_t hangup = event->ready & (GV_POLL_HANGUP | GV_POLL_ERROR);
	uint64_t end = event->ready & (GV_POLL_READ_HANGUP | GV_POLL_URGENT);

	/* relaxed: the words decide; this makes sure of the bits that they have no room for */
	if (GV_UNLIKELY(gv_fd_life_of(gv_load(&record->state, relaxed)) != life))
		return;
	if (event->ready & GV_POLL_WRITABLE)
		gv_fd_mark_record(hub, record, GV_FD_WRITE, life, hangup ? GV_FD_STICKY : 0);
	if (event->ready & (GV_POLL_READABLE | GV_POLL_URGENT))
		gv_fd_mark_record(hub, record, GV_FD_READ, life, hangup | end ? GV_FD_STICKY : 0);
}

/* No set, and none to be had for now: sleep all the same. */
static void sleep_without_set(int64_t timeout_ns)
{
	static _Atomic uint32_t never;
	int64_t most = timeout_ns < 0 ? WITHOUT_SET_NS : GV_MIN(timeout_ns, WITHOUT_SET_NS);

	(void)gv_futex_wait(&never, 0, gv_clock_ns() + most);
}

void gv_fd_poll(struct gv_hub *hub, int64_t timeout_ns)
{
	struct gv_poll_event events[GV_POLLER_BATCH];

	for (int batch = 0; batch < BATCHES_AT_ONCE; batch++) {
		int count = gv_poller_wait(&poller, events, GV_POLLER_BATCH, timeout_ns);

		if (GV_UNLIKELY(count == -EBADF))
			gv_fd_each(lose); /* W2 */
		else if (GV_UNLIKELY(count < 0) && timeout_ns != 0)
			sleep_without_set(timeout_ns);
		for (int i = 0; i < count; i++)
			__builtin_prefetch(gv_fd_find((int)(events[i].cookie >> 32)), 1);
		for (int i = 0; i < count; i++)
			take_event(hub, &events[i]);
		if (count < GV_POLLER_BATCH)
			break;
		timeout_ns = 0;
	}
	gv_ready_pay(hub);
}
