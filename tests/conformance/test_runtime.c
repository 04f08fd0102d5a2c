/* SPDX-License-Identifier: MIT */
/*
 * test_runtime.c - HB-1, HB-17: how hubs begin and end, sleep and are woken; CASES M.
 */
#include "gt.h"

#include <sys/socket.h>
#include <unistd.h>

static int numbers[4];

#define V1 (&numbers[1])

static void *wait_for_ever(void *event)
{
	return GT_VALUE(grove_event_wait(event, NULL, GROVE_NEVER));
}

/* --- HB-1: on first need ------------------------------------------------------------------------------ */

static void stop_what_started_itself(const struct gt_mark *before)
{
	GT_CHECK(grove_hub_count() > 0);
	GT_CHECK_IS(0, grove_stop(gt_soon()));
	GT_CHECK_IS(0, grove_hub_count());
	GT_CHECK_IS(-EOVERFLOW, grove_stop(GROVE_POLL));
	gt_check_left(before);
}

/* HB-1: nothing has to be started; the first spawn, wait or timer does it. */
static void test_first_need_starts_it(void **state)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_timer timer = GROVE_TIMER_INIT;
	struct gt_mark before = gt_mark();

	(void)state;
	GT_CHECK_IS(0, grove_hub_count());
	GT_CHECK_IS(-ESRCH, grove_hub_id());
	GT_CHECK(!grove_in_greenlet());
	GT_CHECK_IS((intptr_t)V1, gt_value_of(gt_spawn(gt_return_it, V1)));
	stop_what_started_itself(&before);

	GT_CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, NULL, grove_in_ms(1)));
	GT_CHECK_IS(0, grove_event_destroy(&event));
	stop_what_started_itself(&before);

	GT_CHECK_IS(0, grove_timer_start(&timer, (grove_cb *)abort, NULL, 0, 0, grove_in_s(3600)));
	stop_what_started_itself(&before);
	/* HB-17: what was armed is idle again. */
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	GT_CHECK_IS(0, grove_timer_destroy(&timer));
}

static void count_and_nest(void)
{
	int hubs = grove_hub_count();
	grove_options options = GROVE_OPTIONS_INIT;

	GT_CHECK(hubs >= 1);
	GT_CHECK(grove_hub_id() >= 0 && grove_hub_id() < hubs);
	GT_CHECK(grove_in_greenlet());
	/* Under grove_run starts and stops only count, and there is one runtime. */
	GT_CHECK_IS(0, grove_start(NULL));
	GT_CHECK_IS(0, grove_stop(GROVE_POLL));
	GT_CHECK_IS(-EOVERFLOW, grove_stop(GROVE_POLL));
	GT_CHECK_IS(-EBUSY, grove_start(&options));
	GT_CHECK_IS(-EBUSY, grove_run(gt_return_it, NULL, NULL, NULL));
	GT_CHECK_IS(hubs, grove_hub_count());
}

/* HB-1: as many hubs as were asked for. */
static void test_hub_count(void **state)
{
	(void)state;
	gt_run(count_and_nest);
	GT_CHECK_IS(0, grove_hub_count());
}

static _Atomic int hub_starts, hub_stops;

static void note_hub_start(int hub, void *arg)
{
	(void)arg;
	GT_CHECK_IS(hub, grove_hub_id());
	GT_CHECK(!grove_in_greenlet());
	atomic_fetch_add(&hub_starts, 1);
}

static void note_hub_stop(int hub, void *arg)
{
	(void)arg;
	GT_CHECK_IS(hub, grove_hub_id());
	atomic_fetch_add(&hub_stops, 1);
}

static int most_hubs;

static void look_at_hubs(void)
{
	most_hubs = grove_hub_count();
	gt_until(hub_starts == most_hubs);
	GT_CHECK_IS(0, hub_stops);
}

/* HB-1, HB-17: each hub says that it begins, and that it ends, on its own pthread. */
static void test_hub_hooks(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;

	(void)state;
	atomic_store(&hub_starts, 0);
	atomic_store(&hub_stops, 0);
	options.on_hub_start = note_hub_start;
	options.on_hub_stop = note_hub_stop;
	gt_run_with(look_at_hubs, &options);
	GT_CHECK_IS(most_hubs, hub_starts);
	GT_CHECK_IS(most_hubs, hub_stops);
}

static void *leave_main(void *value)
{
	grove_exit(value);
}

/* HB-1: main may end itself from within; its value is that of the run. */
static void test_main_exits(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;
	struct gt_mark before = gt_mark();
	void *value = NULL;

	(void)state;
	gt_options(&options);
	GT_CHECK_IS(0, grove_run(leave_main, V1, &value, &options));
	GT_CHECK(value == V1);
	gt_check_left(&before);
}

/* --- HB-17: the end ------------------------------------------------------------------------------------- */

enum { BLOCKED = 120 };

struct blocked {
	grove_event event;
	grove_flag flag;
	grove_result result;
	int fds[2];
	grove_greenlet *joined;
	_Atomic int next;
	_Atomic int cleaned;
	_Atomic int released;
	_Atomic int odd; /* the last code that was not expected */
};

static void *block_somewhere(void *arg)
{
	struct blocked *b = arg;
	char byte;
	int rc;

	switch (atomic_fetch_add(&b->next, 1) % 6) {
	case 0:
		rc = grove_event_wait(&b->event, NULL, GROVE_NEVER);
		break;
	case 1:
		rc = grove_flag_wait(&b->flag, grove_in_s(3600));
		break;
	case 2:
		rc = grove_result_get(&b->result, NULL, GROVE_NEVER);
		break;
	case 3:
		rc = grove_sleep(grove_in_s(3600));
		break;
	case 4:
		/* It is killed as well, and who is first decides. */
		rc = grove_join(b->joined, GROVE_NEVER);
		rc = rc == 0 ? GROVE_KILLED : rc;
		break;
	default:
		rc = (int)grove_read(b->fds[0], &byte, 1, GROVE_NEVER);
		if (rc == -EBUSY)
			rc = grove_sleep(GROVE_NEVER);
	}
	if (rc != GROVE_KILLED)
		atomic_store(&b->odd, rc);
	/* Cleaning up may take some turns, but spawns nobody any more. */
	(void)grove_yield();
	(void)grove_sleep(grove_in_ns(1000));
	int spawned = grove_spawn(NULL, gt_return_it, NULL);
	if (spawned != -ESHUTDOWN)
		atomic_store(&b->odd, spawned == 0 ? 1 : spawned);
	atomic_fetch_add(&b->cleaned, 1);
	return grove_fail_code(rc);
}

static void count_release(void *arg)
{
	atomic_fetch_add(&((struct blocked *)arg)->released, 1);
}

static void *leave_blocked_behind(void *arg)
{
	struct blocked *b = arg;
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;

	attributes.release_arg = count_release;
	attributes.flags = GROVE_UNSTARTED;
	GT_CHECK_IS(0, grove_spawn_with(&b->joined, gt_return_it, b, &attributes));
	attributes.flags = GROVE_ON_HUB;
	for (int i = 0; i < BLOCKED; i++) {
		attributes.hub = i % 2 == 0 ? GROVE_ANY_HUB : i / 2 % grove_hub_count();
		GT_CHECK_IS(0, grove_spawn_with(NULL, block_somewhere, b, &attributes));
	}
	gt_until(b->next == BLOCKED);
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(1)));
	/* These never begin: nobody gives way any more. */
	attributes.flags = 0;
	attributes.when = grove_in_s(3600);
	for (int i = 0; i < 10; i++)
		GT_CHECK_IS(0, grove_spawn_with(NULL, gt_return_it, b, &attributes));
	return V1;
}

/* HB-17, CASES 379 [N]: main ends while greenlets are blocked on all hubs, in all kinds of waits.  They are
 * killed, clean up, and the run ends. */
static void test_run_ends_with_blocked_greenlets(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;
	struct gt_mark before = gt_mark();
	struct blocked b = { .next = 0 };
	void *value = NULL;

	(void)state;
	gt_options(&options);
	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, b.fds));
	GT_CHECK_IS(0, grove_run(leave_blocked_behind, &b, &value, &options));
	GT_CHECK(value == V1);
	GT_CHECK_IS(BLOCKED, b.cleaned);
	GT_CHECK_IS(0, b.odd);
	GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(b.joined));
	GT_CHECK_IS(BLOCKED + 10 + 1, b.released);
	GT_CHECK_IS(0, gt_take_reports(NULL));
	GT_CHECK_IS(0, gt_take_lines());
	grove_greenlet_release(b.joined);
	GT_CHECK_IS(0, grove_event_destroy(&b.event));
	GT_CHECK_IS(0, grove_flag_destroy(&b.flag));
	GT_CHECK_IS(0, grove_result_destroy(&b.result));
	close(b.fds[0]);
	close(b.fds[1]);
	gt_check_left(&before);
}

static void *ignore_kills(void *event)
{
	int rc;

	do
		rc = grove_event_wait(event, NULL, GROVE_NEVER);
	while (rc == GROVE_KILLED);
	return GT_VALUE(rc);
}

/* HB-17: greenlets that do not end keep it running; the stop may be repeated. */
static void test_stop_waits_for_greenlets(void **state)
{
	grove_options options = GROVE_OPTIONS_INIT;
	struct gt_mark before = gt_mark();
	grove_event event = GROVE_EVENT_INIT;

	(void)state;
	gt_options(&options);
	GT_CHECK_IS(0, grove_start(&options));
	GT_CHECK_IS(0, grove_start(NULL));
	grove_greenlet *stubborn = gt_spawn_parked(ignore_kills, &event);
	GT_CHECK_IS(0, grove_stop(GROVE_POLL)); /* one user less */
	GT_CHECK_IS(-EAGAIN, grove_stop(GROVE_POLL));
	GT_CHECK_IS(-ETIMEDOUT, grove_stop(grove_in_ms(5)));
	GT_CHECK(grove_hub_count() > 0);
	GT_CHECK(!grove_ready(stubborn));
	GT_CHECK(gt_take_lines() > 0);
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(0, grove_stop(gt_soon()));
	GT_CHECK_IS(0, gt_value_of(stubborn));
	GT_CHECK_IS(-EOVERFLOW, grove_stop(GROVE_POLL));
	(void)gt_take_lines();
	gt_check_left(&before);
}

struct outside {
	grove_event event;
	int rc;
};

static void *wait_outside(void *arg)
{
	struct outside *o = arg;

	o->rc = grove_event_wait(&o->event, NULL, gt_soon());
	return NULL;
}

/* HB-17: a foreign pthread that waits while it stops is told so. */
static void test_stop_ends_waits_of_threads(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct outside o = { .rc = 1 };
		pthread_t thread;

		GT_CHECK_IS(0, grove_start(NULL));
		long long nodes = gt_mark().nodes;
		gt_thread_start(&thread, wait_outside, &o);
		gt_until(gt_mark().nodes > nodes); /* it waits, or is about to */
		GT_CHECK_IS(0, grove_stop(gt_soon()));
		pthread_join(thread, NULL);
		GT_CHECK_IS(-ECANCELED, o.rc);
		GT_CHECK_IS(0, grove_event_destroy(&o.event));
	}
}

static void *use_it_shortly(void *arg)
{
	grove_event event = GROVE_EVENT_INIT;

	GT_CHECK_IS((intptr_t)arg, gt_value_of(gt_spawn(gt_return_it, arg)));
	GT_CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, NULL, GROVE_DEADLINE(0)));
	GT_CHECK_IS(0, grove_event_destroy(&event));
	return NULL;
}

/* HB-17, CASES 322: a thousand short pthreads use it, and leave nothing behind. */
GT_THREAD_TEST(test_short_threads_leave_nothing)
{
	for (int i = 0; i < GT_SCALED(1000); i++) {
		pthread_t thread;

		gt_thread_start(&thread, use_it_shortly, V1);
		gt_thread_join(thread);
	}
}

static void *run_shortly(void *arg)
{
	grove_options options = GROVE_OPTIONS_INIT;

	gt_options(&options);
	if (arg == NULL) {
		GT_CHECK_IS(0, grove_run(use_it_shortly, V1, NULL, &options));
	} else {
		GT_CHECK_IS(0, grove_start(&options));
		use_it_shortly(V1);
		GT_CHECK_IS(0, grove_stop(gt_soon()));
	}
	return NULL;
}

/* HB-17, CASES 322: the runtime itself comes and goes, each time from another pthread. */
static void test_runtimes_come_and_go(void **state)
{
	struct gt_mark before;

	(void)state;
	run_shortly(V1);
	before = gt_mark();
	for (int i = 0; i < 100; i++) {
		pthread_t thread;

		gt_thread_start(&thread, run_shortly, i % 2 == 0 ? NULL : V1);
		pthread_join(thread, NULL);
	}
	gt_check_left(&before);
	GT_CHECK_IS(0, gt_take_reports(NULL));
}

/* --- waking and sleeping ----------------------------------------------------------------------------------- */

struct rally {
	grove_flag flags[2];
	int rounds;
};

static void *play(void *arg)
{
	void **args = arg;
	struct rally *rally = args[0];
	int number = (int)(intptr_t)args[1];

	for (int i = 0; i < rally->rounds; i++) {
		GT_CHECK_IS(0, grove_flag_wait(&rally->flags[number], gt_soon()));
		grove_flag_clear(&rally->flags[number]);
		grove_flag_set(&rally->flags[!number]);
	}
	return NULL;
}

/* CASES 331 [N]: two hubs take turns in going to sleep while the other wakes them. */
GT_TEST(test_no_wakeup_of_a_hub_is_lost)
{
	struct rally rally = { .rounds = GT_ROUNDS / 8 };
	void *args[2][2] = { { &rally, GT_VALUE(0) }, { &rally, GT_VALUE(1) } };
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *players[2];

	attributes.flags = GROVE_ON_HUB;
	for (int i = 0; i < 2; i++) {
		attributes.hub = i == 0 ? 0 : grove_hub_count() - 1;
		GT_CHECK_IS(0, grove_spawn_with(&players[i], play, args[i], &attributes));
	}
	grove_flag_set(&rally.flags[0]);
	for (int i = 0; i < 2; i++)
		gt_join(players[i]);
}

static void *raise_bool(void *flag)
{
	atomic_store((_Atomic bool *)flag, true);
	return NULL;
}

/* CASES 331 [N]: what is runnable on a hub that computes is run by another one. */
GT_TEST(test_idle_hubs_help_a_busy_one)
{
	if (grove_hub_count() == 1)
		return;
	for (int i = 0; i < 20; i++) {
		_Atomic bool ran = false;
		int64_t end = grove_now_ns() + GT_PATIENCE_NS;
		grove_greenlet *greenlet = gt_spawn(raise_bool, (void *)&ran);

		while (!atomic_load(&ran))
			GT_CHECK(grove_now_ns() < end);
		gt_join(greenlet);
	}
}

/* Whether next to nothing happened in the process for a quarter of a second. */
static bool was_quiet(void)
{
	uint64_t switches = gt_voluntary_switches(0, true);
	int64_t cpu = gt_cpu_ns(0, true);

	GT_CHECK_IS(0, grove_sleep(grove_in_ms(250)));
	return gt_voluntary_switches(0, true) - switches < 60 &&
	       gt_cpu_ns(0, true) - cpu < 25 * GT_MS;
}

/* HB-4, CASES 332 [N]: nobody has anything to do: no CPU is used, and nobody wakes up now and then.  A hub
 * that the kernel keeps from going to sleep is watched by another one, so the second look counts. */
GT_TEST(test_idle_hubs_sleep)
{
	enum { SLEEPERS = 200 };
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *sleepers[SLEEPERS];
	int looks = 1;

	for (int i = 0; i < SLEEPERS; i++)
		sleepers[i] = gt_spawn_parked(wait_for_ever, &event);
	while (!was_quiet() && looks < 8)
		looks++;
	GT_CHECK(looks < 8);
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	for (int i = 0; i < SLEEPERS; i++)
		GT_CHECK_IS(0, gt_value_of(sleepers[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_need_starts_it),
		cmocka_unit_test(test_hub_count),
		cmocka_unit_test(test_hub_hooks),
		cmocka_unit_test(test_main_exits),
		cmocka_unit_test(test_run_ends_with_blocked_greenlets),
		cmocka_unit_test(test_stop_waits_for_greenlets),
		cmocka_unit_test(test_stop_ends_waits_of_threads),
		cmocka_unit_test(test_short_threads_leave_nothing),
		cmocka_unit_test(test_runtimes_come_and_go),
		cmocka_unit_test(test_no_wakeup_of_a_hub_is_lost),
		cmocka_unit_test(test_idle_hubs_help_a_busy_one),
		cmocka_unit_test(test_idle_hubs_sleep),
	};

	return cmocka_run_group_tests_name("runtime", tests, NULL, NULL);
}
