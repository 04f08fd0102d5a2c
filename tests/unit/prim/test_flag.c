/* SPDX-License-Identifier: MIT */
/*
 * test_flag.c - flag.c: FL-1 to FL-7, CASES B.
 */
#include "prim_test.h"

#include <signal.h>

static void test_state_and_bad_input(void **state)
{
	(void)state;
	grove_flag flag = GROVE_FLAG_INIT;

	assert_false(grove_flag_is_set(&flag));
	assert_int_equal(grove_flag_wait(&flag, GROVE_POLL), -EAGAIN);
	grove_flag_clear(&flag);
	grove_flag_set(&flag);
	grove_flag_set(&flag);
	assert_true(grove_flag_is_set(&flag));
	assert_int_equal(grove_flag_wait(&flag, GROVE_POLL), 0);
	assert_int_equal(grove_flag_wait(&flag, GROVE_DEADLINE(0)), 0);
	assert_int_equal(grove_flag_wait(&flag, GROVE_NEVER), 0);
	grove_flag_clear(&flag);
	assert_false(grove_flag_is_set(&flag));

	grove_flag_set(NULL);
	grove_flag_clear(NULL);
	assert_false(grove_flag_is_set(NULL));
	assert_int_equal(grove_flag_wait(NULL, GROVE_POLL), -EINVAL);
	assert_int_equal(grove_flag_destroy(NULL), -EINVAL);

	assert_int_equal(grove_flag_destroy(&flag), 0);
	assert_int_equal(grove_flag_destroy(&flag), -EINVAL);
	assert_int_equal(grove_flag_wait(&flag, GROVE_NEVER), -EINVAL);
	grove_flag_set(&flag);
	grove_flag_clear(&flag);
	assert_false(grove_flag_is_set(&flag));
	assert_int_equal(grove_flag_wait(&flag, GROVE_POLL), -EINVAL);

	flag = (grove_flag)GROVE_FLAG_INIT;
	grove_flag_set(&flag);
	assert_int_equal(grove_flag_destroy(&flag), 0);
}

static void *wait_for_ever(void *flag)
{
	return CODE(grove_flag_wait(flag, GROVE_NEVER));
}

/* ---- deadlines ---- */

static void *body_of_deadlines(void *arg)
{
	grove_flag flag = GROVE_FLAG_INIT;
	int64_t before = grove_now_ns();

	CHECK_IS(-ETIMEDOUT, grove_flag_wait(&flag, grove_in_ms(3)));
	CHECK(grove_now_ns() - before >= 3000000);
	CHECK_IS(-ETIMEDOUT, grove_flag_wait(&flag, GROVE_DEADLINE(0)));

	/* Who timed out before the set keeps that, and the flag has nobody left. */
	grove_flag_set(&flag);
	CHECK(grove_flag_is_set(&flag));
	CHECK_IS(0, grove_flag_destroy(&flag));
	return arg;
}

static void test_deadlines(void **state)
{
	(void)state;
	run_on(1, body_of_deadlines, NULL);
	run_on(2, body_of_deadlines, NULL);

	grove_flag flag = GROVE_FLAG_INIT;
	assert_int_equal(grove_flag_wait(&flag, grove_in_ms(2)), -ETIMEDOUT);
	assert_int_equal(grove_flag_destroy(&flag), 0);
	stop();
}

/* ---- set, then clear, before anybody runs ---- */

static void *body_of_pulse(void *arg)
{
	size_t count = *(size_t *)arg;
	grove_greenlet **waiters = calloc(count, sizeof(waiters[0]));
	grove_flag flag = GROVE_FLAG_INIT;

	CHECK(waiters != NULL);
	for (size_t i = 0; i < count; i++)
		waiters[i] = spawn(wait_for_ever, &flag);
	for (size_t i = 0; i < count; i++)
		until_parked(waiters[i]);
	grove_flag_set(&flag);
	grove_flag_clear(&flag);
	CHECK(!grove_flag_is_set(&flag));
	for (size_t i = 0; i < count; i++)
		CHECK_IS(0, value_of(waiters[i]));
	CHECK(!grove_flag_is_set(&flag));
	CHECK_IS(0, grove_flag_destroy(&flag));
	free(waiters);
	return NULL;
}

/* FL-2: all are woken, whatever happens to the flag meanwhile. */
static void test_set_then_clear_wakes_all(void **state)
{
	(void)state;
	size_t counts[] = { 1, 16, 17, 100, 1000 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		run_on(1, body_of_pulse, &counts[i]);
		run_on(2, body_of_pulse, &counts[i]);
		run_strict(body_of_pulse, &counts[i]);
	}
}

struct round {
	grove_flag flag;
	int order[8];
	int count;
};

static void *wait_and_note(void *arg)
{
	struct round *r = ((void **)arg)[0];
	int number = (int)(intptr_t)((void **)arg)[1];
	int rc = grove_flag_wait(&r->flag, GROVE_NEVER);

	r->order[r->count++] = number;
	return CODE(rc);
}

static void *clear_and_wait_again(void *arg)
{
	struct round *r = arg;

	CHECK_IS(0, grove_flag_wait(&r->flag, GROVE_NEVER));
	r->order[r->count++] = 1;
	grove_flag_clear(&r->flag);
	CHECK_IS(0, grove_flag_wait(&r->flag, GROVE_NEVER));
	r->order[r->count++] = 3;
	return NULL;
}

/* FL-3: the first of a round clears the flag; the others are woken all the same, and its own next
 * wait blocks. */
static void *body_of_clear_in_round(void *arg)
{
	struct round r = { .count = 0 };
	void *second[] = { &r, CODE(2) };
	grove_greenlet *a = spawn(clear_and_wait_again, &r);
	until_parked(a);
	grove_greenlet *b = spawn(wait_and_note, second);
	until_parked(b);

	grove_flag_set(&r.flag);
	CHECK_IS(0, value_of(b));
	until_parked(a);
	CHECK(!grove_flag_is_set(&r.flag));
	CHECK_IS(2, r.count);
	grove_flag_set(&r.flag);
	CHECK_IS(0, value_of(a));
	CHECK(r.count == 3 && r.order[0] == 1 && r.order[1] == 2 && r.order[2] == 3);
	return arg;
}

static void test_clear_in_a_round(void **state)
{
	(void)state;
	run_on(1, body_of_clear_in_round, NULL);
	run_strict(body_of_clear_in_round, NULL);
}

static void *note_a_pass(void *arg)
{
	++*(int *)arg;
	return NULL;
}

/* FL-4: in strict order nobody gets ahead of the round; outside of one nothing is given up. */
static void *body_of_strict_round(void *arg)
{
	struct round r = { .count = 0 };
	void *first[] = { &r, CODE(1) };
	void *second[] = { &r, CODE(2) };
	grove_greenlet *a = spawn(wait_and_note, first);
	grove_greenlet *b = spawn(wait_and_note, second);
	int passes = 0;

	until_parked(a);
	until_parked(b);
	grove_flag_set(&r.flag);
	CHECK_IS(0, grove_flag_wait(&r.flag, GROVE_POLL)); /* never suspends */
	CHECK_IS(0, r.count);
	CHECK_IS(0, grove_flag_wait(&r.flag, GROVE_NEVER));
	r.order[r.count++] = 3;
	CHECK(r.count == 3 && r.order[0] == 1 && r.order[1] == 2);
	CHECK_IS(0, value_of(a));
	CHECK_IS(0, value_of(b));

	grove_greenlet *g = spawn(note_a_pass, &passes);
	CHECK_IS(0, grove_flag_wait(&r.flag, GROVE_NEVER));
	CHECK_IS(0, passes);
	CHECK_IS(0, value_of(g));
	CHECK_IS(1, passes);
	return arg;
}

static void *wait_twice(void *arg)
{
	struct round *r = arg;

	CHECK_IS(0, grove_flag_wait(&r->flag, GROVE_NEVER));
	CHECK_IS(0, r->count);
	CHECK_IS(0, grove_flag_wait(&r->flag, GROVE_NEVER));
	r->order[r->count++] = 1;
	return NULL;
}

/* A waiter of the round that waits again is behind the rest of it as well. */
static void *body_of_second_wait(void *arg)
{
	struct round r = { .count = 0 };
	void *second[] = { &r, CODE(2) };
	void *third[] = { &r, CODE(3) };
	grove_greenlet *a = spawn(wait_twice, &r);
	grove_greenlet *b = spawn(wait_and_note, second);
	grove_greenlet *c = spawn(wait_and_note, third);

	until_parked(a);
	until_parked(b);
	until_parked(c);
	grove_flag_set(&r.flag);
	CHECK_IS(0, value_of(a));
	CHECK_IS(0, value_of(b));
	CHECK_IS(0, value_of(c));
	CHECK(r.order[0] == 2 && r.order[1] == 3 && r.order[2] == 1);
	return arg;
}

static void test_strict_order_does_not_jump_the_queue(void **state)
{
	(void)state;
	run_strict(body_of_strict_round, NULL);
	run_strict(body_of_second_wait, NULL);
}

/* ---- kills ---- */

/* FL-6 */
static void *body_of_killed_waiter(void *arg)
{
	grove_flag flag = GROVE_FLAG_INIT;
	grove_greenlet *g[3];

	for (int i = 0; i < 3; i++) {
		g[i] = spawn(wait_for_ever, &flag);
		until_parked(g[i]);
	}
	CHECK_IS(0, grove_kill(g[1], NULL, GROVE_NEVER));
	CHECK_IS(-EBUSY, grove_flag_destroy(&flag));
	grove_flag_set(&flag);
	CHECK_IS(0, value_of(g[0]));
	CHECK_IS(GROVE_KILLED, value_of(g[1]));
	CHECK_IS(0, value_of(g[2]));
	CHECK_IS(0, grove_flag_destroy(&flag));

	/* Only the dead are left: nobody is in the way, and nothing leaks. */
	flag = (grove_flag)GROVE_FLAG_INIT;
	g[0] = spawn(wait_for_ever, &flag);
	until_parked(g[0]);
	CHECK_IS(-EBUSY, grove_flag_destroy(&flag));
	CHECK_IS(0, grove_kill(g[0], NULL, GROVE_NEVER));
	CHECK_IS(GROVE_KILLED, value_of(g[0]));
	CHECK_IS(0, grove_flag_destroy(&flag));
	return arg;
}

struct twice {
	grove_flag flag;
	int first, second;
};

static void *wait_then_sleep(void *arg)
{
	struct twice *t = arg;

	t->first = grove_flag_wait(&t->flag, GROVE_NEVER);
	t->second = grove_sleep(GROVE_NEVER);
	return NULL;
}

/* A kill after the set comes at the next wait; before it, inside this one. */
static void *body_of_kill_and_set(void *arg)
{
	struct twice t = { .first = 1 };
	grove_greenlet *g = spawn(wait_then_sleep, &t);

	until_parked(g);
	grove_flag_set(&t.flag);
	CHECK_IS(0, grove_kill(g, NULL, GROVE_POLL));
	CHECK_IS(0, value_of(g));
	CHECK_IS(0, t.first);
	CHECK_IS(GROVE_KILLED, t.second);

	grove_flag_clear(&t.flag);
	g = spawn(wait_for_ever, &t.flag);
	until_parked(g);
	CHECK_IS(0, grove_kill(g, NULL, GROVE_POLL));
	grove_flag_set(&t.flag);
	CHECK_IS(GROVE_KILLED, value_of(g));
	return arg;
}

static void test_kills(void **state)
{
	(void)state;
	run_on(1, body_of_killed_waiter, NULL);
	run_on(2, body_of_killed_waiter, NULL);
	run_on(1, body_of_kill_and_set, NULL);
}

/* ---- other contexts ---- */

static grove_flag signalled;

static void set_in_handler(int number)
{
	(void)number;
	grove_flag_set(&signalled);
}

static void *body_of_handler(void *arg)
{
	grove_greenlet *g = spawn(wait_for_ever, &signalled);

	until_parked(g);
	raise(SIGUSR1);
	CHECK(grove_flag_is_set(&signalled));
	CHECK_IS(0, value_of(g));

	/* The handler interrupts the runtime on this hub: it is remote then. */
	grove_flag_clear(&signalled);
	g = spawn(wait_for_ever, &signalled);
	until_parked(g);
	struct gv_hub *hub = gv_enter();
	raise(SIGUSR1);
	gv_leave(hub);
	CHECK_IS(0, value_of(g));
	CHECK_IS(0, grove_flag_destroy(&signalled));
	return arg;
}

static void test_signal_handler_sets(void **state)
{
	(void)state;
	struct sigaction action = { .sa_handler = set_in_handler };

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	run_on(1, body_of_handler, NULL);
}

static void *set_from_outside(void *flag)
{
	grove_flag_set(flag);
	return NULL;
}

static void *wait_outside(void *flag)
{
	CHECK_IS(0, grove_flag_wait(flag, GROVE_NEVER));
	return NULL;
}

/* An untimed waiter, and no timer anywhere. */
static void *body_of_outsiders(void *arg)
{
	grove_flag flag = GROVE_FLAG_INIT;
	pthread_t thread;

	start_thread(&thread, set_from_outside, &flag);
	CHECK_IS(0, grove_flag_wait(&flag, GROVE_NEVER));
	join_thread(thread);

	grove_flag_clear(&flag);
	start_thread(&thread, wait_outside, &flag);
	grove_flag_set(&flag);
	join_thread(thread);
	CHECK_IS(0, grove_flag_destroy(&flag));
	return arg;
}

static void test_foreign_threads(void **state)
{
	(void)state;
	run_on(1, body_of_outsiders, NULL);
	run_on(2, body_of_outsiders, NULL);

	/* A wait starts the runtime if need be. */
	grove_flag flag = GROVE_FLAG_INIT;
	pthread_t thread;
	start_thread(&thread, wait_outside, &flag);
	grove_flag_set(&flag);
	pthread_join(thread, NULL);
	assert_int_equal(grove_flag_destroy(&flag), 0);
	stop();
}

struct in_hub {
	grove_flag flag;
	int rc;
	int polled;
};

static void wait_in_callback(void *arg)
{
	struct in_hub *h = arg;

	h->polled = grove_flag_wait(&h->flag, GROVE_POLL);
	h->rc = grove_flag_wait(&h->flag, GROVE_NEVER);
	grove_flag_set(&h->flag);
}

static void *body_of_callback(void *arg)
{
	struct in_hub h = { .rc = 0 };
	grove_timer timer = GROVE_TIMER_INIT;

	CHECK_IS(0, grove_timer_start(&timer, wait_in_callback, &h, 0, 0, GROVE_POLL));
	CHECK_IS(0, grove_flag_wait(&h.flag, GROVE_NEVER));
	CHECK_IS(GROVE_IN_HUB, h.rc);
	CHECK_IS(-EAGAIN, h.polled);
	return arg;
}

static void test_hub_callback_cannot_wait(void **state)
{
	(void)state;
	run_on(1, body_of_callback, NULL);
}

/* ---- lifetime and pulses ---- */

static void *destroy_when_woken(void *flag)
{
	CHECK_IS(0, grove_flag_wait(flag, GROVE_NEVER));
	CHECK_IS(0, grove_flag_destroy(flag));
	memset(flag, 0xee, sizeof(grove_flag));
	free(flag);
	return NULL;
}

/* The set that is still inside its call when the flag goes away. */
static void *body_of_freeing_waiters(void *arg)
{
	for (int i = 0; i < GT_SCALED(20000); i++) {
		grove_flag *flag = calloc(1, sizeof(*flag));
		grove_greenlet *g = spawn(destroy_when_woken, flag);

		until_parked(g);
		grove_flag_set(flag);
		CHECK_IS(0, value_of(g));
	}
	return arg;
}

static void test_waiter_frees_the_flag(void **state)
{
	(void)state;
	run_on(2, body_of_freeing_waiters, NULL);
}

struct pulse {
	grove_flag flag;
	_Atomic bool enough;
};

static void *pulse_until_enough(void *arg)
{
	struct pulse *p = arg;

	while (!gv_load(&p->enough, relaxed)) { /* relaxed: only ends the loop */
		grove_flag_set(&p->flag);
		grove_flag_clear(&p->flag);
		sched_yield();
	}
	return NULL;
}

/* Each wait is satisfied by a pulse, however short the flag is up. */
static void *body_of_pulses(void *arg)
{
	struct pulse p = { .enough = false };
	pthread_t thread;

	start_thread(&thread, pulse_until_enough, &p);
	for (int i = 0; i < GT_SCALED(20000); i++)
		CHECK_IS(0, grove_flag_wait(&p.flag, GROVE_NEVER));
	gv_store(&p.enough, true, relaxed); /* relaxed: only ends the loop */
	join_thread(thread);
	CHECK_IS(0, grove_flag_destroy(&p.flag));
	return arg;
}

static void test_no_pulse_is_lost(void **state)
{
	(void)state;
	run_on(1, body_of_pulses, NULL);
	run_on(2, body_of_pulses, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_and_bad_input),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_set_then_clear_wakes_all),
		cmocka_unit_test(test_clear_in_a_round),
		cmocka_unit_test(test_strict_order_does_not_jump_the_queue),
		cmocka_unit_test(test_kills),
		cmocka_unit_test(test_signal_handler_sets),
		cmocka_unit_test(test_foreign_threads),
		cmocka_unit_test(test_hub_callback_cannot_wait),
		cmocka_unit_test(test_waiter_frees_the_flag),
		cmocka_unit_test(test_no_pulse_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
