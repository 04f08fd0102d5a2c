/* SPDX-License-Identifier: MIT */
/*
 * overflow.c - the handler of overflow.h.
 *
 * Layer   plat.
 *
 * Everything below handle() is async-signal-safe: it reads what was written before the handler
 * was installed, fills a buffer on its own stack, and calls write, sigaction and raise.
 *
 * [install]  gv_overflow_install stores the previous actions and the callback, then installs.
 *     The handler reads them with acquire; the callback is stored last, with release.
 */
#include "plat/overflow.h"

#include "base/atomic.h"
#include "base/fault.h"
#include "plat/os.h"
#include "plat/text.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALTERNATE_BYTES = 65536 };

static const int caught[] = { SIGSEGV, SIGBUS };

static struct sigaction previous[GV_ARRAY_LEN(caught)];
static _Atomic(gv_overflow_describe *) describe_guard;

static void report(void *address)
{
	char who[512];
	char line[640];
	struct gv_text text;

	gv_overflow_describe *describe = gv_load(&describe_guard, acquire); /* [install] */
	who[0] = '\0';
	if (describe == NULL || !describe(address, who, sizeof(who)))
		return;

	gv_text_begin(&text, line, sizeof(line) - 1);
	gv_text_add(&text, "grove: stack overflow at ");
	gv_text_add_pointer(&text, address);
	gv_text_add(&text, ": ");
	gv_text_add(&text, who);
	*text.at++ = '\n';
	if (write(STDERR_FILENO, line, (size_t)(text.at - line)) < 0)
		return; /* nobody listens; the signal goes on all the same */
}

static struct sigaction *previous_of(int signo)
{
	return &previous[signo == caught[0] ? 0 : 1];
}

/* The faulting instruction runs again under the default action, so the core shows the place. */
static void die_of(int signo, const siginfo_t *info)
{
	struct sigaction standard;

	memset(&standard, 0, sizeof(standard));
	standard.sa_handler = SIG_DFL;
	sigemptyset(&standard.sa_mask);
	sigaction(signo, &standard, NULL);

	/* A signal that somebody sent does not come again by itself. */
	if (info->si_code <= 0)
		raise(signo);
}

static void handle(int signo, siginfo_t *info, void *context)
{
	int saved = errno;
	const struct sigaction *next = previous_of(signo);

	if (info->si_code > 0)
		report(info->si_addr);

	if ((next->sa_flags & SA_SIGINFO) != 0 && next->sa_sigaction != NULL)
		next->sa_sigaction(signo, info, context);
	else if (next->sa_handler == SIG_IGN && info->si_code <= 0)
		; /* a sent one may be ignored, a fault may not */
	else if (next->sa_handler != SIG_DFL && next->sa_handler != SIG_IGN)
		next->sa_handler(signo);
	else
		die_of(signo, info);
	errno = saved;
}

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handle;
}

int gv_overflow_install(gv_overflow_describe *describe)
{
	struct sigaction ours;

	memset(&ours, 0, sizeof(ours));
	ours.sa_sigaction = handle;
	ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigemptyset(&ours.sa_mask);

	for (size_t i = 0; i < GV_ARRAY_LEN(caught); i++) {
		struct sigaction now;

		if (gv_fault_here("sigaction") || sigaction(caught[i], NULL, &now) < 0)
			return -EINVAL;
		if (is_ours(&now))
			continue;
		previous[i] = now;
		/* A handler that wants other signals held back still gets that. */
		ours.sa_mask = now.sa_mask;
		if (sigaction(caught[i], &ours, NULL) < 0)
			return -errno;
	}
	gv_store(&describe_guard, describe, release); /* [install] */
	return 0;
}

void gv_overflow_remove(void)
{
	for (size_t i = 0; i < GV_ARRAY_LEN(caught); i++) {
		struct sigaction now;

		if (sigaction(caught[i], NULL, &now) == 0 && is_ours(&now))
			sigaction(caught[i], &previous[i], NULL);
	}
	/* relaxed: a handler that still sees the callback may still use it */
	gv_store(&describe_guard, NULL, relaxed);
}

static size_t mapped_bytes(void)
{
	return ALTERNATE_BYTES + gv_os_page_size();
}

int gv_overflow_thread_install(void **stack)
{
	stack_t now;

	*stack = NULL;
	if (sigaltstack(NULL, &now) < 0)
		return -errno;
	if ((now.ss_flags & SS_DISABLE) == 0)
		return 0;

	size_t page = gv_os_page_size();
	void *memory = MAP_FAILED;
	if (!gv_fault_here("overflow_mmap"))
		memory = mmap(NULL, mapped_bytes(), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;

	/* Nothing reports an overflow of this one; it must at least not pass unseen. */
	if (gv_fault_here("overflow_mprotect") || mprotect(memory, page, PROT_NONE) < 0)
		goto unmap;

	stack_t ours = { .ss_sp = (char *)memory + page, .ss_size = ALTERNATE_BYTES };
	if (sigaltstack(&ours, NULL) < 0)
		goto unmap;
	*stack = memory;
	return 0;

unmap:
	munmap(memory, mapped_bytes());
	return -ENOMEM;
}

void gv_overflow_thread_remove(void *stack)
{
	stack_t none = { .ss_flags = SS_DISABLE, .ss_size = ALTERNATE_BYTES };

	if (stack == NULL)
		return;
	/* Under our own handler it cannot be taken away; the memory then stays. */
	if (sigaltstack(&none, NULL) == 0)
		munmap(stack, mapped_bytes());
}
