/* SPDX-License-Identifier: MIT */
/*
 * test_spawn.c - GL-5 to GL-7 and GL-11: the forms of spawning, their attributes, and what is
 * released when.  GT-1 and GT-6 of eventlet; CASES 71, 121, 122.
 */
#include "gt.h"

static int numbers[4];

#define V1 (&numbers[1])

static void *wait_then_return(void *event)
{
	void *value = NULL;
	int rc = grove_event_wait(event, &value, gt_soon());

	return rc == 0 ? value : grove_fail_code(rc);
}

static void count_up(void *count)
{
	atomic_fetch_add((_Atomic int *)count, 1);
}

/* --- GL-5: bad input is found at once --------------------------------------------------------------- */

/* GL-5, CASES 71: without a function nothing is spawned, in any form. */
GT_TEST(test_null_function_is_refused)
{
	uint64_t spawned = gt_stats().spawned;
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlet = (grove_greenlet *)(void *)numbers;
	uint64_t id = 4711;

	GT_CHECK_IS(-EINVAL, grove_spawn(&greenlet, NULL, NULL));
	GT_CHECK_IS(-EINVAL, grove_spawn_raw(&id, NULL, NULL));
	GT_CHECK_IS(-EINVAL, grove_spawn_copy(&greenlet, NULL, numbers, sizeof(numbers)));
	GT_CHECK_IS(-EINVAL, grove_spawn_copy(&greenlet, gt_return_it, NULL, 1));
	GT_CHECK_IS(-EINVAL, grove_spawn_later(&greenlet, NULL, NULL, grove_in_ms(1)));
	GT_CHECK_IS(-EINVAL, grove_spawn_with(&greenlet, NULL, NULL, &attributes));
	GT_CHECK(greenlet == (grove_greenlet *)(void *)numbers);
	GT_CHECK_IS(4711, id);
	GT_CHECK_IS(spawned, gt_stats().spawned);
}

/* GL-5: bad attributes, too; what was to be released stays the caller's. */
GT_TEST(test_bad_attributes_are_refused)
{
	static const size_t stacks[] = { 1, 16383, (32 << 20) + 1, SIZE_MAX };
	grove_attributes a = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlet = NULL;
	_Atomic int released = 0;

	a.release_arg = count_up;
	a.size = sizeof(a) - 1;
	GT_CHECK_IS(-EINVAL, grove_spawn_with(&greenlet, gt_return_it, &released, &a));
	a.size = 0;
	GT_CHECK_IS(-EINVAL, grove_spawn_with(&greenlet, gt_return_it, &released, &a));
	a.size = sizeof(a);
	a.flags = 0x80000000u;
	GT_CHECK_IS(-EINVAL, grove_spawn_with(&greenlet, gt_return_it, &released, &a));
	a.flags = GROVE_ON_HUB;
	a.hub = grove_hub_count();
	GT_CHECK_IS(-EINVAL, grove_spawn_with(&greenlet, gt_return_it, &released, &a));
	a.hub = -2;
	GT_CHECK_IS(-EINVAL, grove_spawn_with(&greenlet, gt_return_it, &released, &a));
	a.flags = 0;
	for (size_t i = 0; i < GV_ARRAY_LEN(stacks); i++) {
		a.stack_size = stacks[i];
		GT_CHECK_IS(-EINVAL, grove_spawn_with(&greenlet, gt_return_it, &released, &a));
	}

	struct {
		grove_attributes known;
		uint64_t unknown;
	} newer = { .known = GROVE_ATTRIBUTES_INIT };
	newer.known.size = sizeof(newer);
	newer.unknown = 1;
	GT_CHECK_IS(-E2BIG, grove_spawn_with(&greenlet, gt_return_it, NULL, &newer.known));
	newer.unknown = 0;
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, gt_return_it, NULL, &newer.known));
	gt_join(greenlet);
	GT_CHECK_IS(0, released);
}

/* --- GL-6: the forms ------------------------------------------------------------------------------- */

/* GL-6, GT-1: each form runs its function with its argument. */
GT_TEST(test_all_forms_run)
{
	grove_greenlet *greenlet = NULL;
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;

	GT_CHECK_IS(0, grove_spawn(&greenlet, gt_return_it, V1));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	GT_CHECK_IS(0, grove_spawn_later(&greenlet, gt_return_it, V1, GROVE_POLL));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	GT_CHECK_IS(0, grove_spawn_later(&greenlet, gt_return_it, V1, GROVE_DEADLINE(0)));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	GT_CHECK_IS(0, grove_spawn_later(&greenlet, gt_return_it, V1, grove_in_ms(2)));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, gt_return_it, V1, NULL));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, gt_return_it, V1, &attributes));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));

	bool ran[6] = { false };
	GT_CHECK_IS(0, grove_spawn(NULL, gt_note_run, &ran[0]));
	GT_CHECK_IS(0, grove_spawn_raw(NULL, gt_note_run, &ran[1]));
	GT_CHECK_IS(0, grove_spawn_later(NULL, gt_note_run, &ran[2], GROVE_DEADLINE(0)));
	GT_CHECK_IS(0, grove_spawn_with(NULL, gt_note_run, &ran[3], &attributes));
	attributes.name = "nobody asks";
	GT_CHECK_IS(0, grove_spawn_with(NULL, gt_note_run, &ran[4], &attributes));
	attributes.when = grove_in_ms(1);
	GT_CHECK_IS(0, grove_spawn_with(NULL, gt_note_run, &ran[5], &attributes));
	gt_until(gt_stats().live == 1);
	for (size_t i = 0; i < GV_ARRAY_LEN(ran); i++)
		GT_CHECK(ran[i]);
}

/* GL-6: nobody has a handle of a raw one, but its id leads to it while it lives; its failure is
 * reported like any other. */
GT_TEST(test_raw)
{
	grove_event event = GROVE_EVENT_INIT;
	struct gt_report report;
	uint64_t id = 0;

	GT_CHECK_IS(0, grove_spawn_raw(&id, wait_then_return, &event));
	GT_CHECK(id != 0);
	grove_greenlet *greenlet = grove_lookup(id);
	GT_CHECK(greenlet != NULL);
	GT_CHECK_IS(id, grove_id(greenlet));
	GT_CHECK(!grove_ready(greenlet));
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	gt_join(greenlet);
	gt_until(gt_gone(id));

	grove_failure *failure = grove_failure_new(-EIO, NULL);
	grove_event failing = GROVE_EVENT_INIT;
	GT_CHECK_IS(0, grove_event_send_failure(&failing, failure));
	GT_CHECK_IS(0, grove_spawn_raw(&id, wait_then_return, &failing));
	gt_until(gt_gone(id));
	GT_CHECK_IS(1, gt_take_reports(&report));
	GT_CHECK(report.id == id);
	GT_CHECK(report.failure == failure);
	GT_CHECK_IS(0, grove_event_destroy(&failing));
	grove_failure_release(failure);
}

struct copied {
	char text[40];
	long double number;
};

static void *look_at_copy(void *arg)
{
	struct copied *copied = arg;

	GT_CHECK((uintptr_t)copied % _Alignof(max_align_t) == 0);
	GT_CHECK(strcmp(copied->text, "the original") == 0);
	GT_CHECK(copied->number == 42);
	copied->text[0] = 'T';
	return arg;
}

/* GL-6, GL-7: the copy is made at once, and is the greenlet's own. */
GT_TEST(test_copy)
{
	struct copied original = { "the original", 42 };
	grove_greenlet *first = NULL;
	grove_greenlet *second = NULL;

	GT_CHECK_IS(0, grove_spawn_copy(&first, look_at_copy, &original, sizeof(original)));
	GT_CHECK_IS(0, grove_spawn_copy(&second, look_at_copy, &original, sizeof(original)));
	GT_CHECK(strcmp(original.text, "the original") == 0);
	memset(&original, 0, sizeof(original));
	GT_CHECK(gt_value_of(first) != 0);
	GT_CHECK(gt_value_of(second) != 0);
	GT_CHECK_IS(0, grove_spawn_copy(&first, gt_return_it, &original, 0));
	GT_CHECK_IS(0, gt_value_of(first));
	GT_CHECK_IS(0, grove_spawn_copy(&first, gt_return_it, NULL, 0));
	GT_CHECK_IS(0, gt_value_of(first));

	/* Killed before it runs: the copy goes with it. */
	GT_CHECK_IS(0, grove_spawn_copy(&first, look_at_copy, &original, sizeof(original)));
	GT_CHECK_IS(0, grove_kill(first, NULL, gt_soon()));
	gt_join(first);
}

static void *spawn_more(void *depth)
{
	grove_greenlet *child = NULL;
	intptr_t left = (intptr_t)depth;

	if (left == 0)
		return GT_VALUE(1);
	GT_CHECK_IS(0, grove_spawn(&child, spawn_more, GT_VALUE(left - 1)));
	intptr_t here = left % 3 == 0 ? gt_value_of(gt_spawn(spawn_more, NULL)) : 0;
	return GT_VALUE(gt_value_of(child) + here);
}

/* GL-6: greenlets spawn greenlets, and join them in any order. */
GT_TEST(test_children_of_children)
{
	GT_CHECK_IS(1 + 100 / 3, gt_value_of(gt_spawn(spawn_more, GT_VALUE(100))));
}

static void *spawn_from_thread(void *event)
{
	grove_greenlet *greenlet = NULL;

	GT_CHECK_IS(0, grove_spawn(&greenlet, wait_then_return, event));
	return greenlet;
}

/* GL-6, N-7: a foreign pthread spawns. */
GT_TEST(test_spawn_from_a_thread)
{
	grove_event event = GROVE_EVENT_INIT;
	pthread_t threads[4];

	for (size_t i = 0; i < GV_ARRAY_LEN(threads); i++)
		gt_thread_start(&threads[i], spawn_from_thread, &event);
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	for (size_t i = 0; i < GV_ARRAY_LEN(threads); i++) {
		void *greenlet = NULL;

		pthread_join(threads[i], &greenlet);
		GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	}
}

/* --- GL-7: what is released ------------------------------------------------------------------------- */

struct goods {
	_Atomic int arg;
	_Atomic int value;
};

static void release_arg(void *goods)
{
	count_up(&((struct goods *)goods)->arg);
}

static void release_value(void *goods)
{
	count_up(&((struct goods *)goods)->value);
}

static grove_greenlet *spawn_goods(grove_fn *fn, struct goods *goods, unsigned flags,
				   grove_deadline when)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlet = NULL;

	*goods = (struct goods){ 0 };
	attributes.release_arg = release_arg;
	attributes.release_value = release_value;
	attributes.flags = flags;
	attributes.when = when;
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, fn, goods, &attributes));
	return greenlet;
}

static void let_go(grove_greenlet *greenlet)
{
	uint64_t id = grove_id(greenlet);

	grove_greenlet_release(greenlet);
	gt_until(gt_gone(id));
}

static void *keep_goods(void *goods)
{
	GT_CHECK_IS(0, ((struct goods *)goods)->arg);
	return goods;
}

static void *drop_goods(void *goods)
{
	GT_CHECK_IS(0, ((struct goods *)goods)->arg);
	return NULL;
}

static void *fail_with_goods(void *goods)
{
	(void)goods;
	return grove_fail_code(-EIO);
}

static void *exit_with_goods(void *goods)
{
	grove_exit(goods);
}

/* GL-7: the argument goes when the body has ended, in whatever way; the value with the last handle. */
GT_TEST(test_release_after_the_end)
{
	static const struct {
		grove_fn *fn;
		int values, reports;
	} ways[] = {
		{ keep_goods, 1, 0 },
		{ exit_with_goods, 1, 0 },
		{ drop_goods, 0, 0 },
		{ fail_with_goods, 0, 1 },
	};

	for (size_t i = 0; i < GV_ARRAY_LEN(ways); i++) {
		struct goods goods;
		grove_greenlet *greenlet = spawn_goods(ways[i].fn, &goods, 0, GROVE_DEADLINE(0));

		GT_CHECK_IS(0, grove_join(greenlet, gt_soon()));
		GT_CHECK_IS(1, goods.arg);
		GT_CHECK_IS(0, goods.value);
		GT_CHECK_IS(ways[i].reports, gt_take_reports(NULL));
		let_go(greenlet);
		GT_CHECK_IS(1, goods.arg);
		GT_CHECK_IS(ways[i].values, goods.value);
	}
}

/* GL-7: killed or cancelled before it ran: the argument goes inside that call, on every path. */
GT_TEST(test_release_without_a_run)
{
	for (int kill = 0; kill < 2; kill++) {
		for (int way = 0; way < 3; way++) {
			struct goods goods;
			grove_greenlet *greenlet =
				spawn_goods(keep_goods, &goods, way == 0 ? GROVE_UNSTARTED : 0,
					    way == 1 ? grove_in_s(3600) : GROVE_DEADLINE(0));

			if (way == 2 && grove_hub_count() > 1) {
				gt_join(greenlet); /* another hub may have begun it */
				continue;
			}
			if (kill)
				GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
			else
				GT_CHECK_IS(0, grove_cancel(greenlet));
			GT_CHECK_IS(1, goods.arg);
			let_go(greenlet);
			GT_CHECK_IS(1, goods.arg);
			GT_CHECK_IS(0, goods.value);
		}
	}
}

static struct goods left_behind;

static void *make_without_starting(void *arg)
{
	(void)arg;
	grove_greenlet_release(
		spawn_goods(keep_goods, &left_behind, GROVE_UNSTARTED, GROVE_DEADLINE(0)));
	return NULL;
}

/* GL-7: made, never started, and let go: it will never run. */
GT_TEST(test_release_of_what_was_never_started)
{
	gt_join(gt_spawn(make_without_starting, NULL));
	gt_until(left_behind.arg == 1);
	GT_CHECK_IS(0, left_behind.value);
}

static void release_greenlet(void *greenlet)
{
	grove_greenlet_release(greenlet);
}

static void *spawn_and_hand_up(void *depth)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *child = NULL;

	if (depth == NULL)
		return NULL;
	attributes.release_value = release_greenlet;
	GT_CHECK_IS(0, grove_spawn_with(&child, spawn_and_hand_up,
					GT_VALUE((intptr_t)depth - 1), &attributes));
	GT_CHECK_IS(0, grove_join(child, gt_soon()));
	return child;
}

/* GL-7: what is released may itself be a handle: a row of them goes with the last one. */
GT_TEST(test_release_of_handles)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlet = NULL;

	attributes.release_value = release_greenlet;
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, spawn_and_hand_up, GT_VALUE(20), &attributes));
	GT_CHECK_IS(0, grove_join(greenlet, gt_soon()));

	uint64_t deepest = 0;
	for (grove_greenlet *g = greenlet; g != NULL; g = grove_value(g))
		deepest = grove_id(g);
	GT_CHECK(!gt_gone(deepest));
	grove_greenlet_release(greenlet);
	gt_until(gt_gone(deepest));
}

/* --- GL-11: hooks ----------------------------------------------------------------------------------- */

struct hook {
	_Atomic int told;
	uint64_t id;
	int state;
	bool in_greenlet;
};

static struct hook hook;

static void on_spawn(grove_greenlet *greenlet, void *arg)
{
	(void)arg;
	hook.id = grove_id(greenlet);
	hook.state = grove_greenlet_state(greenlet);
	hook.in_greenlet = grove_in_greenlet();
	atomic_fetch_add(&hook.told, 1);
}

static void check_told(int times, grove_greenlet *greenlet)
{
	GT_CHECK_IS(times, hook.told);
	if (times != 0) {
		GT_CHECK(hook.id == grove_id(greenlet));
		GT_CHECK(hook.in_greenlet);
		GT_CHECK(hook.state == GROVE_NEW || hook.state == GROVE_PENDING);
	}
	atomic_store(&hook.told, 0);
}

static void use_hook(void)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlet = NULL;

	/* Main itself was told of before it began. */
	GT_CHECK_IS(1, hook.told);
	GT_CHECK(hook.id == grove_id(grove_self()));
	atomic_store(&hook.told, 0);

	greenlet = gt_spawn(gt_return_it, NULL);
	check_told(1, greenlet);
	gt_join(greenlet);
	GT_CHECK_IS(0, grove_spawn_later(&greenlet, gt_return_it, NULL, grove_in_ms(2)));
	check_told(1, greenlet);
	gt_join(greenlet);
	check_told(0, NULL);

	/* When it is started, not when it is made. */
	attributes.flags = GROVE_UNSTARTED;
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, gt_return_it, NULL, &attributes));
	check_told(0, NULL);
	GT_CHECK_IS(0, grove_greenlet_start(greenlet, grove_in_ms(1)));
	check_told(1, greenlet);
	GT_CHECK_IS(-EALREADY, grove_greenlet_start(greenlet, GROVE_POLL));
	check_told(0, NULL);
	gt_join(greenlet);

	GT_CHECK_IS(0, grove_spawn_with(&greenlet, gt_return_it, NULL, &attributes));
	GT_CHECK_IS(0, grove_kill(greenlet, NULL, GROVE_POLL));
	check_told(0, NULL);
	gt_join(greenlet);

	attributes.flags = 0;
	attributes.name = "named";
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, gt_return_it, NULL, &attributes));
	check_told(1, greenlet);
	gt_join(greenlet);

	uint64_t id = 0;
	GT_CHECK_IS(0, grove_spawn_raw(&id, gt_return_it, NULL));
	GT_CHECK_IS(1, hook.told);
	GT_CHECK(hook.id == id);
}

/* GL-11: told of each greenlet once, by whoever starts it, before it can run. */
static void test_spawn_hook(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;

	(void)state;
	memset(&hook, 0, sizeof(hook));
	options.on_spawn = on_spawn;
	gt_run_with(use_hook, &options);
}

/* --- GT-6: cancel ------------------------------------------------------------------------------------ */

/* GT-6, CASES 121: cancel takes away what has not begun, and nothing else. */
GT_TEST(test_cancel)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *greenlet = NULL;
	bool ran = false;

	GT_CHECK_IS(0, grove_spawn_later(&greenlet, gt_note_run, &ran, grove_in_s(3600)));
	GT_CHECK_IS(0, grove_cancel(greenlet));
	GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(greenlet));
	GT_CHECK_IS(0, gt_stats().timers);
	GT_CHECK_IS(-EALREADY, grove_cancel(greenlet));
	GT_CHECK_IS(0, gt_value_of(greenlet));
	GT_CHECK(!ran);

	GT_CHECK_IS(0, grove_spawn_later(&greenlet, wait_then_return, &event, grove_in_ms(1)));
	gt_until_parked(greenlet);
	GT_CHECK_IS(-EALREADY, grove_cancel(greenlet));
	GT_CHECK_IS(0, grove_event_send(&event, V1));
	GT_CHECK_IS(0, grove_join(greenlet, gt_soon()));
	GT_CHECK_IS(-EALREADY, grove_cancel(greenlet));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
	GT_CHECK_IS(-EINVAL, grove_cancel(NULL));
}

/* --- HB-15: with the spawner -------------------------------------------------------------------------- */

struct family {
	bool ran;
	grove_greenlet *child;
	grove_deadline when;
};

static void *leave_child(void *arg)
{
	struct family *family = arg;
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;

	attributes.flags = GROVE_WITH_SPAWNER;
	attributes.when = family->when;
	GT_CHECK_IS(0, grove_spawn_with(&family->child, gt_note_run, &family->ran, &attributes));
	return NULL;
}

static void *leave_child_and_wait(void *arg)
{
	struct family *family = arg;

	leave_child(arg);
	GT_CHECK_IS(0, grove_join(family->child, gt_soon()));
	return NULL;
}

/* HB-15, GT-1, CASES 122: eventlet's spawn_after_local. */
GT_TEST(test_with_spawner)
{
	struct family orphan = { .when = grove_in_ms(3) };
	struct family child = { .when = grove_in_ms(3) };

	gt_join(gt_spawn(leave_child, &orphan));
	GT_CHECK_IS(0, grove_join(orphan.child, gt_soon()));
	GT_CHECK(!orphan.ran);
	GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(orphan.child));
	grove_greenlet_release(orphan.child);

	gt_join(gt_spawn(leave_child_and_wait, &child));
	GT_CHECK(child.ran);
	GT_CHECK_IS(GROVE_DONE, grove_greenlet_state(child.child));
	grove_greenlet_release(child.child);
}

static void *spawn_with_nobody(void *arg)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;

	attributes.flags = GROVE_WITH_SPAWNER;
	return GT_VALUE(grove_spawn_with(NULL, gt_return_it, arg, &attributes));
}

/* HB-15: who is no greenlet is no spawner. */
GT_TEST(test_spawner_has_to_be_a_greenlet)
{
	pthread_t thread;
	void *rc = NULL;

	gt_thread_start(&thread, spawn_with_nobody, NULL);
	pthread_join(thread, &rc);
	GT_CHECK_IS(-ESRCH, (intptr_t)rc);
}

/* --- other attributes --------------------------------------------------------------------------------- */

static void *stay_on(void *hub)
{
	for (int i = 0; i < 200; i++) {
		GT_CHECK_IS((intptr_t)hub, grove_hub_id());
		GT_CHECK_IS(0, i % 8 == 0 ? grove_sleep(grove_in_ns(20000)) : grove_yield());
	}
	return NULL;
}

/* GROVE_ON_HUB: there and nowhere else. */
GT_TEST(test_on_hub)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlets[32];

	attributes.flags = GROVE_ON_HUB;
	for (int i = 0; i < 32; i++) {
		attributes.hub = i % grove_hub_count();
		GT_CHECK_IS(0, grove_spawn_with(&greenlets[i], stay_on,
						GT_VALUE(i % grove_hub_count()), &attributes));
	}
	for (int i = 0; i < 32; i++)
		gt_join(greenlets[i]);
	attributes.hub = GROVE_ANY_HUB;
	GT_CHECK_IS(0, grove_spawn_with(&greenlets[0], gt_return_it, V1, &attributes));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlets[0]));
}

static void *stay_where_it_is(void *arg)
{
	GT_CHECK_IS(-EOVERFLOW, grove_unpin());
	GT_CHECK_IS(0, grove_pin());
	GT_CHECK_IS(0, grove_pin());
	int hub = grove_hub_id();
	for (int i = 0; i < 200; i++) {
		GT_CHECK_IS(hub, grove_hub_id());
		GT_CHECK_IS(0, i % 8 == 0 ? grove_sleep(grove_in_ns(20000)) : grove_yield());
		if (i == 100)
			GT_CHECK_IS(0, grove_unpin());
	}
	GT_CHECK_IS(0, grove_unpin());
	GT_CHECK_IS(-EOVERFLOW, grove_unpin());
	return arg;
}

/* Pins nest. */
GT_TEST(test_pin)
{
	grove_greenlet *greenlets[16];

	for (int i = 0; i < 16; i++)
		greenlets[i] = gt_spawn(stay_where_it_is, NULL);
	for (int i = 0; i < 16; i++)
		gt_join(greenlets[i]);
}

static void *use_stack(void *bytes)
{
	volatile char block[128 << 10];

	for (size_t i = 0; i < (size_t)(uintptr_t)bytes; i += 4096)
		block[i] = (char)i;
	return GT_VALUE(block[0] == 0);
}

/* A stack of its own size. */
GT_TEST(test_stack_size)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlet = NULL;

	attributes.stack_size = 512 << 10;
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, use_stack, GT_VALUE(128 << 10), &attributes));
	GT_CHECK_IS(1, gt_value_of(greenlet));
	attributes.stack_size = 16 << 10;
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, gt_return_it, V1, &attributes));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(greenlet));
}

enum { LIMIT = 10 };

static void spawn_up_to_the_limit(void)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *greenlets[LIMIT];
	grove_greenlet *more = NULL;

	for (int i = 0; i < LIMIT - 1; i++)
		greenlets[i] = gt_spawn(wait_then_return, &event);
	GT_CHECK_IS(-EAGAIN, grove_spawn(&more, gt_return_it, V1));
	GT_CHECK_IS(-EAGAIN, grove_spawn_raw(NULL, gt_return_it, V1));
	GT_CHECK_IS(-EAGAIN, grove_spawn_later(&more, gt_return_it, V1, grove_in_ms(1)));
	GT_CHECK_IS(0, grove_kill(greenlets[0], NULL, gt_soon()));
	gt_join(greenlets[0]);
	GT_CHECK_IS(0, grove_spawn(&more, gt_return_it, V1));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(more));
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	for (int i = 1; i < LIMIT - 1; i++)
		gt_join(greenlets[i]);
}

/* The option max_greenlets, main included. */
static void test_limit(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;

	(void)state;
	options.max_greenlets = LIMIT;
	gt_run_with(spawn_up_to_the_limit, &options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_null_function_is_refused),
		cmocka_unit_test(test_bad_attributes_are_refused),
		cmocka_unit_test(test_all_forms_run),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_children_of_children),
		cmocka_unit_test(test_spawn_from_a_thread),
		cmocka_unit_test(test_release_after_the_end),
		cmocka_unit_test(test_release_without_a_run),
		cmocka_unit_test(test_release_of_what_was_never_started),
		cmocka_unit_test(test_release_of_handles),
		cmocka_unit_test(test_spawn_hook),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_with_spawner),
		cmocka_unit_test(test_spawner_has_to_be_a_greenlet),
		cmocka_unit_test(test_on_hub),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_stack_size),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
