/* SPDX-License-Identifier: MIT */
/*
 * test_overflow.c - the report of a stack that ran out, and what follows it.
 *
 * Each case runs in a child, whose standard error is read.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "plat/context.h"
#include "plat/os.h"
#include "plat/overflow.h"
#include "plat/sanitize.h"
#include "plat/text.h"

enum { STACK_BYTES = 262144, GUARD_BYTES = 65536 };

static char *guard;
static char *stack_low;

static bool died(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void handle_with(void (*handler)(int, siginfo_t *, void *), void (*plain)(int))
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	sigemptyset(&action.sa_mask);
	if (handler != NULL) {
		action.sa_sigaction = handler;
		action.sa_flags = SA_SIGINFO;
	} else {
		action.sa_handler = plain;
	}
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static int in_child(void (*body)(void), char *text, size_t room)
{
	int ends[2];
	int status;
	size_t length = 0;
	ssize_t got;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(ends[1], STDERR_FILENO);
		handle_with(NULL, SIG_DFL); /* the test library has its own */
		body();
		_exit(0);
	}
	close(ends[1]);
	/* A sanitizer's report may be longer than the room: read it all, or the child hangs. */
	char rest[4096];
	for (;;) {
		bool full = length == room - 1;
		got = full ? read(ends[0], rest, sizeof(rest))
			   : read(ends[0], text + length, room - 1 - length);
		if (got <= 0)
			break;
		length += full ? 0 : (size_t)got;
	}
	text[length] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* ---- a greenlet, as far as this layer is concerned ---- */

static bool describe(void *address, char *text, size_t room)
{
	struct gv_text who;

	if (guard == NULL || (char *)address < guard || (char *)address >= guard + GUARD_BYTES)
		return false;
	gv_text_begin(&who, text, room);
	gv_text_add(&who, "greenlet \"deep\", stack ");
	gv_text_add_pointer(&who, stack_low);
	gv_text_add(&who, ", ");
	gv_text_add_number(&who, STACK_BYTES);
	gv_text_add(&who, " bytes");
	return true;
}

static struct gv_sanitizer thread_sanitizer;
static struct gv_sanitizer stack_sanitizer;

static GV_NOINLINE int recurse(int depth)
{
	volatile char room[1000];

	room[0] = (char)depth;
	if (depth == 0)
		return room[0];
	return recurse(depth - 1) + room[0];
}

static void fall(void *arg)
{
	gv_sanitizer_after_switch(&stack_sanitizer);
	_exit(recurse(1000000) == 5 ? *(int *)arg : 99);
}

static void overflow_a_stack(void)
{
	void *saved;
	int arg = 1;

	char *memory = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE) < 0)
		_exit(98);
	guard = memory;
	stack_low = memory + GUARD_BYTES;
	gv_sanitizer_adopt_thread(&thread_sanitizer);
	gv_sanitizer_create(&stack_sanitizer, stack_low, STACK_BYTES);
	gv_sanitizer_switch(&saved, gv_context_make(stack_low + STACK_BYTES, fall), &arg,
			    &thread_sanitizer, &stack_sanitizer, false);
}

static void install(void)
{
	void *stack;

	if (gv_overflow_install(describe) != 0 || gv_overflow_thread_install(&stack) != 0)
		_exit(97);
}

static void overflow_after_install(void)
{
	install();
	overflow_a_stack();
}

static void test_overflow_is_reported_and_kills(void **state)
{
	(void)state;
	char text[4096];
	int status = in_child(overflow_after_install, text, sizeof(text));

	assert_true(died(status));
	assert_memory_equal(text, "grove: stack overflow at 0x", 27);
	assert_non_null(strstr(text, ": greenlet \"deep\", stack 0x"));
	assert_non_null(strstr(text, ", 262144 bytes\n"));
}

/* ---- what was there before ---- */

static void say_and_exit(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	bool in_guard = guard != NULL && (char *)info->si_addr >= guard &&
			(char *)info->si_addr < guard + GUARD_BYTES;
	_exit(in_guard ? 42 : 43);
}

static void plain_handler(int signo)
{
	_exit(signo == SIGSEGV ? 44 : 45);
}

static void overflow_with_old_handler(void)
{
	handle_with(say_and_exit, NULL);
	install();
	overflow_a_stack();
}

static void overflow_with_old_plain_handler(void)
{
	handle_with(NULL, plain_handler);
	install();
	overflow_a_stack();
}

static void overflow_while_ignored(void)
{
	handle_with(NULL, SIG_IGN);
	install();
	overflow_a_stack();
}

static void test_the_previous_handler_runs_after_the_report(void **state)
{
	(void)state;
	char text[4096];
	int status = in_child(overflow_with_old_handler, text, sizeof(text));

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	assert_non_null(strstr(text, "deep"));
	status = in_child(overflow_with_old_plain_handler, text, sizeof(text));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 44);
	assert_non_null(strstr(text, "deep"));
	status = in_child(overflow_while_ignored, text, sizeof(text));
	assert_true(died(status));
	assert_non_null(strstr(text, "deep"));
}

static void plain_fault(void)
{
	install();
	char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*(volatile char *)nowhere = 1;
}

static void bus_fault(void)
{
	handle_with(say_and_exit, NULL);
	install();
	FILE *empty = tmpfile();
	char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(empty), 0);
	*(volatile char *)memory = 1;
}

static void test_other_faults_pass_without_a_word(void **state)
{
	(void)state;
	char text[4096];
	int status = in_child(plain_fault, text, sizeof(text));

	assert_true(died(status));
	assert_string_equal(text, "");
	status = in_child(bus_fault, text, sizeof(text));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 43);
	assert_string_equal(text, "");
}

static void sent_signal(void)
{
	install();
	kill(getpid(), SIGSEGV);
	_exit(1);
}

static void sent_signal_while_ignored(void)
{
	handle_with(NULL, SIG_IGN);
	install();
	kill(getpid(), SIGSEGV);
	_exit(7);
}

static void test_a_sent_signal_does_what_it_did(void **state)
{
	(void)state;
	char text[4096];
	int status = in_child(sent_signal, text, sizeof(text));

	assert_true(died(status));
	assert_string_equal(text, "");
	status = in_child(sent_signal_while_ignored, text, sizeof(text));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* ---- install and remove ---- */

static void expect(bool condition, int code)
{
	if (!condition)
		_exit(code);
}

static void install_and_remove(void)
{
	struct sigaction now;

	handle_with(say_and_exit, NULL);
	expect(gv_overflow_install(describe) == 0, 1);
	expect(gv_overflow_install(describe) == 0, 2); /* must not chain to itself */
	sigaction(SIGSEGV, NULL, &now);
	expect(now.sa_sigaction != say_and_exit && (now.sa_flags & SA_ONSTACK) != 0, 3);
	gv_overflow_remove();
	sigaction(SIGSEGV, NULL, &now);
	expect(now.sa_sigaction == say_and_exit, 4);

	/* Somebody on top of ours keeps his place. */
	expect(gv_overflow_install(describe) == 0, 5);
	handle_with(NULL, plain_handler);
	gv_overflow_remove();
	sigaction(SIGBUS, NULL, &now);
	expect(now.sa_handler == plain_handler, 6);
}

static void test_remove_puts_the_previous_handlers_back(void **state)
{
	(void)state;
	char text[256];
	int status = in_child(install_and_remove, text, sizeof(text));

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void *use_thread_stack(void *arg)
{
	void *mine;
	void *second = &mine;
	stack_t now;

	/* A sanitizer may have given this thread one already. */
	stack_t none = { .ss_flags = SS_DISABLE };
	sigaltstack(&none, NULL);

	expect(gv_overflow_thread_install(&mine) == 0 && mine != NULL, 1);
	sigaltstack(NULL, &now);
	expect((now.ss_flags & SS_DISABLE) == 0 && now.ss_size >= 65536, 2);
	memset(now.ss_sp, 1, now.ss_size);
	expect(gv_overflow_thread_install(&second) == 0 && second == NULL, 3);
	gv_overflow_thread_remove(second);
	sigaltstack(NULL, &now);
	expect((now.ss_flags & SS_DISABLE) == 0, 4);
	gv_overflow_thread_remove(mine);
	sigaltstack(NULL, &now);
	expect((now.ss_flags & SS_DISABLE) != 0, 5);
	return arg;
}

static void thread_stacks(void)
{
	pthread_t thread;

	expect(pthread_create(&thread, NULL, use_thread_stack, NULL) == 0, 9);
	pthread_join(thread, NULL);
}

static void test_thread_stack_comes_and_goes(void **state)
{
	(void)state;
	char text[256];
	int status = in_child(thread_stacks, text, sizeof(text));

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overflow_is_reported_and_kills),
		cmocka_unit_test(test_the_previous_handler_runs_after_the_report),
		cmocka_unit_test(test_other_faults_pass_without_a_word),
		cmocka_unit_test(test_a_sent_signal_does_what_it_did),
		cmocka_unit_test(test_remove_puts_the_previous_handlers_back),
		cmocka_unit_test(test_thread_stack_comes_and_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
