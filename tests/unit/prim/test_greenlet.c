/* SPDX-License-Identifier: MIT */
/*
 * test_greenlet.c - greenlet.c: how greenlets end, and who waits for that.
 */
#include "prim_test.h"

#include "support/child.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void run_one_hub(gt_body *body)
{
	gt_one_hub_begin();
	gt_run(body);
	gt_one_hub_end();
}

#define ONE_HUB_TEST(name) GT_TEST_ON(name, run_one_hub)

static void *give_back(void *arg)
{
	return arg;
}

static void *wait_for(void *event)
{
	void *value = NULL;
	int rc = grove_event_wait(event, &value, GROVE_NEVER);

	return rc < 0 ? CODE(rc) : value;
}

static void *join_it(void *greenlet)
{
	return CODE(grove_join(greenlet, GROVE_NEVER));
}

static void *fail_with_code(void *code)
{
	return grove_fail_code((int)(intptr_t)code);
}

static grove_greenlet *spawn_unstarted(grove_fn *fn, void *arg)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g = NULL;

	attributes.flags = GROVE_UNSTARTED;
	CHECK_IS(0, grove_spawn_with(&g, fn, arg, &attributes));
	return g;
}

/* ---- codes ---- */

GT_TEST(test_join_and_get_of_nothing)
{
	void *value = &value;

	CHECK_IS(-EINVAL, grove_join(NULL, GROVE_NEVER));
	CHECK_IS(-EINVAL, grove_join(NULL, GROVE_POLL));
	CHECK_IS(-EINVAL, grove_get(NULL, &value, GROVE_NEVER));
	CHECK(value == &value);
}

GT_TEST(test_nobody_waits_for_itself)
{
	void *value = &value;

	CHECK_IS(-EDEADLK, grove_join(grove_self(), GROVE_NEVER));
	CHECK_IS(-EDEADLK, grove_join(grove_self(), GROVE_POLL));
	CHECK_IS(-EDEADLK, grove_get(grove_self(), &value, gt_soon()));
	CHECK(value == &value);
}

GT_TEST(test_value_can_be_read_again_and_again)
{
	grove_greenlet *g = spawn(give_back, CODE(4711));

	for (int i = 0; i < 3; i++) {
		void *value = NULL;

		CHECK_IS(0, grove_get(g, &value, GROVE_NEVER));
		CHECK_IS(4711, (intptr_t)value);
	}
	CHECK_IS(0, grove_get(g, NULL, GROVE_POLL));
	CHECK_IS(0, grove_join(g, GROVE_POLL));
	CHECK_IS(0, grove_join(g, GROVE_DEADLINE(0)));
	grove_greenlet_release(g);
}

GT_TEST(test_deadlines_of_join)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn(wait_for, &event);
	void *value = &value;
	int64_t before = grove_now_ns();

	until_parked(g);
	CHECK_IS(-EAGAIN, grove_join(g, GROVE_POLL));
	CHECK_IS(-EAGAIN, grove_get(g, &value, GROVE_POLL));
	CHECK_IS(-ETIMEDOUT, grove_join(g, GROVE_DEADLINE(0)));
	CHECK_IS(-ETIMEDOUT, grove_get(g, &value, grove_in_ms(2)));
	CHECK(grove_now_ns() - before >= 2 * GT_MS);
	CHECK(value == &value);
	CHECK_IS(0, grove_event_send(&event, CODE(1)));
	CHECK_IS(1, value_of(g));
}

/* A joiner that has gone leaves a node in the chain of the one it waited for. */
GT_TEST(test_many_joins_that_time_out)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn(wait_for, &event);

	until_parked(g);
	for (int i = 0; i < 300; i++)
		CHECK_IS(-ETIMEDOUT, grove_join(g, GROVE_DEADLINE(0)));
	CHECK_IS(0, grove_event_send(&event, NULL));
	gt_join(g);
}

/* ---- failures and exits ---- */

GT_TEST(test_get_of_a_failed_one)
{
	grove_greenlet *g = spawn(fail_with_code, CODE(-EIO));
	void *value = &value;

	CHECK_IS(0, grove_join(g, gt_soon()));
	CHECK_IS(GROVE_FAILED, grove_get(g, &value, gt_soon()));
	grove_failure *failure = grove_last_failure();
	CHECK(failure == grove_failure_of(g));
	CHECK_IS(-EIO, grove_failure_code(failure));
	CHECK_IS(GROVE_FAILED, grove_get(g, &value, GROVE_POLL));
	CHECK(grove_last_failure() == failure);
	CHECK(value == &value);
	CHECK_IS(GROVE_FAULTED, grove_greenlet_state(g));

	/* What was got stays when the greenlet goes. */
	grove_greenlet_release(g);
	CHECK_IS(-EIO, grove_failure_code(grove_last_failure()));
	CHECK_IS(1, gt_take_reports(NULL));
}

GT_TEST(test_end_by_an_exit_is_a_success)
{
	grove_greenlet *g = spawn(fail_with_code, CODE(GROVE_KILLED));
	void *value = &value;

	CHECK_IS(0, grove_get(g, &value, gt_soon()));
	CHECK(value == NULL);
	CHECK_IS(GROVE_EXITED, grove_greenlet_state(g));
	grove_greenlet_release(g);
}

static void descend(int depth)
{
	volatile char frame[64];

	frame[0] = (char)depth;
	if (depth > 0)
		descend(depth - 1);
	else if (frame[0] == 0)
		grove_exit(CODE(99));
}

static void *exit_from_below(void *depth)
{
	descend((int)(intptr_t)depth);
	return NULL;
}

static void *exit_with_failure(void *code)
{
	grove_exit(grove_fail_code((int)(intptr_t)code));
}

GT_TEST(test_exit_from_a_deep_frame)
{
	for (intptr_t depth = 0; depth < 100; depth += 33)
		CHECK_IS(99, value_of(spawn(exit_from_below, CODE(depth))));
}

GT_TEST(test_exit_with_a_failure)
{
	grove_greenlet *g = spawn(exit_with_failure, CODE(-EPERM));
	struct gt_report report;

	CHECK_IS(GROVE_FAILED, grove_get(g, NULL, gt_soon()));
	CHECK_IS(-EPERM, grove_failure_code(grove_last_failure()));
	CHECK_IS(1, gt_take_reports(&report));
	CHECK(report.id == grove_id(g) && report.code == -EPERM);
	grove_greenlet_release(g);
}

static int exit_outside(void)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	grove_exit(NULL);
}

static void test_exit_outside_a_greenlet_is_a_defect(void **state)
{
	(void)state;
	struct gt_end end;

	gt_child_run("exit_outside", NULL, &end);
	assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT);
	assert_non_null(strstr(end.text, "grove_exit"));
}

static void *wait_and_see_the_failure(void *event)
{
	CHECK_IS(GROVE_KILLED, grove_event_wait(event, NULL, GROVE_NEVER));
	return NULL;
}

GT_TEST(test_fatal_failure_comes_to_main)
{
	grove_event never = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn(fail_with_code, CODE(GROVE_FATAL));

	CHECK(wait_and_see_the_failure(&never) == NULL);
	CHECK_IS(GROVE_FATAL, grove_failure_code(grove_last_failure()));
	gt_join(g);
	CHECK_IS(1, gt_take_reports(NULL));
	CHECK_IS(0, grove_event_destroy(&never));
}

/* ---- fork and join ---- */

enum { FAMILY = 500 };

struct child {
	grove_greenlet *greenlet;
	int runs;
};

static void *count_run(void *arg)
{
	struct child *child = arg;

	child->runs++;
	return child;
}

/* Each child runs once, and gives its own value, in whatever order they are asked. */
static void join_a_family(int start, int step, bool waits)
{
	static struct child family[FAMILY];

	memset(family, 0, sizeof(family));
	for (int i = 0; i < FAMILY; i++)
		family[i].greenlet = spawn(count_run, &family[i]);
	for (int i = 0, at = start; i < FAMILY; i++, at = (at + step + FAMILY) % FAMILY) {
		void *value = NULL;

		if (waits && i % 50 == 0)
			CHECK_IS(0, grove_yield());
		CHECK_IS(0, grove_get(family[at].greenlet, &value, GROVE_NEVER));
		CHECK(value == &family[at]);
		CHECK_IS(1, family[at].runs);
		grove_greenlet_release(family[at].greenlet);
	}
}

GT_TEST(test_join_newest_first)
{
	join_a_family(FAMILY - 1, -1, false);
	join_a_family(FAMILY - 1, -1, true);
}

GT_TEST(test_join_oldest_first)
{
	join_a_family(0, 1, false);
	join_a_family(0, 1, true);
}

GT_TEST(test_join_in_scattered_order)
{
	join_a_family(3, 7, false);
	join_a_family(3, 7, true);
}

GT_STRICT_TEST(test_join_in_strict_order)
{
	join_a_family(FAMILY - 1, -1, false);
	join_a_family(0, 1, true);
}

/* The entry of one that was joined in place stays in the queue; nobody must stumble over it. */
ONE_HUB_TEST(test_tombstones_are_passed_over)
{
	enum { ROUNDS = GT_SCALED(5000) };

	for (int i = 0; i < ROUNDS; i++) {
		struct child old = { .runs = 0 };
		struct child new = { .runs = 0 };

		old.greenlet = spawn(count_run, &old);
		new.greenlet = spawn(count_run, &new);
		gt_join(old.greenlet);
		if (i % 3 == 0)
			CHECK_IS(0, grove_cancel(new.greenlet));
		gt_join(new.greenlet);
		CHECK_IS(1, old.runs);
		CHECK_IS(i % 3 != 0, new.runs);
	}
}

/* A tombstone keeps its record, but not for long: they do not pile up. */
ONE_HUB_TEST(test_tombstones_do_not_pile_up)
{
	enum { ROUNDS = GT_SCALED(50000) };
	struct gv_slab_stats before, after;
	struct child bottom = { .runs = 0 };

	bottom.greenlet = spawn(count_run, &bottom);
	gv_slab_stats(&gv_records, &before);
	for (int i = 0; i < ROUNDS; i++) {
		struct child old = { .runs = 0 };
		struct child new = { .runs = 0 };

		old.greenlet = spawn(count_run, &old);
		new.greenlet = spawn(count_run, &new);
		gt_join(old.greenlet);
		gt_join(new.greenlet);
	}
	gv_slab_stats(&gv_records, &after);
	CHECK(after.objects - before.objects < 5000);
	gt_join(bottom.greenlet);
}

static void *fibonacci(void *arg)
{
	intptr_t n = (intptr_t)arg;

	if (n < 2)
		return CODE(n);
	grove_greenlet *a = spawn(fibonacci, CODE(n - 1));
	grove_greenlet *b = spawn(fibonacci, CODE(n - 2));
	intptr_t sum = value_of(a);
	return CODE(sum + value_of(b));
}

GT_TEST(test_fork_and_join_deeply)
{
	CHECK_IS(610, value_of(spawn(fibonacci, CODE(15))));
}

/* A kill that waits for the joiner is met by the join; the child is not harmed. */
GT_TEST(test_killed_joiner_leaves_its_child_alone)
{
	struct child child = { .runs = 0 };

	child.greenlet = spawn_unstarted(count_run, &child);
	CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	CHECK_IS(GROVE_KILLED, grove_join(child.greenlet, GROVE_NEVER));
	CHECK_IS(0, child.runs);
	CHECK_IS(0, grove_greenlet_start(child.greenlet, GROVE_POLL));
	CHECK_IS(0, grove_join(child.greenlet, gt_soon()));
	CHECK_IS(1, child.runs);
	grove_greenlet_release(child.greenlet);
}

ONE_HUB_TEST(test_pending_kill_and_an_unstarted_child)
{
	struct child child = { .runs = 0 };

	child.greenlet = spawn(count_run, &child);
	CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	CHECK_IS(GROVE_KILLED, grove_join(child.greenlet, GROVE_NEVER));
	gt_join(child.greenlet);
	CHECK_IS(1, child.runs);
}

static void *kill_the_joiner(void *joiner)
{
	CHECK_IS(0, grove_kill(joiner, NULL, GROVE_POLL));
	CHECK_IS(0, grove_yield());
	return CODE(5);
}

/* The child that runs in place of its joiner kills it. */
GT_TEST(test_child_kills_its_joiner)
{
	grove_greenlet *g = spawn(kill_the_joiner, grove_self());

	CHECK_IS(GROVE_KILLED, grove_join(g, GROVE_NEVER));
	CHECK_IS(5, value_of(g));
}

GT_TEST(test_deadline_of_a_joiner_whose_child_waits)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn(wait_for, &event);

	CHECK_IS(-ETIMEDOUT, grove_join(g, grove_in_ms(3)));
	CHECK_IS(0, grove_event_send(&event, CODE(3)));
	CHECK_IS(3, value_of(g));
}

/* ---- several joiners, other contexts ---- */

static void *start_it(void *greenlet)
{
	CHECK_IS(0, grove_greenlet_start(greenlet, GROVE_POLL));
	return NULL;
}

GT_TEST(test_join_waits_for_a_start)
{
	grove_greenlet *g = spawn_unstarted(give_back, CODE(8));
	grove_greenlet *starter = spawn(start_it, g);

	CHECK_IS(8, value_of(g));
	gt_join(starter);
}

static void many_joiners(size_t count)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn(wait_for, &event);
	grove_greenlet **joiners = calloc(count, sizeof(joiners[0]));

	CHECK(joiners != NULL);
	for (size_t i = 0; i < count; i++)
		joiners[i] = spawn(join_it, g);
	for (size_t i = 0; i < count; i++)
		until_parked(joiners[i]);
	CHECK_IS(0, grove_kill(joiners[count / 2], NULL, gt_soon()));
	CHECK_IS(0, grove_event_send(&event, NULL));
	for (size_t i = 0; i < count; i++)
		CHECK_IS(i == count / 2 ? GROVE_KILLED : 0, value_of(joiners[i]));
	gt_join(g);
	free(joiners);
}

GT_TEST(test_many_wait_for_one)
{
	many_joiners(1);
	many_joiners(17);
	many_joiners(300);
}

static void *get_outside(void *greenlet)
{
	void *value = NULL;
	int rc = grove_get(greenlet, &value, gt_soon());

	return rc == GROVE_FAILED ? CODE(grove_failure_code(grove_last_failure())) : value;
}

static void *outsider(void *greenlet)
{
	CHECK(get_outside(greenlet) == CODE(12));
	return NULL;
}

GT_TEST(test_foreign_pthreads_join)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn(wait_for, &event);
	pthread_t threads[3];

	for (size_t i = 0; i < GV_ARRAY_LEN(threads); i++)
		start_thread(&threads[i], outsider, g);
	CHECK_IS(0, grove_event_send(&event, CODE(12)));
	for (size_t i = 0; i < GV_ARRAY_LEN(threads); i++)
		join_thread(threads[i]);
	grove_greenlet_release(g);
}

GT_THREAD_TEST(test_foreign_pthread_spawns_and_gets)
{
	CHECK_IS(3, value_of(spawn(give_back, CODE(3))));

	grove_greenlet *g = spawn(fail_with_code, CODE(-ENOSPC));
	CHECK(get_outside(g) == CODE(-ENOSPC));
	grove_greenlet_release(g);
	CHECK_IS(1, gt_take_reports(NULL));
}

GT_THREAD_TEST(test_foreign_pthread_and_deadlines)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *g = spawn(wait_for, &event);

	CHECK_IS(-EAGAIN, grove_join(g, GROVE_POLL));
	CHECK_IS(-ETIMEDOUT, grove_join(g, grove_in_ms(2)));
	CHECK_IS(-ETIMEDOUT, grove_join(g, GROVE_DEADLINE(0)));
	CHECK_IS(0, grove_event_send(&event, NULL));
	gt_join(g);
}

struct in_hub {
	grove_greenlet *waits, *ended;
	int joined, polled, of_ended;
	void *value;
	grove_event done;
};

static void join_in_callback(void *arg)
{
	struct in_hub *h = arg;

	h->polled = grove_join(h->waits, GROVE_POLL);
	h->joined = grove_join(h->waits, GROVE_NEVER);
	h->of_ended = grove_get(h->ended, &h->value, GROVE_NEVER);
	CHECK_IS(0, grove_event_send(&h->done, NULL));
}

GT_TEST(test_hub_callbacks_do_not_wait)
{
	grove_event event = GROVE_EVENT_INIT;
	struct in_hub h = { .waits = spawn(wait_for, &event), .ended = spawn(give_back, CODE(2)) };
	grove_timer timer = GROVE_TIMER_INIT;

	until_parked(h.waits);
	CHECK_IS(0, grove_join(h.ended, gt_soon()));
	CHECK_IS(0, grove_timer_start(&timer, join_in_callback, &h, 0, 0, GROVE_POLL));
	CHECK_IS(0, grove_event_wait(&h.done, NULL, gt_soon()));
	CHECK_IS(-EAGAIN, h.polled);
	CHECK_IS(GROVE_IN_HUB, h.joined);
	CHECK_IS(0, h.of_ended);
	CHECK_IS(2, (intptr_t)h.value);
	CHECK_IS(0, grove_event_send(&event, NULL));
	gt_join(h.waits);
	grove_greenlet_release(h.ended);
}

/* ---- everybody wants it at once ---- */

struct rush {
	struct child child;
	int joined[4];
	int rounds;
};

static void begin_rush(struct rush *r)
{
	r->child.runs = 0;
	r->child.greenlet = spawn(count_run, &r->child);
}

static void join_the_child(unsigned party, void *arg)
{
	struct rush *r = arg;

	gt_spin(200);
	r->joined[party] = grove_join(r->child.greenlet, gt_soon());
}

static void look_at_the_child(void *arg)
{
	struct rush *r = arg;

	CHECK_IS(1, r->child.runs);
	for (int i = 0; i < 4; i++)
		CHECK_IS(0, r->joined[i]);
	grove_greenlet_release(r->child.greenlet);
	if (--r->rounds > 0)
		begin_rush(r);
}

GT_TEST(test_first_run_and_joins_at_once)
{
	struct rush r = { .rounds = GT_SCALED(2000) };
	struct gt_race race = {
		.parties = 4,
		.threads = 1,
		.rounds = r.rounds,
		.act = join_the_child,
		.between = look_at_the_child,
		.arg = &r,
	};

	begin_rush(&r);
	gt_race(&race);
}

static const struct gt_part parts[] = {
	{ "exit_outside", exit_outside },
};

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join_and_get_of_nothing),
		cmocka_unit_test(test_nobody_waits_for_itself),
		cmocka_unit_test(test_value_can_be_read_again_and_again),
		cmocka_unit_test(test_deadlines_of_join),
		cmocka_unit_test(test_many_joins_that_time_out),
		cmocka_unit_test(test_get_of_a_failed_one),
		cmocka_unit_test(test_end_by_an_exit_is_a_success),
		cmocka_unit_test(test_exit_from_a_deep_frame),
		cmocka_unit_test(test_exit_with_a_failure),
		cmocka_unit_test(test_exit_outside_a_greenlet_is_a_defect),
		cmocka_unit_test(test_fatal_failure_comes_to_main),
		cmocka_unit_test(test_join_newest_first),
		cmocka_unit_test(test_join_oldest_first),
		cmocka_unit_test(test_join_in_scattered_order),
		cmocka_unit_test(test_join_in_strict_order),
		cmocka_unit_test(test_tombstones_are_passed_over),
		cmocka_unit_test(test_tombstones_do_not_pile_up),
		cmocka_unit_test(test_fork_and_join_deeply),
		cmocka_unit_test(test_killed_joiner_leaves_its_child_alone),
		cmocka_unit_test(test_pending_kill_and_an_unstarted_child),
		cmocka_unit_test(test_child_kills_its_joiner),
		cmocka_unit_test(test_deadline_of_a_joiner_whose_child_waits),
		cmocka_unit_test(test_join_waits_for_a_start),
		cmocka_unit_test(test_many_wait_for_one),
		cmocka_unit_test(test_foreign_pthreads_join),
		cmocka_unit_test(test_foreign_pthread_spawns_and_gets),
		cmocka_unit_test(test_foreign_pthread_and_deadlines),
		cmocka_unit_test(test_hub_callbacks_do_not_wait),
		cmocka_unit_test(test_first_run_and_joins_at_once),
	};

	gt_child_main(argc, argv, parts, GV_ARRAY_LEN(parts));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
