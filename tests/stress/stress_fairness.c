/* SPDX-License-Identifier: MIT */
/*
 * stress_fairness.c - on one hub, whoever can run does run, whatever the others do.
 *
 * A load of greenlets that never ends keeps the hub busy: spawning, ping-pong, hand-overs by join.
 * Among them probes become runnable, in each way that there is, with k others before them in the
 * queues.  Each must run within 61 (k + 2) picks.  Direct hand-overs count as picks; the position of a
 * hub is computed from what leads it to its loop every 61st time.
 *
 * What reaches the hub from a foreign pthread is measured in rounds of its loop, so with one round
 * more.  Timers and descriptors have no bound in picks (descriptors are looked at every 100 us); it is
 * shown that they are served.
 *
 * The load `tree` is the documented exception (docs/decisions/006-fair-pick.md): fresh greenlets
 * behind a fork-join tree wait up to 256 rounds instead of one.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "measure.h"
#include "sched/hub.h"
#include "scale.h"

#include <grove.h>

/* --- positions ---------------------------------------------------------------------------------- */

static uint64_t rounds_of_loop(void)
{
	return gv_load(&gv_hub_at(0)->stats.ticks, relaxed);
}

/* Picks since the start; on the hub only. */
static uint64_t position(void)
{
	return GV_TICK_PICKS * (rounds_of_loop() + 1) - gv_hub_at(0)->tick_left;
}

/* What stands in the queues; the pinned list may be looked at on the hub only. */
static uint64_t queued_for_all(void)
{
	return gv_fifo_size(&gv_hub_at(0)->fifo) + gv_deque_size(&gv_hub_at(0)->deque);
}

static uint64_t queued(void)
{
	uint64_t count = queued_for_all();

	for (struct gv_link *link = gv_hub_at(0)->pinned_oldest; link != NULL;
	     link = gv_load(&link->next, relaxed))
		count++;
	return count;
}

/* --- the load ----------------------------------------------------------------------------------- */

enum load { CHAINS, BURSTS, PING_PONG, HAND_OVER, YIELDS, MIXED, TREE, LOADS };

static const char *const load_names[LOADS] = {
	"spawn without end", "spawn up to 100, yield", "ping-pong", "spawn and join", "yield",
	"all of these",	     "fork-join trees",
};

static _Atomic bool over;
static uint64_t steps;	 /* of the load */
static unsigned playing; /* greenlets of the load that go on */

static bool go_on(void)
{
	steps++;
	if (!gv_load(&over, relaxed))
		return true;
	playing--;
	return false;
}

static void *nothing(void *arg)
{
	return arg;
}

static void *chain(void *arg)
{
	if (go_on())
		GT_CHECK_IS(0, grove_spawn_raw(NULL, chain, arg));
	return NULL;
}

static unsigned left_of_burst;

static void *burst_member(void *arg)
{
	left_of_burst--;
	return arg;
}

/* Not more: those that yield come to their turn sooner than what they spawned. */
static void *burst(void *arg)
{
	while (go_on()) {
		for (; left_of_burst < 100; left_of_burst++)
			GT_CHECK_IS(0, grove_spawn_raw(NULL, burst_member, arg));
		GT_CHECK_IS(0, grove_yield());
	}
	return NULL;
}

static grove_async bells[2];

static void *ping(void *arg)
{
	int me = (int)(intptr_t)arg;

	while (go_on()) {
		grove_async_send(&bells[1 - me]);
		GT_CHECK_IS(0, grove_async_wait(&bells[me], GROVE_NEVER));
	}
	grove_async_send(&bells[1 - me]);
	return NULL;
}

static void *hand_over(void *arg)
{
	while (go_on()) {
		grove_greenlet *child;

		GT_CHECK_IS(0, grove_spawn(&child, nothing, arg));
		GT_CHECK_IS(0, grove_join(child, GROVE_NEVER));
		grove_greenlet_release(child);
	}
	return NULL;
}

static void *yield_on(void *arg)
{
	while (go_on())
		GT_CHECK_IS(0, grove_yield());
	return arg;
}

static void *branch(void *arg)
{
	intptr_t depth = (intptr_t)arg;
	grove_greenlet *child[2];

	if (depth == 0)
		return NULL;
	for (int i = 0; i < 2; i++)
		GT_CHECK_IS(0, grove_spawn(&child[i], branch, (void *)(depth - 1)));
	for (int i = 0; i < 2; i++) {
		GT_CHECK_IS(0, grove_join(child[i], GROVE_NEVER));
		grove_greenlet_release(child[i]);
	}
	return NULL;
}

static void *tree(void *arg)
{
	while (go_on())
		(void)branch((void *)(intptr_t)8);
	return arg;
}

static void start_load(enum load load, bool twice)
{
	grove_fn *fn[] = { chain, burst, ping, hand_over, yield_on, NULL, tree };

	if (load == MIXED) {
		for (int i = 0; i < MIXED; i++)
			start_load((enum load)i, false);
		return;
	}
	for (int i = 0; i < 2; i++) {
		if (i == 0 || twice || load == PING_PONG) {
			playing++;
			GT_CHECK_IS(0, grove_spawn_raw(NULL, fn[load], (void *)(intptr_t)i));
		}
	}
}

/* --- probes ------------------------------------------------------------------------------------- */

enum kind {
	FRESH,	     /* spawned here */
	WOKEN,	     /* by an event sent here */
	YIELDED,     /* by itself */
	PINNED,	     /* pinned, woken here */
	OUT_SPAWNED, /* from a foreign pthread: the inbox */
	OUT_WOKEN,   /* the same */
	OUT_PINNED,  /* the inbox for pinned ones */
	TIMED,
	READABLE,
	KINDS
};

static const char *const kind_names[KINDS] = {
	"spawned",
	"woken",
	"yielded",
	"pinned, woken",
	"spawned from outside",
	"sent from outside",
	"pinned, from outside",
	"timer due",
	"socket readable",
};

struct probe {
	enum kind kind;
	grove_event go, done;
	int socket[2];
	int64_t due_ns;		/* TIMED */
	_Atomic bool waits;	/* is about to */
	_Atomic bool told;	/* the foreign pthread is done with it */
	bool ran;		/* on the hub only */
	uint64_t before;	/* it in the queues, when it became runnable */
	uint64_t from, to;	/* position; from outside: rounds of the loop */
	int64_t from_ns, to_ns; /* from outside */
};

static void *run_probe(void *arg)
{
	struct probe *p = arg;
	char byte;

	switch (p->kind) {
	case FRESH:
	case OUT_SPAWNED:
	case KINDS:
		break;
	case YIELDED:
		p->before = queued();
		p->from = position();
		GT_CHECK_IS(0, grove_yield());
		break;
	case WOKEN:
	case PINNED:
	case OUT_WOKEN:
	case OUT_PINNED:
		gv_store(&p->waits, true, release);
		GT_CHECK_IS(0, grove_event_wait(&p->go, NULL, GROVE_NEVER));
		break;
	case TIMED:
		gv_store(&p->waits, true, release);
		GT_CHECK_IS(0, grove_sleep(grove_at_ns(p->due_ns)));
		break;
	case READABLE:
		gv_store(&p->waits, true, release);
		GT_CHECK_IS(1, grove_read(p->socket[0], &byte, 1, GROVE_NEVER));
		break;
	}
	p->ran = true;
	p->to = p->kind < OUT_SPAWNED ? position() : rounds_of_loop();
	p->to_ns = gt_now_ns();
	GT_CHECK_IS(0, grove_event_send(&p->done, NULL));
	return NULL;
}

static void spawn_probe(struct probe *p)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;

	if (p->kind == PINNED || p->kind == OUT_PINNED)
		attributes.flags = GROVE_ON_HUB;
	GT_CHECK_IS(0, grove_spawn_with(NULL, run_probe, p, &attributes));
}

static void until_it_waits(struct probe *p)
{
	while (!gv_load(&p->waits, acquire))
		GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, grove_yield());
}

static void begin_probe(struct probe *p, enum kind kind)
{
	*p = (struct probe){ .kind = kind };
	if (kind == READABLE)
		GT_CHECK_IS(0, socketpair(AF_UNIX, SOCK_STREAM, 0, p->socket));
}

static void end_probe(struct probe *p)
{
	if (p->kind != READABLE)
		return;
	GT_CHECK_IS(0, grove_close(p->socket[0]));
	close(p->socket[1]);
}

/* Older ones in front of a probe of the same kind. */
enum { MOST_OLDER = 40 };

/* Newer than the probe, without end until it runs. */
static void *chain_on_top(void *arg)
{
	struct probe *p = arg;

	if (!p->ran)
		GT_CHECK_IS(0, grove_spawn_raw(NULL, chain_on_top, p));
	else
		playing--;
	return NULL;
}

static void *trees_on_top(void *arg)
{
	struct probe *p = arg;

	while (!p->ran)
		(void)branch((void *)(intptr_t)8);
	playing--;
	return NULL;
}

static void probe_here(struct probe *p, enum kind kind, int older, enum load load)
{
	static struct probe in_front[MOST_OLDER];

	begin_probe(p, kind);
	for (int i = 0; i < older; i++) {
		begin_probe(&in_front[i], kind);
		if (kind != FRESH && kind != YIELDED) {
			spawn_probe(&in_front[i]);
			until_it_waits(&in_front[i]);
		}
	}
	if (kind == WOKEN || kind == PINNED) {
		spawn_probe(p);
		until_it_waits(p);
	}
	for (int i = 0; i < older; i++) {
		if (kind == FRESH || kind == YIELDED)
			spawn_probe(&in_front[i]);
		else
			GT_CHECK_IS(0, grove_event_send(&in_front[i].go, NULL));
	}
	if (kind != YIELDED) {
		p->before = queued();
		p->from = position();
	}
	if (kind == WOKEN || kind == PINNED)
		GT_CHECK_IS(0, grove_event_send(&p->go, NULL));
	else
		spawn_probe(p);
	playing += kind == FRESH;
	if (kind == FRESH)
		GT_CHECK_IS(0,
			    grove_spawn_raw(NULL, load == TREE ? trees_on_top : chain_on_top, p));
	GT_CHECK_IS(0, grove_event_wait(&p->done, NULL, GROVE_NEVER));
	for (int i = 0; i < older; i++)
		GT_CHECK_IS(0, grove_event_wait(&in_front[i].done, NULL, GROVE_NEVER));
	end_probe(p);
}

/* --- outside ------------------------------------------------------------------------------------ */

static _Atomic(struct probe *) outside_job;
static _Atomic bool outside_ends;

static void act(struct probe *p)
{
	if (p->kind == TIMED) {
		while (gt_now_ns() < p->due_ns)
			continue;
	}
	p->from_ns = gt_now_ns();
	if (p->kind == OUT_SPAWNED)
		spawn_probe(p);
	else if (p->kind == READABLE)
		GT_CHECK_IS(1, write(p->socket[1], "x", 1));
	else if (p->kind != TIMED)
		GT_CHECK_IS(0, grove_event_send(&p->go, NULL));
	/* It may have run by now.  Before the call would count what the call itself takes. */
	p->from = rounds_of_loop();
	gv_store(&p->told, true, release);
}

static void *outside(void *arg)
{
	while (!gv_load(&outside_ends, acquire)) {
		struct probe *p = gv_xchg(&outside_job, NULL, acq_rel);

		if (p != NULL)
			act(p);
		else
			usleep(20);
	}
	return arg;
}

static void probe_from_outside(struct probe *p, enum kind kind)
{
	begin_probe(p, kind);
	if (kind == TIMED)
		p->due_ns = gt_now_ns() + 300000;
	if (kind != OUT_SPAWNED) {
		spawn_probe(p);
		until_it_waits(p);
	}
	p->before = queued();
	gv_store(&outside_job, p, release);
	GT_CHECK_IS(0, grove_event_wait(&p->done, NULL, GROVE_NEVER));
	while (!gv_load(&p->told, acquire))
		GT_CHECK_IS(0, grove_yield());
	end_probe(p);
}

/* --- the whole ---------------------------------------------------------------------------------- */

struct result {
	struct gt_samples picks[KINDS];	   /* until it ran; from outside: in whole rounds */
	struct gt_samples of_bound[KINDS]; /* the same per 61 (k + 2), in thousandths */
	struct gt_samples ns[KINDS];	   /* from outside */
	unsigned broken[KINDS];
	struct probe worst[KINDS];
};

struct plan {
	enum load load;
	int times;
	struct result *result;
};

static void judge(struct result *r, const struct probe *p, enum load load)
{
	bool inside = p->kind < OUT_SPAWNED;
	uint64_t unit = inside ? 1 : GV_TICK_PICKS;
	uint64_t picks = p->to > p->from ? (p->to - p->from) * unit : 0;
	uint64_t bound = GV_TICK_PICKS * (p->before + (inside ? 2 : 3));

	if (load == TREE)
		bound *= GV_FAIR_TICKS_MAX;
	gt_sample(&r->picks[p->kind], (int64_t)picks);
	gt_sample(&r->of_bound[p->kind], (int64_t)(1000 * picks / bound));
	if (!inside)
		gt_sample(&r->ns[p->kind], p->to_ns > p->from_ns ? p->to_ns - p->from_ns : 0);
	if (p->kind < TIMED && picks > bound) {
		r->broken[p->kind]++;
		r->worst[p->kind] = *p;
	}
}

static void *run_plan(void *arg)
{
	static const int older[] = { 0, 1, 7, MOST_OLDER };
	static struct probe p;
	struct plan *plan = arg;
	pthread_t thread;

	gv_store(&over, false, relaxed);
	steps = 0;
	gv_store(&outside_ends, false, relaxed);
	GT_CHECK_IS(0, pthread_create(&thread, NULL, outside, NULL));
	start_load(plan->load, true);
	while (steps < 1000)
		GT_CHECK_IS(0, grove_yield());
	for (int i = 0; i < plan->times; i++) {
		for (enum kind kind = FRESH; kind < OUT_SPAWNED; kind++) {
			for (size_t k = 0; k < GV_ARRAY_LEN(older); k++) {
				probe_here(&p, kind, older[k], plan->load);
				judge(plan->result, &p, plan->load);
			}
		}
		for (enum kind kind = OUT_SPAWNED; kind < KINDS; kind++) {
			probe_from_outside(&p, kind);
			judge(plan->result, &p, plan->load);
		}
	}
	gv_store(&over, true, relaxed);
	gv_store(&outside_ends, true, release);
	while (playing > 0)
		GT_CHECK_IS(0, grove_yield());
	GT_CHECK_IS(0, pthread_join(thread, NULL));
	return NULL;
}

static struct result *measure(enum load load, int times, uint32_t order)
{
	grove_options options = GROVE_OPTIONS_INIT;
	struct result *result = calloc(1, sizeof(*result));
	struct plan plan = { load, times, result };

	GT_CHECK(result != NULL);
	memset(bells, 0, sizeof(bells));
	options.hubs = 1;
	options.order = order;
	GT_CHECK_IS(0, grove_run(run_plan, &plan, NULL, &options));
	return result;
}

static void free_result(struct result *result)
{
	for (int kind = 0; kind < KINDS; kind++) {
		gt_samples_free(&result->picks[kind]);
		gt_samples_free(&result->of_bound[kind]);
		gt_samples_free(&result->ns[kind]);
	}
	free(result);
}

static unsigned report_broken(const struct result *r, enum load load)
{
	unsigned broken = 0;

	for (int kind = 0; kind < KINDS; kind++) {
		const struct probe *worst = &r->worst[kind];

		broken += r->broken[kind];
		if (r->broken[kind] != 0)
			printf("%s, %s: %u of %zu beyond the bound, such as %llu picks behind %llu\n",
			       load_names[load], kind_names[kind], r->broken[kind],
			       r->picks[kind].count,
			       (unsigned long long)((worst->to - worst->from) *
						    (kind < OUT_SPAWNED ? 1 : GV_TICK_PICKS)),
			       (unsigned long long)worst->before);
	}
	return broken;
}

/* --- as a test ---------------------------------------------------------------------------------- */

static void check_all_loads(uint32_t order)
{
	unsigned broken = 0;

	for (int load = 0; load < LOADS; load++) {
		struct result *result = measure((enum load)load, gt_slow_build() ? 5 : 20, order);

		broken += report_broken(result, (enum load)load);
		for (int kind = 0; kind < KINDS; kind++)
			assert_true(result->picks[kind].count > 0);
		free_result(result);
	}
	assert_int_equal(broken, 0);
}

static void test_all_run_within_the_bound(void **state)
{
	(void)state;
	check_all_loads(GROVE_ORDER_FAST);
}

static void test_all_run_within_the_bound_in_strict_order(void **state)
{
	(void)state;
	check_all_loads(GROVE_ORDER_STRICT);
}

/* --- by hand ------------------------------------------------------------------------------------ */

static int show(int argc, char **argv)
{
	int times = (int)gt_number(argc, argv, "--times", 500);
	uint32_t order = (uint32_t)gt_number(argc, argv, "--strict", 0);
	struct gt_machine before = gt_machine_now();
	unsigned broken = 0;

	printf("1 hub; picks from becoming runnable to running, and the same as a part of "
	       "61 (k + 2); us from outside\n");
	for (int load = 0; load < LOADS; load++) {
		struct result *r = measure((enum load)load, times, order);

		printf("\n%s%s\n", load_names[load],
		       load == TREE ? " (bound of fresh ones: 256 times as much)" : "");
		gt_print_samples(NULL, NULL, 0);
		for (int kind = 0; kind < KINDS; kind++) {
			gt_print_samples(kind_names[kind], &r->picks[kind], 1);
			if (kind < TIMED)
				gt_print_samples("    part of the bound", &r->of_bound[kind], 1000);
			if (kind >= OUT_SPAWNED)
				gt_print_samples("    us", &r->ns[kind], 1000);
		}
		broken += report_broken(r, (enum load)load);
		free_result(r);
	}
	putchar('\n');
	gt_print_machine(&before);
	printf("beyond the bound: %u\n", broken);
	return broken == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_run_within_the_bound),
		cmocka_unit_test(test_all_run_within_the_bound_in_strict_order),
	};

	if (gt_show(argc, argv))
		return show(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
