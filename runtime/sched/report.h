/* SPDX-License-Identifier: MIT */
/*
 * report.h - telling the program what went wrong.
 *
 * Layer   sched.
 */
#ifndef GV_REPORT_H
#define GV_REPORT_H

#include "base/compiler.h"
#include "sched/failure.h"
#include "sched/record.h"

/* What is longer is cut. */
#define GV_LOG_BYTES 1024

/*
 * One line for the log: to the option on_log, else to standard error.  `level` is an enum
 * grove_log_level.  Any thread, but no signal handler; errno stays.
 */
GV_COLD GV_PRINTF(2, 3) void gv_log(int level, const char *format, ...);

/* How often gv_report_failure was called. */
extern _Atomic uint64_t gv_report_failures;

/* A failure (no exit) ends this greenlet: to the option on_failure, else to the log. */
GV_COLD void gv_report_failure(struct grove_greenlet *g, struct grove_failure *failure);

#endif
