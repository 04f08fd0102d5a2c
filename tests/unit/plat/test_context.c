/* SPDX-License-Identifier: MIT */
/*
 * test_context.c - the switch, the first frame of a stack, and what debuggers see of both;
 * sanitize.c as well, since every switch here goes through its hooks.
 *
 * Started with the argument "inside" the program stops with SIGTRAP in a context, for gdb.
 */
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#if defined(GV_VALGRIND)
#include <valgrind/valgrind.h>
#endif

#include "base/atomic.h"
#include "plat/clock.h"
#include "plat/context.h"
#include "plat/sanitize.h"

enum { STACK_BYTES = 262144 };

struct place {
	void *handle; /* of the context while it is suspended */
	struct gv_sanitizer sanitizer;
	char *stack; /* NULL: a thread's own */
};

static struct place home;

static GV_CONTEXT_CALLER void *go(struct place *from, struct place *to, void *arg)
{
	return gv_sanitizer_switch(&from->handle, to->handle, arg, &from->sanitizer, &to->sanitizer,
				   false);
}

static GV_CONTEXT_CALLER void *leave_for_good(struct place *from, struct place *to, void *arg)
{
	return gv_sanitizer_switch(&from->handle, to->handle, arg, &from->sanitizer, &to->sanitizer,
				   true);
}

static void open_place(struct place *place, gv_context_entry *entry)
{
	place->stack = aligned_alloc(64, STACK_BYTES);
	assert_non_null(place->stack);
	gv_sanitizer_init(&place->sanitizer);
	gv_sanitizer_create(&place->sanitizer, place->stack, STACK_BYTES);
	place->handle = gv_context_make(place->stack + STACK_BYTES, entry);
}

static void close_place(struct place *place)
{
	gv_sanitizer_destroy(&place->sanitizer);
	gv_sanitizer_retire(&place->sanitizer);
	gv_sanitizer_unmap(place->stack, STACK_BYTES);
	free(place->stack);
}

static struct place other;

/* ---- arguments and order ---- */

static void add_one(void *arg)
{
	gv_sanitizer_after_switch(&other.sanitizer);
	for (;;)
		arg = go(&other, &home, (char *)arg + 1);
}

static void test_arguments_go_both_ways(void **state)
{
	(void)state;
	char anything[101];
	char *at = anything;

	open_place(&other, add_one);
	for (int i = 1; i <= 100; i++) {
		at = go(&home, &other, at);
		assert_ptr_equal(at, anything + i);
		assert_non_null(other.handle);
	}
	close_place(&other);
}

static void die_at_once(void *arg)
{
	gv_sanitizer_after_switch(&other.sanitizer);
	leave_for_good(&other, &home, arg);
}

static void test_a_stack_serves_one_context_after_another(void **state)
{
	(void)state;
	int marks[3];

	open_place(&other, die_at_once);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(go(&home, &other, &marks[i]), &marks[i]);
		gv_sanitizer_destroy(&other.sanitizer);
		gv_sanitizer_create(&other.sanitizer, other.stack, STACK_BYTES);
		other.handle = gv_context_make(other.stack + STACK_BYTES - 64 * i, die_at_once);
	}
	close_place(&other);
}

static _Atomic bool handle_was_there;

static void look_at_handle(void *arg)
{
	gv_sanitizer_after_switch(&other.sanitizer);
	handle_was_there = home.handle != NULL;
	leave_for_good(&other, &home, arg);
}

/* [saved] of plat/context.h: the code that runs next finds the handle. */
static void test_the_handle_is_stored_before_the_next_one_runs(void **state)
{
	(void)state;
	open_place(&other, look_at_handle);
	home.handle = NULL;
	go(&home, &other, NULL);
	assert_true(handle_was_there);
	close_place(&other);
}

/* ---- registers and frames ---- */

/* More values alive than there are registers, of each kind. */
static GV_NOINLINE double mix(struct place *from, struct place *to, uint64_t seed)
{
	uint64_t whole[16];
	double part[16];
	float narrow = (float)seed / 3;
	long double wide = (long double)seed / 7;

	for (unsigned i = 0; i < 16; i++) {
		whole[i] = seed * (i + 1) ^ (seed << i);
		part[i] = (double)seed / (i + 1);
	}
	go(from, to, NULL);

	double sum = (double)narrow + (double)wide;
	for (unsigned i = 0; i < 16; i++)
		sum += (double)(whole[i] % 1000003) * part[i];
	return sum;
}

static GV_NOINLINE double mix_alone(uint64_t seed)
{
	float narrow = (float)seed / 3;
	long double wide = (long double)seed / 7;
	double sum = (double)narrow + (double)wide;

	for (unsigned i = 0; i < 16; i++)
		sum += (double)((seed * (i + 1) ^ (seed << i)) % 1000003) *
		       ((double)seed / (i + 1));
	return sum;
}

enum { CROWD = 8 };

static struct place crowd[CROWD];
static double answers[CROWD];

static GV_NOINLINE double descend(struct place *self, unsigned depth, uint64_t seed)
{
	volatile char room[200];

	room[0] = (char)depth;
	room[199] = (char)seed;
	if (depth == 0)
		return mix(self, &home, seed);
	double result = descend(self, depth - 1, seed);
	return room[0] == (char)depth && room[199] == (char)seed ? result : -1;
}

static void compute(void *arg)
{
	struct place *self = arg;
	uint64_t number = (uint64_t)(self - crowd);

	gv_sanitizer_after_switch(&self->sanitizer);
	for (;;) {
		answers[number] = descend(self, (unsigned)number * 5, number * 1234567 + 89);
		go(self, &home, NULL);
	}
}

static void test_live_values_survive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CROWD; i++)
		open_place(&crowd[i], compute);
	for (int round = 0; round < 10; round++) {
		/* Each stops in the middle; then, in another order, each goes on to its end. */
		for (unsigned i = 0; i < CROWD; i++)
			go(&home, &crowd[i], &crowd[i]);
		for (unsigned i = 0; i < CROWD; i++)
			go(&home, &crowd[(i * 3 + 1) % CROWD], NULL);
		for (unsigned i = 0; i < CROWD; i++) {
			double expected = mix_alone(i * 1234567 + 89);
			assert_true(answers[i] == expected);
			answers[i] = 0;
		}
	}
	for (unsigned i = 0; i < CROWD; i++)
		close_place(&crowd[i]);
}

/* A leaf that has its locals in the red zone, where the compiler uses one. */
static GV_CONTEXT_CALLER uint64_t leaf(struct place *from, struct place *to, uint64_t seed)
{
	volatile uint64_t local[12];

	for (unsigned i = 0; i < 12; i++)
		local[i] = seed + i;
#if GV_SANITIZER
	go(from, to, NULL);
#else
	gv_context_switch(&from->handle, to->handle, NULL);
#endif
	uint64_t wrong = 0;
	for (unsigned i = 0; i < 12; i++)
		wrong += local[i] != seed + i;
	return wrong;
}

static uint64_t leaf_wrong;

static void run_leaf(void *arg)
{
	gv_sanitizer_after_switch(&other.sanitizer);
	for (;;) {
		leaf_wrong += leaf(&other, &home, 77);
		arg = go(&other, &home, arg);
	}
}

static void test_red_zone_is_left_alone(void **state)
{
	(void)state;
	open_place(&other, run_leaf);
	leaf_wrong = 0;
	for (int i = 0; i < 100; i++)
		leaf_wrong += leaf(&home, &other, 1000);
	assert_int_equal(leaf_wrong, 0);
	close_place(&other);
}

static uintptr_t seen_alignment;
static char printed[64];

static void look_at_alignment(void *arg)
{
	GV_ALIGNED(64) char line[64];
	volatile double third = 1.0 / 3;

	gv_sanitizer_after_switch(&other.sanitizer);
	seen_alignment = (uintptr_t)__builtin_frame_address(0) % 16;
	/* Varargs with a double use aligned vector stores. */
	snprintf(line, sizeof(line), "%.3f %p", third, (void *)NULL);
	memcpy(printed, line, sizeof(line));
	leave_for_good(&other, &home, arg);
}

static void test_entry_has_an_aligned_stack(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 32; shift++) {
		open_place(&other, look_at_alignment);
		other.handle =
			gv_context_make(other.stack + STACK_BYTES - shift, look_at_alignment);
		seen_alignment = 1;
		go(&home, &other, NULL);
		assert_int_equal(seen_alignment, 0);
		assert_memory_equal(printed, "0.333 ", 6);
		close_place(&other);
	}
}

/* ---- threads ---- */

static struct place second_thread;
static _Atomic int trips;

static void count_trips(void *arg)
{
	gv_sanitizer_after_switch(&other.sanitizer);
	for (;;) {
		gv_add(&trips, 1, relaxed); /* relaxed: joined before it is read */
		struct place *back = arg;
		arg = go(&other, back, NULL);
	}
}

static void *resume_here(void *arg)
{
	gv_sanitizer_adopt_thread(&second_thread.sanitizer);
	go(&second_thread, &other, &second_thread);
	return arg;
}

static void test_a_context_moves_between_threads(void **state)
{
	(void)state;
	open_place(&other, count_trips);
	for (int i = 0; i < 20; i++) {
		pthread_t thread;
		go(&home, &other, &home);
		assert_int_equal(pthread_create(&thread, NULL, resume_here, NULL), 0);
		pthread_join(thread, NULL);
	}
	assert_int_equal(trips, 40);
	close_place(&other);
}

/* ---- floating point words ---- */

static GV_NOINLINE bool rounds_up(void)
{
	volatile double one = 1;
	volatile double tiny = 1e-30;

	return one + tiny > 1;
}

/* The bits that mean "towards plus infinity"; 0: this processor's are not known here. */
#if defined(__x86_64__)
#define UPWARD ((uint64_t)0x0800 << 32 | 0x4000)
#elif defined(__aarch64__)
#define UPWARD ((uint64_t)1 << 22)
#else
#define UPWARD ((uint64_t)0)
#endif

/* It computes with the default rounding, whatever the words say. */
static bool on_valgrind(void)
{
#if defined(GV_VALGRIND)
	return RUNNING_ON_VALGRIND;
#else
	return false;
#endif
}

static void test_rounding_is_saved_and_restored(void **state)
{
	(void)state;
	struct gv_context_fpu nearest;
	struct gv_context_fpu upward;
	struct gv_context_fpu again;
	volatile long double one = 1;
	volatile long double tiny = 1e-40L; /* beyond 113 bits too */

	if (UPWARD == 0 || on_valgrind())
		skip();
	gv_context_fpu_save(&nearest);
	assert_false(rounds_up());
	upward.word = nearest.word | UPWARD;
	gv_context_fpu_restore(&upward);
	assert_true(rounds_up());
	assert_true(one + tiny > 1);
	gv_context_fpu_save(&again);
	assert_int_equal(again.word & UPWARD, UPWARD);
	gv_context_fpu_restore(&nearest);
	assert_false(rounds_up());
	assert_false(one + tiny > 1);
}

/* ---- unwinders ---- */

enum { FRAMES = 64 };

/* Frames outside of the entry function: the trampoline, or three of makecontext's. */
#ifdef GV_CONTEXT_UCONTEXT
enum { OUTER_FRAMES = 3 };
#else
enum { OUTER_FRAMES = 1 };
#endif

static void *frames[FRAMES];
static int frame_count;
static void *address_in_entry;

/* Reached from the entry function through frames of its own. */
static GV_NOINLINE void innermost(int depth)
{
	if (depth > 0)
		innermost(depth - 1);
	else
		frame_count = backtrace(frames, FRAMES);
	gv_compiler_barrier(); /* not a tail call */
}

static GV_NOINLINE void beneath_entry(void)
{
	address_in_entry = __builtin_return_address(0);
	innermost(5);
	gv_compiler_barrier();
}

static void unwound_entry(void *arg)
{
	gv_sanitizer_after_switch(&other.sanitizer);
	beneath_entry();
	leave_for_good(&other, &home, arg);
}

static void test_backtrace_ends_at_the_entry_function(void **state)
{
	(void)state;
	int entry = -1;

	open_place(&other, unwound_entry);
	go(&home, &other, NULL);
	close_place(&other);

	for (int i = 0; i < frame_count; i++) {
		if (frames[i] == address_in_entry)
			entry = i;
	}
	assert_true(frame_count < FRAMES);
	/* innermost six times, beneath_entry, then the entry; a frame of backtrace's own, maybe */
	assert_in_range(entry, 7, 9);
	/* behind it at most the trampoline, or makecontext's start */
	assert_in_range(frame_count, entry + 1, entry + 1 + OUTER_FRAMES);
}

/* The return addresses that a profiler finds by following frame pointers. */
static GV_NOINLINE int walk_frame_pointers(void)
{
	struct frame {
		struct frame *next;
		void *pc;
	} *at = __builtin_frame_address(0);
	const char *low = other.stack;
	int count = 0;

	while (at != NULL) {
		if ((const char *)at < low || (const char *)at >= low + STACK_BYTES)
			return -1;
		at = at->next;
		count++;
	}
	return count;
}

static int walked;

static GV_NOINLINE void walk_deeper(int depth)
{
	if (depth > 0)
		walk_deeper(depth - 1);
	else
		walked = walk_frame_pointers();
	gv_compiler_barrier();
}

static void walked_entry(void *arg)
{
	gv_sanitizer_after_switch(&other.sanitizer);
	walk_deeper(3);
	leave_for_good(&other, &home, arg);
}

static void test_frame_pointers_end_in_zero(void **state)
{
	(void)state;
#ifdef GV_CONTEXT_UCONTEXT
	skip(); /* makecontext's affair */
#endif
	open_place(&other, walked_entry);
	go(&home, &other, NULL);
	/* Without frame pointers in this build, the zero is found at once. */
	assert_in_range(walked, 1, 7);
	close_place(&other);
}

static GV_NOINLINE void stop_for_gdb(void)
{
	raise(SIGTRAP);
	gv_compiler_barrier();
}

static GV_NOINLINE void middle_frame(void)
{
	stop_for_gdb();
	gv_compiler_barrier();
}

static void entry_seen_by_gdb(void *arg)
{
	gv_sanitizer_after_switch(&other.sanitizer);
	middle_frame();
	leave_for_good(&other, &home, arg);
}

static int run_inside(void)
{
	gv_sanitizer_adopt_thread(&home.sanitizer);
	open_place(&other, entry_seen_by_gdb);
	go(&home, &other, NULL);
	return 0;
}

/* bt in a context: stop_for_gdb, middle_frame, the entry function, and then it stops. */
static void test_gdb_sees_the_entry_function(void **state)
{
	(void)state;
	char self[512];
	char command[1024];
	char text[16384];

	if (GV_SANITIZER || system("command -v gdb >/dev/null 2>&1") != 0)
		skip();
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(length > 0);
	self[length] = '\0';
	snprintf(command, sizeof(command),
		 "gdb -nx -batch -iex 'set debuginfod enabled off' -ex run -ex 'echo <<' -ex bt "
		 "-ex 'echo >>' -ex kill --args '%s' inside 2>&1 </dev/null",
		 self);
	FILE *gdb = popen(command, "r");
	assert_non_null(gdb);
	size_t got = fread(text, 1, sizeof(text) - 1, gdb);
	text[got] = '\0';
	pclose(gdb);
	if (strstr(text, "SIGTRAP") == NULL) {
		print_message("%s\n", text);
		skip(); /* tracing is not allowed here */
	}

	const char *trace = strstr(text, "<<");
	assert_non_null(trace);
	*strstr(trace, ">>") = '\0';
	const char *entry = strstr(trace, " entry_seen_by_gdb ");
	if (entry == NULL || strstr(trace, "middle_frame") == NULL ||
	    strstr(trace, "Backtrace stopped") != NULL)
		fail_msg("%s", text);
	int outer = 0;
	for (const char *at = entry; (at = strstr(at, "\n#")) != NULL; at++)
		outer++;
	if (outer > OUTER_FRAMES)
		fail_msg("%d: %s", outer, trace);
}

/* ---- cost ---- */

static GV_CONTEXT_CALLER void bounce(void *arg)
{
	gv_sanitizer_after_switch(&other.sanitizer);
	for (;;)
		arg = gv_context_switch(&other.handle, home.handle, arg);
}

static GV_CONTEXT_CALLER void test_cost_is_printed(void **state)
{
	(void)state;
	enum { SWITCHES = 200000 };
	double best = 1e9;

	if (GV_SANITIZER)
		skip();
	open_place(&other, bounce);
	for (int round = 0; round < 5; round++) {
		int64_t begin = gv_clock_ns();
		for (int i = 0; i < SWITCHES; i++)
			gv_context_switch(&home.handle, other.handle, NULL);
		double each = (double)(gv_clock_ns() - begin) / (2.0 * SWITCHES);
		best = GV_MIN(best, each);
	}
	print_message("%.2f ns a switch\n", best);
	close_place(&other);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "inside") == 0)
		return run_inside();

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments_go_both_ways),
		cmocka_unit_test(test_a_stack_serves_one_context_after_another),
		cmocka_unit_test(test_the_handle_is_stored_before_the_next_one_runs),
		cmocka_unit_test(test_live_values_survive),
		cmocka_unit_test(test_red_zone_is_left_alone),
		cmocka_unit_test(test_entry_has_an_aligned_stack),
		cmocka_unit_test(test_a_context_moves_between_threads),
		cmocka_unit_test(test_rounding_is_saved_and_restored),
		cmocka_unit_test(test_backtrace_ends_at_the_entry_function),
		cmocka_unit_test(test_frame_pointers_end_in_zero),
		cmocka_unit_test(test_gdb_sees_the_entry_function),
		cmocka_unit_test(test_cost_is_printed),
	};
	gv_sanitizer_adopt_thread(&home.sanitizer);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
