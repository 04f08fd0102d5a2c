/* SPDX-License-Identifier: MIT */
/*
 * test_timer.c - callbacks and timers: HB-3, HB-13 to HB-16, HB-18, XT-3; CASES J and M.
 */
#include "gt.h"

static void count_up(void *count)
{
	atomic_fetch_add((_Atomic int *)count, 1);
}

/* --- run_callback: GROVE_POLL ------------------------------------------------------------------------- */

/* HB-3, CASES 308: it runs once, soon, and not inside the call. */
GT_TEST(test_callback_runs_once)
{
	grove_timer timer = GROVE_TIMER_INIT;
	_Atomic int ran = 0;

	GT_CHECK_IS(0, grove_timer_start(&timer, count_up, &ran, 0, 0, GROVE_POLL));
	if (grove_hub_count() == 1)
		GT_CHECK_IS(0, ran);
	gt_until(ran == 1);
	for (int i = 0; i < 10; i++)
		GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(1, ran);
	/* HB-14: a cancel has no effect after that, and says so. */
	gt_until(grove_timer_cancel(&timer) == -EALREADY);
	GT_CHECK_IS(-EALREADY, grove_timer_cancel(&timer));
	gt_until(grove_timer_destroy(&timer) == 0);
}

/* HB-3, CASES 308: stopped before: it never runs. */
GT_STRICT_TEST(test_callback_is_stopped)
{
	grove_timer timer = GROVE_TIMER_INIT;
	_Atomic int ran = 0;

	GT_CHECK_IS(0, grove_timer_start(&timer, count_up, &ran, 0, 0, GROVE_POLL));
	GT_CHECK_IS(-EBUSY, grove_timer_destroy(&timer));
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	for (int i = 0; i < 10; i++)
		GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, ran);
	GT_CHECK_IS(0, grove_timer_destroy(&timer));
}

static int order[16];
static int order_count;

static void note_order(void *number)
{
	order[order_count++] = (int)(intptr_t)number;
}

struct chain {
	grove_timer timers[4];
	int depth;
};

static void call_next(void *arg)
{
	struct chain *chain = arg;

	note_order(GT_VALUE(10 + chain->depth));
	if (chain->depth < 3) {
		grove_timer *timer = &chain->timers[chain->depth++];

		GT_CHECK_IS(0, grove_timer_start(timer, call_next, chain, 0, 0, GROVE_POLL));
	}
}

/* HB-3: callbacks run first come, first served; those that callbacks queue come after them. */
GT_STRICT_TEST(test_callbacks_run_in_order)
{
	grove_timer timers[5] = { GROVE_TIMER_INIT };
	struct chain chain = { .depth = 0 };
	static const int expected[] = { 0, 10, 1, 2, 11, 12, 13 };

	order_count = 0;
	GT_CHECK_IS(0, grove_timer_start(&timers[0], note_order, GT_VALUE(0), 0, 0, GROVE_POLL));
	GT_CHECK_IS(0, grove_timer_start(&timers[1], call_next, &chain, 0, 0, GROVE_POLL));
	GT_CHECK_IS(0, grove_timer_start(&timers[2], note_order, GT_VALUE(1), 0, 0, GROVE_POLL));
	GT_CHECK_IS(0, grove_timer_start(&timers[3], note_order, GT_VALUE(2), 0, 0, GROVE_POLL));
	gt_until(order_count == (int)GV_ARRAY_LEN(expected));
	for (size_t i = 0; i < GV_ARRAY_LEN(expected); i++)
		GT_CHECK_IS(expected[i], order[i]);
}

enum { CALLERS = 8 };

struct call {
	grove_timer timer;
	struct caller *caller;
	int number;
};

struct caller {
	struct call *calls;
	_Atomic int next; /* number that has to come next */
	_Atomic bool early;
};

static void take_call(void *arg)
{
	struct call *call = arg;

	if (atomic_fetch_add(&call->caller->next, 1) != call->number)
		atomic_store(&call->caller->early, true);
}

static void *make_calls(void *arg)
{
	struct caller *caller = arg;

	for (int i = 0; i < GT_ROUNDS / 20; i++) {
		caller->calls[i] = (struct call){ .caller = caller, .number = i };
		GT_CHECK_IS(0, grove_timer_start(&caller->calls[i].timer, take_call,
						 &caller->calls[i], 0, 0, GROVE_POLL));
	}
	return NULL;
}

/* XT-3, CASES 329 [N]: threads queue callbacks; all run exactly once, however often the hubs sleep
 * meanwhile, and on one hub in the order of each thread. */
GT_TEST(test_callbacks_from_threads)
{
	static struct caller callers[CALLERS];
	pthread_t threads[CALLERS];

	for (int i = 0; i < CALLERS; i++) {
		callers[i] = (struct caller){ 0 };
		callers[i].calls = calloc(GT_ROUNDS / 20, sizeof(struct call));
		GT_CHECK(callers[i].calls != NULL);
		gt_thread_start(&threads[i], make_calls, &callers[i]);
	}
	for (int i = 0; i < CALLERS; i++) {
		gt_thread_join(threads[i]);
		gt_until(atomic_load(&callers[i].next) == GT_ROUNDS / 20);
		if (grove_hub_count() == 1)
			GT_CHECK(!callers[i].early);
	}
	GT_CHECK_IS((uint64_t)CALLERS * (GT_ROUNDS / 20), gt_stats().callbacks);
	/* Nobody may still be on the way to a timer. */
	for (int i = 0; i < CALLERS; i++) {
		for (int j = 0; j < GT_ROUNDS / 20; j++)
			gt_until(grove_timer_destroy(&callers[i].calls[j].timer) == 0);
		free(callers[i].calls);
	}
}

/* --- timers ----------------------------------------------------------------------------------------- */

static void note_time(void *time)
{
	atomic_store((_Atomic int64_t *)time, grove_now_ns());
}

/* HB-15: at its time, not before. */
GT_TEST(test_timer_is_not_early)
{
	for (int i = 0; i < 20; i++) {
		grove_timer timer = GROVE_TIMER_INIT;
		grove_deadline deadline = grove_in_ns(i * 100000);
		_Atomic int64_t fired = 0;

		GT_CHECK_IS(0, grove_timer_start(&timer, note_time, &fired, 0, 0, deadline));
		gt_until(atomic_load(&fired) != 0);
		GT_CHECK(fired >= deadline.ns);
		gt_until(grove_timer_destroy(&timer) == 0);
	}
}

/* HB-14, HB-15, CASES 250: by time, not by the order of the calls; equal times in that order. */
GT_STRICT_TEST(test_timers_fire_in_order)
{
	int64_t base = grove_now_ns() + 5 * GT_MS;
	grove_timer timers[5] = { GROVE_TIMER_INIT };
	static const int numbers[] = { 3, 1, 2, 4, 0 };
	static const int delays[] = { 2, 1, 1, 2, 0 };
	static const int expected[] = { 0, 1, 2, 3, 4 };

	order_count = 0;
	for (int i = 0; i < 5; i++)
		GT_CHECK_IS(0, grove_timer_start(&timers[i], note_order, GT_VALUE(numbers[i]), 0, 0,
						 grove_at_ns(base + delays[i] * GT_MS)));
	gt_until(order_count == 5);
	for (int i = 0; i < 5; i++)
		GT_CHECK_IS(expected[i], order[i]);
}

struct local {
	grove_timer timers[4];
	_Atomic int local, global;
	grove_deadline when;
};

static void *start_timers(void *arg)
{
	struct local *l = arg;

	GT_CHECK_IS(0, grove_timer_start(&l->timers[0], count_up, &l->local, 0, GROVE_TIMER_LOCAL,
					 l->when));
	GT_CHECK_IS(0, grove_timer_start(&l->timers[1], count_up, &l->global, 0, 0, l->when));
	GT_CHECK_IS(0, grove_timer_start(&l->timers[2], count_up, &l->local, 0, GROVE_TIMER_LOCAL,
					 GROVE_POLL));
	GT_CHECK_IS(0, grove_timer_start(&l->timers[3], count_up, &l->local, GT_MS / 2,
					 GROVE_TIMER_LOCAL, l->when));
	return NULL;
}

/* HB-15, CASES 250, 287: a local timer goes with the greenlet that started it, a global one does not. */
GT_TEST(test_local_timers)
{
	struct local l = { .when = grove_in_ms(5) };
	grove_greenlet *starter = gt_spawn(start_timers, &l);

	gt_join(starter);
	int at_the_end = l.local; /* on another hub the second may have been quicker than the end */
	GT_CHECK(at_the_end <= 1);
	gt_until(l.global == 1);
	gt_until(gt_stats().timers == 0);
	for (int i = 0; i < 5; i++)
		GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(at_the_end, l.local);
	for (int i = 0; i < 4; i++)
		gt_until(grove_timer_destroy(&l.timers[i]) == 0);
}

/* HB-15: while it lives, they run. */
GT_TEST(test_local_timer_of_the_living)
{
	grove_timer timer = GROVE_TIMER_INIT;
	_Atomic int ran = 0;

	GT_CHECK_IS(
		0, grove_timer_start(&timer, count_up, &ran, 0, GROVE_TIMER_LOCAL, grove_in_ms(1)));
	gt_until(ran == 1);
	gt_until(grove_timer_destroy(&timer) == 0);
}

struct metronome {
	grove_timer timer;
	_Atomic int ticks;
	int64_t first;
	int64_t period;
	_Atomic bool early;
	int64_t last;
};

static void tick(void *arg)
{
	struct metronome *m = arg;
	int64_t now = grove_now_ns();

	if (now < m->first || now - m->first < m->period * m->ticks)
		atomic_store(&m->early, true);
	atomic_fetch_add(&m->ticks, 1);
}

/* Periods keep to the grid of the first due time, and end with a cancel. */
GT_TEST(test_period)
{
	struct metronome m = { .period = GT_MS };
	grove_deadline first = grove_in_ms(2);

	m.first = first.ns;
	GT_CHECK_IS(0, grove_timer_start(&m.timer, tick, &m, m.period, 0, first));
	GT_CHECK_IS(-EBUSY, grove_timer_start(&m.timer, tick, &m, m.period, 0, first));
	gt_until(m.ticks >= 5);
	int rc = grove_timer_cancel(&m.timer);
	GT_CHECK(rc == 0 || rc == -EALREADY);
	gt_until(grove_timer_destroy(&m.timer) == 0);
	int ticks = m.ticks;
	GT_CHECK(!m.early);
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(3)));
	GT_CHECK_IS(ticks, m.ticks);
	GT_CHECK_IS(0, gt_stats().timers);
}

struct self_made {
	grove_timer *timer;
	_Atomic int runs;
	int cancel, start, destroy;
	grove_event done;
};

static void start_oneself(void *arg)
{
	struct self_made *s = arg;

	if (atomic_fetch_add(&s->runs, 1) < 3) {
		GT_CHECK_IS(0,
			    grove_timer_start(s->timer, start_oneself, s, 0, 0, grove_in_ns(1000)));
		return;
	}
	s->cancel = grove_timer_cancel(s->timer);
	s->destroy = grove_timer_destroy(s->timer);
	free(s->timer);
	GT_CHECK_IS(0, grove_event_send(&s->done, NULL));
}

/* HB-18: a callback may start its own timer again, cannot cancel the run it is in, and may free it. */
GT_TEST(test_callback_owns_its_timer)
{
	struct self_made s = { .timer = calloc(1, sizeof(grove_timer)) };

	GT_CHECK_IS(0, grove_timer_start(s.timer, start_oneself, &s, 0, 0, grove_in_ms(1)));
	GT_CHECK_IS(0, grove_event_wait(&s.done, NULL, gt_soon()));
	GT_CHECK_IS(4, s.runs);
	GT_CHECK_IS(-EALREADY, s.cancel);
	GT_CHECK_IS(0, s.destroy);
}

/* HB-14, HB-18, CASES 319: started twice, without a callback, cancelled twice, destroyed twice. */
GT_TEST(test_bad_timers)
{
	grove_timer timer = GROVE_TIMER_INIT;
	_Atomic int ran = 0;
	grove_deadline far = grove_in_s(3600);

	GT_CHECK_IS(-EINVAL, grove_timer_start(&timer, NULL, NULL, 0, 0, far));
	GT_CHECK_IS(-EINVAL, grove_timer_start(NULL, count_up, &ran, 0, 0, far));
	GT_CHECK_IS(-EINVAL, grove_timer_start(&timer, count_up, &ran, -1, 0, far));
	GT_CHECK_IS(-EINVAL, grove_timer_start(&timer, count_up, &ran, 0, 0x80, far));
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	GT_CHECK_IS(0, grove_timer_start(&timer, count_up, &ran, 0, 0, far));
	GT_CHECK_IS(-EBUSY, grove_timer_start(&timer, count_up, &ran, 0, 0, far));
	GT_CHECK_IS(-EBUSY, grove_timer_destroy(&timer));
	GT_CHECK_IS(1, gt_stats().timers);
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	GT_CHECK_IS(0, gt_stats().timers);

	/* Armed for never, and with other arguments than before. */
	GT_CHECK_IS(0, grove_timer_start(&timer, note_order, NULL, 0, 0, GROVE_NEVER));
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	GT_CHECK_IS(0, grove_timer_destroy(&timer));
	GT_CHECK_IS(-EINVAL, grove_timer_destroy(&timer));
	GT_CHECK_IS(-EINVAL, grove_timer_cancel(&timer));
	GT_CHECK_IS(-EINVAL, grove_timer_start(&timer, count_up, &ran, 0, 0, far));
	GT_CHECK_IS(-EINVAL, grove_timer_cancel(NULL));
	GT_CHECK_IS(-EINVAL, grove_timer_destroy(NULL));
	GT_CHECK_IS(0, ran);
}

static void *start_local_in_thread(void *timer)
{
	_Atomic int ran = 0;

	return GT_VALUE(
		grove_timer_start(timer, count_up, &ran, 0, GROVE_TIMER_LOCAL, grove_in_s(3600)));
}

/* HB-15: no local timer without a greenlet. */
GT_TEST(test_local_timer_needs_a_greenlet)
{
	grove_timer timer = GROVE_TIMER_INIT;
	pthread_t thread;
	void *rc = NULL;

	gt_thread_start(&thread, start_local_in_thread, &timer);
	pthread_join(thread, &rc);
	GT_CHECK_IS(-ESRCH, (intptr_t)rc);
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
}

/* HB-13, CASES 251: created and cancelled by the thousand, none accumulates, also over a turn. */
GT_TEST(test_cancelled_timers_do_not_pile_up)
{
	enum { MANY = 2000 };
	grove_timer *timers = calloc(MANY, sizeof(timers[0]));
	_Atomic int ran = 0;

	GT_CHECK(timers != NULL);
	for (int i = 0; i < MANY; i++) {
		GT_CHECK_IS(0, grove_timer_start(&timers[i], count_up, &ran, 0, 0, grove_in_s(60)));
		if (i % 100 == 0)
			GT_CHECK_IS(0, grove_yield());
		GT_CHECK_IS(0, grove_timer_cancel(&timers[i]));
	}
	GT_CHECK_IS(0, gt_stats().timers);
	for (int i = 0; i < MANY; i++)
		GT_CHECK_IS(0, grove_timer_start(&timers[i], count_up, &ran, 0, 0, grove_in_s(60)));
	GT_CHECK_IS(MANY, gt_stats().timers);
	/* Most are live: those stay. */
	for (int i = 0; i < MANY / 10; i++)
		GT_CHECK_IS(0, grove_timer_cancel(&timers[i]));
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(MANY - MANY / 10, gt_stats().timers);
	for (int i = MANY / 10; i < MANY; i++)
		GT_CHECK_IS(0, grove_timer_cancel(&timers[i]));
	GT_CHECK_IS(0, ran);
	free(timers);
}

static void compute(void *arg)
{
	gt_compute_until(grove_now_ns() + GT_MS);
	count_up(arg);
}

/* HB-16, CASES 310: a callback that takes its time during a sleep changes nothing about that sleep, nor
 * about later ones. */
GT_TEST(test_callback_during_a_sleep)
{
	grove_timer timer = GROVE_TIMER_INIT;
	_Atomic int ran = 0;

	GT_CHECK_IS(0, grove_timer_start(&timer, compute, &ran, 0, 0, grove_in_ms(2)));
	for (int i = 0; i < 2; i++) {
		grove_deadline deadline = grove_in_ms(5);

		GT_CHECK_IS(0, grove_sleep(deadline));
		GT_CHECK(grove_now_ns() >= deadline.ns);
	}
	gt_until(ran == 1);
	gt_until(grove_timer_destroy(&timer) == 0);
}

struct bout {
	grove_timer timer;
	_Atomic int ran;
	int64_t delay;
	int cancel[2];
};

static void start_or_cancel(unsigned party, void *arg)
{
	struct bout *bout = arg;

	gt_spin(300);
	bout->cancel[party] = grove_timer_cancel(&bout->timer);
}

static void rearm(void *arg)
{
	struct bout *bout = arg;

	/* Of the due time and the cancels the first decides, and the codes say which it was. */
	for (int i = 0; i < 2; i++)
		GT_CHECK(bout->cancel[i] == 0 || bout->cancel[i] == -EALREADY);
	if (bout->cancel[0] == -EALREADY || bout->cancel[1] == -EALREADY)
		gt_until(bout->ran == 1);
	else
		GT_CHECK_IS(0, bout->ran);
	atomic_store(&bout->ran, 0);
	bout->delay = (bout->delay + 777) % 20000;
	gt_until(grove_timer_start(&bout->timer, count_up, &bout->ran, 0, 0,
				   grove_in_ns(bout->delay)) == 0);
}

/* HB-14 [N]: due and cancelled twice at the same time; nobody runs after a cancel that said 0. */
GT_TEST(test_due_and_cancel)
{
	struct bout bout = { .delay = 0 };
	struct gt_race race = {
		.parties = 2,
		.rounds = GT_ROUNDS / 4,
		.act = start_or_cancel,
		.between = rearm,
		.arg = &bout,
	};

	GT_CHECK_IS(0, grove_timer_start(&bout.timer, count_up, &bout.ran, 0, 0, grove_in_ns(0)));
	gt_race(&race);
	race.threads = 1;
	gt_race(&race);
	(void)grove_timer_cancel(&bout.timer);
	gt_until(grove_timer_destroy(&bout.timer) == 0);
}

/* XT-3: from a foreign pthread, with hubs behind its back. */
GT_THREAD_TEST(test_timers_from_outside)
{
	grove_timer timers[2] = { GROVE_TIMER_INIT };
	_Atomic int ran = 0;

	GT_CHECK_IS(0, grove_timer_start(&timers[0], count_up, &ran, 0, 0, GROVE_POLL));
	GT_CHECK_IS(0, grove_timer_start(&timers[1], count_up, &ran, 0, 0, grove_in_ms(2)));
	gt_until(ran == 2);
	for (int i = 0; i < 2; i++)
		gt_until(grove_timer_destroy(&timers[i]) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callback_runs_once),
		cmocka_unit_test(test_callback_is_stopped),
		cmocka_unit_test(test_callbacks_run_in_order),
		cmocka_unit_test(test_callbacks_from_threads),
		cmocka_unit_test(test_timer_is_not_early),
		cmocka_unit_test(test_timers_fire_in_order),
		cmocka_unit_test(test_local_timers),
		cmocka_unit_test(test_local_timer_of_the_living),
		cmocka_unit_test(test_period),
		cmocka_unit_test(test_callback_owns_its_timer),
		cmocka_unit_test(test_bad_timers),
		cmocka_unit_test(test_local_timer_needs_a_greenlet),
		cmocka_unit_test(test_cancelled_timers_do_not_pile_up),
		cmocka_unit_test(test_callback_during_a_sleep),
		cmocka_unit_test(test_due_and_cancel),
		cmocka_unit_test(test_timers_from_outside),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
