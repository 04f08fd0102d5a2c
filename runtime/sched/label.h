/* SPDX-License-Identifier: MIT */
/*
 * label.h - names and numbers of the greenlets that have one.
 *
 * Layer   sched.
 *
 * Most greenlets have neither, so they are kept outside the record, by id.
 */
#ifndef GV_LABEL_H
#define GV_LABEL_H

#include "sched/record.h"

enum { GV_NAME_BYTES = 64 };

/* In life_high of a record: it has a label. */
#define GV_LABELLED 0x80u

/* Name a record that the caller refers to.  Returns 0 or -ENOMEM. */
int gv_label_set_name(struct grove_greenlet *g, const char *name);

/* The length of the name, which is written to text as snprintf does; the default name has the id. */
size_t gv_label_name(struct grove_greenlet *g, char *text, size_t room);

/* The same for signal handlers: the default name if the table is being changed right now. */
size_t gv_label_name_unlocked(struct grove_greenlet *g, char *text, size_t room);

/* The smallest number that no other greenlet has; the same each time; UINT64_MAX without memory. */
uint64_t gv_label_number(struct grove_greenlet *g);

/* The record ends: its number is free again. */
void gv_label_forget(struct grove_greenlet *g);

static inline bool gv_labelled(struct grove_greenlet *g)
{
	return (gv_load(&g->life_high, relaxed) & GV_LABELLED) !=
	       0; /* relaxed: under the lock, or own */
}

#endif
