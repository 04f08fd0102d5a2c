/* SPDX-License-Identifier: MIT */
/*
 * test_bad_input.c - what the functions say to arguments that have no meaning: NULL, objects that are
 * zeroed or destroyed, descriptors that are not open, options and variables that are out of bounds.
 *
 * Misuse that cannot be answered with a code ends the process with a message; each such case runs in
 * a child.
 */
#include "gt.h"

#include "base/check.h"
#include "child.h"

#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void *nothing(void *arg)
{
	return arg;
}

static void do_nothing(void *arg)
{
	(void)arg;
}

/* --- NULL ------------------------------------------------------------------------------------- */

static void null_functions(void)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_timer timer = GROVE_TIMER_INIT;

	GT_CHECK_IS(-EINVAL, grove_spawn(NULL, NULL, NULL));
	GT_CHECK_IS(-EINVAL, grove_spawn_raw(NULL, NULL, NULL));
	GT_CHECK_IS(-EINVAL, grove_spawn_copy(NULL, NULL, "x", 1));
	GT_CHECK_IS(-EINVAL, grove_spawn_copy(NULL, nothing, NULL, 1));
	GT_CHECK_IS(-EINVAL, grove_spawn_later(NULL, NULL, NULL, grove_in_ms(1)));
	GT_CHECK_IS(-EINVAL, grove_spawn_with(NULL, NULL, NULL, NULL));
	GT_CHECK_IS(-EINVAL, grove_spawn_with(NULL, NULL, NULL, &attributes));
	GT_CHECK_IS(-EINVAL, grove_timer_start(&timer, NULL, NULL, 0, 0, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_run(NULL, NULL, NULL, NULL));
}

static void null_greenlets(void)
{
	char name[8] = "before";

	GT_CHECK_IS(-EINVAL, grove_greenlet_start(NULL, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_join(NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_get(NULL, NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_kill(NULL, NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_cancel(NULL));
	GT_CHECK_IS(-EINVAL, grove_greenlet_state(NULL));
	GT_CHECK(!grove_ready(NULL));
	GT_CHECK(grove_value(NULL) == NULL);
	GT_CHECK(grove_failure_of(NULL) == NULL);
	GT_CHECK_IS(0, grove_id(NULL));
	GT_CHECK(grove_number(NULL) == UINT64_MAX);
	GT_CHECK_IS(-EINVAL, grove_set_name(NULL, "name"));
	GT_CHECK_IS(0, grove_name(NULL, name, sizeof(name)));
	GT_CHECK_IS(0, grove_name(NULL, NULL, 0));
	GT_CHECK(grove_lookup(0) == NULL);
	GT_CHECK(grove_lookup(UINT64_MAX) == NULL);
	grove_greenlet_retain(NULL);
	grove_greenlet_release(NULL);
}

static void null_objects(void)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_result result = GROVE_RESULT_INIT;

	GT_CHECK_IS(-EINVAL, grove_event_send(NULL, NULL));
	GT_CHECK_IS(-EINVAL, grove_event_send_failure(NULL, NULL));
	GT_CHECK_IS(-EINVAL, grove_event_send_failure(&event, NULL));
	GT_CHECK_IS(-EINVAL, grove_event_wait(NULL, NULL, GROVE_NEVER));
	GT_CHECK(!grove_event_ready(NULL));
	GT_CHECK_IS(-EINVAL, grove_event_reset(NULL));
	GT_CHECK_IS(-EINVAL, grove_event_destroy(NULL));

	grove_flag_set(NULL);
	grove_flag_clear(NULL);
	GT_CHECK(!grove_flag_is_set(NULL));
	GT_CHECK_IS(-EINVAL, grove_flag_wait(NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_flag_destroy(NULL));

	GT_CHECK_IS(-EINVAL, grove_result_set(NULL, NULL));
	GT_CHECK_IS(-EINVAL, grove_result_set_failure(NULL, NULL));
	GT_CHECK_IS(-EINVAL, grove_result_set_failure(&result, NULL));
	GT_CHECK_IS(-EINVAL, grove_result_get(NULL, NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_result_destroy(NULL));

	grove_async_send(NULL);
	GT_CHECK_IS(-EINVAL, grove_async_wait(NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_async_destroy(NULL));

	GT_CHECK_IS(-EINVAL, grove_timer_start(NULL, do_nothing, NULL, 0, 0, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_timer_cancel(NULL));
	GT_CHECK_IS(-EINVAL, grove_timer_destroy(NULL));

	GT_CHECK_IS(0, grove_event_destroy(&event));
	GT_CHECK_IS(0, grove_result_destroy(&result));
	GT_CHECK_IS(-EINVAL, grove_stats_read(NULL));
}

static void null_failures(void)
{
	void *frame;

	GT_CHECK_IS(-EINVAL, grove_failure_code(NULL));
	GT_CHECK_IS(0, strcmp("", grove_failure_message(NULL)));
	GT_CHECK(grove_failure_payload(NULL) == NULL);
	GT_CHECK_IS(0, grove_failure_backtrace(NULL, &frame, 1));
	GT_CHECK_IS(0, grove_failure_backtrace(NULL, NULL, 0));
	GT_CHECK_IS(-EINVAL, grove_failure_attach(NULL, NULL, NULL));
	grove_failure_retain(NULL);
	grove_failure_release(NULL);
}

static void null_everything(void)
{
	null_functions();
	null_greenlets();
	null_objects();
	null_failures();
}

/* On a pthread, without a runtime: none is started for this. */
static void test_null_starts_nothing(void **state)
{
	(void)state;
	null_everything();
	assert_int_equal(grove_hub_count(), 0);
}

GT_TEST(test_null_in_a_greenlet)
{
	uint64_t spawned = gt_stats().spawned;

	null_everything();
	GT_CHECK_IS(spawned, gt_stats().spawned);
}

GT_THREAD_TEST(test_null_outside)
{
	null_everything();
}

/* --- outputs that nobody wants ------------------------------------------------------------------ */

GT_TEST(test_outputs_may_be_null)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_result result = GROVE_RESULT_INIT;
	grove_greenlet *g = gt_spawn(nothing, &event);
	int ends[2];

	GT_CHECK_IS(0, grove_get(g, NULL, gt_soon()));
	GT_CHECK_IS(0, grove_set_name(g, "a name"));
	GT_CHECK_IS(6, grove_name(g, NULL, 0));
	grove_greenlet_release(g);
	GT_CHECK_IS(0, grove_event_send(&event, &event));
	GT_CHECK_IS(0, grove_event_wait(&event, NULL, GROVE_NEVER));
	GT_CHECK_IS(0, grove_event_destroy(&event));
	GT_CHECK_IS(0, grove_result_set(&result, &result));
	GT_CHECK_IS(0, grove_result_get(&result, NULL, GROVE_NEVER));
	GT_CHECK_IS(0, grove_result_destroy(&result));
	GT_CHECK_IS(0, pipe(ends));
	GT_CHECK_IS(0, grove_write_full(ends[1], "xy", 2, NULL, gt_soon()));
	char two[2];
	GT_CHECK_IS(0, grove_read_full(ends[0], two, 2, NULL, gt_soon()));
	GT_CHECK_IS(0, grove_close(ends[0]));
	GT_CHECK_IS(0, grove_close(ends[1]));
}

/* NULL as a name: the default again. */
GT_TEST(test_null_as_a_name)
{
	grove_greenlet *g = gt_spawn(nothing, NULL);
	char before[64];
	char after[64];

	GT_CHECK(grove_name(g, before, sizeof(before)) > 0);
	GT_CHECK_IS(0, grove_set_name(g, NULL));
	GT_CHECK_IS(0, grove_set_name(g, "another"));
	GT_CHECK_IS(0, grove_set_name(g, NULL));
	GT_CHECK(grove_name(g, after, sizeof(after)) > 0);
	GT_CHECK_IS(0, strcmp(before, after));
	gt_join(g);
}

/* --- zeroed and destroyed objects --------------------------------------------------------------- */

/* Whatever was in the memory before: zero bytes are a new object, for any number of lives. */
GT_TEST(test_zero_bytes_are_new_objects)
{
	grove_event event;
	grove_flag flag;
	grove_result result;
	grove_async async;
	grove_timer timer;

	for (int life = 0; life < 3; life++) {
		memset(&event, 0, sizeof(event));
		memset(&flag, 0, sizeof(flag));
		memset(&result, 0, sizeof(result));
		memset(&async, 0, sizeof(async));
		memset(&timer, 0, sizeof(timer));

		GT_CHECK(!grove_event_ready(&event));
		GT_CHECK_IS(-EINVAL, grove_event_reset(&event));
		GT_CHECK_IS(-EAGAIN, grove_event_wait(&event, NULL, GROVE_POLL));
		GT_CHECK_IS(0, grove_event_send(&event, NULL));
		GT_CHECK_IS(0, grove_event_destroy(&event));

		GT_CHECK(!grove_flag_is_set(&flag));
		GT_CHECK_IS(-EAGAIN, grove_flag_wait(&flag, GROVE_POLL));
		grove_flag_set(&flag);
		GT_CHECK_IS(0, grove_flag_destroy(&flag));

		GT_CHECK_IS(-EAGAIN, grove_result_get(&result, NULL, GROVE_POLL));
		GT_CHECK_IS(0, grove_result_set(&result, NULL));
		GT_CHECK_IS(0, grove_result_destroy(&result));

		GT_CHECK_IS(-EAGAIN, grove_async_wait(&async, GROVE_POLL));
		grove_async_send(&async);
		GT_CHECK_IS(0, grove_async_destroy(&async));

		GT_CHECK_IS(0, grove_timer_cancel(&timer));
		GT_CHECK_IS(0, grove_timer_start(&timer, do_nothing, NULL, 0, 0, GROVE_NEVER));
		GT_CHECK_IS(-EBUSY, grove_timer_destroy(&timer));
		GT_CHECK_IS(0, grove_timer_cancel(&timer));
		GT_CHECK_IS(0, grove_timer_destroy(&timer));
	}
}

GT_TEST(test_destroyed_objects_say_so)
{
	grove_failure *failure = grove_failure_new(-EIO, NULL);
	grove_event event = GROVE_EVENT_INIT;
	grove_flag flag = GROVE_FLAG_INIT;
	grove_result result = GROVE_RESULT_INIT;
	grove_async async = GROVE_ASYNC_INIT;
	grove_timer timer = GROVE_TIMER_INIT;
	static const grove_deadline deadlines[] = { { INT64_MIN }, { 0 }, { INT64_MAX } };

	GT_CHECK_IS(0, grove_event_destroy(&event));
	GT_CHECK_IS(0, grove_flag_destroy(&flag));
	GT_CHECK_IS(0, grove_result_destroy(&result));
	GT_CHECK_IS(0, grove_async_destroy(&async));
	GT_CHECK_IS(0, grove_timer_destroy(&timer));
	for (size_t i = 0; i < GV_ARRAY_LEN(deadlines); i++) {
		GT_CHECK_IS(-EINVAL, grove_event_wait(&event, NULL, deadlines[i]));
		GT_CHECK_IS(-EINVAL, grove_flag_wait(&flag, deadlines[i]));
		GT_CHECK_IS(-EINVAL, grove_result_get(&result, NULL, deadlines[i]));
		GT_CHECK_IS(-EINVAL, grove_async_wait(&async, deadlines[i]));
		GT_CHECK_IS(-EINVAL,
			    grove_timer_start(&timer, do_nothing, NULL, 0, 0, deadlines[i]));
	}
	GT_CHECK_IS(-EINVAL, grove_event_send(&event, NULL));
	GT_CHECK_IS(-EINVAL, grove_event_send(&event, (void *)UINTPTR_MAX));
	GT_CHECK_IS(-EINVAL, grove_event_send_failure(&event, failure));
	GT_CHECK(!grove_event_ready(&event));
	GT_CHECK_IS(-EINVAL, grove_event_reset(&event));
	GT_CHECK_IS(-EINVAL, grove_event_destroy(&event));
	grove_flag_set(&flag);
	grove_flag_clear(&flag);
	GT_CHECK(!grove_flag_is_set(&flag));
	GT_CHECK_IS(-EINVAL, grove_flag_destroy(&flag));
	GT_CHECK_IS(-EINVAL, grove_result_set(&result, NULL));
	GT_CHECK_IS(-EINVAL, grove_result_set_failure(&result, failure));
	GT_CHECK_IS(-EINVAL, grove_result_destroy(&result));
	grove_async_send(&async);
	GT_CHECK_IS(-EINVAL, grove_async_wait(&async, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_async_destroy(&async));
	GT_CHECK_IS(-EINVAL, grove_timer_cancel(&timer));
	GT_CHECK_IS(-EINVAL, grove_timer_destroy(&timer));
	grove_failure_release(failure);
}

/* --- values out of bounds ----------------------------------------------------------------------- */

GT_TEST(test_codes_of_failures)
{
	static const int no_codes[] = { 0, 1, INT_MAX };

	for (size_t i = 0; i < GV_ARRAY_LEN(no_codes); i++) {
		grove_failure *failure = grove_failure_new(no_codes[i], "text");

		GT_CHECK_IS(-EINVAL, grove_failure_code(failure));
		grove_failure_release(failure);
	}
	grove_failure *failure = grove_failure_new(INT_MIN, NULL);
	GT_CHECK_IS(INT_MIN, grove_failure_code(failure));
	GT_CHECK(grove_failure_message(failure)[0] != '\0');
	GT_CHECK_IS(0, grove_failure_attach(failure, &failure, NULL));
	GT_CHECK_IS(-EALREADY, grove_failure_attach(failure, NULL, NULL));
	grove_failure_release(failure);
	failure = grove_failure_exit();
	GT_CHECK_IS(-EBUSY, grove_failure_attach(failure, NULL, NULL));
	grove_failure_release(failure);
	GT_CHECK(grove_strerror(INT_MIN)[0] != '\0');
	GT_CHECK(grove_strerror(INT_MAX)[0] != '\0');
	GT_CHECK(grove_strerror(-4095)[0] != '\0');
	GT_CHECK(!grove_is_timeout(0));
}

GT_TEST(test_timers_out_of_bounds)
{
	grove_timer timer = GROVE_TIMER_INIT;

	GT_CHECK_IS(-EINVAL, grove_timer_start(&timer, do_nothing, NULL, -1, 0, GROVE_POLL));
	GT_CHECK_IS(-EINVAL, grove_timer_start(&timer, do_nothing, NULL, 0, 0x80u, GROVE_POLL));
	GT_CHECK_IS(0, grove_timer_start(&timer, do_nothing, NULL, INT64_MAX, 0, GROVE_NEVER));
	GT_CHECK_IS(-EBUSY, grove_timer_start(&timer, do_nothing, NULL, 0, 0, GROVE_NEVER));
	GT_CHECK_IS(0, grove_timer_cancel(&timer));
	GT_CHECK_IS(0, grove_timer_destroy(&timer));
}

/* The structure of the first release is the least; what a newer program wants more is zeroed. */
GT_TEST(test_sizes_of_structures)
{
	struct {
		grove_stats known;
		uint64_t more;
	} newer = { .known = GROVE_STATS_INIT, .more = 1 };
	grove_stats stats = { .size = 0 };

	GT_CHECK_IS(-EINVAL, grove_stats_read(&stats));
	stats.size = sizeof(stats) - 1;
	GT_CHECK_IS(-EINVAL, grove_stats_read(&stats));
	newer.known.size = sizeof(newer);
	GT_CHECK_IS(0, grove_stats_read(&newer.known));
	GT_CHECK_IS(0, newer.more);
	GT_CHECK_IS(sizeof(newer), newer.known.size);
}

/* An unstarted greenlet that nobody holds any more is gone, and is not counted as living. */
GT_TEST(test_unstarted_and_dropped)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	uint64_t live = gt_stats().live;
	grove_greenlet *g;

	attributes.flags = GROVE_UNSTARTED;
	GT_CHECK_IS(0, grove_spawn_with(&g, nothing, NULL, &attributes));
	GT_CHECK_IS(GROVE_NEW, grove_greenlet_state(g));
	uint64_t id = grove_id(g);
	grove_greenlet_release(g);
	GT_CHECK(grove_lookup(id) == NULL);
	GT_CHECK_IS(live, gt_stats().live);
	GT_CHECK_IS(0, grove_spawn_with(NULL, nothing, NULL, &attributes));
	GT_CHECK_IS(live, gt_stats().live);
}

/* One that is due never is taken away without a trace, too. */
GT_TEST(test_due_never_and_killed)
{
	grove_greenlet *g;

	GT_CHECK_IS(0, grove_spawn_later(&g, nothing, NULL, GROVE_NEVER));
	GT_CHECK_IS(GROVE_PENDING, grove_greenlet_state(g));
	uint64_t id = grove_id(g);
	GT_CHECK_IS(-EALREADY, grove_greenlet_start(g, GROVE_POLL));
	GT_CHECK_IS(0, grove_cancel(g));
	GT_CHECK_IS(GROVE_EXITED, grove_greenlet_state(g));
	GT_CHECK_IS(-EALREADY, grove_cancel(g));
	grove_greenlet_release(g);
	GT_CHECK(grove_lookup(id) == NULL);

	GT_CHECK_IS(0, grove_spawn_later(&g, nothing, NULL, GROVE_NEVER));
	GT_CHECK_IS(0, grove_kill(g, NULL, gt_soon()));
	id = grove_id(g);
	grove_greenlet_release(g);
	GT_CHECK(grove_lookup(id) == NULL);
}

/* --- descriptors -------------------------------------------------------------------------------- */

static void refuse_descriptor(int fd)
{
	struct sockaddr address = { .sa_family = AF_UNIX };
	char byte = 'x';
	size_t done = 4711;

	GT_CHECK_IS(-EBADF, grove_fd_wait(fd, GROVE_READ, GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_fd_wait(fd, GROVE_READ | GROVE_WRITE, GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_read(fd, &byte, 1, GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_read(fd, &byte, 0, GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_write(fd, &byte, 1, GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_recv(fd, &byte, 1, 0, GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_send(fd, &byte, 1, 0, GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_read_full(fd, &byte, 1, &done, GROVE_NEVER));
	GT_CHECK_IS(0, done);
	GT_CHECK_IS(-EBADF, grove_write_full(fd, &byte, 1, &done, GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_accept(fd, NULL, NULL, GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_connect(fd, &address, sizeof(address), GROVE_NEVER));
	GT_CHECK_IS(-EBADF, grove_close(fd));
	GT_CHECK_IS(-EBADF, grove_shutdown(fd, SHUT_RD));
}

static void body_of_closed_descriptors(void)
{
	int fd = dup(STDERR_FILENO);

	refuse_descriptor(-1);
	refuse_descriptor(INT_MIN);
	refuse_descriptor(INT_MAX);
	GT_CHECK(fd >= 0);
	close(fd);
	refuse_descriptor(fd);
	fd = dup(STDERR_FILENO);
	GT_CHECK_IS(0, grove_close(fd));
	refuse_descriptor(fd);
	GT_CHECK_IS(-EBADF, grove_fd_forget(-1));
	GT_CHECK_IS(0, grove_fd_forget(fd));
	GT_CHECK_IS(0, grove_fd_forget(INT_MAX));
}

/* With a number of hubs: to follow the quota the runtime opens files, which would take the numbers. */
static void test_descriptors_that_are_not_open(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 2;
	gt_run_with(body_of_closed_descriptors, &options);
}

GT_TEST(test_descriptors_of_another_kind)
{
	char byte = 'x';
	int pair[2];
	int ends[2];
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	GT_CHECK(file >= 0);
	GT_CHECK_IS(0, pipe(ends));
	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	GT_CHECK_IS(-ENOTSOCK, grove_recv(ends[0], &byte, 1, 0, GROVE_NEVER));
	GT_CHECK_IS(-ENOTSOCK, grove_send(ends[1], &byte, 1, 0, GROVE_NEVER));
	GT_CHECK_IS(-ENOTSOCK, grove_recv(file, &byte, 1, 0, GROVE_NEVER));
	GT_CHECK_IS(-ENOTSOCK, grove_accept(file, NULL, NULL, GROVE_NEVER));
	GT_CHECK_IS(-ENOTSOCK, grove_shutdown(file, SHUT_RDWR));
	GT_CHECK_IS(-EINVAL, grove_accept(pair[0], NULL, NULL, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_shutdown(pair[0], 4711));
	GT_CHECK_IS(-EBADF, grove_write(file, &byte, 1, GROVE_NEVER)); /* not open for that */
	GT_CHECK_IS(1, grove_read(file, &byte, 1, GROVE_NEVER));
	GT_CHECK_IS(GROVE_READ, grove_fd_wait(file, GROVE_READ, GROVE_NEVER));
	GT_CHECK_IS(-EFAULT, grove_connect(pair[0], NULL, 0, GROVE_NEVER));
	GT_CHECK_IS(0, grove_close(file));
	GT_CHECK_IS(0, grove_close(ends[0]));
	GT_CHECK_IS(0, grove_close(ends[1]));
	GT_CHECK_IS(0, grove_close(pair[0]));
	GT_CHECK_IS(0, grove_close(pair[1]));
}

GT_TEST(test_sizes_and_addresses_out_of_bounds)
{
	const size_t huge = (size_t)SSIZE_MAX + 1;
	char long_path[200] = "unix:";
	size_t done = 4711;
	char byte;
	int ends[2];

	GT_CHECK_IS(0, pipe(ends));
	GT_CHECK_IS(-EINVAL, grove_read(ends[0], &byte, huge, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_write(ends[1], &byte, huge, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_recv(ends[0], &byte, huge, 0, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_send(ends[1], &byte, huge, 0, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_read_full(ends[0], &byte, huge, &done, GROVE_NEVER));
	GT_CHECK_IS(0, done);
	GT_CHECK_IS(-EINVAL, grove_write_full(ends[1], &byte, huge, &done, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_fd_wait(ends[0], 0, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_fd_wait(ends[0], 4, GROVE_NEVER));
	GT_CHECK_IS(0, grove_close(ends[0]));
	GT_CHECK_IS(0, grove_close(ends[1]));

	memset(long_path + 5, 'x', sizeof(long_path) - 6);
	GT_CHECK_IS(-EINVAL, grove_tcp_listen("127.0.0.1", -1));
	GT_CHECK_IS(-EINVAL, grove_tcp_listen("127.0.0.1", 65536));
	GT_CHECK_IS(-EINVAL, grove_tcp_listen(NULL, 65536));
	GT_CHECK_IS(GROVE_DNS(EAI_NONAME), grove_tcp_listen("a.name.example", 0));
	GT_CHECK_IS(-ENAMETOOLONG, grove_tcp_listen(long_path, 0));
	GT_CHECK_IS(-EINVAL, grove_tcp_connect("127.0.0.1", 0, GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_tcp_connect("127.0.0.1", 65536, GROVE_NEVER));
	GT_CHECK_IS(GROVE_DNS(EAI_NONAME), grove_tcp_connect("1.2.3", 80, GROVE_NEVER));
	GT_CHECK_IS(GROVE_DNS(EAI_NONAME), grove_tcp_connect(NULL, 80, GROVE_NEVER));
	GT_CHECK_IS(GROVE_DNS(EAI_NONAME), grove_tcp_connect("", 80, GROVE_NEVER));
	GT_CHECK_IS(-ENAMETOOLONG, grove_tcp_connect(long_path, 0, GROVE_NEVER));
	GT_CHECK_IS(-ENOENT, grove_tcp_connect("unix:/nowhere/to/be/found", 0, GROVE_NEVER));
}

/* --- options and variables ---------------------------------------------------------------------- */

static char said[512];

static void listen_to(int level, const char *line, void *arg)
{
	(void)arg;
	if (level <= GROVE_LOG_WARNING)
		snprintf(said, sizeof(said), "%s", line);
}

static void *allocate_nothing(size_t size, void *context)
{
	(void)size;
	(void)context;
	return NULL;
}

static void refused(grove_options *options, int code, const char *word)
{
	options->on_log = listen_to;
	said[0] = '\0';
	assert_int_equal(grove_start(options), code);
	assert_non_null(strstr(said, word));
	assert_int_equal(grove_run(nothing, NULL, NULL, options), code);
	assert_int_equal(grove_hub_count(), 0);
	assert_int_equal(grove_stop(GROVE_NEVER), -EOVERFLOW);
}

#define REFUSED(field_, value_, word_)                                                             \
	do {                                                                                       \
		grove_options options_ = GROVE_OPTIONS_INIT;                                       \
		options_.field_ = (value_);                                                        \
		refused(&options_, -EINVAL, (word_));                                              \
	} while (0)

static void test_bad_options(void **state)
{
	(void)state;
	struct {
		grove_options known;
		uint64_t more;
	} newer = { .known = GROVE_OPTIONS_INIT, .more = 1 };
	grove_options options = GROVE_OPTIONS_INIT;

	REFUSED(hubs, 10000, "hubs");
	REFUSED(hubs, GROVE_MAX_HUBS + 1, "hubs");
	REFUSED(pin, 3, "pin");
	REFUSED(order, 2, "order");
	REFUSED(guard, 5, "guard");
	REFUSED(guard_size, (1 << 20) + 1, "guard_size");
	REFUSED(stack_size, 1, "stack_size");
	REFUSED(stack_size, (16 << 10) - 1, "stack_size");
	REFUSED(stack_size, (32 << 20) + 1, "stack_size");
	REFUSED(stack_size, SIZE_MAX, "stack_size");
	REFUSED(main_stack_size, 1, "main_stack_size");
	REFUSED(main_stack_size, SIZE_MAX, "main_stack_size");
	REFUSED(allocator.allocate, allocate_nothing, "allocator");

	options.hubs = 2;
	options.order = GROVE_ORDER_STRICT;
	refused(&options, -EINVAL, "strict");
	newer.known.size = sizeof(newer);
	newer.known.on_log = listen_to;
	/* What it says goes to the log that the options name; so they are understood that far. */
	assert_int_equal(grove_start(&newer.known), -E2BIG);
	options = (grove_options)GROVE_OPTIONS_INIT;
	options.reserved[5] = 1;
	refused(&options, -E2BIG, "reserved");

	/* Too small to hold the function for the log: standard error gets the line. */
	options = (grove_options)GROVE_OPTIONS_INIT;
	for (size_t size = 0; size < sizeof(options); size = 2 * size + 8) {
		options.size = size;
		assert_int_equal(grove_start(&options), -EINVAL);
	}
	assert_int_equal(grove_hub_count(), 0);
}

/* A number that is understood is judged like one of the program: the option is named. */
static const char *beyond(const char *value)
{
	if (strcmp(value, "10000") == 0)
		return "hubs";
	return strcmp(value, "1") == 0 || strcmp(value, "33M") == 0 ? "stack_size" : NULL;
}

/* A value from the environment may repair one of the program; both obey the same bounds. */
static void test_bad_variables(void **state)
{
	(void)state;
	static const char *const bad[][2] = {
		{ "GROVE_HUBS", "" },
		{ "GROVE_HUBS", "0" },
		{ "GROVE_HUBS", "-1" },
		{ "GROVE_HUBS", "10000" },
		{ "GROVE_HUBS", "2x" },
		{ "GROVE_HUBS", " 2" },
		{ "GROVE_HUBS", "many" },
		{ "GROVE_HUBS", "99999999999999999999" },
		{ "GROVE_STACK_SIZE", "0" },
		{ "GROVE_STACK_SIZE", "1" },
		{ "GROVE_STACK_SIZE", "64KB" },
		{ "GROVE_STACK_SIZE", "33M" },
		{ "GROVE_STACK_SIZE", "K" },
		{ "GROVE_STACK_SIZE", "99999999999G" },
		{ "GROVE_ORDER", "fair" },
		{ "GROVE_ORDER", "" },
		{ "GROVE_SPIN_NS", "long" },
		{ "GROVE_SPIN_NS", "--1" },
		{ "GROVE_PIN", "yes" },
		{ "GROVE_SEED", "0y12" },
		{ "GROVE_SEED", "-1" },
		{ "GROVE_MAX_GREENLETS", "-1" },
		{ "GROVE_MAX_GREENLETS", "all" },
		{ "GROVE_BACKTRACES", "2" },
		{ "GROVE_BACKTRACES", "true" },
	};

	for (size_t i = 0; i < GV_ARRAY_LEN(bad); i++) {
		grove_options options = GROVE_OPTIONS_INIT;

		assert_int_equal(setenv(bad[i][0], bad[i][1], 1), 0);
		refused(&options, -EINVAL,
			beyond(bad[i][1]) != NULL ? beyond(bad[i][1]) : bad[i][0]);
		/* What starts the runtime by the way says so, too. */
		options.on_log = NULL;
		assert_int_equal(grove_spawn(NULL, nothing, NULL), -EINVAL);
		assert_int_equal(unsetenv(bad[i][0]), 0);
	}
	assert_int_equal(setenv("GROVE_HUBS", "1", 1), 0);
	grove_options options = GROVE_OPTIONS_INIT;
	options.hubs = 10000;
	assert_int_equal(grove_run(nothing, NULL, NULL, &options), 0);
	assert_int_equal(unsetenv("GROVE_HUBS"), 0);
}

/* Perhaps somebody meant another one: it is said, and nothing else happens. */
static void test_unknown_variables(void **state)
{
	(void)state;
	static const char *const unknown[] = { "GROVE_HUB", "GROVE_", "GROVE_HUBS_", "GROVE_hubs",
					       "GROVE_NO_SUCH_THING" };

	for (size_t i = 0; i < GV_ARRAY_LEN(unknown); i++) {
		grove_options options = GROVE_OPTIONS_INIT;

		options.on_log = listen_to;
		said[0] = '\0';
		assert_int_equal(setenv(unknown[i], "nonsense", 1), 0);
		assert_int_equal(grove_run(nothing, NULL, NULL, &options), 0);
		assert_non_null(strstr(said, unknown[i]));
		assert_int_equal(unsetenv(unknown[i]), 0);
	}
}

/* --- out of turn -------------------------------------------------------------------------------- */

static void *misuse_runtime(void *arg)
{
	grove_options options = GROVE_OPTIONS_INIT;

	GT_CHECK_IS(-EBUSY, grove_run(nothing, NULL, NULL, NULL));
	GT_CHECK_IS(-EBUSY, grove_run(nothing, NULL, NULL, &options));
	GT_CHECK_IS(-EBUSY, grove_start(&options));
	GT_CHECK_IS(0, grove_start(NULL));
	GT_CHECK_IS(0, grove_stop(GROVE_NEVER));
	GT_CHECK_IS(-EOVERFLOW, grove_stop(GROVE_NEVER));
	GT_CHECK_IS(-EINVAL, grove_fork_child());
	GT_CHECK_IS(-EDEADLK, grove_join(grove_self(), GROVE_NEVER));
	GT_CHECK_IS(-EOVERFLOW, grove_unpin());
	return arg;
}

static void test_runtime_out_of_turn(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	assert_int_equal(grove_stop(GROVE_NEVER), -EOVERFLOW);
	assert_int_equal(grove_stop(GROVE_POLL), -EOVERFLOW);
	assert_int_equal(grove_fork_child(), -EINVAL);
	assert_int_equal(grove_run(misuse_runtime, NULL, NULL, NULL), 0);
	assert_int_equal(grove_start(&options), 0);
	assert_int_equal(grove_start(&options), -EBUSY);
	assert_int_equal(grove_run(nothing, NULL, NULL, NULL), -EBUSY);
	assert_int_equal(grove_stop(grove_in_s(60)), 0);
	assert_int_equal(grove_stop(grove_in_s(60)), -EOVERFLOW);
}

/* --- what ends the process ---------------------------------------------------------------------- */

static void *release_twice(void *arg)
{
	grove_greenlet *g = gt_spawn(nothing, NULL);

	gt_join(g);
	grove_greenlet_release(g);
	return arg;
}

static int part_greenlet_released_twice(void)
{
	return grove_run(release_twice, NULL, NULL, NULL) == 0 ? 1 : 2;
}

static int part_failure_released_twice(void)
{
	grove_failure *failure = grove_failure_new(-EIO, NULL);

	grove_failure_release(failure);
	grove_failure_release(failure);
	return 1;
}

static int part_exit_outside(void)
{
	grove_exit(NULL);
}

static int part_unhold_too_often(void)
{
	grove_hold();
	grove_unhold();
	grove_unhold();
	return 1;
}

static void dies_saying(const char *part, const char *word)
{
	struct gt_end end;

	gt_child_run(part, NULL, &end);
	if (!WIFSIGNALED(end.status) || strstr(end.text, word) == NULL)
		fprintf(stderr, "%s: status %#x\n%s", part, (unsigned)end.status, end.text);
	assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT);
	assert_non_null(strstr(end.text, word));
}

static void test_misuse_ends_the_process(void **state)
{
	(void)state;
	dies_saying("greenlet released twice", "released once too often");
	dies_saying("exit outside", "grove_exit");
#ifdef GV_CHECKED
	dies_saying("failure released twice", "released once too often");
	dies_saying("unhold too often", "grove_unhold");
#endif
}

/* ------------------------------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
	static const struct gt_part parts[] = {
		{ "greenlet released twice", part_greenlet_released_twice },
		{ "failure released twice", part_failure_released_twice },
		{ "exit outside", part_exit_outside },
		{ "unhold too often", part_unhold_too_often },
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_null_starts_nothing),
		cmocka_unit_test(test_null_in_a_greenlet),
		cmocka_unit_test(test_null_outside),
		cmocka_unit_test(test_outputs_may_be_null),
		cmocka_unit_test(test_null_as_a_name),
		cmocka_unit_test(test_zero_bytes_are_new_objects),
		cmocka_unit_test(test_destroyed_objects_say_so),
		cmocka_unit_test(test_codes_of_failures),
		cmocka_unit_test(test_timers_out_of_bounds),
		cmocka_unit_test(test_sizes_of_structures),
		cmocka_unit_test(test_unstarted_and_dropped),
		cmocka_unit_test(test_due_never_and_killed),
		cmocka_unit_test(test_descriptors_that_are_not_open),
		cmocka_unit_test(test_descriptors_of_another_kind),
		cmocka_unit_test(test_sizes_and_addresses_out_of_bounds),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_bad_variables),
		cmocka_unit_test(test_unknown_variables),
		cmocka_unit_test(test_runtime_out_of_turn),
		cmocka_unit_test(test_misuse_ends_the_process),
	};

	gt_child_main(argc, argv, parts, GV_ARRAY_LEN(parts));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
