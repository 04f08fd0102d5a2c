/* SPDX-License-Identifier: MIT */
/*
 * label.c - names and numbers of greenlets.
 *
 * Layer   sched.
 * Owns    a hash table of labels by id, and the bitmap of numbers in use; one lock for both.
 * Entry   grove_set_name, grove_name, grove_number; gv_record_free for the end.
 */
#include "sched/label.h"

#include "base/fault.h"
#include "base/memory.h"
#include "plat/lock.h"
#include "plat/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024
#define NO_NUMBER UINT64_MAX

struct label {
	struct label *next;
	uint64_t id;
	uint64_t number;
	char name[GV_NAME_BYTES]; /* empty: only a number */
};

static struct gv_lock lock;
static struct label *buckets[BUCKETS];
static uint64_t *numbers; /* bit n: number n is taken */
static size_t number_words;

static struct label **bucket_of(uint64_t id)
{
	return &buckets[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

static struct label *find_locked(uint64_t id)
{
	struct label *label = *bucket_of(id);

	while (label != NULL && label->id != id)
		label = label->next;
	return label;
}

static struct label *find_or_make_locked(struct grove_greenlet *g)
{
	uint64_t id = gv_record_id(g);
	struct label *label = find_locked(id);

	if (label != NULL)
		return label;
	label = gv_fault_here("label") ? NULL : gv_zalloc(sizeof(*label));
	if (label == NULL)
		return NULL;
	label->id = id;
	label->number = NO_NUMBER;
	label->next = *bucket_of(id);
	*bucket_of(id) = label;
	gv_or(&g->life_high, GV_LABELLED, relaxed); /* relaxed: under the lock */
	return label;
}

static uint64_t take_number_locked(void)
{
	for (size_t i = 0; i < number_words; i++) {
		if (numbers[i] != UINT64_MAX) {
			unsigned bit = (unsigned)__builtin_ctzll(~numbers[i]);

			numbers[i] |= UINT64_C(1) << bit;
			return i * 64 + bit;
		}
	}
	size_t words = number_words == 0 ? 16 : 2 * number_words;
	uint64_t *more = gv_fault_here("numbers") ? NULL : realloc(numbers, words * sizeof(*more));
	if (more == NULL)
		return NO_NUMBER;
	memset(more + number_words, 0, (words - number_words) * sizeof(*more));
	numbers = more;
	uint64_t number = number_words * 64;
	numbers[number_words] = 1;
	number_words = words;
	return number;
}

int gv_label_set_name(struct grove_greenlet *g, const char *name)
{
	int rc = -ENOMEM;

	gv_lock_acquire(&lock);
	struct label *label = find_or_make_locked(g);
	if (label != NULL) {
		snprintf(label->name, sizeof(label->name), "%s", name);
		rc = 0;
	}
	gv_lock_release(&lock);
	return rc;
}

static size_t default_name(struct grove_greenlet *g, char *text, size_t room)
{
	struct gv_text out;
	char whole[GV_NAME_BYTES];

	/* No printf: signal handlers come here, too. */
	gv_text_begin(&out, whole, sizeof(whole));
	gv_text_add(&out, "greenlet-");
	gv_text_add_number(&out, gv_record_id(g));
	size_t length = strlen(whole);
	if (room != 0) {
		size_t copied = GV_MIN(length, room - 1);
		memcpy(text, whole, copied);
		text[copied] = '\0';
	}
	return length;
}

static size_t name_locked(struct grove_greenlet *g, char *text, size_t room)
{
	struct label *label = find_locked(gv_record_id(g));

	if (label == NULL || label->name[0] == '\0')
		return default_name(g, text, room);
	size_t length = strlen(label->name);
	if (room != 0) {
		size_t copied = GV_MIN(length, room - 1);
		memcpy(text, label->name, copied);
		text[copied] = '\0';
	}
	return length;
}

size_t gv_label_name(struct grove_greenlet *g, char *text, size_t room)
{
	gv_lock_acquire(&lock);
	size_t length = name_locked(g, text, room);
	gv_lock_release(&lock);
	return length;
}

size_t gv_label_name_unlocked(struct grove_greenlet *g, char *text, size_t room)
{
	if (!gv_lock_try(&lock))
		return default_name(g, text, room);
	size_t length = name_locked(g, text, room);
	gv_lock_release(&lock);
	return length;
}

uint64_t gv_label_number(struct grove_greenlet *g)
{
	uint64_t number = NO_NUMBER;

	gv_lock_acquire(&lock);
	struct label *label = find_or_make_locked(g);
	if (label != NULL) {
		if (label->number == NO_NUMBER)
			label->number = take_number_locked();
		number = label->number;
	}
	gv_lock_release(&lock);
	return number;
}

void gv_label_forget(struct grove_greenlet *g)
{
	uint64_t id = gv_record_id(g);

	gv_lock_acquire(&lock);
	for (struct label **place = bucket_of(id); *place != NULL; place = &(*place)->next) {
		struct label *label = *place;

		if (label->id != id)
			continue;
		*place = label->next;
		if (label->number != NO_NUMBER)
			numbers[label->number / 64] &= ~(UINT64_C(1) << (label->number % 64));
		gv_free(label);
		break;
	}
	gv_lock_release(&lock);
}
