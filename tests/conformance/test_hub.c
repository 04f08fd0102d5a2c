/* SPDX-License-Identifier: MIT */
/*
 * test_hub.c - HB-2, HB-4 to HB-7, HB-11, HB-12, HB-18: hub context, fairness, order; CASES M.  Callbacks
 * and timers are in test_timer.c, the life of hubs is in test_runtime.c.
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

/* --- HB-2: hub context -------------------------------------------------------------------------------- */

struct in_hub {
	grove_event event;
	grove_flag flag, up;
	grove_result result;
	grove_async async, rung;
	grove_greenlet *alive, *dead, *spawned;
	int fds[2];
	grove_event done;
};

static void try_everything(void *arg)
{
	struct in_hub *h = arg;
	grove_deadline ahead = gt_soon();

	GT_CHECK(grove_self() == NULL);
	GT_CHECK(!grove_in_greenlet());
	GT_CHECK(grove_hub_id() >= 0);
	GT_CHECK(!grove_cancel_requested());

	/* What would have to wait fails at once. */
	GT_CHECK_IS(GROVE_IN_HUB, grove_sleep(ahead));
	GT_CHECK_IS(GROVE_IN_HUB, grove_sleep(GROVE_NEVER));
	GT_CHECK_IS(GROVE_IN_HUB, grove_event_wait(&h->event, NULL, GROVE_NEVER));
	GT_CHECK_IS(GROVE_IN_HUB, grove_flag_wait(&h->flag, ahead));
	GT_CHECK_IS(GROVE_IN_HUB, grove_result_get(&h->result, NULL, GROVE_NEVER));
	GT_CHECK_IS(GROVE_IN_HUB, grove_async_wait(&h->async, ahead));
	GT_CHECK_IS(GROVE_IN_HUB, grove_join(h->alive, GROVE_NEVER));
	GT_CHECK_IS(GROVE_IN_HUB, grove_get(h->alive, NULL, ahead));
	GT_CHECK_IS(GROVE_IN_HUB, grove_fd_wait(h->fds[0], GROVE_READ, ahead));
	GT_CHECK_IS(GROVE_IN_HUB, grove_run(gt_return_it, NULL, NULL, NULL));
	GT_CHECK_IS(GROVE_IN_HUB, grove_start(NULL));
	GT_CHECK_IS(GROVE_IN_HUB, grove_stop(GROVE_POLL));
	GT_CHECK_IS(-ESRCH, grove_pin());
	GT_CHECK_IS(-ESRCH, grove_unpin());

	/* What need not wait works. */
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, grove_sleep(GROVE_POLL));
	GT_CHECK_IS(0, grove_sleep(GROVE_DEADLINE(0)));
	GT_CHECK_IS(-EAGAIN, grove_event_wait(&h->event, NULL, GROVE_POLL));
	GT_CHECK_IS(-EAGAIN, grove_join(h->alive, GROVE_POLL));
	grove_flag_set(&h->up);
	GT_CHECK_IS(0, grove_flag_wait(&h->up, GROVE_NEVER));
	grove_async_send(&h->rung);
	GT_CHECK_IS(0, grove_async_wait(&h->rung, GROVE_NEVER));
	GT_CHECK_IS(0, grove_join(h->dead, GROVE_NEVER));
	GT_CHECK_IS(0, grove_result_set(&h->result, V1));
	GT_CHECK_IS(0, grove_spawn(&h->spawned, gt_return_it, V1));
	GT_CHECK(grove_fd_wait(h->fds[0], GROVE_WRITE, GROVE_NEVER) > 0);
	GT_CHECK_IS(0, grove_event_send(&h->done, NULL));
}

/* HB-2, CASES 313. */
GT_TEST(test_hub_context_does_not_wait)
{
	grove_event never = GROVE_EVENT_INIT;
	struct in_hub h = { .alive = gt_spawn_parked(wait_for_ever, &never) };
	grove_timer timer = GROVE_TIMER_INIT;

	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, h.fds));
	h.dead = gt_spawn(gt_return_it, NULL);
	GT_CHECK_IS(0, grove_join(h.dead, gt_soon()));
	GT_CHECK_IS(0, grove_timer_start(&timer, try_everything, &h, 0, 0, grove_in_ms(1)));
	GT_CHECK_IS(0, grove_event_wait(&h.done, NULL, gt_soon()));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(h.spawned));
	GT_CHECK_IS(0, grove_kill(h.alive, NULL, gt_soon()));
	grove_greenlet_release(h.alive);
	grove_greenlet_release(h.dead);
	gt_until(grove_timer_destroy(&timer) == 0);
	GT_CHECK_IS(0, grove_event_destroy(&never));
	GT_CHECK_IS(0, grove_close(h.fds[0]));
	GT_CHECK_IS(0, grove_close(h.fds[1]));
}

/* --- HB-4: fairness ----------------------------------------------------------------------------------- */

struct chain {
	grove_timer timers[2];
	_Atomic bool stop;
	_Atomic bool stopped;
	unsigned turn;
};

static void call_again(void *arg)
{
	struct chain *chain = arg;

	if (atomic_load(&chain->stop)) {
		atomic_store(&chain->stopped, true);
		return;
	}
	grove_timer *timer = &chain->timers[chain->turn++ % 2];
	GT_CHECK_IS(0, grove_timer_start(timer, call_again, chain, 0, 0, GROVE_POLL));
}

static void set_flag(void *flag)
{
	grove_flag_set(flag);
}

static void starve_nobody(void)
{
	struct chain chain = { .turn = 0 };
	grove_timer timer = GROVE_TIMER_INIT;
	grove_flag due = GROVE_FLAG_INIT;
	int fds[2];
	char byte = 'x';

	GT_CHECK_IS(0, pipe(fds));
	call_again(&chain);
	/* A timer, a sleeper, a greenlet and a descriptor all get in. */
	GT_CHECK_IS(0, grove_timer_start(&timer, set_flag, &due, 0, 0, grove_in_ns(100000)));
	GT_CHECK_IS(0, grove_flag_wait(&due, gt_soon()));
	GT_CHECK_IS(0, grove_sleep(grove_in_ns(100000)));
	GT_CHECK_IS((intptr_t)V1, gt_value_of(gt_spawn(gt_return_it, V1)));
	GT_CHECK_IS(1, write(fds[1], &byte, 1));
	GT_CHECK_IS(1, grove_read(fds[0], &byte, 1, gt_soon()));
	atomic_store(&chain.stop, true);
	gt_until(chain.stopped);
	for (int i = 0; i < 2; i++)
		gt_until(grove_timer_destroy(&chain.timers[i]) == 0);
	gt_until(grove_timer_destroy(&timer) == 0);
	GT_CHECK_IS(0, grove_close(fds[0]));
	GT_CHECK_IS(0, grove_close(fds[1]));
}

/* HB-4: callbacks that go on for ever starve neither timers nor descriptors nor greenlets. */
GT_TEST(test_chained_callbacks_starve_nobody)
{
	starve_nobody();
}

GT_STRICT_TEST(test_chained_callbacks_starve_nobody_in_strict_order)
{
	starve_nobody();
}

static void *spawn_for_ever(void *stop)
{
	if (!atomic_load((_Atomic bool *)stop))
		GT_CHECK_IS(0, grove_spawn(NULL, spawn_for_ever, stop));
	return NULL;
}

struct pair {
	grove_flag flags[2];
	_Atomic bool *stop;
};

static void *hand_over(void *arg)
{
	void **args = arg;
	struct pair *pair = args[0];
	int number = (int)(intptr_t)args[1];

	while (!atomic_load(pair->stop)) {
		GT_CHECK_IS(0, grove_flag_wait(&pair->flags[number], gt_soon()));
		grove_flag_clear(&pair->flags[number]);
		grove_flag_set(&pair->flags[!number]);
	}
	grove_flag_set(&pair->flags[!number]);
	return NULL;
}

/* HB-4: neither do greenlets that spawn greenlets for ever, nor two that hand over to each other. */
GT_TEST(test_busy_greenlets_starve_nobody)
{
	static _Atomic bool
		stop; /* outlives this frame: the count of the living is a sum in passing */
	struct pair pair = { .stop = &stop };
	void *args[2][2] = { { &pair, GT_VALUE(0) }, { &pair, GT_VALUE(1) } };
	grove_greenlet *players[2];

	atomic_store(&stop, false);
	for (int i = 0; i < grove_hub_count() && i < 2; i++)
		GT_CHECK_IS(0, grove_spawn(NULL, spawn_for_ever, &stop));
	for (int i = 0; i < 2; i++)
		players[i] = gt_spawn(hand_over, args[i]);
	grove_flag_set(&pair.flags[0]);
	for (int i = 0; i < 5; i++) {
		GT_CHECK_IS(0, grove_sleep(grove_in_ns(100000)));
		GT_CHECK_IS(0, grove_yield());
		GT_CHECK_IS((intptr_t)V1, gt_value_of(gt_spawn(gt_return_it, V1)));
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++) {
		grove_flag_set(&pair.flags[i]);
		gt_join(players[i]);
	}
	gt_until(gt_stats().live == 1); /* those that spawn look at `stop` */
}

/* --- HB-5, HB-6, HB-7: order --------------------------------------------------------------------------- */

static char written[64];

static void *write_name(void *name)
{
	strcat(written, name);
	return NULL;
}

static void write_in_hub(void *name)
{
	strcat(written, name);
}

/* HB-5: spawn, raw, callback and yield share one queue; what is due later comes after it. */
GT_STRICT_TEST(test_one_queue)
{
	grove_timer timer = GROVE_TIMER_INIT;

	written[0] = '\0';
	GT_CHECK_IS(0, grove_spawn_later(NULL, write_name, "later ", GROVE_DEADLINE(0)));
	GT_CHECK_IS(0, grove_spawn(NULL, write_name, "s1 "));
	GT_CHECK_IS(0, grove_spawn_raw(NULL, write_name, "raw "));
	GT_CHECK_IS(0, grove_timer_start(&timer, write_in_hub, "cb ", 0, 0, GROVE_POLL));
	GT_CHECK_IS(0, grove_spawn(NULL, write_name, "s2 "));
	strcat(written, "main ");
	GT_CHECK_IS(0, grove_yield());
	gt_until(strstr(written, "later") != NULL);
	GT_CHECK(strcmp(written, "main s1 raw cb s2 later ") == 0);
}

static void *spawn_and_yield(void *arg)
{
	(void)arg;
	strcat(written, "P ");
	GT_CHECK_IS(0, grove_spawn(NULL, write_name, "C "));
	GT_CHECK_IS(0, grove_yield());
	strcat(written, "P ");
	return NULL;
}

/* HB-6, CASES 85: a child comes behind those that were queued before it, its parent behind the child. */
GT_STRICT_TEST(test_child_queues_behind_siblings)
{
	written[0] = '\0';
	grove_greenlet *parent = gt_spawn(spawn_and_yield, NULL);
	GT_CHECK_IS(0, grove_spawn(NULL, write_name, "S "));
	gt_join(parent);
	GT_CHECK(strcmp(written, "P S C P ") == 0);
}

static void *wait_and_write(void *event)
{
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	strcat(written, "w");
	return NULL;
}

/* HB-5: a wake-up queues like a spawn, and many do. */
GT_STRICT_TEST(test_wakeups_and_spawns_share_the_queue)
{
	static const struct {
		int waiters;
		const char *order;
	} crowds[] = {
		{ 1, "awb" },
		{ 5, "awwwwwb" },
		{ 40, "awwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwb" },
	};

	for (size_t i = 0; i < GV_ARRAY_LEN(crowds); i++) {
		grove_event event = GROVE_EVENT_INIT;
		grove_greenlet *waiters[40];

		for (int j = 0; j < crowds[i].waiters; j++)
			waiters[j] = gt_spawn_parked(wait_and_write, &event);
		written[0] = '\0';
		GT_CHECK_IS(0, grove_spawn(NULL, write_name, "a"));
		GT_CHECK_IS(0, grove_event_send(&event, NULL));
		GT_CHECK_IS(0, grove_spawn(NULL, write_name, "b"));
		GT_CHECK_IS(0, grove_yield());
		GT_CHECK(strcmp(written, crowds[i].order) == 0);
		for (int j = 0; j < crowds[i].waiters; j++)
			gt_join(waiters[j]);
	}
}

/* HB-7: one hub runs nobody before the caller suspends, whatever the caller does. */
GT_TEST(test_spawn_runs_nobody)
{
	bool ran = false;
	grove_event event = GROVE_EVENT_INIT;

	if (grove_hub_count() > 1)
		return;
	grove_greenlet *greenlet = gt_spawn(gt_note_run, &ran);
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(0, grove_event_wait(&event, NULL, GROVE_NEVER));
	GT_CHECK(!grove_ready(greenlet));
	(void)gt_stats();
	GT_CHECK(!ran);
	gt_join(greenlet);
	GT_CHECK(ran);
}

/* --- HB-11, HB-12, HB-18: descriptors ------------------------------------------------------------------ */

static void *read_byte(void *fd)
{
	char byte = 0;
	ssize_t got = grove_read((int)(intptr_t)fd, &byte, 1, gt_soon());

	return GT_VALUE(got == 1 ? byte : got);
}

/* HB-11: one waiter for each direction; a second one is told so, and the first not disturbed. */
GT_TEST(test_one_reader_at_a_time)
{
	int fds[2];

	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	grove_greenlet *reader = gt_spawn_parked(read_byte, GT_VALUE(fds[0]));
	GT_CHECK_IS(-EBUSY, grove_fd_wait(fds[0], GROVE_READ, gt_soon()));
	GT_CHECK_IS(-EBUSY, gt_value_of(gt_spawn(read_byte, GT_VALUE(fds[0]))));
	GT_CHECK(grove_fd_wait(fds[0], GROVE_WRITE, gt_soon()) == GROVE_WRITE);
	GT_CHECK_IS(1, grove_write(fds[1], "y", 1, gt_soon()));
	GT_CHECK_IS('y', gt_value_of(reader));
	GT_CHECK_IS(0, grove_close(fds[0]));
	GT_CHECK_IS(0, grove_close(fds[1]));
}

/* HB-12 (eventlet #50): what has arrived is had, though the deadline has passed. */
GT_TEST(test_data_beats_a_passed_deadline)
{
	int fds[2];
	char byte = 0;

	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	GT_CHECK_IS(1, write(fds[1], "z", 1));
	GT_CHECK_IS(1, grove_read(fds[0], &byte, 1, GROVE_DEADLINE(0)));
	GT_CHECK_IS('z', byte);
	GT_CHECK_IS(-ETIMEDOUT, grove_read(fds[0], &byte, 1, GROVE_DEADLINE(0)));
	GT_CHECK_IS(-EAGAIN, grove_read(fds[0], &byte, 1, GROVE_POLL));
	GT_CHECK_IS(0, grove_close(fds[0]));
	GT_CHECK_IS(0, grove_close(fds[1]));
}

struct late {
	int fd;
	grove_deadline deadline;
	char byte;
};

static void *read_in_time(void *arg)
{
	struct late *late = arg;

	late->deadline = grove_in_ms(10);
	return GT_VALUE(grove_read(late->fd, &late->byte, 1, late->deadline));
}

/* HB-12: due and ready in one slice: one of the two, and nothing is lost. */
GT_TEST(test_due_deadline_and_ready_descriptor)
{
	struct late late = { .byte = 0 };
	int fds[2];

	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	late.fd = fds[0];
	grove_greenlet *reader = gt_spawn_parked(read_in_time, &late);
	gt_compute_until(late.deadline.ns + GT_MS);
	GT_CHECK_IS(1, write(fds[1], "q", 1));
	intptr_t got = gt_value_of(reader);
	if (got == -ETIMEDOUT)
		GT_CHECK_IS(1, grove_read(fds[0], &late.byte, 1, gt_soon()));
	else
		GT_CHECK_IS(1, got);
	GT_CHECK_IS('q', late.byte);
	GT_CHECK_IS(0, grove_close(fds[0]));
	GT_CHECK_IS(0, grove_close(fds[1]));
}

/* HB-18, CASES 319: no such descriptor. */
GT_TEST(test_bad_descriptors)
{
	int fds[2];

	GT_CHECK_IS(-EBADF, grove_fd_wait(-1, GROVE_READ, gt_soon()));
	GT_CHECK_IS(-EBADF, grove_close(-1));
	GT_CHECK_IS(0, pipe(fds));
	GT_CHECK_IS(-EINVAL, grove_fd_wait(fds[0], 0, gt_soon()));
	GT_CHECK_IS(-EINVAL, grove_fd_wait(fds[0], 0x80, gt_soon()));
	GT_CHECK_IS(0, grove_close(fds[0]));
	GT_CHECK_IS(0, grove_close(fds[1]));
	GT_CHECK_IS(-EBADF, grove_close(fds[1]));
	GT_CHECK_IS(-EBADF, grove_fd_wait(fds[1], GROVE_READ, gt_soon()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hub_context_does_not_wait),
		cmocka_unit_test(test_chained_callbacks_starve_nobody),
		cmocka_unit_test(test_chained_callbacks_starve_nobody_in_strict_order),
		cmocka_unit_test(test_busy_greenlets_starve_nobody),
		cmocka_unit_test(test_one_queue),
		cmocka_unit_test(test_child_queues_behind_siblings),
		cmocka_unit_test(test_wakeups_and_spawns_share_the_queue),
		cmocka_unit_test(test_spawn_runs_nobody),
		cmocka_unit_test(test_one_reader_at_a_time),
		cmocka_unit_test(test_data_beats_a_passed_deadline),
		cmocka_unit_test(test_due_deadline_and_ready_descriptor),
		cmocka_unit_test(test_bad_descriptors),
	};

	return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}
