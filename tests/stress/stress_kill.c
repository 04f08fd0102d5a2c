/* SPDX-License-Identifier: MIT */
/*
 * stress_kill.c - kills that come at any moment of a wait, of a join that runs its child in place, and
 * of a first run.
 */
#include "gt.h"

#include "base/rng.h"

#include <sched.h>

/*
 * Each kill has a failure of its own: its killer and its number.  The target must meet every one of
 * them, once, and those of one killer in their order.
 */

enum { KILLERS = 3, CODE_OF_KILLER = -1000 };

#ifdef GT_SLOW_BUILD
enum { KILLS = 1000, ROUNDS = 300, JOINS = 5000 };
#else
enum { KILLS = 8000, ROUNDS = 3000, JOINS = 100000 };
#endif

struct hunt {
	grove_greenlet *target;
	_Atomic uint32_t met;
	_Atomic bool over;
	uint32_t latest[KILLERS];
};

/* The payload is the number. */
static void meet(struct hunt *hunt)
{
	grove_failure *failure = grove_last_failure();

	GT_CHECK(failure != NULL);
	long long killer = CODE_OF_KILLER - grove_failure_code(failure);
	GT_CHECK(killer >= 0 && killer < KILLERS);
	uint32_t number = (uint32_t)(uintptr_t)grove_failure_payload(failure);
	GT_CHECK_IS(hunt->latest[killer] + 1, number);
	hunt->latest[killer] = number;
	hunt->met++;
}

/* All kinds of suspension, and some time between them. */
static void *be_hunted(void *arg)
{
	struct hunt *hunt = arg;
	grove_event event = GROVE_EVENT_INIT;
	struct gv_rng rng;

	gv_rng_seed(&rng, 4);
	while (!hunt->over) {
		int rc = 0;

		switch (gv_rng_below(&rng, 4)) {
		case 0:
			rc = grove_yield();
			break;
		case 1:
			rc = grove_sleep(grove_in_ns(gv_rng_below(&rng, 50000)));
			break;
		case 2:
			rc = grove_event_wait(&event, NULL, grove_in_ns(gv_rng_below(&rng, 50000)));
			break;
		default:
			gt_spin(300);
			break;
		}
		if (rc == GROVE_KILLED)
			meet(hunt);
		else
			GT_CHECK(rc == 0 || rc == -ETIMEDOUT);
	}
	GT_CHECK_IS(0, grove_event_destroy(&event));
	return NULL;
}

struct killer {
	struct hunt *hunt;
	int number;
};

static void *kill_often(void *arg)
{
	const struct killer *killer = arg;

	for (uint32_t i = 1; i <= KILLS; i++) {
		grove_failure *failure = grove_failure_new(CODE_OF_KILLER - killer->number, "kill");

		GT_CHECK_IS(0, grove_failure_attach(failure, (void *)(uintptr_t)i, NULL));
		GT_CHECK_IS(0, grove_kill(killer->hunt->target, failure, GROVE_POLL));
		grove_failure_release(failure);
		/* Not so many that they are met only in heaps. */
		while (i * KILLERS > killer->hunt->met + 8 * KILLERS)
			gt_pause();
	}
	return NULL;
}

GT_TEST(test_each_kill_is_met_once)
{
	struct hunt hunt = { .met = 0 };
	struct killer killers[KILLERS];
	grove_greenlet *greenlets[KILLERS - 1];
	pthread_t thread;

	hunt.target = gt_spawn(be_hunted, &hunt);
	while (grove_greenlet_state(hunt.target) == GROVE_PENDING)
		gt_pause();
	for (int i = 0; i < KILLERS; i++)
		killers[i] = (struct killer){ &hunt, i };
	for (int i = 0; i < KILLERS - 1; i++)
		greenlets[i] = gt_spawn(kill_often, &killers[i]);
	gt_thread_start(&thread, kill_often, &killers[KILLERS - 1]);
	for (int i = 0; i < KILLERS - 1; i++)
		gt_join(greenlets[i]);
	gt_thread_join(thread);
	gt_until(hunt.met == KILLERS * KILLS);
	hunt.over = true;
	gt_join(hunt.target);
	GT_CHECK_IS(KILLERS * KILLS, hunt.met);
}

/*
 * A pinned greenlet joins children that it could run in place, while kills come.  Whatever happens, it
 * goes on on its own hub, and nobody waits for ever.
 */

static void *do_little(void *arg)
{
	if ((uintptr_t)arg % 4 == 0)
		(void)grove_yield();
	return arg;
}

struct pest {
	grove_greenlet *target;
	_Atomic uint32_t met;
	_Atomic bool over;
};

static void *join_often(void *arg)
{
	struct pest *pest = arg;

	GT_CHECK_IS(0, grove_pin());
	int hub = grove_hub_id();
	for (uintptr_t i = 0; i < JOINS; i++) {
		grove_greenlet *child = NULL;
		int rc = grove_spawn(&child, do_little, (void *)i);

		GT_CHECK_IS(0, rc);
		while ((rc = grove_join(child, GROVE_NEVER)) == GROVE_KILLED) {
			GT_CHECK(grove_last_failure() == grove_failure_exit());
			GT_CHECK_IS(hub, grove_hub_id());
			pest->met++;
		}
		GT_CHECK_IS(0, rc);
		GT_CHECK_IS(hub, grove_hub_id());
		GT_CHECK(grove_value(child) == (void *)i);
		grove_greenlet_release(child);
	}
	pest->over = true;
	GT_CHECK_IS(0, grove_unpin());
	return NULL;
}

static void *pester(void *arg)
{
	struct pest *pest = arg;

	for (uint32_t sent = 0; !pest->over;) {
		gt_spin(2000);
		if (sent > pest->met + 2) {
			sched_yield();
			continue;
		}
		GT_CHECK_IS(0, grove_kill(pest->target, NULL, GROVE_POLL));
		sent++;
	}
	return NULL;
}

GT_TEST(test_killed_joiner_stays_where_it_is_pinned)
{
	struct pest pest = { .met = 0 };
	pthread_t thread;

	pest.target = gt_spawn(join_often, &pest);
	while (grove_greenlet_state(pest.target) == GROVE_PENDING)
		gt_pause();
	gt_thread_start(&thread, pester, &pest);
	gt_thread_join(thread);
	gt_join(pest.target);
}

/*
 * First run, join in place, start, cancel and kill of one greenlet at once: it runs once or never, and
 * its argument is released once.
 */

enum { PARTIES = 4 };

struct target {
	grove_greenlet *greenlet;
	struct gt_gate gate;
	_Atomic int runs;
	_Atomic int releases;
	_Atomic int cancelled;
};

static void *run_once(void *arg)
{
	struct target *target = arg;

	target->runs++;
	(void)grove_yield();
	return NULL;
}

static void released(void *arg)
{
	((struct target *)arg)->releases++;
}

static void *join_it(void *arg)
{
	struct target *target = arg;

	gt_gate_wait(&target->gate);
	GT_CHECK_IS(0, grove_join(target->greenlet, gt_soon()));
	return NULL;
}

static void *start_it(void *arg)
{
	struct target *target = arg;

	gt_gate_wait(&target->gate);
	int rc = grove_greenlet_start(target->greenlet, GROVE_POLL);
	GT_CHECK(rc == 0 || rc == -EALREADY);
	return NULL;
}

static void *kill_it(void *arg)
{
	struct target *target = arg;

	gt_gate_wait(&target->gate);
	GT_CHECK_IS(0, grove_kill(target->greenlet, NULL, gt_soon()));
	return NULL;
}

static void *cancel_it(void *arg)
{
	struct target *target = arg;

	gt_gate_wait(&target->gate);
	int rc = grove_cancel(target->greenlet);
	GT_CHECK(rc == 0 || rc == -EALREADY);
	target->cancelled = rc == 0;
	return NULL;
}

GT_TEST(test_all_that_may_happen_to_a_new_one_happens_at_once)
{
	static grove_fn *const acts[PARTIES] = { join_it, start_it, kill_it, cancel_it };

	for (int round = 0; round < ROUNDS; round++) {
		grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
		struct target target = { .gate.parties = PARTIES };
		grove_greenlet *party[PARTIES];

		attributes.release_arg = released;
		attributes.flags = round % 2 == 0 ? GROVE_UNSTARTED : 0;
		attributes.when = round % 3 == 0 ? grove_in_ns(20000) : GROVE_POLL;
		GT_CHECK_IS(0, grove_spawn_with(&target.greenlet, run_once, &target, &attributes));
		for (int i = 0; i < PARTIES; i++)
			party[i] = gt_spawn(acts[(i + round) % PARTIES], &target);
		for (int i = 0; i < PARTIES; i++)
			gt_join(party[i]);
		GT_CHECK(grove_ready(target.greenlet));
		GT_CHECK_IS(1, target.releases);
		GT_CHECK(target.runs <= 1);
		GT_CHECK(!target.cancelled || target.runs == 0);
		grove_greenlet_release(target.greenlet);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kill_is_met_once),
		cmocka_unit_test(test_killed_joiner_stays_where_it_is_pinned),
		cmocka_unit_test(test_all_that_may_happen_to_a_new_one_happens_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
