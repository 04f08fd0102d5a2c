/* SPDX-License-Identifier: MIT */
/*
 * stress_million.c - a million greenlets wait at once, and when they have ended nothing of it is left.
 *
 * All wait for one event.  Each has its guard, of the best kind that the kernel gives; grove_stats
 * says how many of which.  Then the event is sent, all end, and the memory goes back while the
 * runtime runs on.
 *
 * As a test it is 50,000.  With --show (and --count) it is a million, and the sizes are printed.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "measure.h"
#include "scale.h"

#include <grove.h>

enum { SPAWNS_PER_YIELD = 64, PATIENCE_S = 30 };

struct sizes {
	int64_t rss_kib;
	int64_t pte_kib;
};

struct crowd {
	uint64_t size;
	grove_event go;
	grove_event all_wait;
	grove_event all_ended;
	_Atomic uint64_t waiting;
	_Atomic uint64_t ended;
	struct sizes start, peak, end;
	int64_t create_ns, end_ns, return_ns;
	grove_stats at_peak, after;
};

static struct sizes sizes_now(void)
{
	return (struct sizes){ gt_status_kib(0, "VmRSS"), gt_status_kib(0, "VmPTE") };
}

static grove_stats stats_now(void)
{
	grove_stats stats = GROVE_STATS_INIT;

	GT_CHECK_IS(0, grove_stats_read(&stats));
	return stats;
}

static void *rest(void *arg)
{
	struct crowd *c = arg;

	if (gv_add(&c->waiting, 1, acq_rel) + 1 == c->size)
		GT_CHECK_IS(0, grove_event_send(&c->all_wait, NULL));
	GT_CHECK_IS(0, grove_event_wait(&c->go, NULL, GROVE_NEVER));
	if (gv_add(&c->ended, 1, acq_rel) + 1 == c->size)
		GT_CHECK_IS(0, grove_event_send(&c->all_ended, NULL));
	return NULL;
}

static bool is_back(const struct crowd *c)
{
	return c->end.rss_kib - c->start.rss_kib < (c->peak.rss_kib - c->start.rss_kib) / 4;
}

/* The last ones are still ending, and what they leave is given back bit by bit. */
static void wait_for_memory(struct crowd *c)
{
	/* Sanitizers keep what is given back. */
	int64_t patience_ns = (gt_slow_build() ? 1 : PATIENCE_S) * INT64_C(1000000000);
	int64_t start = gt_now_ns();
	int64_t least = INT64_MAX;
	int64_t least_at = start;

	do {
		GT_CHECK_IS(0, grove_sleep(grove_in_ms(10)));
		c->end = sizes_now();
		if (c->end.rss_kib < least - 1024) {
			least = c->end.rss_kib;
			least_at = gt_now_ns();
		}
		/* Back, and has not become less for half a second. */
	} while (gt_now_ns() - start < patience_ns &&
		 !(is_back(c) && gt_now_ns() - least_at > 500000000));
	c->return_ns = least_at - start;
}

static void *gather_and_end(void *arg)
{
	struct crowd *c = arg;

	c->start = sizes_now();
	c->create_ns = -gt_now_ns();
	for (uint64_t i = 0; i < c->size; i++) {
		GT_CHECK_IS(0, grove_spawn_raw(NULL, rest, c));
		if (i % SPAWNS_PER_YIELD == SPAWNS_PER_YIELD - 1)
			GT_CHECK_IS(0, grove_yield());
	}
	GT_CHECK_IS(0, grove_event_wait(&c->all_wait, NULL, GROVE_NEVER));
	c->create_ns += gt_now_ns();
	c->peak = sizes_now();
	c->at_peak = stats_now();

	c->end_ns = -gt_now_ns();
	GT_CHECK_IS(0, grove_event_send(&c->go, NULL));
	GT_CHECK_IS(0, grove_event_wait(&c->all_ended, NULL, GROVE_NEVER));
	c->end_ns += gt_now_ns();
	while (stats_now().live != 1)
		GT_CHECK_IS(0, grove_yield());
	wait_for_memory(c);
	c->after = stats_now();
	GT_CHECK_IS(0, grove_event_destroy(&c->go));
	GT_CHECK_IS(0, grove_event_destroy(&c->all_wait));
	GT_CHECK_IS(0, grove_event_destroy(&c->all_ended));
	return NULL;
}

static struct crowd *run_crowd(uint64_t size)
{
	struct crowd *c = calloc(1, sizeof(*c));
	grove_options options = GROVE_OPTIONS_INIT;

	GT_CHECK(c != NULL);
	c->size = size;
	options.hubs = 2;
	GT_CHECK_IS(0, grove_run(gather_and_end, c, NULL, &options));
	return c;
}

static uint64_t guarded(const grove_stats *stats)
{
	return stats->stacks_guarded_madvise + stats->stacks_guarded_mprotect +
	       stats->stacks_guarded_canary;
}

/* --- as a test ---------------------------------------------------------------------------------- */

static void test_crowd_comes_and_goes(void **state)
{
	(void)state;
	struct crowd *c = run_crowd(GT_LIVE(gt_slow_build() ? 10000 : 50000));

	assert_true(c->at_peak.live == c->size + 1);
	assert_true(c->at_peak.stacks_in_use >= c->size + 1);
	assert_true(guarded(&c->at_peak) >= c->size + 1);
	assert_true(c->at_peak.stacks_unguarded == 0);
	assert_true(c->at_peak.stacks_refused == 0);
	assert_true(c->after.live == 1);
	assert_true(c->after.stacks_in_use <= 2);
	/* Sanitizers keep memory of their own. */
	if (!gt_slow_build())
		assert_true(is_back(c));
	free(c);
}

/* --- by hand ------------------------------------------------------------------------------------ */

static void print_sizes(const char *name, const struct sizes *s, const struct sizes *start,
			uint64_t count)
{
	printf("%-12s VmRSS %10.1f MiB, VmPTE %8.1f MiB", name, (double)s->rss_kib / 1024,
	       (double)s->pte_kib / 1024);
	if (start != NULL)
		printf("; more than at the start: %.1f MiB, %.0f bytes for each",
		       (double)(s->rss_kib - start->rss_kib) / 1024,
		       (double)(s->rss_kib - start->rss_kib) * 1024 / (double)count);
	putchar('\n');
}

static int show(int argc, char **argv)
{
	uint64_t size = (uint64_t)gt_number(argc, argv, "--count", 1000000);
	struct gt_machine before = gt_machine_now();
	struct crowd *c = run_crowd(size);
	const grove_stats *peak = &c->at_peak;

	printf("2 hubs, %llu greenlets on one event\n", (unsigned long long)size);
	print_sizes("start", &c->start, NULL, 1);
	print_sizes("all wait", &c->peak, &c->start, size);
	print_sizes("ended", &c->end, &c->start, size);
	printf("guards: %llu by MADV_GUARD_INSTALL, %llu by mprotect, %llu by a pattern, %llu without\n",
	       (unsigned long long)peak->stacks_guarded_madvise,
	       (unsigned long long)peak->stacks_guarded_mprotect,
	       (unsigned long long)peak->stacks_guarded_canary,
	       (unsigned long long)peak->stacks_unguarded);
	printf("stacks: %llu in use and %llu cached at the peak, %llu and %llu afterwards\n",
	       (unsigned long long)peak->stacks_in_use, (unsigned long long)peak->stacks_cached,
	       (unsigned long long)c->after.stacks_in_use,
	       (unsigned long long)c->after.stacks_cached);
	printf("time: %.2f s until all waited, %.2f s until all had ended, %.2f s until memory was back\n",
	       (double)c->create_ns / 1e9, (double)c->end_ns / 1e9, (double)c->return_ns / 1e9);
	gt_print_machine(&before);

	bool good = guarded(peak) >= size + 1 && is_back(c);
	printf("each guarded, and less than a quarter of the memory left: %s\n",
	       good ? "yes" : "NO");
	free(c);
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crowd_comes_and_goes),
	};

	if (gt_show(argc, argv))
		return show(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
