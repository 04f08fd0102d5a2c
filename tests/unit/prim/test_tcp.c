/* SPDX-License-Identifier: MIT */
/*
 * test_tcp.c - tcp.c, and connecting in io.c: IO-2, IO-7; CASES 353, 373.
 */
#include "unit/prim/io_test.h"

#include "child.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

/* ---- text ---- */

static void test_bad_addresses(void **state)
{
	(void)state;
	char path[200] = "unix:/tmp/";

	assert_int_equal(grove_tcp_listen("127.0.0.1", -1), -EINVAL);
	assert_int_equal(grove_tcp_listen("127.0.0.1", 65536), -EINVAL);
	assert_int_equal(grove_tcp_listen(NULL, 65536), -EINVAL);
	assert_int_equal(grove_tcp_connect("127.0.0.1", 0, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_tcp_connect("127.0.0.1", 65536, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_tcp_connect(NULL, 80, GROVE_NEVER), GROVE_DNS(EAI_NONAME));
	assert_int_equal(grove_tcp_connect("", 80, GROVE_NEVER), GROVE_DNS(EAI_NONAME));

	const char *const bad[] = { "localhost",
				    "127.0.0",
				    "127.0.0.1.1",
				    "1:2",
				    ":::",
				    "::1%",
				    "::1%nosuchinterface0",
				    " 127.0.0.1",
				    "unix",
				    "[::1]",
				    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc" };
	for (size_t i = 0; i < GV_ARRAY_LEN(bad); i++) {
		assert_int_equal(grove_tcp_listen(bad[i], 0), GROVE_DNS(EAI_NONAME));
		assert_int_equal(grove_tcp_connect(bad[i], 80, GROVE_NEVER), GROVE_DNS(EAI_NONAME));
	}

	assert_int_equal(grove_tcp_listen("unix:", 0), -EINVAL);
	memset(path + 10, 'x', sizeof(path) - 11);
	assert_int_equal(grove_tcp_listen(path, 0), -ENAMETOOLONG);
	assert_int_equal(grove_tcp_connect(path, 0, GROVE_NEVER), -ENAMETOOLONG);
	path[5 + 108] = '\0';
	assert_int_equal(grove_tcp_listen(path, 0), -ENAMETOOLONG);
	assert_int_equal(grove_tcp_connect("unix:/nonexistent/socket", 0, GROVE_NEVER), -ENOENT);
	assert_int_equal(grove_tcp_listen("unix:/nonexistent/socket", 0), -ENOENT);
}

/* ---- connections ---- */

struct target {
	const char *host;
	int port;
	grove_deadline deadline;
};

static void *connect_to(void *arg)
{
	struct target *t = arg;

	return CODE(grove_tcp_connect(t->host, t->port, t->deadline));
}

static void check_descriptor(int fd)
{
	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* Through this listener, to this address, both ways. */
static void talk(int listener, const char *host)
{
	struct target t = { host, 0, GROVE_NEVER };
	struct reading r;
	int ends[2];

	check_descriptor(listener);
	if (strncmp(host, "unix:", 5) != 0)
		t.port = port_of(listener);
	grove_greenlet *client = spawn(connect_to, &t);
	ends[0] = grove_accept(listener, NULL, NULL, GROVE_NEVER);
	ends[1] = (int)value_of(client);
	check_descriptor(ends[0]);
	check_descriptor(ends[1]);
	for (int i = 0; i < 2; i++) {
		r = reading_of(ends[i]);
		grove_greenlet *reader = spawn(read_some, &r);
		until_waited_for(ends[i], GV_FD_READ);
		CHECK_IS(2, grove_write(ends[1 - i], "hi", 2, GROVE_NEVER));
		CHECK_IS(2, value_of(reader));
	}
	close_both(ends);
}

static bool has_v6(void)
{
	int fd = grove_tcp_listen("::1", 0);

	if (fd >= 0)
		grove_close(fd);
	return fd >= 0;
}

static void *body_of_addresses(void *arg)
{
	char path[64] = "unix:/tmp/grove-test-XXXXXX";
	int reuse = 0;
	socklen_t length = sizeof(reuse);

	int fd = grove_tcp_listen("127.0.0.1", 0);
	CHECK_IS(0, getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, &length));
	CHECK_IS(1, reuse);
	talk(fd, "127.0.0.1");
	CHECK_IS(-EADDRINUSE, grove_tcp_listen("127.0.0.1", port_of(fd)));
	CHECK_IS(0, grove_close(fd));

	const char *const all[] = { NULL, "", "::", "0.0.0.0" };
	for (size_t i = 0; i < GV_ARRAY_LEN(all); i++) {
		fd = grove_tcp_listen(all[i], 0);
		talk(fd, "127.0.0.1");
		if (has_v6() && i < 3)
			talk(fd, "::1");
		CHECK_IS(0, grove_close(fd));
	}
	if (has_v6()) {
		fd = grove_tcp_listen("::1", 0);
		talk(fd, "::1");
		talk(fd, "::1%lo");
		talk(fd, "::1%1");
		CHECK_IS(0, grove_close(fd));
	}

	fd = grove_tcp_listen("unix:@grove-test-name", 77777);
	talk(fd, "unix:@grove-test-name");
	CHECK_IS(-EADDRINUSE, grove_tcp_listen("unix:@grove-test-name", 0));
	CHECK_IS(0, grove_close(fd));
	CHECK_IS(-ECONNREFUSED, grove_tcp_connect("unix:@grove-test-name", 0, GROVE_NEVER));

	CHECK(mkdtemp(path + 5) != NULL);
	char directory[64];
	strcpy(directory, path + 5);
	strcat(path, "/socket");
	fd = grove_tcp_listen(path, 0);
	talk(fd, path);
	CHECK_IS(0, grove_close(fd));
	CHECK_IS(-EADDRINUSE, grove_tcp_listen(path, 0)); /* the file is still there */
	CHECK_IS(-ECONNREFUSED, grove_tcp_connect(path, 0, GROVE_NEVER));
	CHECK_IS(0, unlink(path + 5));
	CHECK_IS(0, rmdir(directory));
	return arg;
}

static void test_addresses(void **state)
{
	(void)state;
	int before = count_open();

	run_on(1, body_of_addresses, NULL);
	run_on(2, body_of_addresses, NULL);
	assert_int_equal(count_open(), before);
}

static void *body_of_refusal(void *arg)
{
	int fd = grove_tcp_listen("127.0.0.1", 0);
	int port = port_of(fd);
	struct target t = { "127.0.0.1", port, GROVE_NEVER };
	int fds[2];

	CHECK_IS(0, grove_close(fd));
	CHECK_IS(-ECONNREFUSED, grove_tcp_connect("127.0.0.1", port, GROVE_NEVER));
	CHECK_IS(-ECONNREFUSED, value_of(spawn(connect_to, &t)));
	/* Who was refused and who was reset are told so. */
	pair_of_tcp(fds);
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	struct reading r = reading_of(fds[0]);
	grove_greenlet *reader = spawn(read_some, &r);
	until_waited_for(fds[0], GV_FD_READ);
	CHECK_IS(0, setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
	CHECK_IS(0, grove_close(fds[1]));
	CHECK_IS(-ECONNRESET, value_of(reader));
	CHECK_IS(0, grove_close(fds[0]));
	return arg;
}

static void test_refused_and_reset(void **state)
{
	(void)state;
	run_on(1, body_of_refusal, NULL);
	run_on(2, body_of_refusal, NULL);
}

/* ---- a server that does not answer ---- */

struct deaf {
	int listener;
	int filler[64];
	int fillers;
	struct target target;
};

/* Its queue is full: nobody else gets through. */
static void make_deaf(struct deaf *deaf, bool local)
{
	memset(deaf, 0, sizeof(*deaf));
	deaf->target.host = local ? "unix:@grove-test-deaf" : "127.0.0.1";
	deaf->listener = grove_tcp_listen(deaf->target.host, 0);
	CHECK(deaf->listener >= 0);
	CHECK_IS(0, listen(deaf->listener, 0)); /* a smaller queue, from now on */
	if (!local)
		deaf->target.port = port_of(deaf->listener);
	for (int refused = 0; refused < 3;) {
		int fd = grove_tcp_connect(deaf->target.host, deaf->target.port, grove_in_ms(50));

		if (fd < 0) {
			CHECK_IS(-ETIMEDOUT, fd);
			refused++;
		} else {
			CHECK(deaf->fillers < 64);
			deaf->filler[deaf->fillers++] = fd;
			refused = 0;
		}
	}
	deaf->target.deadline = GROVE_NEVER;
}

static void end_deaf(struct deaf *deaf)
{
	while (deaf->fillers > 0)
		CHECK_IS(0, grove_close(deaf->filler[--deaf->fillers]));
	CHECK_IS(0, grove_close(deaf->listener));
}

static void *connect_raw(void *arg)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int *fd_and_port = arg;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)fd_and_port[1]);
	return CODE(grove_connect(fd_and_port[0], (struct sockaddr *)&address, sizeof(address),
				  GROVE_NEVER));
}

static void *body_of_deaf_server(void *arg)
{
	bool local = arg != NULL;
	struct deaf deaf;

	make_deaf(&deaf, local);
	int open_now = count_open();
	int64_t before = grove_now_ns();
	CHECK_IS(-ETIMEDOUT, grove_tcp_connect(deaf.target.host, deaf.target.port, grove_in_ms(5)));
	CHECK(grove_now_ns() - before >= 5000000);
	CHECK_IS(-ETIMEDOUT,
		 grove_tcp_connect(deaf.target.host, deaf.target.port, GROVE_DEADLINE(0)));
	CHECK_IS(-EAGAIN, grove_tcp_connect(deaf.target.host, deaf.target.port, GROVE_POLL));

	/* Killed in the middle: no descriptor is left (IO-7). */
	grove_greenlet *client = spawn(connect_to, &deaf.target);
	until_parked(client);
	CHECK_IS(0, grove_kill(client, NULL, GROVE_NEVER));
	CHECK_IS(GROVE_KILLED, value_of(client));
	CHECK_IS(open_now, count_open());

	if (!local) {
		/* Closed in the middle. */
		int fd_and_port[2] = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
				       deaf.target.port };
		client = spawn(connect_raw, fd_and_port);
		until_waited_for(fd_and_port[0], GV_FD_WRITE);
		CHECK_IS(0, grove_close(fd_and_port[0]));
		CHECK_IS(-EBADF, value_of(client));
		CHECK_IS(open_now, count_open());
	} else {
		/* It listens again: a wait that nothing reports ends all the same. */
		client = spawn(connect_to, &deaf.target);
		until_parked(client);
		int fd = grove_accept(deaf.listener, NULL, NULL, GROVE_NEVER);
		CHECK(fd >= 0);
		intptr_t connected = value_of(client);
		CHECK(connected >= 0);
		CHECK_IS(0, grove_close(fd));
		CHECK_IS(0, grove_close((int)connected));
	}
	end_deaf(&deaf);
	return NULL;
}

static void test_a_server_that_does_not_answer(void **state)
{
	(void)state;
	for (unsigned hubs = 1; hubs <= 2; hubs++) {
		run_on(hubs, body_of_deaf_server, NULL);
		run_on(hubs, body_of_deaf_server, (void *)1);
	}
}

/* The kernel's patience, made short. */
static void *body_of_lost_peer(void *arg)
{
	struct deaf deaf;
	unsigned patience_ms = 10;

	make_deaf(&deaf, false);
	int fd_and_port[2] = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), deaf.target.port };
	CHECK_IS(0, setsockopt(fd_and_port[0], IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms,
			       sizeof(patience_ms)));
	CHECK_IS(GROVE_PEER_LOST, (intptr_t)connect_raw(fd_and_port));
	CHECK(grove_is_timeout(GROVE_PEER_LOST));
	CHECK_IS(0, grove_close(fd_and_port[0]));
	end_deaf(&deaf);
	return arg;
}

static void test_the_kernel_gives_up(void **state)
{
	(void)state;
	run_on(1, body_of_lost_peer, NULL);
}

/* ---- no descriptors ---- */

static void *body_without_descriptors(void *arg)
{
	int listener = grove_tcp_listen("127.0.0.1", 0);
	int port = port_of(listener);
	int client = grove_tcp_connect("127.0.0.1", port, GROVE_NEVER);
	struct rlimit limit = { .rlim_cur = 1, .rlim_max = 4096 };

	CHECK(listener >= 0 && client >= 0);
	CHECK_IS(0, setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_IS(-EMFILE, grove_accept(listener, NULL, NULL, GROVE_NEVER));
	CHECK_IS(-EMFILE, grove_tcp_listen("127.0.0.1", 0));
	CHECK_IS(-EMFILE, grove_tcp_connect("127.0.0.1", port, GROVE_NEVER));
	limit.rlim_cur = 4096;
	CHECK_IS(0, setrlimit(RLIMIT_NOFILE, &limit));
	/* Nothing was taken from the queue. */
	int fd = grove_accept(listener, NULL, NULL, GROVE_NEVER);
	CHECK(fd >= 0);
	CHECK_IS(0, grove_close(fd));
	CHECK_IS(0, grove_close(client));
	CHECK_IS(0, grove_close(listener));
	return arg;
}

static int part_without_descriptors(void)
{
	run_on(1, body_without_descriptors, NULL);
	return 0;
}

static void test_no_descriptors_left(void **state)
{
	(void)state;
	assert_true(gt_child_succeeded("without descriptors", NULL));
}

int main(int argc, char **argv)
{
	static const struct gt_part parts[] = {
		{ "without descriptors", part_without_descriptors },
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_descriptors_left),
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_refused_and_reset),
		cmocka_unit_test(test_a_server_that_does_not_answer),
		cmocka_unit_test(test_the_kernel_gives_up),
	};

	gt_child_main(argc, argv, parts, GV_ARRAY_LEN(parts));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
