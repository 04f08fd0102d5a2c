/* SPDX-License-Identifier: MIT */
/*
 * report.c - the log, and the report of failures.
 *
 * Layer   sched.
 * Entry   gv_log from everywhere that has something to say, gv_report_failure from the end of a
 *         greenlet.
 *
 * A line goes out in one write(2), so that lines of several threads, and of other programs on the
 * same terminal, do not mix.  The program's functions run as they find things: on whatever thread,
 * in a greenlet or in hub context.
 */
#include "sched/report.h"

#include "sched/hub.h"
#include "sched/label.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

_Atomic uint64_t gv_report_failures;

static const char *level_name(int level)
{
	switch (level) {
	case GROVE_LOG_ERROR:
		return "error";
	case GROVE_LOG_WARNING:
		return "warning";
	default:
		return "info";
	}
}

/* Control characters would let a name or message forge other lines. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = ' ';
	}
}

static void write_line(int level, const char *text)
{
	char line[GV_LOG_BYTES + 32];
	int saved = errno;
	int length = snprintf(line, sizeof(line), "grove: %s: %s\n", level_name(level), text);

	/* Nobody listens: then there is nobody to tell, either. */
	if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
		(void)length;
	errno = saved;
}

void gv_log(int level, const char *format, ...)
{
	char text[GV_LOG_BYTES];
	va_list values;

	va_start(values, format);
	int length = vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	if (length < 0)
		return;
	make_printable(text);
	if (gv_runtime.options.on_log != NULL)
		gv_runtime.options.on_log(level, text, gv_runtime.options.hook_arg);
	else
		write_line(level, text);
}

void gv_report_failure(struct grove_greenlet *g, struct grove_failure *failure)
{
	char name[GV_NAME_BYTES];
	const char *message = failure->message;

	gv_add(&gv_report_failures, 1, relaxed); /* relaxed: statistics */
	if (gv_runtime.options.on_failure != NULL) {
		gv_runtime.options.on_failure(g, failure, gv_runtime.options.hook_arg);
		return;
	}
	gv_label_name(g, name, sizeof(name));
	if (message[0] == '\0')
		message = grove_strerror(failure->code);
	gv_log(GROVE_LOG_ERROR, "%s failed with code %d: %s", name, failure->code, message);
}
