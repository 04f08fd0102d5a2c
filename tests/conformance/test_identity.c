/* SPDX-License-Identifier: MIT */
/*
 * test_identity.c - ID-1 and what else tells greenlets apart: ids, numbers, names.  CASES 79, 89.
 */
#include "gt.h"

static int numbers[4];

#define V1 (&numbers[1])

static void *wait_then_return(void *event)
{
	void *value = NULL;

	GT_CHECK_IS(0, grove_event_wait(event, &value, gt_soon()));
	return value;
}

/* Ids are unique, and lead to a greenlet as long as it lives or is held. */
GT_TEST(test_ids)
{
	enum { MANY = 100 };
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *greenlets[MANY];
	uint64_t ids[MANY];

	for (int i = 0; i < MANY; i++) {
		greenlets[i] = gt_spawn(wait_then_return, &event);
		ids[i] = grove_id(greenlets[i]);
		GT_CHECK(ids[i] != 0);
		for (int j = 0; j < i; j++)
			GT_CHECK(ids[i] != ids[j]);
	}
	for (int i = 0; i < MANY; i++) {
		grove_greenlet *found = grove_lookup(ids[i]);

		GT_CHECK(found == greenlets[i]);
		grove_greenlet_release(found);
	}
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	for (int i = 0; i < MANY; i++) {
		GT_CHECK_IS(0, grove_join(greenlets[i], gt_soon()));
		grove_greenlet *found = grove_lookup(ids[i]);
		GT_CHECK(found == greenlets[i]);
		grove_greenlet_release(found);
		grove_greenlet_release(greenlets[i]);
		gt_until(gt_gone(ids[i]));
	}
	GT_CHECK(grove_lookup(0) == NULL);
	GT_CHECK(grove_lookup(UINT64_MAX) == NULL);
	GT_CHECK_IS(0, grove_id(NULL));
}

/* ID-1, CASES 79: numbers are the smallest that are free, kept for life, and used again. */
GT_TEST(test_numbers)
{
	grove_greenlet *greenlets[4];

	for (int i = 0; i < 4; i++)
		greenlets[i] = gt_spawn(gt_return_it, NULL);
	for (int i = 0; i < 4; i++)
		GT_CHECK_IS(i, grove_number(greenlets[i]));
	GT_CHECK_IS(4, grove_number(grove_self()));
	for (int i = 0; i < 4; i++) {
		GT_CHECK_IS(0, grove_join(greenlets[i], gt_soon()));
		GT_CHECK_IS(i, grove_number(greenlets[i]));
	}
	for (int i = 1; i < 3; i++) {
		uint64_t id = grove_id(greenlets[i]);

		grove_greenlet_release(greenlets[i]);
		gt_until(gt_gone(id));
	}
	for (int i = 1; i < 3; i++) {
		greenlets[i] = gt_spawn(gt_return_it, NULL);
		GT_CHECK_IS(i, grove_number(greenlets[i]));
	}
	for (int i = 0; i < 4; i++)
		gt_join(greenlets[i]);
	GT_CHECK(grove_number(NULL) == UINT64_MAX);
}

enum { ASKERS = 8 };

struct numbers {
	uint64_t number[ASKERS];
	grove_greenlet *greenlet[ASKERS];
};

static void ask_for_number(unsigned party, void *arg)
{
	struct numbers *n = arg;

	n->greenlet[party] = gt_spawn(gt_return_it, NULL);
	n->number[party] = grove_number(n->greenlet[party]);
}

static void compare_numbers(void *arg)
{
	struct numbers *n = arg;

	for (int i = 0; i < ASKERS; i++) {
		GT_CHECK(n->number[i] < ASKERS);
		for (int j = 0; j < i; j++)
			GT_CHECK(n->number[i] != n->number[j]);
	}
	for (int i = 0; i < ASKERS; i++) {
		uint64_t id = grove_id(n->greenlet[i]);

		gt_join(n->greenlet[i]);
		gt_until(gt_gone(id));
	}
}

/* ID-1, CASES 89 [N]: asked for on all hubs at the same time. */
GT_TEST(test_numbers_are_distinct)
{
	struct numbers n;
	struct gt_race race = {
		.parties = ASKERS,
		.threads = 2,
		.rounds = GT_ROUNDS / 40,
		.act = ask_for_number,
		.between = compare_numbers,
		.arg = &n,
	};

	gt_race(&race);
}

/* Names: a default, one's own, cut, and the default again. */
GT_TEST(test_names)
{
	grove_greenlet *greenlet = gt_spawn_unstarted(gt_return_it, NULL);
	char expected[64];
	char text[128];
	char longest[101];

	snprintf(expected, sizeof(expected), "greenlet-%llu",
		 (unsigned long long)grove_id(greenlet));
	GT_CHECK_IS(strlen(expected), grove_name(greenlet, text, sizeof(text)));
	GT_CHECK(strcmp(text, expected) == 0);

	GT_CHECK_IS(0, grove_set_name(greenlet, "worker"));
	GT_CHECK_IS(6, grove_name(greenlet, text, sizeof(text)));
	GT_CHECK(strcmp(text, "worker") == 0);
	GT_CHECK_IS(6, grove_name(greenlet, text, 4));
	GT_CHECK(strcmp(text, "wor") == 0);
	GT_CHECK_IS(6, grove_name(greenlet, NULL, 0));

	memset(longest, 'x', 100);
	longest[100] = '\0';
	GT_CHECK_IS(0, grove_set_name(greenlet, longest));
	GT_CHECK_IS(63, grove_name(greenlet, text, sizeof(text)));
	GT_CHECK_IS(63, strlen(text));

	GT_CHECK_IS(0, grove_set_name(greenlet, NULL));
	GT_CHECK_IS(strlen(expected), grove_name(greenlet, text, sizeof(text)));
	GT_CHECK(strcmp(text, expected) == 0);
	GT_CHECK_IS(-EINVAL, grove_set_name(NULL, "nobody"));
	GT_CHECK_IS(0, grove_name(NULL, text, sizeof(text)));
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
	gt_join(greenlet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_numbers_are_distinct),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
