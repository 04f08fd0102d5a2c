/* SPDX-License-Identifier: MIT */
/*
 * test_io.c - io.c, io_try.c: IO-1 to IO-6, IO-9, IO-11; CASES 352, 353, 358, 359.
 */
#include "unit/prim/io_test.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#define MEGABYTE ((size_t)1 << 20)

static atomic_int sigpipes;

static void count_sigpipe(int number)
{
	(void)number;
	atomic_fetch_add(&sigpipes, 1);
}

/* ---- what needs no waiting ---- */

static void test_bad_arguments(void **state)
{
	(void)state;
	char byte = 0;
	size_t done = 7;
	int fds[2];

	pair_of_sockets(fds);
	assert_int_equal(grove_read(fds[0], &byte, (size_t)SSIZE_MAX + 1, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_write(fds[0], &byte, (size_t)SSIZE_MAX + 1, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_recv(fds[0], &byte, SIZE_MAX, 0, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_send(fds[0], &byte, SIZE_MAX, 0, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_read_full(fds[0], &byte, SIZE_MAX, &done, GROVE_NEVER), -EINVAL);
	assert_int_equal(done, 0);
	done = 7;
	assert_int_equal(grove_write_full(fds[0], &byte, SIZE_MAX, &done, GROVE_NEVER), -EINVAL);
	assert_int_equal(done, 0);
	assert_int_equal(grove_fd_wait(fds[0], 0, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_fd_wait(fds[0], 4, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_fd_wait(fds[0], GROVE_READ | 8, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_shutdown(fds[0], 77), -EINVAL);
	assert_int_equal(grove_accept(fds[0], NULL, NULL, GROVE_NEVER), -EINVAL);
	assert_int_equal(grove_connect(fds[0], NULL, 0, GROVE_NEVER), -EFAULT);
	assert_int_equal(grove_write(fds[0], NULL, 1, GROVE_NEVER), -EFAULT);
	close_both(fds);
	done = 7;
	assert_int_equal(grove_read_full(fds[0], &byte, 1, &done, GROVE_NEVER), -EBADF);
	assert_int_equal(done, 0);
}

static void test_what_completes_at_once_needs_no_runtime(void **state)
{
	(void)state;
	char buffer[8];
	int fds[2];

	pair_of_sockets(fds);
	assert_int_equal(grove_read(fds[0], buffer, sizeof(buffer), GROVE_POLL), -EAGAIN);
	assert_int_equal(grove_recv(fds[0], buffer, 1, MSG_DONTWAIT, GROVE_NEVER), -EAGAIN);
	assert_int_equal(grove_fd_wait(fds[0], GROVE_READ, GROVE_POLL), -EAGAIN);
	assert_int_equal(grove_fd_wait(fds[0], GROVE_WRITE, GROVE_POLL), GROVE_WRITE);
	assert_int_equal(grove_fd_wait(fds[0], GROVE_READ | GROVE_WRITE, GROVE_NEVER), GROVE_WRITE);
	assert_int_equal(grove_write(fds[1], "hello", 5, GROVE_DEADLINE(0)), 5);
	assert_int_equal(grove_fd_wait(fds[0], GROVE_READ | GROVE_WRITE, GROVE_NEVER),
			 GROVE_READ | GROVE_WRITE);
	assert_int_equal(grove_read(fds[0], buffer, 2, GROVE_DEADLINE(0)), 2);
	assert_int_equal(grove_recv(fds[0], buffer, 8, MSG_PEEK, GROVE_NEVER), 3);
	assert_int_equal(grove_recv(fds[0], buffer, 8, 0, GROVE_NEVER), 3);
	assert_memory_equal(buffer, "llo", 3);
	assert_int_equal(grove_send(fds[1], "x", 1, 0, GROVE_NEVER), 1);
	assert_int_equal(grove_shutdown(fds[1], SHUT_WR), 0);
	assert_int_equal(grove_read(fds[0], buffer, 8, GROVE_NEVER), 1);
	assert_int_equal(grove_read(fds[0], buffer, 8, GROVE_NEVER), 0);
	assert_int_equal(grove_read(fds[0], buffer, 8, GROVE_NEVER), 0);
	assert_int_equal(grove_hub_count(), 0);
	close_both(fds);
}

static void test_size_zero(void **state)
{
	(void)state;
	size_t done = 7;
	char byte;
	int fds[2];

	pair_of_sockets(fds);
	assert_int_equal(grove_read(fds[0], &byte, 0, GROVE_NEVER), 0);
	assert_int_equal(grove_recv(fds[0], &byte, 0, 0, GROVE_NEVER), 0);
	assert_int_equal(grove_write(fds[0], &byte, 0, GROVE_NEVER), 0);
	assert_int_equal(grove_send(fds[0], &byte, 0, 0, GROVE_NEVER), 0);
	assert_int_equal(grove_read_full(fds[0], &byte, 0, &done, GROVE_NEVER), 0);
	assert_int_equal(done, 0);
	close_both(fds);
	assert_int_equal(grove_read(fds[0], &byte, 0, GROVE_NEVER), -EBADF);
	/* No system call. */
	assert_int_equal(grove_write_full(-1, NULL, 0, NULL, GROVE_NEVER), 0);
}

static void test_files_never_wait(void **state)
{
	(void)state;
	char path[] = "/tmp/grove-test-XXXXXX";
	char buffer[32];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(grove_write(fd, "0123456789", 10, GROVE_POLL), 10);
	assert_int_equal(grove_read(fd, buffer, 1, GROVE_POLL), 0);
	assert_int_equal(lseek(fd, 4, SEEK_SET), 4);
	assert_int_equal(grove_read(fd, buffer, sizeof(buffer), GROVE_NEVER), 6);
	assert_memory_equal(buffer, "456789", 6);
	assert_int_equal(grove_fd_wait(fd, GROVE_READ | GROVE_WRITE, GROVE_NEVER),
			 GROVE_READ | GROVE_WRITE);
	assert_int_equal(grove_recv(fd, buffer, 1, 0, GROVE_NEVER), -ENOTSOCK);
	assert_int_equal(grove_send(fd, buffer, 1, 0, GROVE_NEVER), -ENOTSOCK);
	assert_int_equal(grove_accept(fd, NULL, NULL, GROVE_NEVER), -ENOTSOCK);
	assert_int_equal(grove_shutdown(fd, SHUT_RD), -ENOTSOCK);
	assert_int_equal(grove_connect(fd, (struct sockaddr *)buffer, 16, GROVE_NEVER), -ENOTSOCK);
	assert_int_equal(grove_close(fd), 0);

	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(grove_write(fd, "x", 1, GROVE_NEVER), 1);
	assert_int_equal(grove_read(fd, buffer, 1, GROVE_NEVER), 0);
	assert_int_equal(grove_close(fd), 0);
	fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	assert_int_equal(grove_write(fd, "x", 1, GROVE_NEVER), -ENOSPC);
	assert_int_equal(grove_close(fd), 0);
	fd = open("/", O_RDONLY | O_CLOEXEC);
	assert_int_equal(grove_read(fd, buffer, 1, GROVE_NEVER), -EISDIR);
	assert_int_equal(grove_close(fd), 0);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(grove_write(fd, "x", 1, GROVE_NEVER), -EBADF);
	assert_int_equal(grove_close(fd), 0);
}

/* ---- deadlines ---- */

static void *body_of_deadlines(void *arg)
{
	int listener = grove_tcp_listen("127.0.0.1", 0);
	char byte = 0;
	int fds[2];

	CHECK(listener >= 0);
	if (arg != NULL)
		pair_of_tcp(fds);
	else
		pair_of_sockets(fds);
	bool local = arg == NULL;
	if (local)
		fill(fds[0]);
	for (int i = 0; i < 4; i++) {
		int64_t deadline = grove_now_ns() + i * 1000000;
		grove_deadline at = grove_at_ns(deadline);

		CHECK_IS(-ETIMEDOUT, grove_read(fds[0], &byte, 1, at));
		CHECK_IS(-ETIMEDOUT, grove_recv(fds[0], &byte, 1, 0, at));
		CHECK_IS(-ETIMEDOUT, grove_accept(listener, NULL, NULL, at));
		CHECK_IS(-ETIMEDOUT, grove_fd_wait(fds[0], GROVE_READ, at));
		CHECK_IS(-ETIMEDOUT, grove_read_full(fds[0], &byte, 1, NULL, at));
		if (local) {
			CHECK_IS(-ETIMEDOUT, grove_write(fds[0], &byte, 1, at));
			CHECK_IS(-ETIMEDOUT, grove_send(fds[0], &byte, 1, 0, at));
			CHECK_IS(-ETIMEDOUT, grove_fd_wait(fds[0], GROVE_WRITE, at));
			CHECK_IS(-ETIMEDOUT, grove_fd_wait(fds[0], GROVE_READ | GROVE_WRITE, at));
		}
		CHECK(grove_now_ns() >= deadline);
	}
	CHECK_IS(-EAGAIN, grove_read(fds[0], &byte, 1, GROVE_POLL));
	CHECK_IS(-EAGAIN, grove_accept(listener, NULL, NULL, GROVE_POLL));

	/* What can be done is done, whatever the deadline. */
	CHECK_IS(1, grove_write(fds[1], "d", 1, GROVE_DEADLINE(0)));
	if (!local) /* loopback delivers at once, but not before the call returns */
		CHECK_IS(GROVE_READ, grove_fd_wait(fds[0], GROVE_READ, GROVE_NEVER));
	CHECK_IS(1, grove_read(fds[0], &byte, 1, GROVE_DEADLINE(0)));
	close_both(fds);
	CHECK_IS(0, grove_close(listener));
	return NULL;
}

static void *body_of_passed_deadline(void *arg)
{
	char byte;
	int fds[2];

	(void)arg;
	pair_of_sockets(fds);
	struct reading r = reading_of(fds[0]);
	r.deadline = grove_in_ms(0);
	/* It suspends: others come first. */
	grove_greenlet *other = spawn(read_some, &r);
	CHECK_IS(-ETIMEDOUT, grove_fd_wait(fds[1], GROVE_READ, GROVE_DEADLINE(0)));
	CHECK_IS(-ETIMEDOUT, value_of(other));
	CHECK_IS(-EAGAIN, grove_read(fds[0], &byte, 1, GROVE_POLL));
	close_both(fds);
	return NULL;
}

static void test_deadlines(void **state)
{
	(void)state;
	for (unsigned hubs = 1; hubs <= 2; hubs++) {
		run_on(hubs, body_of_deadlines, NULL);
		run_on(hubs, body_of_deadlines, (void *)1);
		run_on(hubs, body_of_passed_deadline, NULL);
	}
}

/* ---- streams ---- */

struct transfer {
	int fd;
	char *bytes;
	size_t size;
	size_t done;
};

static void *write_all(void *arg)
{
	struct transfer *t = arg;

	return CODE(grove_write_full(t->fd, t->bytes, t->size, &t->done, GROVE_NEVER));
}

/* A reader that takes little at a time, and lets others run in between. */
static void *read_slowly(void *arg)
{
	struct transfer *t = arg;

	while (t->done < t->size) {
		size_t part = GV_MIN(t->size - t->done, 1 + t->done % 40000);
		ssize_t n = grove_read(t->fd, t->bytes + t->done, part, GROVE_NEVER);

		if (n <= 0)
			return CODE(n < 0 ? n : GROVE_END);
		t->done += (size_t)n;
		(void)grove_yield();
	}
	return NULL;
}

static void transfer_between(int from, int to, size_t size)
{
	struct transfer out = { .fd = from, .bytes = malloc(size), .size = size };
	struct transfer in = { .fd = to, .bytes = calloc(1, size), .size = size };

	for (size_t i = 0; i < size; i++)
		out.bytes[i] = (char)(i * 7 + i / 4099);
	grove_greenlet *reader = spawn(read_slowly, &in);
	grove_greenlet *writer = spawn(write_all, &out);
	CHECK_IS(0, value_of(writer));
	CHECK_IS(0, value_of(reader));
	CHECK_IS(size, out.done);
	CHECK_IS(0, memcmp(in.bytes, out.bytes, size));
	free(in.bytes);
	free(out.bytes);
}

static void *body_of_streams(void *arg)
{
	size_t size = 4 * MEGABYTE / GT_SCALE;
	int fds[2];

	pair_of_sockets(fds);
	transfer_between(fds[0], fds[1], size);
	close_both(fds);

	pair_of_tcp(fds);
	transfer_between(fds[0], fds[1], size);
	transfer_between(fds[1], fds[0], size);
	close_both(fds);

	/* A pipe that blocks, and is left so. */
	CHECK_IS(0, pipe(fds));
	transfer_between(fds[1], fds[0], size);
	CHECK_IS(0, fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	CHECK_IS(0, fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	close_both(fds);

	CHECK_IS(0, pipe2(fds, O_NONBLOCK));
	transfer_between(fds[1], fds[0], size / 2);
	close_both(fds);
	return arg;
}

static void test_slow_readers_get_all_of_it(void **state)
{
	(void)state;
	run_on(1, body_of_streams, NULL);
	run_on(2, body_of_streams, NULL);
}

/* A pipe by name does not know RWF_NOWAIT, and blocks. */
static void *body_of_named_pipe(void *arg)
{
	char path[] = "/tmp/grove-test-XXXXXX";
	char byte;

	CHECK(mkdtemp(path) != NULL);
	char name[64];
	snprintf(name, sizeof(name), "%s/pipe", path);
	CHECK_IS(0, mkfifo(name, 0600));
	int to = open(name, O_RDWR | O_CLOEXEC);
	int from = open(name, O_RDONLY | O_CLOEXEC);
	CHECK(to >= 0 && from >= 0);
	CHECK_IS(0, fcntl(from, F_GETFL) & O_NONBLOCK);
	CHECK_IS(-EAGAIN, grove_read(from, &byte, 1, GROVE_POLL));
	CHECK_IS(-ETIMEDOUT, grove_read(from, &byte, 1, grove_in_ms(1)));
	transfer_between(to, from, MEGABYTE / GT_SCALE);
	CHECK(fill(to) >= 65536);
	CHECK_IS(-ETIMEDOUT, grove_write(to, &byte, 1, grove_in_ms(1)));
	CHECK_IS(0, fcntl(to, F_GETFL) & O_NONBLOCK);
	CHECK_IS(0, grove_close(to));
	CHECK_IS(0, grove_close(from));
	CHECK_IS(0, unlink(name));
	CHECK_IS(0, rmdir(path));
	return arg;
}

static void test_named_pipes_do_not_block_a_hub(void **state)
{
	(void)state;
	run_on(1, body_of_named_pipe, NULL);
	run_on(2, body_of_named_pipe, NULL);
}

static void *body_of_terminal(void *arg)
{
	struct termios raw;
	char buffer[16];
	int master;
	int slave;

	CHECK_IS(0, openpty(&master, &slave, NULL, NULL, NULL));
	CHECK_IS(0, tcgetattr(slave, &raw));
	cfmakeraw(&raw);
	CHECK_IS(0, tcsetattr(slave, TCSANOW, &raw));
	struct reading r = reading_of(slave);
	grove_greenlet *reader = spawn(read_some, &r);
	until_waited_for(slave, GV_FD_READ);
	CHECK_IS(3, grove_write(master, "tty", 3, GROVE_NEVER));
	CHECK_IS(3, value_of(reader));
	CHECK_IS(-ETIMEDOUT, grove_read(slave, buffer, 1, grove_in_ms(1)));
	CHECK_IS(2, grove_write(slave, "ok", 2, GROVE_NEVER));
	CHECK_IS(2, grove_read(master, buffer, sizeof(buffer), GROVE_NEVER));
	CHECK_IS(0, fcntl(slave, F_GETFL) & O_NONBLOCK);
	CHECK_IS(0, grove_close(slave));
	CHECK_IS(0, grove_close(master));

	uint64_t number = 5;
	int counter = eventfd(0, EFD_CLOEXEC);
	CHECK_IS(-ETIMEDOUT, grove_read(counter, &number, 8, grove_in_ms(1)));
	CHECK_IS(8, grove_write(counter, &number, 8, GROVE_NEVER));
	CHECK_IS(8, grove_read(counter, &number, 8, GROVE_NEVER));
	CHECK_IS(5, number);
	CHECK_IS(-EINVAL, grove_write(counter, &number, 4, GROVE_NEVER));
	CHECK_IS(0, grove_close(counter));
	return arg;
}

static void test_terminals_do_not_block_a_hub(void **state)
{
	(void)state;
	run_on(1, body_of_terminal, NULL);
	run_on(2, body_of_terminal, NULL);
}

/* ---- all or nothing ---- */

static void *body_of_full(void *arg)
{
	char buffer[16];
	size_t done;
	int fds[2];

	pair_of_sockets(fds);
	CHECK_IS(3, grove_write(fds[1], "abc", 3, GROVE_NEVER));
	done = 99;
	CHECK_IS(-EAGAIN, grove_read_full(fds[0], buffer, 5, &done, GROVE_POLL));
	CHECK_IS(3, done);
	CHECK_IS(2, grove_write(fds[1], "de", 2, GROVE_NEVER));
	done = 99;
	CHECK_IS(-ETIMEDOUT, grove_read_full(fds[0], buffer, 5, &done, grove_in_ms(1)));
	CHECK_IS(2, done);
	CHECK_IS(6, grove_write(fds[1], "fghijk", 6, GROVE_NEVER));
	CHECK_IS(0, grove_read_full(fds[0], buffer, 5, &done, GROVE_NEVER));
	CHECK_IS(5, done);
	CHECK_IS(0, grove_shutdown(fds[1], SHUT_WR));
	CHECK_IS(GROVE_END, grove_read_full(fds[0], buffer, 5, &done, GROVE_NEVER));
	CHECK_IS(1, done);
	CHECK_IS(GROVE_END, grove_read_full(fds[0], buffer, 5, NULL, GROVE_NEVER));
	close_both(fds);

	/* The whole budget counts, even if every piece goes at once (IO-2). */
	static char block[8 * MEGABYTE];
	pair_of_sockets(fds);
	done = 0;
	CHECK_IS(-ETIMEDOUT,
		 grove_write_full(fds[0], block, sizeof(block), &done, GROVE_DEADLINE(0)));
	CHECK(done > 0 && done < sizeof(block));
	CHECK_IS(-EAGAIN, grove_write_full(fds[0], block, sizeof(block), &done, GROVE_POLL));
	CHECK_IS(0, grove_close(fds[1]));
	CHECK_IS(-EPIPE, grove_write_full(fds[0], block, 1, &done, GROVE_NEVER));
	CHECK_IS(0, done);
	CHECK_IS(0, grove_close(fds[0]));

	/* Closed in the middle: what went is told. */
	pair_of_sockets(fds);
	struct transfer t = { .fd = fds[0], .bytes = block, .size = sizeof(block) };
	grove_greenlet *writer = spawn(write_all, &t);
	until_waited_for(fds[0], GV_FD_WRITE);
	CHECK_IS(0, grove_close(fds[0]));
	CHECK_IS(-EBADF, value_of(writer));
	CHECK(t.done > 0 && t.done < t.size);
	CHECK(!is_open(fds[0]));
	CHECK_IS(0, grove_close(fds[1]));
	return arg;
}

static void test_full(void **state)
{
	(void)state;
	run_on(1, body_of_full, NULL);
	run_on(2, body_of_full, NULL);
}

/* ---- the end of a stream ---- */

static void *body_of_half_close(void *arg)
{
	char buffer[64];
	int fds[2];

	pair_of_tcp(fds);
	/* Data and end together: the end has no event of its own left. */
	CHECK_IS(4, grove_write(fds[1], "last", 4, GROVE_NEVER));
	CHECK_IS(0, grove_shutdown(fds[1], SHUT_WR));
	CHECK_IS(GROVE_READ, grove_fd_wait(fds[0], GROVE_READ, GROVE_NEVER));
	CHECK_IS(4, grove_read(fds[0], buffer, sizeof(buffer), GROVE_NEVER));
	CHECK_IS(0, grove_read(fds[0], buffer, sizeof(buffer), GROVE_NEVER));
	CHECK_IS(0, grove_read(fds[0], buffer, sizeof(buffer), GROVE_NEVER));
	/* The other direction goes on. */
	struct reading r = reading_of(fds[1]);
	grove_greenlet *reader = spawn(read_some, &r);
	until_waited_for(fds[1], GV_FD_READ);
	CHECK_IS(5, grove_write(fds[0], "reply", 5, GROVE_NEVER));
	CHECK_IS(5, value_of(reader));
	CHECK_IS(-EPIPE, grove_write(fds[1], "x", 1, GROVE_NEVER));
	close_both(fds);

	/* The same while somebody waits already. */
	pair_of_tcp(fds);
	r = reading_of(fds[0]);
	reader = spawn(read_some, &r);
	until_waited_for(fds[0], GV_FD_READ);
	CHECK_IS(1, grove_write(fds[1], "1", 1, GROVE_NEVER));
	CHECK_IS(1, value_of(reader));
	reader = spawn(read_some, &r);
	until_waited_for(fds[0], GV_FD_READ);
	CHECK_IS(0, grove_shutdown(fds[1], SHUT_WR));
	CHECK_IS(0, value_of(reader));
	close_both(fds);
	return arg;
}

static void *body_of_shutdown(void *arg)
{
	int listener = grove_tcp_listen("127.0.0.1", 0);
	int fds[2];

	for (int i = 0; i < 2; i++) {
		if (i == 0)
			pair_of_tcp(fds);
		else
			pair_of_sockets(fds);
		struct reading r = reading_of(fds[0]);
		grove_greenlet *reader = spawn(read_some, &r);
		until_waited_for(fds[0], GV_FD_READ);
		CHECK_IS(0, grove_shutdown(fds[0], SHUT_RD));
		CHECK_IS(0, value_of(reader));

		grove_greenlet *writer = spawn(write_too_much, &fds[0]);
		until_waited_for(fds[0], GV_FD_WRITE);
		CHECK_IS(0, grove_shutdown(fds[0], SHUT_WR));
		CHECK_IS(-EPIPE, value_of(writer));
		close_both(fds);
	}
	CHECK_IS(0, grove_shutdown(listener, SHUT_RD));
	CHECK_IS(-EINVAL, grove_accept(listener, NULL, NULL, GROVE_NEVER));
	CHECK_IS(0, grove_close(listener));
	return arg;
}

static void *accept_one(void *arg)
{
	return CODE(grove_accept(*(int *)arg, NULL, NULL, GROVE_NEVER));
}

static void *body_of_listener_shutdown(void *arg)
{
	int listener = grove_tcp_listen("127.0.0.1", 0);
	grove_greenlet *acceptor = spawn(accept_one, &listener);

	until_waited_for(listener, GV_FD_READ);
	CHECK_IS(0, grove_shutdown(listener, SHUT_RD));
	CHECK_IS(-EINVAL, value_of(acceptor));
	CHECK_IS(0, grove_close(listener));
	return arg;
}

static void test_ends_of_streams(void **state)
{
	(void)state;
	for (unsigned hubs = 1; hubs <= 2; hubs++) {
		run_on(hubs, body_of_half_close, NULL);
		run_on(hubs, body_of_shutdown, NULL);
		run_on(hubs, body_of_listener_shutdown, NULL);
	}
}

static void *body_of_broken_pipe(void *arg)
{
	int fds[2];

	atomic_store(&sigpipes, 0);
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			pair_of_tcp(fds);
		else
			pair_of_sockets(fds);
		CHECK_IS(0, grove_close(fds[1]));
		int rc = 0;
		while (rc == 0) /* TCP has to hear of it first */
			rc = grove_write_full(fds[0], "x", 1, NULL, GROVE_NEVER);
		CHECK(rc == -EPIPE || rc == -ECONNRESET);
		CHECK_IS(-EPIPE, grove_write(fds[0], "x", 1, GROVE_NEVER));
		CHECK_IS(-EPIPE, grove_send(fds[0], "x", 1, 0, GROVE_NEVER));
		CHECK_IS(0, grove_close(fds[0]));
	}
	CHECK_IS(0, atomic_load(&sigpipes));

	/* A pipe raises it as usual. */
	CHECK_IS(0, pipe(fds));
	CHECK_IS(0, grove_close(fds[0]));
	CHECK_IS(-EPIPE, grove_write(fds[1], "x", 1, GROVE_NEVER));
	CHECK_IS(0, grove_close(fds[1]));
	return arg;
}

static void test_nobody_reads_any_more(void **state)
{
	(void)state;
	struct sigaction count = { .sa_handler = count_sigpipe };
	struct sigaction before;

	assert_int_equal(sigaction(SIGPIPE, &count, &before), 0);
	run_on(1, body_of_broken_pipe, NULL);
	assert_int_equal(atomic_load(&sigpipes), 1);
	assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
}

/* ---- what cuts a read short ---- */

static void send_descriptor(int to, const char *text, size_t size, int passed)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec piece = { .iov_base = (void *)(uintptr_t)text, .iov_len = size };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
					   .cmsg_level = SOL_SOCKET,
					   .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
	CHECK_IS(size, sendmsg(to, &message, 0));
}

static void *body_of_short_reads(void *arg)
{
	char buffer[64];
	int fds[2];

	/* A passed descriptor ends a read; more is there, and no event will say so. */
	int listener = grove_tcp_listen("unix:@grove-test-short", 0);
	fds[0] = grove_tcp_connect("unix:@grove-test-short", 0, GROVE_NEVER);
	fds[1] = grove_accept(listener, NULL, NULL, GROVE_NEVER);
	CHECK(listener >= 0 && fds[0] >= 0 && fds[1] >= 0);
	CHECK_IS(0, grove_close(listener));
	struct reading r = reading_of(fds[1]);
	grove_greenlet *reader = spawn(read_some, &r);
	until_waited_for(fds[1], GV_FD_READ);
	CHECK_IS(3, send(fds[0], "one", 3, 0));
	send_descriptor(fds[0], "two", 3, fds[0]);
	CHECK_IS(5, send(fds[0], "three", 5, 0));
	size_t total = (size_t)value_of(reader);
	while (total < 11)
		total += (size_t)grove_read(fds[1], buffer, sizeof(buffer), GROVE_NEVER);
	CHECK_IS(11, total);
	CHECK_IS(-ETIMEDOUT, grove_read(fds[1], buffer, 1, grove_in_ms(1)));
	close_both(fds);

	/* So does urgent data on TCP. */
	pair_of_tcp(fds);
	CHECK_IS(-ETIMEDOUT, grove_read(fds[1], buffer, 1, grove_in_ms(1)));
	CHECK_IS(3, send(fds[0], "abc", 3, 0));
	CHECK_IS(1, grove_send(fds[0], "!", 1, MSG_OOB, GROVE_NEVER));
	CHECK_IS(3, send(fds[0], "def", 3, 0));
	total = 0;
	while (total < 3) {
		ssize_t n = grove_read(fds[1], buffer, sizeof(buffer), GROVE_NEVER);
		CHECK(n > 0);
		total += (size_t)n;
	}
	CHECK_IS(3, total);
	CHECK_IS(1, grove_recv(fds[1], buffer, 1, MSG_OOB, GROVE_NEVER));
	CHECK_IS('!', buffer[0]);
	CHECK_IS(0, grove_read_full(fds[1], buffer, 3, NULL, GROVE_NEVER));
	CHECK_IS(0, memcmp(buffer, "def", 3));
	CHECK_IS(-EINVAL, grove_recv(fds[1], buffer, 1, MSG_OOB, GROVE_NEVER));
	close_both(fds);

	/* A look takes nothing. */
	pair_of_tcp(fds);
	CHECK_IS(4, grove_write(fds[0], "look", 4, GROVE_NEVER));
	CHECK_IS(4, grove_recv(fds[1], buffer, sizeof(buffer), MSG_PEEK, GROVE_NEVER));
	CHECK_IS(4, grove_recv(fds[1], buffer, sizeof(buffer), MSG_PEEK, GROVE_NEVER));
	CHECK_IS(4, grove_read(fds[1], buffer, sizeof(buffer), GROVE_NEVER));
	CHECK_IS(-EAGAIN, grove_read(fds[1], buffer, 1, GROVE_POLL));
	close_both(fds);
	return arg;
}

static void test_short_reads_are_not_the_end(void **state)
{
	(void)state;
	run_on(1, body_of_short_reads, NULL);
	run_on(2, body_of_short_reads, NULL);
}

static void *body_of_datagrams(void *arg)
{
	char buffer[64];
	int fds[2];

	CHECK_IS(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
	CHECK_IS(0, grove_write(fds[0], "", 0, GROVE_NEVER)); /* an empty one is one */
	CHECK_IS(2, grove_send(fds[0], "ab", 2, 0, GROVE_NEVER));
	CHECK_IS(3, grove_send(fds[0], "cde", 3, 0, GROVE_NEVER));
	CHECK_IS(0, grove_read(fds[1], buffer, sizeof(buffer), GROVE_NEVER));
	CHECK_IS(2, grove_read(fds[1], buffer, sizeof(buffer), GROVE_NEVER));
	CHECK_IS(3, grove_recv(fds[1], buffer, sizeof(buffer), 0, GROVE_NEVER));
	CHECK_IS(-ETIMEDOUT, grove_recv(fds[1], buffer, sizeof(buffer), 0, grove_in_ms(1)));
	while (grove_send(fds[0], "x", 1, 0, GROVE_POLL) == 1)
		continue;
	CHECK_IS(-ETIMEDOUT, grove_send(fds[0], "x", 1, 0, grove_in_ms(1)));
	struct transfer t = { .fd = fds[0], .bytes = buffer, .size = 1 };
	grove_greenlet *sender = spawn(write_all, &t);
	until_waited_for(fds[0], GV_FD_WRITE);
	while (!grove_ready(sender)) {
		CHECK_IS(1, grove_recv(fds[1], buffer, sizeof(buffer), 0, GROVE_NEVER));
		(void)grove_yield();
	}
	CHECK_IS(0, value_of(sender));
	close_both(fds);
	return arg;
}

static void test_datagrams(void **state)
{
	(void)state;
	run_on(1, body_of_datagrams, NULL);
}

/* ---- many at once ---- */

static void *echo_once(void *arg)
{
	int *fds = arg;
	char byte;

	for (int i = 0; i < 20; i++) {
		CHECK_IS(1, grove_read(fds[1], &byte, 1, GROVE_NEVER));
		CHECK_IS(1, grove_write(fds[1], &byte, 1, GROVE_NEVER));
	}
	return NULL;
}

static void *ask(void *arg)
{
	int *fds = arg;
	char byte;

	for (int i = 0; i < 20; i++) {
		char sent = (char)(i + fds[0]);

		CHECK_IS(1, grove_write(fds[0], &sent, 1, GROVE_NEVER));
		CHECK_IS(GROVE_READ, grove_fd_wait(fds[0], GROVE_READ, GROVE_NEVER));
		CHECK_IS(1, grove_read(fds[0], &byte, 1, GROVE_NEVER));
		CHECK_IS(sent, byte);
	}
	return NULL;
}

static void *body_of_many(void *arg)
{
	enum { PAIRS = 200 };
	static int fds[PAIRS][2];
	grove_greenlet *askers[PAIRS];
	grove_greenlet *answerers[PAIRS];

	for (int i = 0; i < PAIRS; i++) {
		if (i % 2)
			pair_of_tcp(fds[i]);
		else
			pair_of_sockets(fds[i]);
	}
	for (int i = 0; i < PAIRS; i++) {
		answerers[i] = spawn(echo_once, fds[i]);
		askers[i] = spawn(ask, fds[i]);
	}
	for (int i = 0; i < PAIRS; i++) {
		CHECK_IS(0, value_of(askers[i]));
		CHECK_IS(0, value_of(answerers[i]));
		close_both(fds[i]);
	}
	return arg;
}

static void test_many_at_once(void **state)
{
	(void)state;
	run_on(1, body_of_many, NULL);
	run_on(3, body_of_many, NULL);
}

/* ---- waiting for both directions ---- */

struct readiness {
	int fd;
	unsigned events;
};

static void *wait_ready(void *arg)
{
	struct readiness *r = arg;

	return CODE(grove_fd_wait(r->fd, r->events, GROVE_NEVER));
}

static void *body_of_both(void *arg)
{
	char buffer[4096];
	int fds[2];

	for (int i = 0; i < 20; i++) {
		pair_of_sockets(fds);
		fill(fds[0]);
		struct readiness r = { fds[0], GROVE_READ | GROVE_WRITE };
		grove_greenlet *g = spawn(wait_ready, &r);
		until_waited_for(fds[0], GV_FD_READ);
		CHECK_IS(1, grove_write(fds[1], "r", 1, GROVE_NEVER));
		CHECK_IS(GROVE_READ, value_of(g));
		CHECK_IS(1, grove_read(fds[0], buffer, sizeof(buffer), GROVE_NEVER));

		g = spawn(wait_ready, &r);
		until_waited_for(fds[0], GV_FD_READ);
		while (!grove_ready(g)) {
			ssize_t n = grove_read(fds[1], buffer, sizeof(buffer), GROVE_POLL);
			CHECK(n > 0 || n == -EAGAIN);
			(void)grove_yield();
		}
		CHECK_IS(GROVE_WRITE, value_of(g));

		fill(fds[0]);
		g = spawn(wait_ready, &r);
		until_waited_for(fds[0], GV_FD_READ);
		if (i % 2) {
			/* A hang-up counts as both. */
			CHECK_IS(0, grove_close(fds[1]));
			CHECK_IS(GROVE_READ | GROVE_WRITE, value_of(g));
			CHECK_IS(0, grove_close(fds[0]));
		} else {
			CHECK_IS(0, grove_close(fds[0]));
			CHECK_IS(-EBADF, value_of(g));
			CHECK_IS(0, grove_close(fds[1]));
		}
	}
	return arg;
}

static void test_either_direction(void **state)
{
	(void)state;
	run_on(1, body_of_both, NULL);
	run_on(2, body_of_both, NULL);
}

/* ---- kills ---- */

static void *body_of_kill(void *arg)
{
	char byte;
	int fds[2];

	for (int i = 0; i < 50; i++) {
		pair_of_sockets(fds);
		struct reading r = reading_of(fds[0]);
		grove_greenlet *reader = spawn(read_some, &r);
		until_waited_for(fds[0], GV_FD_READ);
		CHECK_IS(0, grove_kill(reader, NULL, GROVE_NEVER));
		CHECK_IS(GROVE_KILLED, value_of(reader));
		/* The next one gets what the killed one did not (CASES 352). */
		reader = spawn(read_some, &r);
		CHECK_IS(1, grove_write(fds[1], "k", 1, GROVE_NEVER));
		CHECK_IS(1, value_of(reader));
		CHECK_IS(-EAGAIN, grove_read(fds[0], &byte, 1, GROVE_POLL));
		close_both(fds);
	}
	return arg;
}

static void test_kills(void **state)
{
	(void)state;
	run_on(1, body_of_kill, NULL);
	run_on(2, body_of_kill, NULL);
}

/* ---- callers ---- */

struct in_hub {
	int fd;
	intptr_t first;
	intptr_t second;
	intptr_t third;
	grove_event done;
};

static void call_in_hub(void *arg)
{
	struct in_hub *h = arg;
	char byte;

	h->first = grove_read(h->fd, &byte, 1, GROVE_NEVER);
	h->second = grove_read(h->fd, &byte, 1, GROVE_NEVER);
	h->third = grove_fd_wait(h->fd, GROVE_READ, GROVE_POLL);
	grove_event_send(&h->done, NULL);
}

static void *body_of_in_hub(void *arg)
{
	bool tcp = arg != NULL;
	int fds[2];

	if (tcp)
		pair_of_tcp(fds);
	else
		pair_of_sockets(fds);
	struct in_hub h = { .fd = fds[0], .done = GROVE_EVENT_INIT };
	grove_timer timer = GROVE_TIMER_INIT;
	char buffer[8];

	/* Short on TCP: from now on a call waits first, but in a callback it tries. */
	CHECK_IS(1, grove_write(fds[1], "0", 1, GROVE_NEVER));
	CHECK_IS(1, grove_read(fds[0], buffer, sizeof(buffer), GROVE_NEVER));
	CHECK_IS(1, grove_write(fds[1], "1", 1, GROVE_NEVER));
	CHECK_IS(0, grove_timer_start(&timer, call_in_hub, &h, 0, 0, GROVE_POLL));
	CHECK_IS(0, grove_event_wait(&h.done, NULL, GROVE_NEVER));
	CHECK_IS(1, h.first);
	CHECK_IS(GROVE_IN_HUB, h.second);
	CHECK_IS(-EAGAIN, h.third);
	close_both(fds);
	return NULL;
}

static void test_callbacks_do_not_wait(void **state)
{
	(void)state;
	run_on(1, body_of_in_hub, NULL);
	run_on(1, body_of_in_hub, (void *)1);
}

static void test_a_wait_of_a_thread_starts_the_runtime(void **state)
{
	(void)state;
	pthread_t thread;
	void *value;
	int fds[2];

	pair_of_sockets(fds);
	struct reading r = reading_of(fds[0]);
	assert_int_equal(grove_hub_count(), 0);
	start_thread(&thread, read_some, &r);
	while (!is_waited_for(fds[0], GV_FD_READ))
		sched_yield();
	assert_true(grove_hub_count() > 0);
	assert_int_equal(grove_write(fds[1], "t", 1, GROVE_NEVER), 1);
	assert_int_equal(pthread_join(thread, &value), 0);
	assert_int_equal((intptr_t)value, 1);
	assert_int_equal(grove_read(fds[0], r.buffer, 1, grove_in_ms(1)), -ETIMEDOUT);
	assert_int_equal(grove_read(fds[0], r.buffer, 1, GROVE_DEADLINE(0)), -ETIMEDOUT);

	struct readiness both = { fds[0], GROVE_READ | GROVE_WRITE };
	fill(fds[0]);
	start_thread(&thread, wait_ready, &both);
	while (!is_waited_for(fds[0], GV_FD_READ))
		sched_yield();
	assert_int_equal(grove_shutdown(fds[0], SHUT_WR), 0);
	assert_int_equal(pthread_join(thread, &value), 0);
	assert_true((intptr_t)value & GROVE_WRITE);

	/* And the end of the runtime ends it. */
	start_thread(&thread, read_some, &r);
	while (!is_waited_for(fds[0], GV_FD_READ))
		sched_yield();
	stop();
	assert_int_equal(pthread_join(thread, &value), 0);
	assert_int_equal((intptr_t)value, -ECANCELED);
	assert_false(gv_fd_wanted());
	close_both(fds);
}

struct exchange {
	int fd;
	int rounds;
	bool first;
};

static void *exchange(void *arg)
{
	struct exchange *x = arg;
	char byte = 'e';

	if (x->first)
		CHECK_IS(1, grove_send(x->fd, &byte, 1, 0, GROVE_NEVER));
	for (int i = 0; i < x->rounds; i++) {
		CHECK_IS(1, grove_recv(x->fd, &byte, 1, 0, GROVE_NEVER));
		CHECK_IS(1, grove_send(x->fd, &byte, 1, 0, GROVE_NEVER));
	}
	if (!x->first)
		CHECK_IS(1, grove_recv(x->fd, &byte, 1, 0, GROVE_NEVER));
	return NULL;
}

static void *body_of_threads_and_greenlets(void *arg)
{
	enum { COUNT = 4 };
	struct exchange ends[COUNT][2];
	grove_greenlet *greenlets[COUNT];
	pthread_t threads[COUNT];
	int fds[2];

	for (int i = 0; i < COUNT; i++) {
		if (i % 2)
			pair_of_tcp(fds);
		else
			pair_of_sockets(fds);
		ends[i][0] = (struct exchange){ fds[0], GT_SCALED(1000), true };
		ends[i][1] = (struct exchange){ fds[1], GT_SCALED(1000), false };
		start_thread(&threads[i], exchange, &ends[i][0]);
		greenlets[i] = spawn(exchange, &ends[i][1]);
	}
	for (int i = 0; i < COUNT; i++) {
		CHECK_IS(0, value_of(greenlets[i]));
		join_thread(threads[i]);
		CHECK_IS(0, grove_close(ends[i][0].fd));
		CHECK_IS(0, grove_close(ends[i][1].fd));
	}
	return arg;
}

static void test_threads_and_greenlets_talk(void **state)
{
	(void)state;
	run_on(1, body_of_threads_and_greenlets, NULL);
	run_on(2, body_of_threads_and_greenlets, NULL);
}

/* ---- listeners that Grove did not open ---- */

static void *connect_to(void *arg)
{
	return CODE(grove_tcp_connect("127.0.0.1", *(int *)arg, GROVE_NEVER));
}

static void *body_of_blocking_listener(void *arg)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_IS(0, bind(listener, (struct sockaddr *)&address, sizeof(address)));
	CHECK_IS(-EINVAL, grove_accept(listener, NULL, NULL, GROVE_NEVER));
	CHECK_IS(0, listen(listener, 16));
	CHECK_IS(-EAGAIN, grove_accept(listener, NULL, NULL, GROVE_POLL));
	CHECK_IS(-ETIMEDOUT, grove_accept(listener, NULL, NULL, grove_in_ms(1)));
	int port = port_of(listener);
	grove_greenlet *client = spawn(connect_to, &port);
	int accepted = grove_accept(listener, (struct sockaddr *)&peer, &length, GROVE_NEVER);
	CHECK(accepted >= 0);
	CHECK_IS(AF_INET, peer.ss_family);
	CHECK_IS(sizeof(struct sockaddr_in), length);
	CHECK(fcntl(accepted, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(accepted, F_GETFD) & FD_CLOEXEC);
	CHECK_IS(0, fcntl(listener, F_GETFL) & O_NONBLOCK);
	CHECK_IS(0, grove_close((int)value_of(client)));
	CHECK_IS(0, grove_close(accepted));

	/* A blocking socket of the program's connects, and is left blocking. */
	length = sizeof(address);
	CHECK_IS(0, getsockname(listener, (struct sockaddr *)&address, &length));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_IS(0, grove_connect(fd, (struct sockaddr *)&address, length, GROVE_NEVER));
	CHECK_IS(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK_IS(0, grove_close(fd));
	CHECK_IS(0, grove_close(listener));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_IS(-ECONNREFUSED,
		 grove_connect(fd, (struct sockaddr *)&address, length, GROVE_NEVER));
	CHECK_IS(0, grove_close(fd));
	return arg;
}

static void test_sockets_of_the_program(void **state)
{
	(void)state;
	run_on(1, body_of_blocking_listener, NULL);
	run_on(2, body_of_blocking_listener, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_what_completes_at_once_needs_no_runtime),
		cmocka_unit_test(test_size_zero),
		cmocka_unit_test(test_files_never_wait),
		cmocka_unit_test(test_a_wait_of_a_thread_starts_the_runtime),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_slow_readers_get_all_of_it),
		cmocka_unit_test(test_named_pipes_do_not_block_a_hub),
		cmocka_unit_test(test_terminals_do_not_block_a_hub),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_ends_of_streams),
		cmocka_unit_test(test_nobody_reads_any_more),
		cmocka_unit_test(test_short_reads_are_not_the_end),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_either_direction),
		cmocka_unit_test(test_kills),
		cmocka_unit_test(test_callbacks_do_not_wait),
		cmocka_unit_test(test_threads_and_greenlets_talk),
		cmocka_unit_test(test_sockets_of_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
