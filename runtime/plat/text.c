/* SPDX-License-Identifier: MIT */
/*
 * text.c - see text.h.
 *
 * Layer   plat.
 */
#include "plat/text.h"

void gv_text_begin(struct gv_text *text, char *buffer, size_t room)
{
	text->at = buffer;
	text->end = buffer + room - 1;
	*text->at = '\0';
}

void gv_text_add(struct gv_text *text, const char *words)
{
	while (*words != '\0' && text->at < text->end)
		*text->at++ = *words++;
	*text->at = '\0';
}

static void add_in_base(struct gv_text *text, uint64_t number, unsigned base)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[number % base];
		number /= base;
	} while (number != 0);
	gv_text_add(text, at);
}

void gv_text_add_number(struct gv_text *text, uint64_t number)
{
	add_in_base(text, number, 10);
}

void gv_text_add_pointer(struct gv_text *text, const void *pointer)
{
	gv_text_add(text, "0x");
	add_in_base(text, (uintptr_t)pointer, 16);
}
