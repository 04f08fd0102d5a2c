/* SPDX-License-Identifier: MIT */
/*
 * codes.c - what codes mean.
 *
 * Layer   api.
 *
 * All texts are constants of this file or of the C library (which has them in English and without
 * looking at the locale), so that signal handlers may ask.
 */
#include "base/compiler.h"

#include "grove/base.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>

#define FIRST_OWN GROVE_FAILED
#define LAST_DNS GROVE_DNS(-255)

static const char *const own[] = {
	[FIRST_OWN - GROVE_FAILED] = "what was waited for failed",
	[FIRST_OWN - GROVE_KILLED] = "the greenlet was killed",
	[FIRST_OWN - GROVE_INTERRUPTED] = "an enclosing timeout came",
	[FIRST_OWN - GROVE_PEER_LOST] = "the other side does not answer",
	[FIRST_OWN - GROVE_IN_HUB] = "a hub callback cannot wait",
	[FIRST_OWN - GROVE_DEADLOCK] = "nothing is left that could end the wait",
	[FIRST_OWN - GROVE_NOT_OWNER] = "only the owner may do this",
	[FIRST_OWN - GROVE_BROKEN] = "the barrier is broken",
	[FIRST_OWN - GROVE_END] = "there is no more",
	[FIRST_OWN - GROVE_FATAL] = "a failure that concerns the whole program",
};

struct meaning {
	int number;
	const char *text;
};

/* Those that mean something narrower here than elsewhere. */
static const struct meaning narrowed[] = {
	{ EAGAIN, "would have to wait, or a limit is reached" },
	{ ETIMEDOUT, "the deadline came" },
	{ EDEADLK, "would wait for itself" },
	{ EALREADY, "done already, or too late for it" },
	{ EBUSY, "in use" },
	{ EOVERFLOW, "given back more often than taken" },
	{ ESHUTDOWN, "closed, or stopping" },
	{ ECANCELED, "the runtime stopped" },
	{ ESRCH, "the caller is no greenlet" },
	{ ENOENT, "no such thing" },
};

static const struct meaning names[] = {
	{ EAI_AGAIN, "the name could not be resolved for now" },
	{ EAI_BADFLAGS, "name resolution: unknown flags" },
	{ EAI_FAIL, "the name could not be resolved" },
	{ EAI_FAMILY, "name resolution: no such address family" },
	{ EAI_MEMORY, "name resolution: out of memory" },
	{ EAI_NONAME, "there is no such name" },
	{ EAI_OVERFLOW, "name resolution: a buffer is too small" },
	{ EAI_SERVICE, "there is no such service" },
	{ EAI_SOCKTYPE, "name resolution: no such kind of socket" },
	{ EAI_SYSTEM, "name resolution: a system call failed" },
};

static const char *find(const struct meaning *meanings, size_t count, int number)
{
	for (size_t i = 0; i < count; i++) {
		if (meanings[i].number == number)
			return meanings[i].text;
	}
	return NULL;
}

static const char *name_text(int eai)
{
	const char *text = find(names, GV_ARRAY_LEN(names), eai);

	return text != NULL ? text : "the name could not be resolved";
}

static const char *kernel_text(int number)
{
	const char *text = find(narrowed, GV_ARRAY_LEN(narrowed), number);

	if (text == NULL)
		text = strerrordesc_np(number);
	return text != NULL ? text : "unknown code";
}

const char *grove_strerror(int code)
{
	if (code >= 0)
		return "success";
	if (code <= FIRST_OWN && FIRST_OWN - code < (int)GV_ARRAY_LEN(own))
		return own[FIRST_OWN - code];
	if (code < GROVE_DNS(0) && code >= LAST_DNS)
		return name_text(code - GROVE_DNS(0));

	return code > FIRST_OWN ? kernel_text(-code) : "unknown code";
}

bool grove_is_timeout(int code)
{
	return code == -ETIMEDOUT || code == GROVE_INTERRUPTED || code == GROVE_PEER_LOST;
}
