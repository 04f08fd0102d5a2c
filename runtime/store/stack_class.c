/* SPDX-License-Identifier: MIT */
/*
 * stack_class.c - which sizes of stacks there are.
 *
 * Layer   store.
 * Owns    the table of classes, which grows only; under the lock of stack.c.
 *
 * A class is named by what callers ask for.  Its stacks are larger: by a page for the header and
 * the colour, by the guard, and by another page where the distance from stack to stack would else
 * be an even number of pages and their tops would share few sets of the TLB.
 */
#include "store/stack.h"

#include "plat/os.h"

#include <string.h>

enum { MAX_CLASSES = 64 };

static struct gv_stack_class classes[MAX_CLASSES];
static size_t class_count;

static size_t round_up(size_t value, size_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* Instrumented frames are larger. */
static size_t real_bytes(size_t bytes)
{
	return GV_ASAN ? GV_MAX(4 * bytes, (size_t)256 << 10) : bytes;
}

struct gv_stack_class *gv_stack_class_find(size_t bytes, size_t guard)
{
	size_t page = gv_os_page_size();

	bytes = round_up(GV_MAX(bytes, GV_STACK_SMALLEST), page);
	guard = round_up(guard, page);
	for (size_t i = 0; i < class_count; i++) {
		if (classes[i].bytes == bytes && classes[i].guard == guard)
			return &classes[i];
	}
	if (class_count == MAX_CLASSES)
		return NULL;

	size_t stride = guard + round_up(real_bytes(bytes), page) + page;
	if (stride / page % 2 == 0)
		stride += page;

	struct gv_stack_class *class = &classes[class_count++];
	class->bytes = bytes;
	class->guard = guard;
	class->stride = stride;
	class->region_bytes = 16 * stride;
	gv_list_init(&class->open);
	gv_list_init(&class->warm);
	return class;
}

void gv_stack_class_forget_all(void)
{
	memset(classes, 0, sizeof(classes));
	class_count = 0;
}
