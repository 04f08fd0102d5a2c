/* SPDX-License-Identifier: MIT */
/*
 * test_chores.c - memory of many goes back when they are gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sched/hub.h"
#include "sched/loop.h"

#include "grove/greenlet.h"
#include "grove/runtime.h"

static void *nothing(void *arg)
{
	return arg;
}

/* Held, so that each has its record and none a stack. */
static void make_and_drop_many(int count)
{
	grove_attributes held = GROVE_ATTRIBUTES_INIT;
	grove_greenlet **g = test_malloc((size_t)count * sizeof(g[0]));

	held.flags = GROVE_UNSTARTED;
	for (int i = 0; i < count; i++)
		assert_int_equal(grove_spawn_with(&g[i], nothing, NULL, &held), 0);
	for (int i = 0; i < count; i++) {
		assert_int_equal(grove_cancel(g[i]), 0);
		grove_greenlet_release(g[i]);
	}
	test_free(g);
}

/* Keeps a hub running until the trim has come through. */
static void *run_until_trimmed(void *arg)
{
	struct gv_slab_stats stats;

	do {
		gv_store(&gv_loop_chore_ns, 0, relaxed); /* relaxed: whoever comes by */
		(void)grove_sleep(grove_in_ms(1));
		gv_slab_stats(&gv_records, &stats);
	} while (stats.chunks_dropped == 0);
	return arg;
}

static void test_chores_give_the_memory_of_records_back(void **state)
{
	(void)state;
	grove_greenlet *g;

	assert_int_equal(grove_start(NULL), 0);
	make_and_drop_many(8 * GV_SLAB_CHUNK_OBJECTS);
	assert_int_equal(grove_spawn(&g, run_until_trimmed, NULL), 0);
	assert_int_equal(grove_join(g, grove_in_s(60)), 0);
	grove_greenlet_release(g);

	/* And it is there again when it is needed. */
	make_and_drop_many(8 * GV_SLAB_CHUNK_OBJECTS);
	assert_int_equal(grove_stop(GROVE_NEVER), 0);
	assert_true(gv_load(&gv_loop_chore_ns, relaxed) == INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chores_give_the_memory_of_records_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
