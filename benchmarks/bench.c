/* SPDX-License-Identifier: MIT */
/*
 * bench.c - what a run is, and how its figures become one JSON line.
 *
 * The parent process starts nothing but children: one per run, one after the other.  A child
 * measures, writes its figures into a page it shares with the parent, and leaves with _exit(), so
 * that the threads of a peer that cannot be stopped cleanly do not matter.  The parent then prints,
 * for every figure, the median over the runs, and (largest - smallest) / median as the spread.
 */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_S = 120, FIGURES = 16, RUNS = 64, P99_SAMPLES = 20, NAME_BYTES = 48, UNIT_BYTES = 16 };

struct figure {
	char name[NAME_BYTES], impl[UNIT_BYTES], unit[UNIT_BYTES];
	double value, p99;
};

/* What a child hands to its parent. */
struct report {
	int count;
	struct figure figures[FIGURES];
};

struct options {
	const char *only;
	unsigned hubs;
	uint64_t size, rounds;
	int runs;
	bool quick, list;
};

static const char *program_impl;
static struct report *report;

static struct {
	double *values;
	size_t count, room;
} samples;

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare_doubles);
	if (count % 2 == 1)
		return values[count / 2];
	return (values[count / 2 - 1] + values[count / 2]) / 2;
}

void bench_require(bool ok, const char *what, int64_t got, int64_t wanted)
{
	if (ok)
		return;
	fprintf(stderr, "bench: wrong result: %s is %" PRId64 ", wanted %" PRId64 "\n", what, got,
		wanted);
	_exit(1);
}

void bench_call_failed(const char *call, int64_t code)
{
	fprintf(stderr, "bench: %s gave %" PRId64 "\n", call, code);
	_exit(1);
}

/* ---- figures --------------------------------------------------------------------------------- */

void bench_extra(struct bench *b, const char *name, const char *impl, const char *unit,
		 double value, double p99)
{
	struct figure *f;

	(void)b;
	bench_require(report->count < FIGURES, "number of figures", report->count, FIGURES);
	f = &report->figures[report->count++];
	snprintf(f->name, sizeof f->name, "%s", name);
	snprintf(f->impl, sizeof f->impl, "%s", impl != NULL ? impl : program_impl);
	snprintf(f->unit, sizeof f->unit, "%s", unit);
	f->value = value;
	f->p99 = p99;
}

void bench_value(struct bench *b, double value, double p99)
{
	bench_extra(b, b->what->name, NULL, b->what->unit, value, p99);
}

void bench_sample(struct bench *b, double value)
{
	(void)b;
	if (samples.count == samples.room) {
		samples.room = samples.room != 0 ? 2 * samples.room : 1024;
		samples.values = realloc(samples.values, samples.room * sizeof *samples.values);
		if (samples.values == NULL)
			die("samples");
	}
	samples.values[samples.count++] = value;
}

void bench_samples(struct bench *b, const char *name, const char *impl)
{
	double middle, p99;

	bench_require(samples.count > 0, "number of samples", 0, 1);
	middle = median(samples.values, samples.count);
	p99 = samples.count >= P99_SAMPLES ? samples.values[(samples.count - 1) * 99 / 100] : NAN;
	bench_extra(b, name != NULL ? name : b->what->name, impl, b->what->unit, middle, p99);
	samples.count = 0;
}

/* ---- clocks and memory ----------------------------------------------------------------------- */

int64_t bench_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double bench_cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int64_t bench_status_kib(const char *field)
{
	size_t length = strlen(field);
	int64_t kib = -1;
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");

	if (f == NULL)
		die("/proc/self/status");
	while (kib < 0 && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, field, length) == 0 && line[length] == ':')
			kib = strtoll(line + length + 1, NULL, 10);
	fclose(f);
	return kib;
}

/*
 * Fault that much memory in and give it back.
 *
 * The host of a virtual machine has to find each page that the guest never used, or gave back: up
 * to ten times the price of a fault that the guest's kernel serves alone.  Where a run needs new
 * pages, touching them just before takes the host out of the figure; to the run's own process they
 * are as new as ever.
 */
static void touch(uint64_t bytes)
{
	char *p;

	if (bytes == 0)
		return;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("memory to touch");
	for (uint64_t i = 0; i < bytes; i += 4096)
		p[i] = 1;
	munmap(p, bytes);
}

uint64_t bench_mix(uint64_t index)
{
	uint64_t x = index * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x632be59bd9b4e019);

	x ^= x >> 29;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ (x >> 32);
}

void bench_spin_ns(int64_t ns)
{
	int64_t end = bench_clock_ns() + ns;

	while (bench_clock_ns() < end)
		;
}

/* ---- the cache line between the cores -------------------------------------------------------- */

enum { LINE_ROUNDS = 5000, LINE_PARTS = 5 };

struct line {
	_Alignas(128) _Atomic uint32_t turn;
	_Alignas(128) size_t cpu;
};

static void stay_on(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof set, &set);
}

/* Answers every odd number with the next even one. */
static void *line_answer(void *arg)
{
	struct line *line = arg;

	stay_on(line->cpu);
	for (uint32_t i = 0; i < LINE_PARTS * LINE_ROUNDS; i++) {
		while (atomic_load_explicit(&line->turn, memory_order_acquire) != 2 * i + 1)
			;
		atomic_store_explicit(&line->turn, 2 * i + 2, memory_order_release);
	}
	return NULL;
}

static void line_ask(struct line *line, uint32_t i)
{
	atomic_store_explicit(&line->turn, 2 * i + 1, memory_order_release);
	while (atomic_load_explicit(&line->turn, memory_order_acquire) != 2 * i + 2)
		;
}

/* Finds the two lowest cpus this process may use; false with fewer. */
static bool two_cpus(const cpu_set_t *allowed, size_t cpus[2])
{
	int found = 0;

	for (size_t cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, allowed))
			cpus[found++] = cpu;
	return found == 2;
}

double bench_line_ns(void)
{
	struct line line = { .turn = 0 };
	double best = INFINITY;
	cpu_set_t allowed;
	size_t cpus[2];
	uint32_t i = 0;
	pthread_t other;

	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || !two_cpus(&allowed, cpus))
		return NAN;
	line.cpu = cpus[1];
	stay_on(cpus[0]);
	if (pthread_create(&other, NULL, line_answer, &line) != 0)
		die("pthread_create");
	/* The best of the parts: a part in which another process ran says nothing about the line. */
	for (int part = 0; part < LINE_PARTS; part++) {
		int64_t start = bench_clock_ns();
		double ns;

		for (int n = 0; n < LINE_ROUNDS; n++)
			line_ask(&line, i++);
		ns = (double)(bench_clock_ns() - start) / LINE_ROUNDS;
		best = ns < best ? ns : best;
	}
	pthread_join(other, NULL);
	sched_setaffinity(0, sizeof allowed, &allowed);
	return best;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void run_child(struct bench *b)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* who stops this program stops its run */
	alarm(LIMIT_S);
	b->what->run(b);
	fflush(NULL);
	_exit(0);
}

/* Returns 0 when the child left a result it had checked. */
static int run_once(struct bench *b)
{
	pid_t child;
	int status;

	report->count = 0;
	fflush(NULL);
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0)
		run_child(b);
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && report->count > 0)
		return 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		fprintf(stderr, "bench: %s took too long\n", b->what->name);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "bench: %s died of signal %d\n", b->what->name, WTERMSIG(status));
	else
		fprintf(stderr, "bench: %s failed\n", b->what->name);
	return -1;
}

static void print_number(const char *key, double value)
{
	if (isnan(value))
		printf(",\"%s\":null", key);
	else
		printf(",\"%s\":%.6g", key, value);
}

static void print_figure(const struct bench *b, const struct figure *f, double *values,
			 double *p99s, int runs, double line_ns)
{
	double middle = median(values, (size_t)runs), spread = values[runs - 1] - values[0];

	printf("{\"name\":\"%s\",\"impl\":\"%s\",\"hubs\":%u,\"unit\":\"%s\"", f->name, f->impl,
	       b->hubs, f->unit);
	print_number("value", middle);
	print_number("p99", isnan(f->p99) ? NAN : median(p99s, (size_t)runs));
	printf(",\"runs\":%d", runs);
	print_number("spread", middle != 0 ? spread / middle : 0);
	printf(",\"size\":%" PRIu64, b->size);
	if (!isnan(line_ns))
		print_number("line_ns", line_ns);
	puts("}");
	fflush(stdout);
}

static int run_case(struct bench *b, int runs)
{
	static struct figure table[FIGURES];
	static double values[FIGURES][RUNS], p99s[FIGURES][RUNS], lines[RUNS];
	int count = 0;

	for (int run = 0; run < runs; run++) {
		lines[run] = b->hubs > 1 ? bench_line_ns() : NAN;
		touch(b->size * b->what->touch_each);
		if (run_once(b) != 0)
			return -1;
		bench_require(run == 0 || report->count == count, "number of figures",
			      report->count, count);
		count = report->count;
		for (int i = 0; i < count; i++) {
			table[i] = report->figures[i];
			values[i][run] = table[i].value;
			p99s[i][run] = table[i].p99;
		}
	}
	for (int i = 0; i < count; i++)
		print_figure(b, &table[i], values[i], p99s[i], runs,
			     b->hubs > 1 ? median(lines, (size_t)runs) : NAN);
	return 0;
}

static int run_row(const struct bench_case *what, const struct options *o)
{
	struct bench b = { .what = what, .quick = o->quick };
	int failed = 0;

	b.size = o->quick && what->quick_size != 0 ? what->quick_size : what->size;
	b.rounds = o->quick && what->quick_rounds != 0 ? what->quick_rounds : what->rounds;
	if (o->size != 0)
		b.size = o->size;
	if (o->rounds != 0)
		b.rounds = o->rounds;
	for (int i = 0; i < BENCH_HUB_COUNTS && (i == 0 || what->hubs[i] != 0); i++) {
		b.hubs = o->hubs != 0 ? o->hubs : what->hubs[i];
		failed |= run_case(&b, o->runs);
		if (o->hubs != 0)
			break;
	}
	return failed;
}

/* ---- command line ---------------------------------------------------------------------------- */

static uint64_t number(const char *option, const char *text, uint64_t most)
{
	char *end = NULL;
	uint64_t n = text != NULL ? strtoull(text, &end, 10) : 0;

	if (text == NULL || end == text || *end != '\0' || n == 0 || n > most) {
		fprintf(stderr, "bench: %s wants a number from 1 to %" PRIu64 "\n", option, most);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(name, "--quick") == 0) {
			o->quick = true;
			continue;
		}
		if (strcmp(name, "--list") == 0) {
			o->list = true;
			continue;
		}
		i++;
		if (strcmp(name, "--case") == 0 && next != NULL) {
			o->only = next;
		} else if (strcmp(name, "--hubs") == 0) {
			o->hubs = (unsigned)number(name, next, 1024);
		} else if (strcmp(name, "--size") == 0) {
			o->size = number(name, next, UINT32_MAX);
		} else if (strcmp(name, "--rounds") == 0) {
			o->rounds = number(name, next, UINT32_MAX);
		} else if (strcmp(name, "--runs") == 0) {
			o->runs = (int)number(name, next, RUNS);
		} else {
			fprintf(stderr,
				"usage: %s [--case NAME] [--hubs N] [--size N] [--rounds N]"
				" [--runs N] [--quick] [--list]\n",
				argv[0]);
			exit(2);
		}
	}
}

int bench_main(int argc, char **argv, const char *impl, const struct bench_case *cases,
	       size_t count)
{
	struct options o = { .runs = 1 };
	bool found = false;
	int failed = 0;

	program_impl = impl;
	parse(argc, argv, &o);
	report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (report == MAP_FAILED)
		die("shared page");
	for (size_t i = 0; i < count; i++) {
		if (o.list) {
			puts(cases[i].name);
			continue;
		}
		if (o.only != NULL && strcmp(o.only, cases[i].name) != 0)
			continue;
		found = true;
		failed |= run_row(&cases[i], &o);
	}
	if (!found && !o.list) {
		fprintf(stderr, "bench: no case is called %s\n", o.only);
		return 2;
	}
	return failed != 0 ? 1 : 0;
}
