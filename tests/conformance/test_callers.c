/* SPDX-License-Identifier: MIT */
/*
 * test_callers.c - every public function, called by a foreign pthread, by a hub callback, and by a
 * greenlet that is being killed.
 *
 * What would wait: a foreign pthread is blocked until the deadline, a callback gets GROVE_IN_HUB, and
 * a greenlet with a kill on its way gets GROVE_KILLED, once.  What can be answered without waiting is
 * answered everywhere alike, with GROVE_POLL.
 */
#include "gt.h"

#include "base/compiler.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void *nothing(void *arg)
{
	return arg;
}

static void do_nothing(void *arg)
{
	(void)arg;
}

/* --- what there is to wait for -------------------------------------------------------------------- */

static struct things {
	grove_event event;
	grove_flag flag;
	grove_result result;
	grove_async async;
	grove_greenlet *stubborn;
	grove_event may_end;
	int empty[2];	    /* nothing to read from [0] */
	int full[2];	    /* no room to write to [0] */
	int listener;	    /* nobody comes */
	char busy_name[64]; /* of one that takes no more */
	int busy;
	int waiting[8];	      /* for it */
	grove_server *server; /* with a handler that goes on */
	int client;
} things;

/* Lives on through all kills. */
static void *live_on(void *arg)
{
	while (grove_event_wait(&things.may_end, NULL, GROVE_NEVER) != 0)
		continue;
	return arg;
}

static void handle_for_ever(int fd, void *arg)
{
	(void)fd;
	(void)live_on(arg);
}

static struct sockaddr_un busy_address(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s", things.busy_name);
	return address;
}

static socklen_t busy_length(void)
{
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(things.busy_name));
}

/* A listener whose queue is full. */
static void make_busy(void)
{
	struct sockaddr_un address;
	int room = 0;

	snprintf(things.busy_name, sizeof(things.busy_name), "grove-callers-%d", (int)getpid());
	address = busy_address();
	things.busy = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	GT_CHECK_IS(0, bind(things.busy, (struct sockaddr *)&address, busy_length()));
	GT_CHECK_IS(0, listen(things.busy, 0));
	for (; room < (int)GV_ARRAY_LEN(things.waiting); room++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

		things.waiting[room] = fd;
		if (connect(fd, (struct sockaddr *)&address, busy_length()) < 0)
			break;
	}
	GT_CHECK(room < (int)GV_ARRAY_LEN(things.waiting));
	for (room++; room < (int)GV_ARRAY_LEN(things.waiting); room++)
		things.waiting[room] = -1;
}

static _Atomic bool handled;

static void note_and_handle(int fd, void *arg)
{
	atomic_store(&handled, true);
	handle_for_ever(fd, arg);
}

static void begin_things(void)
{
	char byte = 'x';
	char name[120];

	memset(&things, 0, sizeof(things));
	things.stubborn = gt_spawn(live_on, NULL);
	gt_until_parked(things.stubborn);
	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, things.empty));
	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, things.full));
	while (send(things.full[0], &byte, 1, MSG_DONTWAIT) == 1)
		continue;
	things.listener = grove_tcp_listen("127.0.0.1", 0);
	GT_CHECK(things.listener >= 0);
	make_busy();

	snprintf(name, sizeof(name), "unix:@grove-server-%d", (int)getpid());
	int listener = grove_tcp_listen(name, 0);
	GT_CHECK(listener >= 0);
	atomic_store(&handled, false);
	GT_CHECK_IS(0, grove_server_new(&things.server, listener, NULL, note_and_handle, NULL));
	things.client = grove_tcp_connect(name, 0, gt_soon());
	GT_CHECK(things.client >= 0);
	gt_until(atomic_load(&handled));
}

static void end_things(void)
{
	GT_CHECK_IS(0, grove_event_send(&things.may_end, NULL));
	gt_join(things.stubborn);
	GT_CHECK_IS(0, grove_server_stop(things.server, gt_soon()));
	GT_CHECK_IS(0, grove_server_free(things.server));
	GT_CHECK_IS(0, grove_close(things.client));
	for (int i = 0; i < 2; i++) {
		GT_CHECK_IS(0, grove_close(things.empty[i]));
		GT_CHECK_IS(0, grove_close(things.full[i]));
	}
	GT_CHECK_IS(0, grove_close(things.listener));
	GT_CHECK_IS(0, grove_close(things.busy));
	for (size_t i = 0; i < GV_ARRAY_LEN(things.waiting); i++) {
		if (things.waiting[i] >= 0)
			GT_CHECK_IS(0, grove_close(things.waiting[i]));
	}
	GT_CHECK_IS(0, grove_event_destroy(&things.event));
	GT_CHECK_IS(0, grove_flag_destroy(&things.flag));
	GT_CHECK_IS(0, grove_result_destroy(&things.result));
	GT_CHECK_IS(0, grove_async_destroy(&things.async));
	GT_CHECK_IS(0, grove_event_destroy(&things.may_end));
}

/* --- calls that would wait ------------------------------------------------------------------------ */

static ssize_t call_sleep(grove_deadline d)
{
	return grove_sleep(d);
}

static ssize_t call_event_wait(grove_deadline d)
{
	return grove_event_wait(&things.event, NULL, d);
}

static ssize_t call_flag_wait(grove_deadline d)
{
	return grove_flag_wait(&things.flag, d);
}

static ssize_t call_result_get(grove_deadline d)
{
	return grove_result_get(&things.result, NULL, d);
}

static ssize_t call_async_wait(grove_deadline d)
{
	return grove_async_wait(&things.async, d);
}

static ssize_t call_join(grove_deadline d)
{
	return grove_join(things.stubborn, d);
}

static ssize_t call_get(grove_deadline d)
{
	return grove_get(things.stubborn, NULL, d);
}

static ssize_t call_kill(grove_deadline d)
{
	return grove_kill(things.stubborn, NULL, d);
}

static ssize_t call_fd_wait(grove_deadline d)
{
	return grove_fd_wait(things.empty[0], GROVE_READ, d);
}

static ssize_t call_fd_wait_both(grove_deadline d)
{
	return grove_fd_wait(things.listener, GROVE_READ | GROVE_WRITE, d);
}

static ssize_t call_read(grove_deadline d)
{
	char byte;

	return grove_read(things.empty[0], &byte, 1, d);
}

static ssize_t call_write(grove_deadline d)
{
	return grove_write(things.full[0], "x", 1, d);
}

static ssize_t call_recv(grove_deadline d)
{
	char byte;

	return grove_recv(things.empty[0], &byte, 1, 0, d);
}

static ssize_t call_send(grove_deadline d)
{
	return grove_send(things.full[0], "x", 1, 0, d);
}

static ssize_t call_read_full(grove_deadline d)
{
	char bytes[2];
	size_t done = 1;
	ssize_t rc = grove_read_full(things.empty[0], bytes, 2, &done, d);

	GT_CHECK_IS(0, done);
	return rc;
}

static ssize_t call_write_full(grove_deadline d)
{
	size_t done = 1;
	ssize_t rc = grove_write_full(things.full[0], "xy", 2, &done, d);

	GT_CHECK_IS(0, done);
	return rc;
}

static ssize_t call_accept(grove_deadline d)
{
	return grove_accept(things.listener, NULL, NULL, d);
}

static ssize_t call_connect(grove_deadline d)
{
	struct sockaddr_un address = busy_address();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ssize_t rc = grove_connect(fd, (struct sockaddr *)&address, busy_length(), d);

	GT_CHECK_IS(0, grove_close(fd));
	return rc;
}

static ssize_t call_tcp_connect(grove_deadline d)
{
	char name[120];

	snprintf(name, sizeof(name), "unix:@%s", things.busy_name);
	return grove_tcp_connect(name, 0, d);
}

static ssize_t call_server_stop(grove_deadline d)
{
	return grove_server_stop(things.server, d);
}

static const struct wait {
	const char *name;
	ssize_t (*call)(grove_deadline deadline);
	int polled; /* the code under GROVE_POLL */
	int passed; /* the code when its deadline came */
} waits[] = {
	{ "sleep", call_sleep, 0, 0 },
	{ "event_wait", call_event_wait, -EAGAIN, -ETIMEDOUT },
	{ "flag_wait", call_flag_wait, -EAGAIN, -ETIMEDOUT },
	{ "result_get", call_result_get, -EAGAIN, -ETIMEDOUT },
	{ "async_wait", call_async_wait, -EAGAIN, -ETIMEDOUT },
	{ "join", call_join, -EAGAIN, -ETIMEDOUT },
	{ "get", call_get, -EAGAIN, -ETIMEDOUT },
	{ "kill", call_kill, 0, -ETIMEDOUT },
	{ "fd_wait", call_fd_wait, -EAGAIN, -ETIMEDOUT },
	{ "fd_wait, both", call_fd_wait_both, -EAGAIN, -ETIMEDOUT },
	{ "read", call_read, -EAGAIN, -ETIMEDOUT },
	{ "write", call_write, -EAGAIN, -ETIMEDOUT },
	{ "recv", call_recv, -EAGAIN, -ETIMEDOUT },
	{ "send", call_send, -EAGAIN, -ETIMEDOUT },
	{ "read_full", call_read_full, -EAGAIN, -ETIMEDOUT },
	{ "write_full", call_write_full, -EAGAIN, -ETIMEDOUT },
	{ "accept", call_accept, -EAGAIN, -ETIMEDOUT },
	{ "connect", call_connect, -EAGAIN, -ETIMEDOUT },
	{ "tcp_connect", call_tcp_connect, -EAGAIN, -ETIMEDOUT },
	{ "server_stop", call_server_stop, -EAGAIN, -ETIMEDOUT },
};

static void expect(const char *where, const struct wait *w, int code, ssize_t got)
{
	if (got != code)
		gt_die(__FILE__, __LINE__, "%s %s: %zd, not %d", w->name, where, got, code);
}

/* --- the contexts --------------------------------------------------------------------------------- */

struct callback {
	void (*fn)(void);
	_Atomic bool done;
};

static void run_callback(void *arg)
{
	struct callback *c = arg;

	c->fn();
	atomic_store(&c->done, true);
}

static void in_callback(void (*fn)(void))
{
	grove_timer timer = GROVE_TIMER_INIT;
	struct callback c = { .fn = fn };

	GT_CHECK_IS(0, grove_timer_start(&timer, run_callback, &c, 0, 0, GROVE_POLL));
	gt_until(atomic_load(&c.done));
	gt_until(grove_timer_destroy(&timer) == 0);
}

static void *run_function(void *arg)
{
	void (*fn)(void) = *(void (**)(void))arg;

	fn();
	return NULL;
}

static void on_a_pthread(void (*fn)(void))
{
	pthread_t thread;

	gt_thread_start(&thread, run_function, &fn);
	gt_thread_join(thread);
}

static void in_a_greenlet(void (*fn)(void))
{
	gt_join(gt_spawn(run_function, &fn));
}

/* --- waits ---------------------------------------------------------------------------------------- */

static void wait_outside(void)
{
	for (size_t i = 0; i < GV_ARRAY_LEN(waits); i++) {
		const struct wait *w = &waits[i];

		expect("outside, polling", w, w->polled, w->call(GROVE_POLL));
		expect("outside, too late", w, w->passed, w->call(GROVE_DEADLINE(0)));
		expect("outside", w, w->passed, w->call(grove_in_ms(2)));
	}
}

static void wait_in_callback(void)
{
	for (size_t i = 0; i < GV_ARRAY_LEN(waits); i++) {
		const struct wait *w = &waits[i];

		expect("in a callback, polling", w, w->polled, w->call(GROVE_POLL));
		expect("in a callback", w, GROVE_IN_HUB, w->call(GROVE_NEVER));
		expect("in a callback, for a time", w, GROVE_IN_HUB, w->call(grove_in_s(60)));
	}
	GT_CHECK_IS(0, grove_sleep(GROVE_DEADLINE(0)));
	GT_CHECK_IS(0, grove_yield());
}

static void wait_with_a_kill_pending(void)
{
	for (size_t i = 0; i < GV_ARRAY_LEN(waits); i++) {
		const struct wait *w = &waits[i];
		grove_failure *why = grove_failure_new(-EIO, "for %s", w->name);

		GT_CHECK_IS(0, grove_kill(grove_self(), why, GROVE_POLL));
		expect("killed, polling", w, w->polled, w->call(GROVE_POLL));
		expect("killed", w, GROVE_KILLED, w->call(GROVE_NEVER));
		GT_CHECK(grove_last_failure() == why);
		GT_CHECK(grove_cancel_requested());
		expect("after the kill", w, w->passed, w->call(grove_in_ms(2)));
		grove_failure_release(why);
	}
	GT_CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	GT_CHECK_IS(GROVE_KILLED, grove_yield());
	GT_CHECK_IS(0, grove_yield());
}

GT_TEST(test_waits_outside)
{
	begin_things();
	on_a_pthread(wait_outside);
	end_things();
}

GT_TEST(test_waits_in_a_callback)
{
	begin_things();
	in_callback(wait_in_callback);
	end_things();
}

GT_TEST(test_waits_with_a_kill_pending)
{
	begin_things();
	in_a_greenlet(wait_with_a_kill_pending);
	end_things();
}

static void *wait_until_killed(void *arg)
{
	const struct wait *w = arg;

	return GT_VALUE(w->call(GROVE_NEVER));
}

/* The kill finds it suspended; whoever kills may be anybody. */
static void kill_each_waiter(void)
{
	for (size_t i = 0; i < GV_ARRAY_LEN(waits); i++) {
		const struct wait *w = &waits[i];
		void *value = NULL;
		grove_greenlet *g;

		GT_CHECK_IS(0, grove_spawn(&g, wait_until_killed, (void *)(uintptr_t)w));
		if (grove_in_greenlet() || grove_hub_id() < 0)
			gt_until_parked(g);
		GT_CHECK_IS(0, grove_kill(g, NULL, GROVE_POLL));
		if (grove_in_greenlet() || grove_hub_id() < 0) {
			GT_CHECK_IS(0, grove_get(g, &value, gt_soon()));
			expect("killed while it waits", w, GROVE_KILLED, (ssize_t)(intptr_t)value);
		}
		grove_greenlet_release(g);
	}
}

GT_TEST(test_waiters_are_killed)
{
	begin_things();
	in_a_greenlet(kill_each_waiter);
	on_a_pthread(kill_each_waiter);
	in_callback(kill_each_waiter);
	end_things();
}

/* --- calls that do not wait ----------------------------------------------------------------------- */

enum caller { OUTSIDE, CALLBACK, KILLED };

static enum caller caller;

static void spawn_in_all_ways(void)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g;
	uint64_t id = 0;

	GT_CHECK_IS(0, grove_spawn(NULL, nothing, NULL));
	GT_CHECK_IS(0, grove_spawn_raw(&id, nothing, NULL));
	GT_CHECK(id != 0);
	GT_CHECK_IS(0, grove_spawn_copy(NULL, nothing, "bytes", 6));
	GT_CHECK_IS(0, grove_spawn_later(NULL, nothing, NULL, grove_in_ms(1)));
	GT_CHECK_IS(0, grove_spawn_with(NULL, nothing, NULL, &attributes));
	attributes.flags = GROVE_ON_HUB;
	GT_CHECK_IS(0, grove_spawn_with(NULL, nothing, NULL, &attributes));
	attributes.hub = GROVE_MAX_HUBS;
	GT_CHECK_IS(-EINVAL, grove_spawn_with(NULL, nothing, NULL, &attributes));
	attributes.flags = GROVE_WITH_SPAWNER;
	GT_CHECK_IS(caller == KILLED ? 0 : -ESRCH,
		    grove_spawn_with(NULL, nothing, NULL, &attributes));

	attributes.flags = GROVE_UNSTARTED;
	attributes.name = "a name";
	GT_CHECK_IS(0, grove_spawn_with(&g, nothing, NULL, &attributes));
	GT_CHECK_IS(GROVE_NEW, grove_greenlet_state(g));
	GT_CHECK(!grove_ready(g));
	GT_CHECK(grove_value(g) == NULL && grove_failure_of(g) == NULL);
	GT_CHECK(grove_number(g) != UINT64_MAX);
	GT_CHECK_IS(6, grove_name(g, NULL, 0));
	GT_CHECK_IS(0, grove_set_name(g, "another"));
	grove_greenlet *same = grove_lookup(grove_id(g));
	GT_CHECK(same == g);
	grove_greenlet_release(same);
	GT_CHECK_IS(0, grove_greenlet_start(g, grove_in_s(60)));
	GT_CHECK_IS(0, grove_cancel(g));
	GT_CHECK_IS(0, grove_join(g, GROVE_NEVER));
	GT_CHECK_IS(0, grove_get(g, NULL, GROVE_NEVER));
	GT_CHECK_IS(0, grove_kill(g, NULL, GROVE_NEVER));
	grove_greenlet_retain(g);
	grove_greenlet_release(g);
	grove_greenlet_release(g);
}

static void use_objects(void)
{
	grove_failure *failure = grove_failure_new(-EIO, "text");
	grove_event event = GROVE_EVENT_INIT;
	grove_flag flag = GROVE_FLAG_INIT;
	grove_result result = GROVE_RESULT_INIT;
	grove_async async = GROVE_ASYNC_INIT;
	grove_timer timer = GROVE_TIMER_INIT;
	void *value = NULL;

	GT_CHECK_IS(0, grove_event_send(&event, &event));
	GT_CHECK_IS(0, grove_event_wait(&event, &value, GROVE_NEVER)); /* sent: no wait */
	GT_CHECK(value == &event);
	GT_CHECK_IS(0, grove_event_reset(&event));
	GT_CHECK_IS(0, grove_event_send_failure(&event, failure));
	GT_CHECK_IS(GROVE_FAILED, grove_event_wait(&event, NULL, GROVE_NEVER));
	GT_CHECK(grove_last_failure() == failure);
	GT_CHECK_IS(0, grove_event_destroy(&event));
	grove_flag_set(&flag);
	GT_CHECK_IS(0, grove_flag_wait(&flag, GROVE_NEVER));
	grove_flag_clear(&flag);
	GT_CHECK_IS(0, grove_flag_destroy(&flag));
	GT_CHECK_IS(0, grove_result_set_failure(&result, failure));
	GT_CHECK_IS(GROVE_FAILED, grove_result_get(&result, NULL, GROVE_NEVER));
	GT_CHECK_IS(0, grove_result_destroy(&result));
	grove_async_send(&async);
	GT_CHECK_IS(0, grove_async_wait(&async, GROVE_NEVER));
	GT_CHECK_IS(0, grove_async_destroy(&async));
	GT_CHECK_IS(0, grove_timer_start(&timer, do_nothing, NULL, 0, 0, GROVE_NEVER));
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	GT_CHECK_IS(caller == KILLED ? 0 : -ESRCH,
		    grove_timer_start(&timer, do_nothing, NULL, 0, GROVE_TIMER_LOCAL, GROVE_NEVER));
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	GT_CHECK_IS(0, grove_timer_destroy(&timer));

	GT_CHECK_IS(0, grove_failure_attach(failure, NULL, NULL));
	GT_CHECK_IS(-EIO, grove_failure_code(failure));
	GT_CHECK_IS(0, strcmp("text", grove_failure_message(failure)));
	GT_CHECK(grove_failure_payload(failure) == NULL);
	GT_CHECK_IS(0, grove_failure_backtrace(failure, NULL, 0));
	grove_failure_retain(failure);
	grove_failure_release(failure);
	grove_failure_release(failure);
}

static void use_descriptors(void)
{
	int fd = grove_tcp_listen("127.0.0.1", 0);
	char bytes[2] = "";
	int pair[2];

	GT_CHECK(fd >= 0);
	GT_CHECK_IS(0, grove_close(fd));
	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	GT_CHECK_IS(2, grove_write(pair[0], "ab", 2, GROVE_NEVER));
	GT_CHECK_IS(GROVE_READ, grove_fd_wait(pair[1], GROVE_READ, GROVE_NEVER));
	GT_CHECK_IS(2, grove_read(pair[1], bytes, 2, GROVE_NEVER));
	GT_CHECK(memcmp(bytes, "ab", 2) == 0);
	GT_CHECK_IS(0, grove_shutdown(pair[0], SHUT_WR));
	GT_CHECK_IS(0, grove_read(pair[1], bytes, 2, GROVE_NEVER));
	GT_CHECK_IS(0, grove_fd_forget(pair[1]));
	GT_CHECK_IS(0, grove_close(pair[0]));
	GT_CHECK_IS(0, grove_close(pair[1]));
}

static void ask_about_the_caller(void)
{
	bool greenlet = caller == KILLED;

	GT_CHECK((grove_self() != NULL) == greenlet);
	GT_CHECK(grove_in_greenlet() == greenlet);
	GT_CHECK((grove_hub_id() >= 0) == (caller != OUTSIDE));
	GT_CHECK(grove_cancel_requested() == greenlet);
	GT_CHECK_IS(greenlet ? 0 : -ESRCH, grove_pin());
	GT_CHECK_IS(greenlet ? 0 : -ESRCH, grove_unpin());
	GT_CHECK(grove_hub_count() > 0);
	GT_CHECK(gt_stats().hubs > 0);
	GT_CHECK(grove_version()[0] != '\0');
	GT_CHECK_IS(0, strcmp("success", grove_strerror(0)));
	GT_CHECK(grove_is_timeout(-ETIMEDOUT));
	GT_CHECK(grove_left_ns(grove_in_s(60)) > 0);
	GT_CHECK(grove_left_ns(grove_at_ns(grove_now_ns() - 1)) == 0);
	grove_hold();
	grove_unhold();
	if (!greenlet)
		(void)(grove_fail(grove_failure_new(-EIO, NULL)) == NULL);
	GT_CHECK_IS(-EINVAL, grove_fork_child());

	bool callback = caller == CALLBACK;
	grove_options options = GROVE_OPTIONS_INIT;
	GT_CHECK_IS(callback ? GROVE_IN_HUB : -EBUSY, grove_run(nothing, NULL, NULL, NULL));
	GT_CHECK_IS(callback ? GROVE_IN_HUB : -EBUSY, grove_start(&options));
	GT_CHECK_IS(callback ? GROVE_IN_HUB : 0, grove_start(NULL));
	GT_CHECK_IS(callback ? GROVE_IN_HUB : 0, grove_stop(GROVE_NEVER));
}

/* None of it suspends, so the kill stays where it is. */
static void call_all(void)
{
	if (caller == KILLED)
		GT_CHECK_IS(0, grove_kill(grove_self(), NULL, GROVE_POLL));
	spawn_in_all_ways();
	use_objects();
	use_descriptors();
	ask_about_the_caller();
	if (caller == KILLED)
		GT_CHECK_IS(GROVE_KILLED, grove_sleep(GROVE_NEVER));
}

GT_TEST(test_calls_outside)
{
	caller = OUTSIDE;
	on_a_pthread(call_all);
}

GT_TEST(test_calls_in_a_callback)
{
	caller = CALLBACK;
	in_callback(call_all);
}

GT_TEST(test_calls_with_a_kill_pending)
{
	caller = KILLED;
	in_a_greenlet(call_all);
}

/* The other way to be killed: the greenlet is dead before it runs, and its handle works on. */
GT_TEST(test_killed_before_it_ran)
{
	grove_failure *why = grove_failure_new(-EIO, NULL);
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g;

	attributes.flags = GROVE_UNSTARTED;
	GT_CHECK_IS(0, grove_spawn_with(&g, nothing, NULL, &attributes));
	GT_CHECK_IS(0, grove_kill(g, why, GROVE_POLL));
	GT_CHECK_IS(GROVE_FAULTED, grove_greenlet_state(g));
	GT_CHECK_IS(GROVE_FAILED, grove_get(g, NULL, GROVE_POLL));
	GT_CHECK(grove_failure_of(g) == why);
	GT_CHECK_IS(-EALREADY, grove_greenlet_start(g, GROVE_POLL));
	GT_CHECK_IS(0, grove_kill(g, NULL, GROVE_NEVER));
	grove_greenlet_release(g);
	grove_failure_release(why);
	(void)gt_take_reports(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_outside),
		cmocka_unit_test(test_waits_in_a_callback),
		cmocka_unit_test(test_waits_with_a_kill_pending),
		cmocka_unit_test(test_waiters_are_killed),
		cmocka_unit_test(test_calls_outside),
		cmocka_unit_test(test_calls_in_a_callback),
		cmocka_unit_test(test_calls_with_a_kill_pending),
		cmocka_unit_test(test_killed_before_it_ran),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
