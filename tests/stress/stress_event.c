/* SPDX-License-Identifier: MIT */
/*
 * stress_event.c - events under fire.
 *
 * On each of 100,000 events eight pthreads race to be its one sender, while 1,000 greenlets wait for
 * them in turn, none for longer than a millisecond; whoever finds itself the last one to need an event
 * destroys it at once, on some events the only waiter, as soon as it wakes.
 *
 * Each event is memory of its own, which the last of all that had to do with it frees: a runtime that
 * touched it later would be found by AddressSanitizer.
 */
#include "gt.h"

#include "base/rng.h"

enum {
	EVENTS = 100000,
	SENDERS = 8,
	WAITERS = 1000,
	CROWD = 200, /* more than a send wakes by itself */
	CROWD_EVERY = 64,
	FEW_MOST = 20,
	DEADLINE_MOST_NS = 1000000,
};

struct target {
	grove_event event;
	uint32_t number;
	uint32_t crowd;		  /* how many wait for it */
	_Atomic uint32_t waits;	  /* that have ended */
	_Atomic uint32_t parties; /* senders and waiters that still need the memory */
	_Atomic uint32_t winners; /* sends that returned 0 */
	_Atomic uintptr_t sent;	  /* by the winner */
	_Atomic uintptr_t got;	  /* by the waiters: all the same */
};

static struct {
	struct target **targets; /* by number */
	uint32_t *places;	 /* whom the n-th wait is for */
	uint32_t *first;	 /* place of the first wait for each event */
	uint32_t count;
	uint32_t waits;
	_Atomic uint32_t next_place;
	_Atomic uint64_t delivered;
	_Atomic uint64_t timed_out;
	_Atomic uint64_t destroyed;
	_Atomic uint64_t freed;
	uint64_t seed;
} fire;

static uint64_t *mix(uint64_t *x)
{
	*x ^= *x >> 33;
	*x *= 0xff51afd7ed558ccdu;
	*x ^= *x >> 33;
	return x;
}

static uint32_t crowd_of(uint32_t number)
{
	uint64_t x = fire.seed + number;

	if (number % CROWD_EVERY == 0)
		return CROWD;
	return number % 3 == 0 ? 1 : 1 + (uint32_t)(*mix(&x) % FEW_MOST);
}

static void make_targets(void)
{
	fire.count = GT_SCALED(EVENTS);
	fire.targets = calloc(fire.count, sizeof(struct target *));
	fire.first = calloc(fire.count, sizeof(uint32_t));
	GT_CHECK(fire.targets != NULL && fire.first != NULL);
	fire.waits = 0;
	for (uint32_t i = 0; i < fire.count; i++) {
		struct target *t = calloc(1, sizeof(*t));

		GT_CHECK(t != NULL);
		t->number = i;
		t->crowd = crowd_of(i);
		t->parties = t->crowd + SENDERS;
		fire.targets[i] = t;
		fire.first[i] = fire.waits;
		fire.waits += t->crowd;
	}
	fire.places = calloc(fire.waits, sizeof(uint32_t));
	GT_CHECK(fire.places != NULL);
	for (uint32_t i = 0; i < fire.count; i++) {
		for (uint32_t j = 0; j < fire.targets[i]->crowd; j++)
			fire.places[fire.first[i] + j] = i;
	}
	fire.next_place = 0;
	fire.delivered = fire.timed_out = fire.destroyed = fire.freed = 0;
}

static void free_targets(void)
{
	free(fire.targets);
	free(fire.first);
	free(fire.places);
}

/* The last one looks whether all that happened fits together. */
static void leave(struct target *t)
{
	if (atomic_fetch_sub_explicit(&t->parties, 1, memory_order_acq_rel) != 1)
		return;
	GT_CHECK_IS(1, t->winners);
	GT_CHECK_IS(t->crowd, t->waits);
	GT_CHECK(t->got == 0 || t->got == t->sent);
	free(t);
	atomic_fetch_add_explicit(&fire.freed, 1, memory_order_relaxed);
}

/* Never 0.  Half of the values are too large for the event's word. */
static uintptr_t value_of(uint32_t number, unsigned sender)
{
	uintptr_t value = (uintptr_t)number * SENDERS + sender + 1;

	return number % 2 == 0 ? value : value << 40;
}

struct sender {
	pthread_t thread;
	unsigned number;
};

static void *send_all(void *arg)
{
	const struct sender *self = arg;
	struct gv_rng rng;

	gv_rng_seed(&rng, fire.seed + self->number);
	for (uint32_t i = 0; i < fire.count; i++) {
		struct target *t = fire.targets[i];
		uint32_t when = fire.first[i] + gv_rng_below(&rng, t->crowd + 16);

		/* Not long before its waiters come, and not long after. */
		for (unsigned spins = 0; fire.next_place < GV_MIN(when, fire.waits); spins++) {
			if (spins % 64 == 63)
				sched_yield();
		}
		uintptr_t value = value_of(i, self->number);
		int rc = grove_event_send(&t->event, (void *)value);
		if (rc == 0) {
			t->sent = value;
			t->winners++;
		} else {
			/* Somebody else was first, and a waiter may have been very quick. */
			GT_CHECK(rc == -EALREADY || rc == -EINVAL);
		}
		leave(t);
	}
	return NULL;
}

static void wait_once(struct target *t, int64_t ns)
{
	uintptr_t none = 0;
	void *value = NULL;
	int rc = grove_event_wait(&t->event, &value, grove_in_ns(ns));

	if (rc == 0) {
		GT_CHECK(value != NULL);
		if (!atomic_compare_exchange_strong(&t->got, &none, (uintptr_t)value))
			GT_CHECK_IS(none, (uintptr_t)value);
		fire.delivered++;
	} else {
		GT_CHECK_IS(-ETIMEDOUT, rc);
		fire.timed_out++;
	}
	/* Nobody else waits, or will; the other senders may still come. */
	if (t->waits++ == t->crowd - 1 && rc == 0) {
		GT_CHECK_IS(0, grove_event_destroy(&t->event));
		fire.destroyed++;
	}
	leave(t);
}

static void *wait_in_turn(void *arg)
{
	struct gv_rng rng;

	gv_rng_seed(&rng, fire.seed + 1000 + (uintptr_t)arg);
	for (;;) {
		uint32_t place = fire.next_place++;

		if (place >= fire.waits) {
			fire.next_place = fire.waits;
			return NULL;
		}
		struct target *t = fire.targets[fire.places[place]];
		wait_once(t, (int64_t)gv_rng_below(&rng, DEADLINE_MOST_NS));
	}
}

static void under_fire(uint64_t seed)
{
	struct sender senders[SENDERS];
	grove_greenlet *waiters[WAITERS];

	fire.seed = seed;
	make_targets();
	for (unsigned i = 0; i < WAITERS; i++)
		waiters[i] = gt_spawn(wait_in_turn, GT_VALUE(i));
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i].number = i;
		gt_thread_start(&senders[i].thread, send_all, &senders[i]);
	}
	for (unsigned i = 0; i < WAITERS; i++)
		gt_join(waiters[i]);
	for (unsigned i = 0; i < SENDERS; i++)
		gt_thread_join(senders[i].thread);

	GT_CHECK_IS(fire.waits, fire.delivered + fire.timed_out);
	GT_CHECK_IS(fire.count, fire.freed);
	printf("%u events, %u waits: %llu delivered, %llu timed out; %llu destroyed by a waiter\n",
	       fire.count, fire.waits, (unsigned long long)fire.delivered,
	       (unsigned long long)fire.timed_out, (unsigned long long)fire.destroyed);
	free_targets();
}

/* One winner each, every wait ends once, the values agree, nothing is left. */
GT_TEST(test_event_under_fire)
{
	under_fire(1);
}

/*
 * The three that end a wait at once: a send, the deadline, a kill.  Whoever loses changes nothing: a
 * kill that came too late is met by the next wait.
 */

enum { KILLED = 16 };

#ifdef GT_SLOW_BUILD
enum { RACES = 100, CLEANINGS = 300 };
#else
enum { RACES = 500, CLEANINGS = 400 };
#endif

struct race {
	grove_event event;
	struct gt_gate gate;
	_Atomic int met; /* kills */
	uint64_t seed;
};

static void *wait_and_meet_the_kill(void *arg)
{
	struct race *race = arg;
	void *value = NULL;
	struct gv_rng rng;

	gv_rng_seed(&rng, race->seed + (uintptr_t)grove_self());
	int rc = grove_event_wait(&race->event, &value, grove_in_ns(gv_rng_below(&rng, 30000)));
	if (rc == GROVE_KILLED) {
		GT_CHECK(grove_last_failure() == grove_failure_exit());
		race->met++;
		GT_CHECK_IS(0, grove_yield()); /* once only */
		return NULL;
	}
	GT_CHECK(rc == -ETIMEDOUT || (rc == 0 && value == GT_VALUE(7)));
	rc = grove_sleep(GROVE_NEVER);
	GT_CHECK_IS(GROVE_KILLED, rc);
	GT_CHECK(grove_last_failure() == grove_failure_exit());
	race->met++;
	return NULL;
}

static void *send_seven(void *arg)
{
	struct race *race = arg;

	gt_spin(3000);
	GT_CHECK_IS(0, grove_event_send(&race->event, GT_VALUE(7)));
	return NULL;
}

GT_TEST(test_send_deadline_and_kill_race_for_a_wait)
{
	for (uint64_t round = 0; round < RACES; round++) {
		struct race race = { .event = GROVE_EVENT_INIT, .seed = round };
		grove_greenlet *waiters[KILLED];

		for (int i = 0; i < KILLED; i++)
			waiters[i] = gt_spawn(wait_and_meet_the_kill, &race);
		(void)grove_yield();
		grove_greenlet *sender = gt_spawn(send_seven, &race);
		for (int i = 0; i < KILLED; i++) {
			/* Not before it has begun: that would end it there. */
			while (grove_greenlet_state(waiters[i]) == GROVE_PENDING)
				gt_pause();
			GT_CHECK_IS(0, grove_kill(waiters[i], NULL, GROVE_POLL));
		}
		for (int i = 0; i < KILLED; i++)
			gt_join(waiters[i]);
		gt_join(sender);
		GT_CHECK_IS(KILLED, race.met);
		GT_CHECK_IS(0, grove_event_destroy(&race.event));
	}
}

/*
 * Most waits on one event end by their deadline, so that its chain is cleaned again and again, while
 * others wait for the send; it comes in the middle of it all.
 */

enum { IMPATIENT = 64, PATIENT = 40, TRIES = 40 };

static void *try_often(void *arg)
{
	grove_event *event = arg;
	void *value = NULL;
	int rc = -ETIMEDOUT;

	for (int i = 0; i < TRIES && rc == -ETIMEDOUT; i++)
		rc = grove_event_wait(event, &value, GROVE_DEADLINE(0));
	GT_CHECK(rc == -ETIMEDOUT || (rc == 0 && value == GT_VALUE(5)));
	return NULL;
}

static void *wait_for_five(void *arg)
{
	void *value = NULL;

	GT_CHECK_IS(0, grove_event_wait(arg, &value, GROVE_NEVER));
	GT_CHECK(value == GT_VALUE(5));
	return NULL;
}

static void *send_five(void *arg)
{
	gt_spin(100000);
	GT_CHECK_IS(0, grove_event_send(arg, GT_VALUE(5)));
	return NULL;
}

GT_TEST(test_send_meets_a_chain_that_is_being_cleaned)
{
	for (unsigned round = 0; round < CLEANINGS; round++) {
		grove_event event = GROVE_EVENT_INIT;
		grove_greenlet *waiters[PATIENT + IMPATIENT];
		pthread_t sender;

		for (int i = 0; i < PATIENT + IMPATIENT; i++) {
			bool patient = i % 2 == 0 && i / 2 < PATIENT;
			waiters[i] = gt_spawn(patient ? wait_for_five : try_often, &event);
		}
		gt_thread_start(&sender, send_five, &event);
		for (int i = 0; i < PATIENT + IMPATIENT; i++)
			gt_join(waiters[i]);
		gt_thread_join(sender);
		GT_CHECK_IS(0, grove_event_destroy(&event));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_under_fire),
		cmocka_unit_test(test_send_deadline_and_kill_race_for_a_wait),
		cmocka_unit_test(test_send_meets_a_chain_that_is_being_cleaned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
