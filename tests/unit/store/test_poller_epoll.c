/* SPDX-License-Identifier: MIT */
/*
 * test_poller_epoll.c - the contract of poller.h, on poller_epoll.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "plat/clock.h"
#include "store/poller.h"

#define MS_NS INT64_C(1000000)

struct fixture {
	struct gv_poller poller;
	int pair[2]; /* connected stream sockets */
};

static int open_fixture(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL || gv_poller_open(&f->poller) != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->pair) != 0)
		return -1;
	*state = f;
	return 0;
}

static int close_fixture(void **state)
{
	struct fixture *f = *state;

	gv_poller_close(&f->poller);
	for (int i = 0; i < 2; i++) {
		if (f->pair[i] >= 0)
			(void)close(f->pair[i]);
	}
	free(f);
	return 0;
}

static void put(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

/* The one event that is there now. */
static struct gv_poll_event only_event(struct fixture *f)
{
	struct gv_poll_event events[4] = { 0 };

	assert_int_equal(gv_poller_wait(&f->poller, events, 4, 0), 1);
	return events[0];
}

static void assert_nothing(struct fixture *f)
{
	struct gv_poll_event event;

	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, 0), 0);
}

static void test_added_descriptor_reports_its_state(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 77), 0);
	struct gv_poll_event event = only_event(f);
	assert_int_equal(event.cookie, 77);
	assert_int_equal(event.ready, GV_POLL_WRITABLE);
	assert_nothing(f);
}

static void test_each_edge_is_reported_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	(void)only_event(f);
	for (int i = 0; i < 3; i++) {
		put(f->pair[1]);
		assert_true(only_event(f).ready & GV_POLL_READABLE);
		assert_nothing(f);
	}
}

static void test_all_64_bits_of_a_cookie_come_back(void **state)
{
	struct fixture *f = *state;
	const uint64_t cookie = UINT64_C(0xfedcba9876543210);

	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], cookie), 0);
	assert_int_equal(only_event(f).cookie, cookie);
}

static void test_half_closed_peer_is_a_read_hangup(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	(void)only_event(f);
	assert_int_equal(shutdown(f->pair[1], SHUT_WR), 0);
	uint32_t ready = only_event(f).ready;
	assert_true(ready & GV_POLL_READ_HANGUP);
	assert_true(ready & GV_POLL_READABLE);
	assert_false(ready & GV_POLL_HANGUP);
}

static void test_closed_peer_is_a_hangup_of_both(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	(void)only_event(f);
	(void)close(f->pair[1]);
	f->pair[1] = -1;
	uint32_t ready = only_event(f).ready;
	assert_true(ready & GV_POLL_HANGUP);
	assert_true(ready & GV_POLL_READABLE);
	assert_true(ready & GV_POLL_WRITABLE);
}

static void test_broken_pipe_is_an_error(void **state)
{
	struct fixture *f = *state;
	int ends[2];

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_int_equal(gv_poller_add(&f->poller, ends[1], 1), 0);
	(void)only_event(f);
	(void)close(ends[0]);
	uint32_t ready = only_event(f).ready;
	assert_true(ready & GV_POLL_ERROR);
	assert_true(ready & GV_POLL_WRITABLE);
	(void)close(ends[1]);
}

static void test_add_says_what_is_wrong(void **state)
{
	struct fixture *f = *state;
	FILE *file = tmpfile();

	assert_non_null(file);
	assert_int_equal(gv_poller_add(&f->poller, fileno(file), 1), -EPERM);
	assert_int_equal(gv_poller_rearm(&f->poller, fileno(file), 1), -EPERM);
	assert_int_equal(gv_poller_add(&f->poller, -1, 1), -EBADF);
	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), -EEXIST);
	(void)fclose(file);
	/* None of it was taken for the loss of the set. */
	(void)only_event(f);
}

static void test_removed_descriptor_is_silent(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(gv_poller_remove(&f->poller, f->pair[0]), -ENOENT);
	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	assert_int_equal(gv_poller_remove(&f->poller, f->pair[0]), 0);
	put(f->pair[1]);
	assert_nothing(f);
}

static void test_rearm_reports_again_with_the_new_cookie(void **state)
{
	struct fixture *f = *state;

	put(f->pair[1]);
	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	(void)only_event(f);
	assert_nothing(f);
	assert_int_equal(gv_poller_rearm(&f->poller, f->pair[0], 2), 0);
	struct gv_poll_event event = only_event(f);
	assert_int_equal(event.cookie, 2);
	assert_true(event.ready & GV_POLL_READABLE);
}

/* The program closes a descriptor behind our back and gets the same number again. */
static void test_rearm_adds_a_reused_number(void **state)
{
	struct fixture *f = *state;
	int other[2];

	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	(void)only_event(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
	assert_int_equal(dup2(other[0], f->pair[0]), f->pair[0]);
	assert_int_equal(gv_poller_rearm(&f->poller, f->pair[0], 2), 0);
	assert_int_equal(only_event(f).cookie, 2);
	(void)close(other[0]);
	(void)close(other[1]);
}

static void test_wait_takes_no_more_than_room(void **state)
{
	enum { PIPES = 5 };
	struct fixture *f = *state;
	struct gv_poll_event events[PIPES];
	int ends[PIPES][2];
	unsigned seen = 0;

	for (int i = 0; i < PIPES; i++) {
		assert_int_equal(pipe2(ends[i], O_NONBLOCK), 0);
		assert_int_equal(gv_poller_add(&f->poller, ends[i][0], (uint64_t)i), 0);
		put(ends[i][1]);
	}
	for (int i = 0; i < PIPES; i++) {
		assert_int_equal(gv_poller_wait(&f->poller, events, 1, 0), 1);
		seen |= 1u << events[0].cookie;
	}
	assert_int_equal(seen, (1u << PIPES) - 1);
	assert_nothing(f);
	for (int i = 0; i < PIPES; i++) {
		(void)close(ends[i][0]);
		(void)close(ends[i][1]);
	}
}

static void test_wait_lasts_its_time(void **state)
{
	static const int64_t timeouts[] = { 1, 700000, 3 * MS_NS };
	struct fixture *f = *state;
	struct gv_poll_event event;

	for (size_t i = 0; i < GV_ARRAY_LEN(timeouts); i++) {
		int64_t begin = gv_clock_ns();

		assert_int_equal(gv_poller_wait(&f->poller, &event, 1, timeouts[i]), 0);
		assert_true(gv_clock_ns() - begin >= timeouts[i]);
	}
}

static void test_interruption_before_the_wait_is_kept(void **state)
{
	struct fixture *f = *state;
	struct gv_poll_event event;

	for (int i = 0; i < 5; i++)
		gv_poller_interrupt(&f->poller);
	/* Looking does not take it; the next wait does, all of it. */
	assert_nothing(f);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, -1), 0);

	int64_t begin = gv_clock_ns();
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, 2 * MS_NS), 0);
	assert_true(gv_clock_ns() - begin >= 2 * MS_NS);
}

static void test_interruption_does_not_hide_events(void **state)
{
	struct fixture *f = *state;
	struct gv_poll_event events[4];

	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 9), 0);
	gv_poller_interrupt(&f->poller);
	assert_int_equal(gv_poller_wait(&f->poller, events, 4, -1), 1);
	assert_int_equal(events[0].cookie, 9);
}

static void test_interrupt_keeps_errno(void **state)
{
	struct fixture *f = *state;
	struct gv_poller closed = { .set = -1, .bell = -1 };

	errno = ERANGE;
	gv_poller_interrupt(&f->poller);
	gv_poller_interrupt(&closed);
	assert_int_equal(errno, ERANGE);
}

/*
 * A sleeper, and others that look and interrupt.
 */

struct sleeper {
	struct gv_poller *poller;
	_Atomic uint32_t asked; /* raised before each interruption */
	_Atomic uint32_t seen;
	_Atomic int code;
};

/* Sleeps until it has noticed `rounds` askings. */
enum { SLEEPER_ROUNDS = 2000 };

static void *run_sleeper(void *arg)
{
	struct sleeper *s = arg;
	struct gv_poll_event event;

	for (;;) {
		uint32_t asked = gv_load(&s->asked, acquire); /* [asked] */
		gv_store(&s->seen, asked, release);	      /* [asked] */
		if (asked >= SLEEPER_ROUNDS)
			return NULL;
		int count = gv_poller_wait(s->poller, &event, 1, -1);
		if (count < 0)
			gv_store(&s->code, count, relaxed); /* relaxed: pthread_join orders it */
	}
}

static void *run_looker(void *arg)
{
	struct sleeper *s = arg;
	struct gv_poll_event events[4];

	while (gv_load(&s->seen, acquire) < SLEEPER_ROUNDS) /* [asked] */
		(void)gv_poller_wait(s->poller, events, 4, 0);
	return NULL;
}

static void test_no_interruption_is_lost_while_others_look(void **state)
{
	struct fixture *f = *state;
	struct sleeper s = { .poller = &f->poller };
	pthread_t threads[2];

	assert_int_equal(pthread_create(&threads[0], NULL, run_sleeper, &s), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, run_looker, &s), 0);
	for (uint32_t i = 1; i <= SLEEPER_ROUNDS; i++) {
		gv_store(&s.asked, i, release); /* [asked] */
		gv_poller_interrupt(&f->poller);
		while (gv_load(&s.seen, acquire) < i) /* [asked] */
			sched_yield();
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(s.code, 0);
}

static struct gv_poller *handler_poller;

static void interrupt_handler(int signo)
{
	(void)signo;
	gv_poller_interrupt(handler_poller);
}

static void *raise_until_seen(void *arg)
{
	struct sleeper *s = arg;

	while (gv_load(&s->seen, acquire) == 0) { /* [asked] */
		(void)kill(getpid(), SIGUSR1);
		sched_yield();
	}
	return NULL;
}

static void test_signal_handler_ends_the_wait(void **state)
{
	struct fixture *f = *state;
	struct sigaction action = { .sa_handler = interrupt_handler }, old;
	struct sleeper s = { .poller = &f->poller };
	struct gv_poll_event event;
	pthread_t thread;

	handler_poller = &f->poller;
	assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
	assert_int_equal(pthread_create(&thread, NULL, raise_until_seen, &s), 0);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, -1), 0);
	gv_store(&s.seen, 1, release); /* [asked] */
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
}

/*
 * The set is lost.
 */

/* Behind everybody's back, the sanitizer's too, which knows that a descriptor in use is closed. */
static void stray_close(int fd)
{
	assert_int_equal(syscall(SYS_close, fd), 0);
}

/* The same, and the number becomes another file's at once. */
static void stray_reuse(int fd, int other)
{
	assert_int_equal(syscall(SYS_dup3, other, fd, 0), fd);
}

static void test_lost_set_is_reported_once_and_replaced(void **state)
{
	struct fixture *f = *state;
	struct gv_poll_event event;

	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	stray_close(f->poller.set);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, 0), -EBADF);
	assert_nothing(f);
	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 2), 0);
	assert_int_equal(only_event(f).cookie, 2);
}

static void test_add_to_a_lost_set_works_and_wait_tells(void **state)
{
	struct fixture *f = *state;
	struct gv_poll_event event;

	stray_close(f->poller.set);
	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 3), 0);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, 0), -EBADF);
	assert_int_equal(only_event(f).cookie, 3);
}

static void test_number_reused_for_a_file_is_noticed_and_left_open(void **state)
{
	struct fixture *f = *state;
	struct gv_poll_event event;
	int taken = f->poller.set;

	stray_reuse(taken, f->pair[1]);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, 0), -EBADF);
	assert_int_not_equal(f->poller.set, taken);
	assert_int_not_equal(fcntl(taken, F_GETFD), -1);
	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	(void)only_event(f);
	stray_close(taken);
}

static void test_lost_bell_is_replaced_with_the_set(void **state)
{
	struct fixture *f = *state;
	struct gv_poll_event event;

	stray_close(f->poller.set);
	stray_close(f->poller.bell);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, 0), -EBADF);
	gv_poller_interrupt(&f->poller);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, -1), 0);
}

/* The kernel keeps the set that a thread sleeps in, whatever becomes of the number. */
static void test_sleeper_notices_the_new_set(void **state)
{
	struct fixture *f = *state;
	struct sleeper s = { .poller = &f->poller, .asked = SLEEPER_ROUNDS - 1 };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run_sleeper, &s), 0);
	while (gv_load(&s.seen, acquire) < SLEEPER_ROUNDS - 1) /* [asked] */
		sched_yield();
	int taken = f->poller.set;
	stray_reuse(taken, f->pair[1]);
	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	while (gv_load(&s.code, relaxed) == 0) /* relaxed: only soon matters */
		sched_yield();
	assert_int_equal(s.code, -EBADF);
	gv_store(&s.asked, SLEEPER_ROUNDS, release); /* [asked] */
	gv_poller_interrupt(&f->poller);
	assert_int_equal(pthread_join(thread, NULL), 0);
	stray_close(taken);
}

static int use_in_child(struct fixture *f)
{
	struct gv_poll_event event;

	if (gv_poller_reopen(&f->poller) != 0)
		return 1;
	/* Empty: the parent's descriptor is not in it. */
	if (gv_poller_wait(&f->poller, &event, 1, 0) != 0)
		return 2;
	if (gv_poller_add(&f->poller, f->pair[1], 5) != 0)
		return 3;
	if (gv_poller_wait(&f->poller, &event, 1, -1) != 1 || event.cookie != 5)
		return 4;
	gv_poller_interrupt(&f->poller);
	gv_poller_close(&f->poller);
	return 0;
}

static void test_child_gets_a_set_of_its_own(void **state)
{
	struct fixture *f = *state;
	int status;

	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), 0);
	pid_t child = fork();
	if (child == 0)
		_exit(use_in_child(f));
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);

	/* The parent's set and bell are as they were. */
	struct gv_poll_event events[2];
	assert_int_equal(gv_poller_wait(&f->poller, events, 2, 2 * MS_NS), 1);
	assert_int_equal(events[0].cookie, 1);
	int64_t begin = gv_clock_ns();
	assert_int_equal(gv_poller_wait(&f->poller, events, 2, 2 * MS_NS), 0);
	assert_true(gv_clock_ns() - begin >= 2 * MS_NS);
}

static void test_descriptors_are_close_on_exec(void **state)
{
	struct fixture *f = *state;

	assert_true(fcntl(f->poller.set, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(f->poller.bell, F_GETFD) & FD_CLOEXEC);
}

#ifdef GV_FAULT
static void test_failing_calls_are_reported(void **state)
{
	struct fixture *f = *state;
	struct gv_poller poller;
	struct gv_poll_event event;

	for (long i = 1; i <= 2; i++) {
		gv_fault_arm(i);
		assert_int_equal(gv_poller_open(&poller), -EMFILE);
	}
	gv_fault_arm(1);
	assert_int_equal(gv_poller_add(&f->poller, f->pair[0], 1), -ENOMEM);
	gv_fault_arm(1);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, -1), 0);
	gv_fault_arm(2); /* the fine timeout: the coarse one steps in */
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, 1), 0);

	/* No descriptor for a new set: an error until there is one, and then the loss is told. */
	stray_close(f->poller.set);
	gv_fault_arm(2);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, 0), -EMFILE);
	gv_fault_arm(0);
	assert_int_equal(gv_poller_wait(&f->poller, &event, 1, 0), -EBADF);
	assert_nothing(f);
}
#endif

#define POLLER_TEST(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POLLER_TEST(test_added_descriptor_reports_its_state),
		POLLER_TEST(test_each_edge_is_reported_once),
		POLLER_TEST(test_all_64_bits_of_a_cookie_come_back),
		POLLER_TEST(test_half_closed_peer_is_a_read_hangup),
		POLLER_TEST(test_closed_peer_is_a_hangup_of_both),
		POLLER_TEST(test_broken_pipe_is_an_error),
		POLLER_TEST(test_add_says_what_is_wrong),
		POLLER_TEST(test_removed_descriptor_is_silent),
		POLLER_TEST(test_rearm_reports_again_with_the_new_cookie),
		POLLER_TEST(test_rearm_adds_a_reused_number),
		POLLER_TEST(test_wait_takes_no_more_than_room),
		POLLER_TEST(test_wait_lasts_its_time),
		POLLER_TEST(test_interruption_before_the_wait_is_kept),
		POLLER_TEST(test_interruption_does_not_hide_events),
		POLLER_TEST(test_interrupt_keeps_errno),
		POLLER_TEST(test_no_interruption_is_lost_while_others_look),
		POLLER_TEST(test_signal_handler_ends_the_wait),
		POLLER_TEST(test_lost_set_is_reported_once_and_replaced),
		POLLER_TEST(test_add_to_a_lost_set_works_and_wait_tells),
		POLLER_TEST(test_number_reused_for_a_file_is_noticed_and_left_open),
		POLLER_TEST(test_lost_bell_is_replaced_with_the_set),
		POLLER_TEST(test_sleeper_notices_the_new_set),
		POLLER_TEST(test_child_gets_a_set_of_its_own),
		POLLER_TEST(test_descriptors_are_close_on_exec),
#ifdef GV_FAULT
		POLLER_TEST(test_failing_calls_are_reported),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
