/* SPDX-License-Identifier: MIT */
/*
 * test_timer.c - timer.c: HB-3, HB-5, HB-14 to HB-16, CASES 308 to 310.
 */
#include "prim_test.h"

#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/relax.h"
#include "prim/timer.h"

/* Rung by callbacks, so that bodies can wait for them. */
struct seen {
	grove_async bell;
	_Atomic int runs;
	_Atomic int inside; /* callbacks of this timer that run right now */
	grove_timer timer;
	_Atomic int64_t at_ns; /* of the last run */
	int rc;
	int more; /* runs to come */
	bool in_greenlet;
	bool at_once;
};

static void note(void *arg)
{
	struct seen *s = arg;

	gv_store(&s->at_ns, grove_now_ns(), relaxed); /* relaxed: counted below */
	s->in_greenlet = grove_in_greenlet();
	gv_add(&s->runs, 1, release); /* release: what is counted has happened */
	grove_async_send(&s->bell);
}

static int runs_of(struct seen *s)
{
	return gv_load(&s->runs, acquire); /* acquire: what is counted has happened */
}

static int64_t time_of(struct seen *s)
{
	return gv_load(&s->at_ns, relaxed); /* relaxed: any later one will do as well */
}

static void until_runs(struct seen *s, int runs)
{
	while (runs_of(s) < runs)
		CHECK_IS(0, grove_async_wait(&s->bell, GROVE_NEVER));
}

/* Until the callback, which has rung, has returned too. */
static void until_idle(grove_timer *timer)
{
	while (grove_timer_destroy(timer) == -EBUSY)
		(void)grove_yield();
	memset(timer, 0, sizeof(*timer));
}

/* ---- state and bad input ---- */

static void test_bad_input(void **state)
{
	(void)state;
	grove_timer timer = GROVE_TIMER_INIT;
	struct seen s = { .rc = 0 };

	assert_int_equal(grove_timer_start(NULL, note, &s, 0, 0, GROVE_POLL), -EINVAL);
	assert_int_equal(grove_timer_start(&timer, NULL, &s, 0, 0, GROVE_POLL), -EINVAL);
	assert_int_equal(grove_timer_start(&timer, note, &s, -1, 0, GROVE_POLL), -EINVAL);
	assert_int_equal(grove_timer_start(&timer, note, &s, 0, 4, GROVE_POLL), -EINVAL);
	assert_int_equal(grove_timer_start(&timer, note, &s, 0, GROVE_TIMER_LOCAL, GROVE_POLL),
			 -ESRCH);
	assert_int_equal(grove_timer_cancel(NULL), -EINVAL);
	assert_int_equal(grove_timer_destroy(NULL), -EINVAL);

	assert_int_equal(grove_timer_cancel(&timer), 0);
	assert_int_equal(grove_timer_cancel(&timer), 0);
	assert_int_equal(grove_timer_destroy(&timer), 0);
	assert_int_equal(grove_timer_destroy(&timer), -EINVAL);
	assert_int_equal(grove_timer_cancel(&timer), -EINVAL);
	assert_int_equal(grove_timer_start(&timer, note, &s, 0, 0, GROVE_POLL), -EINVAL);

	/* None of this has started the runtime. */
	assert_int_equal(grove_hub_count(), 0);
	assert_int_equal(runs_of(&s), 0);
}

static void *body_of_once(void *arg)
{
	grove_deadline deadlines[] = { GROVE_POLL, GROVE_DEADLINE(0), grove_in_ns(1),
				       grove_in_ms(3) };
	struct seen s = { .in_greenlet = true };

	for (size_t i = 0; i < GV_ARRAY_LEN(deadlines); i++) {
		int64_t due = deadlines[i].ns;

		CHECK_IS(0, grove_timer_start(&s.timer, note, &s, 0, 0, deadlines[i]));
		until_runs(&s, (int)i + 1);
		CHECK(time_of(&s) >= due && !s.in_greenlet);
		/* It has run, and stays so until it is started again. */
		CHECK_IS(-EALREADY, grove_timer_cancel(&s.timer));
		CHECK_IS(-EALREADY, grove_timer_cancel(&s.timer));
		while (grove_timer_start(&s.timer, note, &s, 0, 0, GROVE_NEVER) == -EBUSY)
			(void)grove_yield(); /* the callback has rung, and is about to return */
		CHECK_IS(-EBUSY, grove_timer_start(&s.timer, note, &s, 0, 0, GROVE_POLL));
		CHECK_IS(-EBUSY, grove_timer_destroy(&s.timer));
		CHECK_IS(0, grove_timer_cancel(&s.timer));
		CHECK_IS(0, grove_timer_cancel(&s.timer));
	}
	CHECK_IS(GV_ARRAY_LEN(deadlines), runs_of(&s));
	CHECK_IS(0, grove_timer_destroy(&s.timer));
	CHECK_IS(-EINVAL, grove_timer_start(&s.timer, note, &s, 0, 0, GROVE_POLL));
	return arg;
}

static void test_runs_once_and_never_early(void **state)
{
	(void)state;
	run_on(1, body_of_once, NULL);
	run_on(2, body_of_once, NULL);
	run_strict(body_of_once, NULL);
}

static void *body_of_cancel(void *arg)
{
	grove_deadline deadlines[] = { GROVE_POLL, GROVE_DEADLINE(0), grove_in_ms(1), GROVE_NEVER };
	struct seen s = { .rc = 0 };
	struct seen after = { .rc = 0 };

	for (size_t i = 0; i < GV_ARRAY_LEN(deadlines); i++) {
		for (int64_t period = 0; period < 2; period++) {
			CHECK_IS(0, grove_timer_start(&s.timer, note, &s, period, 0, deadlines[i]));
			CHECK_IS(0, grove_timer_cancel(&s.timer));
			CHECK_IS(0, grove_timer_cancel(&s.timer));
		}
	}
	/* One hub: what was started later runs later. */
	CHECK_IS(0, grove_timer_start(&after.timer, note, &after, 0, 0, grove_in_ms(2)));
	until_runs(&after, 1);
	CHECK_IS(0, runs_of(&s));
	CHECK_IS(0, grove_timer_destroy(&s.timer));
	return arg;
}

static void test_cancelled_in_time(void **state)
{
	(void)state;
	run_on(1, body_of_cancel, NULL);
	run_strict(body_of_cancel, NULL);
}

/* ---- order ---- */

struct list {
	int order[32];
	int count;
	grove_flag done;
};

struct entry {
	struct list *list;
	int number;
	grove_timer timer;
};

static void append(void *arg)
{
	struct entry *e = arg;

	e->list->order[e->list->count++] = e->number;
}

static void append_last(void *arg)
{
	append(arg);
	grove_flag_set(&((struct entry *)arg)->list->done);
}

static void *append_by_greenlet(void *arg)
{
	append(arg);
	return NULL;
}

enum { ENTRIES = 20 };

/* HB-3, HB-14 */
static void *body_of_order(void *arg)
{
	grove_deadline *deadline = arg;
	struct list list = { .count = 0 };
	struct entry entries[ENTRIES];

	for (int i = 0; i < ENTRIES; i++) {
		entries[i] = (struct entry){ .list = &list, .number = i };
		CHECK_IS(0, grove_timer_start(&entries[i].timer,
					      i == ENTRIES - 1 ? append_last : append, &entries[i],
					      0, 0, *deadline));
	}
	CHECK_IS(0, grove_flag_wait(&list.done, GROVE_NEVER));
	CHECK_IS(ENTRIES, list.count);
	for (int i = 0; i < ENTRIES; i++)
		CHECK_IS(i, list.order[i]);
	return NULL;
}

static void test_same_time_means_order_of_starts(void **state)
{
	(void)state;
	grove_deadline deadlines[] = { GROVE_POLL, GROVE_DEADLINE(0), grove_in_ms(2) };

	for (size_t i = 0; i < GV_ARRAY_LEN(deadlines); i++) {
		run_on(1, body_of_order, &deadlines[i]);
		run_strict(body_of_order, &deadlines[i]);
	}
}

/* HB-5: spawns and callbacks go through one queue; a timer that is due comes after them. */
static void *body_of_one_queue(void *arg)
{
	struct list list = { .count = 0 };
	struct entry entries[6];
	grove_greenlet *g[2];

	for (int i = 0; i < 6; i++)
		entries[i] = (struct entry){ .list = &list, .number = i };
	CHECK_IS(0, grove_timer_start(&entries[5].timer, append_last, &entries[5], 0, 0,
				      GROVE_DEADLINE(0)));
	CHECK_IS(0, grove_timer_start(&entries[0].timer, append, &entries[0], 0, 0, GROVE_POLL));
	g[0] = spawn(append_by_greenlet, &entries[1]);
	CHECK_IS(0, grove_timer_start(&entries[2].timer, append, &entries[2], 0, 0, GROVE_POLL));
	g[1] = spawn(append_by_greenlet, &entries[3]);
	CHECK_IS(0, grove_timer_start(&entries[4].timer, append, &entries[4], 0, 0, GROVE_POLL));
	CHECK_IS(0, grove_flag_wait(&list.done, GROVE_NEVER));
	CHECK_IS(6, list.count);
	for (int i = 0; i < 6; i++)
		CHECK_IS(i, list.order[i]);
	value_of(g[0]);
	value_of(g[1]);
	return arg;
}

static void test_strict_order_has_one_queue(void **state)
{
	(void)state;
	run_strict(body_of_one_queue, NULL);
}

/* ---- periods ---- */

static void *body_of_period(void *arg)
{
	struct seen s = { .rc = 0 };
	int64_t first = grove_now_ns() + 1000000;

	CHECK_IS(0, grove_timer_start(&s.timer, note, &s, 500000, 0, grove_at_ns(first)));
	for (int i = 1; i <= 10; i++) {
		until_runs(&s, i);
		CHECK(time_of(&s) >= first + (i - 1) * 500000);
	}
	int rc = grove_timer_cancel(&s.timer);
	CHECK(rc == 0 || rc == -EALREADY);
	until_idle(&s.timer);
	int runs = runs_of(&s);
	CHECK(rc != 0 || runs >= 10);

	/* Cancelled: another timer runs meanwhile, this one does not. */
	struct seen after = { .rc = 0 };
	CHECK_IS(0, grove_timer_start(&after.timer, note, &after, 0, 0, grove_in_ms(2)));
	until_runs(&after, 1);
	CHECK_IS(runs, runs_of(&s));
	until_idle(&after.timer);

	/* A queued one may have a period too. */
	CHECK_IS(0, grove_timer_start(&s.timer, note, &s, 1, GROVE_TIMER_WEAK, GROVE_POLL));
	until_runs(&s, runs + 5);
	(void)grove_timer_cancel(&s.timer);
	until_idle(&s.timer);
	return arg;
}

static void test_period(void **state)
{
	(void)state;
	run_on(1, body_of_period, NULL);
	run_on(2, body_of_period, NULL);
}

struct grid {
	struct seen s;
	int64_t first_ns;
	int64_t at_ns[4];
};

static void note_grid(void *arg)
{
	struct grid *g = arg;
	int run = runs_of(&g->s);

	if (run < 4) {
		g->at_ns[run] = grove_now_ns();
		/* Late by two and a half periods, once. */
		while (run == 0 && grove_now_ns() < g->at_ns[0] + 10000000)
			gv_cpu_relax();
	}
	note(&g->s);
}

/* Missed due times are skipped, and the grid is kept. */
static void *body_of_grid(void *arg)
{
	const int64_t period = 4000000;
	struct grid g = { .first_ns = grove_now_ns() + 1000000 };

	CHECK_IS(0,
		 grove_timer_start(&g.s.timer, note_grid, &g, period, 0, grove_at_ns(g.first_ns)));
	until_runs(&g.s, 4);
	(void)grove_timer_cancel(&g.s.timer);
	until_idle(&g.s.timer);
	CHECK(g.at_ns[1] >= g.first_ns + 3 * period);
	for (int i = 2; i < 4; i++) {
		/* Never in the same step of the grid as the run before. */
		int64_t before = (g.at_ns[i - 1] - g.first_ns) / period;
		CHECK((g.at_ns[i] - g.first_ns) / period > before);
	}
	return arg;
}

static void test_period_keeps_to_its_grid(void **state)
{
	(void)state;
	run_on(1, body_of_grid, NULL);
}

/* ---- what a callback may do with its own timer ---- */

static void cancel_myself(void *arg)
{
	struct seen *s = arg;

	if (--s->more == 0)
		s->rc = grove_timer_cancel(&s->timer);
	note(s);
}

static void start_myself(void *arg)
{
	struct seen *s = arg;

	if (--s->more > 0)
		s->rc = grove_timer_start(&s->timer, start_myself, s, 0, 0,
					  s->more % 2 ? GROVE_POLL : GROVE_DEADLINE(0));
	note(s);
}

static void start_and_cancel_myself(void *arg)
{
	struct seen *s = arg;

	s->rc = grove_timer_start(&s->timer, note, s, 0, 0, GROVE_NEVER);
	if (s->rc == 0 && grove_timer_start(&s->timer, note, s, 0, 0, GROVE_POLL) != -EBUSY)
		s->rc = 1;
	/* The run that it is in. */
	if (s->rc == 0 && grove_timer_cancel(&s->timer) != -EALREADY)
		s->rc = 2;
	note(s);
}

static void change_my_period(void *arg)
{
	struct seen *s = arg;

	s->rc = grove_timer_start(&s->timer, note, s, 0, 0, GROVE_DEADLINE(0));
	note(s);
}

static void *body_of_own_timer(void *arg)
{
	struct seen s = { .more = 3 };

	CHECK_IS(0, grove_timer_start(&s.timer, cancel_myself, &s, 1000, 0, GROVE_POLL));
	until_runs(&s, 3);
	CHECK_IS(-EALREADY, s.rc);
	until_idle(&s.timer);
	CHECK_IS(3, runs_of(&s));

	s.more = 10;
	CHECK_IS(0, grove_timer_start(&s.timer, start_myself, &s, 0, 0, GROVE_POLL));
	until_runs(&s, 13);
	CHECK_IS(0, s.rc);
	until_idle(&s.timer);
	CHECK_IS(13, runs_of(&s));

	for (int64_t period = 0; period < 2; period++) {
		CHECK_IS(0, grove_timer_start(&s.timer, start_and_cancel_myself, &s, period, 0,
					      GROVE_DEADLINE(0)));
		until_runs(&s, 14 + (int)period);
		CHECK_IS(0, s.rc);
		while (grove_timer_cancel(&s.timer) == -EALREADY)
			(void)grove_yield();
		until_idle(&s.timer);
	}
	CHECK_IS(15, runs_of(&s));

	/* A periodic timer that is started again by its callback has a new life. */
	CHECK_IS(0, grove_timer_start(&s.timer, change_my_period, &s, 1, 0, GROVE_POLL));
	until_runs(&s, 17);
	CHECK_IS(0, s.rc);
	until_idle(&s.timer);
	CHECK_IS(17, runs_of(&s));
	return arg;
}

static void test_callback_uses_its_own_timer(void **state)
{
	(void)state;
	run_on(1, body_of_own_timer, NULL);
	run_on(2, body_of_own_timer, NULL);
	run_strict(body_of_own_timer, NULL);
}

struct heap {
	grove_timer *timer;
	grove_async *bell;
	int way;
	_Atomic int *failed;
};

static void free_myself(void *arg)
{
	struct heap h = *(struct heap *)arg;
	grove_timer *timer = h.timer;
	bool ok = true;

	if (h.way & 1) /* a period */
		ok = grove_timer_destroy(timer) == -EBUSY && grove_timer_cancel(timer) == -EALREADY;
	if (h.way & 2)
		ok = ok && grove_timer_destroy(timer) == 0;
	memset(timer, 0xee, sizeof(*timer));
	free(timer);
	free(arg);
	if (!ok)
		gv_add(h.failed, 1, relaxed); /* relaxed: the bell orders it */
	grove_async_send(h.bell);
}

static void *body_of_freeing(void *arg)
{
	grove_async bell = GROVE_ASYNC_INIT;
	_Atomic int failed = 0;

	for (int i = 0; i < 400; i++) {
		struct heap *h = calloc(1, sizeof(*h));

		*h = (struct heap){ calloc(1, sizeof(grove_timer)), &bell, i % 4, &failed };
		CHECK_IS(0, grove_timer_start(h->timer, free_myself, h, h->way & 1, 0,
					      i % 8 < 4 ? GROVE_POLL : GROVE_DEADLINE(0)));
		CHECK_IS(0, grove_async_wait(&bell, GROVE_NEVER));
	}
	CHECK_IS(0, gv_load(&failed, relaxed)); /* relaxed: the bell ordered it */
	return arg;
}

static void test_callback_frees_its_timer(void **state)
{
	(void)state;
	run_on(1, body_of_freeing, NULL);
	run_on(2, body_of_freeing, NULL);
}

static void wait_inside(void *arg)
{
	struct seen *s = arg;
	grove_result never = GROVE_RESULT_INIT;
	grove_result failed = GROVE_RESULT_INIT;

	s->rc = grove_last_failure() == NULL ? grove_result_get(&never, NULL, GROVE_NEVER) : 1;
	if (s->rc == GROVE_IN_HUB && grove_sleep(grove_in_ms(1)) != GROVE_IN_HUB)
		s->rc = 2;
	if (s->rc == GROVE_IN_HUB && grove_self() != NULL)
		s->rc = 3;
	/* What fails here is the last failure of this callback, not of the next. */
	if (grove_result_set_failure(&failed, grove_failure_exit()) != 0 ||
	    grove_result_get(&failed, NULL, GROVE_POLL) != GROVE_FAILED ||
	    grove_last_failure() != grove_failure_exit())
		s->rc = 4;
	note(s);
}

static void *body_of_context(void *arg)
{
	struct seen s = { .rc = 0 };

	for (int i = 1; i <= 3; i++) {
		while (grove_timer_start(&s.timer, wait_inside, &s, 0, 0, GROVE_POLL) == -EBUSY)
			(void)grove_yield();
		until_runs(&s, i);
		CHECK_IS(GROVE_IN_HUB, s.rc);
	}
	CHECK(grove_last_failure() == NULL);
	until_idle(&s.timer);
	return arg;
}

static void test_callback_cannot_wait(void **state)
{
	(void)state;
	run_on(1, body_of_context, NULL);
	run_on(2, body_of_context, NULL);
}

/* ---- local timers ---- */

static void *start_local(void *arg)
{
	struct seen *s = arg;

	CHECK_IS(0, grove_timer_start(&s->timer, note, s, s->more, GROVE_TIMER_LOCAL,
				      s->at_once ? GROVE_POLL : grove_in_ms(1)));
	return NULL;
}

static void local_from_callback(void *arg)
{
	struct seen *s = arg;
	grove_timer timer = GROVE_TIMER_INIT;

	s->rc = grove_timer_start(&timer, note, s, 0, GROVE_TIMER_LOCAL, GROVE_POLL);
	note(s);
}

/* HB-15 */
static void *body_of_local(void *arg)
{
	for (int way = 0; way < 4; way++) {
		struct seen mine = { .rc = 0 };
		struct seen gone = { .more = way & 1, .at_once = (way & 2) != 0 };

		CHECK_IS(0, grove_timer_start(&mine.timer, note, &mine, 0, GROVE_TIMER_LOCAL,
					      grove_in_ms(2)));
		value_of(spawn(start_local, &gone));
		until_runs(&mine, 1);
		until_idle(&mine.timer);
		/* The machine may be slow, and it not due yet. */
		if (!gone.at_once)
			(void)grove_timer_cancel(&gone.timer);
		until_idle(&gone.timer);
		/* A queued one may have run before its greenlet ended. */
		CHECK(gone.at_once || runs_of(&gone) == 0);
	}

	struct seen s = { .rc = 0 };
	CHECK_IS(0, grove_timer_start(&s.timer, local_from_callback, &s, 0, 0, GROVE_POLL));
	until_runs(&s, 1);
	CHECK_IS(-ESRCH, s.rc);
	until_idle(&s.timer);
	return arg;
}

static void test_local_timers(void **state)
{
	(void)state;
	run_on(1, body_of_local, NULL);
	run_on(2, body_of_local, NULL);
}

/* ---- from outside ---- */

static void *start_outside(void *arg)
{
	struct seen *s = arg;

	CHECK_IS(0, grove_timer_start(&s->timer, note, s, 0, 0, grove_in_ms(1)));
	return NULL;
}

static void *call_outside(void *arg)
{
	struct seen *s = arg;

	CHECK_IS(0, grove_timer_start(&s->timer, note, s, 0, 0, GROVE_POLL));
	return NULL;
}

/* The hub sleeps, with nothing or only something much later to wake it. */
static void *body_of_outside(void *arg)
{
	struct seen s = { .rc = 0 };
	struct seen much_later = { .rc = 0 };
	pthread_t thread;

	for (int way = 0; way < 4; way++) {
		if (way & 2)
			CHECK_IS(0, grove_timer_start(&much_later.timer, note, &much_later, 0, 0,
						      grove_in_s(3600)));
		start_thread(&thread, way & 1 ? start_outside : call_outside, &s);
		until_runs(&s, way + 1);
		CHECK_IS(0, grove_timer_cancel(&much_later.timer));
		join_thread(thread);
		until_idle(&s.timer);
	}
	return arg;
}

static void test_foreign_threads_start_timers(void **state)
{
	(void)state;
	run_on(1, body_of_outside, NULL);
	run_on(2, body_of_outside, NULL);

	/* Without a runtime it starts one. */
	struct seen s = { .rc = 0 };
	start_outside(&s);
	assert_true(grove_hub_count() > 0);
	until_runs(&s, 1);
	stop();
	until_idle(&s.timer);
}

static struct seen left[4];

static void *body_of_leaving(void *arg)
{
	CHECK_IS(0, grove_timer_start(&left[0].timer, note, &left[0], 0, 0, grove_in_s(3600)));
	CHECK_IS(0, grove_timer_start(&left[1].timer, note, &left[1], 0, 0, GROVE_NEVER));
	CHECK_IS(0, grove_timer_start(&left[2].timer, note, &left[2], 1000, 0, grove_in_s(1)));
	/* Whether this one still runs is open; it is idle in either case. */
	CHECK_IS(0, grove_timer_start(&left[3].timer, note, &left[3], 0, 0, GROVE_POLL));
	return arg;
}

/* Timers are idle when the runtime has stopped, and the wheels work in the next run. */
static void test_stop_disarms(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		memset(left, 0, sizeof(left));
		run_on(2, body_of_leaving, NULL);
		for (int n = 0; n < 3; n++) {
			assert_int_equal(runs_of(&left[n]), 0);
			assert_int_equal(grove_timer_cancel(&left[n].timer), 0);
			assert_int_equal(grove_timer_destroy(&left[n].timer), 0);
		}
		assert_int_equal(grove_timer_cancel(&left[3].timer),
				 runs_of(&left[3]) != 0 ? -EALREADY : 0);
		assert_int_equal(grove_timer_destroy(&left[3].timer), 0);
		run_on(2, body_of_once, NULL);
	}
}

/* In the child: what the parent had armed is idle, and can be used anew. */
static int use_in_child(struct seen *s)
{
	if (grove_fork_child() != 0)
		return 1;
	for (int i = 0; i < 2; i++) {
		if (grove_timer_cancel(&s[i].timer) != 0)
			return 2;
		if (grove_timer_start(&s[i].timer, note, &s[i], 0, 0, grove_in_ms(1)) != 0)
			return 3;
	}
	/* This one had run in the parent, on a hub that is not there any more. */
	if (grove_timer_cancel(&s[2].timer) != -EALREADY)
		return 4;
	if (grove_timer_start(&s[2].timer, note, &s[2], 0, 0, GROVE_POLL) != 0)
		return 5;
	until_runs(&s[0], 1);
	until_runs(&s[1], 1);
	until_runs(&s[2], 2);
	return grove_stop(gt_soon()) == 0 ? 0 : 6;
}

static void test_child_of_a_fork(void **state)
{
	(void)state;
	struct seen s[3] = { { .rc = 0 } };
	int status = 0;

	if (GV_TSAN)
		skip(); /* no threads in the child of a process that had some */
	assert_int_equal(grove_timer_start(&s[0].timer, note, &s[0], 0, 0, grove_in_s(3600)), 0);
	assert_int_equal(grove_timer_start(&s[1].timer, note, &s[1], 1, 0, GROVE_NEVER), 0);
	assert_int_equal(grove_timer_start(&s[2].timer, note, &s[2], 0, 0, GROVE_POLL), 0);
	until_runs(&s[2], 1);
	pid_t child = fork();
	if (child == 0)
		_exit(use_in_child(s));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(grove_timer_cancel(&s[0].timer), 0);
	assert_int_equal(grove_timer_cancel(&s[1].timer), 0);
	stop();
	until_idle(&s[2].timer);
}

/* ---- races ---- */

struct race {
	struct seen s;
	_Atomic int go;	  /* the round that the canceller shall cancel, or OVER */
	_Atomic int done; /* the last round that it has cancelled */
	int code;
};

enum { OVER = INT_MAX, ROUNDS = GT_SCALED(5000) };

/* Rounds take long where more programs than this one want the processors. */
#define ENOUGH_NS (2000 * GT_MS)

static void *cancel_in_race(void *arg)
{
	struct race *r = arg;

	for (int i = 1;; i++) {
		int go;

		while ((go = gv_load(&r->go, acquire)) < i) /* acquire: the timer is started */
			sched_yield();
		if (go == OVER)
			return NULL;
		for (int spin = i * 37 % 400; spin > 0; spin--)
			gv_cpu_relax();
		r->code = grove_timer_cancel(&r->s.timer);
		gv_store(&r->done, i, release); /* release: the code */
	}
}

/* Of cancel and due time one is first, and the code says which. */
static void *body_of_cancel_race(void *arg)
{
	struct race *r = arg;
	int64_t end = grove_now_ns() + ENOUGH_NS;
	pthread_t thread;
	int expected = 0;

	*r = (struct race){ .code = 0 };
	start_thread(&thread, cancel_in_race, r);
	for (int i = 1; i <= ROUNDS && grove_now_ns() < end; i++) {
		grove_deadline deadlines[] = { GROVE_POLL, GROVE_DEADLINE(0), grove_in_ns(20000),
					       grove_in_ns(300000) };

		CHECK_IS(0, grove_timer_start(&r->s.timer, note, &r->s, 0, 0, deadlines[i % 4]));
		gv_store(&r->go, i, release);	       /* release: the start */
		while (gv_load(&r->done, acquire) < i) /* acquire: the code */
			(void)grove_yield();
		CHECK(r->code == 0 || r->code == -EALREADY);
		if (r->code == -EALREADY)
			until_runs(&r->s, ++expected);
		until_idle(&r->s.timer);
		CHECK_IS(expected, runs_of(&r->s));
	}
	gv_store(&r->go, OVER, relaxed); /* relaxed: only ends the thread */
	join_thread(thread);
	CHECK_IS(expected, runs_of(&r->s));
	return NULL;
}

static void test_cancel_races_with_the_due_time(void **state)
{
	(void)state;
	struct race r;

	run_on(1, body_of_cancel_race, &r);
	run_on(2, body_of_cancel_race, &r);
}

/* Several threads cancel a period at once: it ends, whoever is told what. */
static void *body_of_period_race(void *arg)
{
	struct race *r = arg;
	int64_t end = grove_now_ns() + ENOUGH_NS;
	pthread_t thread;

	*r = (struct race){ .code = 0 };
	start_thread(&thread, cancel_in_race, r);
	for (int i = 1; i <= ROUNDS && grove_now_ns() < end; i++) {
		CHECK_IS(0, grove_timer_start(&r->s.timer, note, &r->s, 1, 0,
					      i % 2 ? GROVE_POLL : GROVE_DEADLINE(0)));
		gv_store(&r->go, i, release); /* release: the start */
		for (int n = i % 5; n > 0; n--)
			(void)grove_yield();
		int rc = grove_timer_cancel(&r->s.timer);
		CHECK(rc == 0 || rc == -EALREADY);
		while (gv_load(&r->done, acquire) < i) /* acquire: the code */
			(void)grove_yield();
		CHECK(r->code == 0 || r->code == -EALREADY);
		until_idle(&r->s.timer);
	}
	gv_store(&r->go, OVER, relaxed); /* relaxed: only ends the thread */
	join_thread(thread);
	return NULL;
}

static void test_cancels_race_with_a_period(void **state)
{
	(void)state;
	struct race r;

	run_on(1, body_of_period_race, &r);
	run_on(2, body_of_period_race, &r);
}

static int64_t long_ns;
static bool by_queue;

/* Its hub looks stuck, and is robbed of the timer that this starts again. */
static void start_and_take_long(void *arg)
{
	struct seen *s = arg;

	if (gv_add(&s->inside, 1, acq_rel) != 0) /* two at once would meet here */
		s->rc = 1;
	if (--s->more > 0 && grove_timer_start(&s->timer, start_and_take_long, s, 0, 0,
					       by_queue ? GROVE_POLL : GROVE_DEADLINE(0)) != 0)
		s->rc = 2;
	int more = s->more;
	for (int64_t until = grove_now_ns() + long_ns; grove_now_ns() < until;)
		gv_cpu_relax();
	if (s->more != more)
		s->rc = 3;
	gv_sub(&s->inside, 1, acq_rel); /* the other side of the test above */
	note(s);
}

static void *body_of_twice_at_once(void *arg)
{
	struct seen s = { .more = 8 };

	CHECK_IS(0, grove_timer_start(&s.timer, start_and_take_long, &s, 0, 0, GROVE_POLL));
	until_runs(&s, 8);
	CHECK_IS(0, s.rc);
	until_idle(&s.timer);
	CHECK_IS(8, runs_of(&s));
	return arg;
}

static void test_never_twice_at_once(void **state)
{
	(void)state;
	long_ns = 5000000;
	for (int way = 0; way < 2; way++) {
		by_queue = way != 0;
		run_on(2, body_of_twice_at_once, NULL);
		run_on(3, body_of_twice_at_once, NULL);
	}
}

/* The same by hand: another hub comes upon a timer whose callback is running elsewhere. */
static void find_myself_elsewhere(void *arg)
{
	struct seen *s = arg;
	struct gv_hub *here = gv_enter();
	uint64_t cookie[2] = { (uintptr_t)&s->timer + GV_TIMER_TAG, 0 };

	gv_leave(here);
	if (s->more-- == 0) {
		note(s);
		return;
	}
	s->rc = grove_timer_start(&s->timer, find_myself_elsewhere, s, 0, 0, GROVE_NEVER);
	if (s->rc != 0)
		return;
	/* As the thief does: take it off the wheel, then hand it in. */
	struct gv_hub *there = gv_hub_at(1 - here->id);
	if (!gv_wheel_cancel((struct gv_wheel_timer *)(void *)&s->timer))
		s->rc = 1;
	gv_timer_due(there, cookie);
	if (!gv_wheel_armed((struct gv_wheel_timer *)(void *)&s->timer))
		s->rc = 2;
	if (grove_timer_cancel(&s->timer) != -EALREADY ||
	    gv_wheel_armed((struct gv_wheel_timer *)(void *)&s->timer))
		s->rc = 3;
	note(s);
}

static void *body_of_elsewhere(void *arg)
{
	struct seen s = { .more = 1 };

	CHECK_IS(0, grove_timer_start(&s.timer, find_myself_elsewhere, &s, 0, 0, GROVE_POLL));
	until_runs(&s, 1);
	CHECK_IS(0, s.rc);
	until_idle(&s.timer);
	CHECK_IS(1, runs_of(&s));
	return arg;
}

static void test_found_by_another_hub_while_running(void **state)
{
	(void)state;
	run_on(2, body_of_elsewhere, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_runs_once_and_never_early),
		cmocka_unit_test(test_cancelled_in_time),
		cmocka_unit_test(test_same_time_means_order_of_starts),
		cmocka_unit_test(test_strict_order_has_one_queue),
		cmocka_unit_test(test_period),
		cmocka_unit_test(test_period_keeps_to_its_grid),
		cmocka_unit_test(test_callback_uses_its_own_timer),
		cmocka_unit_test(test_callback_frees_its_timer),
		cmocka_unit_test(test_callback_cannot_wait),
		cmocka_unit_test(test_local_timers),
		cmocka_unit_test(test_foreign_threads_start_timers),
		cmocka_unit_test(test_stop_disarms),
		cmocka_unit_test(test_child_of_a_fork),
		cmocka_unit_test(test_cancel_races_with_the_due_time),
		cmocka_unit_test(test_cancels_race_with_a_period),
		cmocka_unit_test(test_never_twice_at_once),
		cmocka_unit_test(test_found_by_another_hub_while_running),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
