/* SPDX-License-Identifier: MIT */
/*
 * stress_idle.c - a process whose greenlets all wait does nothing.
 *
 * Children with 10,000 parked greenlets each are watched from outside, so that the watching does not
 * wake what it watches: voluntary context switches and CPU time of all their threads.  One child
 * each for what its hubs may sleep on: their own words only; the poller, as descriptors are watched
 * too; with deadlines far away; and with the program's main pthread blocked in a wait.
 *
 * The watch begins when the counters have stood still for a while, and lasts 10 s with --show (or
 * --seconds), 2 s as a test.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "measure.h"
#include "scale.h"

#include <grove.h>

enum { PARKED = 10000, SOCKETS = 100, MOST_SWITCHES = 2, MOST_CPU_NS = 10000000 };

enum way { WORDS, POLLER, DEADLINES, BEHIND, WAYS };

static const char *const names[WAYS] = {
	"events only",
	"and 100 sockets",
	"and deadlines in an hour",
	"main pthread blocked",
};

/* --- the child ---------------------------------------------------------------------------------- */

static grove_event never;
static grove_event far;
static _Atomic unsigned waiting;
static int socket_pairs[SOCKETS][2];

static void *wait_for_event(void *arg)
{
	gv_add(&waiting, 1, seq_cst); /* counted */
	GT_CHECK_IS(0, grove_event_wait(&never, NULL, GROVE_NEVER));
	return arg;
}

static void *wait_for_an_hour(void *arg)
{
	gv_add(&waiting, 1, seq_cst); /* counted */
	GT_CHECK_IS(0, grove_event_wait(&far, NULL, grove_in_s(3600)));
	return arg;
}

static void *wait_for_bytes(void *arg)
{
	char byte;
	int *pair = arg;

	gv_add(&waiting, 1, seq_cst); /* counted */
	GT_CHECK_IS(1, grove_read(pair[0], &byte, 1, GROVE_NEVER));
	return arg;
}

static void settle(enum way way)
{
	unsigned parked = GT_LIVE(PARKED) - SOCKETS;

	for (unsigned i = 0; i < parked; i++) {
		bool timed = way == DEADLINES && i % 2 == 0;
		GT_CHECK_IS(0,
			    grove_spawn_raw(NULL, timed ? wait_for_an_hour : wait_for_event, NULL));
	}
	for (int i = 0; way == POLLER && i < SOCKETS; i++) {
		GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socket_pairs[i]));
		GT_CHECK_IS(0, grove_spawn_raw(NULL, wait_for_bytes, socket_pairs[i]));
		parked++;
	}
	while (gv_load(&waiting, acquire) != parked)
		GT_CHECK_IS(0, grove_yield());
}

static void *wait_in_main(void *arg)
{
	settle((enum way)(intptr_t)arg);
	GT_CHECK_IS(0, grove_event_wait(&never, NULL, GROVE_NEVER));
	return arg;
}

/* Ends by a signal of the parent. */
_Noreturn static void be_idle(enum way way)
{
	grove_options options = GROVE_OPTIONS_INIT;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	grove_hold(); /* this is no deadlock */
	options.hubs = 2;
	if (way == BEHIND) {
		GT_CHECK_IS(0, grove_start(&options));
		settle(way);
		GT_CHECK_IS(0, grove_event_wait(&never, NULL, GROVE_NEVER));
	} else {
		GT_CHECK_IS(0, grove_run(wait_in_main, (void *)(intptr_t)way, NULL, &options));
	}
	gt_die(__FILE__, __LINE__, "somebody woke %s", names[way]);
}

/* --- the watch ---------------------------------------------------------------------------------- */

struct child {
	pid_t pid;
	uint64_t switches;
	int64_t cpu_ns;
};

/* A sanitizer's own thread is none of ours. */
#define ONLY_HUBS (GV_TSAN || GV_ASAN)

static void look(struct child *child)
{
	child->switches = gt_voluntary_switches(child->pid, ONLY_HUBS);
	child->cpu_ns = gt_cpu_ns(child->pid, ONLY_HUBS);
}

static struct child start_child(enum way way)
{
	struct child child = { .pid = fork() };

	GT_CHECK(child.pid >= 0);
	if (child.pid == 0)
		be_idle(way);
	return child;
}

/* Until its counters have stood still for half a second. */
static void until_still(struct child *child)
{
	int64_t give_up = gt_now_ns() + 60 * INT64_C(1000000000);
	int64_t since = gt_now_ns();
	struct child before = *child;
	int status;

	while (gt_now_ns() - since < 500000000) {
		usleep(20000);
		GT_CHECK_IS(0, waitpid(child->pid, &status, WNOHANG));
		look(child);
		if (child->switches != before.switches || child->cpu_ns != before.cpu_ns ||
		    child->cpu_ns < 1000000)
			since = gt_now_ns();
		before = *child;
		if (gt_now_ns() > give_up)
			return; /* what is measured then will show it */
	}
}

static void watch(struct child grown[WAYS], double seconds)
{
	struct child child[WAYS];

	for (int way = 0; way < WAYS; way++)
		child[way] = start_child((enum way)way);
	for (int way = 0; way < WAYS; way++)
		until_still(&child[way]);
	for (int way = 0; way < WAYS; way++)
		look(&child[way]);
	usleep((useconds_t)(seconds * 1e6));
	for (int way = 0; way < WAYS; way++) {
		struct child now = child[way];
		int status;

		look(&now);
		grown[way] = (struct child){
			.switches = now.switches - child[way].switches,
			.cpu_ns = now.cpu_ns - child[way].cpu_ns,
		};
		kill(now.pid, SIGKILL);
		GT_CHECK_IS(now.pid, waitpid(now.pid, &status, 0));
		GT_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

static bool is_idle(const struct child *grown)
{
	return grown->switches <= MOST_SWITCHES && grown->cpu_ns <= MOST_CPU_NS;
}

/* --- as a test ---------------------------------------------------------------------------------- */

static void test_idle_process_does_nothing(void **state)
{
	(void)state;
	struct child grown[WAYS];

	watch(grown, 2);
	for (int way = 0; way < WAYS; way++) {
		if (!is_idle(&grown[way]))
			printf("%s: %llu switches, %.3f ms of CPU time\n", names[way],
			       (unsigned long long)grown[way].switches,
			       (double)grown[way].cpu_ns / 1e6);
		assert_true(is_idle(&grown[way]));
	}
}

/* --- by hand ------------------------------------------------------------------------------------ */

static int show(int argc, char **argv)
{
	int64_t seconds = gt_number(argc, argv, "--seconds", 10);
	struct gt_machine before = gt_machine_now();
	struct child grown[WAYS];
	bool idle = true;

	watch(grown, (double)seconds);
	printf("2 hubs, %d parked greenlets, %lld s\n%-28s %10s %10s\n", PARKED, (long long)seconds,
	       "", "switches", "CPU ms");
	for (int way = 0; way < WAYS; way++) {
		printf("%-28s %10llu %10.3f\n", names[way], (unsigned long long)grown[way].switches,
		       (double)grown[way].cpu_ns / 1e6);
		idle = idle && is_idle(&grown[way]);
	}
	gt_print_machine(&before);
	printf("at most %d switches and %d ms: %s\n", MOST_SWITCHES, MOST_CPU_NS / 1000000,
	       idle ? "yes" : "NO");
	return idle ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_process_does_nothing),
	};

	if (gt_show(argc, argv))
		return show(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
