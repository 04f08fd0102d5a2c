/* SPDX-License-Identifier: MIT */
/* wait/waitset.c: the chain of waiters, and how the dead are cleaned out of it. */
#include "../prim/prim_test.h"

#include "wait/waitset.h"

#define STOP UINT64_C(1)

/* A node whose waiter is a record that is not waiting: dead as soon as its token differs. */
static struct gv_node *new_node(struct grove_greenlet *waiter, bool alive)
{
	struct gv_node *node = gv_node_alloc(NULL);

	CHECK(node != NULL);
	node->waiter = waiter;
	node->token = gv_load(&waiter->wait, relaxed) + (alive ? 0 : GV_WAIT_GENERATION);
	node->hub = GV_HUB_FOREIGN;
	gv_store(&node->kind, GV_NODE_WAITER, relaxed);
	return node;
}

static struct grove_greenlet *record(void)
{
	struct grove_greenlet *g = gv_slab_alloc_shared(&gv_records);

	CHECK(g != NULL);
	gv_record_begin(g, NULL, NULL, NULL, 0, GV_HUB_FOREIGN);
	return g;
}

static size_t length(struct gv_node *chain)
{
	size_t n = 0;

	for (; chain != NULL; n++) {
		if (gv_load(&chain->kind, relaxed) == GV_NODE_LIST)
			return n + length(chain->inner);
		chain = gv_load(&chain->next, relaxed);
	}
	return n;
}

static void test_push_keeps_the_objects_bits(void **state)
{
	_Atomic uint64_t word = UINT64_C(0x1234000000000000) | 4;
	struct grove_greenlet *g = record();
	struct gv_node *first = new_node(g, true);
	struct gv_node *second = new_node(g, true);

	(void)state;
	assert_true(gv_waitset_push(NULL, &word, first, STOP));
	assert_true(gv_waitset_push(NULL, &word, second, STOP));
	uint64_t now = gv_load(&word, relaxed);
	assert_int_equal(now & ~GV_CHAIN_MASK, UINT64_C(0x1234000000000000) | 4);
	assert_ptr_equal(gv_chain_of(now), second);
	assert_ptr_equal(gv_load(&second->next, relaxed), first);
	assert_null(gv_load(&first->next, relaxed));
	gv_node_free(NULL, first);
	gv_node_free(NULL, second);
	gv_slab_free_shared(&gv_records, g);
}

static void test_push_stops_at_the_stop_bit(void **state)
{
	_Atomic uint64_t word = STOP;
	struct grove_greenlet *g = record();
	struct gv_node *node = new_node(g, true);

	(void)state;
	assert_false(gv_waitset_push(NULL, &word, node, STOP));
	assert_int_equal(gv_load(&word, relaxed), STOP);
	gv_node_free(NULL, node);
	gv_slab_free_shared(&gv_records, g);
}

static void test_discard_frees_the_dead_and_keeps_the_living(void **state)
{
	_Atomic uint64_t word = 0;
	struct grove_greenlet *g = record();

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(gv_waitset_push(NULL, &word, new_node(g, i == 3 || i == 7), STOP));
	struct gv_node *chain = gv_chain_of(gv_load(&word, relaxed));
	assert_false(gv_waitset_discard(NULL, &chain));
	assert_int_equal(length(chain), 2);
	struct gv_node *older = gv_load(&chain->next, relaxed);
	chain->token += GV_WAIT_GENERATION;
	older->token += GV_WAIT_GENERATION;
	assert_true(gv_waitset_discard(NULL, &chain));
	assert_null(chain);
	gv_slab_free_shared(&gv_records, g);
}

/* I4 of waitset.c: however many waits ended otherwise, the garbage is bounded. */
static void test_dead_waiters_do_not_pile_up(void **state)
{
	_Atomic uint64_t word = 0;
	struct grove_greenlet *g = record();
	size_t longest = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_true(gv_waitset_push(NULL, &word, new_node(g, i == 0), STOP));
		size_t now = length(gv_chain_of(gv_load(&word, relaxed)));
		longest = now > longest ? now : longest;
	}
	assert_true(longest < 300);
	struct gv_node *chain = gv_chain_of(gv_load(&word, relaxed));
	assert_false(
		gv_waitset_discard(NULL, &chain)); /* the first one is alive, and still there */
	assert_int_equal(length(chain), 1);
	gv_node_free(NULL, chain);
	gv_slab_free_shared(&gv_records, g);
}

/* I3: survivors keep their order across cleanings. */
static void test_cleaning_keeps_the_order_of_the_living(void **state)
{
	_Atomic uint64_t word = 0;
	struct grove_greenlet *g = record();
	struct gv_node *alive[20];
	int count = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		bool lives = i % 100 == 0;
		struct gv_node *node = new_node(g, lives);

		if (lives)
			alive[count++] = node;
		assert_true(gv_waitset_push(NULL, &word, node, STOP));
	}
	struct gv_node *chain = gv_chain_of(gv_load(&word, relaxed));
	assert_false(gv_waitset_discard(NULL, &chain));
	for (int i = count - 1; i >= 0; i--) {
		assert_ptr_equal(chain, alive[i]);
		struct gv_node *next = gv_load(&chain->next, relaxed);
		gv_node_free(NULL, chain);
		chain = next;
	}
	assert_null(chain);
	gv_slab_free_shared(&gv_records, g);
}

static int setup(void **state)
{
	(void)state;
	gv_record_setup();
	gv_slab_init(&gv_nodes, "waiters", 0, NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push_keeps_the_objects_bits),
		cmocka_unit_test(test_push_stops_at_the_stop_bit),
		cmocka_unit_test(test_discard_frees_the_dead_and_keeps_the_living),
		cmocka_unit_test(test_dead_waiters_do_not_pile_up),
		cmocka_unit_test(test_cleaning_keeps_the_order_of_the_living),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
