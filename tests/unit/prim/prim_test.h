/* SPDX-License-Identifier: MIT */
/*
 * prim_test.h - what the tests of the primitives share, on top of the fixture of gt.h.
 *
 * A body runs as the main greenlet, on a given number of hubs; afterwards nothing may be in use
 * that was not before: no record, no waiter's node, no stack.
 */
#ifndef PRIM_TEST_H
#define PRIM_TEST_H

#include "gt.h"

#include <sched.h>

#include "base/atomic.h"
#include "sched/failure.h"
#include "sched/hub.h"

/* For greenlets and threads, too. */
#define CHECK GT_CHECK
#define CHECK_IS GT_CHECK_IS

/* A code as a greenlet's value. */
#define CODE GT_VALUE

static inline void run_with(grove_fn *body, void *arg, const grove_options *options)
{
	struct gt_mark before = gt_mark();
	void *value = NULL;

	CHECK_IS(0, grove_run(body, arg, &value, options));
	CHECK(value == NULL);
	before.descriptors = gt_mark().descriptors; /* bodies may open and close as they like */
	gt_check_left(&before);
}

static inline void run_on(unsigned hubs, grove_fn *body, void *arg)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = hubs;
	run_with(body, arg, &options);
}

static inline void run_strict(grove_fn *body, void *arg)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 1;
	options.order = GROVE_ORDER_STRICT;
	run_with(body, arg, &options);
}

/* If a wait or a timer outside has started the runtime: the one user of it leaves. */
static inline void stop(void)
{
	if (grove_hub_count() > 0)
		CHECK_IS(0, grove_stop(gt_soon()));
}

static inline grove_greenlet *spawn(grove_fn *fn, void *arg)
{
	return gt_spawn(fn, arg);
}

/* The value of a greenlet that ends with one; its handle is released. */
static inline intptr_t value_of(grove_greenlet *g)
{
	return gt_value_of(g);
}

/* Give way until it waits, and has left its stack. */
static inline void until_parked(grove_greenlet *g)
{
	gt_until_parked(g);
}

static inline void start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	gt_thread_start(thread, fn, arg);
}

/* Does not hold up the hub's other greenlets. */
static inline void join_thread(pthread_t thread)
{
	gt_thread_join(thread);
}

#endif
