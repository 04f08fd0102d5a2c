/* SPDX-License-Identifier: MIT */
/*
 * text.h - putting a message together where printf is not allowed.
 *
 * Layer   plat.  Async-signal-safe; for handlers of fatal signals above all.
 *
 * What does not fit is cut; the text always ends in a zero byte.
 */
#ifndef GV_PLAT_TEXT_H
#define GV_PLAT_TEXT_H

#include "base/compiler.h"

struct gv_text {
	char *at;
	char *end; /* where the zero byte goes at the latest */
};

/* Start an empty text; room must not be 0. */
void gv_text_begin(struct gv_text *text, char *buffer, size_t room);

void gv_text_add(struct gv_text *text, const char *words);
void gv_text_add_number(struct gv_text *text, uint64_t number);
void gv_text_add_pointer(struct gv_text *text, const void *pointer);

#endif
