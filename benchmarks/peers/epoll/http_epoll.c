/* SPDX-License-Identifier: MIT */
/*
 * http_epoll.c - the plain epoll server the http rows are measured against.
 *
 * What a careful C programmer writes without a runtime: one level-triggered epoll set and one loop
 * per thread, each thread with its own listening socket (SO_REUSEPORT), the packaged http_parser,
 * one read and one write per readiness, EPOLLOUT only while a client does not take its answers.
 * Keep-alive, pipelining and clients that send byte by byte are served; no request body is kept.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <http_parser.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, IN_BYTES = 4096, OUT_BYTES = 65536, THREADS = 64 };

static const char answer[] = "HTTP/1.1 200 OK\r\n"
			     "Content-Type: text/plain\r\n"
			     "Content-Length: 13\r\n"
			     "\r\n"
			     "Hello, World!";

static const char last_answer[] = "HTTP/1.1 200 OK\r\n"
				  "Content-Type: text/plain\r\n"
				  "Content-Length: 13\r\n"
				  "Connection: close\r\n"
				  "\r\n"
				  "Hello, World!";

/* out is filled while one read is parsed and emptied before the next read. */
struct client {
	int fd;
	bool closing; /* the last answer is in out */
	bool blocked; /* waits for EPOLLOUT, not for EPOLLIN */
	size_t sent, filled, room;
	char *out;
	http_parser parser;
};

struct loop {
	pthread_t thread;
	int listener, epoll;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int append(struct client *c, const char *text, size_t length)
{
	if (c->filled + length > c->room) {
		size_t room = c->room != 0 ? 2 * c->room : 1024;
		char *out = room <= OUT_BYTES ? realloc(c->out, room) : NULL;

		if (out == NULL)
			return -1;
		c->out = out;
		c->room = room;
	}
	memcpy(c->out + c->filled, text, length);
	c->filled += length;
	return 0;
}

static int on_message_complete(http_parser *parser)
{
	struct client *c = parser->data;

	if (http_should_keep_alive(parser))
		return append(c, answer, sizeof answer - 1);
	c->closing = true;
	http_parser_pause(parser, 1);
	return append(c, last_answer, sizeof last_answer - 1);
}

static const http_parser_settings settings = { .on_message_complete = on_message_complete };

static void client_close(struct client *c)
{
	close(c->fd);
	free(c->out);
	free(c);
}

static void client_watch(struct loop *loop, struct client *c, bool blocked)
{
	struct epoll_event e = { .events = blocked ? EPOLLOUT : EPOLLIN, .data.ptr = c };

	if (c->blocked == blocked)
		return;
	c->blocked = blocked;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, c->fd, &e) != 0)
		die("epoll_ctl");
}

/* Returns false when the client is gone. */
static bool client_flush(struct loop *loop, struct client *c)
{
	while (c->sent < c->filled) {
		ssize_t n = send(c->fd, c->out + c->sent, c->filled - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			client_watch(loop, c, true);
			return true;
		}
		if (n < 0)
			return false;
		c->sent += (size_t)n;
	}
	c->sent = c->filled = 0;
	if (c->closing)
		return false;
	client_watch(loop, c, false);
	return true;
}

static bool client_read(struct loop *loop, struct client *c)
{
	char in[IN_BYTES];
	ssize_t n = recv(c->fd, in, sizeof in, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if (http_parser_execute(&c->parser, &settings, in, (size_t)n) != (size_t)n && !c->closing)
		return false;
	return client_flush(loop, c);
}

static void accept_all(struct loop *loop)
{
	int fd;

	while ((fd = accept4(loop->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = calloc(1, sizeof *c);
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
		int on = 1;

		if (c == NULL) {
			close(fd);
			continue;
		}
		c->fd = fd;
		http_parser_init(&c->parser, HTTP_REQUEST);
		c->parser.data = c;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
			client_close(c);
	}
}

static void serve(struct loop *loop, const struct epoll_event *e)
{
	struct client *c = e->data.ptr;
	bool alive;

	if (c == NULL) {
		accept_all(loop);
		return;
	}
	alive = c->blocked ? client_flush(loop, c) : client_read(loop, c);
	if (!alive)
		client_close(c);
}

static void *loop_run(void *arg)
{
	struct loop *loop = arg;
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(loop->epoll, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			serve(loop, &events[i]);
	}
	return NULL;
}

static void loop_open(struct loop *loop, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct epoll_event e = { .events = EPOLLIN };
	int on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	loop->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->listener < 0 || loop->epoll < 0)
		die("socket or epoll");
	setsockopt(loop->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(loop->listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	if (bind(loop->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(loop->listener, 4096) != 0)
		die("listen");
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->listener, &e) != 0)
		die("epoll_ctl");
}

int main(int argc, char **argv)
{
	static struct loop loops[THREADS];
	int port = 8080, threads = 1;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--port") == 0)
			port = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--threads") == 0)
			threads = atoi(argv[i + 1]);
		else
			argc = 0;
	}
	if (argc % 2 != 1 || port < 1 || port > 65535 || threads < 1 || threads > THREADS) {
		fprintf(stderr, "usage: http_epoll [--port N] [--threads N]\n");
		return 2;
	}
	for (int i = 0; i < threads; i++)
		loop_open(&loops[i], port);
	for (int i = 1; i < threads; i++)
		if (pthread_create(&loops[i].thread, NULL, loop_run, &loops[i]) != 0)
			die("pthread_create");
	loop_run(&loops[0]);
	return 0;
}
