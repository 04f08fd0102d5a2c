/* SPDX-License-Identifier: MIT */
/*
 * gt.h - what tests that use the public functions share.
 *
 * A test declared by GT_TEST(name) is a cmocka test whose body runs as the main greenlet, on as many
 * hubs as the environment says (GROVE_HUBS).  GT_STRICT_TEST runs it on one hub in strict order, and
 * GT_THREAD_TEST on the test's own pthread, with the hubs in the background.
 *
 * At the end of the body no other greenlet may live and no timer be armed.  After the stop no
 * record, waiter's node, stack or descriptor may be in use that was not before, and there may have been
 * no report of a failure and no line in the log that the body has not taken (gt_take_reports).
 *
 * cmocka's asserts jump, and only to the stack of the test: bodies, greenlets and threads use
 * GT_CHECK, which ends the process.  A body waits for a state (gt_until, gt_until_parked), never for
 * a duration; what does not come within a minute ends the process, too.
 */
#ifndef GT_H
#define GT_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <grove.h>

#include "measure.h" /* GT_CHECK */
#include "scale.h"

/* Rounds of a race. */
#ifdef GT_SLOW_BUILD
#define GT_ROUNDS 500
#else
#define GT_ROUNDS 20000
#endif

#define GT_MS INT64_C(1000000)

/* Give way until the condition holds. */
#define gt_until(condition)                                                                        \
	do {                                                                                       \
		int64_t gt_end_ = grove_now_ns() + GT_PATIENCE_NS;                                 \
		while (!(condition))                                                               \
			gt_wait_a_little(gt_end_, __FILE__, __LINE__, #condition);                 \
	} while (0)

/* Give way until the greenlet is suspended in a wait, and has left its stack. */
#define gt_until_parked(greenlet) gt_until_parked_at((greenlet), __FILE__, __LINE__)

#define GT_PATIENCE_NS (INT64_C(60) * 1000000000)

void gt_wait_a_little(int64_t end_ns, const char *file, int line, const char *condition);
void gt_until_parked_at(grove_greenlet *greenlet, const char *file, int line);

/* Yields; a foreign pthread gives up its time slice. */
void gt_pause(void);

/* A deadline that no healthy wait comes to. */
grove_deadline gt_soon(void);

/* --- tests ------------------------------------------------------------------------------------ */

typedef void gt_body(void);

#define GT_TEST_ON(name, run)                                                                      \
	static void name##_body(void);                                                             \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		run(name##_body);                                                                  \
	}                                                                                          \
	static void name##_body(void)

#define GT_TEST(name) GT_TEST_ON(name, gt_run)
#define GT_STRICT_TEST(name) GT_TEST_ON(name, gt_run_strict)
#define GT_THREAD_TEST(name) GT_TEST_ON(name, gt_run_behind)

void gt_run(gt_body *body);
void gt_run_strict(gt_body *body);
void gt_run_behind(gt_body *body);

/* As gt_run, with these options; those that the fixture needs for itself are overwritten. */
void gt_run_with(gt_body *body, const grove_options *options);

/* For tests that start the runtime themselves: what there is, and that there is no more. */
struct gt_mark {
	unsigned descriptors;
	long long records;
	long long nodes;
};

struct gt_mark gt_mark(void);
void gt_check_left(const struct gt_mark *before);

/* Strict order needs one hub, whatever the environment says. */
void gt_one_hub_begin(void);
void gt_one_hub_end(void);

/* --- reports ---------------------------------------------------------------------------------- */

struct gt_report {
	uint64_t id;		/* of the greenlet */
	int code;		/* of the failure */
	grove_failure *failure; /* to compare; not a reference */
};

/* How many failures were reported since the last call, and the last of them (NULL: not asked). */
int gt_take_reports(struct gt_report *last);

/* How many lines came to the log since the last call. */
int gt_take_lines(void);

/* Options that lead reports to the fixture. */
void gt_options(grove_options *options);

/* --- greenlets, threads, time ------------------------------------------------------------------ */

/* A code or number as a greenlet's value. */
#define GT_VALUE(number) ((void *)(intptr_t)(number))

grove_greenlet *gt_spawn(grove_fn *fn, void *arg);

/* The same; it is suspended in a wait by now. */
grove_greenlet *gt_spawn_parked(grove_fn *fn, void *arg);

/* The same; it is GROVE_NEW. */
grove_greenlet *gt_spawn_unstarted(grove_fn *fn, void *arg);

/* Bodies: return the argument; set the bool that it points to. */
void *gt_return_it(void *value);
void *gt_note_run(void *flag);

/* The value of a greenlet that ends with one; its handle is released. */
intptr_t gt_value_of(grove_greenlet *greenlet);

/* It ends, in whatever way; its handle is released. */
void gt_join(grove_greenlet *greenlet);

/* Nothing is left of the greenlet with this id. */
bool gt_gone(uint64_t id);

/* Does not hold up the hub. */
void gt_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg);
void gt_thread_join(pthread_t thread);

/* Computes, without giving way, until that time. */
void gt_compute_until(int64_t ns);

/* Some loop iterations, up to `most`; another number each time. */
void gt_spin(unsigned most);

grove_stats gt_stats(void);

/* A rendezvous of greenlets and threads that can be used again and again. */
struct gt_gate {
	unsigned parties;
	_Atomic unsigned arrived;
	_Atomic unsigned opened;
};

void gt_gate_wait(struct gt_gate *gate);

/*
 * Several parties do something at the same moment, round after round.  Between two rounds, and after
 * the last one, party 0 looks at the outcome and prepares the next while the others wait.  On a busy
 * machine a round may take a scheduler's slice, so after a quarter of a second no new one begins.
 */
struct gt_race {
	unsigned parties;
	unsigned threads; /* of these, the last ones: foreign pthreads instead of greenlets */
	int rounds;
	void (*begin)(unsigned party, void *arg); /* once, before the first round; or NULL */
	void (*act)(unsigned party, void *arg);
	void (*between)(void *arg);
	void *arg;
};

enum { GT_PARTIES_MAX = 16 };

/* Returns how many rounds there were. */
int gt_race(const struct gt_race *race);

#endif
