/* SPDX-License-Identifier: MIT */
/* wait/kills.c: kills on their way, each taken once, oldest first. */
#include "../prim/prim_test.h"

#include "wait/park.h"

static struct grove_greenlet *record(void)
{
	struct grove_greenlet *g = gv_slab_alloc_shared(&gv_records);

	CHECK(g != NULL);
	gv_record_begin(g, NULL, NULL, NULL, GV_DONE_REFERENCE | GV_DONE_TAKEN, 0);
	return g;
}

static void test_kills_come_oldest_first(void **state)
{
	struct grove_greenlet *g = record();
	grove_failure *sent[5];

	(void)state;
	for (int i = 0; i < 5; i++) {
		sent[i] = grove_failure_new(-1 - i, "number %d", i);
		assert_int_equal(gv_kill_send(NULL, g, sent[i]), 0);
	}
	for (int i = 0; i < 5; i++) {
		grove_failure *got = gv_kill_next(g);

		assert_ptr_equal(got, sent[i]);
		grove_failure_release(got);
		grove_failure_release(sent[i]);
	}
	assert_null(gv_kill_next(g));
	gv_slab_free_shared(&gv_records, g);
}

/* The plain exit needs no memory if it comes first, and keeps its place before later ones. */
static void test_a_lone_exit_keeps_its_place(void **state)
{
	struct grove_greenlet *g = record();
	grove_failure *exit_failure = grove_failure_exit();
	grove_failure *later = grove_failure_new(-EIO, "later");

	(void)state;
	assert_int_equal(gv_kill_send(NULL, g, exit_failure), 0);
	assert_int_equal(gv_load(&g->kills, relaxed), 1);
	assert_int_equal(gv_kill_send(NULL, g, later), 0);
	assert_int_equal(gv_kill_send(NULL, g, exit_failure), 0);
	assert_ptr_equal(gv_kill_next(g), exit_failure);
	assert_ptr_equal(gv_kill_next(g), later);
	assert_ptr_equal(gv_kill_next(g), exit_failure);
	assert_null(gv_kill_next(g));
	grove_failure_release(later);
	grove_failure_release(later);
	grove_failure_release(exit_failure);
	gv_slab_free_shared(&gv_records, g);
}

static _Atomic int payloads;

static void count_payload(void *payload)
{
	(void)payload;
	atomic_fetch_add(&payloads, 1);
}

static void test_kills_that_nobody_took_are_dropped(void **state)
{
	struct grove_greenlet *g = record();
	grove_failure *failure = grove_failure_new(-EIO, "dropped");

	(void)state;
	assert_int_equal(grove_failure_attach(failure, &payloads, count_payload), 0);
	assert_int_equal(gv_kill_send(NULL, g, failure), 0);
	grove_failure_release(failure);
	assert_int_equal(atomic_load(&payloads), 0);
	gv_kill_drop_all(g);
	assert_int_equal(atomic_load(&payloads), 1);
	assert_int_equal(gv_load(&g->kills, relaxed), 0);
	gv_slab_free_shared(&gv_records, g);
}

/* Killers on pthreads against a target that waits again and again: each kill arrives once. */
enum { KILLERS = 3 };

struct hunt {
	grove_greenlet *target;
	int kills;
};

static void *killer(void *arg)
{
	struct hunt *h = arg;

	for (int i = 0; i < h->kills; i++)
		CHECK_IS(0, grove_kill(h->target, NULL, GROVE_POLL));
	return NULL;
}

static void *target(void *arg)
{
	int expected = *(int *)arg;
	int met = 0;

	while (met < expected) {
		if (grove_sleep(GROVE_NEVER) == GROVE_KILLED)
			met++;
	}
	return NULL;
}

static void *hunt_body(void *arg)
{
	int each = GT_SCALED(2000) + 10;
	int all = KILLERS * each;
	struct hunt h = { .target = spawn(target, &all), .kills = each };
	pthread_t threads[KILLERS];

	(void)arg;
	until_parked(h.target);
	for (int i = 0; i < KILLERS; i++)
		start_thread(&threads[i], killer, &h);
	for (int i = 0; i < KILLERS; i++)
		join_thread(threads[i]);
	CHECK_IS(0, value_of(h.target));
	return NULL;
}

static void test_each_kill_is_met_once(void **state)
{
	(void)state;
	run_on(1, hunt_body, NULL);
	run_on(2, hunt_body, NULL);
}

static int setup(void **state)
{
	(void)state;
	gv_record_setup();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills_come_oldest_first),
		cmocka_unit_test(test_a_lone_exit_keeps_its_place),
		cmocka_unit_test(test_kills_that_nobody_took_are_dropped),
		cmocka_unit_test(test_each_kill_is_met_once),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
