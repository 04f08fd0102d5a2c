/* SPDX-License-Identifier: MIT */
#include "child.h"

#include "measure.h"
#include "scale.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 60, SKIPPED = 77 };

static const char option[] = "--part";

void gt_child_main(int argc, char **argv, const struct gt_part *parts, size_t count)
{
	if (argc != 3 || strcmp(argv[1], option) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(parts[i].name, argv[2]) == 0)
			exit(parts[i].run());
	}
	gt_die(__FILE__, __LINE__, "there is no part %s", argv[2]);
}

/* Between fork and exec. */
static void become(const char *part, const char *variable, int output)
{
	static const int ours[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	struct rlimit no_core = { 0, 0 };
	char name[64];

	/* The test library has handlers of its own; an ignored signal would stay ignored. */
	for (size_t i = 0; i < GV_ARRAY_LEN(ours); i++)
		signal(ours[i], SIG_DFL);
	setrlimit(RLIMIT_CORE, &no_core);
	alarm(SECONDS * (gt_slow_build() ? 4 : 1));
	dup2(output, STDERR_FILENO);
	if (variable != NULL) {
		size_t length = strcspn(variable, "=");

		snprintf(name, sizeof(name), "%.*s", (int)length, variable);
		setenv(name, variable[length] != '\0' ? variable + length + 1 : "", 1);
	}
	execl("/proc/self/exe", "part", option, part, (char *)NULL);
	_exit(127);
}

void gt_child_run(const char *part, const char *variable, struct gt_end *end)
{
	size_t length = 0;
	char rest[4096];
	int ends[2];

	GT_CHECK_IS(0, pipe(ends));
	fflush(NULL);
	pid_t child = fork();
	GT_CHECK(child >= 0);
	if (child == 0) {
		close(ends[0]);
		become(part, variable, ends[1]);
	}
	close(ends[1]);

	/* All of it, whatever the room: a child that cannot write on hangs. */
	for (;;) {
		bool full = length == sizeof(end->text) - 1;
		ssize_t got =
			full ? read(ends[0], rest, sizeof(rest))
			     : read(ends[0], end->text + length, sizeof(end->text) - 1 - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		length += full ? 0 : (size_t)got;
	}
	end->text[length] = '\0';
	close(ends[0]);
	GT_CHECK_IS(child, waitpid(child, &end->status, 0));
}

static void describe(const char *part, const struct gt_end *end)
{
	if (WIFSIGNALED(end->status))
		fprintf(stderr, "%s: ended by signal %d\n", part, WTERMSIG(end->status));
	else
		fprintf(stderr, "%s: status %d\n", part, WEXITSTATUS(end->status));
	fputs(end->text, stderr);
}

bool gt_child_succeeded(const char *part, const char *variable)
{
	struct gt_end end;

	gt_child_run(part, variable, &end);
	if (WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0)
		return true;
	if (WIFEXITED(end.status) && WEXITSTATUS(end.status) == SKIPPED) {
		printf("left out: %s: %s", part, end.text);
		return true;
	}
	describe(part, &end);
	return false;
}

void gt_child_skip(const char *reason)
{
	fprintf(stderr, "%s\n", reason);
	exit(SKIPPED);
}
