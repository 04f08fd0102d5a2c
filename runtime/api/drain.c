/* SPDX-License-Identifier: MIT */
/*
 * drain.c - how the greenlets of a runtime that stops are ended.
 *
 * Layer   api.  Below: the slab of records; grove_kill and grove_join do the rest.
 * Entry   gv_drain from start.c.
 *
 *     forbid spawning -> kill walk -> join walk -> look walk: nobody? done
 *                                        ^             |
 *                                        '-- somebody -'
 *
 * I1  Each greenlet is killed once, so that its clean-up is not disturbed by another kill: a table
 *     keeps for each record the life that was killed.  Without memory for it, later walks kill again,
 *     as one kill too many is better than one too few.
 * I2  A walk keeps no lock: it goes over records that never move, and takes a reference to each
 *     greenlet that it wants to touch.
 * I3  A spawn that looked before it was forbidden may come late: the kill walk misses its greenlet, or
 *     the join walk does.  Whoever was not killed yet is killed when he is met, and walks go on until
 *     one finds nobody.
 *
 * [drain]  stop: store draining, then walk.  spawn: load draining (prim/spawn.c), relaxed: I3.
 */
#include "api/drain.h"

#include "base/atomic.h"
#include "base/compiler.h"
#include "base/memory.h"
#include "plat/clock.h"
#include "plat/fence.h"
#include "plat/futex.h"
#include "sched/hub.h"
#include "sched/label.h"
#include "sched/report.h"

#include "grove/greenlet.h"
#include "grove/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	BREATHE_EVERY = 1024, /* kills between two yields */
	NAMED_AT_MOST = 8,
};

#define PAUSE_NS INT64_C(1000000)

struct walk {
	grove_deadline deadline;
	grove_greenlet *self;
	uint32_t *killed; /* by index: the low bits of the id of who was killed; or NULL */
	size_t room;
	int rc;
	uint64_t seen;
	size_t used;
	char names[512];
};

/* A reference to a greenlet that lives and is not the caller, or NULL. */
static grove_greenlet *hold_living(const struct walk *walk, void *object)
{
	grove_greenlet *g = object;
	uint64_t done = gv_load(&g->done, relaxed); /* relaxed: looked at again below */

	/* relaxed: a proxy never becomes a greenlet while somebody refers to it */
	if (g == walk->self || done < GV_DONE_REFERENCE || (done & GV_DONE_ENDED) ||
	    gv_load(&g->hub, relaxed) == GV_HUB_FOREIGN)
		return NULL;

	grove_greenlet *held = gv_record_lookup(gv_record_id(g));
	if (held != NULL && grove_ready(held)) {
		grove_greenlet_release(held);
		return NULL;
	}
	return held;
}

static void pause_a_little(const struct walk *walk)
{
	static _Atomic uint32_t nobody;

	if (walk->self != NULL)
		(void)grove_sleep(grove_in_ns(PAUSE_NS));
	else
		(void)gv_futex_wait(&nobody, 0, gv_clock_ns() + PAUSE_NS);
}

static void open_table(struct walk *walk)
{
	struct gv_slab_stats stats;

	gv_slab_stats(&gv_records, &stats);
	walk->room = (size_t)stats.chunks * GV_SLAB_CHUNK_SLOTS;
	walk->killed = gv_zalloc(walk->room * sizeof(walk->killed[0]));
	if (walk->killed == NULL)
		walk->room = 0;
}

/* I1.  False: it was killed before. */
static bool note_kill(struct walk *walk, const grove_greenlet *g)
{
	size_t index = gv_slab_index(g);
	/* Lives differ in their low bits, and 0 stands for none. */
	uint32_t life =
		(uint32_t)(gv_record_id(g) / (GV_SLAB_CHUNKS_MAX * GV_SLAB_CHUNK_SLOTS)) | 1u << 31;

	if (index >= walk->room)
		return true;
	if (walk->killed[index] == life)
		return false;
	walk->killed[index] = life;
	return true;
}

static void kill_once(struct walk *walk, grove_greenlet *g)
{
	/* Without memory for one more kill it has another one to come. */
	if (note_kill(walk, g))
		(void)grove_kill(g, NULL, GROVE_POLL);
}

static bool kill_one(void *object, void *arg)
{
	struct walk *walk = arg;
	grove_greenlet *g = hold_living(walk, object);

	if (g == NULL)
		return true;
	kill_once(walk, g);
	grove_greenlet_release(g);
	if (++walk->seen % BREATHE_EVERY == 0)
		(void)grove_yield();
	return true;
}

/* Wait for its end, whatever happens to the caller meanwhile.  Returns 0 or -ETIMEDOUT. */
static int join_surely(const struct walk *walk, grove_greenlet *g)
{
	for (;;) {
		int rc = grove_join(g, walk->deadline);

		switch (rc) {
		case 0:
		case -ETIMEDOUT:
			return rc;
		case GROVE_DEADLOCK:
			return -ETIMEDOUT; /* later will be no better */
		case GROVE_KILLED:
		case GROVE_INTERRUPTED:
			break; /* too late: the caller ends anyway */
		default:
			if (grove_left_ns(walk->deadline) == 0)
				return -ETIMEDOUT;
			pause_a_little(walk); /* no memory to wait properly */
		}
	}
}

static bool join_one(void *object, void *arg)
{
	struct walk *walk = arg;
	grove_greenlet *g = hold_living(walk, object);

	if (g == NULL)
		return true;
	kill_once(walk, g); /* I3 */
	walk->rc = join_surely(walk, g);
	grove_greenlet_release(g);
	return walk->rc == 0;
}

static bool name_one(void *object, void *arg)
{
	struct walk *walk = arg;
	grove_greenlet *g = hold_living(walk, object);
	char name[GV_NAME_BYTES];

	if (g == NULL)
		return true;
	if (walk->seen++ < NAMED_AT_MOST) {
		gv_label_name(g, name, sizeof(name));
		int more = snprintf(walk->names + walk->used, sizeof(walk->names) - walk->used,
				    "%s%s", walk->used == 0 ? "" : ", ", name);
		if (more > 0)
			walk->used = GV_MIN(walk->used + (size_t)more, sizeof(walk->names) - 1);
	}
	grove_greenlet_release(g);
	return true;
}

/* Returns how many live. */
static uint64_t count_living(struct walk *walk)
{
	walk->seen = 0;
	walk->used = 0;
	walk->names[0] = '\0';
	gv_slab_each(&gv_records, name_one, walk);
	return walk->seen;
}

static int give_up(struct walk *walk)
{
	uint64_t alive = count_living(walk);

	if (alive == 0)
		return 0;
	gv_log(GROVE_LOG_WARNING, "%llu greenlets outlived the stop: %s%s",
	       (unsigned long long)alive, walk->names, alive > NAMED_AT_MOST ? ", ..." : "");
	return walk->deadline.ns == INT64_MIN ? -EAGAIN : -ETIMEDOUT;
}

static int kill_and_join(struct walk *walk)
{
	gv_slab_each(&gv_records, kill_one, walk);
	if (walk->deadline.ns == INT64_MIN)
		return give_up(walk);
	do {
		gv_slab_each(&gv_records, join_one, walk);
		if (walk->rc < 0)
			return give_up(walk);
	} while (count_living(walk) != 0);
	return 0;
}

int gv_drain(grove_deadline deadline)
{
	struct walk walk = { .deadline = deadline, .self = grove_self() };

	gv_store(&gv_runtime.draining, 1, seq_cst); /* [drain] */
	gv_fence_heavy();			    /* [drain] */
	open_table(&walk);
	int rc = kill_and_join(&walk);
	gv_free(walk.killed);
	return rc;
}

void gv_drain_undo(void)
{
	gv_store(&gv_runtime.draining, 0, seq_cst); /* [drain] */
}
