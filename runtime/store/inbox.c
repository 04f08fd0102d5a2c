/* SPDX-License-Identifier: MIT */
/*
 * inbox.c - a stack that is pushed one by one and taken as a whole.
 *
 * Layer   store.
 * Owns    struct gv_inbox: the newest link.
 * Entry   gv_inbox_push from wakers on any thread; gv_inbox_take from the hub, and from thieves.
 *
 * [give]  push: CAS release.  take: exchange acquire.  What the producer wrote before is visible to
 *         the taker.  Both are seq_cst, because a producer looks at the hub's park word next and a
 *         hub that announces sleep looks at the inbox next (idle.c [sleep]).
 *
 * No ABA: a push only compares the newest link, and links it as it is; a take leaves nothing behind.
 * There is no moment in which an interrupted producer hides what others have pushed.
 *
 * Rejected: liburcu's wfcqueue (a stopped producer hides all later nodes; see docs/decisions).
 */
#include "store/inbox.h"

#include <stddef.h>

bool gv_inbox_push_chain(struct gv_inbox *inbox, struct gv_link *first, struct gv_link *last)
{
	struct gv_link *newest = gv_load(&inbox->newest, relaxed); /* relaxed: the CAS decides */

	do
		gv_store(&last->next, newest, relaxed); /* relaxed: [give] follows */
	while (!gv_cas(&inbox->newest, &newest, first, seq_cst,
		       relaxed)); /* [give] relaxed: again */
	return newest == NULL;
}

bool gv_inbox_push(struct gv_inbox *inbox, struct gv_link *link)
{
	return gv_inbox_push_chain(inbox, link, link);
}

struct gv_link *gv_inbox_take(struct gv_inbox *inbox)
{
	if (gv_inbox_empty(inbox))
		return NULL;

	struct gv_link *link = gv_xchg(&inbox->newest, NULL, seq_cst); /* [give] */
	struct gv_link *oldest = NULL;
	while (link != NULL) {
		struct gv_link *next = gv_load(&link->next, relaxed); /* relaxed: ours now */
		gv_store(&link->next, oldest, relaxed);		      /* relaxed: ours now */
		oldest = link;
		link = next;
	}
	return oldest;
}
