/* SPDX-License-Identifier: MIT */
/*
 * test_fd.c - fd.c, fd_poll.c: IO-4, IO-5, IO-6; CASES 355, 356, 374.
 */
#include "unit/prim/io_test.h"

#include <sys/wait.h>

#include "plat/futex.h"

/* ---- calls and lives ---- */

static void test_numbers_that_are_not_open(void **state)
{
	(void)state;
	struct gv_fd_use use;
	int fds[2];

	assert_int_equal(gv_fd_enter(-1, &use), -EBADF);
	assert_int_equal(gv_fd_enter(INT32_MAX, &use), -EBADF);
	pair_of_sockets(fds);
	close_both(fds);
	char byte;
	assert_int_equal(grove_read(fds[0], &byte, 1, GROVE_NEVER), -EBADF);
	assert_int_equal(grove_write(fds[0], &byte, 1, GROVE_NEVER), -EBADF);
	assert_int_equal(grove_fd_wait(fds[0], GROVE_READ, GROVE_NEVER), -EBADF);
	assert_int_equal(grove_close(-1), -EBADF);
	assert_int_equal(grove_close(INT32_MAX), -EBADF);
	assert_int_equal(grove_close(fds[0]), -EBADF);
	assert_int_equal(grove_shutdown(fds[0], SHUT_RD), -EBADF);
	assert_int_equal(grove_fd_forget(-1), -EBADF);
	assert_int_equal(grove_fd_forget(INT32_MAX), 0);
	assert_int_equal(grove_fd_forget(fds[0]), 0);
}

static void test_close_waits_for_the_last_call(void **state)
{
	(void)state;
	struct gv_fd_use first;
	struct gv_fd_use second;
	struct gv_fd_use late;
	int fds[2];

	pair_of_sockets(fds);
	assert_int_equal(gv_fd_enter(fds[0], &first), 0);
	assert_int_equal(gv_fd_enter(fds[0], &second), 0);
	assert_int_equal(grove_close(fds[0]), 0);
	assert_true(is_open(fds[0]));
	assert_int_equal(grove_close(fds[0]), -EBADF);
	assert_int_equal(gv_fd_enter(fds[0], &late), -EBADF);
	assert_false(gv_fd_current(&first, gv_fd_look(&first, GV_FD_READ)));
	assert_int_equal(gv_fd_leave(&first), 0);
	assert_true(is_open(fds[0]));
	assert_int_equal(gv_fd_leave(&second), 0);
	assert_false(is_open(fds[0]));
	assert_int_equal(grove_close(fds[0]), -EBADF);
	assert_int_equal(grove_close(fds[1]), 0);
}

static void test_events_of_an_ended_life_do_nothing(void **state)
{
	(void)state;
	struct gv_fd_use before;
	struct gv_fd_use after;
	int fds[2];

	pair_of_sockets(fds);
	assert_int_equal(gv_fd_enter(fds[0], &before), 0);
	assert_int_equal(grove_fd_forget(fds[0]), 0);
	assert_int_equal(gv_fd_enter(fds[0], &after), 0);
	assert_int_equal(after.life, before.life + 1);

	uint64_t word = gv_fd_look(&after, GV_FD_READ);
	assert_true(gv_fd_current(&after, word));
	assert_false(gv_fd_current(&before, word));
	gv_fd_mark(&before, GV_FD_READ, 0);
	assert_true(gv_fd_look(&after, GV_FD_READ) == word);
	assert_int_equal(gv_fd_claim(&before, GV_FD_READ, 0), -EBADF);
	gv_fd_release(&before, GV_FD_READ, 0);
	assert_true(gv_fd_look(&after, GV_FD_READ) == word);
	gv_fd_mark(&after, GV_FD_READ, 0);
	assert_true(gv_fd_look(&after, GV_FD_READ) != word);

	assert_int_equal(gv_fd_leave(&before), 0);
	assert_int_equal(gv_fd_leave(&after), 0);
	close_both(fds);
}

/* F2: of 16 lives in a row, each has a bit that each other lacks. */
static void test_lives_exclude_each_other(void **state)
{
	(void)state;

	for (uint32_t a = 0; a < 16; a++) {
		for (uint32_t b = 0; b < 16; b++) {
			uint64_t others = GV_FD_LIFE & ~gv_fd_life_bits(a);

			assert_true(((gv_fd_life_bits(b) & others) != 0) == (a != b));
		}
	}
}

/* F3 */
static void test_readiness_between_look_and_blocked_is_kept(void **state)
{
	(void)state;
	struct gv_fd_use use;
	int fds[2];

	pair_of_sockets(fds);
	assert_int_equal(gv_fd_enter(fds[0], &use), 0);
	uint64_t seen = gv_fd_look(&use, GV_FD_READ);
	assert_true(seen & GV_FD_READY);
	gv_fd_mark(&use, GV_FD_READ, 0);
	gv_fd_blocked(&use, GV_FD_READ, seen);
	assert_true(gv_fd_look(&use, GV_FD_READ) & GV_FD_READY);

	/* Somebody else's claim is no event. */
	seen = gv_fd_look(&use, GV_FD_READ);
	assert_int_equal(gv_fd_claim(&use, GV_FD_READ, 0), 0);
	gv_fd_blocked(&use, GV_FD_READ, seen);
	assert_false(gv_fd_look(&use, GV_FD_READ) & GV_FD_READY);
	gv_fd_release(&use, GV_FD_READ, 0);
	assert_int_equal(gv_fd_leave(&use), 0);
	close_both(fds);
}

static void test_own_begins_a_life(void **state)
{
	(void)state;
	struct gv_fd_use use;
	struct gv_fd_use again;
	int fds[2];

	pair_of_sockets(fds);
	assert_int_equal(gv_fd_enter(fds[0], &use), 0);
	assert_int_equal(gv_fd_probe(&use), 0);
	assert_int_equal(use.kind, GV_FD_SOCKET);
	/* Closed and given out anew, while a call of the old life is still under way. */
	gv_fd_own(fds[0], GV_FD_TCP);
	assert_int_equal(gv_fd_enter(fds[0], &again), 0);
	assert_int_equal(again.life, use.life + 1);
	assert_int_equal(again.kind, GV_FD_TCP);
	assert_true(again.owned);
	assert_int_equal(gv_fd_leave(&again), 0);
	assert_int_equal(gv_fd_leave(&use), 0);
	close_both(fds);
}

/* ---- closing while others wait ---- */

static void *close_it(void *arg)
{
	return CODE(grove_close(*(int *)arg));
}

static void *body_of_close_ends_both(void *arg)
{
	bool tcp = arg != NULL;
	int fds[2];

	if (tcp)
		pair_of_tcp(fds);
	else
		pair_of_sockets(fds);
	struct reading r = reading_of(fds[0]);
	grove_greenlet *reader = spawn(read_some, &r);
	grove_greenlet *writer = spawn(write_too_much, &fds[0]);
	until_waited_for(fds[0], GV_FD_READ);
	until_waited_for(fds[0], GV_FD_WRITE);

	grove_greenlet *closer = spawn(close_it, &fds[0]);
	CHECK_IS(-EBADF, value_of(reader));
	CHECK_IS(-EBADF, value_of(writer));
	CHECK_IS(0, value_of(closer));
	CHECK(!is_open(fds[0]));
	CHECK_IS(0, grove_close(fds[1]));
	return NULL;
}

static void test_close_ends_both_directions(void **state)
{
	(void)state;
	for (unsigned hubs = 1; hubs <= 3; hubs++) {
		run_on(hubs, body_of_close_ends_both, NULL);
		run_on(hubs, body_of_close_ends_both, (void *)1);
	}
	assert_false(gv_fd_wanted());
}

static void test_close_ends_the_waits_of_threads(void **state)
{
	(void)state;
	pthread_t thread;
	void *value;
	int fds[2];

	start(2);
	pair_of_sockets(fds);
	struct reading r = reading_of(fds[0]);
	start_thread(&thread, read_some, &r);
	until_waited_for(fds[0], GV_FD_READ);
	assert_int_equal(grove_close(fds[0]), 0);
	assert_int_equal(pthread_join(thread, &value), 0);
	assert_int_equal((intptr_t)value, -EBADF);
	assert_false(is_open(fds[0]));
	assert_int_equal(grove_close(fds[1]), 0);
	stop();
}

static void *write_later(void *arg)
{
	return CODE(grove_write(*(int *)arg, "x", 1, GROVE_NEVER));
}

/*
 * The number of a descriptor that somebody waits on is closed and given out anew, in the same
 * moment: the old call gets -EBADF, the new one its own byte.
 */
static void *body_of_reuse(void *arg)
{
	int rounds = GT_SCALED(1000);
	int reused = 0;

	for (int i = 0; i < rounds; i++) {
		int old[2];
		int new[2];

		pair_of_sockets(old);
		struct reading of_old = reading_of(old[0]);
		grove_greenlet *waiter = spawn(read_some, &of_old);
		until_waited_for(old[0], GV_FD_READ);
		/* What wakes the old one up is on its way as well. */
		grove_greenlet *noise = i % 2 ? spawn(write_later, &old[1]) : NULL;
		CHECK_IS(0, grove_close(old[0]));
		intptr_t got = value_of(waiter);
		CHECK(got == -EBADF || (noise != NULL && got == 1));

		pair_of_sockets(new);
		reused += new[0] == old[0];
		struct reading of_new = reading_of(new[0]);
		grove_greenlet *reader = spawn(read_some, &of_new);
		if (noise != NULL) {
			intptr_t sent = value_of(noise);
			CHECK(sent == 1 || sent == -EPIPE);
		}
		CHECK_IS(0, grove_close(old[1]));
		until_waited_for(new[0], GV_FD_READ);
		CHECK_IS(1, grove_write(new[1], "n", 1, GROVE_NEVER));
		CHECK_IS(1, value_of(reader));
		CHECK_IS('n', of_new.buffer[0]);
		close_both(new);
	}
	CHECK(reused > rounds / 2);
	return arg;
}

static void test_a_reused_number_gets_no_old_wake_up(void **state)
{
	(void)state;
	run_on(1, body_of_reuse, NULL);
	run_on(2, body_of_reuse, NULL);
	assert_false(gv_fd_wanted());
}

/* Hubs and threads open, use and close the same few numbers; each sees only its own bytes. */
struct churn {
	atomic_int foreign_bytes;
	atomic_int done;
	int rounds;
};

static void *churn(void *arg)
{
	struct churn *c = arg;

	for (int i = 0; i < c->rounds; i++) {
		int fds[2];
		char mine = (char)(uintptr_t)&fds;
		char byte = 0;

		pair_of_sockets(fds);
		CHECK_IS(-EAGAIN, grove_read(fds[0], &byte, 1, GROVE_POLL));
		CHECK_IS(1, grove_write(fds[1], &mine, 1, GROVE_NEVER));
		CHECK_IS(1, grove_read(fds[0], &byte, 1, GROVE_NEVER));
		if (byte != mine)
			atomic_fetch_add(&c->foreign_bytes, 1);
		CHECK_IS(-ETIMEDOUT, grove_read(fds[0], &byte, 1, grove_in_ns(1000)));
		close_both(fds);
	}
	atomic_fetch_add(&c->done, 1);
	return NULL;
}

static void *body_of_churn(void *arg)
{
	struct churn *c = arg;
	grove_greenlet *greenlets[8];
	pthread_t threads[2];

	for (size_t i = 0; i < GV_ARRAY_LEN(threads); i++)
		start_thread(&threads[i], churn, c);
	for (size_t i = 0; i < GV_ARRAY_LEN(greenlets); i++)
		greenlets[i] = spawn(churn, c);
	for (size_t i = 0; i < GV_ARRAY_LEN(greenlets); i++)
		CHECK_IS(0, value_of(greenlets[i]));
	for (size_t i = 0; i < GV_ARRAY_LEN(threads); i++)
		join_thread(threads[i]);
	return NULL;
}

static void test_numbers_change_hands_all_the_time(void **state)
{
	(void)state;
	struct churn c = { .rounds = GT_SCALED(2000) };

	run_on(3, body_of_churn, &c);
	assert_int_equal(c.done, 10);
	assert_int_equal(c.foreign_bytes, 0);
	assert_false(gv_fd_wanted());
}

/* Many closers, one number: each descriptor is closed once, and never a stranger's. */
struct closers {
	atomic_int fd;
	atomic_int closed;
	atomic_bool stop;
};

static void *close_what_is_there(void *arg)
{
	struct closers *c = arg;

	while (!atomic_load(&c->stop)) {
		int fd = atomic_exchange(&c->fd, -1);

		/* Two at once, for one descriptor. */
		if (fd >= 0 && grove_close(fd) == 0)
			atomic_fetch_add(&c->closed, 1);
		(void)grove_yield();
	}
	return NULL;
}

static void *body_of_two_closers(void *arg)
{
	(void)arg;
	struct closers c = { .fd = -1 };
	int rounds = GT_SCALED(1000);
	int mine = 0;
	grove_greenlet *other = spawn(close_what_is_there, &c);

	for (int i = 0; i < rounds; i++) {
		struct gv_fd_use use;
		int fds[2];

		pair_of_sockets(fds);
		/* As long as a call is in it, the number cannot be anybody else's. */
		CHECK_IS(0, gv_fd_enter(fds[0], &use));
		atomic_store(&c.fd, fds[0]);
		if (i % 2)
			(void)grove_yield();
		mine += grove_close(fds[0]) == 0;
		while (atomic_load(&c.closed) + mine != i + 1 || atomic_load(&c.fd) >= 0)
			(void)grove_yield();
		CHECK(is_open(fds[0]));
		CHECK_IS(0, gv_fd_leave(&use));
		CHECK(!is_open(fds[0]));
		CHECK_IS(0, grove_close(fds[1]));
	}
	atomic_store(&c.stop, true);
	CHECK_IS(0, value_of(other));
	return NULL;
}

static void test_of_two_closers_one_wins(void **state)
{
	(void)state;
	run_on(2, body_of_two_closers, NULL);
}

/* ---- a close(2) that takes its time ---- */

static void *write_a_byte(void *arg)
{
	return CODE(grove_write(*(int *)arg, "b", 1, GROVE_POLL));
}

/*
 * The closer is still inside close(2), lingering, while the kernel has given the number to somebody
 * else: a call on the new one waits, and then works.
 */
static void test_a_number_is_reused_while_it_is_being_closed(void **state)
{
	(void)state;
	struct linger wait_for_peer = { .l_onoff = 1, .l_linger = 60 };
	static char drain[1 << 20];
	pthread_t closer;
	pthread_t user;
	void *value;
	int tcp[2];
	int next[2];

	start(2);
	pair_of_tcp(tcp);
	fill(tcp[0]);
	assert_int_equal(
		setsockopt(tcp[0], SOL_SOCKET, SO_LINGER, &wait_for_peer, sizeof(wait_for_peer)),
		0);
	struct gv_fd *record = gv_fd_find(tcp[0]);
	start_thread(&closer, close_it, &tcp[0]);
	while (is_open(tcp[0]) || !(gv_load(&record->state, acquire) & GV_FD_FINISHING))
		sched_yield();
	assert_int_equal(grove_read(tcp[0], drain, 1, GROVE_POLL), -EBADF);
	assert_int_equal(grove_close(tcp[0]), -EBADF);

	pair_of_sockets(next);
	if (next[1] == tcp[0]) {
		next[1] = next[0];
		next[0] = tcp[0];
	} else if (next[0] != tcp[0]) {
		assert_int_equal(dup2(next[0], tcp[0]), tcp[0]);
		assert_int_equal(close(next[0]), 0);
		next[0] = tcp[0];
	}
	start_thread(&user, write_a_byte, &tcp[0]);
	while (!(gv_load(&record->state, acquire) & GV_FD_SLEEPERS))
		sched_yield();

	ssize_t n;
	while ((n = grove_read(tcp[1], drain, sizeof(drain), GROVE_NEVER)) > 0)
		continue;
	assert_int_equal(n, 0);
	assert_int_equal(pthread_join(closer, &value), 0);
	assert_int_equal((intptr_t)value, 0);
	assert_int_equal(pthread_join(user, &value), 0);
	assert_int_equal((intptr_t)value, 1);
	assert_int_equal(grove_read(next[1], drain, 1, GROVE_POLL), 1);
	assert_int_equal(drain[0], 'b');
	assert_int_equal(grove_close(tcp[1]), 0);
	close_both(next);
	stop();
}

/*
 * A call comes while close(2) is about to be called, and goes on when it has returned and the number is
 * somebody else's: it is a call on the old one, and reads nothing.  The closer is played by the test.
 */
static void test_a_call_that_came_before_the_close(void **state)
{
	(void)state;
	pthread_t thread;
	void *value;
	int old[2];
	int new[2];

	pair_of_sockets(old);
	pair_of_sockets(new);
	assert_int_equal(grove_write(new[1], "new", 3, GROVE_NEVER), 3);
	struct gv_fd_use use;
	assert_int_equal(gv_fd_enter(old[0], &use), 0);
	assert_int_equal(gv_fd_leave(&use), 0);
	gv_or(&use.record->state, GV_FD_FINISHING, seq_cst);

	struct reading r = reading_of(old[0]);
	start_thread(&thread, read_some, &r);
	while (!(gv_load(&use.record->state, acquire) & GV_FD_SLEEPERS))
		sched_yield();
	assert_int_equal(dup2(new[0], old[0]), old[0]);
	uint64_t next = (uint64_t)(use.life + 1) << 32;
	gv_store(&use.record->state, next, seq_cst);
	gv_futex_wake((_Atomic uint32_t *)(void *)&use.record->state, INT32_MAX);
	assert_int_equal(pthread_join(thread, &value), 0);
	assert_int_equal((intptr_t)value, -EBADF);

	assert_int_equal(close(old[0]), 0);
	assert_int_equal(close(old[1]), 0);
	gv_store(&use.record->state, use.life ? (uint64_t)use.life << 32 : 0, seq_cst);
	close_both(new);
}

/* ---- closed and opened without Grove ---- */

static void *body_of_raw_close(void *arg)
{
	int old[2];
	int new[2];

	pair_of_sockets(old);
	struct reading r = reading_of(old[0]);
	r.deadline = grove_in_ms(1);
	CHECK_IS(-ETIMEDOUT, value_of(spawn(read_some, &r)));
	CHECK_IS(0, close(old[0]));
	pair_of_sockets(new);
	CHECK_IS(old[0], new[0]);

	/* The kernel has dropped the old one from the set; the number is watched all the same. */
	r.deadline = GROVE_NEVER;
	grove_greenlet *reader = spawn(read_some, &r);
	until_waited_for(new[0], GV_FD_READ);
	CHECK_IS(2, grove_write(new[1], "ok", 2, GROVE_NEVER));
	CHECK_IS(2, value_of(reader));
	CHECK_IS(0, close(old[1]));
	close_both(new);

	/* From socket to pipe, under the same number. */
	pair_of_sockets(old);
	CHECK_IS(1, grove_write(old[0], "x", 1, GROVE_NEVER));
	CHECK_IS(-EAGAIN, grove_read(old[0], r.buffer, 1, GROVE_POLL));
	CHECK_IS(0, close(old[0]));
	CHECK_IS(0, pipe(new));
	CHECK_IS(old[0], new[0]);
	CHECK_IS(-EAGAIN, grove_read(new[0], r.buffer, 1, GROVE_POLL));
	CHECK_IS(1, grove_write(new[1], "p", 1, GROVE_NEVER));
	CHECK_IS(1, grove_read(new[0], r.buffer, 9, GROVE_NEVER));
	CHECK_IS(-ENOTSOCK, grove_recv(new[0], r.buffer, 9, 0, GROVE_NEVER));
	/* And back. */
	CHECK_IS(0, close(new[0]));
	CHECK_IS(0, close(old[1]));
	pair_of_sockets(old);
	CHECK_IS(new[0], old[0]);
	CHECK_IS(0, shutdown(old[1], SHUT_RD));
	CHECK_IS(-EPIPE, grove_write(old[0], "x", 1, GROVE_NEVER)); /* and no SIGPIPE */
	close_both(old);
	CHECK_IS(0, grove_close(new[1]));
	return arg;
}

static void test_numbers_that_were_closed_by_others(void **state)
{
	(void)state;
	run_on(1, body_of_raw_close, NULL);
	run_on(2, body_of_raw_close, NULL);
}

static void *body_of_stranded_wait(void *arg)
{
	int old[2];
	int fd;

	/* Somebody waits on a number that was closed and given to Grove anew: ended, not left. */
	pair_of_sockets(old);
	struct reading r = reading_of(old[0]);
	grove_greenlet *stranded = spawn(read_some, &r);
	until_waited_for(old[0], GV_FD_READ);
	CHECK_IS(0, close(old[0]));
	fd = grove_tcp_listen("127.0.0.1", 0);
	CHECK_IS(old[0], fd);
	CHECK_IS(-EBADF, value_of(stranded));
	CHECK_IS(-ETIMEDOUT, grove_accept(fd, NULL, NULL, grove_in_ms(1)));
	CHECK_IS(0, grove_close(fd));

	/* The same, told by forget. */
	pair_of_sockets(&old[0]);
	r = reading_of(old[0]);
	stranded = spawn(read_some, &r);
	until_waited_for(old[0], GV_FD_READ);
	CHECK_IS(0, grove_fd_forget(old[0]));
	CHECK_IS(-EBADF, value_of(stranded));
	CHECK(is_open(old[0]));
	CHECK_IS(1, grove_write(old[1], "f", 1, GROVE_NEVER));
	CHECK_IS(1, grove_read(old[0], r.buffer, 9, GROVE_NEVER));
	close_both(old);
	return arg;
}

static void test_waits_on_a_lost_number_are_ended(void **state)
{
	(void)state;
	run_on(1, body_of_stranded_wait, NULL);
	run_on(2, body_of_stranded_wait, NULL);
	/* The peer's end of the first one. */
	for (int fd = 3; fd < 64; fd++) {
		int type;
		socklen_t length = sizeof(type);

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0)
			(void)grove_close(fd);
	}
}

/* ---- one call for each direction ---- */

static void *body_of_second_waiter(void *arg)
{
	int fds[2];

	pair_of_sockets(fds);
	struct reading r = reading_of(fds[0]);
	struct reading s = reading_of(fds[0]);
	grove_greenlet *first = spawn(read_some, &r);
	until_waited_for(fds[0], GV_FD_READ);
	CHECK_IS(-EBUSY, value_of(spawn(read_some, &s)));
	CHECK_IS(-EBUSY, grove_fd_wait(fds[0], GROVE_READ, GROVE_NEVER));
	CHECK_IS(GROVE_WRITE, grove_fd_wait(fds[0], GROVE_READ | GROVE_WRITE, GROVE_NEVER));
	fill(fds[0]);
	CHECK_IS(-EBUSY, grove_fd_wait(fds[0], GROVE_READ | GROVE_WRITE, GROVE_NEVER));
	CHECK_IS(-ETIMEDOUT, grove_fd_wait(fds[0], GROVE_WRITE, grove_in_ms(1)));
	CHECK_IS(1, grove_write(fds[1], "1", 1, GROVE_NEVER));
	CHECK_IS(1, value_of(first));

	/* A wait that ended otherwise does not stand in the way. */
	first = spawn(read_some, &r);
	until_waited_for(fds[0], GV_FD_READ);
	CHECK_IS(0, grove_kill(first, NULL, GROVE_NEVER));
	grove_greenlet_release(first);
	for (int i = 0; i < 200; i++)
		CHECK_IS(-ETIMEDOUT, grove_read(fds[0], r.buffer, 1, grove_in_ns(1)));
	CHECK_IS(1, grove_write(fds[1], "2", 1, GROVE_NEVER));
	CHECK_IS(1, grove_read(fds[0], r.buffer, 9, GROVE_NEVER));
	close_both(fds);
	return arg;
}

static void test_one_waiter_for_each_direction(void **state)
{
	(void)state;
	run_on(1, body_of_second_waiter, NULL);
	run_on(2, body_of_second_waiter, NULL);
}

/* ---- the poller ---- */

static int descriptor_of_the_set(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		char path[64];
		char name[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, name, sizeof(name) - 1) > 0 &&
		    strcmp(name, "anon_inode:[eventpoll]") == 0)
			return fd;
	}
	return -1;
}

static void *body_of_lost_set(void *arg)
{
	int fds[2];
	int tcp[2];

	pair_of_sockets(fds);
	pair_of_tcp(tcp);
	struct reading r = reading_of(fds[0]);
	struct reading s = reading_of(tcp[0]);
	grove_greenlet *reader = spawn(read_some, &r);
	grove_greenlet *owned = spawn(read_some, &s);
	until_waited_for(fds[0], GV_FD_READ);
	until_waited_for(tcp[0], GV_FD_READ);
	CHECK_IS(0, close(descriptor_of_the_set()));
	(void)grove_sleep(grove_in_ms(1)); /* somebody polls, and finds out */
	CHECK_IS(1, grove_write(fds[1], "a", 1, GROVE_NEVER));
	CHECK_IS(1, grove_write(tcp[1], "b", 1, GROVE_NEVER));
	CHECK_IS(1, value_of(reader));
	CHECK_IS(1, value_of(owned));
	close_both(fds);
	close_both(tcp);
	return arg;
}

static void test_the_set_is_closed_by_somebody(void **state)
{
	(void)state;
	run_on(1, body_of_lost_set, NULL);
	run_on(2, body_of_lost_set, NULL);
	assert_false(gv_fd_wanted());
}

/* The first descriptor comes from a thread while all hubs sleep. */
static void test_a_thread_wakes_somebody_who_polls(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	for (options.hubs = 1; options.hubs <= 2; options.hubs++) {
		pthread_t thread;
		void *value;
		int fds[2];

		assert_int_equal(grove_start(&options), 0);
		for (int i = 0; i < 20; i++) {
			pair_of_sockets(fds);
			struct reading r = reading_of(fds[0]);
			start_thread(&thread, read_some, &r);
			until_waited_for(fds[0], GV_FD_READ);
			assert_int_equal(grove_write(fds[1], "t", 1, GROVE_NEVER), 1);
			assert_int_equal(pthread_join(thread, &value), 0);
			assert_int_equal((intptr_t)value, 1);
			close_both(fds);
			assert_false(gv_fd_wanted());
		}
		stop();
	}
}

static void test_nothing_is_left_open(void **state)
{
	(void)state;
	int before = count_open();

	for (int i = 0; i < 3; i++)
		run_on(2, body_of_close_ends_both, (void *)1);
	assert_int_equal(count_open(), before);
}

/* Descriptors stay usable over a stop, those that Grove opened too. */
static void test_descriptors_outlive_the_runtime(void **state)
{
	(void)state;
	struct reading r;
	int tcp[2];

	start(2);
	pair_of_tcp(tcp);
	r = reading_of(tcp[0]);
	assert_int_equal(grove_read(tcp[0], r.buffer, 1, grove_in_ms(1)), -ETIMEDOUT);
	stop();
	start(2);
	pthread_t thread;
	void *value;
	start_thread(&thread, read_some, &r);
	until_waited_for(tcp[0], GV_FD_READ);
	assert_int_equal(grove_write(tcp[1], "s", 1, GROVE_NEVER), 1);
	assert_int_equal(pthread_join(thread, &value), 0);
	assert_int_equal((intptr_t)value, 1);
	close_both(tcp);
	stop();
}

/* ---- fork ---- */

static void *body_of_child(void *arg)
{
	int *tcp = arg;
	/* On the other end the parent reads. */
	struct reading r = reading_of(tcp[1]);
	grove_greenlet *reader = spawn(read_some, &r);

	until_waited_for(tcp[1], GV_FD_READ);
	CHECK_IS(1, grove_write(tcp[0], "c", 1, GROVE_NEVER));
	CHECK_IS(1, value_of(reader));
	close_both(tcp);
	return NULL;
}

static void test_a_child_has_descriptors_and_no_waits(void **state)
{
	(void)state;
	pthread_t thread;
	void *value;
	int status;
	int tcp[2];

	if (GV_TSAN)
		skip(); /* the sanitizer's own limit: no threads after a fork */
	start(2);
	pair_of_tcp(tcp);
	struct reading r = reading_of(tcp[0]);
	start_thread(&thread, read_some, &r);
	until_waited_for(tcp[0], GV_FD_READ);
	pid_t child = fork();
	if (child == 0) {
		void *result = NULL;

		CHECK_IS(0, grove_fork_child());
		CHECK(!gv_fd_wanted());
		CHECK_IS(0, grove_run(body_of_child, tcp, &result, NULL));
		_exit(42);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	assert_int_equal(grove_write(tcp[1], "p", 1, GROVE_NEVER), 1);
	assert_int_equal(pthread_join(thread, &value), 0);
	assert_int_equal((intptr_t)value, 1);
	close_both(tcp);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_that_are_not_open),
		cmocka_unit_test(test_close_waits_for_the_last_call),
		cmocka_unit_test(test_events_of_an_ended_life_do_nothing),
		cmocka_unit_test(test_lives_exclude_each_other),
		cmocka_unit_test(test_readiness_between_look_and_blocked_is_kept),
		cmocka_unit_test(test_own_begins_a_life),
		cmocka_unit_test(test_close_ends_both_directions),
		cmocka_unit_test(test_close_ends_the_waits_of_threads),
		cmocka_unit_test(test_a_reused_number_gets_no_old_wake_up),
		cmocka_unit_test(test_numbers_change_hands_all_the_time),
		cmocka_unit_test(test_of_two_closers_one_wins),
		cmocka_unit_test(test_a_number_is_reused_while_it_is_being_closed),
		cmocka_unit_test(test_a_call_that_came_before_the_close),
		cmocka_unit_test(test_numbers_that_were_closed_by_others),
		cmocka_unit_test(test_waits_on_a_lost_number_are_ended),
		cmocka_unit_test(test_one_waiter_for_each_direction),
		cmocka_unit_test(test_the_set_is_closed_by_somebody),
		cmocka_unit_test(test_a_thread_wakes_somebody_who_polls),
		cmocka_unit_test(test_nothing_is_left_open),
		cmocka_unit_test(test_descriptors_outlive_the_runtime),
		cmocka_unit_test(test_a_child_has_descriptors_and_no_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
