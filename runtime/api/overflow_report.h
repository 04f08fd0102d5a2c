/* SPDX-License-Identifier: MIT */
/*
 * overflow_report.h - whose stack ran out.
 *
 * Layer   api.
 */
#ifndef GV_API_OVERFLOW_REPORT_H
#define GV_API_OVERFLOW_REPORT_H

#include "plat/overflow.h"

/* For gv_overflow_install. */
gv_overflow_describe gv_overflow_describe_greenlet;

#endif
