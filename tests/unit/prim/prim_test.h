/* SPDX-License-Identifier: MIT */
/*
 * prim_test.h - what the tests of the primitives share.
 *
 * A body runs as the main greenlet of grove_run.  In greenlets and on other threads a condition that
 * does not hold ends the process: cmocka's asserts jump, and only to the stack of the test.
 */
#ifndef PRIM_TEST_H
#define PRIM_TEST_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "sched/failure.h"
#include "sched/hub.h"

#include <grove.h>

#include "scale.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define CHECK_IS(expected, value)                                                                  \
	do {                                                                                       \
		long long value_ = (long long)(value);                                             \
		if (value_ != (long long)(expected)) {                                             \
			fprintf(stderr, "%s:%d: %s is %lld, not %s\n", __FILE__, __LINE__, #value, \
				value_, #expected);                                                \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A code as a greenlet's value. */
#define CODE(rc) ((void *)(intptr_t)(rc))

static inline void run_with(grove_fn *body, void *arg, const grove_options *options)
{
	void *value = NULL;

	assert_int_equal(grove_run(body, arg, &value, options), 0);
	assert_null(value);
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
		assert_int_equal(grove_stop(grove_in_s(60)), 0);
}

static inline grove_greenlet *spawn(grove_fn *fn, void *arg)
{
	grove_greenlet *g = NULL;

	CHECK_IS(0, grove_spawn(&g, fn, arg));
	return g;
}

/* The value of a greenlet that ends with one; its handle is released. */
static inline intptr_t value_of(grove_greenlet *g)
{
	void *value = NULL;

	CHECK_IS(0, grove_get(g, &value, GROVE_NEVER));
	grove_greenlet_release(g);
	return (intptr_t)value;
}

/* Give way until it waits, and has left its stack. */
static inline void until_parked(grove_greenlet *g)
{
	while (!(gv_load(&g->wait, acquire) & GV_WAIT_PENDING) || gv_load(&g->context, acquire) == NULL)
		(void)grove_yield();
}

static inline void start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	CHECK_IS(0, pthread_create(thread, NULL, fn, arg));
}

/* Does not hold up the hub's other greenlets. */
static inline void join_thread(pthread_t thread)
{
	while (pthread_tryjoin_np(thread, NULL) == EBUSY)
		(void)grove_yield();
}

#endif
