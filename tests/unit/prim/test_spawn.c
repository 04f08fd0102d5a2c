/* SPDX-License-Identifier: MIT */
/*
 * test_spawn.c - spawn.c: the ways to a greenlet's first run, and the attributes.
 */
#include "prim_test.h"

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

static void *count_run(void *arg)
{
	atomic_fetch_add((_Atomic int *)arg, 1);
	return NULL;
}

static void *wait_for(void *event)
{
	return CODE(grove_event_wait(event, NULL, GROVE_NEVER));
}

static void count_release(void *arg)
{
	atomic_fetch_add((_Atomic int *)arg, 1);
}

static grove_greenlet *spawn_with(grove_fn *fn, void *arg, const grove_attributes *attributes)
{
	grove_greenlet *g = NULL;

	CHECK_IS(0, grove_spawn_with(&g, fn, arg, attributes));
	CHECK(g != NULL);
	return g;
}

static grove_attributes flags(uint32_t flags)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;

	attributes.flags = flags;
	return attributes;
}

/* ---- arguments ---- */

GT_TEST(test_no_function)
{
	grove_greenlet *g = NULL;
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	uint64_t id = 0;
	int data = 0;

	CHECK_IS(-EINVAL, grove_spawn(&g, NULL, NULL));
	CHECK_IS(-EINVAL, grove_spawn_copy(&g, NULL, &data, sizeof(data)));
	CHECK_IS(-EINVAL, grove_spawn_raw(&id, NULL, NULL));
	CHECK_IS(-EINVAL, grove_spawn_later(&g, NULL, NULL, GROVE_POLL));
	CHECK_IS(-EINVAL, grove_spawn_later(&g, NULL, NULL, grove_in_ms(1)));
	CHECK_IS(-EINVAL, grove_spawn_with(&g, NULL, NULL, &attributes));
	CHECK_IS(-EINVAL, grove_spawn_with(&g, NULL, NULL, NULL));
	CHECK_IS(-EINVAL, grove_greenlet_start(NULL, GROVE_POLL));
	CHECK(g == NULL && id == 0);
}

static void check_refused(int code, const grove_attributes *attributes)
{
	grove_greenlet *g = NULL;

	CHECK_IS(code, grove_spawn_with(&g, give_back, NULL, attributes));
	CHECK(g == NULL);
}

GT_TEST(test_attributes_without_a_meaning)
{
	grove_attributes a = GROVE_ATTRIBUTES_INIT;

	a.size = sizeof(a) - 1;
	check_refused(-EINVAL, &a);
	a.size = 0;
	check_refused(-EINVAL, &a);
	a = flags(0x8);
	check_refused(-EINVAL, &a);
	a = flags(0);
	a.stack_size = 16383;
	check_refused(-EINVAL, &a);
	a.stack_size = (32u << 20) + 1;
	check_refused(-EINVAL, &a);
	a = flags(GROVE_ON_HUB);
	a.hub = -2;
	check_refused(-EINVAL, &a);
	a.hub = grove_hub_count();
	check_refused(-EINVAL, &a);
	a.hub = INT32_MAX;
	check_refused(-EINVAL, &a);
}

struct later_release {
	grove_attributes known;
	unsigned char unknown[16];
};

GT_TEST(test_attributes_of_a_later_release)
{
	struct later_release a = { .known = GROVE_ATTRIBUTES_INIT };

	a.known.size = sizeof(a);
	CHECK_IS(3, value_of(spawn_with(give_back, CODE(3), &a.known)));
	a.unknown[15] = 1;
	check_refused(-E2BIG, &a.known);
}

/* The hub is read only with its flag. */
GT_TEST(test_hub_without_its_flag)
{
	grove_attributes a = GROVE_ATTRIBUTES_INIT;

	a.hub = 1 << 20;
	CHECK_IS(3, value_of(spawn_with(give_back, CODE(3), &a)));
}

/* A refused spawn keeps its hands off the argument. */
GT_TEST(test_refused_spawn_releases_nothing)
{
	grove_attributes a = GROVE_ATTRIBUTES_INIT;
	_Atomic int released = 0;
	grove_greenlet *g = NULL;

	a.release_arg = count_release;
	a.stack_size = 1;
	CHECK_IS(-EINVAL, grove_spawn_with(&g, give_back, &released, &a));
	CHECK_IS(0, released);
}

/* ---- the forms ---- */

ONE_HUB_TEST(test_spawn_does_not_run_it)
{
	_Atomic int runs = 0;
	grove_greenlet *g = spawn(count_run, &runs);

	CHECK_IS(0, runs);
	CHECK_IS(GROVE_PENDING, grove_greenlet_state(g));
	gt_join(g);
	CHECK_IS(1, runs);
}

GT_TEST(test_spawn_without_a_handle)
{
	_Atomic int runs = 0;
	int data = 4;
	grove_attributes a = GROVE_ATTRIBUTES_INIT;

	CHECK_IS(0, grove_spawn(NULL, count_run, &runs));
	CHECK_IS(0, grove_spawn_raw(NULL, count_run, &runs));
	CHECK_IS(0, grove_spawn_later(NULL, count_run, &runs, GROVE_POLL));
	CHECK_IS(0, grove_spawn_later(NULL, count_run, &runs, grove_in_ms(1)));
	a.name = "nobody";
	CHECK_IS(0, grove_spawn_with(NULL, count_run, &runs, &a));
	CHECK_IS(0, grove_spawn_with(NULL, count_run, &runs, NULL));
	CHECK_IS(0, grove_spawn_copy(NULL, give_back, &data, sizeof(data)));
	gt_until(runs == 6);
}

struct copied {
	unsigned char bytes[100];
};

static void *read_copy(void *arg)
{
	struct copied *copy = arg;
	unsigned sum = 0;

	CHECK((uintptr_t)copy % 16 == 0);
	CHECK_IS(0, grove_yield());
	for (size_t i = 0; i < sizeof(copy->bytes); i++)
		sum += copy->bytes[i];
	memset(copy, 0xee, sizeof(*copy));
	return CODE(sum);
}

GT_TEST(test_copy_belongs_to_the_greenlet)
{
	struct copied original;
	grove_greenlet *g = NULL;

	memset(&original, 2, sizeof(original));
	CHECK_IS(0, grove_spawn_copy(&g, read_copy, &original, sizeof(original)));
	memset(&original, 3, sizeof(original));
	CHECK_IS(200, value_of(g));
	CHECK(original.bytes[0] == 3);
}

GT_TEST(test_copy_of_nothing)
{
	grove_greenlet *g = NULL;

	CHECK_IS(-EINVAL, grove_spawn_copy(&g, give_back, NULL, 1));
	CHECK_IS(-ENOMEM, grove_spawn_copy(&g, give_back, &g, SIZE_MAX));
	CHECK(g == NULL);
	CHECK_IS(0, grove_spawn_copy(&g, give_back, NULL, 0));
	CHECK_IS(0, value_of(g));
	CHECK_IS(0, grove_spawn_copy(&g, give_back, "text", 0));
	CHECK_IS(0, value_of(g));
}

GT_TEST(test_raw_one_can_be_found_while_it_lives)
{
	grove_event event = GROVE_EVENT_INIT;
	uint64_t id = 0;

	CHECK_IS(0, grove_spawn_raw(&id, wait_for, &event));
	CHECK(id != 0);
	grove_greenlet *g = grove_lookup(id);
	CHECK(g != NULL && grove_id(g) == id);
	CHECK_IS(0, grove_event_send(&event, NULL));
	CHECK_IS(0, grove_join(g, gt_soon()));
	grove_greenlet_release(g);
	gt_until((g = grove_lookup(id)) == NULL || (grove_greenlet_release(g), false));
}

/* ---- later ---- */

static void *note_time(void *arg)
{
	*(int64_t *)arg = grove_now_ns();
	return NULL;
}

GT_TEST(test_later_is_never_early)
{
	for (int ms = 0; ms < 4; ms++) {
		grove_deadline when = grove_in_ms(ms);
		int64_t ran = 0;
		grove_greenlet *g = NULL;

		CHECK_IS(0, grove_spawn_later(&g, note_time, &ran, when));
		CHECK_IS(0, grove_join(g, gt_soon()));
		grove_greenlet_release(g);
		CHECK(ran >= when.ns);
	}
}

GT_TEST(test_later_now_and_in_the_past)
{
	grove_deadline whens[] = { GROVE_POLL, GROVE_DEADLINE(0), GROVE_DEADLINE(-5),
				   GROVE_DEADLINE(1) };

	for (size_t i = 0; i < GV_ARRAY_LEN(whens); i++) {
		grove_greenlet *g = NULL;

		CHECK_IS(0, grove_spawn_later(&g, give_back, CODE(i), whens[i]));
		CHECK_IS(i, value_of(g));
	}
}

GT_TEST(test_far_ones_are_taken_away)
{
	grove_deadline whens[] = { grove_in_s(3600), GROVE_NEVER };

	for (size_t i = 0; i < GV_ARRAY_LEN(whens); i++) {
		_Atomic int runs = 0;
		grove_greenlet *g = NULL;

		CHECK_IS(0, grove_spawn_later(&g, count_run, &runs, whens[i]));
		CHECK_IS(GROVE_PENDING, grove_greenlet_state(g));
		CHECK_IS(-ETIMEDOUT, grove_join(g, grove_in_ms(1)));
		CHECK_IS(-EALREADY, grove_greenlet_start(g, GROVE_POLL));
		CHECK_IS(0, i == 0 ? grove_cancel(g) : grove_kill(g, NULL, GROVE_NEVER));
		CHECK_IS(GROVE_EXITED, grove_greenlet_state(g));
		CHECK_IS(0, gt_stats().timers);
		grove_greenlet_release(g);
		CHECK_IS(0, runs);
	}
}

struct order {
	int at[8];
	int count;
};

struct placed {
	struct order *order;
	int number;
};

static void *take_place(void *arg)
{
	struct placed *p = arg;

	p->order->at[p->order->count++] = p->number;
	return NULL;
}

GT_STRICT_TEST(test_strict_order_of_spawns)
{
	struct order order = { .count = 0 };
	struct placed places[8];

	for (int i = 0; i < 8; i++) {
		grove_attributes a = GROVE_ATTRIBUTES_INIT;

		places[i] = (struct placed){ &order, i };
		a.name = "placed";
		if (i % 4 == 0)
			CHECK_IS(0, grove_spawn(NULL, take_place, &places[i]));
		else if (i % 4 == 1)
			CHECK_IS(0, grove_spawn_raw(NULL, take_place, &places[i]));
		else if (i % 4 == 2)
			CHECK_IS(0, grove_spawn_with(NULL, take_place, &places[i], &a));
		else
			CHECK_IS(0,
				 grove_spawn_copy(NULL, take_place, &places[i], sizeof(places[i])));
	}
	CHECK_IS(0, order.count);
	CHECK_IS(0, grove_yield());
	CHECK_IS(8, order.count);
	for (int i = 0; i < 8; i++)
		CHECK_IS(i, order.at[i]);
}

/* ---- attributes ---- */

static void *read_name(void *arg)
{
	char *text = arg;

	return CODE(grove_name(grove_self(), text, 64));
}

GT_TEST(test_name_is_there_from_the_first_line)
{
	grove_attributes a = GROVE_ATTRIBUTES_INIT;
	char name[] = "larch";
	char text[64];

	a.name = name;
	grove_greenlet *g = spawn_with(read_name, text, &a);
	name[0] = 'M';
	CHECK_IS(5, value_of(g));
	CHECK(strcmp(text, "larch") == 0);
}

static void *use_stack(void *arg)
{
	volatile char room[800000];

	for (size_t i = sizeof(room); i >= 4096; i -= 4096)
		room[i - 1] = (char)i;
	CHECK_IS(0, grove_yield());
	return arg;
}

GT_TEST(test_stack_of_its_own_size)
{
	grove_attributes a = GROVE_ATTRIBUTES_INIT;

	a.stack_size = 1 << 20;
	for (int i = 0; i < 3; i++)
		CHECK_IS(6, value_of(spawn_with(use_stack, CODE(6), &a)));
	a.stack_size = 16384;
	CHECK_IS(6, value_of(spawn_with(give_back, CODE(6), &a)));
}

static void *fail_anyway(void *arg)
{
	(void)arg;
	return grove_fail_code(-EIO);
}

static void *exit_now(void *arg)
{
	grove_exit(arg);
}

GT_TEST(test_argument_is_released_once)
{
	grove_fn *bodies[] = { count_run, fail_anyway, exit_now };
	grove_attributes a = GROVE_ATTRIBUTES_INIT;

	a.release_arg = count_release;
	for (size_t i = 0; i < GV_ARRAY_LEN(bodies); i++) {
		_Atomic int count = 0;

		gt_join(spawn_with(bodies[i], &count, &a));
		CHECK_IS(i == 0 ? 2 : 1, count);
	}
	CHECK_IS(1, gt_take_reports(NULL));
}

GT_TEST(test_argument_of_one_that_never_runs)
{
	grove_attributes a = flags(GROVE_UNSTARTED);
	_Atomic int count = 0;

	a.release_arg = count_release;
	grove_greenlet *g = spawn_with(count_run, &count, &a);
	CHECK_IS(0, grove_cancel(g));
	CHECK_IS(1, count);
	grove_greenlet_release(g);
	CHECK_IS(1, count);

	g = spawn_with(count_run, &count, &a);
	CHECK_IS(0, grove_kill(g, NULL, GROVE_POLL));
	CHECK_IS(2, count);
	grove_greenlet_release(g);

	/* Nobody can start it any more. */
	grove_greenlet_release(spawn_with(count_run, &count, &a));
	CHECK_IS(3, count);
}

GT_TEST(test_value_is_released_with_the_last_handle)
{
	grove_attributes a = GROVE_ATTRIBUTES_INIT;
	_Atomic int released = 0;

	a.release_value = count_release;
	grove_greenlet *g = spawn_with(give_back, &released, &a);
	CHECK_IS(0, grove_join(g, gt_soon()));
	grove_greenlet_retain(g);
	grove_greenlet_release(g);
	CHECK_IS(0, released);
	CHECK(grove_value(g) == &released);
	grove_greenlet_release(g);
	gt_until(released == 1);

	/* There is none. */
	gt_join(spawn_with(give_back, NULL, &a));
	gt_join(spawn_with(fail_anyway, NULL, &a));
	CHECK_IS(1, gt_take_reports(NULL));
	CHECK_IS(1, released);

	CHECK_IS(0, grove_spawn_with(NULL, give_back, &released, &a));
	gt_until(released == 2);
}

struct family {
	_Atomic int runs;
	grove_greenlet *child;
	bool waits;
	int code;
};

static void *spawn_a_dependent(void *arg)
{
	struct family *f = arg;
	grove_attributes a = flags(GROVE_WITH_SPAWNER);

	a.when = grove_in_ms(5);
	f->code = grove_spawn_with(&f->child, count_run, &f->runs, &a);
	if (f->waits)
		CHECK_IS(0, grove_join(f->child, gt_soon()));
	return NULL;
}

GT_TEST(test_dependent_of_an_ended_spawner)
{
	struct family f = { .waits = false };

	gt_join(spawn(spawn_a_dependent, &f));
	CHECK_IS(0, f.code);
	CHECK_IS(0, grove_join(f.child, gt_soon()));
	CHECK_IS(GROVE_EXITED, grove_greenlet_state(f.child));
	CHECK_IS(0, f.runs);
	grove_greenlet_release(f.child);
}

GT_TEST(test_dependent_of_a_living_spawner)
{
	struct family f = { .waits = true };

	gt_join(spawn(spawn_a_dependent, &f));
	CHECK_IS(0, f.code);
	CHECK_IS(GROVE_DONE, grove_greenlet_state(f.child));
	CHECK_IS(1, f.runs);
	grove_greenlet_release(f.child);
}

static void *stay_on_hub(void *arg)
{
	int hub = (int)(intptr_t)arg;

	for (int i = 0; i < 50; i++) {
		CHECK_IS(hub, grove_hub_id());
		CHECK_IS(0, grove_yield());
	}
	return NULL;
}

GT_TEST(test_on_hub)
{
	grove_greenlet *g[GROVE_MAX_HUBS];
	grove_attributes a = flags(GROVE_ON_HUB);
	int hubs = grove_hub_count();

	for (int i = 0; i < hubs; i++) {
		a.hub = i;
		g[i] = spawn_with(stay_on_hub, CODE(i), &a);
	}
	for (int i = 0; i < hubs; i++)
		gt_join(g[i]);
	a.hub = GROVE_ANY_HUB;
	CHECK_IS(5, value_of(spawn_with(give_back, CODE(5), &a)));
}

/* ---- start ---- */

GT_TEST(test_start_once)
{
	grove_attributes a = flags(GROVE_UNSTARTED);
	grove_greenlet *g = spawn_with(give_back, CODE(1), &a);

	CHECK_IS(GROVE_NEW, grove_greenlet_state(g));
	CHECK_IS(0, grove_greenlet_start(g, GROVE_POLL));
	CHECK_IS(-EALREADY, grove_greenlet_start(g, GROVE_POLL));
	CHECK_IS(0, grove_join(g, gt_soon()));
	CHECK_IS(-EALREADY, grove_greenlet_start(g, GROVE_POLL));
	CHECK_IS(1, value_of(g));

	g = spawn(give_back, CODE(2));
	CHECK_IS(-EALREADY, grove_greenlet_start(g, GROVE_POLL));
	CHECK_IS(2, value_of(g));
}

GT_TEST(test_start_after_cancel)
{
	grove_attributes a = flags(GROVE_UNSTARTED);
	grove_greenlet *g = spawn_with(give_back, CODE(1), &a);

	CHECK_IS(0, grove_cancel(g));
	CHECK_IS(-EALREADY, grove_greenlet_start(g, GROVE_POLL));
	CHECK_IS(-EALREADY, grove_greenlet_start(g, grove_in_s(3600)));
	CHECK_IS(GROVE_EXITED, grove_greenlet_state(g));
	grove_greenlet_release(g);
}

GT_TEST(test_start_later)
{
	grove_attributes a = flags(GROVE_UNSTARTED);
	int64_t ran = 0;
	grove_greenlet *g = spawn_with(note_time, &ran, &a);
	grove_deadline when = grove_in_ms(3);

	CHECK_IS(0, grove_greenlet_start(g, when));
	CHECK_IS(-EALREADY, grove_greenlet_start(g, GROVE_POLL));
	gt_join(g);
	CHECK(ran >= when.ns);

	ran = 0;
	g = spawn_with(note_time, &ran, &a);
	CHECK_IS(0, grove_greenlet_start(g, GROVE_NEVER));
	CHECK_IS(GROVE_PENDING, grove_greenlet_state(g));
	CHECK_IS(0, grove_cancel(g));
	gt_join(g);
	CHECK_IS(0, ran);
}

/* ---- other contexts ---- */

static void use_every_form(_Atomic int *runs)
{
	grove_attributes a = flags(GROVE_UNSTARTED);
	grove_greenlet *g[4] = { NULL };

	CHECK_IS(0, grove_spawn(&g[0], count_run, runs));
	CHECK_IS(0, grove_spawn_raw(NULL, count_run, runs));
	CHECK_IS(0, grove_spawn_later(&g[1], count_run, runs, grove_in_ms(1)));
	CHECK_IS(0, grove_spawn_with(&g[2], count_run, runs, &a));
	CHECK_IS(0, grove_greenlet_start(g[2], grove_in_ms(1)));
	CHECK_IS(0, grove_spawn_with(&g[3], count_run, runs, &a));
	CHECK_IS(0, grove_greenlet_start(g[3], GROVE_POLL));
	for (int i = 0; i < 4; i++)
		grove_greenlet_release(g[i]);
}

static void *spawn_outside(void *runs)
{
	grove_attributes a = flags(GROVE_WITH_SPAWNER);

	CHECK_IS(-ESRCH, grove_spawn_with(NULL, count_run, runs, &a));
	use_every_form(runs);
	return NULL;
}

GT_TEST(test_foreign_pthread_spawns)
{
	_Atomic int runs = 0;
	pthread_t thread;

	start_thread(&thread, spawn_outside, &runs);
	join_thread(thread);
	gt_until(runs == 5);
}

static void test_spawn_starts_the_runtime(void **state)
{
	(void)state;
	struct gt_mark before = gt_mark();
	_Atomic int runs = 0;

	assert_int_equal(grove_hub_count(), 0);
	gt_join(spawn(count_run, &runs));
	assert_int_equal(runs, 1);
	stop();
	gt_check_left(&before);
}

static void spawn_in_callback(void *runs)
{
	use_every_form(runs);
}

GT_TEST(test_hub_callback_spawns)
{
	grove_timer timer = GROVE_TIMER_INIT;
	_Atomic int runs = 0;

	CHECK_IS(0, grove_timer_start(&timer, spawn_in_callback, &runs, 0, 0, GROVE_POLL));
	gt_until(runs == 5);
}

static int code_while_stopping;

static void *spawn_when_killed(void *event)
{
	CHECK_IS(GROVE_KILLED, grove_event_wait(event, NULL, GROVE_NEVER));
	CHECK_IS(0, grove_event_destroy(event));
	code_while_stopping = grove_spawn(NULL, give_back, NULL);
	return NULL;
}

static void *leave_one_behind(void *event)
{
	grove_greenlet *g = spawn(spawn_when_killed, event);

	until_parked(g);
	grove_greenlet_release(g);
	return NULL;
}

static void test_no_spawn_while_stopping(void **state)
{
	(void)state;
	grove_event event = GROVE_EVENT_INIT;

	run_on(1, leave_one_behind, &event);
	assert_int_equal(code_while_stopping, -ESHUTDOWN);
}

/* ---- start, cancel and kill at once ---- */

struct contest {
	grove_greenlet *greenlet;
	_Atomic int runs;
	_Atomic int releases;
	grove_deadline when;
	int started, cancelled, killed;
	int rounds;
};

static void *run_in_contest(void *arg)
{
	struct contest *c = arg;

	atomic_fetch_add(&c->runs, 1);
	return CODE(1);
}

static void release_in_contest(void *arg)
{
	struct contest *c = arg;

	atomic_fetch_add(&c->releases, 1);
}

static void begin_contest(struct contest *c)
{
	grove_attributes a = flags(GROVE_UNSTARTED);

	c->runs = c->releases = 0;
	c->when = c->rounds % 3 == 0   ? GROVE_POLL
		  : c->rounds % 3 == 1 ? grove_in_s(3600)
				       : GROVE_DEADLINE(0);
	a.release_arg = release_in_contest;
	c->greenlet = spawn_with(run_in_contest, c, &a);
}

static void contend(unsigned party, void *arg)
{
	struct contest *c = arg;

	gt_spin(300);
	if (party == 0)
		c->started = grove_greenlet_start(c->greenlet, c->when);
	else if (party == 1)
		c->cancelled = grove_cancel(c->greenlet);
	else
		c->killed = grove_kill(c->greenlet, NULL, GROVE_POLL);
}

static void decide(void *arg)
{
	struct contest *c = arg;

	CHECK_IS(0, grove_join(c->greenlet, gt_soon()));
	CHECK(c->started == 0 || c->started == -EALREADY);
	CHECK(c->cancelled == 0 || c->cancelled == -EALREADY);
	CHECK_IS(0, c->killed);
	CHECK_IS(1, c->releases);
	if (c->runs != 0) {
		CHECK_IS(1, c->runs);
		CHECK_IS(0, c->started);
		CHECK_IS(-EALREADY, c->cancelled);
		CHECK_IS(GROVE_DONE, grove_greenlet_state(c->greenlet));
	} else {
		CHECK_IS(GROVE_EXITED, grove_greenlet_state(c->greenlet));
	}
	grove_greenlet_release(c->greenlet);
	if (--c->rounds > 0)
		begin_contest(c);
}

/* Nothing is left behind, not even the timer of a start that was too late. */
GT_TEST(test_start_cancel_and_kill_at_once)
{
	struct contest c = { .rounds = GT_SCALED(2000) };
	struct gt_race race = {
		.parties = 3,
		.threads = 1,
		.rounds = c.rounds,
		.act = contend,
		.between = decide,
		.arg = &c,
	};

	begin_contest(&c);
	gt_race(&race);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_function),
		cmocka_unit_test(test_attributes_without_a_meaning),
		cmocka_unit_test(test_attributes_of_a_later_release),
		cmocka_unit_test(test_hub_without_its_flag),
		cmocka_unit_test(test_refused_spawn_releases_nothing),
		cmocka_unit_test(test_spawn_does_not_run_it),
		cmocka_unit_test(test_spawn_without_a_handle),
		cmocka_unit_test(test_copy_belongs_to_the_greenlet),
		cmocka_unit_test(test_copy_of_nothing),
		cmocka_unit_test(test_raw_one_can_be_found_while_it_lives),
		cmocka_unit_test(test_later_is_never_early),
		cmocka_unit_test(test_later_now_and_in_the_past),
		cmocka_unit_test(test_far_ones_are_taken_away),
		cmocka_unit_test(test_strict_order_of_spawns),
		cmocka_unit_test(test_name_is_there_from_the_first_line),
		cmocka_unit_test(test_stack_of_its_own_size),
		cmocka_unit_test(test_argument_is_released_once),
		cmocka_unit_test(test_argument_of_one_that_never_runs),
		cmocka_unit_test(test_value_is_released_with_the_last_handle),
		cmocka_unit_test(test_dependent_of_an_ended_spawner),
		cmocka_unit_test(test_dependent_of_a_living_spawner),
		cmocka_unit_test(test_on_hub),
		cmocka_unit_test(test_start_once),
		cmocka_unit_test(test_start_after_cancel),
		cmocka_unit_test(test_start_later),
		cmocka_unit_test(test_foreign_pthread_spawns),
		cmocka_unit_test(test_spawn_starts_the_runtime),
		cmocka_unit_test(test_hub_callback_spawns),
		cmocka_unit_test(test_no_spawn_while_stopping),
		cmocka_unit_test(test_start_cancel_and_kill_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
