/* SPDX-License-Identifier: MIT */
/*
 * hello.c - the smallest program: one greenlet asks another for a greeting.
 *
 * grove_run starts a hub on every core, runs `hello` as the main greenlet, and stops the hubs
 * when it returns.
 */
#include <grove.h>
#include <stdio.h>

static void *greeting(void *name)
{
	static char text[32];

	snprintf(text, sizeof text, "hello, %s", (const char *)name);
	return text;
}

static void *hello(void *name)
{
	grove_greenlet *greeter;
	void *text;

	int rc = grove_spawn(&greeter, greeting, name);
	if (rc < 0)
		return grove_fail_code(rc);

	rc = grove_get(greeter, &text, GROVE_NEVER);
	grove_greenlet_release(greeter);
	if (rc < 0)
		return grove_fail_code(rc);

	puts(text);
	return NULL;
}

int main(void)
{
	int rc = grove_run(hello, (void *)"world", NULL, NULL);
	if (rc < 0)
		fprintf(stderr, "hello: %s\n", grove_strerror(rc));
	return rc < 0;
}
