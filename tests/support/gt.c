/* SPDX-License-Identifier: MIT */
/*
 * gt.c - the fixture.
 *
 * It looks inside the runtime in two places: to see that a greenlet is parked, and to count objects
 * that nobody can reach from outside.
 */
#include "gt.h"

#include "base/atomic.h"
#include "sched/hub.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* --- waiting ---------------------------------------------------------------------------------- */

static void hung(int signo)
{
	static const char text[] = "the test hangs\n";

	(void)signo;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
		abort();
	abort();
}

static void watch(bool on)
{
	struct sigaction action = { .sa_handler = hung };

	sigaction(SIGALRM, &action, NULL);
	alarm(on ? (unsigned)(2 * GT_PATIENCE_NS / 1000000000) : 0);
}

void gt_pause(void)
{
	static _Atomic unsigned count;

	(void)grove_yield();
	/* More hubs than processors: whoever is waited for may need this one. */
	if (atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) % 8 == 0)
		sched_yield();
}

void gt_wait_a_little(int64_t end_ns, const char *file, int line, const char *condition)
{
	if (grove_now_ns() > end_ns)
		gt_die(file, line, "it never came: %s", condition);
	gt_pause();
}

static bool is_parked(grove_greenlet *g)
{
	return (gv_load(&g->wait, acquire) & GV_WAIT_PENDING) != 0 &&
	       gv_load(&g->context, acquire) != NULL;
}

void gt_until_parked_at(grove_greenlet *greenlet, const char *file, int line)
{
	int64_t end = grove_now_ns() + GT_PATIENCE_NS;

	while (!is_parked(greenlet)) {
		if (grove_ready(greenlet))
			gt_die(file, line, "the greenlet waits, and has not ended");
		gt_wait_a_little(end, file, line, "the greenlet waits");
	}
}

grove_deadline gt_soon(void)
{
	return grove_in_ns(GT_PATIENCE_NS);
}

/* --- what is there ---------------------------------------------------------------------------- */

static long long count_objects(struct gv_slab *slab)
{
	struct gv_slab_stats stats;

	if (slab->name == NULL) /* nothing ran yet */
		return 0;
	gv_slab_stats(slab, &stats);
	return (long long)stats.objects - (long long)stats.objects_free;
}

/* The one through which this pthread waits; it stays until the pthread ends. */
static long long own_proxy(void)
{
	struct gv_self *self = gv_self_get();

	return self != NULL && self->proxy != NULL;
}

struct gt_mark gt_mark(void)
{
	return (struct gt_mark){
		.descriptors = gt_descriptor_count(),
		.records = count_objects(&gv_records) - own_proxy(),
		.nodes = count_objects(&gv_nodes),
	};
}

void gt_check_left(const struct gt_mark *before)
{
	struct gt_mark now = gt_mark();
	grove_stats stats = gt_stats();

	GT_CHECK_IS(0, grove_hub_count());
	GT_CHECK_IS(0, stats.live);
	GT_CHECK_IS(0, stats.stacks_in_use);
	GT_CHECK_IS(before->descriptors, now.descriptors);
	GT_CHECK_IS(before->records, now.records);
	GT_CHECK_IS(before->nodes, now.nodes);
}

grove_stats gt_stats(void)
{
	grove_stats stats = GROVE_STATS_INIT;

	GT_CHECK_IS(0, grove_stats_read(&stats));
	return stats;
}

/* --- reports ---------------------------------------------------------------------------------- */

static pthread_mutex_t reports_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gt_report last_report;
static int reports;
static int lines;
static char last_line[256];

static void note_failure(grove_greenlet *greenlet, grove_failure *failure, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&reports_lock);
	reports++;
	last_report = (struct gt_report){
		.id = grove_id(greenlet),
		.code = grove_failure_code(failure),
		.failure = failure,
	};
	pthread_mutex_unlock(&reports_lock);
}

static void note_line(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	/* Set for tests/perturb, and unknown to the runtime. */
	if (strstr(line, "GROVE_PERTURB_SEED") != NULL)
		return;
	pthread_mutex_lock(&reports_lock);
	lines++;
	snprintf(last_line, sizeof(last_line), "%s", line);
	pthread_mutex_unlock(&reports_lock);
}

int gt_take_reports(struct gt_report *last)
{
	pthread_mutex_lock(&reports_lock);
	int count = reports;
	if (last != NULL)
		*last = last_report;
	reports = 0;
	pthread_mutex_unlock(&reports_lock);
	return count;
}

int gt_take_lines(void)
{
	pthread_mutex_lock(&reports_lock);
	int count = lines;
	lines = 0;
	pthread_mutex_unlock(&reports_lock);
	return count;
}

void gt_options(grove_options *options)
{
	options->on_failure = note_failure;
	options->on_log = note_line;
}

static void check_reports(void)
{
	struct gt_report last;
	int count = gt_take_reports(&last);

	if (count != 0)
		fprintf(stderr, "last report: greenlet %llu, code %d\n",
			(unsigned long long)last.id, last.code);
	GT_CHECK_IS(0, count);
	count = gt_take_lines();
	if (count != 0)
		fprintf(stderr, "last line of the log: %s\n", last_line);
	GT_CHECK_IS(0, count);
}

/* --- tests ------------------------------------------------------------------------------------ */

struct run {
	gt_body *body;
	uint64_t living; /* at the end of the body */
};

static void until_alone(uint64_t living)
{
	gt_until(gt_stats().live == living);
	gt_until(gt_stats().timers == 0);
}

static void *run_body(void *arg)
{
	struct run *run = arg;

	run->body();
	until_alone(1);
	return NULL;
}

void gt_run_with(gt_body *body, const grove_options *options)
{
	struct run run = { .body = body };
	grove_options all = *options;
	void *value = &run;

	gt_options(&all);
	struct gt_mark before = gt_mark();
	watch(true);
	GT_CHECK_IS(0, grove_run(run_body, &run, &value, &all));
	watch(false);
	GT_CHECK(value == NULL);
	check_reports();
	gt_check_left(&before);
}

void gt_run(gt_body *body)
{
	grove_options options = GROVE_OPTIONS_INIT;

	gt_run_with(body, &options);
}

static char *hubs_before;

void gt_one_hub_begin(void)
{
	const char *hubs = getenv("GROVE_HUBS");

	hubs_before = hubs != NULL ? strdup(hubs) : NULL;
	setenv("GROVE_HUBS", "1", 1);
}

void gt_one_hub_end(void)
{
	if (hubs_before != NULL)
		setenv("GROVE_HUBS", hubs_before, 1);
	else
		unsetenv("GROVE_HUBS");
	free(hubs_before);
	hubs_before = NULL;
}

void gt_run_strict(gt_body *body)
{
	grove_options options = GROVE_OPTIONS_INIT;

	options.order = GROVE_ORDER_STRICT;
	gt_one_hub_begin();
	gt_run_with(body, &options);
	gt_one_hub_end();
}

void gt_run_behind(gt_body *body)
{
	grove_options options = GROVE_OPTIONS_INIT;

	gt_options(&options);
	struct gt_mark before = gt_mark();
	watch(true);
	GT_CHECK_IS(0, grove_start(&options));
	body();
	until_alone(0);
	GT_CHECK_IS(0, grove_stop(gt_soon()));
	watch(false);
	check_reports();
	gt_check_left(&before);
}

/* --- greenlets, threads, time ------------------------------------------------------------------ */

grove_greenlet *gt_spawn(grove_fn *fn, void *arg)
{
	grove_greenlet *greenlet = NULL;

	GT_CHECK_IS(0, grove_spawn(&greenlet, fn, arg));
	GT_CHECK(greenlet != NULL);
	return greenlet;
}

grove_greenlet *gt_spawn_parked(grove_fn *fn, void *arg)
{
	grove_greenlet *greenlet = gt_spawn(fn, arg);

	gt_until_parked(greenlet);
	return greenlet;
}

grove_greenlet *gt_spawn_unstarted(grove_fn *fn, void *arg)
{
	grove_attributes attributes = GROVE_ATTRIBUTES_INIT;
	grove_greenlet *greenlet = NULL;

	attributes.flags = GROVE_UNSTARTED;
	GT_CHECK_IS(0, grove_spawn_with(&greenlet, fn, arg, &attributes));
	return greenlet;
}

void *gt_return_it(void *value)
{
	return value;
}

void *gt_note_run(void *flag)
{
	*(bool *)flag = true;
	return NULL;
}

intptr_t gt_value_of(grove_greenlet *greenlet)
{
	void *value = NULL;

	GT_CHECK_IS(0, grove_get(greenlet, &value, gt_soon()));
	grove_greenlet_release(greenlet);
	return (intptr_t)value;
}

void gt_join(grove_greenlet *greenlet)
{
	GT_CHECK_IS(0, grove_join(greenlet, gt_soon()));
	grove_greenlet_release(greenlet);
}

bool gt_gone(uint64_t id)
{
	grove_greenlet *found = grove_lookup(id);

	grove_greenlet_release(found);
	return found == NULL;
}

void gt_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	GT_CHECK_IS(0, pthread_create(thread, NULL, fn, arg));
}

void gt_thread_join(pthread_t thread)
{
	gt_until(pthread_tryjoin_np(thread, NULL) == 0);
}

void gt_compute_until(int64_t ns)
{
	while (grove_now_ns() < ns)
		continue;
}

void gt_spin(unsigned most)
{
	static _Atomic uint32_t seed = 1;
	uint32_t step = atomic_fetch_add_explicit(&seed, 2654435761u, memory_order_relaxed);

	step ^= step >> 15;
	for (volatile unsigned i = step % (most + 1); i > 0; i--)
		continue;
}

void gt_gate_wait(struct gt_gate *gate)
{
	unsigned turn = atomic_load_explicit(&gate->opened, memory_order_acquire);
	unsigned spins = 0;

	if (atomic_fetch_add_explicit(&gate->arrived, 1, memory_order_acq_rel) + 1 ==
	    gate->parties) {
		atomic_store_explicit(&gate->arrived, 0, memory_order_relaxed);
		atomic_store_explicit(&gate->opened, turn + 1, memory_order_release);
		return;
	}
	while (atomic_load_explicit(&gate->opened, memory_order_acquire) == turn) {
		if (++spins % 64 == 0)
			gt_pause();
	}
}

struct party {
	const struct gt_race *race;
	struct gt_gate *gate;
	unsigned number;
	int *rounds; /* done; party 0 writes it between two gates */
	bool *over;  /* the same */
};

static void *take_part(void *arg)
{
	const struct party *party = arg;
	const struct gt_race *race = party->race;
	int64_t end = grove_now_ns() + 250 * GT_MS;

	if (race->begin != NULL)
		race->begin(party->number, race->arg);
	for (;;) {
		gt_gate_wait(party->gate);
		if (*party->over)
			return NULL;
		race->act(party->number, race->arg);
		gt_gate_wait(party->gate);
		if (party->number != 0)
			continue;
		race->between(race->arg);
		*party->over = ++*party->rounds == race->rounds || grove_now_ns() > end;
	}
}

int gt_race(const struct gt_race *race)
{
	struct gt_gate gate = { .parties = race->parties };
	struct party parties[GT_PARTIES_MAX];
	grove_greenlet *greenlets[GT_PARTIES_MAX];
	pthread_t threads[GT_PARTIES_MAX];
	unsigned first_thread = race->parties - race->threads;
	int rounds = 0;
	bool over = false;

	GT_CHECK(race->parties <= GT_PARTIES_MAX);
	for (unsigned i = 0; i < race->parties; i++) {
		parties[i] = (struct party){ race, &gate, i, &rounds, &over };
		if (i < first_thread)
			greenlets[i] = gt_spawn(take_part, &parties[i]);
		else
			gt_thread_start(&threads[i], take_part, &parties[i]);
	}
	for (unsigned i = 0; i < race->parties; i++) {
		if (i < first_thread)
			gt_join(greenlets[i]);
		else
			gt_thread_join(threads[i]);
	}
	return rounds;
}
