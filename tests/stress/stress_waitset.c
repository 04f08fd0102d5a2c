/* SPDX-License-Identifier: MIT */
/*
 * stress_waitset.c - one chain of waiters under everything at once: pushes that clean it, waits that
 * end otherwise, and a sender that takes it again and again.
 *
 * No runtime runs: the waiters are records without a greenlet, and the hook for foreign pthreads hears
 * of each one that is woken.  Who waits in earnest must be woken once, with the failure that was sent
 * to it; of nodes and references nothing may be left.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sched/failure.h"
#include "sched/ready.h"
#include "support/measure.h"
#include "support/scale.h"
#include "wait/deliver.h"
#include "wait/park.h"
#include "wait/waitset.h"

enum { PUSHERS = 3, RECORDS = 32, EARNEST = 6 };

#ifdef GT_SLOW_BUILD
enum { PUSHES = 600000 };
#else
enum { PUSHES = 8000000 };
#endif

static _Atomic uint64_t word;
static _Atomic uint64_t woken;
static _Atomic uint32_t pushers_left;
static struct grove_failure *sent;

struct waiter {
	struct grove_greenlet *record;
	uint64_t token;
	bool waits; /* and was not seen awake yet */
};

struct pusher {
	pthread_t thread;
	unsigned number;
	struct waiter waiters[RECORDS];
	uint64_t pushed; /* that are to be woken */
};

static void hear(struct grove_greenlet *record)
{
	GT_CHECK(record->slot == sent);
	GT_CHECK_IS(GV_CAUSE_FAILED, record->cause);
	gv_failure_release(record->slot);
	gv_add(&woken, 1, relaxed);		     /* relaxed: only counts */
	gv_store(&record->context, record, release); /* [woken] */
}

static bool is_awake(const struct waiter *waiter)
{
	return gv_load(&waiter->record->context, acquire) != NULL; /* [woken] */
}

static void push(struct waiter *waiter)
{
	struct grove_greenlet *record = waiter->record;
	struct gv_node *node = gv_node_alloc(NULL);
	uint64_t generation = gv_load(&record->wait, relaxed) / GV_WAIT_GENERATION + 1;

	GT_CHECK(node != NULL);
	waiter->token = generation * GV_WAIT_GENERATION | GV_WAIT_PENDING;
	gv_store(&record->context, NULL, relaxed);	 /* relaxed: [push] follows */
	gv_store(&record->wait, waiter->token, release); /* [push] */
	node->waiter = record;
	node->token = waiter->token;
	node->hub = GV_HUB_FOREIGN;
	gv_store(&node->kind, GV_NODE_WAITER, relaxed); /* relaxed: [push] follows */
	GT_CHECK(gv_waitset_push(NULL, &word, node, 1));
}

static void *push_often(void *arg)
{
	struct pusher *self = arg;
	struct gv_rng rng;

	gv_rng_seed(&rng, self->number);
	for (uint32_t i = 0; i < PUSHES / PUSHERS; i++) {
		struct waiter *waiter = &self->waiters[gv_rng_below(&rng, RECORDS)];

		if (waiter->waits && !is_awake(waiter))
			continue;
		push(waiter);
		/* Most lose patience at once; for some of them it is too late. */
		waiter->waits = waiter < &self->waiters[EARNEST] ||
				!gv_wait_claim(waiter->record, waiter->token, GV_CAUSE_TIMEOUT, 0);
		self->pushed += waiter->waits;
	}
	gv_sub(&pushers_left, 1, release); /* [left] */
	return NULL;
}

/* Somebody has just put a chain aside, and is about to clean it, or somebody will be soon. */
static bool is_being_cleaned(void)
{
	struct gv_node *top = gv_chain_of(gv_load(&word, relaxed)); /* relaxed: a hint */

	/* relaxed: as in a push, the node may be anything by now */
	return top != NULL && gv_load(&top->under, relaxed) != NULL;
}

static void send_all(void)
{
	uint64_t taken = gv_xchg(&word, 0, acq_rel); /* [push] */

	gv_deliver(NULL, gv_chain_of(taken), GV_CAUSE_FAILED, (uintptr_t)sent);
}

static uint64_t nodes_in_use(void)
{
	struct gv_slab_stats stats;

	gv_slab_stats(&gv_nodes, &stats);
	return stats.objects - stats.objects_free;
}

static void test_who_waits_in_earnest_is_woken_once(void **state)
{
	static struct pusher pushers[PUSHERS];
	struct gv_rng rng;
	uint64_t pushed = 0;
	(void)state;

	sent = gv_failure_make_code(-5);
	gv_rng_seed(&rng, 99);
	gv_store(&pushers_left, PUSHERS, relaxed); /* relaxed: nobody runs yet */
	for (unsigned i = 0; i < PUSHERS; i++) {
		pushers[i].number = i;
		for (int j = 0; j < RECORDS; j++) {
			struct grove_greenlet *record = gv_slab_alloc_shared(&gv_records);

			GT_CHECK(record != NULL);
			gv_record_begin(record, NULL, NULL, NULL, 0, GV_HUB_FOREIGN);
			pushers[i].waiters[j].record = record;
		}
	}
	for (unsigned i = 0; i < PUSHERS; i++)
		GT_CHECK_IS(0, pthread_create(&pushers[i].thread, NULL, push_often, &pushers[i]));
	while (gv_load(&pushers_left, acquire) != 0) { /* [left] */
		uint32_t patience = gv_rng_below(&rng, 20000);

		/* Mostly into a cleaning; sometimes at any time; sometimes long after. */
		if (gv_rng_below(&rng, 100) == 0)
			sched_yield();
		else
			while (patience-- > 0 && !is_being_cleaned())
				continue;
		send_all();
	}
	for (unsigned i = 0; i < PUSHERS; i++)
		GT_CHECK_IS(0, pthread_join(pushers[i].thread, NULL));
	send_all();

	for (unsigned i = 0; i < PUSHERS; i++) {
		pushed += pushers[i].pushed;
		for (int j = 0; j < RECORDS; j++) {
			struct waiter *waiter = &pushers[i].waiters[j];

			GT_CHECK(!waiter->waits || is_awake(waiter));
			gv_slab_free_shared(&gv_records, waiter->record);
		}
	}
	assert_int_equal(gv_load(&woken, relaxed), pushed); /* relaxed: the threads have ended */
	assert_int_equal(nodes_in_use(), 0);
	assert_int_equal(gv_load(&sent->references, relaxed), 1); /* relaxed: as above */
	gv_failure_release(sent);
}

static int setup(void **state)
{
	(void)state;
	gv_record_setup();
	gv_slab_init(&gv_nodes, "waiters", 0, NULL);
	gv_runtime.hooks.wake_foreign = hear;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_waits_in_earnest_is_woken_once),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
