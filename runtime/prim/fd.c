/* SPDX-License-Identifier: MIT */
/*
 * fd.c - the life of a descriptor number: calls, waits, and the real close.
 *
 * Layer   prim.  Below: wait/park.h, wait/deliver.h.
 * Owns    the table of records, their states and words.
 * Entry   io.c and tcp.c, through fd.h; grove_close and grove_fd_forget.
 *
 * A record belongs to a number and is never freed, so the poller and late callers may look at it at
 * any time.  What comes and goes is the number's life:
 *
 *             grove_close       the last call has left           close(2) has returned
 *   OPEN(n) --------------> CLOSING(n) --------------> FINISHING(n) ------------------> OPEN(n + 1)
 *     |                        |                           |                             ^
 *     '--- grove_fd_forget ----|---------------------------|-----------------------------'
 *     '--- gv_fd_own: the kernel has given the number out anew, to Grove ----------------'
 *
 * A word of a direction, within one life (chain: the one waiter, or none):
 *
 *              blocked: would block, nothing came since the look
 *      READY ----------------------------------------------------> IDLE
 *        ^  event: tick + 1, the chain is taken                      | claim: BUSY; push
 *        '-----------------------------------------------------------+---> IDLE, BUSY, chain
 *        '---- event, mark: the waiter is delivered ---------------------------'
 *
 * F1  Calls are counted by number, whatever its life.  close(2) is done by whoever moves CLOSING
 *     without calls to FINISHING, hence once, and when no call is between enter and leave: nothing
 *     that began on the old descriptor touches the number's next one.
 * F2  A life ends in the words first, then in the state: a word is never behind its state.  A call
 *     of an ended life finds a word that is not current, and its push is refused, since in every
 *     other life (of the next 15) some bit of the stop mask is set; it returns -EBADF.
 * F3  READY is cleared only by a call that looked, tried, found that the kernel would block, and by
 *     one CAS saw that no event came in between (tick).  So while a descriptor is IDLE, whatever
 *     makes it ready is still to be reported: by the set, if it is in it; otherwise when the wait
 *     that follows puts it there, because the kernel then reports what is ready already.
 * F4  One waiter for each direction: BUSY goes from claim to release, and only the claimer waits.
 * F5  Descriptors that Grove opened stay in the set for their life.  Others may have been closed and
 *     opened without our knowledge, which the set does not survive.  Before each wait they are put
 *     there again, unless it is still the same socket; so what we remember of their readiness is
 *     wrong at most until that wait.
 *
 * May run at the same time: everything, on the same number.  Who enters while FINISHING, and finds the
 * number open, cannot tell whether it is not closed yet or somebody else's already, and sleeps until
 * close(2) has returned.
 *
 * A short transfer on a TCP stream tells as much as EAGAIN (F3), and saves the call that would have
 * got it, unless the event that came with it said hang-up, error or urgent data (STICKY): those
 * have no further event.  It is not used where messages or passed descriptors cut a read short.
 *
 * Not noticed: a descriptor that Grove opened, that the program closed by close(2), and whose
 * number the program itself opened anew, until the first event of the new one.  Finding out would
 * cost one system call for each wait.
 *
 * [table]  a new chunk: CAS acq_rel after its words are set.  find: load-acquire.
 * [call]   leave: sub acq_rel.  finish: CAS acq_rel to FINISHING.  All that calls did with the number
 *          comes before close(2).
 * [life]   end of a life: CAS acq_rel of the state, after the words.  enter: add acquire.  Who enters
 *          a life sees no older words.
 * [tick]   event, mark, end of a life: CAS acq_rel of the word.  look: load-acquire, before the try.
 *          blocked: CAS acq_rel, after the try.
 * [push]   waitset.c: CAS of the word that adds a complete node.  Who takes the chain: CAS acq_rel.
 *
 * Rejected: a lock for each descriptor (an event would wait for a preempted caller); resetting the
 * record before close(2) (a call in that moment would wait on a descriptor that is going away).
 */
#include "prim/fd.h"

#include "base/check.h"
#include "base/fault.h"
#include "plat/futex.h"
#include "wait/deliver.h"
#include "wait/park.h"
#include "wait/waitset.h"

#include "grove/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNKS = 1 << 18 }; /* 2^26 numbers; Linux stops at 2^20 unless told otherwise */

static _Atomic(struct gv_fd *) table[CHUNKS];
static _Atomic unsigned chunks_used; /* no chunk has this number or a higher one */

/* --- records ------------------------------------------------------------------------------------ */

struct gv_fd *gv_fd_find(int fd)
{
	unsigned chunk = (unsigned)fd >> GV_FD_CHUNK_BITS;

	if (GV_UNLIKELY(chunk >= CHUNKS))
		return NULL;
	struct gv_fd *records = gv_load(&table[chunk], acquire); /* [table] */
	return GV_LIKELY(records != NULL) ? &records[(unsigned)fd % GV_FD_CHUNK] : NULL;
}

static GV_NOINLINE bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void reset_record(struct gv_fd *record, uint64_t state)
{
	uint64_t word = gv_fd_life_bits(gv_fd_life_of(state)) | GV_FD_READY;

	gv_store(&record->word[GV_FD_READ], word, relaxed); /* relaxed: nobody else sees it */
	gv_store(&record->word[GV_FD_WRITE], word, relaxed);
	gv_store(&record->state, state, relaxed);
}

/* The first use of some number in its chunk. */
static GV_NOINLINE int make_record(int fd, struct gv_fd **record)
{
	if (!is_open(fd))
		return -EBADF;
	if ((unsigned)fd >> GV_FD_CHUNK_BITS >= CHUNKS || gv_fault_here("fd table"))
		return -ENOMEM;

	struct gv_fd *records = aligned_alloc(GV_CACHE_LINE, GV_FD_CHUNK * sizeof(*records));
	if (records == NULL)
		return -ENOMEM;
	memset(records, 0, GV_FD_CHUNK * sizeof(*records));
	for (int i = 0; i < GV_FD_CHUNK; i++)
		reset_record(&records[i], 0);

	unsigned chunk = (unsigned)fd >> GV_FD_CHUNK_BITS;
	unsigned used = gv_load(&chunks_used, relaxed); /* relaxed: the CAS decides */
	while (used <= chunk &&
	       !gv_cas(&chunks_used, &used, chunk + 1, acq_rel, relaxed)) /* [table] */
		continue;
	struct gv_fd *before = NULL;
	if (!gv_cas(&table[chunk], &before, records, acq_rel, acquire)) { /* [table] */
		free(records);
		records = before;
	}
	*record = &records[(unsigned)fd % GV_FD_CHUNK];
	return 0;
}

void gv_fd_each(void (*fn)(struct gv_fd *record, int fd))
{
	unsigned used = gv_load(&chunks_used, acquire); /* [table] */

	for (unsigned chunk = 0; chunk < used; chunk++) {
		struct gv_fd *records = gv_load(&table[chunk], acquire); /* [table] */

		for (unsigned i = 0; records != NULL && i < GV_FD_CHUNK; i++)
			fn(&records[i], (int)(chunk * GV_FD_CHUNK + i));
	}
}

/* --- lives -------------------------------------------------------------------------------------- */

static uint64_t next_life(uint64_t state)
{
	return (uint64_t)(gv_fd_life_of(state) + 1) << 32 | (state & GV_FD_CALLS);
}

/* F2: no call of this life waits any more, or will. */
static void end_words(struct gv_fd *record, uint32_t life)
{
	struct gv_hub *hub = gv_enter();
	uint64_t fresh = gv_fd_life_bits(life + 1) | GV_FD_READY;

	for (int i = 0; i < 2; i++) {
		uint64_t word = gv_load(&record->word[i], relaxed); /* relaxed: the CAS decides */

		do {
			if ((word & GV_FD_LIFE) != gv_fd_life_bits(life)) {
				word = 0; /* somebody was quicker */
				break;
			}
		} while (!gv_cas(&record->word[i], &word, fresh, acq_rel,
				 relaxed)); /* [tick] [push] */
		gv_deliver(hub, gv_chain_of(word), GV_CAUSE_CODE, (uintptr_t)(intptr_t)-EBADF);
	}
	if (hub != NULL)
		gv_leave(hub);
}

/* The half of the state that changes with its flags. */
static _Atomic uint32_t *futex_of(struct gv_fd *record)
{
	char *half = (char *)&record->state;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	half += 4;
#endif
	return (_Atomic uint32_t *)(void *)half;
}

/*
 * The record is FINISHING.  Returns 0: the number is somebody else's, look again; or -EBADF.  Which of
 * the two is behind the number now shows afterwards: the old one is gone then.
 */
static GV_NOINLINE int settle(struct gv_fd *record, int fd)
{
	struct stat before;
	struct stat after;

	if (fstat(fd, &before) < 0)
		return -EBADF;

	uint64_t state =
		gv_load(&record->state, relaxed); /* relaxed: looked at again by the caller */
	while (state & GV_FD_FINISHING) {
		/* relaxed: the futex compares */
		if (!(state & GV_FD_SLEEPERS) &&
		    !gv_cas(&record->state, &state, state | GV_FD_SLEEPERS, relaxed, relaxed))
			continue;
		(void)gv_futex_wait(futex_of(record), (uint32_t)(state | GV_FD_SLEEPERS),
				    INT64_MAX);
		state = gv_load(&record->state, relaxed); /* relaxed: as above */
	}
	if (fstat(fd, &after) < 0 || before.st_ino != after.st_ino || before.st_dev != after.st_dev)
		return -EBADF;
	return 0;
}

static void wake_sleepers(struct gv_fd *record, uint64_t before)
{
	if (GV_UNLIKELY(before & GV_FD_SLEEPERS))
		(void)gv_futex_wake(futex_of(record), INT_MAX);
}

/* CLOSING, and the caller was the last call to leave. */
static GV_NOINLINE int finish(struct gv_fd *record, int fd, uint64_t state)
{
	uint32_t life = gv_fd_life_of(state);
	int rc = 0;

	do {
		/* Not the last any more, or another last one was quicker. */
		if (!(state & GV_FD_CLOSING) || (state & GV_FD_CALLS))
			return 0;
	} while (!gv_cas(&record->state, &state, state ^ (GV_FD_CLOSING | GV_FD_FINISHING), acq_rel,
			 relaxed)); /* [call] */

	if (state & GV_FD_WATCHED)
		gv_fd_unwatch(record, fd);
	if (close(fd) < 0 && errno != EINTR)
		rc = -errno;

	/* gv_fd_own may have been quicker: the number is in use again. */
	state = gv_load(&record->state, relaxed); /* relaxed: the CAS decides */
	while ((state & GV_FD_FINISHING) && gv_fd_life_of(state) == life) {
		if (gv_cas(&record->state, &state, next_life(state), acq_rel,
			   relaxed)) { /* [life] */
			wake_sleepers(record, state);
			break;
		}
	}
	return rc;
}

int gv_fd_leave(const struct gv_fd_use *use)
{
	uint64_t before = gv_sub(&use->record->state, GV_FD_CALL, acq_rel); /* [call] */

	if (GV_LIKELY(!(before & GV_FD_CLOSING)) || (before & GV_FD_CALLS) != GV_FD_CALL)
		return 0;
	return finish(use->record, use->fd, before - GV_FD_CALL);
}

static GV_NOINLINE int enter_slow(struct gv_fd_use *use, uint64_t state)
{
	/* Whoever counted itself in may have to do what the last one does. */
	(void)gv_fd_leave(use);
	if (state & GV_FD_CLOSING)
		return -EBADF;
	int rc = settle(use->record, use->fd);
	return rc < 0 ? rc : gv_fd_enter(use->fd, use);
}

int gv_fd_enter(int fd, struct gv_fd_use *use)
{
	use->fd = fd;
	use->record = gv_fd_find(fd);
	if (GV_UNLIKELY(use->record == NULL)) {
		int rc = make_record(fd, &use->record);
		if (rc < 0)
			return rc;
	}
	uint64_t state = gv_add(&use->record->state, GV_FD_CALL, acquire); /* [life] */
	if (GV_UNLIKELY(state & (GV_FD_CLOSING | GV_FD_FINISHING)))
		return enter_slow(use, state);
	use->life = gv_fd_life_of(state);
	use->kind = (enum gv_fd_kind)((state & GV_FD_KIND) >> GV_FD_KIND_SHIFT);
	use->owned = (state & GV_FD_OWNED) != 0;
	use->watched = (state & GV_FD_WATCHED) != 0;
	return 0;
}

/* In this life nobody has used the number. */
static bool untouched(uint64_t state)
{
	return (state & (GV_FD_FLAGS | GV_FD_CALLS)) == 0;
}

void gv_fd_own(int fd, enum gv_fd_kind kind)
{
	struct gv_fd *record = gv_fd_find(fd);
	uint64_t flags = GV_FD_OWNED | (uint64_t)kind << GV_FD_KIND_SHIFT;

	/* Without memory it is treated like a descriptor of somebody else, if it can be used. */
	if (record == NULL && make_record(fd, &record) < 0)
		return;

	uint64_t state = gv_load(&record->state, relaxed); /* relaxed: the CAS decides */
	for (;;) {
		uint64_t next = state | flags;

		if (GV_UNLIKELY(!untouched(state))) {
			/* Its last life is over, whether or not we were told. */
			end_words(record, gv_fd_life_of(state));
			if (state & GV_FD_WATCHED)
				gv_fd_unwatch(record, fd);
			next = next_life(state) | flags;
		}
		if (gv_cas(&record->state, &state, next, acq_rel, relaxed)) /* [life] */
			break;
	}
	wake_sleepers(record, state);
}

int gv_fd_probe(struct gv_fd_use *use)
{
	int type = 0;
	int protocol = 0;
	socklen_t length = sizeof(type);

	use->kind = GV_FD_SOCKET;
	if (getsockopt(use->fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0) {
		if (errno == EBADF)
			return -EBADF;
		use->kind = GV_FD_PLAIN;
	} else if (type == SOCK_STREAM) {
		length = sizeof(protocol);
		if (getsockopt(use->fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
		    protocol == IPPROTO_TCP)
			use->kind = GV_FD_TCP;
	}

	uint64_t state = gv_load(&use->record->state, relaxed); /* relaxed: the CAS decides */
	uint64_t kind = (uint64_t)use->kind << GV_FD_KIND_SHIFT;
	while (gv_fd_life_of(state) == use->life && (state & GV_FD_KIND) != kind) {
		/* relaxed: a kind is only a guess */
		if (gv_cas(&use->record->state, &state, (state & ~GV_FD_KIND) | kind, relaxed,
			   relaxed))
			break;
	}
	return 0;
}

int grove_close(int fd)
{
	struct gv_fd *record = gv_fd_find(fd);

	if (record == NULL && make_record(fd, &record) < 0)
		return close(fd) < 0 && errno != EINTR ? -errno : 0; /* nobody knows it */

	uint64_t state = gv_load(&record->state, relaxed); /* relaxed: the CAS decides */
	for (;;) {
		if (state & GV_FD_CLOSING)
			return -EBADF;
		if (GV_UNLIKELY(state & GV_FD_FINISHING)) {
			int rc = settle(record, fd);
			if (rc < 0)
				return rc;
			state = gv_load(&record->state, relaxed); /* relaxed: as above */
			continue;
		}
		/* The closer is a call, too. */
		uint64_t next = (state | GV_FD_CLOSING) + GV_FD_CALL;
		if (gv_cas(&record->state, &state, next, acq_rel, relaxed)) /* [life] */
			break;
	}
	end_words(record, gv_fd_life_of(state));
	return gv_fd_leave(&(struct gv_fd_use){ .record = record, .fd = fd });
}

int grove_fd_forget(int fd)
{
	struct gv_fd *record = gv_fd_find(fd);

	if (fd < 0)
		return -EBADF;
	if (record == NULL)
		return 0;

	uint64_t state = gv_load(&record->state, relaxed); /* relaxed: the CAS decides */
	do {
		if (untouched(state) || (state & (GV_FD_CLOSING | GV_FD_FINISHING)))
			return 0;
		end_words(record, gv_fd_life_of(state));
		/* Before the next life begins, which may put the number into the set again. */
		if (state & GV_FD_WATCHED)
			gv_fd_unwatch(record, fd);
	} while (!gv_cas(&record->state, &state, next_life(state), acq_rel, relaxed)); /* [life] */
	return 0;
}

static void reset_in_child(struct gv_fd *record, int fd)
{
	uint64_t state = gv_load(&record->state, relaxed); /* relaxed: one thread */
	bool closing = (state & GV_FD_CLOSING) != 0;

	if (untouched(state))
		return;
	/* It was said to be closed, but the calls that kept it open are the parent's. */
	if (closing)
		(void)close(fd);
	uint64_t kept = GV_FD_OWNED | GV_FD_KIND;
	if (closing || (state & GV_FD_FINISHING))
		kept = 0;
	reset_record(record, (uint64_t)(gv_fd_life_of(state) + 1) << 32 | (state & kept));
}

void gv_fd_reset_all(void)
{
	gv_fd_each(reset_in_child);
}

/* --- waits -------------------------------------------------------------------------------------- */

void gv_fd_blocked(const struct gv_fd_use *use, enum gv_fd_direction direction, uint64_t seen)
{
	_Atomic uint64_t *place = &use->record->word[direction];
	uint64_t word = seen;

	while ((word & GV_FD_READY) && ((word ^ seen) & (GV_FD_TICKS | GV_FD_LIFE)) == 0) {
		/* relaxed: looked at again */
		if (gv_cas(place, &word, word & ~GV_FD_READY, acq_rel, relaxed)) /* [tick] F3 */
			break;
	}
}

int gv_fd_claim(const struct gv_fd_use *use, enum gv_fd_direction direction, uint64_t also)
{
	_Atomic uint64_t *place = &use->record->word[direction];
	uint64_t word = gv_load(place, relaxed); /* relaxed: the CAS decides */

	do {
		if (!gv_fd_current(use, word))
			return -EBADF;
		if (word & GV_FD_BUSY)
			return -EBUSY;
	} while (!gv_cas(place, &word, word | GV_FD_BUSY | also, acq_rel, relaxed)); /* [tick] F4 */
	return 0;
}

void gv_fd_release(const struct gv_fd_use *use, enum gv_fd_direction direction, uint64_t also)
{
	_Atomic uint64_t *place = &use->record->word[direction];
	uint64_t word = gv_load(place, relaxed); /* relaxed: the CAS decides */

	/* In another life the claim is gone by itself. */
	while (gv_fd_current(use, word)) {
		if (gv_cas(place, &word, word & ~(GV_FD_BUSY | also), acq_rel,
			   relaxed)) /* [tick] */
			break;
	}
}

/* F2: set in the word of any other life. */
static uint64_t other_lives(const struct gv_fd_use *use)
{
	return GV_FD_LIFE & ~gv_fd_life_bits(use->life);
}

/* Whether the caller may wait; a foreign pthread needs somebody who polls. */
static int may_wait(void)
{
	struct gv_hub *hub = gv_hub_self();

	if (GV_LIKELY(hub != NULL))
		return gv_in_hub_context(hub) ? GROVE_IN_HUB : 0;
	return gv_runtime.hooks.ensure();
}

/* The only waiter has ended its wait itself: its node is dead, and nobody else has one. */
static void bury(const struct gv_fd_use *use, enum gv_fd_direction direction)
{
	_Atomic uint64_t *place = &use->record->word[direction];
	uint64_t word = gv_load(place, relaxed); /* relaxed: the CAS decides */

	while (gv_fd_current(use, word) && gv_chain_of(word) != NULL) {
		if (gv_cas(place, &word, word & ~GV_CHAIN_MASK, acq_rel,
			   relaxed)) { /* [tick] [push] */
			struct gv_node *dead = gv_chain_of(word);
			struct gv_hub *hub = gv_enter();

			(void)gv_waitset_discard(hub, &dead);
			if (hub != NULL)
				gv_leave(hub);
			break;
		}
	}
}

/* Claimed: wait until a delivery, or a bit of `stop`.  Returns 0, or what ended it otherwise. */
static int wait_on(const struct gv_fd_use *use, enum gv_fd_direction direction, uint64_t stop,
		   grove_deadline deadline)
{
	int rc = gv_wait_on(&use->record->word[direction], stop | other_lives(use), 0, deadline,
			    NULL);

	if (GV_UNLIKELY(rc < 0))
		bury(use, direction);
	return rc == GV_STOPPED ? 0 : rc;
}

int gv_fd_wait_claimed(struct gv_fd_use *use, enum gv_fd_direction direction,
		       grove_deadline deadline)
{
	int rc = may_wait();

	if (rc == 0)
		rc = gv_fd_watch(use);
	use->watched = rc == 0;
	return rc < 0 ? rc : wait_on(use, direction, GV_FD_READY, deadline);
}

int gv_fd_wait(struct gv_fd_use *use, enum gv_fd_direction direction, grove_deadline deadline)
{
	if (gv_fd_look(use, direction) & GV_FD_READY)
		return 0;
	int rc = gv_fd_claim(use, direction, 0);
	if (rc < 0)
		return rc;
	rc = gv_fd_wait_claimed(use, direction, deadline);
	gv_fd_release(use, direction, 0);
	return rc;
}

bool gv_fd_wait_first(const struct gv_fd_use *use, uint64_t seen)
{
	if ((seen & GV_FD_READY) || !use->watched)
		return false;

	struct gv_hub *hub = gv_hub_self();
	/* relaxed: a kill that comes later meets the wait */
	return hub == NULL || gv_in_hub_context(hub) || gv_load(&hub->current->kills, relaxed) == 0;
}

int gv_fd_pause(const struct gv_fd_use *use, enum gv_fd_direction direction,
		grove_deadline deadline)
{
	int rc = gv_fd_claim(use, direction, 0);

	if (rc < 0)
		return rc;
	rc = wait_on(use, direction, 0, deadline);
	gv_fd_release(use, direction, 0);
	return rc;
}

void gv_fd_mark_record(struct gv_hub *hub, struct gv_fd *record, enum gv_fd_direction direction,
		       uint32_t life, uint64_t flags)
{
	_Atomic uint64_t *place = &record->word[direction];
	uint64_t word = gv_load(place, relaxed); /* relaxed: the CAS decides */
	uint64_t next;

	do {
		if ((word & GV_FD_LIFE) != gv_fd_life_bits(life))
			return;
		next = ((word & ~GV_CHAIN_MASK) | GV_FD_READY | flags) + GV_FD_TICK;
	} while (!gv_cas(place, &word, next, acq_rel, relaxed)); /* [tick] [push] */
	gv_deliver(hub, gv_chain_of(word), GV_CAUSE_WAKE, 0);
	if (GV_UNLIKELY(word & GV_FD_FORWARD) && direction == GV_FD_WRITE)
		gv_fd_mark_record(hub, record, GV_FD_READ, life, 0);
}

void gv_fd_mark(const struct gv_fd_use *use, enum gv_fd_direction direction, uint64_t flags)
{
	struct gv_hub *hub = gv_enter();

	gv_fd_mark_record(hub, use->record, direction, use->life, flags);
	if (hub != NULL)
		gv_leave(hub);
}
