/* SPDX-License-Identifier: MIT */
/*
 * test_handle.c - handle.c: what can be asked of a greenlet, and for how long.
 */
#include "prim_test.h"

static void *give_back(void *arg)
{
	return arg;
}

static void *wait_for(void *event)
{
	return CODE(grove_event_wait(event, NULL, GROVE_NEVER));
}

static void *fail_with_code(void *code)
{
	return grove_fail_code((int)(intptr_t)code);
}

static grove_greenlet *spawn_unstarted(void)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g = NULL;

	attributes.flags = GROVE_UNSTARTED;
	CHECK_IS(0, grove_spawn_with(&g, give_back, CODE(3), &attributes));
	return g;
}

GT_TEST(test_null)
{
	char text[4] = "abc";

	CHECK_IS(-EINVAL, grove_greenlet_state(NULL));
	CHECK(!grove_ready(NULL));
	CHECK(grove_value(NULL) == NULL);
	CHECK(grove_failure_of(NULL) == NULL);
	CHECK_IS(0, grove_id(NULL));
	CHECK(grove_number(NULL) == UINT64_MAX);
	CHECK_IS(-EINVAL, grove_set_name(NULL, "x"));
	CHECK_IS(0, grove_name(NULL, text, sizeof(text)));
	CHECK_IS(0, grove_name(NULL, NULL, 0));
	grove_greenlet_retain(NULL);
	grove_greenlet_release(NULL);
}

GT_TEST(test_states)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn_unstarted();

	CHECK_IS(GROVE_NEW, grove_greenlet_state(g));
	CHECK(!grove_ready(g) && grove_value(g) == NULL && grove_failure_of(g) == NULL);
	CHECK_IS(0, grove_greenlet_start(g, GROVE_NEVER));
	CHECK_IS(GROVE_PENDING, grove_greenlet_state(g));
	CHECK_IS(0, grove_cancel(g));
	CHECK_IS(GROVE_EXITED, grove_greenlet_state(g));
	CHECK(grove_ready(g) && grove_value(g) == NULL);
	CHECK(grove_failure_of(g) == grove_failure_exit());
	grove_greenlet_release(g);

	g = spawn(wait_for, &event);
	until_parked(g);
	CHECK_IS(GROVE_ACTIVE, grove_greenlet_state(g));
	CHECK(!grove_ready(g) && grove_value(g) == NULL && grove_failure_of(g) == NULL);
	CHECK_IS(0, grove_event_send(&event, NULL));
	gt_join(g);
	CHECK_IS(GROVE_ACTIVE, grove_greenlet_state(grove_self()));
}

GT_TEST(test_done_and_faulted)
{
	grove_greenlet *g = spawn(give_back, CODE(5));

	CHECK_IS(0, grove_join(g, gt_soon()));
	CHECK_IS(GROVE_DONE, grove_greenlet_state(g));
	CHECK(grove_ready(g) && grove_value(g) == CODE(5) && grove_failure_of(g) == NULL);
	grove_greenlet_release(g);

	g = spawn(fail_with_code, CODE(-EIO));
	CHECK_IS(0, grove_join(g, gt_soon()));
	CHECK_IS(GROVE_FAULTED, grove_greenlet_state(g));
	CHECK(grove_ready(g) && grove_value(g) == NULL);
	CHECK_IS(-EIO, grove_failure_code(grove_failure_of(g)));
	grove_greenlet_release(g);
	CHECK_IS(1, gt_take_reports(NULL));
}

static void *self_is(void *arg)
{
	CHECK(grove_self() == *(grove_greenlet **)arg);
	CHECK_IS(0, grove_yield());
	CHECK(grove_self() == *(grove_greenlet **)arg);
	return NULL;
}

static void no_self(void *seen)
{
	CHECK(grove_self() == NULL && !grove_cancel_requested());
	CHECK_IS(0, grove_event_send(seen, NULL));
}

static void *no_self_outside(void *seen)
{
	no_self(seen);
	return NULL;
}

GT_TEST(test_self)
{
	grove_event seen = GROVE_EVENT_INIT;
	grove_timer timer = GROVE_TIMER_INIT;
	grove_greenlet *g = spawn_unstarted();
	pthread_t thread;

	CHECK(grove_self() != NULL && grove_self() != g);
	CHECK_IS(0, grove_cancel(g));
	grove_greenlet_release(g);
	CHECK_IS(0, grove_timer_start(&timer, no_self, &seen, 0, 0, GROVE_POLL));
	CHECK_IS(0, grove_event_wait(&seen, NULL, gt_soon()));
	CHECK_IS(0, grove_event_reset(&seen));
	start_thread(&thread, no_self_outside, &seen);
	join_thread(thread);
}

GT_STRICT_TEST(test_self_stays)
{
	grove_greenlet *g = spawn(self_is, &g);

	gt_join(g);
}

GT_TEST(test_ids_are_never_used_again)
{
	uint64_t last = 0;

	for (int i = 0; i < GT_SCALED(20000); i++) {
		grove_greenlet *g = spawn(give_back, NULL);
		uint64_t id = grove_id(g);

		CHECK(id != 0 && id != last && id != grove_id(grove_self()));
		gt_join(g);
		gt_until((g = grove_lookup(id)) == NULL || (grove_greenlet_release(g), false));
		last = id;
	}
}

GT_TEST(test_lookup)
{
	grove_greenlet *g = spawn_unstarted();
	uint64_t id = grove_id(g);
	grove_greenlet *found = grove_lookup(id);

	CHECK(found == g);
	CHECK_IS(0, grove_greenlet_start(g, GROVE_POLL));
	gt_join(g);
	CHECK(grove_id(found) == id); /* held, so it can be found though it has ended */
	g = grove_lookup(id);
	CHECK(g == found && grove_value(g) == CODE(3));
	grove_greenlet_release(g);
	grove_greenlet_release(found);
	gt_until((g = grove_lookup(id)) == NULL || (grove_greenlet_release(g), false));
}

GT_TEST(test_lookup_of_what_never_was)
{
	uint64_t id = grove_id(grove_self());
	uint64_t ids[] = {
		0, 1, UINT32_MAX, UINT64_MAX, id ^ (UINT64_C(1) << 63), id ^ (UINT64_C(1) << 40)
	};

	for (size_t i = 0; i < GV_ARRAY_LEN(ids); i++)
		CHECK(grove_lookup(ids[i]) == NULL);
}

GT_TEST(test_names)
{
	grove_greenlet *g = spawn_unstarted();
	char text[128], expected[64], longest[100];

	snprintf(expected, sizeof(expected), "greenlet-%llu", (unsigned long long)grove_id(g));
	CHECK_IS(strlen(expected), grove_name(g, text, sizeof(text)));
	CHECK(strcmp(text, expected) == 0);
	CHECK_IS(0, grove_set_name(g, "willow"));
	CHECK_IS(6, grove_name(g, NULL, 0));
	CHECK_IS(6, grove_name(g, text, 4));
	CHECK(strcmp(text, "wil") == 0);
	CHECK_IS(6, grove_name(g, text, 1));
	CHECK(text[0] == '\0');
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	CHECK_IS(0, grove_set_name(g, longest));
	CHECK_IS(63, grove_name(g, text, sizeof(text)));
	CHECK_IS(63, strlen(text));
	CHECK_IS(0, grove_cancel(g));
	CHECK_IS(63, grove_name(g, text, sizeof(text)));
	grove_greenlet_release(g);
}

GT_TEST(test_no_name_is_the_default_again)
{
	grove_greenlet *g = spawn_unstarted();
	char before[64], after[64];

	(void)grove_name(g, before, sizeof(before));
	CHECK_IS(0, grove_set_name(g, NULL));
	CHECK_IS(0, grove_set_name(g, "alder"));
	CHECK_IS(0, grove_set_name(g, NULL));
	(void)grove_name(g, after, sizeof(after));
	CHECK(strcmp(before, after) == 0);
	CHECK_IS(0, grove_cancel(g));
	grove_greenlet_release(g);
}

GT_STRICT_TEST(test_smallest_free_number)
{
	grove_greenlet *g[100];

	for (size_t i = 0; i < GV_ARRAY_LEN(g); i++)
		g[i] = spawn_unstarted();
	for (size_t i = 0; i < GV_ARRAY_LEN(g); i++)
		CHECK_IS(i, grove_number(g[i]));
	CHECK_IS(50, grove_number(g[50]));
	grove_greenlet_release(g[70]);
	grove_greenlet_release(g[3]);
	g[3] = spawn_unstarted();
	g[70] = spawn_unstarted();
	CHECK_IS(3, grove_number(g[3]));
	CHECK_IS(70, grove_number(g[70]));
	for (size_t i = 0; i < GV_ARRAY_LEN(g); i++)
		grove_greenlet_release(g[i]);
}

static void *retain_and_release(void *g)
{
	for (int i = 0; i < 1000; i++) {
		grove_greenlet_retain(g);
		CHECK(grove_id(g) != 0);
		grove_greenlet_release(g);
	}
	return NULL;
}

GT_TEST(test_references_from_everywhere)
{
	grove_greenlet *g = spawn_unstarted();
	grove_greenlet *others[3];
	pthread_t thread;

	start_thread(&thread, retain_and_release, g);
	for (int i = 0; i < 3; i++)
		others[i] = spawn(retain_and_release, g);
	for (int i = 0; i < 3; i++)
		gt_join(others[i]);
	join_thread(thread);
	CHECK_IS(GROVE_NEW, grove_greenlet_state(g));
	grove_greenlet_release(g);
}

GT_TEST(test_cancel_requested)
{
	CHECK(!grove_cancel_requested());
	CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	CHECK(grove_cancel_requested());
	CHECK_IS(GROVE_KILLED, grove_yield());
	CHECK(grove_cancel_requested());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_done_and_faulted),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_self_stays),
		cmocka_unit_test(test_ids_are_never_used_again),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_lookup_of_what_never_was),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_name_is_the_default_again),
		cmocka_unit_test(test_smallest_free_number),
		cmocka_unit_test(test_references_from_everywhere),
		cmocka_unit_test(test_cancel_requested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
