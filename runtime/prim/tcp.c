/* SPDX-License-Identifier: MIT */
/*
 * tcp.c - stream sockets by the text of their address.
 *
 * Layer   prim.  Below: prim/fd.h.
 * Entry   grove_tcp_listen, grove_tcp_connect.
 *
 * Addresses are numeric, so nothing here looks anything up.  The sockets belong to Grove from
 * their first moment (gv_fd_own): they do not block, and close on exec.
 */
#include "base/compiler.h"
#include "base/fault.h"
#include "prim/fd.h"

#include "grove/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	};
};

static const char local_prefix[] = "unix:";

static bool is_local(const char *host)
{
	return strncmp(host, local_prefix, sizeof(local_prefix) - 1) == 0;
}

static int parse_local(const char *host, struct address *address)
{
	const char *path = host + sizeof(local_prefix) - 1;
	size_t length = strlen(path);

	if (length == 0)
		return -EINVAL;
	if (length >= sizeof(address->local.sun_path))
		return -ENAMETOOLONG;
	address->local.sun_family = AF_UNIX;
	memcpy(address->local.sun_path, path, length + 1);
	address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	if (path[0] == '@') {
		/* An abstract name begins with a zero byte and ends with its length. */
		address->local.sun_path[0] = '\0';
		address->length--;
	}
	return 0;
}

/* The part of an IPv6 address after its "%": an interface by number or name.  0: there is none. */
static uint32_t parse_scope(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (text[0] >= '0' && text[0] <= '9' && *end == '\0')
		return number <= UINT32_MAX ? (uint32_t)number : 0;
	return if_nametoindex(text);
}

static int parse_v6(const char *host, struct address *address)
{
	const char *scope = strchr(host, '%');
	size_t length = scope != NULL ? (size_t)(scope - host) : strlen(host);
	char text[INET6_ADDRSTRLEN];

	if (length >= sizeof(text))
		return GROVE_DNS(EAI_NONAME);
	memcpy(text, host, length);
	text[length] = '\0';
	if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) != 1)
		return GROVE_DNS(EAI_NONAME);
	if (scope != NULL) {
		address->v6.sin6_scope_id = parse_scope(scope + 1);
		if (address->v6.sin6_scope_id == 0)
			return GROVE_DNS(EAI_NONAME);
	}
	address->v6.sin6_family = AF_INET6;
	address->length = sizeof(address->v6);
	return 0;
}

static int parse(const char *host, int port, struct address *address)
{
	memset(address, 0, sizeof(*address));
	if (is_local(host))
		return parse_local(host, address);
	if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons((uint16_t)port);
		address->length = sizeof(address->v4);
		return 0;
	}
	int rc = parse_v6(host, address);
	address->v6.sin6_port = htons((uint16_t)port);
	return rc;
}

static int open_socket(int family)
{
	int fd = gv_fault_here("socket")
			 ? (errno = EMFILE, -1)
			 : socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	gv_fd_own(fd, family == AF_UNIX ? GV_FD_SOCKET : GV_FD_TCP);
	return fd;
}

/* Returns 0 or -errno. */
static int bind_and_listen(int fd, const struct address *address)
{
	const int on = 1;
	const int off = 0;
	int family = address->any.sa_family;

	if (family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr) &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -errno;
	if (gv_fault_here("bind"))
		return -EADDRINUSE;
	if (bind(fd, &address->any, address->length) < 0)
		return -errno;
	/* The kernel cuts the backlog down to what it allows. */
	return listen(fd, INT_MAX) < 0 ? -errno : 0;
}

static int listen_at(const char *host, int port)
{
	struct address address;
	int rc = parse(host, port, &address);

	if (rc < 0)
		return rc;
	int fd = open_socket(address.any.sa_family);
	if (fd < 0)
		return fd;
	rc = bind_and_listen(fd, &address);
	if (rc < 0) {
		(void)grove_close(fd);
		return rc;
	}
	return fd;
}

int grove_tcp_listen(const char *host, int port)
{
	bool all = host == NULL || host[0] == '\0' || strcmp(host, "::") == 0;

	if (!all && is_local(host))
		return listen_at(host, 0);
	if (port < 0 || port > 65535)
		return -EINVAL;
	int fd = listen_at(all ? "::" : host, port);
	/* A kernel without IPv6 has one kind only, or has been told to act so. */
	if (all && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
		fd = listen_at("0.0.0.0", port);
	return fd;
}

int grove_tcp_connect(const char *host, int port, grove_deadline deadline)
{
	struct address address;

	if (host == NULL || host[0] == '\0')
		return GROVE_DNS(EAI_NONAME);
	if (!is_local(host) && (port < 1 || port > 65535))
		return -EINVAL;
	int rc = parse(host, port, &address);
	if (rc < 0)
		return rc;
	int fd = open_socket(address.any.sa_family);
	if (fd < 0)
		return fd;
	rc = grove_connect(fd, &address.any, address.length, deadline);
	if (rc < 0) {
		(void)grove_close(fd);
		return rc;
	}
	return fd;
}
