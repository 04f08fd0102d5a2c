/* SPDX-License-Identifier: MIT */
/*
 * test_deque.c - deque.c: one thread in both roles, then owner and thieves at once.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/rng.h"
#include "plat/fence.h"
#include "store/deque.h"
#include "store/reclaim.h"
#include "support/scale.h"

enum { SMALL = 4, ROOM = 4096 };

static struct gv_thief thief = { .id = 2 };
static uintptr_t loot[ROOM];

static struct gv_deque *new_deque(size_t capacity)
{
	struct gv_deque *d = aligned_alloc(GV_CACHE_LINE, sizeof(*d));

	assert_non_null(d);
	memset(d, 0xaa, sizeof(*d));
	assert_int_equal(gv_deque_init(d, capacity), 0);
	return d;
}

static void drop_deque(struct gv_deque *d)
{
	gv_deque_destroy(d);
	free(d);
	gv_reclaim_barrier(); /* rings that were outgrown */
}

/* Items first ... last, in order. */
static void push_range(struct gv_deque *d, uintptr_t first, uintptr_t last)
{
	for (uintptr_t item = first; item <= last; item++)
		assert_int_equal(gv_deque_push(d, item), 0);
}

static void pop_range(struct gv_deque *d, uintptr_t newest, uintptr_t oldest)
{
	for (uintptr_t item = newest; item >= oldest; item--)
		assert_int_equal(gv_deque_pop(d), item);
}

static void assert_loot(size_t count, uintptr_t first, uintptr_t last)
{
	assert_int_equal(count, last - first + 1);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(loot[i], first + i);
}

static void test_new_deque_is_empty(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	assert_int_equal(gv_deque_pop(d), 0);
	assert_int_equal(gv_deque_take_oldest(d), 0);
	assert_int_equal(gv_deque_size(d), 0);
	assert_false(gv_deque_pop_if(d, 1));
	assert_int_equal(gv_deque_steal(d, &thief, true, loot, ROOM), 0);
	drop_deque(d);
}

static void test_newest_comes_first(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 4);
	assert_int_equal(gv_deque_size(d), 4);
	pop_range(d, 4, 3);
	push_range(d, 5, 6);
	pop_range(d, 6, 5);
	pop_range(d, 2, 1);
	assert_int_equal(gv_deque_pop(d), 0);
	drop_deque(d);
}

static void test_growing_keeps_the_order(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 1000);
	assert_int_equal(gv_deque_size(d), 1000);
	pop_range(d, 1000, 1);
	assert_int_equal(gv_deque_pop(d), 0);
	drop_deque(d);
}

static void test_growing_after_a_theft_keeps_the_rest(void **state)
{
	struct gv_deque *d = new_deque(8);
	(void)state;

	push_range(d, 1, 8);
	assert_loot(gv_deque_steal(d, &thief, false, loot, ROOM), 1, 4);
	push_range(d, 9, 12); /* where the stolen ones were */
	assert_int_equal(d->mask, 7);
	push_range(d, 13, 40);
	pop_range(d, 40, 5);
	assert_int_equal(gv_deque_pop(d), 0);
	drop_deque(d);
}

static void test_oldest_is_taken_from_the_other_end(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 3);
	assert_int_equal(gv_deque_take_oldest(d), 1);
	assert_int_equal(gv_deque_pop(d), 3);
	assert_int_equal(gv_deque_take_oldest(d), 2);
	assert_int_equal(gv_deque_take_oldest(d), 0);
	assert_int_equal(gv_deque_pop(d), 0);
	drop_deque(d);
}

static void test_only_the_newest_is_taken_back(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 2);
	assert_false(gv_deque_pop_if(d, 1));
	assert_true(gv_deque_pop_if(d, 2));
	assert_true(gv_deque_pop_if(d, 1));
	assert_int_equal(gv_deque_size(d), 0);
	drop_deque(d);
}

/* Its slot still shows it. */
static void test_stolen_item_is_not_taken_back(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 7, 7);
	assert_loot(gv_deque_steal(d, &thief, true, loot, ROOM), 7, 7);
	assert_false(gv_deque_pop_if(d, 7));
	push_range(d, 8, 8);
	assert_int_equal(gv_deque_pop(d), 8);
	assert_false(gv_deque_pop_if(d, 8));
	drop_deque(d);
}

static void test_thief_takes_the_older_half(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 10);
	assert_loot(gv_deque_steal(d, &thief, false, loot, ROOM), 1, 5);
	assert_int_equal(gv_deque_size(d), 5);
	pop_range(d, 10, 6);
	assert_int_equal(gv_deque_pop(d), 0);
	drop_deque(d);
}

static void test_of_an_odd_number_the_thief_takes_more(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 7);
	assert_loot(gv_deque_steal(d, &thief, false, loot, ROOM), 1, 4);
	assert_loot(gv_deque_steal(d, &thief, false, loot, ROOM), 5, 6);
	pop_range(d, 7, 7);
	drop_deque(d);
}

static void test_lone_item_is_the_owners_until_it_has_aged(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 1);
	assert_int_equal(gv_deque_steal(d, &thief, false, loot, ROOM), 0);
	assert_loot(gv_deque_steal(d, &thief, true, loot, ROOM), 1, 1);
	assert_int_equal(gv_deque_pop(d), 0);
	drop_deque(d);
}

static void test_thief_takes_no_more_than_it_has_room_for(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 100);
	assert_loot(gv_deque_steal(d, &thief, false, loot, 3), 1, 3);
	pop_range(d, 100, 4);
	drop_deque(d);
}

static void test_thief_takes_no_more_than_one_announcement_holds(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	uintptr_t *out = calloc(2 * GV_STEAL_MAX, sizeof(*out));
	(void)state;

	assert_non_null(out);
	push_range(d, 1, 3 * GV_STEAL_MAX);
	assert_int_equal(gv_deque_steal(d, &thief, false, out, 2 * GV_STEAL_MAX), GV_STEAL_MAX);
	assert_int_equal(gv_deque_take_oldest(d), GV_STEAL_MAX + 1);
	free(out);
	drop_deque(d);
}

/*
 * With a thief that has announced and does no more.
 */

static void announce(struct gv_deque *d, uint64_t len)
{
	uint64_t word = gv_load(&d->steal, relaxed); /* relaxed: alone */

	assert_true(gv_steal_idle(word));
	gv_store(&d->steal, gv_steal_pack(word, len, 9), relaxed); /* relaxed: alone */
}

static void test_second_thief_leaves_at_once(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 4);
	announce(d, 2);
	assert_int_equal(gv_deque_steal(d, &thief, true, loot, ROOM), 0);
	assert_int_equal(gv_deque_take_oldest(d), 0);
	drop_deque(d);
}

static void test_item_above_the_range_is_the_owners(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 4);
	announce(d, 2);
	pop_range(d, 4, 3);
	assert_int_equal(gv_steal_len(d->steal), 2);
	assert_int_equal(gv_steal_thief(d->steal), 9);
	drop_deque(d);
}

static void test_owner_cuts_the_range(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 4);
	announce(d, 3);
	pop_range(d, 4, 3);
	assert_int_equal(gv_steal_len(d->steal), 2);
	assert_int_equal(gv_steal_thief(d->steal), 9);
	drop_deque(d);
}

static void test_owner_that_needs_all_ends_the_range(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 2);
	announce(d, 2);
	pop_range(d, 2, 1);
	assert_true(gv_steal_idle(d->steal));
	assert_int_equal(gv_deque_pop(d), 0);
	/* Its next user finds everything as usual. */
	push_range(d, 1, 2);
	assert_loot(gv_deque_steal(d, &thief, false, loot, ROOM), 1, 1);
	pop_range(d, 2, 2);
	drop_deque(d);
}

static void test_owner_acknowledges_an_announcement(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 2);
	announce(d, 1);
	gv_store(&d->stamp.asked, 99, relaxed); /* relaxed: alone */
	push_range(d, 3, 3);
	assert_int_equal(d->stamp.seen, 99);
	gv_store(&d->stamp.asked, 100, relaxed); /* relaxed: alone */
	assert_int_equal(gv_deque_pop(d), 3);
	assert_int_equal(d->stamp.seen, 100);
	gv_store(&d->stamp.asked, 101, relaxed); /* relaxed: alone */
	assert_int_equal(gv_deque_take_oldest(d), 0);
	assert_int_equal(d->stamp.seen, 101);
	drop_deque(d);
}

static void test_growing_under_an_announcement_keeps_the_range(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, 4);
	announce(d, 2);
	push_range(d, 5, 20);
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(d->slots[i & d->mask], i + 1);
	pop_range(d, 20, 1);
	drop_deque(d);
}

#ifdef GV_FAULT
static void test_deque_without_memory_cannot_be_made(void **state)
{
	struct gv_deque d;
	(void)state;

	gv_fault_arm(1);
	assert_int_equal(gv_deque_init(&d, SMALL), -ENOMEM);
	gv_fault_arm(0);
}

static void test_full_deque_without_memory_refuses_and_stays_whole(void **state)
{
	struct gv_deque *d = new_deque(SMALL);
	(void)state;

	push_range(d, 1, SMALL);
	gv_fault_arm(1);
	assert_int_equal(gv_deque_push(d, 5), -ENOMEM);
	gv_fault_arm(0);
	assert_int_equal(gv_deque_size(d), SMALL);
	pop_range(d, 4, 4);
	push_range(d, 4, 5);
	pop_range(d, 5, 1);
	drop_deque(d);
}
#endif

/*
 * Owner and thieves at once.  Items are 1, 2, 3 ...; each must be taken once.  The owner knows which
 * items it has not taken, so it knows what its newest is; thieves take from the other end, in order.
 */

enum { ITEMS = 400000, THIEVES_MAX = 3 };

static struct {
	struct gv_deque *deque;
	_Atomic uint8_t *taken; /* how often, by item */
	_Atomic bool over;
	uint64_t seed;
} run;

struct taker {
	unsigned id;
	uint64_t faults;
	uint64_t count;
};

static void note(struct taker *taker, uintptr_t item)
{
	taker->count++;
	gv_add(&run.taken[item], 1, relaxed); /* relaxed: read after the threads have ended */
}

static void *steal_until_over(void *arg)
{
	struct taker *taker = arg;
	struct gv_thief self = { .id = taker->id };
	struct gv_reclaim_reader reader;
	struct gv_rng rng;
	uintptr_t out[64];

	gv_reclaim_register(&reader);
	gv_rng_seed(&rng, run.seed + taker->id);
	while (!gv_load(&run.over, acquire)) { /* [over] */
		uint32_t room = 1 + gv_rng_below(&rng, GV_ARRAY_LEN(out));
		size_t count = gv_deque_steal(run.deque, &self, room % 2 == 0, out, room);

		for (size_t i = 0; i < count; i++) {
			if (i > 0 && out[i] <= out[i - 1])
				taker->faults++;
			note(taker, out[i]);
		}
		gv_reclaim_quiescent();
		if (count == 0 || room % 8 == 0)
			sched_yield();
	}
	gv_reclaim_unregister(&reader);
	return NULL;
}

/* The owner's own view: what it has pushed and not taken is mine[low .. high). */
struct view {
	uintptr_t *mine;
	size_t low;
	size_t high;
};

/* Whatever is older than this was stolen. */
static void own_newest(struct taker *owner, struct view *view)
{
	uintptr_t item = gv_deque_pop(run.deque);

	if (item == 0) {
		view->low = view->high;
		return;
	}
	if (view->low == view->high || view->mine[--view->high] != item)
		owner->faults++;
	note(owner, item);
}

static void own_oldest(struct taker *owner, struct view *view)
{
	uintptr_t item = gv_deque_take_oldest(run.deque);

	if (item == 0)
		return;
	while (view->low < view->high && view->mine[view->low] != item)
		view->low++;
	if (view->low++ == view->high)
		owner->faults++;
	note(owner, item);
}

static void own_items(struct taker *owner, uintptr_t items)
{
	struct view view = { .mine = calloc(items, sizeof(*view.mine)) };
	struct gv_rng rng;
	uintptr_t next = 1;

	assert_non_null(view.mine);
	gv_rng_seed(&rng, run.seed);
	while (next <= items) {
		uint32_t burst = gv_rng_below(&rng, 100) == 0 ? 3000 : 1 + gv_rng_below(&rng, 40);

		if (view.low == view.high)
			view.low = view.high = 0;
		for (; burst > 0 && next <= items; burst--) {
			view.mine[view.high++] = next;
			assert_int_equal(gv_deque_push(run.deque, next++), 0);
		}
		for (uint32_t pops = gv_rng_below(&rng, 60); pops > 0; pops--) {
			if (pops % 16 == 0)
				own_oldest(owner, &view);
			else
				own_newest(owner, &view);
		}
		gv_reclaim_quiescent();
	}
	while (gv_deque_size(run.deque) != 0)
		own_newest(owner, &view);
	free(view.mine);
}

static void check_thieves(unsigned thieves, uint64_t seed)
{
	uintptr_t items = GT_SCALED(ITEMS);
	struct taker takers[1 + THIEVES_MAX] = { 0 };
	pthread_t threads[1 + THIEVES_MAX];
	uint64_t count = 0;

	run.deque = new_deque(SMALL);
	run.taken = calloc(items + 1, sizeof(run.taken[0]));
	run.seed = seed;
	assert_non_null(run.taken);
	gv_store(&run.over, false, relaxed); /* relaxed: nobody runs yet */
	for (unsigned i = 1; i <= thieves; i++) {
		takers[i].id = i + 1;
		assert_int_equal(pthread_create(&threads[i], NULL, steal_until_over, &takers[i]),
				 0);
	}
	own_items(&takers[0], items);
	gv_store(&run.over, true, release); /* [over] */
	gv_reclaim_offline();
	for (unsigned i = 1; i <= thieves; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	gv_reclaim_online();

	for (uintptr_t item = 1; item <= items; item++) {
		if (run.taken[item] != 1)
			fail_msg("item %zu taken %u times, seed %zu", (size_t)item, run.taken[item],
				 (size_t)seed);
	}
	for (unsigned i = 0; i <= thieves; i++) {
		assert_int_equal(takers[i].faults, 0);
		count += takers[i].count;
	}
	assert_int_equal(count, items);
	free((void *)run.taken);
	drop_deque(run.deque);
}

static void test_one_thief(void **state)
{
	(void)state;
	check_thieves(1, 1);
	check_thieves(1, 2);
}

static void test_three_thieves(void **state)
{
	(void)state;
	check_thieves(THIEVES_MAX, 3);
	check_thieves(THIEVES_MAX, 4);
}

/* The way of kernels without membarrier. */
static void test_thieves_with_full_fences(void **state)
{
	bool strong = gv_fence_strong;
	(void)state;

	gv_fence_strong = true;
	check_thieves(2, 5);
	gv_fence_strong = strong;
}

static struct gv_reclaim_reader self;

/* The test is in both roles, so it is a reader throughout. */
static int setup(void **state)
{
	(void)state;
	(void)gv_fence_setup();
	if (gv_reclaim_init() < 0)
		return -1;
	gv_reclaim_register(&self);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gv_reclaim_unregister(&self);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_deque_is_empty),
		cmocka_unit_test(test_newest_comes_first),
		cmocka_unit_test(test_growing_keeps_the_order),
		cmocka_unit_test(test_growing_after_a_theft_keeps_the_rest),
		cmocka_unit_test(test_oldest_is_taken_from_the_other_end),
		cmocka_unit_test(test_only_the_newest_is_taken_back),
		cmocka_unit_test(test_stolen_item_is_not_taken_back),
		cmocka_unit_test(test_thief_takes_the_older_half),
		cmocka_unit_test(test_of_an_odd_number_the_thief_takes_more),
		cmocka_unit_test(test_lone_item_is_the_owners_until_it_has_aged),
		cmocka_unit_test(test_thief_takes_no_more_than_it_has_room_for),
		cmocka_unit_test(test_thief_takes_no_more_than_one_announcement_holds),
		cmocka_unit_test(test_second_thief_leaves_at_once),
		cmocka_unit_test(test_item_above_the_range_is_the_owners),
		cmocka_unit_test(test_owner_cuts_the_range),
		cmocka_unit_test(test_owner_that_needs_all_ends_the_range),
		cmocka_unit_test(test_owner_acknowledges_an_announcement),
		cmocka_unit_test(test_growing_under_an_announcement_keeps_the_range),
#ifdef GV_FAULT
		cmocka_unit_test(test_deque_without_memory_cannot_be_made),
		cmocka_unit_test(test_full_deque_without_memory_refuses_and_stays_whole),
#endif
		cmocka_unit_test(test_one_thief),
		cmocka_unit_test(test_three_thieves),
		cmocka_unit_test(test_thieves_with_full_fences),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
