/* SPDX-License-Identifier: MIT */
/*
 * test_server.c - server.c: IO-10; CASES 361.
 */
#include "unit/prim/io_test.h"

#include "child.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/resource.h>

static atomic_int handled;
static atomic_int running;
static atomic_int last_fd;

static void echo(int fd, void *arg)
{
	char buffer[256];
	ssize_t n;

	(void)arg;
	atomic_fetch_add(&handled, 1);
	atomic_fetch_add(&running, 1);
	atomic_store(&last_fd, fd);
	while ((n = grove_read(fd, buffer, sizeof(buffer), GROVE_NEVER)) > 0) {
		if (grove_write_full(fd, buffer, (size_t)n, NULL, GROVE_NEVER) < 0)
			break;
	}
	atomic_fetch_sub(&running, 1);
}

static grove_server *serve(int *port, grove_server_fn *handler, void *arg)
{
	grove_server *server = NULL;
	int listener = grove_tcp_listen("127.0.0.1", 0);

	CHECK(listener >= 0);
	*port = port_of(listener);
	atomic_store(&handled, 0);
	atomic_store(&running, 0);
	CHECK_IS(0, grove_server_new(&server, listener, NULL, handler, arg));
	return server;
}

static int connect_to(int port)
{
	int fd = grove_tcp_connect("127.0.0.1", port, GROVE_NEVER);

	CHECK(fd >= 0);
	return fd;
}

static void ask(int fd)
{
	char answer[8];

	CHECK_IS(5, grove_write(fd, "hello", 5, GROVE_NEVER));
	CHECK_IS(0, grove_read_full(fd, answer, 5, NULL, GROVE_NEVER));
	CHECK_IS(0, memcmp(answer, "hello", 5));
}

static void end(grove_server *server)
{
	CHECK_IS(0, grove_server_stop(server, GROVE_NEVER));
	CHECK_IS(0, grove_server_free(server));
}

/* ---- arguments ---- */

static void test_bad_arguments(void **state)
{
	(void)state;
	grove_server *server;
	int fds[2];
	int listener = grove_tcp_listen("127.0.0.1", 0);

	assert_true(listener >= 0);
	pair_of_sockets(fds);
	assert_int_equal(grove_server_new(NULL, listener, NULL, echo, NULL), -EINVAL);
	assert_int_equal(grove_server_new(&server, listener, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(grove_server_new(&server, listener, (grove_pool *)fds, echo, NULL),
			 -EINVAL);
	assert_int_equal(grove_server_new(&server, fds[0], NULL, echo, NULL), -EINVAL);
	assert_int_equal(grove_server_new(&server, -1, NULL, echo, NULL), -EBADF);
	close_both(fds);
	assert_int_equal(grove_server_new(&server, fds[0], NULL, echo, NULL), -EBADF);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(grove_server_new(&server, fds[0], NULL, echo, NULL), -ENOTSOCK);
	close_both(fds);
	assert_int_equal(grove_server_stop(NULL, GROVE_POLL), -EINVAL);
	assert_int_equal(grove_server_free(NULL), -EINVAL);
	assert_true(is_open(listener));
	assert_int_equal(grove_close(listener), 0);
}

/* ---- serving ---- */

static void *client(void *arg)
{
	int fd = connect_to(*(int *)arg);

	for (int i = 0; i < 10; i++)
		ask(fd);
	CHECK_IS(0, grove_close(fd));
	return NULL;
}

static void *body_of_many_clients(void *arg)
{
	enum { CLIENTS = 300 };
	static grove_greenlet *clients[CLIENTS];
	int port;
	grove_server *server = serve(&port, echo, NULL);

	CHECK_IS(-EBUSY, grove_server_free(server));
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = spawn(client, &port);
	for (int i = 0; i < CLIENTS; i++)
		CHECK_IS(0, value_of(clients[i]));
	CHECK_IS(CLIENTS, atomic_load(&handled));
	end(server);
	CHECK_IS(0, atomic_load(&running));
	CHECK_IS(-ECONNREFUSED, grove_tcp_connect("127.0.0.1", port, GROVE_NEVER));
	return arg;
}

static void test_many_clients(void **state)
{
	(void)state;
	int before = count_open();

	run_on(1, body_of_many_clients, NULL);
	run_on(3, body_of_many_clients, NULL);
	assert_int_equal(count_open(), before);
}

static void say_and_leave(int fd, void *arg)
{
	const char *how = arg;

	CHECK_IS(3, grove_write(fd, "bye", 3, GROVE_NEVER));
	if (strcmp(how, "exit") == 0)
		grove_exit(NULL);
	if (strcmp(how, "fail") == 0)
		grove_exit(grove_fail_code(-EIO));
}

/* However the handler ends, its descriptor is closed, and the server goes on. */
static void *body_of_ends_of_handlers(void *arg)
{
	char buffer[8];
	int port;
	grove_server *server = serve(&port, say_and_leave, arg);

	for (int i = 0; i < 20; i++) {
		int fd = connect_to(port);

		CHECK_IS(0, grove_read_full(fd, buffer, 3, NULL, GROVE_NEVER));
		CHECK_IS(0, grove_read(fd, buffer, 1, GROVE_NEVER));
		CHECK_IS(0, grove_close(fd));
	}
	end(server);
	return NULL;
}

static void ignore_failure(grove_greenlet *greenlet, grove_failure *failure, void *arg)
{
	(void)greenlet;
	(void)arg;
	CHECK_IS(-EIO, grove_failure_code(failure));
}

static void test_descriptors_of_handlers_are_closed(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	options.on_failure = ignore_failure;
	for (options.hubs = 1; options.hubs <= 2; options.hubs++) {
		run_with(body_of_ends_of_handlers, (void *)"return", &options);
		run_with(body_of_ends_of_handlers, (void *)"exit", &options);
		run_with(body_of_ends_of_handlers, (void *)"fail", &options);
	}
}

/* ---- stopping ---- */

static void *stop_in_time(void *server)
{
	return CODE(grove_server_stop(server, GROVE_NEVER));
}

static void *body_of_stop(void *arg)
{
	char byte;
	int port;

	/* Handlers get their time: nothing is cut off. */
	grove_server *server = serve(&port, echo, NULL);
	int fd = connect_to(port);
	ask(fd);
	grove_greenlet *stopper = spawn(stop_in_time, server);
	grove_greenlet *another = spawn(stop_in_time, server);
	until_parked(stopper);
	until_parked(another);
	CHECK_IS(-EBUSY, grove_server_free(server));
	ask(fd);
	CHECK_IS(0, grove_close(fd));
	CHECK_IS(0, value_of(stopper));
	CHECK_IS(0, value_of(another));
	CHECK_IS(0, grove_server_stop(server, GROVE_POLL));
	CHECK_IS(0, grove_server_free(server));

	/* At the deadline the rest is killed. */
	server = serve(&port, echo, NULL);
	fd = connect_to(port);
	int idle = connect_to(port);
	ask(fd);
	ask(idle);
	int rc = grove_server_stop(server, grove_in_ms(5));
	CHECK(rc == -ETIMEDOUT || rc == 0);
	CHECK_IS(0, grove_server_stop(server, GROVE_NEVER));
	CHECK_IS(0, grove_read(fd, &byte, 1, GROVE_NEVER));
	CHECK_IS(0, grove_read(idle, &byte, 1, GROVE_NEVER));
	CHECK_IS(0, grove_server_free(server));
	CHECK_IS(0, grove_close(fd));
	CHECK_IS(0, grove_close(idle));

	/* Without a wait: killed at once. */
	server = serve(&port, echo, NULL);
	fd = connect_to(port);
	ask(fd);
	rc = grove_server_stop(server, GROVE_POLL);
	CHECK(rc == -EAGAIN || rc == 0);
	CHECK_IS(0, grove_server_stop(server, GROVE_NEVER));
	CHECK_IS(0, grove_read(fd, &byte, 1, GROVE_NEVER));
	CHECK_IS(0, grove_close(fd));
	CHECK_IS(0, grove_server_free(server));

	/* Before it accepted anything, or even began. */
	server = serve(&port, echo, NULL);
	end(server);
	return arg;
}

static void test_stop(void **state)
{
	(void)state;
	int before = count_open();

	run_on(1, body_of_stop, NULL);
	run_on(2, body_of_stop, NULL);
	assert_int_equal(count_open(), before);
}

static void clean_up_slowly(int fd, void *arg)
{
	char byte;

	(void)arg;
	atomic_fetch_add(&handled, 1);
	CHECK_IS(GROVE_KILLED, grove_read(fd, &byte, 1, GROVE_NEVER));
	CHECK_IS(0, grove_sleep(grove_in_ms(20)));
	CHECK_IS(1, grove_write(fd, "c", 1, GROVE_NEVER));
}

static void *body_of_slow_clean_up(void *arg)
{
	char byte;
	int port;
	grove_server *server = serve(&port, clean_up_slowly, NULL);
	int fd = connect_to(port);

	while (atomic_load(&handled) == 0)
		(void)grove_yield();
	CHECK_IS(-ETIMEDOUT, grove_server_stop(server, grove_in_ms(1)));
	CHECK_IS(-EBUSY, grove_server_free(server));
	CHECK_IS(0, grove_server_stop(server, GROVE_NEVER));
	CHECK_IS(1, grove_read(fd, &byte, 1, GROVE_NEVER));
	CHECK_IS(0, grove_close(fd));
	CHECK_IS(0, grove_server_free(server));
	return arg;
}

static void test_killed_handlers_may_clean_up(void **state)
{
	(void)state;
	run_on(1, body_of_slow_clean_up, NULL);
	run_on(2, body_of_slow_clean_up, NULL);
}

static _Atomic(grove_server *) itself;

static void stop_itself(int fd, void *arg)
{
	grove_server *server;

	(void)arg;
	while ((server = atomic_load(&itself)) == NULL)
		(void)grove_yield();
	CHECK_IS(-EDEADLK, grove_server_stop(server, GROVE_NEVER));
	CHECK_IS(1, grove_write(fd, "d", 1, GROVE_NEVER));
}

static void *body_of_stop_from_within(void *arg)
{
	char byte;
	int port;

	atomic_store(&itself, NULL);
	grove_server *server = serve(&port, stop_itself, NULL);
	atomic_store(&itself, server);
	int fd = connect_to(port);
	CHECK_IS(1, grove_read(fd, &byte, 1, GROVE_NEVER));
	CHECK_IS(0, grove_close(fd));
	end(server);
	return arg;
}

static void test_a_handler_may_stop_its_server(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		run_on(1, body_of_stop_from_within, NULL);
		run_on(2, body_of_stop_from_within, NULL);
	}
}

/* Connections come in while the server stops: each is served, closed, or refused. */
static void *hammer(void *arg)
{
	int port = *(int *)arg;
	char byte;

	for (;;) {
		int fd = grove_tcp_connect("127.0.0.1", port, GROVE_NEVER);

		if (fd < 0) {
			CHECK(fd == -ECONNREFUSED || fd == -ECONNRESET);
			return NULL;
		}
		if (grove_write(fd, "h", 1, GROVE_NEVER) == 1)
			(void)!grove_read(fd, &byte, 1, GROVE_NEVER);
		CHECK_IS(0, grove_close(fd));
	}
}

static void *body_of_stop_under_fire(void *arg)
{
	enum { CLIENTS = 8 };
	grove_greenlet *clients[CLIENTS];
	int port;

	for (int i = 0; i < GT_SCALED(100) + 2; i++) {
		grove_server *server = serve(&port, echo, NULL);

		for (int c = 0; c < CLIENTS; c++)
			clients[c] = spawn(hammer, &port);
		while (atomic_load(&handled) < CLIENTS)
			(void)grove_yield();
		int rc = grove_server_stop(server, i % 2 ? GROVE_POLL : GROVE_DEADLINE(0));
		CHECK(rc == 0 || rc == -EAGAIN || rc == -ETIMEDOUT);
		end(server);
		for (int c = 0; c < CLIENTS; c++)
			CHECK_IS(0, value_of(clients[c]));
	}
	return arg;
}

static void test_stop_under_fire(void **state)
{
	(void)state;
	int before = count_open();

	run_on(1, body_of_stop_under_fire, NULL);
	run_on(3, body_of_stop_under_fire, NULL);
	assert_int_equal(count_open(), before);
}

/* ---- from a thread, and by the end of the runtime ---- */

static void test_a_thread_runs_a_server(void **state)
{
	(void)state;
	int before;
	int port;

	start(2);
	before = count_open();
	grove_server *server = serve(&port, echo, NULL);
	int fd = connect_to(port);
	ask(fd);
	assert_int_equal(grove_close(fd), 0);
	assert_int_equal(grove_server_stop(server, GROVE_NEVER), 0);
	assert_int_equal(grove_server_free(server), 0);
	assert_int_equal(count_open(), before);

	/* The runtime ends under the server: nothing is left of it but itself. */
	server = serve(&port, echo, NULL);
	fd = connect_to(port);
	ask(fd);
	stop();
	char byte;
	assert_int_equal(grove_read(fd, &byte, 1, GROVE_POLL), 0);
	assert_int_equal(grove_close(fd), 0);
	assert_int_equal(grove_server_stop(server, GROVE_POLL), 0);
	assert_int_equal(grove_server_free(server), 0);
}

/* ---- trouble ---- */

static atomic_int lines;

static void count_line(int level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
	atomic_fetch_add(&lines, 1);
}

static void *body_of_broken_listener(void *arg)
{
	grove_server *server;
	int port;
	int listener = grove_tcp_listen("127.0.0.1", 0);

	port = port_of(listener);
	atomic_store(&lines, 0);
	atomic_store(&handled, 0);
	CHECK_IS(0, grove_server_new(&server, listener, NULL, echo, NULL));
	int fd = connect_to(port);
	ask(fd);
	CHECK_IS(0, grove_shutdown(listener, SHUT_RD));
	while (is_open(listener))
		(void)grove_yield();
	CHECK_IS(1, atomic_load(&lines));
	ask(fd); /* who was accepted is served on */
	CHECK_IS(0, grove_close(fd));
	end(server);

	/* Taken away altogether. */
	listener = grove_tcp_listen("127.0.0.1", 0);
	CHECK_IS(0, grove_server_new(&server, listener, NULL, echo, NULL));
	until_waited_for(listener, GV_FD_READ);
	CHECK_IS(0, grove_close(listener));
	while (atomic_load(&lines) < 2)
		(void)grove_yield();
	end(server);
	return arg;
}

static void test_a_broken_listener(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	options.on_log = count_line;
	for (options.hubs = 1; options.hubs <= 2; options.hubs++)
		run_with(body_of_broken_listener, NULL, &options);
}

/* No descriptors: it pauses, 10 ms at first, does not burn the CPU, and goes on. */
static void *body_without_descriptors(void *arg)
{
	enum { WAITING = 5 };
	struct rlimit limit;
	struct rlimit none;
	struct rusage before;
	struct rusage after;
	int waiting[WAITING];
	int port;

	grove_server *server = serve(&port, echo, NULL);
	int first = connect_to(port);
	ask(first);
	CHECK_IS(0, getrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < WAITING; i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		CHECK(waiting[i] >= 0);
	}
	none = limit;
	none.rlim_cur = 1; /* poll(2) needs one */
	CHECK_IS(0, setrlimit(RLIMIT_NOFILE, &none));
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < WAITING; i++)
		CHECK_IS(0, grove_connect(waiting[i], (struct sockaddr *)&address, sizeof(address),
					  GROVE_NEVER));
	CHECK_IS(0, getrusage(RUSAGE_SELF, &before));
	while (atomic_load(&lines) == 0)
		(void)grove_sleep(grove_in_ms(1));
	CHECK_IS(0, grove_sleep(grove_in_ms(100)));
	CHECK_IS(0, getrusage(RUSAGE_SELF, &after));
	int64_t used_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
			  (after.ru_utime.tv_usec - before.ru_utime.tv_usec);
	CHECK(used_us < 50000);
	CHECK_IS(1, atomic_load(&handled));
	ask(first);
	CHECK_IS(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < WAITING; i++) {
		ask(waiting[i]);
		CHECK_IS(0, grove_close(waiting[i]));
	}
	CHECK_IS(1, atomic_load(&lines));
	CHECK_IS(0, grove_close(first));

	/* A stop does not wait for the pause to end. */
	first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK_IS(0, setrlimit(RLIMIT_NOFILE, &none));
	CHECK_IS(0,
		 grove_connect(first, (struct sockaddr *)&address, sizeof(address), GROVE_NEVER));
	CHECK_IS(0, grove_sleep(grove_in_ms(30)));
	end(server);
	CHECK_IS(0, setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_IS(0, grove_close(first));
	return arg;
}

static int part_without_descriptors(void)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.on_log = count_line;
	for (options.hubs = 1; options.hubs <= 2; options.hubs++) {
		atomic_store(&lines, 0);
		run_with(body_without_descriptors, NULL, &options);
	}
	return 0;
}

static void test_no_descriptors_left(void **state)
{
	(void)state;
	assert_true(gt_child_succeeded("without descriptors", NULL));
}

/* No greenlets: the connection that was accepted already waits, and is served later. */
static void *wait_for_event(void *event)
{
	return CODE(grove_event_wait(event, NULL, GROVE_NEVER));
}

static void *body_without_greenlets(void *arg)
{
	grove_greenlet *others[16];
	grove_event go_on = GROVE_EVENT_INIT;
	int count = 0;
	int port;

	(void)arg;
	atomic_store(&lines, 0);
	grove_server *server = serve(&port, echo, NULL);
	while (grove_spawn(&others[count], wait_for_event, &go_on) == 0)
		count++;
	CHECK(count > 0 && count < 16);
	int fd = connect_to(port);
	while (atomic_load(&lines) == 0)
		(void)grove_sleep(grove_in_ms(1));
	CHECK_IS(0, atomic_load(&handled));
	CHECK_IS(0, grove_event_send(&go_on, NULL));
	while (count > 0)
		CHECK_IS(0, value_of(others[--count]));
	ask(fd);
	CHECK_IS(0, grove_close(fd));
	end(server);
	CHECK_IS(0, grove_event_destroy(&go_on));
	return NULL;
}

static void test_no_greenlets_left(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	options.on_log = count_line;
	options.max_greenlets = 8;
	for (options.hubs = 1; options.hubs <= 2; options.hubs++)
		run_with(body_without_greenlets, NULL, &options);
}

int main(int argc, char **argv)
{
	static const struct gt_part parts[] = {
		{ "without descriptors", part_without_descriptors },
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_descriptors_left),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_many_clients),
		cmocka_unit_test(test_descriptors_of_handlers_are_closed),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_killed_handlers_may_clean_up),
		cmocka_unit_test(test_a_handler_may_stop_its_server),
		cmocka_unit_test(test_stop_under_fire),
		cmocka_unit_test(test_a_thread_runs_a_server),
		cmocka_unit_test(test_a_broken_listener),
		cmocka_unit_test(test_no_greenlets_left),
	};

	gt_child_main(argc, argv, parts, GV_ARRAY_LEN(parts));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
