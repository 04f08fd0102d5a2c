/* SPDX-License-Identifier: MIT */
/*
 * overflow_report.c - one line about the greenlet whose stack ran out.
 *
 * Layer   api.  Async-signal-safe: runs in the handler of plat/overflow.c.
 *
 * The stack belongs to the very greenlet that was interrupted, or to one that wrote far beyond its
 * own: then it may change hands under our eyes, and the report may name the wrong one.
 */
#include "api/overflow_report.h"

#include "plat/text.h"
#include "sched/hub.h"
#include "sched/label.h"
#include "store/stack.h"

bool gv_overflow_describe_greenlet(void *fault_address, char *text, size_t room)
{
	struct gv_stack *stack;
	struct gv_text line;
	bool in_guard;
	char name[GV_NAME_BYTES];

	if (!gv_stack_find(fault_address, &stack, &in_guard) || !in_guard)
		return false;
	gv_text_begin(&line, text, room);
	if (stack == NULL) {
		gv_text_add(&line, "the guard of a stack that nobody uses");
		return true;
	}

	struct grove_greenlet *g = ((struct gv_cold *)(void *)stack->cold)->self;
	if (g != NULL && gv_record_stack(g) == stack) {
		gv_label_name_unlocked(g, name, sizeof(name));
		gv_text_add(&line, name);
	} else {
		gv_text_add(&line, "a greenlet");
	}
	gv_text_add(&line, " used up its stack of ");
	gv_text_add_number(&line, stack->size);
	gv_text_add(&line, " bytes, from ");
	gv_text_add_pointer(&line, stack->low);
	gv_text_add(&line, " to ");
	gv_text_add_pointer(&line, stack->top);
	return true;
}
