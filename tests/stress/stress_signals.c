/* SPDX-License-Identifier: MIT */
/*
 * stress_signals.c - a storm of signals whose handlers send, set and ring.
 *
 * The handlers run on the pthread of hub 0, that is grove_run's caller, in the middle of whatever the
 * runtime or a greenlet does there: spawn, join, yield, wait, sleep, memory.  What they send must
 * arrive: all of it for events, the latest of it for flags and bells.
 */
#include "gt.h"

#include "base/rng.h"
#include "sched/hub.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Missing in some C libraries. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#ifdef GT_SLOW_BUILD
enum { EVENTS_OF_TIMERS = 2000, EVENTS_OF_THREADS = 600 };
#else
enum { EVENTS_OF_TIMERS = 6000, EVENTS_OF_THREADS = 2000 };
#endif

enum {
	TIMERS = 3,
	PERIOD_NS = 60000, /* not the same for all */
	WORKERS = 24,
};

static struct {
	grove_event *events; /* sent by the handlers, one after the other */
	uint32_t count;
	_Atomic uint32_t next;
	grove_flag flag;
	grove_async bell;
	_Atomic uint64_t signals;
	_Atomic uint64_t inside; /* of these: that interrupted the runtime */
	_Atomic bool over;
	_Atomic uint64_t rung;	 /* before each ring */
	_Atomic uint64_t raised; /* before each set */
} storm;

/* ---- the handler ---- */

static _Atomic uint64_t entered, left; /* not part of what a storm clears */

static void handle(int signo)
{
	int saved = errno;
	struct gv_hub *hub = gv_hub_self();
	uint32_t next;

	(void)signo;
	entered++;
	storm.signals++;
	if (hub != NULL && hub->inside)
		storm.inside++;
	next = storm.next;
	if (next < storm.count && atomic_compare_exchange_strong(&storm.next, &next, next + 1)) {
		if (grove_event_send(&storm.events[next], GT_VALUE(next + 1)) != 0)
			abort();
	}
	storm.raised++;
	grove_flag_set(&storm.flag);
	storm.rung++;
	grove_async_send(&storm.bell);
	left++;
	errno = saved;
}

/* ---- who waits for it ---- */

/* Several for each event, so that a send delivers to more than one. */
static void *wait_for_each(void *arg)
{
	for (uint32_t i = 0; i < storm.count; i++) {
		void *value = NULL;

		GT_CHECK_IS(0, grove_event_wait(&storm.events[i], &value, GROVE_NEVER));
		GT_CHECK(value == GT_VALUE(i + 1));
	}
	return arg;
}

/* A crowd that one send cannot wake by itself. */
static void *wait_for_some(void *arg)
{
	for (uint32_t i = 0; i < storm.count; i += 97) {
		void *value = NULL;
		int rc = grove_event_wait(&storm.events[i], &value, grove_in_ns(700000));

		GT_CHECK(rc == -ETIMEDOUT || (rc == 0 && value == GT_VALUE(i + 1)));
	}
	return arg;
}

/* After the last set the flag is up; after the last clear of ours we see what was set before. */
static void *watch_the_flag(void *arg)
{
	uint64_t seen = 0;

	for (;;) {
		GT_CHECK_IS(0, grove_flag_wait(&storm.flag, GROVE_NEVER));
		bool last = storm.over;
		grove_flag_clear(&storm.flag);
		GT_CHECK(storm.raised >= seen);
		seen = storm.raised;
		if (last)
			return arg;
	}
}

static void *listen_to_the_bell(void *arg)
{
	uint64_t heard = 0;

	for (;;) {
		GT_CHECK_IS(0, grove_async_wait(&storm.bell, GROVE_NEVER));
		bool last = storm.over;
		GT_CHECK(storm.rung >= heard);
		heard = storm.rung;
		if (last)
			return arg;
	}
}

/* ---- what is interrupted ---- */

static void *child(void *arg)
{
	if ((uintptr_t)arg % 3 == 0)
		(void)grove_yield();
	return arg;
}

static void spawn_and_join(struct gv_rng *rng)
{
	grove_greenlet *children[40];
	uint32_t count = 1 + gv_rng_below(rng, GV_ARRAY_LEN(children));

	for (uint32_t i = 0; i < count; i++)
		children[i] = gt_spawn(child, GT_VALUE(i));
	for (uint32_t i = 0; i < count; i++)
		GT_CHECK_IS(i, gt_value_of(children[i]));
}

static void use_memory(struct gv_rng *rng)
{
	void *blocks[20];

	for (unsigned i = 0; i < GV_ARRAY_LEN(blocks); i++)
		blocks[i] = malloc(1 + gv_rng_below(rng, 3000));
	for (unsigned i = 0; i < GV_ARRAY_LEN(blocks); i++)
		free(blocks[i]);
}

static void wait_and_send(void)
{
	grove_event event = GROVE_EVENT_INIT;

	GT_CHECK_IS(-ETIMEDOUT, grove_event_wait(&event, NULL, GROVE_DEADLINE(0)));
	GT_CHECK_IS(0, grove_event_send(&event, NULL));
	GT_CHECK_IS(0, grove_event_wait(&event, NULL, GROVE_NEVER));
	GT_CHECK_IS(0, grove_event_destroy(&event));
}

static void *work(void *arg)
{
	struct gv_rng rng;

	gv_rng_seed(&rng, (uintptr_t)arg);
	while (!storm.over) {
		switch (gv_rng_below(&rng, 6)) {
		case 0:
			spawn_and_join(&rng);
			break;
		case 1:
			use_memory(&rng);
			break;
		case 2:
			wait_and_send();
			break;
		case 3:
			GT_CHECK_IS(0, grove_sleep(grove_in_ns(20000)));
			break;
		default:
			GT_CHECK_IS(0, grove_yield());
		}
	}
	return NULL;
}

/* ---- the storm ---- */

struct source {
	uint32_t events;
	void (*begin)(void);
	void (*end)(void);
};

static void run_storm(const struct source *source)
{
	grove_greenlet *waiters[4 + 20];
	grove_greenlet *workers[WORKERS];
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };

	memset(&storm, 0, sizeof(storm));
	storm.count = source->events;
	storm.events = calloc(storm.count, sizeof(*storm.events));
	GT_CHECK(storm.events != NULL);
	GT_CHECK_IS(0, sigaction(SIGUSR1, &action, NULL));

	for (unsigned i = 0; i < GV_ARRAY_LEN(waiters); i++) {
		grove_fn *fn = i == 0	? watch_the_flag
			       : i == 1 ? listen_to_the_bell
			       : i < 4	? wait_for_each
					: wait_for_some;
		waiters[i] = gt_spawn(fn, NULL);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		workers[i] = gt_spawn(work, GT_VALUE(i));
	source->begin();
	/* Nothing else ends these: each event is sent once. */
	for (unsigned i = 2; i < GV_ARRAY_LEN(waiters); i++)
		gt_join(waiters[i]);
	source->end();
	/* Those on their way are dropped; none is left in the handler. */
	action.sa_handler = SIG_IGN;
	GT_CHECK_IS(0, sigaction(SIGUSR1, &action, NULL));
	gt_until(entered == left);
	GT_CHECK_IS(storm.count, storm.next);

	/* No signal comes any more: what was rung and raised last is there. */
	storm.over = true;
	for (unsigned i = 0; i < WORKERS; i++)
		gt_join(workers[i]);
	grove_flag_set(&storm.flag);
	grove_async_send(&storm.bell);
	gt_join(waiters[0]);
	gt_join(waiters[1]);

	for (uint32_t i = 0; i < storm.count; i++)
		GT_CHECK_IS(0, grove_event_destroy(&storm.events[i]));
	GT_CHECK_IS(0, grove_flag_destroy(&storm.flag));
	GT_CHECK_IS(0, grove_async_destroy(&storm.bell));
	free(storm.events);
	printf("%llu signals, %llu of them inside the runtime\n", (unsigned long long)storm.signals,
	       (unsigned long long)storm.inside);
}

/* ---- timers of the kernel that interrupt one thread ---- */

static timer_t timers[TIMERS];
static pid_t hub_zero;

static void begin_timers(void)
{
	for (long i = 0; i < TIMERS; i++) {
		struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
		struct itimerspec period = {
			.it_value.tv_nsec = 1 + i,
			.it_interval.tv_nsec = PERIOD_NS + 7919 * i,
		};

		event.sigev_notify_thread_id = hub_zero;
		GT_CHECK_IS(0, timer_create(CLOCK_MONOTONIC, &event, &timers[i]));
		GT_CHECK_IS(0, timer_settime(timers[i], 0, &period, NULL));
	}
}

static void end_timers(void)
{
	for (int i = 0; i < TIMERS; i++)
		GT_CHECK_IS(0, timer_delete(timers[i]));
}

static const struct source kernel_timers = { EVENTS_OF_TIMERS, begin_timers, end_timers };

GT_TEST(test_timer_signals_lose_nothing)
{
	run_storm(&kernel_timers);
}

/* ---- threads of the program that send signals: to hub 0, and to themselves ---- */

static pthread_t hub_zero_thread;
static pthread_t senders[2];
static _Atomic bool senders_stop;

static void *signal_hub_zero(void *arg)
{
	while (!senders_stop) {
		pthread_kill(hub_zero_thread, SIGUSR1);
		gt_spin(20000);
		sched_yield();
	}
	return arg;
}

/* A foreign pthread's handler, while it is inside the runtime too. */
static void *signal_oneself(void *arg)
{
	while (!senders_stop) {
		grove_greenlet *g = NULL;

		GT_CHECK_IS(0, grove_spawn(&g, child, GT_VALUE(1)));
		raise(SIGUSR1);
		GT_CHECK_IS(0, grove_join(g, GROVE_NEVER));
		grove_greenlet_release(g);
	}
	return arg;
}

static void begin_threads(void)
{
	senders_stop = false;
	gt_thread_start(&senders[0], signal_hub_zero, NULL);
	gt_thread_start(&senders[1], signal_oneself, NULL);
}

static void end_threads(void)
{
	senders_stop = true;
	gt_thread_join(senders[0]);
	gt_thread_join(senders[1]);
}

static const struct source other_threads = { EVENTS_OF_THREADS, begin_threads, end_threads };

GT_TEST(test_signals_from_threads_lose_nothing)
{
	run_storm(&other_threads);
}

static int setup(void **state)
{
	(void)state;
	hub_zero = (pid_t)syscall(SYS_gettid);
	hub_zero_thread = pthread_self();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timer_signals_lose_nothing),
		cmocka_unit_test(test_signals_from_threads_lose_nothing),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
