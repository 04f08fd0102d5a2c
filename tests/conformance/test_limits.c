/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c - what happens when something runs out: greenlets, descriptors, threads, memory,
 * mappings.  Each is an error or a clear message, after which the runtime works on or stops as usual.
 *
 * A limit of the process is set in a child, which then starts the runtime.  What it does not come to
 * within a minute ends it.
 */
#include "gt.h"

#include "base/compiler.h"
#include "child.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void *nothing(void *arg)
{
	return arg;
}

static char said[512];
static _Atomic unsigned lines;

static void listen_to(int level, const char *line, void *arg)
{
	(void)arg;
	if (level == GROVE_LOG_ERROR)
		snprintf(said, sizeof(said), "%s", line);
	atomic_fetch_add(&lines, 1);
}

static _Atomic unsigned failures;
static _Atomic int last_code;

static void count_failure(grove_greenlet *greenlet, grove_failure *failure, void *arg)
{
	(void)greenlet;
	(void)arg;
	atomic_store(&last_code, grove_failure_code(failure));
	atomic_fetch_add(&failures, 1);
}

static grove_options own_options(void)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 2; /* does not follow the quota, for which files are opened */
	options.on_log = listen_to;
	options.on_failure = count_failure;
	return options;
}

/* --- greenlets -------------------------------------------------------------------------------- */

enum { MOST = 10 };

static void *wait_for(void *event)
{
	return GT_VALUE(grove_event_wait(event, NULL, gt_soon()));
}

static void refuse_one_more(void)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	uint64_t spawned = gt_stats().spawned;
	uint64_t id = 0;

	attributes.name = "a name";
	GT_CHECK_IS(-EAGAIN, grove_spawn(NULL, nothing, NULL));
	GT_CHECK_IS(-EAGAIN, grove_spawn_raw(&id, nothing, NULL));
	GT_CHECK_IS(-EAGAIN, grove_spawn_copy(NULL, nothing, "x", 1));
	GT_CHECK_IS(-EAGAIN, grove_spawn_later(NULL, nothing, NULL, grove_in_s(60)));
	GT_CHECK_IS(-EAGAIN, grove_spawn_with(NULL, nothing, NULL, &attributes));
	GT_CHECK_IS(0, id);
	GT_CHECK_IS(spawned, gt_stats().spawned);
	GT_CHECK_IS(MOST, gt_stats().live);
}

/* In whatever way a place was taken, it comes back. */
static void body_of_most_greenlets(void)
{
	grove_event event = GROVE_EVENT_INIT;
	grove_attributes unstarted = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *g[MOST];
	int count = 0;

	unstarted.flags = GROVE_UNSTARTED;
	for (int round = 0; round < 3; round++) {
		for (count = 0; count < MOST - 4; count++)
			g[count] = gt_spawn(wait_for, &event);
		GT_CHECK_IS(0, grove_spawn_with(&g[count++], nothing, NULL, &unstarted));
		GT_CHECK_IS(0, grove_spawn_later(&g[count++], nothing, NULL, grove_in_s(60)));
		GT_CHECK_IS(0, grove_spawn_later(&g[count++], nothing, NULL, GROVE_NEVER));
		refuse_one_more();

		/* Ended, killed, cancelled, dropped: each makes room for one. */
		GT_CHECK_IS(0, grove_kill(g[0], NULL, gt_soon()));
		GT_CHECK_IS(0, grove_cancel(g[count - 1]));
		grove_greenlet_release(g[count - 3]);
		grove_greenlet_release(g[0]);
		grove_greenlet_release(g[--count]);
		GT_CHECK_IS(0, grove_kill(g[--count], NULL, GROVE_POLL));
		grove_greenlet_release(g[count]);
		gt_until(gt_stats().live == MOST - 4);
		for (int i = 0; i < 4; i++)
			gt_join(gt_spawn(nothing, NULL));
		count--;
		for (int i = 1; i < count; i++)
			GT_CHECK_IS(0, grove_kill(g[i], NULL, gt_soon()));
		for (int i = 1; i < count; i++)
			grove_greenlet_release(g[i]);
		gt_until(gt_stats().live == 1);
	}
	GT_CHECK_IS(0, grove_event_destroy(&event));
}

static void test_most_greenlets(void **state)
{
	(void)state;
	grove_options options = GROVE_OPTIONS_INIT;

	options.max_greenlets = MOST;
	gt_run_with(body_of_most_greenlets, &options);
}

/* --- descriptors ------------------------------------------------------------------------------ */

/* No number from here on is given out; returns which. */
static int no_more_descriptors(int more)
{
	int lowest = dup(STDERR_FILENO);
	struct rlimit limit;

	GT_CHECK(lowest >= 0);
	close(lowest);
	GT_CHECK_IS(0, getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = (rlim_t)(lowest + more);
	GT_CHECK_IS(0, setrlimit(RLIMIT_NOFILE, &limit));
	return lowest;
}

static int part_no_descriptors(void)
{
	grove_options options = own_options();

	no_more_descriptors(0);
	GT_CHECK_IS(-EMFILE, grove_start(&options));
	GT_CHECK(strstr(said, "descriptors") != NULL);
	GT_CHECK_IS(-EMFILE, grove_run(nothing, NULL, NULL, &options));
	GT_CHECK_IS(-EMFILE, grove_spawn(NULL, nothing, NULL));
	GT_CHECK_IS(0, grove_hub_count());

	/* Once there are some, all is well. */
	struct rlimit limit;
	GT_CHECK_IS(0, getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur += 16;
	GT_CHECK_IS(0, setrlimit(RLIMIT_NOFILE, &limit));
	GT_CHECK_IS(0, grove_run(nothing, NULL, NULL, &options));
	return 0;
}

static void *accept_without_descriptors(void *arg)
{
	char name[64];
	int clients[2];

	snprintf(name, sizeof(name), "unix:@grove-limits-%d", (int)getpid());
	int listener = grove_tcp_listen(name, 0);
	GT_CHECK(listener >= 0);
	for (int i = 0; i < 2; i++)
		clients[i] = grove_tcp_connect(name, 0, gt_soon());
	GT_CHECK(clients[0] >= 0 && clients[1] >= 0);
	no_more_descriptors(0);
	GT_CHECK_IS(-EMFILE, grove_accept(listener, NULL, NULL, gt_soon()));
	GT_CHECK_IS(-EMFILE, grove_accept(listener, NULL, NULL, GROVE_POLL));
	GT_CHECK_IS(-EMFILE, grove_tcp_listen("127.0.0.1", 0));
	GT_CHECK_IS(-EMFILE, grove_tcp_connect(name, 0, gt_soon()));

	/* The connection was left in the queue. */
	GT_CHECK_IS(0, grove_close(clients[0]));
	int fd = grove_accept(listener, NULL, NULL, gt_soon());
	GT_CHECK(fd >= 0);
	GT_CHECK_IS(0, grove_close(fd));
	GT_CHECK_IS(0, grove_close(clients[1]));
	GT_CHECK_IS(0, grove_close(listener));
	return arg;
}

static int part_accept_without_descriptors(void)
{
	grove_options options = own_options();

	GT_CHECK_IS(0, grove_run(accept_without_descriptors, NULL, NULL, &options));
	return 0;
}

/* --- threads ---------------------------------------------------------------------------------- */

static int part_no_threads(void)
{
	struct rlimit limit = { 1, 1 };
	grove_options options = own_options();

	/* The limit counts the processes of a user, and does not hold for the privileged. */
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(64222) < 0 || setuid(64222) < 0))
		gt_child_skip("this user cannot become another one");
	GT_CHECK_IS(0, setrlimit(RLIMIT_NPROC, &limit));
	pthread_t thread;
	if (pthread_create(&thread, NULL, nothing, NULL) == 0)
		gt_child_skip("RLIMIT_NPROC does not limit this user");

	for (int i = 0; i < 3; i++) {
		GT_CHECK_IS(-EAGAIN, grove_start(&options));
		GT_CHECK(strstr(said, "threads") != NULL);
		GT_CHECK_IS(-EAGAIN, grove_run(nothing, NULL, NULL, &options));
		GT_CHECK_IS(0, grove_hub_count());
	}
	options.hubs = 1;
	GT_CHECK_IS(-EAGAIN, grove_start(&options));
	return 0;
}

/* --- memory ----------------------------------------------------------------------------------- */

static int64_t address_space_left_mib = -1;

static void limit_address_space(void)
{
	const char *text = getenv("GT_LEFT_MIB");

	GT_CHECK(text != NULL);
	address_space_left_mib = strtoll(text, NULL, 10);
	int64_t bytes = (gt_status_kib(0, "VmSize") + address_space_left_mib * 1024) * 1024;
	struct rlimit limit = { (rlim_t)bytes, (rlim_t)bytes };
	GT_CHECK_IS(0, setrlimit(RLIMIT_AS, &limit));
}

static grove_event go;
static _Atomic unsigned ran;

static _Atomic unsigned could_not_wait;

static void *wait_then_count(void *arg)
{
	int rc = grove_event_wait(&go, NULL, GROVE_NEVER);

	GT_CHECK(rc == 0 || rc == -ENOMEM);
	atomic_fetch_add(rc == 0 ? &ran : &could_not_wait, 1);
	return arg;
}

/* As many as there is room for; the others fail, and say why. */
static void *crowd(void *arg)
{
	unsigned spawned = 0;
	unsigned refused = 0;

	for (int i = 0; i < 20000; i++) {
		int rc = grove_spawn(NULL, wait_then_count, NULL);

		GT_CHECK(rc == 0 || rc == -ENOMEM);
		spawned += rc == 0;
		refused += rc == -ENOMEM;
		if (i % 64 == 63)
			GT_CHECK_IS(0, grove_yield());
	}
	gt_until(gt_stats().runnable == 0);
	GT_CHECK_IS(0, grove_event_send(&go, NULL));
	gt_until(gt_stats().live == 1);
	GT_CHECK_IS(spawned,
		    atomic_load(&ran) + atomic_load(&could_not_wait) + atomic_load(&failures));
	GT_CHECK(atomic_load(&failures) == 0 || atomic_load(&last_code) == -ENOMEM);
	GT_CHECK_IS(atomic_load(&failures), gt_stats().stacks_refused);
	fprintf(stderr, "%lld MiB: %u of %u ran, %u could not wait, %u had no stack; %u refused\n",
		(long long)address_space_left_mib, atomic_load(&ran), spawned,
		atomic_load(&could_not_wait), atomic_load(&failures), refused);
	return arg;
}

static int part_no_memory(void)
{
	grove_options options = own_options();

	limit_address_space();
	int rc = grove_run(crowd, NULL, NULL, &options);
	if (rc == GROVE_FAILED) {
		/* Main itself had no stack. */
		GT_CHECK_IS(-ENOMEM, grove_failure_code(grove_last_failure()));
		GT_CHECK(strstr(grove_failure_message(grove_last_failure()), "stack") != NULL);
	} else if (rc != 0) {
		GT_CHECK(rc == -ENOMEM || rc == -EAGAIN);
		GT_CHECK(said[0] != '\0');
	}
	fprintf(stderr, "%lld MiB: %d, %s\n", (long long)address_space_left_mib, rc, said);

	/* Nothing is left half done. */
	GT_CHECK_IS(0, grove_hub_count());
	GT_CHECK(grove_event_destroy(&go) == 0);
	memset(&go, 0, sizeof(go));
	int again = grove_run(nothing, NULL, NULL, &options);
	GT_CHECK(again == 0 || again == -ENOMEM || again == -EAGAIN || again == GROVE_FAILED);
	return 0;
}

/* --- mappings --------------------------------------------------------------------------------- */

static void *crowd_with_guards(void *arg)
{
	unsigned count = gt_slow_build() ? 2000 : 40000;

	for (unsigned i = 0; i < count; i++) {
		GT_CHECK_IS(0, grove_spawn(NULL, wait_then_count, NULL));
		if (i % 64 == 63)
			GT_CHECK_IS(0, grove_yield());
	}
	gt_until(gt_stats().stacks_in_use == count + 1);
	grove_stats stats = gt_stats();
	GT_CHECK_IS(0, stats.stacks_guarded_madvise);
	GT_CHECK(stats.stacks_guarded_mprotect > 0);
	GT_CHECK(stats.stacks_guarded_mprotect + stats.stacks_guarded_canary > count);
	GT_CHECK_IS(0, stats.stacks_unguarded);
	GT_CHECK_IS(0, stats.stacks_refused);
	GT_CHECK_IS(0, grove_event_send(&go, NULL));
	gt_until(gt_stats().live == 1);
	return arg;
}

/* Each guard by mprotect takes a mapping, of which there are 65530: the rest gets a pattern. */
static int part_no_mappings(void)
{
	grove_options options = own_options();

	options.guard = GROVE_GUARD_MPROTECT;
	GT_CHECK_IS(0, grove_run(crowd_with_guards, NULL, NULL, &options));
	return 0;
}

/* ------------------------------------------------------------------------------------------------ */

static void test_no_descriptors(void **state)
{
	(void)state;
	assert_true(gt_child_succeeded("no descriptors", NULL));
	assert_true(gt_child_succeeded("accept without descriptors", NULL));
}

static void test_no_threads(void **state)
{
	(void)state;
	if (gt_slow_build()) /* a sanitizer has threads of its own */
		skip();
	assert_true(gt_child_succeeded("no threads", NULL));
}

static void test_no_memory(void **state)
{
	(void)state;
	static const char *const left[] = { "GT_LEFT_MIB=0",   "GT_LEFT_MIB=1",	 "GT_LEFT_MIB=2",
					    "GT_LEFT_MIB=4",   "GT_LEFT_MIB=9",	 "GT_LEFT_MIB=12",
					    "GT_LEFT_MIB=17",  "GT_LEFT_MIB=20", "GT_LEFT_MIB=33",
					    "GT_LEFT_MIB=70",  "GT_LEFT_MIB=90", "GT_LEFT_MIB=130",
					    "GT_LEFT_MIB=200", "GT_LEFT_MIB=400" };

	if (gt_slow_build()) /* the shadow of a sanitizer is larger than any of these */
		skip();
	for (size_t i = 0; i < GV_ARRAY_LEN(left); i++)
		assert_true(gt_child_succeeded("no memory", left[i]));
}

static void test_no_mappings(void **state)
{
	(void)state;
	assert_true(gt_child_succeeded("no mappings", NULL));
}

int main(int argc, char **argv)
{
	static const struct gt_part parts[] = {
		{ "no descriptors", part_no_descriptors },
		{ "accept without descriptors", part_accept_without_descriptors },
		{ "no threads", part_no_threads },
		{ "no memory", part_no_memory },
		{ "no mappings", part_no_mappings },
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_most_greenlets), cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_no_threads),     cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_no_mappings),
	};

	gt_child_main(argc, argv, parts, GV_ARRAY_LEN(parts));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
