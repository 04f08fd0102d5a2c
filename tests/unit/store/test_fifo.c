/* SPDX-License-Identifier: MIT */
/*
 * test_fifo.c - fifo.c: one thread in both roles, then owner and thieves at once.
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
#include "store/fifo.h"
#include "store/reclaim.h"
#include "support/scale.h"

enum { SMALL = 4, ROOM = 4096 };

static struct gv_thief thief = { .id = 2 };
static uintptr_t loot[ROOM];

static struct gv_fifo *new_fifo(size_t capacity)
{
	struct gv_fifo *f = aligned_alloc(GV_CACHE_LINE, sizeof(*f));

	assert_non_null(f);
	memset(f, 0xaa, sizeof(*f));
	assert_int_equal(gv_fifo_init(f, capacity), 0);
	return f;
}

static void drop_fifo(struct gv_fifo *f)
{
	gv_fifo_destroy(f);
	free(f);
	gv_reclaim_barrier(); /* rings that were outgrown */
}

/* Items first ... last, in order. */
static void push_range(struct gv_fifo *f, uintptr_t first, uintptr_t last)
{
	for (uintptr_t item = first; item <= last; item++)
		assert_int_equal(gv_fifo_push(f, item, true), 0);
}

static void pop_range(struct gv_fifo *f, uintptr_t first, uintptr_t last)
{
	for (uintptr_t item = first; item <= last; item++)
		assert_int_equal(gv_fifo_pop(f), item);
}

static void assert_loot(size_t count, uintptr_t first, uintptr_t last)
{
	assert_int_equal(count, last - first + 1);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(loot[i], first + i);
}

static void test_new_queue_is_empty(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	assert_int_equal(gv_fifo_pop(f), 0);
	assert_int_equal(gv_fifo_size(f), 0);
	assert_int_equal(gv_fifo_peek(f, 0), 0);
	assert_int_equal(gv_fifo_steal(f, &thief, true, loot, ROOM), 0);
	drop_fifo(f);
}

static void test_oldest_comes_first(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	for (uintptr_t i = 1; i < 100; i += 3) {
		push_range(f, i, i + 2);
		assert_int_equal(gv_fifo_size(f), 3);
		pop_range(f, i, i + 2);
		assert_int_equal(gv_fifo_pop(f), 0);
	}
	drop_fifo(f);
}

static void test_peek_looks_behind_the_oldest(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	push_range(f, 1, 3);
	assert_int_equal(gv_fifo_peek(f, 0), 1);
	assert_int_equal(gv_fifo_peek(f, 2), 3);
	assert_int_equal(gv_fifo_peek(f, 3), 0);
	drop_fifo(f);
}

static void test_growing_keeps_the_order(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	push_range(f, 1, 3);
	pop_range(f, 1, 2);
	push_range(f, 4, 1000); /* several times, and from the middle of the ring */
	pop_range(f, 3, 1000);
	assert_int_equal(gv_fifo_pop(f), 0);
	drop_fifo(f);
}

static void test_full_queue_that_may_not_grow_refuses_and_stays_whole(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	for (uintptr_t item = 1; item <= SMALL; item++)
		assert_int_equal(gv_fifo_push(f, item, false), 0);
	assert_int_equal(gv_fifo_push(f, 5, false), -ENOMEM);
	assert_int_equal(gv_fifo_push(f, 5, false), -ENOMEM);
	assert_int_equal(f->mask, SMALL - 1);
	pop_range(f, 1, 1);
	assert_int_equal(gv_fifo_push(f, 5, false), 0);
	pop_range(f, 2, 5);
	assert_int_equal(gv_fifo_pop(f), 0);
	drop_fifo(f);
}

static void test_room_of_a_theft_needs_no_growing(void **state)
{
	struct gv_fifo *f = new_fifo(8);
	(void)state;

	push_range(f, 1, 8);
	assert_int_equal(gv_fifo_push(f, 9, false), -ENOMEM);
	assert_loot(gv_fifo_steal(f, &thief, false, loot, ROOM), 1, 4);
	assert_int_equal(gv_fifo_push(f, 9, false), 0);
	pop_range(f, 5, 9);
	drop_fifo(f);
}

static void test_thief_takes_the_older_half(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	push_range(f, 1, 10);
	assert_loot(gv_fifo_steal(f, &thief, false, loot, ROOM), 1, 5);
	assert_int_equal(gv_fifo_size(f), 5);
	pop_range(f, 6, 10);
	assert_int_equal(gv_fifo_pop(f), 0);
	drop_fifo(f);
}

static void test_of_an_odd_number_the_thief_takes_more(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	push_range(f, 1, 7);
	assert_loot(gv_fifo_steal(f, &thief, false, loot, ROOM), 1, 4);
	assert_loot(gv_fifo_steal(f, &thief, false, loot, ROOM), 5, 6);
	pop_range(f, 7, 7);
	drop_fifo(f);
}

static void test_lone_item_is_the_owners_until_it_has_aged(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	push_range(f, 1, 1);
	assert_int_equal(gv_fifo_steal(f, &thief, false, loot, ROOM), 0);
	assert_loot(gv_fifo_steal(f, &thief, true, loot, ROOM), 1, 1);
	assert_int_equal(gv_fifo_pop(f), 0);
	drop_fifo(f);
}

static void test_thief_takes_no_more_than_it_has_room_for(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	push_range(f, 1, 100);
	assert_loot(gv_fifo_steal(f, &thief, false, loot, 3), 1, 3);
	pop_range(f, 4, 100);
	drop_fifo(f);
}

static void test_thief_takes_no_more_than_one_announcement_holds(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	uintptr_t *out = calloc(2 * GV_STEAL_MAX, sizeof(*out));
	(void)state;

	assert_non_null(out);
	push_range(f, 1, 3 * GV_STEAL_MAX);
	assert_int_equal(gv_fifo_steal(f, &thief, false, out, 2 * GV_STEAL_MAX), GV_STEAL_MAX);
	assert_int_equal(gv_fifo_pop(f), GV_STEAL_MAX + 1);
	free(out);
	drop_fifo(f);
}

static void test_second_thief_leaves_at_once(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	push_range(f, 1, 4);
	gv_store(&f->steal, gv_steal_pack(0, 2, 9), relaxed); /* relaxed: alone */
	assert_int_equal(gv_fifo_steal(f, &thief, true, loot, ROOM), 0);
	drop_fifo(f);
}

/*
 * The steps of a thief one by one: what the owner does between them is the test's to choose.
 */
struct slow_thief {
	uint64_t first;
	uint64_t end;
	uint64_t head;
	_Atomic uintptr_t *slots;
	uint64_t mask;
};

static void announce(struct gv_fifo *f, struct slow_thief *slow, uint64_t len)
{
	uint64_t head = gv_load(&f->head, relaxed);  /* relaxed: alone */
	uint64_t word = gv_load(&f->steal, relaxed); /* relaxed: alone */

	assert_true(gv_steal_idle(word));
	slow->first = gv_steal_distance(head, word) < 0 ? word : head;
	slow->end = slow->first + len;
	gv_store(&f->steal, gv_steal_pack(slow->first, len, 9), relaxed); /* relaxed: alone */
}

/* The thief's last looks at head and ring. */
static void look(struct gv_fifo *f, struct slow_thief *slow)
{
	slow->head = gv_load(&f->head, relaxed);   /* relaxed: alone */
	slow->slots = gv_load(&f->slots, relaxed); /* relaxed: alone */
	slow->mask = f->mask;
}

/* Returns how many items it got; they are in loot[]. */
static size_t take(struct gv_fifo *f, struct slow_thief *slow)
{
	uint64_t i = slow->head > slow->first ? slow->head : slow->first;
	size_t count = 0;

	for (; i < slow->end; i++) {
		uintptr_t item =
			gv_xchg(&slow->slots[i & slow->mask], 0, relaxed); /* relaxed: alone */

		if (item != 0)
			loot[count++] = item;
	}
	gv_store(&f->steal, gv_steal_pack(slow->end, 0, 0), relaxed); /* relaxed: alone */
	return count;
}

static void test_owner_and_announced_thief_share_the_range(void **state)
{
	struct gv_fifo *f = new_fifo(16);
	struct slow_thief slow;
	(void)state;

	push_range(f, 1, 10);
	announce(f, &slow, 5);
	look(f, &slow);
	pop_range(f, 1, 2); /* by exchange: the thief finds them gone */
	assert_loot(take(f, &slow), 3, 5);
	pop_range(f, 6, 10);
	assert_int_equal(gv_fifo_pop(f), 0);
	drop_fifo(f);
}

static void test_thief_leaves_what_the_owner_took_unseen(void **state)
{
	struct gv_fifo *f = new_fifo(16);
	struct slow_thief slow;
	(void)state;

	push_range(f, 1, 10);
	/* As if the owner's look at the word came before the announcement. */
	assert_int_equal(gv_fifo_pop(f), 1);
	slow.first = 0;
	slow.end = 5;
	gv_store(&f->steal, gv_steal_pack(0, 5, 9), relaxed); /* relaxed: alone */
	look(f, &slow);
	assert_loot(take(f, &slow), 2, 5);
	pop_range(f, 6, 10);
	drop_fifo(f);
}

static void test_owner_overtakes_the_whole_range(void **state)
{
	struct gv_fifo *f = new_fifo(16);
	struct slow_thief slow;
	(void)state;

	push_range(f, 1, 10);
	announce(f, &slow, 5);
	look(f, &slow);
	pop_range(f, 1, 8);
	assert_int_equal(take(f, &slow), 0);
	pop_range(f, 9, 10);
	assert_int_equal(gv_fifo_pop(f), 0);
	drop_fifo(f);
}

static void test_owner_acknowledges_an_announcement(void **state)
{
	struct gv_fifo *f = new_fifo(16);
	struct slow_thief slow;
	(void)state;

	push_range(f, 1, 10);
	announce(f, &slow, 5);
	gv_store(&f->stamp.asked, 99, relaxed); /* relaxed: alone */
	assert_int_equal(gv_fifo_pop(f), 1);
	assert_int_equal(f->stamp.seen, 99);
	drop_fifo(f);
}

/* What a thief took leaves room, and a slot that is used again may be the one at the head. */
static void test_push_into_the_room_of_a_theft_keeps_the_order(void **state)
{
	struct gv_fifo *f = new_fifo(8);
	(void)state;

	push_range(f, 1, 8);
	assert_loot(gv_fifo_steal(f, &thief, false, loot, ROOM), 1, 4);
	push_range(f, 9, 12);
	assert_int_equal(f->mask, 7);
	pop_range(f, 5, 12);
	assert_int_equal(gv_fifo_pop(f), 0);
	drop_fifo(f);
}

static void test_growing_after_a_theft_doubles_nothing(void **state)
{
	struct gv_fifo *f = new_fifo(8);
	(void)state;

	push_range(f, 1, 8);
	assert_loot(gv_fifo_steal(f, &thief, false, loot, ROOM), 1, 4);
	push_range(f, 9, 30);
	pop_range(f, 5, 30);
	assert_int_equal(gv_fifo_pop(f), 0);
	drop_fifo(f);
}

/* No slot of the range may get a newer item while its thief may still come for it. */
static void test_announced_range_is_not_used_again(void **state)
{
	struct gv_fifo *f = new_fifo(8);
	struct slow_thief slow;
	(void)state;

	push_range(f, 1, 8);
	announce(f, &slow, 4);
	look(f, &slow);
	pop_range(f, 1, 8);
	push_range(f, 9, 40);
	assert_int_equal(take(f, &slow), 0);
	pop_range(f, 9, 40);
	drop_fifo(f);
}

static void check_growing_under_thief(bool looks_first, uintptr_t popped, uintptr_t last)
{
	struct gv_fifo *f = new_fifo(8);
	struct slow_thief slow;

	push_range(f, 1, 8);
	announce(f, &slow, 4);
	if (looks_first)
		look(f, &slow);
	pop_range(f, 1, popped);
	push_range(f, 9, last);
	if (!looks_first)
		look(f, &slow);
	assert_int_equal(take(f, &slow), 0); /* the owner moved all of them */
	pop_range(f, popped + 1, last);
	assert_int_equal(gv_fifo_pop(f), 0);

	/* And it goes on as ever. */
	push_range(f, 1, 10);
	assert_loot(gv_fifo_steal(f, &thief, false, loot, ROOM), 1, 5);
	pop_range(f, 6, 10);
	drop_fifo(f);
}

static void test_growing_under_a_thief_in_the_old_ring_loses_nothing(void **state)
{
	(void)state;
	check_growing_under_thief(true, 0, 9);
	check_growing_under_thief(true, 2, 9);
	check_growing_under_thief(true, 0, 100);
}

static void test_growing_under_a_thief_in_the_new_ring_loses_nothing(void **state)
{
	(void)state;
	check_growing_under_thief(false, 0, 9);
	check_growing_under_thief(false, 2, 9);
	check_growing_under_thief(false, 0, 100);
}

static void test_growing_leaves_a_thief_what_it_has_taken(void **state)
{
	struct gv_fifo *f = new_fifo(8);
	struct slow_thief slow;
	(void)state;

	push_range(f, 1, 8);
	announce(f, &slow, 4);
	look(f, &slow);
	for (uint64_t i = 1; i < 3; i++)	      /* 2 and 3: as if it were in the middle */
		gv_store(&slow.slots[i], 0, relaxed); /* relaxed: alone */
	push_range(f, 9, 20);
	assert_int_equal(take(f, &slow), 0);
	pop_range(f, 1, 1);
	pop_range(f, 4, 20);
	assert_int_equal(gv_fifo_pop(f), 0);
	drop_fifo(f);
}

#ifdef GV_FAULT
static void test_queue_without_memory_cannot_be_made(void **state)
{
	struct gv_fifo f;
	(void)state;

	gv_fault_arm(1);
	assert_int_equal(gv_fifo_init(&f, SMALL), -ENOMEM);
	gv_fault_arm(0);
}

static void test_full_queue_without_memory_refuses_and_stays_whole(void **state)
{
	struct gv_fifo *f = new_fifo(SMALL);
	(void)state;

	push_range(f, 1, SMALL);
	gv_fault_arm(1);
	assert_int_equal(gv_fifo_push(f, 5, true), -ENOMEM);
	gv_fault_arm(0);
	assert_int_equal(gv_fifo_size(f), SMALL);
	pop_range(f, 1, 1);
	push_range(f, 5, 5);
	pop_range(f, 2, 5);
	drop_fifo(f);
}
#endif

/*
 * Owner and thieves at once.  Items are 1, 2, 3 ...; each must be taken once.  The owner must meet
 * them in order, and so must a thief in each of its thefts.  (A theft while the owner moves to a
 * larger ring may be ahead of what the owner has in its hands.)
 */

enum { ITEMS = 400000, THIEVES_MAX = 3 };

static struct {
	struct gv_fifo *fifo;
	_Atomic uint8_t *taken; /* how often, by item */
	_Atomic bool over;
	uint64_t seed;
} run;

struct taker {
	unsigned id;
	uintptr_t latest;
	uint64_t faults;
	uint64_t count;
};

static void note(struct taker *taker, uintptr_t item)
{
	if (item <= taker->latest)
		taker->faults++;
	taker->latest = item;
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
		size_t count = gv_fifo_steal(run.fifo, &self, room % 2 == 0, out, room);

		taker->latest = 0;
		for (size_t i = 0; i < count; i++)
			note(taker, out[i]);
		gv_reclaim_quiescent();
		if (count == 0 || room % 8 == 0)
			sched_yield();
	}
	gv_reclaim_unregister(&reader);
	return NULL;
}

/* Bursts, now and then one that makes the ring grow. */
static void own_items(struct taker *owner, uintptr_t items)
{
	struct gv_rng rng;
	uintptr_t next = 1;

	gv_rng_seed(&rng, run.seed);
	while (next <= items) {
		uint32_t burst = gv_rng_below(&rng, 100) == 0 ? 3000 : 1 + gv_rng_below(&rng, 40);

		for (; burst > 0 && next <= items; burst--)
			assert_int_equal(gv_fifo_push(run.fifo, next++, true), 0);
		for (uint32_t pops = gv_rng_below(&rng, 60); pops > 0; pops--) {
			uintptr_t item = gv_fifo_pop(run.fifo);

			if (item == 0)
				break;
			note(owner, item);
		}
		gv_reclaim_quiescent();
	}
	for (uintptr_t item = gv_fifo_pop(run.fifo); item != 0; item = gv_fifo_pop(run.fifo))
		note(owner, item);
}

static void check_thieves(unsigned thieves, uint64_t seed)
{
	uintptr_t items = GT_SCALED(ITEMS);
	struct taker takers[1 + THIEVES_MAX] = { 0 };
	pthread_t threads[1 + THIEVES_MAX];
	uint64_t count = 0;

	run.fifo = new_fifo(SMALL);
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
	drop_fifo(run.fifo);
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
		cmocka_unit_test(test_new_queue_is_empty),
		cmocka_unit_test(test_oldest_comes_first),
		cmocka_unit_test(test_peek_looks_behind_the_oldest),
		cmocka_unit_test(test_growing_keeps_the_order),
		cmocka_unit_test(test_full_queue_that_may_not_grow_refuses_and_stays_whole),
		cmocka_unit_test(test_room_of_a_theft_needs_no_growing),
		cmocka_unit_test(test_thief_takes_the_older_half),
		cmocka_unit_test(test_of_an_odd_number_the_thief_takes_more),
		cmocka_unit_test(test_lone_item_is_the_owners_until_it_has_aged),
		cmocka_unit_test(test_thief_takes_no_more_than_it_has_room_for),
		cmocka_unit_test(test_thief_takes_no_more_than_one_announcement_holds),
		cmocka_unit_test(test_second_thief_leaves_at_once),
		cmocka_unit_test(test_owner_and_announced_thief_share_the_range),
		cmocka_unit_test(test_thief_leaves_what_the_owner_took_unseen),
		cmocka_unit_test(test_owner_overtakes_the_whole_range),
		cmocka_unit_test(test_owner_acknowledges_an_announcement),
		cmocka_unit_test(test_push_into_the_room_of_a_theft_keeps_the_order),
		cmocka_unit_test(test_growing_after_a_theft_doubles_nothing),
		cmocka_unit_test(test_announced_range_is_not_used_again),
		cmocka_unit_test(test_growing_under_a_thief_in_the_old_ring_loses_nothing),
		cmocka_unit_test(test_growing_under_a_thief_in_the_new_ring_loses_nothing),
		cmocka_unit_test(test_growing_leaves_a_thief_what_it_has_taken),
#ifdef GV_FAULT
		cmocka_unit_test(test_queue_without_memory_cannot_be_made),
		cmocka_unit_test(test_full_queue_without_memory_refuses_and_stays_whole),
#endif
		cmocka_unit_test(test_one_thief),
		cmocka_unit_test(test_three_thieves),
		cmocka_unit_test(test_thieves_with_full_fences),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
