/* SPDX-License-Identifier: MIT */
/*
 * child.h - parts of a test that need a process of their own, because they end it, or because they
 * take something away from it that does not come back.
 *
 * A part is a function of the same program, which is started anew: nothing that the test did before
 * is in the way, and no runtime that a fork would have cut off.
 */
#ifndef GT_CHILD_H
#define GT_CHILD_H

#include <stdbool.h>
#include <stddef.h>

struct gt_part {
	const char *name;
	/* Its status; 0 is success. */
	int (*run)(void);
};

/* First in main: if this process was started as a child, run its part and exit. */
void gt_child_main(int argc, char **argv, const struct gt_part *parts, size_t count);

/* How a child ended, and what it wrote to its standard error. */
struct gt_end {
	int status; /* as of waitpid */
	char text[16384];
};

/*
 * Run a part to its end; after a minute (of the plain build) SIGALRM ends it.  `variable` is put
 * into its environment, as "NAME=value", if not NULL.
 */
void gt_child_run(const char *part, const char *variable, struct gt_end *end);

/* The part returned 0, or was left out (below).  Prints what it wrote if not. */
bool gt_child_succeeded(const char *part, const char *variable);

/* In a part: it cannot be run here, for this reason.  Does not return. */
_Noreturn void gt_child_skip(const char *reason);

#endif
