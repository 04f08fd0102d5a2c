/* SPDX-License-Identifier: MIT */
/*
 * test_cycles.c - the runtime comes and goes: by start and stop, by run, by fork, by loading and
 * unloading the library; and it goes with a word when a stack runs out.
 *
 * GT_LIBGROVE is the shared library's file.
 */
#include "gt.h"

#include "base/compiler.h"
#include "child.h"

#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CYCLES = 100, WARM_UP = 5 };

static void *nothing(void *arg)
{
	return arg;
}

static void do_nothing(void *arg)
{
	(void)arg;
}

/* --- some of everything ------------------------------------------------------------------------- */

static void *wait_for(void *event)
{
	return GT_VALUE(grove_event_wait(event, NULL, grove_in_s(60)));
}

static void *read_one(void *end)
{
	char byte;

	return GT_VALUE(grove_read(*(int *)end, &byte, 1, grove_in_s(60)));
}

static void work(void)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_timer timer = GROVE_TIMER_INIT;
	grove_greenlet *waiting[20];
	int pair[2];

	GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	grove_greenlet *reader = gt_spawn(read_one, &pair[0]);
	for (size_t i = 0; i < GV_ARRAY_LEN(waiting); i++)
		waiting[i] = gt_spawn(wait_for, &event);
	for (int i = 0; i < 200; i++)
		GT_CHECK_IS(0, grove_spawn(NULL, nothing, NULL));
	GT_CHECK_IS(0, grove_timer_start(&timer, do_nothing, NULL, 100000, 0, grove_in_ns(1)));
	GT_CHECK_IS(0, grove_sleep(grove_in_ms(1)));
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(1, write(pair[1], "x", 1));
	for (size_t i = 0; i < GV_ARRAY_LEN(waiting); i++)
		GT_CHECK_IS(0, gt_value_of(waiting[i]));
	GT_CHECK_IS(1, gt_value_of(reader));
	(void)grove_timer_cancel(&timer);
	gt_until(grove_timer_destroy(&timer) == 0);
	GT_CHECK_IS(0, grove_event_destroy(&event));
	GT_CHECK_IS(0, grove_close(pair[0]));
	GT_CHECK_IS(0, grove_close(pair[1]));
	/* Some are left for the stop. */
	for (int i = 0; i < 20; i++)
		GT_CHECK_IS(0, grove_spawn_later(NULL, nothing, NULL, grove_in_s(3600)));
}

static void *work_as_main(void *arg)
{
	work();
	return arg;
}

/* --- cycles ------------------------------------------------------------------------------------- */

struct footprint {
	unsigned descriptors;
	unsigned threads;
	size_t allocated; /* by malloc, in use */
	unsigned mappings;
	int64_t rss_kib;
};

static unsigned count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned count = 0;
	int c;

	GT_CHECK(maps != NULL);
	while ((c = fgetc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

static struct footprint footprint_now(void)
{
	return (struct footprint){
		.descriptors = gt_descriptor_count(),
		.threads = gt_thread_count(0),
		.allocated = mallinfo2().uordblks,
		.mappings = count_mappings(),
		.rss_kib = gt_status_kib(0, "VmRSS"),
	};
}

static void until_threads_are(unsigned count)
{
	int64_t end = gt_now_ns() + GT_PATIENCE_NS;

	/* The kernel may still be putting one away that was joined. */
	while (gt_thread_count(0) > count && gt_now_ns() < end)
		usleep(1000);
}

static void check_no_growth(const struct footprint *before)
{
	until_threads_are(before->threads);
	struct footprint now = footprint_now();

	GT_CHECK_IS(before->descriptors, now.descriptors);
	GT_CHECK_IS(before->threads, now.threads);
	if (gt_slow_build())
		return; /* its own allocator grows as it likes */
	/* Threads that meet in malloc make it open arenas, now and then one more. */
	if (now.allocated > before->allocated + 65536 || now.mappings > before->mappings + 16 ||
	    now.rss_kib > before->rss_kib + 4096)
		gt_die(__FILE__, __LINE__,
		       "%d cycles: malloc %zu -> %zu bytes, %u -> %u mappings, VmRSS %lld -> %lld KiB",
		       CYCLES, before->allocated, now.allocated, before->mappings, now.mappings,
		       (long long)before->rss_kib, (long long)now.rss_kib);
}

static void cycle_by_run(void)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 2;
	GT_CHECK_IS(0, grove_run(work_as_main, NULL, NULL, &options));
	GT_CHECK_IS(0, grove_hub_count());
}

static void cycle_by_start(void)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 2;
	GT_CHECK_IS(0, grove_start(&options));
	work();
	GT_CHECK_IS(0, grove_stop(grove_in_s(60)));
	GT_CHECK_IS(0, grove_hub_count());
}

static void repeat(void (*cycle)(void))
{
	struct footprint before = { 0 };

	for (int i = 0; i < WARM_UP + CYCLES; i++) {
		if (i == WARM_UP)
			before = footprint_now();
		cycle();
	}
	check_no_growth(&before);
}

static int part_cycles_by_run(void)
{
	repeat(cycle_by_run);
	return 0;
}

static int part_cycles_by_start(void)
{
	repeat(cycle_by_start);
	return 0;
}

static void cycle_of_different_kinds(void)
{
	static unsigned turn;
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 1 + turn % 5;
	options.order = turn % 5 == 0 ? GROVE_ORDER_STRICT : GROVE_ORDER_FAST;
	options.stack_size = (size_t)(turn % 2 == 0 ? 64 : 128) << 10;
	turn++;
	GT_CHECK_IS(0, grove_run(work_as_main, NULL, NULL, &options));
}

static int part_cycles_of_different_kinds(void)
{
	repeat(cycle_of_different_kinds);
	return 0;
}

/* --- fork --------------------------------------------------------------------------------------- */

static void until_child_succeeds(pid_t child)
{
	int status;

	GT_CHECK(child > 0);
	GT_CHECK_IS(child, waitpid(child, &status, 0));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		gt_die(__FILE__, __LINE__, "the child ended with %#x", (unsigned)status);
}

static _Noreturn void be_a_child(void)
{
	grove_options options = GROVE_OPTIONS_INIT;

	alarm(60);
	options.hubs = 2;
	GT_CHECK_IS(-EBUSY, grove_start(&options));
	GT_CHECK_IS(-EBUSY, grove_spawn(NULL, nothing, NULL));
	GT_CHECK_IS(0, grove_fork_child());
	GT_CHECK_IS(-EINVAL, grove_fork_child());
	GT_CHECK_IS(0, grove_run(work_as_main, NULL, NULL, &options));
	cycle_by_start();
	_exit(0);
}

static void *fork_as_main(void *arg)
{
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();

		if (child == 0)
			be_a_child();
		until_child_succeeds(child);
		work(); /* the parent's runtime works on */
	}
	return arg;
}

static int part_forks(void)
{
	grove_options options = GROVE_OPTIONS_INIT;
	struct footprint before = footprint_now();

	options.hubs = 2;
	GT_CHECK_IS(0, grove_start(&options));
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();

		if (child == 0)
			be_a_child();
		until_child_succeeds(child);
		work();
	}
	GT_CHECK_IS(0, grove_stop(grove_in_s(60)));
	GT_CHECK_IS(0, grove_run(fork_as_main, NULL, NULL, &options));
	GT_CHECK_IS(before.descriptors, gt_descriptor_count());
	return 0;
}

/* --- loading and unloading ---------------------------------------------------------------------- */

struct library {
	void *handle;
	int (*run)(grove_fn *, void *, void **, const grove_options *);
	int (*start)(const grove_options *);
	int (*stop)(grove_deadline);
	int (*spawn)(grove_greenlet **, grove_fn *, void *);
	int (*join)(grove_greenlet *, grove_deadline);
	void (*release)(grove_greenlet *);
	int (*wait)(grove_event *, void **, grove_deadline);
};

static void *find(void *handle, const char *name)
{
	void *symbol = dlsym(handle, name);

	if (symbol == NULL)
		gt_die(__FILE__, __LINE__, "%s", dlerror());
	return symbol;
}

static struct library load(void)
{
	struct library library = { .handle = dlopen(GT_LIBGROVE, RTLD_NOW | RTLD_LOCAL) };

	if (library.handle == NULL)
		gt_die(__FILE__, __LINE__, "%s", dlerror());
	*(void **)&library.run = find(library.handle, "grove_run");
	*(void **)&library.start = find(library.handle, "grove_start");
	*(void **)&library.stop = find(library.handle, "grove_stop");
	*(void **)&library.spawn = find(library.handle, "grove_spawn");
	*(void **)&library.join = find(library.handle, "grove_join");
	*(void **)&library.release = find(library.handle, "grove_greenlet_release");
	*(void **)&library.wait = find(library.handle, "grove_event_wait");
	return library;
}

static struct library loaded;

static void *spawn_and_join(void *arg)
{
	grove_greenlet *g = NULL;

	GT_CHECK_IS(0, loaded.spawn(&g, nothing, arg));
	GT_CHECK_IS(0, loaded.join(g, GROVE_NEVER));
	loaded.release(g);
	return arg;
}

/* Leaves something of the library behind in the pthread, which outlives the handle. */
static void *use_and_stay(void *arg)
{
	grove_event event = GROVE_EVENT_INIT;
	pthread_barrier_t *closed = arg;

	GT_CHECK_IS(-ETIMEDOUT, loaded.wait(&event, NULL, GROVE_DEADLINE(1)));
	pthread_barrier_wait(closed);
	pthread_barrier_wait(closed);
	return NULL;
}

static int part_load_and_unload(void)
{
	pthread_barrier_t closed;
	pthread_t thread;

	for (int i = 0; i < 3; i++) {
		loaded = load();
		GT_CHECK_IS(0, loaded.run(spawn_and_join, NULL, NULL, NULL));
		GT_CHECK_IS(0, loaded.start(NULL));
		GT_CHECK_IS(0, pthread_barrier_init(&closed, NULL, 2));
		GT_CHECK_IS(0, pthread_create(&thread, NULL, use_and_stay, &closed));
		pthread_barrier_wait(&closed);
		/* The last time with its hubs running. */
		if (i < 2)
			GT_CHECK_IS(0, loaded.stop(GROVE_NEVER));
		GT_CHECK_IS(0, dlclose(loaded.handle));

		/* What the library has hung into the process must still be there. */
		pthread_barrier_wait(&closed);
		GT_CHECK_IS(0, pthread_join(thread, NULL));
		GT_CHECK_IS(0, pthread_barrier_destroy(&closed));
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		until_child_succeeds(child);
		usleep(10000);
	}
	return 0;
}

static int part_fault_after_unloading(void)
{
	loaded = load();
	GT_CHECK_IS(0, loaded.run(spawn_and_join, NULL, NULL, NULL));
	GT_CHECK_IS(0, dlclose(loaded.handle));
	/* Its handler of SIGSEGV does what was done before. */
	*(volatile char *)(uintptr_t)getpagesize() = 1;
	return 0;
}

/* --- a stack runs out --------------------------------------------------------------------------- */

static GV_NOINLINE int recurse(int depth)
{
	volatile char room[200];

	room[0] = (char)depth;
	return depth == 0 ? room[0] : recurse(depth - 1) + room[0];
}

static void *fall(void *arg)
{
	GT_CHECK_IS(0, grove_yield()); /* onto some hub */
	return GT_VALUE(recurse(1 << 30) + (arg != NULL));
}

/* A sanitizer has handlers of its own, which would be asked after ours. */
static void take_handlers_away(void)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

static void *spawn_and_fall(void *size)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g;

	attributes.name = "icarus";
	attributes.stack_size = (size_t)(uintptr_t)size;
	GT_CHECK_IS(0, grove_spawn_with(&g, fall, NULL, &attributes));
	GT_CHECK_IS(0, grove_join(g, GROVE_NEVER));
	return NULL;
}

static int part_overflow(void)
{
	take_handlers_away();
	return grove_run(spawn_and_fall, NULL, NULL, NULL);
}

static int part_overflow_of_another_size(void)
{
	take_handlers_away();
	return grove_run(spawn_and_fall, (void *)(uintptr_t)(256 << 10), NULL, NULL);
}

static int part_overflow_of_main(void)
{
	take_handlers_away();
	return grove_run(fall, NULL, NULL, NULL);
}

static int part_overflow_in_the_background(void)
{
	take_handlers_away();
	GT_CHECK_IS(0, grove_start(NULL));
	(void)spawn_and_fall(NULL);
	return 1;
}

static bool is_number_at(const char *text, const char *word, unsigned long at_least)
{
	const char *at = strstr(text, word);

	return at != NULL && strtoul(at + strlen(word), NULL, 0) >= at_least;
}

static void overflows(const char *part, const char *name, unsigned long size)
{
	struct gt_end end;

	gt_child_run(part, NULL, &end);
	bool said = strstr(end.text, "grove: stack overflow at 0x") != NULL &&
		    strstr(end.text, name) != NULL && is_number_at(end.text, "stack of ", size) &&
		    is_number_at(end.text, "from ", 4096) && is_number_at(end.text, " to ", 4096);
	if (!said || !WIFSIGNALED(end.status) || WTERMSIG(end.status) != SIGSEGV)
		fprintf(stderr, "%s: status %#x\n%s", part, (unsigned)end.status, end.text);
	assert_true(said);
	assert_true(WIFSIGNALED(end.status));
	assert_int_equal(WTERMSIG(end.status), SIGSEGV);
}

static void test_stack_overflow_is_explained(void **state)
{
	(void)state;
	if (GV_ASAN || GV_TSAN) /* frames that are several times as large */
		skip();
	overflows("overflow", "icarus", 60000);
	overflows("overflow of another size", "icarus", 250000);
	overflows("overflow of main", "greenlet-", 1000000);
	overflows("overflow in the background", "icarus", 60000);
}

/* ------------------------------------------------------------------------------------------------ */

static void test_cycles_leave_nothing(void **state)
{
	(void)state;
	assert_true(gt_child_succeeded("cycles by run", NULL));
	assert_true(gt_child_succeeded("cycles by start", NULL));
	assert_true(gt_child_succeeded("cycles of different kinds", NULL));
}

static void test_forks(void **state)
{
	(void)state;
	if (GV_TSAN) /* it has no use for threads in a child */
		skip();
	assert_true(gt_child_succeeded("forks", NULL));
}

static void test_loading_and_unloading(void **state)
{
	(void)state;
	struct gt_end end;

	if (gt_slow_build()) /* a sanitizer's runtime is in the program */
		skip();
	assert_true(gt_child_succeeded("load and unload", NULL));
	gt_child_run("fault after unloading", NULL, &end);
	assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGSEGV);
	assert_string_equal(end.text, "");
}

int main(int argc, char **argv)
{
	static const struct gt_part parts[] = {
		{ "cycles by run", part_cycles_by_run },
		{ "cycles by start", part_cycles_by_start },
		{ "cycles of different kinds", part_cycles_of_different_kinds },
		{ "forks", part_forks },
		{ "load and unload", part_load_and_unload },
		{ "fault after unloading", part_fault_after_unloading },
		{ "overflow", part_overflow },
		{ "overflow of another size", part_overflow_of_another_size },
		{ "overflow of main", part_overflow_of_main },
		{ "overflow in the background", part_overflow_in_the_background },
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cycles_leave_nothing),
		cmocka_unit_test(test_forks),
		cmocka_unit_test(test_loading_and_unloading),
		cmocka_unit_test(test_stack_overflow_is_explained),
	};

	gt_child_main(argc, argv, parts, GV_ARRAY_LEN(parts));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
