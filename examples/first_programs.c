/* SPDX-License-Identifier: MIT */
/*
 * first_programs.c - the programs one writes first, each a function, run one after the other.
 *
 *   hello       a greenlet that prints
 *   seed        an event: wait, send, and the second send that is refused
 *   echo        a TCP server and its client, both in this process
 *   foreign     a plain thread that wakes a greenlet
 *
 * They have the same shape: a greenlet's function returns its value, or grove_fail(..) to say that
 * it ended badly, and every call that can suspend returns a negative code when something other
 * than success ended it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <grove.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* --- hello: spawn, and wait for the end ------------------------------------------------------- */

static void *say_hello(void *arg)
{
	(void)arg;
	puts("hello");
	return NULL;
}

static int hello(void)
{
	grove_greenlet *speaker;

	int rc = grove_spawn(&speaker, say_hello, NULL);
	if (rc < 0)
		return rc;
	rc = grove_get(speaker, NULL, GROVE_NEVER);
	grove_greenlet_release(speaker);
	return rc;
}

/* --- seed: one greenlet waits for what another one sends -------------------------------------- */

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

static int seed(void)
{
	grove_greenlet *g;

	int rc = grove_spawn(&g, waiter, NULL);
	if (rc < 0)
		return rc;
	rc = grove_event_send(&evt, (void *)"a");
	if (rc == 0)
		rc = grove_get(g, NULL, GROVE_NEVER);
	grove_greenlet_release(g);
	if (rc < 0)
		return rc;

	return grove_event_send(&evt, (void *)"whoops") == -EALREADY ? 0 : -EPROTO;
}

/* --- echo: a greenlet for each connection ----------------------------------------------------- */

/* The server closes the descriptor when its handler returns. */
static void echo(int fd, void *arg)
{
	char buffer[4096];
	ssize_t got;

	(void)arg;
	while ((got = grove_read(fd, buffer, sizeof buffer, grove_in_s(30))) > 0)
		if (grove_write_full(fd, buffer, (size_t)got, NULL, grove_in_s(30)) < 0)
			break;
}

static void *echo_client(void *port)
{
	static const char line[] = "echoed over a socket\n";
	char back[sizeof line] = "";
	size_t got = 0;

	int fd = grove_tcp_connect("127.0.0.1", *(const int *)port, grove_in_s(30));
	if (fd < 0)
		return grove_fail_code(fd);

	int rc = grove_write_full(fd, line, strlen(line), NULL, grove_in_s(30));
	if (rc == 0)
		rc = grove_read_full(fd, back, strlen(line), &got, grove_in_s(30));
	grove_close(fd);
	if (rc < 0)
		return grove_fail_code(rc);

	fputs(back, stdout);
	return NULL;
}

/* The port that the kernel chose for a listener on port 0, or a negative code. */
static int port_of(int listener)
{
	struct sockaddr_in address;
	socklen_t size = sizeof address;

	if (getsockname(listener, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	return ntohs(address.sin_port);
}

static int echo_server(void)
{
	grove_server *server;
	grove_greenlet *client;

	int listener = grove_tcp_listen("127.0.0.1", 0);
	if (listener < 0)
		return listener;
	int port = port_of(listener);
	int rc = port < 0 ? port : grove_server_new(&server, listener, NULL, echo, NULL);
	if (rc < 0) {
		grove_close(listener);
		return rc;
	}

	rc = grove_spawn_copy(&client, echo_client, &port, sizeof port);
	if (rc == 0) {
		rc = grove_get(client, NULL, GROVE_NEVER);
		grove_greenlet_release(client);
	}

	/* Stopping closes the listener and ends what is still connected. */
	int stopped = grove_server_stop(server, grove_in_s(1));
	grove_server_free(server);
	return rc < 0 ? rc : stopped;
}

/* --- foreign: any thread may send ------------------------------------------------------------- */

static void *thread(void *done)
{
	grove_event_send(done, (void *)"woken by a thread");
	return NULL;
}

static int foreign(void)
{
	grove_event done = GROVE_EVENT_INIT;
	pthread_t sender;
	void *value;

	int rc = -pthread_create(&sender, NULL, thread, &done);
	if (rc < 0)
		return rc;
	rc = grove_event_wait(&done, &value, GROVE_NEVER);
	pthread_join(sender, NULL); /* it ends without waiting for anybody */
	grove_event_destroy(&done);

	if (rc == 0)
		puts(value);
	return rc;
}

/* --- all of them ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int (*run)(void);
} programs[] = {
	{ "hello", hello },
	{ "seed", seed },
	{ "echo", echo_server },
	{ "foreign", foreign },
};

static void *run_all(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
		printf("%s:\n", programs[i].name);
		int rc = programs[i].run();
		if (rc < 0)
			return grove_fail(grove_failure_new(rc, "%s: %s", programs[i].name,
							    grove_strerror(rc)));
	}
	return NULL;
}

int main(void)
{
	int rc = grove_run(run_all, NULL, NULL, NULL);
	if (rc < 0)
		fprintf(stderr, "first_programs: %s\n", grove_strerror(rc));
	return rc < 0;
}
