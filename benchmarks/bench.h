/* SPDX-License-Identifier: MIT */
/*
 * bench.h - the harness every benchmark program in C or C++ shares.
 *
 * A program is a table of cases and a main() that hands the table to bench_main().  Each run of a
 * case is a fresh process: its memory is cold, its peak is its own, and a crash or a hang of one run
 * is reported as that run's failure.  A case reports figures with bench_value() or bench_sample();
 * a run that found its result wrong says so with bench_require() and the program exits with 1.
 *
 * The harness knows nothing about Grove, so that the peers in C++ use it too; bench_grove.h adds
 * the few lines a case for Grove needs.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BENCH_HUB_COUNTS 4

struct bench_case;

/* One run.  size and rounds come from the case's row or from the command line. */
struct bench {
	const struct bench_case *what;
	unsigned hubs;
	uint64_t size;	 /* how many green threads, leaves, or n of fib(n) */
	uint64_t rounds; /* how often the measured thing happens */
	bool quick;
};

struct bench_case {
	const char *name;
	const char *unit;
	void (*run)(struct bench *b);
	unsigned hubs[BENCH_HUB_COUNTS]; /* run with each of these unless --hubs says otherwise */
	uint64_t size, rounds;
	uint64_t quick_size, quick_rounds; /* 0: as above */
	uint64_t touch_each; /* bytes per unit of size to touch before the run, see bench_touch() */
};

/* --case --hubs --size --rounds --runs --quick --list.  Returns main()'s exit status. */
int bench_main(int argc, char **argv, const char *impl, const struct bench_case *cases,
	       size_t count);

/* The figure of this run.  NAN as p99: there is none. */
void bench_value(struct bench *b, double value, double p99);

/* A further figure of the same run, a row of its own.  impl NULL: the program's. */
void bench_extra(struct bench *b, const char *name, const char *impl, const char *unit,
		 double value, double p99);

/* Many figures of one run: value becomes their median.  bench_samples() reports them. */
void bench_sample(struct bench *b, double value);
void bench_samples(struct bench *b, const char *name, const char *impl);

/* Ends the run as wrong unless ok; prints what and the two numbers. */
void bench_require(bool ok, const char *what, int64_t got, int64_t wanted);

/* Ends the run because call gave a negative code. */
void bench_call_failed(const char *call, int64_t code);

/* Evaluates a call once and ends the run when it gives a negative code.  A macro, since it stands
 * inside the loops that are measured. */
#define BENCH_OK(call)                                                                             \
	do {                                                                                       \
		int bench_code_ = (call);                                                          \
		if (__builtin_expect(bench_code_ < 0, 0))                                          \
			bench_call_failed(#call, bench_code_);                                     \
	} while (0)

int64_t bench_clock_ns(void);
double bench_cpu_s(void);		     /* user + system time of this process */
int64_t bench_status_kib(const char *field); /* VmRSS, VmHWM, VmPTE ... of this process */
uint64_t bench_mix(uint64_t index);	     /* the same pseudo-random numbers in every peer */
void bench_spin_ns(int64_t ns);

/* Nanoseconds one cache line takes to the other core and back; NAN with one core. */
double bench_line_ns(void);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_H */
