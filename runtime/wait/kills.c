/* SPDX-License-Identifier: MIT */
/*
 * kills.c - kills on their way to a greenlet.
 *
 * Layer   wait.
 * Owns    the word `kills` of a record, and struct gv_kill.
 * Entry   gv_kill_send from grove_kill; gv_kill_next from the end of a wait (park.c).
 *
 * The word is a chain of kills, newest first.  Bit 0 stands for an exit that found no memory, or that
 * was alone: the usual kill allocates nothing.
 *
 * I1  Each kill is taken by the greenlet once, oldest first.
 * I2  A killer that finds the greenlet waiting, in a wait that kills may end, ends it; otherwise the
 *     kill waits for the next such wait.  It does nothing if the kill was taken meanwhile.  While a
 *     wait is PENDING no kill is taken: if there is one after the wait was read, then so there is
 *     when the wait is claimed.
 *
 * [sent]  send: CAS release.  next: CAS acquire.
 * [kill]  see park.c.
 */
#include "base/check.h"
#include "base/fault.h"
#include "base/memory.h"
#include "plat/fence.h"
#include "sched/failure.h"
#include "sched/ready.h"
#include "wait/park.h"

#include <errno.h>

#define EXIT_BIT UINT64_C(1) /* an exit older than the whole chain */

struct gv_kill {
	struct gv_kill *older;
	struct grove_failure *failure; /* a reference */
};

static struct gv_kill *chain_of(uint64_t word)
{
	return (struct gv_kill *)(uintptr_t)(word & ~EXIT_BIT);
}

static int push(struct grove_greenlet *g, struct grove_failure *failure)
{
	uint64_t word = gv_load(&g->kills, relaxed); /* relaxed: the CAS decides */

	if (failure == &gv_failure_exit_object) {
		while (word == 0) {
			if (gv_cas(&g->kills, &word, EXIT_BIT, release,
				   relaxed)) /* [sent] relaxed: again */
				return 0;
		}
	}
	struct gv_kill *kill = gv_fault_here("kill") ? NULL : gv_malloc(sizeof(*kill));
	if (kill == NULL)
		return -ENOMEM;
	kill->failure = failure;
	gv_failure_retain(failure);
	do
		kill->older = chain_of(word);
	while (!gv_cas(&g->kills, &word, (uintptr_t)kill | (word & EXIT_BIT), release,
		       relaxed)); /* [sent] */
	return 0;
}

/* End the wait that this word shows, if kills may. */
static bool end_wait(struct gv_hub *hub, struct grove_greenlet *g, uint64_t wait)
{
	/* relaxed: I2, not older than `wait` */
	if (!(wait & GV_WAIT_PENDING) || (wait & GV_WAIT_NOKILL) ||
	    gv_load(&g->kills, relaxed) == 0 || !gv_wait_claim(g, wait, GV_CAUSE_KILL, 0))
		return false;
	gv_ready(hub, g, false);
	return true;
}

int gv_kill_send(struct gv_hub *hub, struct grove_greenlet *g, struct grove_failure *failure)
{
	int rc = push(g, failure);

	if (rc < 0)
		return rc;
	if (end_wait(hub, g, gv_load(&g->wait, acquire))) /* [kill] */
		return 0;
	gv_fence_heavy();			      /* [kill] */
	end_wait(hub, g, gv_load(&g->wait, acquire)); /* [kill] */
	return 0;
}

struct grove_failure *gv_kill_next(struct grove_greenlet *g)
{
	uint64_t word = gv_load(&g->kills, acquire); /* [sent] */

	for (;;) {
		if (word & EXIT_BIT) {
			if (gv_cas(&g->kills, &word, word & ~EXIT_BIT, acquire,
				   acquire)) /* [sent] */
				return &gv_failure_exit_object;
			continue;
		}
		struct gv_kill *kill = chain_of(word);
		if (kill == NULL)
			return NULL;
		if (kill->older == NULL) {
			if (!gv_cas(&g->kills, &word, 0, acquire, acquire)) /* [sent] */
				continue;
		} else {
			/* Only the greenlet takes kills, so behind the newest the chain is its own. */
			struct gv_kill *before = kill;
			for (kill = kill->older; kill->older != NULL; kill = kill->older)
				before = kill;
			before->older = NULL;
		}
		struct grove_failure *failure = kill->failure;
		gv_free(kill);
		return failure;
	}
}

void gv_kill_drop_all(struct grove_greenlet *g)
{
	struct grove_failure *failure;

	while ((failure = gv_kill_next(g)) != NULL)
		gv_failure_release(failure);
}
