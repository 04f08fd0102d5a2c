/* SPDX-License-Identifier: MIT */
/*
 * event_after.c - a wait that comes after the send returns at once, as often as it is asked.
 *
 * So nobody has to know who comes first: the greenlet spawned here prints the same whether it
 * starts before or after the send. A wait that need not suspend succeeds with any deadline, even
 * GROVE_POLL.
 */
#include <grove.h>
#include <stdio.h>

static grove_event evt = GROVE_EVENT_INIT;

static void *wait_on(void *arg)
{
	void *value;

	(void)arg;
	int rc = grove_event_wait(&evt, &value, GROVE_NEVER);
	if (rc < 0)
		return grove_fail_code(rc);

	printf("waited for %s\n", (const char *)value);
	return NULL;
}

static void *after(void *arg)
{
	grove_greenlet *waiter;
	void *value = NULL;

	(void)arg;
	int rc = grove_spawn(&waiter, wait_on, NULL);
	if (rc < 0)
		return grove_fail_code(rc);
	rc = grove_event_send(&evt, (void *)"result");
	if (rc == 0)
		rc = grove_get(waiter, NULL, GROVE_NEVER);
	grove_greenlet_release(waiter);

	/* Three more times, without waiting: the value stays. */
	for (int i = 0; rc == 0 && i < 3; i++)
		rc = grove_event_wait(&evt, &value, GROVE_POLL);
	if (rc < 0)
		return grove_fail_code(rc);

	printf("'%s'\n", (const char *)value);
	return NULL;
}

int main(void)
{
	int rc = grove_run(after, NULL, NULL, NULL);
	if (rc < 0)
		fprintf(stderr, "event_after: %s\n", grove_strerror(rc));
	return rc < 0;
}
