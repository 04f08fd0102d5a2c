/* SPDX-License-Identifier: MIT */
/*
 * httpd.c - an HTTP/1.1 server, written as if each connection had a thread of its own.
 *
 *   httpd [--host ADDRESS] [--port N] [--hubs N] [--timeout MS] [--requests-log on|off]
 *
 * Each connection is one greenlet: it reads what is there, lets http_parser find the requests in
 * it, and sends their answers with one write. A client that pipelines twenty requests in a
 * segment gets twenty answers in a segment; a client that sends one byte at a time costs a stack.
 * The parser's callbacks run on the greenlet's own stack, so they may wait like any other code:
 * a full output buffer is simply written from where it fills up.
 *
 * A request has --timeout to arrive and be answered, counted from its first byte, and its size is
 * bounded. SIGTERM and SIGINT stop the server: open requests are answered, then all ends.
 *
 * Left out, to keep the shape visible: the Date header, the demand for a Host header, files.
 */
#define _DEFAULT_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <grove.h>
#include <http_parser.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	INPUT_BYTES = 4096,   /* one read; a longer request takes several */
	OUTPUT_BYTES = 8192,  /* answers collected for one write */
	HEADER_BYTES = 8192,  /* request line and headers */
	URL_BYTES = 256,      /* no page has a longer name */
	BODY_BYTES = 1 << 16, /* bodies are read and forgotten */
	LINGER_MS = 1000,
	GRACE_MS = 1000,
};

static struct {
	const char *host;
	int port;
	uint32_t hubs;
	int timeout_ms;
	bool log;
} config = { .host = "127.0.0.1", .timeout_ms = 30000 };

/* Latches: a signal that comes before main waits is not lost. */
static grove_async stop_request = GROVE_ASYNC_INIT;
static atomic_bool stopping;

/* --- pages ------------------------------------------------------------------------------------ */

/* What becomes of the connection after an answer. */
enum ending {
	KEEP,
	KEEP_1_0, /* 1.0's default is to close */
	CLOSE,
	ENDINGS
};

static const char *const connection_header[ENDINGS] = {
	[KEEP] = "",
	[KEEP_1_0] = "Connection: keep-alive\r\n",
	[CLOSE] = "Connection: close\r\n",
};

enum page_name {
	HOME,
	PLAINTEXT,
	JSON,
	ROUTES, /* those above have a URL; those below answer what went wrong */
	NOT_FOUND = ROUTES,
	BAD_METHOD,
	BAD_REQUEST,
	TOO_SLOW,
	URL_TOO_LONG,
	BODY_TOO_LARGE,
	HEADER_TOO_LARGE,
	PAGES
};

/* A page, and the three texts it is sent as, written once before the server starts. */
static struct page {
	const char *path;
	enum http_status status;
	const char *header;
	const char *body;
	struct {
		size_t head_size, size;
		char bytes[256];
	} text[ENDINGS];
} pages[PAGES] = {
/* clang-format off */
#define PAGE(path_, status_, header_, body_) \
	{ .path = path_, .status = HTTP_STATUS_##status_, .header = header_, .body = body_ }
/* clang-format on */
#define PLAIN "Content-Type: text/plain\r\n"
	[HOME] = PAGE("/", OK, "Content-Type: text/html\r\n", "<h1>hello</h1>\n"),
	[PLAINTEXT] = PAGE("/plaintext", OK, PLAIN, "Hello, World!"),
	[JSON] = PAGE("/json", OK, "Content-Type: application/json\r\n", "{\"hello\":\"world\"}\n"),

	[NOT_FOUND] = PAGE(NULL, NOT_FOUND, PLAIN, "no such page\n"),
	[BAD_METHOD] = PAGE(NULL, METHOD_NOT_ALLOWED, PLAIN "Allow: GET, HEAD\r\n",
			    "this page can only be read\n"),
	[BAD_REQUEST] = PAGE(NULL, BAD_REQUEST, PLAIN, "this is not HTTP\n"),
	[TOO_SLOW] = PAGE(NULL, REQUEST_TIMEOUT, PLAIN, "the request took too long to arrive\n"),
	[URL_TOO_LONG] = PAGE(NULL, URI_TOO_LONG, PLAIN, "no page has such a long name\n"),
	[BODY_TOO_LARGE] = PAGE(NULL, PAYLOAD_TOO_LARGE, PLAIN, "the body is too large\n"),
	[HEADER_TOO_LARGE] =
		PAGE(NULL, REQUEST_HEADER_FIELDS_TOO_LARGE, PLAIN, "the headers are too large\n"),
};

static void write_page(struct page *page)
{
	size_t body_size = strlen(page->body);

	for (int e = 0; e < ENDINGS; e++) {
		int n = snprintf(page->text[e].bytes, sizeof page->text[e].bytes,
				 "HTTP/1.1 %d %s\r\n%sContent-Length: %zu\r\n%s\r\n%s",
				 (int)page->status, http_status_str(page->status), page->header,
				 body_size, connection_header[e], page->body);
		if (n < 0 || (size_t)n >= sizeof page->text[e].bytes)
			abort(); /* a page above has outgrown its text */
		page->text[e].size = (size_t)n;
		page->text[e].head_size = (size_t)n - body_size;
	}
}

static enum page_name find_page(const char *url, size_t size)
{
	struct http_parser_url parts;

	if (size > 0 && url[0] == '/') {
		const char *query = memchr(url, '?', size);
		if (query != NULL)
			size = (size_t)(query - url);
	} else { /* to a proxy one sends all of http://host/path?query */
		http_parser_url_init(&parts);
		if (http_parser_parse_url(url, size, 0, &parts) != 0)
			return NOT_FOUND;
		url += parts.field_data[UF_PATH].off;
		size = parts.field_data[UF_PATH].len;
	}
	for (int i = 0; i < ROUTES; i++)
		if (strlen(pages[i].path) == size && memcmp(pages[i].path, url, size) == 0)
			return (enum page_name)i;
	return NOT_FOUND;
}

/* --- a connection ----------------------------------------------------------------------------- */

struct connection {
	http_parser parser; /* its data points back here */
	int fd;
	bool in_request; /* its first byte has come, its last has not */
	bool progress;	 /* a request has begun or ended: the next one's time begins */
	bool closing;	 /* answered for the last time */
	bool refused;	 /* the client may be in the middle of a request */
	int broken;	 /* 0, or what a write ended with: it was the last one */
	grove_deadline due;
	size_t body_size;
	size_t url_size;
	size_t out_size;
	char url[URL_BYTES];
	char out[OUTPUT_BYTES];
};

static int flush(struct connection *c)
{
	if (c->out_size > 0 && c->broken == 0)
		c->broken = grove_write_full(c->fd, c->out, c->out_size, NULL, c->due);
	c->out_size = 0;
	return c->broken;
}

static int answer(struct connection *c, enum page_name name, enum ending ending, bool head_only)
{
	const struct page *page = &pages[name];
	size_t size = head_only ? page->text[ending].head_size : page->text[ending].size;

	c->closing = ending == CLOSE;
	if (size > sizeof c->out - c->out_size) {
		c->due = grove_in_ms(config.timeout_ms);
		int rc = flush(c);
		if (rc < 0)
			return rc;
	}
	memcpy(c->out + c->out_size, page->text[ending].bytes, size);
	c->out_size += size;
	if (config.log)
		fprintf(stderr, "%d %s %.*s\n", (int)page->status,
			http_method_str((enum http_method)c->parser.method), (int)c->url_size,
			c->url);
	return 0;
}

/* Ends the connection with an error page; the code it returns stops the parser. */
static int refuse(struct connection *c, enum page_name page)
{
	c->refused = true;
	(void)answer(c, page, CLOSE, false); /* if it cannot be written, the end is the same */
	return -1;
}

static int on_begin(http_parser *parser)
{
	struct connection *c = parser->data;

	c->in_request = c->progress = true;
	c->body_size = 0;
	return 0;
}

/* Called once for each read that has a part of the URL. */
static int on_url(http_parser *parser, const char *at, size_t size)
{
	struct connection *c = parser->data;

	if (size > sizeof c->url - c->url_size)
		return refuse(c, URL_TOO_LONG);
	memcpy(c->url + c->url_size, at, size);
	c->url_size += size;
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t size)
{
	struct connection *c = parser->data;

	(void)at;
	c->body_size += size;
	return c->body_size > BODY_BYTES ? refuse(c, BODY_TOO_LARGE) : 0;
}

static int on_complete(http_parser *parser)
{
	struct connection *c = parser->data;
	enum page_name page = find_page(c->url, c->url_size);
	bool head_only = parser->method == HTTP_HEAD;
	enum ending ending = KEEP;

	c->in_request = false;
	c->progress = true;
	if (page != NOT_FOUND && parser->method != HTTP_GET && !head_only)
		page = BAD_METHOD;
	if (!http_should_keep_alive(parser) || parser->upgrade ||
	    atomic_load_explicit(&stopping, memory_order_relaxed)) {
		ending = CLOSE;
		http_parser_pause(parser, 1); /* what follows is not for us */
	} else if (parser->http_minor == 0) {
		ending = KEEP_1_0;
	}
	int rc = answer(c, page, ending, head_only);
	c->url_size = 0;
	return rc;
}

static const http_parser_settings callbacks = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

/*
 * Closing a socket that has unread input resets the connection, and the client may lose our last
 * words. So say that we are done, and wait a little for the client to be done too.
 */
static void linger(int fd)
{
	char waste[INPUT_BYTES];
	grove_deadline due = grove_in_ms(LINGER_MS);

	if (grove_shutdown(fd, SHUT_WR) < 0)
		return;
	while (grove_left_ns(due) > 0 && grove_read(fd, waste, sizeof waste, due) > 0)
		continue;
}

/* The life of a connection; the server closes the descriptor afterwards. */
static void serve(int fd, void *arg)
{
	char input[INPUT_BYTES];
	struct connection c;
	ssize_t got = 0;

	(void)arg;
	http_parser_init(&c.parser, HTTP_REQUEST);
	c.parser.data = &c;
	c.fd = fd;
	c.in_request = c.progress = c.closing = c.refused = false;
	c.url_size = c.out_size = 0;
	c.broken = 0;
	c.due = grove_in_ms(config.timeout_ms);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)); /* may fail: slower */

	while (!c.closing && (got = grove_read(fd, input, sizeof input, c.due)) > 0) {
		size_t used = http_parser_execute(&c.parser, &callbacks, input, (size_t)got);
		enum http_errno error = HTTP_PARSER_ERRNO(&c.parser);

		if (error != HPE_OK && !c.closing)
			refuse(&c, error == HPE_HEADER_OVERFLOW ? HEADER_TOO_LARGE : BAD_REQUEST);
		if (c.progress)
			c.due = grove_in_ms(config.timeout_ms);
		c.progress = false;
		if (flush(&c) < 0)
			return;
		c.refused |= used != (size_t)got;
	}
	if (got == -ETIMEDOUT && c.in_request) {
		refuse(&c, TOO_SLOW);
		if (flush(&c) < 0)
			return;
	}
	if (c.refused)
		linger(fd);
}

/* --- the program ------------------------------------------------------------------------------ */

static void on_signal(int signo)
{
	(void)signo;
	grove_async_send(&stop_request);
}

static int catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0)
		return -errno;
	return 0;
}

static int announce(int listener)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;

	if (getsockname(listener, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	int port =
		ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
						    : ((struct sockaddr_in *)&address)->sin_port);
	printf("listening on %s port %d\n", config.host, port);
	return fflush(stdout) == 0 ? 0 : -EIO;
}

static void *run_server(void *arg)
{
	grove_server *server;

	(void)arg;
	int listener = grove_tcp_listen(config.host, config.port);
	if (listener < 0)
		return grove_fail_code(listener);
	int rc = grove_server_new(&server, listener, NULL, serve, NULL);
	if (rc < 0) {
		grove_close(listener);
		return grove_fail_code(rc);
	}

	rc = announce(listener);
	if (rc == 0)
		rc = grove_async_wait(&stop_request, GROVE_NEVER);

	/*
	 * From here each answer is its connection's last. Who is still there after the first
	 * deadline is killed, and the second one is for their way out.
	 */
	atomic_store_explicit(&stopping, true, memory_order_relaxed);
	int stopped = grove_server_stop(server, grove_in_ms(GRACE_MS));
	if (stopped == -ETIMEDOUT)
		stopped = grove_server_stop(server, grove_in_ms(GRACE_MS));
	grove_server_free(server);
	if (rc == 0)
		rc = stopped;
	return rc < 0 ? grove_fail_code(rc) : NULL;
}

static int number(const char *text, int most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < 0 || value > most) {
		fprintf(stderr, "httpd: %s is not a number from 0 to %d\n", text, most);
		exit(EXIT_FAILURE);
	}
	return (int)value;
}

static void read_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "host", required_argument, NULL, 'a' },
		{ "port", required_argument, NULL, 'p' },
		{ "hubs", required_argument, NULL, 'h' },
		{ "timeout", required_argument, NULL, 't' },
		{ "requests-log", required_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	int name;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (name) {
		case 'a':
			config.host = optarg;
			break;
		case 'p':
			config.port = number(optarg, 65535);
			break;
		case 'h':
			config.hubs = (uint32_t)number(optarg, 1024);
			break;
		case 't':
			config.timeout_ms = number(optarg, 1 << 30);
			break;
		case 'l':
			config.log = strcmp(optarg, "on") == 0;
			if (config.log || strcmp(optarg, "off") == 0)
				break;
			/* fallthrough */
		default:
			fprintf(stderr, "usage: httpd [--host ADDRESS] [--port N] [--hubs N]"
					" [--timeout MS] [--requests-log on|off]\n");
			exit(EXIT_FAILURE);
		}
	}
}

int main(int argc, char **argv)
{
	grove_options options = GROVE_OPTIONS_INIT;

	read_options(argc, argv);
	options.hubs = config.hubs;
	for (int i = 0; i < PAGES; i++)
		write_page(&pages[i]);
	http_parser_set_max_header_size(HEADER_BYTES);

	int rc = catch_signals();
	if (rc == 0)
		rc = grove_run(run_server, NULL, NULL, &options);
	if (rc < 0)
		fprintf(stderr, "httpd: %s\n", grove_strerror(rc));
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
