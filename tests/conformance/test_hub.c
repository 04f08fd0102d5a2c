/* SPDX-License-Identifier: MIT */
/*
 * test_hub.c - HB-1 to HB-18: hubs, their order, their beginning and end; CASES M.  Callbacks and
 * timers are in test_async_timer.c.
 */
#include "gt.h"

#include <sys/resource.h>
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
	_Atomic bool stop = false;
	struct pair pair = { .stop = &stop };
	void *args[2][2] = { { &pair, GT_VALUE(0) }, { &pair, GT_VALUE(1) } };
	grove_greenlet *players[2];

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

/* HB-5: a wake-up queues like a spawn. */
static void *wait_and_write(void *event)
{
	GT_CHECK_IS(0, grove_event_wait(event, NULL, gt_soon()));
	strcat(written, "w ");
	return NULL;
}

GT_STRICT_TEST(test_wakeups_and_spawns_share_the_queue)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *waiter = gt_spawn_parked(wait_and_write, &event);

	written[0] = '\0';
	GT_CHECK_IS(0, grove_spawn(NULL, write_name, "a "));
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(0, grove_spawn(NULL, write_name, "b "));
	GT_CHECK_IS(0, grove_yield());
	GT_CHECK(strcmp(written, "a w b ") == 0);
	gt_join(waiter);
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

static int64_t cpu_ns(const struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * INT64_C(1000000000) +
	       (u->ru_utime.tv_usec + u->ru_stime.tv_usec) * INT64_C(1000);
}

/* CASES 332 [N]: nobody has anything to do: no CPU is used, and nobody wakes up now and then. */
GT_TEST(test_idle_hubs_sleep)
{
	enum { SLEEPERS = 200 };
	grove_event event = GROVE_EVENT_INIT;
	grove_greenlet *sleepers[SLEEPERS];
	struct rusage before, after;

	for (int i = 0; i < SLEEPERS; i++)
		sleepers[i] = gt_spawn_parked(wait_for_ever, &event);
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(20)));
	getrusage(RUSAGE_SELF, &before);
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(250)));
	getrusage(RUSAGE_SELF, &after);
	GT_CHECK(cpu_ns(&after) - cpu_ns(&before) < 25 * GT_MS);
	GT_CHECK(after.ru_nvcsw - before.ru_nvcsw < 60);
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
		cmocka_unit_test(test_run_ends_with_blocked_greenlets),
		cmocka_unit_test(test_stop_waits_for_greenlets),
		cmocka_unit_test(test_stop_ends_waits_of_threads),
		cmocka_unit_test(test_short_threads_leave_nothing),
		cmocka_unit_test(test_runtimes_come_and_go),
		cmocka_unit_test(test_no_wakeup_of_a_hub_is_lost),
		cmocka_unit_test(test_idle_hubs_help_a_busy_one),
		cmocka_unit_test(test_idle_hubs_sleep),
	};

	return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}
