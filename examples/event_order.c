/* SPDX-License-Identifier: MIT */
/*
 * event_order.c - two greenlets wait for one event, and are woken in the order they came.
 *
 * grove_event_send only arranges the wake-ups: the sender goes on, and the waiters print when it
 * next gives way. Which greenlet runs next after a yield is a promise of one hub in strict order
 * only, so this program asks for that. With several hubs the waiters still become runnable in
 * the same order, but may run at the same time.
 */
#include <errno.h>
#include <grove.h>
#include <stdio.h>

enum { WAITERS = 2 };

static grove_event evt = GROVE_EVENT_INIT;
static int woken[WAITERS];
static int woken_count;

static void *waiter(void *number)
{
	void *value;

	puts("about to wait");
	int rc = grove_event_wait(&evt, &value, GROVE_NEVER);
	if (rc < 0)
		return grove_fail_code(rc);

	printf("waited for %s\n", (const char *)value);
	woken[woken_count++] = *(const int *)number;
	return NULL;
}

static void *order(void *arg)
{
	static const int numbers[WAITERS] = { 0, 1 };
	int rc = 0;

	(void)arg;
	for (int i = 0; rc == 0 && i < WAITERS; i++)
		rc = grove_spawn(NULL, waiter, (void *)&numbers[i]);
	if (rc == 0)
		rc = grove_yield(); /* both print, and wait */
	if (rc == 0)
		rc = grove_event_send(&evt, (void *)"a");
	if (rc < 0)
		return grove_fail_code(rc);
	if (woken_count != 0)
		return grove_fail(grove_failure_new(-EPROTO, "the send gave way to a waiter"));

	rc = grove_yield(); /* both wake */
	if (rc < 0)
		return grove_fail_code(rc);
	if (woken_count != WAITERS || woken[0] != 0 || woken[1] != 1)
		return grove_fail(grove_failure_new(-EPROTO, "woken out of order"));
	return NULL;
}

int main(void)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 1;
	options.order = GROVE_ORDER_STRICT;

	int rc = grove_run(order, NULL, NULL, &options);
	if (rc < 0)
		fprintf(stderr, "event_order: %s\n", grove_strerror(rc));
	return rc < 0;
}
