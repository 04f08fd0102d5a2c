/* SPDX-License-Identifier: MIT */
/* wait/park.c: one cause ends each wait, and losers change nothing. */
#include "../prim/prim_test.h"

#include "wait/deliver.h"
#include "wait/park.h"
#include "wait/waitset.h"

static _Atomic uint64_t word;

static void *wait_on_word(void *arg)
{
	grove_deadline deadline = { *(int64_t *)arg };

	return CODE(gv_wait_on(&word, 1, 0, deadline, NULL));
}

/* I2: exactly one claim succeeds. */
static void *second_claim_loses(void *arg)
{
	int64_t never = INT64_MAX;
	grove_greenlet *g = spawn(wait_on_word, &never);

	(void)arg;
	until_parked(g);
	uint64_t token = gv_load(&g->wait, acquire);
	CHECK(token & GV_WAIT_PENDING);
	CHECK(!gv_wait_claim(g, token + GV_WAIT_GENERATION, GV_CAUSE_CODE, 0)); /* a later wait */
	CHECK(!gv_wait_claim(g, token - GV_WAIT_GENERATION, GV_CAUSE_CODE, 0)); /* an earlier one */
	CHECK(gv_wait_claim(g, token, GV_CAUSE_CODE, (uintptr_t)(intptr_t)-EPIPE));
	CHECK(!gv_wait_claim(g, token, GV_CAUSE_CODE, (uintptr_t)(intptr_t)-EIO));
	struct gv_hub *hub = gv_enter();
	gv_ready(hub, g, false);
	gv_leave(hub);
	CHECK_IS(-EPIPE, value_of(g));
	struct gv_node *chain = gv_chain_of(gv_xchg(&word, 0, acq_rel));
	CHECK(gv_waitset_discard(NULL, &chain));
	return NULL;
}

static void test_second_claim_loses(void **state)
{
	(void)state;
	run_on(1, second_claim_loses, NULL);
	run_on(2, second_claim_loses, NULL);
}

static void *stop_bit(void *arg)
{
	(void)arg;
	gv_store(&word, 1, release);
	CHECK_IS(GV_STOPPED, gv_wait_on(&word, 1, 0, GROVE_NEVER, NULL));
	gv_store(&word, 0, release);
	return NULL;
}

static void test_a_set_stop_bit_means_no_wait(void **state)
{
	(void)state;
	run_on(1, stop_bit, NULL);
}

static void *deadlines(void *arg)
{
	int64_t at = grove_in_ms(2).ns;
	grove_greenlet *g = spawn(wait_on_word, &at);

	(void)arg;
	CHECK_IS(-ETIMEDOUT, value_of(g));
	CHECK(grove_now_ns() >= at);
	CHECK_IS(-ETIMEDOUT,
		 gv_wait_on(&word, 1, 0, GROVE_DEADLINE(1), NULL)); /* passed: once round */
	struct gv_node *chain = gv_chain_of(gv_xchg(&word, 0, acq_rel));
	CHECK(gv_waitset_discard(NULL, &chain));
	return NULL;
}

static void test_a_deadline_ends_a_wait_and_never_early(void **state)
{
	(void)state;
	run_on(1, deadlines, NULL);
	run_on(2, deadlines, NULL);
}

static void *unkillable(void *arg)
{
	_Atomic uint64_t *own = arg;

	return CODE(gv_wait_on(own, 1, GV_WAIT_UNKILLABLE, grove_in_ms(5), NULL));
}

/* The kill stays, and is met by the next wait that may be ended so. */
static void *nokill_body(void *arg)
{
	_Atomic uint64_t own = 0;
	grove_greenlet *g = spawn(unkillable, &own);

	(void)arg;
	until_parked(g);
	CHECK_IS(0, grove_kill(g, NULL, GROVE_POLL));
	CHECK_IS(-ETIMEDOUT, value_of(g));
	struct gv_node *chain = gv_chain_of(gv_load(&own, relaxed));
	CHECK(gv_waitset_discard(NULL, &chain));
	return NULL;
}

static void test_an_unkillable_wait_is_not_ended_by_a_kill(void **state)
{
	(void)state;
	run_on(1, nokill_body, NULL);
}

static void *foreign_wait(void *arg)
{
	return (void *)(intptr_t)gv_wait_on(arg, 1, 0, grove_in_ms(3), NULL);
}

static void *foreign_body(void *arg)
{
	_Atomic uint64_t own = 0;
	pthread_t thread;
	void *rc = NULL;

	(void)arg;
	start_thread(&thread, foreign_wait, &own);
	grove_sleep(grove_in_ms(1));
	pthread_join(thread, &rc);
	CHECK_IS(-ETIMEDOUT, (intptr_t)rc);
	struct gv_node *chain = gv_chain_of(gv_load(&own, relaxed));
	CHECK(gv_waitset_discard(NULL, &chain));
	return NULL;
}

static void test_a_foreign_pthread_blocks_until_its_deadline(void **state)
{
	(void)state;
	run_on(2, foreign_body, NULL);
}

/* Deadline against wake-up, seeded: each wait has one cause, and the sum is the number of waits. */
struct race {
	_Atomic uint64_t own;
	_Atomic int waiting;
	int woken;
	int late;
};

static void *race_waiter(void *arg)
{
	struct race *r = arg;

	for (int i = 0; i < GT_SCALED(2000) + 20; i++) {
		atomic_store(&r->waiting, i + 1);
		int rc = gv_wait_on(&r->own, 1, 0, grove_in_ns(i % 7 * 10000), NULL);
		if (rc == 0)
			r->woken++;
		else if (rc == -ETIMEDOUT)
			r->late++;
	}
	atomic_store(&r->waiting, -1);
	return NULL;
}

static void *race_body(void *arg)
{
	struct race r = { 0 };
	grove_greenlet *g = spawn(race_waiter, &r);

	(void)arg;
	while (atomic_load(&r.waiting) >= 0) {
		struct gv_node *chain = gv_chain_of(gv_xchg(&r.own, 0, acq_rel));
		struct gv_hub *hub = gv_enter();

		gv_deliver(hub, chain, GV_CAUSE_WAKE, 0);
		gv_leave(hub);
		grove_yield();
	}
	CHECK_IS(0, value_of(g));
	CHECK_IS(GT_SCALED(2000) + 20, r.woken + r.late);
	struct gv_node *chain = gv_chain_of(gv_load(&r.own, relaxed));
	CHECK(gv_waitset_discard(NULL, &chain));
	return NULL;
}

static void test_deadline_against_wake_has_one_winner(void **state)
{
	(void)state;
	run_on(1, race_body, NULL);
	run_on(2, race_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_second_claim_loses),
		cmocka_unit_test(test_a_set_stop_bit_means_no_wait),
		cmocka_unit_test(test_a_deadline_ends_a_wait_and_never_early),
		cmocka_unit_test(test_an_unkillable_wait_is_not_ended_by_a_kill),
		cmocka_unit_test(test_a_foreign_pthread_blocks_until_its_deadline),
		cmocka_unit_test(test_deadline_against_wake_has_one_winner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
