/* SPDX-License-Identifier: MIT */
/*
 * event_once.c - an event is sent once.
 *
 * A second send is refused and changes nothing: whoever waits later still gets the first value.
 * A reset makes the event fresh, and the next send is the first one again.
 */
#include <errno.h>
#include <grove.h>
#include <stdio.h>
#include <string.h>

static grove_event evt = GROVE_EVENT_INIT;

static void *waiter(void *arg)
{
	void *value;

	(void)arg;
	puts("about to wait");
	int rc = grove_event_wait(&evt, &value, GROVE_NEVER);
	if (rc < 0)
		return grove_fail_code(rc);

	printf("waited for %s\n", (const char *)value);
	return NULL;
}

/* 0 if the event holds this value, else a code. */
static int expect(const char *text)
{
	void *value;

	int rc = grove_event_wait(&evt, &value, GROVE_POLL);
	if (rc < 0)
		return rc;
	return strcmp(value, text) == 0 ? 0 : -EPROTO;
}

static void *once(void *arg)
{
	(void)arg;
	int rc = grove_spawn(NULL, waiter, NULL);
	if (rc == 0)
		rc = grove_yield(); /* about to wait */
	if (rc == 0)
		rc = grove_event_send(&evt, (void *)"a");
	if (rc == 0)
		rc = grove_yield(); /* waited for a */
	if (rc < 0)
		return grove_fail_code(rc);

	rc = grove_event_send(&evt, (void *)"whoops");
	if (rc != -EALREADY)
		return grove_fail_code(rc < 0 ? rc : -EPROTO);
	puts("Trying to re-send() an already-triggered event.");

	rc = expect("a");
	if (rc == 0)
		rc = grove_event_reset(&evt);
	if (rc == 0)
		rc = grove_event_send(&evt, (void *)"b");
	if (rc == 0)
		rc = expect("b");
	return rc < 0 ? grove_fail_code(rc) : NULL;
}

int main(void)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = 1; /* for the order of the lines, see event_order.c */
	options.order = GROVE_ORDER_STRICT;

	int rc = grove_run(once, NULL, NULL, &options);
	if (rc < 0)
		fprintf(stderr, "event_once: %s\n", grove_strerror(rc));
	return rc < 0;
}
