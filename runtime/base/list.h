/* SPDX-License-Identifier: MIT */
/*
 * list.h - intrusive doubly linked rings.
 *
 * Layer   base.  Not thread safe: the owner of the head guards it.
 *
 * A node that is in no list points at itself, so removing it twice is harmless.
 */
#ifndef GV_LIST_H
#define GV_LIST_H

#include <stdbool.h>

struct gv_list {
	struct gv_list *next;
	struct gv_list *prev;
};

static inline void gv_list_init(struct gv_list *node)
{
	node->next = node;
	node->prev = node;
}

static inline bool gv_list_empty(const struct gv_list *head)
{
	return head->next == head;
}

static inline void gv_list_append(struct gv_list *head, struct gv_list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void gv_list_remove(struct gv_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	gv_list_init(node);
}

/* Move everything from one list to the empty list `to`. */
static inline void gv_list_move_all(struct gv_list *to, struct gv_list *from)
{
	if (gv_list_empty(from)) {
		gv_list_init(to);
		return;
	}
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	gv_list_init(from);
}

#endif
