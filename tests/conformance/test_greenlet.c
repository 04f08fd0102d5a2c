/* SPDX-License-Identifier: MIT */
/*
 * test_greenlet.c - GL-1 to GL-13: the life of a greenlet, CASES D.  Kills are in test_kill.c, the
 * forms of spawning and their attributes in test_spawn.c.
 */
#include "gt.h"

#include "child.h"

static int numbers[4];

#define V1 (&numbers[1])

static void *wait_then_return(void *event)
{
	void *value = NULL;

	GT_CHECK_IS(0, grove_event_wait(event, &value, gt_soon()));
	return value;
}

static void *fail_with(void *failure)
{
	grove_failure_retain(failure);
	return grove_fail(failure);
}

static void check_living(grove_greenlet *greenlet, int state)
{
	GT_CHECK_IS(state, grove_greenlet_state(greenlet));
	GT_CHECK(!grove_ready(greenlet));
	GT_CHECK(grove_value(greenlet) == NULL);
	GT_CHECK(grove_failure_of(greenlet) == NULL);
	GT_CHECK_IS(-EAGAIN, grove_join(greenlet, GROVE_POLL));
	GT_CHECK_IS(-EAGAIN, grove_get(greenlet, NULL, GROVE_POLL));
}

/* --- GL-1: states --------------------------------------------------------------------------------- */

/* GL-1 and the table of states, CASES 68: made, started, running, ended. */
GT_STRICT_TEST(test_states_of_a_life)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *greenlet = gt_spawn_unstarted(wait_then_return, &event);
	void *value = NULL;

	check_living(greenlet, GROVE_NEW);
	GT_CHECK_IS(0, grove_yield());
	check_living(greenlet, GROVE_NEW);
	GT_CHECK_IS(0, grove_greenlet_start(greenlet, GROVE_POLL));
	check_living(greenlet, GROVE_PENDING);
	GT_CHECK_IS(0, grove_yield());
	check_living(greenlet, GROVE_ACTIVE);
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	check_living(greenlet, GROVE_ACTIVE);
	GT_CHECK_IS(0, grove_yield());

	GT_CHECK_IS(GROVE_DONE, grove_greenlet_state(greenlet));
	GT_CHECK(grove_ready(greenlet));
	GT_CHECK(grove_value(greenlet) == V1);
	GT_CHECK(grove_failure_of(greenlet) == NULL);
	GT_CHECK_IS(0, grove_join(greenlet, GROVE_POLL));
	GT_CHECK_IS(0, grove_get(greenlet, &value, GROVE_POLL));
	GT_CHECK(value == V1);
	grove_greenlet_release(greenlet);
}

/* GL-7, GL-8, CASES 70: it fails with E.  E itself is what it leaves, and it is reported once, though
 * somebody asks for it. */
GT_TEST(test_failed_greenlet)
{
	grove_failure *failure = grove_failure_new(-EPROTO, "E");
	grove_greenlet *greenlet = gt_spawn(fail_with, failure);
	struct gt_report report;
	void *value = V1;

	GT_CHECK_IS(0, grove_join(greenlet, gt_soon()));
	GT_CHECK_IS(GROVE_FAULTED, grove_greenlet_state(greenlet));
	GT_CHECK(grove_ready(greenlet));
	GT_CHECK(grove_value(greenlet) == NULL);
	GT_CHECK(grove_failure_of(greenlet) == failure);
	for (int i = 0; i < 3; i++) {
		GT_CHECK_IS(GROVE_FAILED, grove_get(greenlet, &value, gt_soon()));
		GT_CHECK(grove_last_failure() == failure);
		GT_CHECK(value == V1);
	}
	GT_CHECK_IS(1, gt_take_reports(&report));
	GT_CHECK(report.failure == failure);
	GT_CHECK(report.id == grove_id(greenlet));
	GT_CHECK_IS(1, gt_stats().failed);
	grove_greenlet_release(greenlet);
	grove_failure_release(failure);
}

/* GL-8: reported before its joiners wake. */
static void *join_and_count(void *greenlet)
{
	GT_CHECK_IS(0, grove_join(greenlet, gt_soon()));
	return GT_VALUE(gt_take_reports(NULL));
}

static void *wait_then_fail(void *event)
{
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	return grove_fail_code(-EIO);
}

GT_TEST(test_report_comes_before_the_joiners)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *greenlet = gt_spawn(wait_then_fail, &event);
	grove_greenlet *joiner = gt_spawn(join_and_count, greenlet);

	gt_until_parked(joiner);
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(1, gt_value_of(joiner));
	grove_greenlet_release(greenlet);
}

/* GL-9: an exit, or a failure with its code, is a success without a value, and nobody reports it. */
GT_TEST(test_exit_is_a_success)
{
	grove_failure *exits[] = {
		grove_failure_exit(),
		grove_failure_new(GROVE_KILLED, "a kind of exit"),
	};

	for (size_t i = 0; i < GV_ARRAY_LEN(exits); i++) {
		grove_greenlet *greenlet = gt_spawn(fail_with, exits[i]);
		void *value = V1;

		GT_CHECK_IS(0, grove_get(greenlet, &value, gt_soon()));
		GT_CHECK(value == NULL);
		GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(greenlet));
		GT_CHECK(grove_value(greenlet) == NULL);
		GT_CHECK(grove_failure_of(greenlet) == exits[i]);
		grove_greenlet_release(greenlet);
		grove_failure_release(exits[i]);
	}
	GT_CHECK_IS(0, gt_stats().failed);
}

/* GL-9: a timeout that escapes is a failure like others. */
GT_TEST(test_timeout_is_a_failure)
{
	grove_failure *failure = grove_failure_new(-ETIMEDOUT, NULL);
	grove_greenlet *greenlet = gt_spawn(fail_with, failure);

	GT_CHECK_IS(GROVE_FAILED, grove_get(greenlet, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_FAULTED, grove_greenlet_state(greenlet));
	GT_CHECK_IS(1, gt_take_reports(NULL));
	grove_greenlet_release(greenlet);
	grove_failure_release(failure);
}

static void leave(void *how)
{
	grove_exit(how);
}

static void *exit_with(void *value)
{
	leave(value);
	return NULL;
}

static void *exit_with_failure(void *code)
{
	leave(grove_fail_code((int)(intptr_t)code));
	return NULL;
}

/* GL-7: grove_exit ends it from any depth, with a value or a failure. */
GT_TEST(test_exit_from_within)
{
	grove_greenlet *greenlet = gt_spawn(exit_with, V1);

	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	greenlet = gt_spawn(exit_with_failure, GT_VALUE(GROVE_KILLED));
	GT_CHECK_IS(0, gt_value_of(greenlet));
	greenlet = gt_spawn(exit_with_failure, GT_VALUE(-EIO));
	GT_CHECK_IS(GROVE_FAILED, grove_get(greenlet, NULL, gt_soon()));
	GT_CHECK_IS(-EIO, grove_failure_code(grove_last_failure()));
	GT_CHECK_IS(1, gt_take_reports(NULL));
	grove_greenlet_release(greenlet);
}

/* --- GL-2: who runs is alive ------------------------------------------------------------------------ */

static void *look_at_oneself(void *arg)
{
	grove_greenlet *self = grove_self();

	(void)arg;
	GT_CHECK_IS(GROVE_ACTIVE, grove_greenlet_state(self));
	GT_CHECK_IS(-EDEADLK, grove_join(self, GROVE_NEVER));
	GT_CHECK_IS(-EDEADLK, grove_get(self, NULL, GROVE_POLL));
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK(!grove_ready(self));
	return GT_VALUE(grove_greenlet_state(self));
}

/* GL-2, CASES 76: not even in its last line does it look ended to itself. */
GT_TEST(test_running_is_not_ended)
{
	GT_CHECK_IS(GROVE_ACTIVE, gt_value_of(gt_spawn(look_at_oneself, NULL)));
	GT_CHECK_IS(GROVE_ACTIVE, grove_greenlet_state(grove_self()));
}

struct last_line {
	grove_greenlet *greenlet;
	uint64_t words[8];
	uint64_t turn;
};

static void *write_words(void *arg)
{
	struct last_line *last = arg;

	gt_spin(50);
	for (uint64_t i = 0; i < 8; i++)
		last->words[i] = last->turn * 8 + i;
	return last->words;
}

static void watch_the_end(unsigned party, void *arg)
{
	struct last_line *last = arg;

	/* One polls the state, one asks grove_ready, the others join and get. */
	switch (party) {
	case 0:
		gt_until(grove_greenlet_state(last->greenlet) == GROVE_DONE);
		break;
	case 1:
		gt_until(grove_ready(last->greenlet));
		break;
	case 2:
		GT_CHECK_IS(0, grove_join(last->greenlet, gt_soon()));
		break;
	default:
		GT_CHECK_IS(0, grove_get(last->greenlet, NULL, gt_soon()));
	}
	GT_CHECK(grove_value(last->greenlet) == last->words);
	for (uint64_t i = 0; i < 8; i++)
		GT_CHECK(last->words[i] == last->turn * 8 + i);
}

static void spawn_next(void *arg)
{
	struct last_line *last = arg;

	grove_greenlet_release(last->greenlet);
	last->turn++;
	last->greenlet = gt_spawn(write_words, last);
}

/* GL-2, GL-7, N-5, CASES 88 [N]: whoever sees that it has ended sees all that it did. */
GT_TEST(test_end_publishes)
{
	struct last_line last = { .turn = 0 };
	struct gt_race race = {
		.parties = 5,
		.rounds = GT_ROUNDS / 8,
		.act = watch_the_end,
		.between = spawn_next,
		.arg = &last,
	};

	last.greenlet = gt_spawn(write_words, &last);
	gt_race(&race);
	race.threads = 2;
	gt_race(&race);
	gt_join(last.greenlet);
}

/* --- GL-3, GL-4, GL-13: starting -------------------------------------------------------------------- */

/* GL-3, CASES 68: there is one start.  A second one changes nothing and says so. */
GT_STRICT_TEST(test_second_start_is_refused)
{
	grove_greenlet *greenlet = gt_spawn_unstarted(gt_return_it, V1);

	GT_CHECK_IS(0, grove_greenlet_start(greenlet, GROVE_POLL));
	GT_CHECK_IS(-EALREADY, grove_greenlet_start(greenlet, GROVE_POLL));
	GT_CHECK_IS(-EALREADY, grove_greenlet_start(greenlet, GROVE_NEVER));
	GT_CHECK_IS(0, grove_join(greenlet, gt_soon()));
	GT_CHECK_IS(-EALREADY, grove_greenlet_start(greenlet, GROVE_POLL));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));

	greenlet = gt_spawn(gt_return_it, NULL);
	GT_CHECK_IS(-EALREADY, grove_greenlet_start(greenlet, GROVE_POLL));
	gt_join(greenlet);
	GT_CHECK_IS(-EINVAL, grove_greenlet_start(NULL, GROVE_POLL));
}

/* GL-3: a start does not hurry one that is due later. */
GT_TEST(test_start_does_not_hurry)
{
	bool ran = false;
	grove_greenlet *greenlet = gt_spawn_unstarted(gt_note_run, &ran);

	GT_CHECK_IS(0, grove_greenlet_start(greenlet, grove_in_ms(20)));
	GT_CHECK_IS(-EALREADY, grove_greenlet_start(greenlet, GROVE_POLL));
	for (int i = 0; i < 10; i++)
		GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(GROVE_PENDING, grove_greenlet_state(greenlet));
	GT_CHECK(!ran);
	gt_join(greenlet);
	GT_CHECK(ran);
}

static void *note_time(void *time)
{
	*(int64_t *)time = grove_now_ns();
	return V1;
}

/* GL-4: a later start comes at its time, not before, and is waited for. */
GT_TEST(test_later_start)
{
	grove_deadline when = grove_in_ms(5);
	grove_greenlet *greenlet = NULL;
	int64_t began = 0;

	GT_CHECK_IS(0, grove_spawn_later(&greenlet, note_time, &began, when));
	check_living(greenlet, GROVE_PENDING);
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	GT_CHECK(began >= when.ns);
	GT_CHECK_IS(0, gt_stats().timers);
}

/* GL-4, KL-2, CASES 74: killed before, it never runs, and its timer is gone at once. */
GT_TEST(test_kill_of_a_later_start)
{
	grove_deadline dates[] = { grove_in_s(3600), GROVE_NEVER };

	for (size_t i = 0; i < GV_ARRAY_LEN(dates); i++) {
		grove_greenlet *greenlet = NULL;
		bool ran = false;

		GT_CHECK_IS(0, grove_spawn_later(&greenlet, gt_note_run, &ran, dates[i]));
		uint64_t id = grove_id(greenlet);
		GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
		GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(greenlet));
		GT_CHECK_IS(0, gt_stats().timers);
		GT_CHECK_IS(-EALREADY, grove_greenlet_start(greenlet, GROVE_POLL));
		GT_CHECK_IS(0, grove_yield());
		GT_CHECK(!ran);
		grove_greenlet_release(greenlet);
		gt_until(gt_gone(id));
	}
}

static void *join_it(void *greenlet)
{
	return GT_VALUE(grove_join(greenlet, gt_soon()));
}

static void *get_it(void *greenlet)
{
	void *value = NULL;
	int rc = grove_get(greenlet, &value, gt_soon());

	return rc == 0 ? value : GT_VALUE(rc);
}

/* GL-13: a greenlet that was not started is waited for until somebody starts it... */
GT_TEST(test_join_of_a_new_one_waits_for_its_start)
{
	grove_greenlet *greenlet = gt_spawn_unstarted(gt_return_it, V1);
	grove_greenlet *joiner = gt_spawn(join_it, greenlet);
	grove_greenlet *getter = gt_spawn(get_it, greenlet);

	gt_until_parked(joiner);
	gt_until_parked(getter);
	GT_CHECK_IS(-ETIMEDOUT, grove_join(greenlet, grove_in_ms(1)));
	check_living(greenlet, GROVE_NEW);
	GT_CHECK_IS(0, grove_greenlet_start(greenlet, GROVE_POLL));
	GT_CHECK_IS(0, gt_value_of(joiner));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(getter));
	gt_join(greenlet);
}

/* GL-13: ... or kills it. */
GT_TEST(test_join_of_a_new_one_waits_for_its_kill)
{
	bool ran = false;
	grove_greenlet *greenlet = gt_spawn_unstarted(gt_note_run, &ran);
	grove_greenlet *joiner = gt_spawn(join_it, greenlet);

	gt_until_parked(joiner);
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
	GT_CHECK_IS(0, gt_value_of(joiner));
	GT_CHECK(!ran);
	gt_join(greenlet);
}

/* --- WT-1, WT-2: join and get ------------------------------------------------------------------------ */

/* WT-1, WT-2: deadlines of both, and what they leave behind. */
GT_TEST(test_join_times_out)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *greenlet = gt_spawn(wait_then_return, &event);
	grove_deadline deadline = grove_in_ms(3);
	void *value = NULL;

	GT_CHECK_IS(-ETIMEDOUT, grove_join(greenlet, deadline));
	GT_CHECK(grove_now_ns() >= deadline.ns);
	GT_CHECK_IS(-ETIMEDOUT, grove_get(greenlet, &value, GROVE_DEADLINE(0)));
	GT_CHECK_IS(-EAGAIN, grove_get(greenlet, &value, GROVE_POLL));
	GT_CHECK(value == NULL);
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));

	GT_CHECK_IS(-EINVAL, grove_join(NULL, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_get(NULL, NULL, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_greenlet_state(NULL));
	GT_CHECK(!grove_ready(NULL));
}

/* WT-1: joining takes nothing away; many may join, some may give up. */
GT_TEST(test_many_joiners)
{
	static const int counts[] = { 1, 2, 16, 17, 200 };

	for (size_t i = 0; i < GV_ARRAY_LEN(counts); i++) {
		grove_event event = GROVE_EVENT_INIT;
		grove_greenlet *greenlet = gt_spawn(wait_then_return, &event);
		grove_greenlet *joiners[200];

		for (int j = 0; j < counts[i]; j++)
			joiners[j] = gt_spawn(j % 2 == 0 ? get_it : join_it, greenlet);
		for (int j = 0; j < counts[i]; j++)
			gt_until_parked(joiners[j]);
		for (int j = 0; j < counts[i]; j += 3)
			GT_CHECK_IS(0, grove_kill(joiners[j], NULL, GROVE_POLL));
		GT_CHECK_IS(0, grove_event_send(&event, V1));
		for (int j = 0; j < counts[i]; j++) {
			intptr_t expected = j % 2 == 0 ? (intptr_t)V1 : 0;

			GT_CHECK_IS(j % 3 == 0 ? GROVE_KILLED : expected, gt_value_of(joiners[j]));
		}
		GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	}
}

/* WT-1: each of a long row joins the one before it; the end goes through all of them. */
GT_TEST(test_row_of_joins)
{
	int many = GT_LIVE(GT_SCALED(20000));
	grove_greenlet **row = calloc((size_t)many, sizeof(row[0]));
	grove_event event = GROVE_EVENT_INIT;

	GT_CHECK(row != NULL);
	row[0] = gt_spawn(wait_then_return, &event);
	for (int i = 1; i < many; i++)
		row[i] = gt_spawn(get_it, row[i - 1]);
	gt_until_parked(row[many - 1]);
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	for (int i = many - 1; i >= 0; i--)
		GT_CHECK_IS((intptr_t)V1, gt_value_of(row[i]));
	free(row);
}

struct crew {
	grove_greenlet *greenlet;
	_Atomic int left; /* who still holds it */
};

static void *join_and_let_go(void *arg)
{
	struct crew *crew = arg;
	grove_greenlet *greenlet = crew->greenlet;

	GT_CHECK_IS(0, grove_join(greenlet, gt_soon()));
	GT_CHECK(grove_value(greenlet) == V1);
	grove_greenlet_release(greenlet);
	return NULL;
}

static void *spin_and_return(void *value)
{
	gt_spin(300);
	return value;
}

/* GL-7, N-9, CASES 88 [N]: eight hold and join it while it ends; the last one lets it go. */
GT_TEST(test_last_handle_of_many)
{
	enum { HOLDERS = 8 };

	for (int i = 0; i < GT_ROUNDS / 50; i++) {
		grove_greenlet *joiners[HOLDERS];
		struct crew crew = { .greenlet = gt_spawn(spin_and_return, V1) };
		uint64_t id = grove_id(crew.greenlet);

		for (int j = 0; j < HOLDERS; j++) {
			grove_greenlet_retain(crew.greenlet);
			joiners[j] = gt_spawn(join_and_let_go, &crew);
		}
		grove_greenlet_release(crew.greenlet);
		for (int j = 0; j < HOLDERS; j++)
			gt_join(joiners[j]);
		gt_until(gt_gone(id));
	}
}

/* Decision 13: join and get from a foreign pthread. */
GT_THREAD_TEST(test_join_from_outside)
{
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *greenlet = gt_spawn(wait_then_return, &event);

	GT_CHECK_IS(-EAGAIN, grove_join(greenlet, GROVE_POLL));
	GT_CHECK_IS(-ETIMEDOUT, grove_join(greenlet, grove_in_ms(1)));
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	greenlet = gt_spawn(fail_with, failure);
	GT_CHECK_IS(GROVE_FAILED, grove_get(greenlet, NULL, gt_soon()));
	GT_CHECK(grove_last_failure() == failure);
	GT_CHECK_IS(1, gt_take_reports(NULL));
	grove_greenlet_release(greenlet);
	grove_failure_release(failure);
	GT_CHECK(grove_self() == NULL);
}

/* --- what outlives a greenlet ------------------------------------------------------------------------ */

/* Decision 12, CASES 83: value, failure, name and id can be read until the handle goes; the stack is
 * long back. */
GT_TEST(test_handle_outlives_the_greenlet)
{
	enum { MANY = 500 };
	grove_greenlet *greenlets[MANY];

	for (int i = 0; i < MANY; i++)
		greenlets[i] = gt_spawn(gt_return_it, GT_VALUE(i));
	for (int i = 0; i < MANY; i++)
		GT_CHECK_IS(0, grove_join(greenlets[i], gt_soon()));
	gt_until(gt_stats().stacks_in_use <= 2 + gt_stats().hubs);
	for (int i = 0; i < MANY; i++) {
		GT_CHECK(grove_id(greenlets[i]) != 0);
		GT_CHECK(grove_name(greenlets[i], NULL, 0) > 0);
		GT_CHECK_IS(i, gt_value_of(greenlets[i]));
	}
}

static void *keep_failure(void *other)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_failure *failure = grove_failure_new(-EPROTO, NULL);

	GT_CHECK(grove_last_failure() == NULL);
	GT_CHECK_IS(0, grove_event_send_failure(&event, failure));
	GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&event, NULL, GROVE_POLL));
	GT_CHECK(grove_last_failure() == failure);
	GT_CHECK_IS(0, grove_event_destroy(&event));
	gt_join(gt_spawn(other, NULL));
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(1)));
	GT_CHECK(grove_last_failure() == failure);
	grove_failure_release(failure);
	return NULL;
}

static void *see_no_failure(void *arg)
{
	GT_CHECK(grove_last_failure() == NULL);
	return arg;
}

/* CASES 77: what failed in one greenlet is not seen in another, and is still there afterwards. */
GT_TEST(test_failures_belong_to_a_greenlet)
{
	gt_join(gt_spawn(keep_failure, see_no_failure));
	GT_CHECK(grove_last_failure() == NULL);
}

static __attribute__((noinline)) void put_errno(int value)
{
	errno = value;
}

static __attribute__((noinline)) int get_errno(void)
{
	return errno;
}

static void *keep_errno(void *number)
{
	for (int i = 0; i < 50; i++) {
		put_errno((int)(intptr_t)number);
		GT_CHECK_IS(0, i % 4 == 0 ? grove_sleep(grove_in_ns(20000)) : grove_yield());
		GT_CHECK_IS((intptr_t)number, get_errno());
	}
	return NULL;
}

/* LO-3: errno belongs to the greenlet, on whatever hub it goes on. */
GT_TEST(test_errno_travels)
{
	grove_greenlet *greenlets[100];

	for (int i = 0; i < 100; i++)
		greenlets[i] = gt_spawn(keep_errno, GT_VALUE(i + 1));
	for (int i = 0; i < 100; i++)
		gt_join(greenlets[i]);
}

/* --- GL-10: fatal failures --------------------------------------------------------------------------- */

static void *fail_fatally(void *event)
{
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	return grove_fail(grove_failure_new(GROVE_FATAL, "the end"));
}

/* GL-10, ER-1: a fatal failure that escapes is stored, reported, and thrown into main as well. */
GT_TEST(test_fatal_failure_reaches_main)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_event never = GROVE_EVENT_INIT;
	grove_greenlet *greenlet = gt_spawn(fail_fatally, &event);

	GT_CHECK(!grove_cancel_requested());
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(GROVE_KILLED, grove_event_wait(&never, NULL, gt_soon()));
	GT_CHECK_IS(GROVE_FATAL, grove_failure_code(grove_last_failure()));
	GT_CHECK(grove_last_failure() == grove_failure_of(greenlet));
	GT_CHECK(grove_cancel_requested());
	GT_CHECK_IS(1, gt_take_reports(NULL));
	GT_CHECK_IS(GROVE_FAULTED, grove_greenlet_state(greenlet));
	grove_greenlet_release(greenlet);
	GT_CHECK_IS(0, grove_event_destroy(&never));
}

/* --- overflow ---------------------------------------------------------------------------------------- */

static volatile unsigned deepest = UINT32_MAX;

static unsigned recurse(unsigned depth)
{
	volatile char frame[512];

	frame[depth % sizeof(frame)] = (char)depth;
	return depth == deepest ? 0 : recurse(depth + 1) + (unsigned)frame[0];
}

static void *recurse_for_ever(void *arg)
{
	(void)arg;
	GT_CHECK_IS(0, grove_set_name(grove_self(), "deep-one"));
	return GT_VALUE(recurse(0));
}

static void *overflow_body(void *arg)
{
	grove_greenlet *greenlet = gt_spawn(recurse_for_ever, NULL);

	(void)arg;
	gt_join(greenlet);
	return NULL;
}

static int overflow_part(void)
{
	if (GV_ASAN || GV_TSAN)
		gt_child_skip("the sanitizer has its own way with overflows");
	return grove_run(overflow_body, NULL, NULL, NULL);
}

/* CASES 73: an overflow ends the process, with a clear message that names the greenlet. */
static void test_overflow_is_reported(void **state)
{
	struct gt_end end;

	(void)state;
	gt_child_run("overflow", NULL, &end);
	if (GV_ASAN || GV_TSAN)
		return;
	assert_true(strstr(end.text, "deep-one") != NULL);
	assert_int_not_equal(end.status, 0);
}

static const struct gt_part parts[] = { { "overflow", overflow_part } };

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states_of_a_life),
		cmocka_unit_test(test_failed_greenlet),
		cmocka_unit_test(test_report_comes_before_the_joiners),
		cmocka_unit_test(test_exit_is_a_success),
		cmocka_unit_test(test_timeout_is_a_failure),
		cmocka_unit_test(test_exit_from_within),
		cmocka_unit_test(test_running_is_not_ended),
		cmocka_unit_test(test_end_publishes),
		cmocka_unit_test(test_second_start_is_refused),
		cmocka_unit_test(test_start_does_not_hurry),
		cmocka_unit_test(test_later_start),
		cmocka_unit_test(test_kill_of_a_later_start),
		cmocka_unit_test(test_join_of_a_new_one_waits_for_its_start),
		cmocka_unit_test(test_join_of_a_new_one_waits_for_its_kill),
		cmocka_unit_test(test_join_times_out),
		cmocka_unit_test(test_many_joiners),
		cmocka_unit_test(test_row_of_joins),
		cmocka_unit_test(test_last_handle_of_many),
		cmocka_unit_test(test_join_from_outside),
		cmocka_unit_test(test_handle_outlives_the_greenlet),
		cmocka_unit_test(test_failures_belong_to_a_greenlet),
		cmocka_unit_test(test_errno_travels),
		cmocka_unit_test(test_fatal_failure_reaches_main),
		cmocka_unit_test(test_overflow_is_reported),
	};

	gt_child_main(argc, argv, parts, GV_ARRAY_LEN(parts));
	return cmocka_run_group_tests_name("greenlet", tests, NULL, NULL);
}
