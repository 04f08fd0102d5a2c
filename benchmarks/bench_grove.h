/* SPDX-License-Identifier: MIT */
/*
 * bench_grove.h - what a benchmark for Grove needs beside the harness.
 *
 * Options are Grove's defaults but for the number of hubs.
 */
#ifndef BENCH_GROVE_H
#define BENCH_GROVE_H

#include "bench.h"

#include <grove.h>

/* Runs body(b) as the main greenlet; returns when it has ended and the runtime has stopped. */
static inline void bench_in_grove(struct bench *b, grove_fn *body)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.hubs = b->hubs;
	BENCH_OK(grove_run(body, b, NULL, &options));
}

#endif /* BENCH_GROVE_H */
