/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Written with one write(2): other threads may be dying as well, and stdio may be what broke. */
void gv_die(const char *file, int line, const char *expression, const char *format, ...)
{
	char text[1024];
	int used = snprintf(text, sizeof(text), "grove: %s:%d: check failed: %s: ", file, line,
			    expression);
	if (used < 0)
		abort();

	size_t length = GV_MIN((size_t)used, sizeof(text) - 2);
	va_list values;
	va_start(values, format);
	int more = vsnprintf(text + length, sizeof(text) - 1 - length, format, values);
	va_end(values);
	if (more > 0)
		length = GV_MIN(length + (size_t)more, sizeof(text) - 2);
	text[length++] = '\n';

	if (write(STDERR_FILENO, text, length) < 0)
		abort();
	abort();
}
