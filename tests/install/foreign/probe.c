/* SPDX-License-Identifier: MIT */
/*
 * probe.c - a first program: one greenlet waits for an event that another one sends.
 *
 * Valid C11 and, included by probe.cpp, valid C++17.  Status 0 if everything came through.
 */
#include <grove.h>
#include <stdio.h>

static grove_event arrived = GROVE_EVENT_INIT;
static char message[] = "hello";

static void *receive(void *arg)
{
	void *value = NULL;
	int rc = grove_event_wait(&arrived, &value, GROVE_NEVER);

	(void)arg;
	return rc == 0 ? value : NULL;
}

static void *body(void *arg)
{
	grove_greenlet *receiver = NULL;
	void *value = NULL;

	if (grove_spawn(&receiver, receive, NULL) != 0)
		return NULL;
	(void)grove_yield();
	if (grove_event_send(&arrived, arg) != 0)
		return NULL;
	if (grove_get(receiver, &value, grove_in_s(10)) != 0)
		return NULL;
	grove_greenlet_release(receiver);
	return value;
}

int main(void)
{
	void *value = NULL;
	int rc = grove_run(body, message, &value, NULL);

	if (rc != 0) {
		fprintf(stderr, "grove_run: %s\n", grove_strerror(rc));
		return 1;
	}
	if (value != message) {
		fprintf(stderr, "the message did not arrive\n");
		return 1;
	}
	printf("grove %s: %s\n", grove_version(), message);
	return 0;
}
