/* SPDX-License-Identifier: MIT */
/*
 * inbox.h - many producers hand items to one hub.
 *
 * Layer   store.  The protocol stands in inbox.c.
 */
#ifndef GV_INBOX_H
#define GV_INBOX_H

#include "base/atomic.h"
#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>

/* Embedded in whatever can be in an inbox. */
struct gv_link {
	_Atomic(struct gv_link *) next;
};

struct gv_inbox {
	_Atomic(struct gv_link *) newest;
} GV_ALIGNED(GV_CACHE_LINE);

/* Any thread and any signal handler; wait-free but for other producers.  Returns true if it was
 * empty. */
bool gv_inbox_push(struct gv_inbox *inbox, struct gv_link *link);

/* The same for a chain first -> ... -> last that is linked newest to oldest. */
bool gv_inbox_push_chain(struct gv_inbox *inbox, struct gv_link *first, struct gv_link *last);

/* Any thread: everything, oldest first, linked by next; NULL if there was nothing. */
struct gv_link *gv_inbox_take(struct gv_inbox *inbox);

static inline bool gv_inbox_empty(struct gv_inbox *inbox)
{
	return gv_load(&inbox->newest, relaxed) == NULL; /* relaxed: a hint; idle.c fences */
}

#endif
