/* SPDX-License-Identifier: MIT */
/*
 * runtime.c - the hubs of the process.
 *
 * Layer   sched.
 * Owns    struct gv_runtime: the array of hubs, their pthreads.
 * Entry   gv_runtime_begin and _end, from api/ under its lock.
 *
 * Hub records are made once and kept until the process ends: whoever has a number may look at the
 * record at any time, and wake-ups that come late find a park word.
 *
 * [hubs]  begin: store-release hub_count after the hubs.  gv_hub_total: load-acquire.
 * [stop]  ask: store-release stopping, then a wake-up for each hub.  loop: load-acquire.
 */
#include "sched/runtime.h"

#include "base/check.h"
#include "base/fault.h"
#include "plat/clock.h"
#include "plat/fence.h"
#include "plat/os.h"
#include "plat/overflow.h"
#include "sched/failure.h"
#include "sched/idle.h"
#include "sched/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_RING 1024

/* The first spawn of a process comes before anybody could set the hook; and the name makes the
 * linker take the start from the static library. */
struct gv_runtime gv_runtime = { .hooks = { .ensure = gv_api_ensure } };
struct gv_slab gv_nodes;

/* The C++ runtime's exception state of the calling thread; absent in C programs. */
void *__cxa_get_globals(void) __attribute__((weak));

/* What the calling pthread of grove_run was before it became hub 0. */
static struct gv_self *here_before;

static struct gv_hub *new_hub(unsigned id)
{
	if (gv_fault_here("hub"))
		return NULL;
	struct gv_hub *hub = aligned_alloc(GV_CACHE_LINE, sizeof(*hub));
	if (hub == NULL)
		return NULL;
	memset(hub, 0, sizeof(*hub));
	hub->id = (uint16_t)id;
	hub->thief.id = id + 1;
	hub->loot = malloc(GV_LOOT_MAX * sizeof(hub->loot[0]));
	if (hub->loot == NULL)
		goto free_hub;
	if (gv_fifo_init(&hub->fifo, FIRST_RING) < 0)
		goto free_loot;
	if (gv_deque_init(&hub->deque, FIRST_RING) < 0)
		goto free_fifo;
	gv_wheel_init(&hub->wheel, gv_clock_ns());
	return hub;

free_fifo:
	gv_fifo_destroy(&hub->fifo);
free_loot:
	free(hub->loot);
free_hub:
	free(hub);
	return NULL;
}

/*
 * Pthreads that are late, or early, may be reading: a spawn that began before the last stop looks at
 * the hooks in the options, the first spawn at gv_hooks.ensure.  So what stays as it was is not written.
 */
static void replace(void *to, const void *from, size_t bytes)
{
	uintptr_t *old_words = to;
	const uintptr_t *new_words = from;

	for (size_t i = 0; i < bytes / sizeof(uintptr_t); i++) {
		if (old_words[i] != new_words[i])
			old_words[i] = new_words[i];
	}
}

static void replace_flag(bool *to, bool from)
{
	if (*to != from)
		*to = from;
}

_Static_assert(sizeof(grove_options) % sizeof(uintptr_t) == 0, "copied by words");

void gv_runtime_set_options(const grove_options *options)
{
	bool counting = options->max_greenlets != 0;

	replace(&gv_runtime.options, options, sizeof(*options));
	replace_flag(&gv_runtime.counting, counting);
}

int gv_runtime_setup(const struct gv_hooks *hooks)
{
	replace(&gv_runtime.hooks, hooks, sizeof(*hooks));
	gv_record_setup();
	gv_slab_init(&gv_nodes, "waiters", 0, NULL);
	gv_fence_setup(); /* a failure means full fences, which are right as well */
	return gv_reclaim_init();
}

/* What of a hub belongs to the pthread it runs on. */
static void move_in(struct gv_hub *hub)
{
	hub->self.hub = hub;
	hub->current = &hub->root;
	hub->errno_location = &errno;
	hub->exceptions = __cxa_get_globals != NULL ? __cxa_get_globals() : NULL;
	hub->carries = hub->exceptions != NULL || hub->save_fpu;
	hub->inside = 1;
	gv_sanitizer_adopt_thread(&hub->sanitizer);
	gv_reclaim_register(&hub->reader);
	gv_overflow_thread_install(&hub->signal_stack);
	gv_self_set(&hub->self);
	if (gv_runtime.options.on_hub_start != NULL) {
		hub->inside = 0;
		gv_runtime.options.on_hub_start(hub->id, gv_runtime.options.hook_arg);
		hub->inside = 1;
	}
}

static void move_out(struct gv_hub *hub)
{
	if (gv_runtime.options.on_hub_stop != NULL) {
		hub->inside = 0;
		gv_runtime.options.on_hub_stop(hub->id, gv_runtime.options.hook_arg);
		hub->inside = 1;
	}
	if (hub->dead_stack != NULL) {
		gv_stack_put(&hub->stacks, hub->dead_stack);
		hub->dead_stack = NULL;
	}
	gv_stack_cache_drain(&hub->stacks);
	gv_slab_cache_close(&hub->records);
	gv_slab_cache_close(&hub->nodes);
	gv_self_set(NULL);
	gv_failure_release(hub->self.last_failure);
	hub->self.last_failure = NULL;
	gv_overflow_thread_remove(hub->signal_stack);
	gv_reclaim_unregister(&hub->reader);
}

static void *hub_thread(void *arg)
{
	struct gv_hub *hub = arg;
	char name[16];

	snprintf(name, sizeof(name), "grove-hub-%u", hub->id);
	gv_os_thread_name(name);
	if (hub->cpu >= 0)
		gv_os_pin(hub->cpu);
	move_in(hub);
	gv_loop_run(hub);
	move_out(hub);
	return NULL;
}

/* A run begins with this hub. */
static int renew_hub(struct gv_hub *hub)
{
	if (gv_slab_cache_init(&hub->records, &gv_records) < 0)
		return -ENOMEM;
	if (gv_slab_cache_init(&hub->nodes, &gv_nodes) < 0) {
		gv_slab_cache_close(&hub->records);
		return -ENOMEM;
	}
	hub->strict = gv_runtime.options.order == GROVE_ORDER_STRICT;
	hub->save_fpu = gv_runtime.options.save_fpu;
	hub->tick_left = GV_TICK_PICKS;
	hub->pending = 0;
	hub->owes = false;
	hub->owes_notify = false;
	hub->spilled = false;
	memset(hub->owed, 0, sizeof(hub->owed));
	gv_rng_seed(&hub->rng, gv_runtime.options.seed + hub->id);
	gv_store(&hub->root.body, 1, relaxed); /* relaxed: not shared yet */
	gv_store(&hub->root.hub, (uint16_t)(hub->id | GV_HUB_PINNED), relaxed);
	gv_store(&hub->park, GV_PARK_RUN, relaxed);
	gv_store(&hub->retired, false, relaxed);
	/* What was left of the last run was dropped, and that turned it to the end of time. */
	if (gv_wheel_armed_count(&hub->wheel) == 0)
		gv_wheel_init(&hub->wheel, gv_clock_ns());
	hub->cpu = -1;
	hub->thread = 0;
	return 0;
}

static void choose_cpus(unsigned hubs)
{
	int cpus[GROVE_MAX_HUBS];
	size_t count = gv_os_cpu_list(cpus, GV_ARRAY_LEN(cpus));

	if (count == 0 || count > GV_ARRAY_LEN(cpus) || gv_runtime.options.pin == GROVE_PIN_OFF)
		return;
	if (gv_runtime.options.pin == GROVE_PIN_AUTO &&
	    (hubs != count || gv_os_cpu_count() != count))
		return;
	for (unsigned i = 0; i < hubs; i++)
		gv_runtime.hubs[i]->cpu = cpus[i % count];
}

/* Hubs and helpers leave signals to the program's own threads, where its handlers expect them. */
static int start_thread(struct gv_hub *hub)
{
	sigset_t all;
	sigset_t before;

	if (gv_fault_here("hub thread"))
		return -EAGAIN;
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, SIGPROF);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&hub->thread, NULL, hub_thread, hub);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int gv_runtime_begin(unsigned hubs, bool here)
{
	unsigned ready = 0;
	int rc = 0;

	for (; ready < hubs && rc == 0; ready++) {
		if (gv_runtime.hubs[ready] == NULL)
			gv_runtime.hubs[ready] = new_hub(ready);
		if (gv_runtime.hubs[ready] == NULL)
			rc = -ENOMEM;
		else
			rc = renew_hub(gv_runtime.hubs[ready]);
		if (rc < 0)
			break;
	}
	if (rc < 0)
		goto close_caches;

	gv_runtime.plain_spawn = !gv_runtime.counting && gv_runtime.options.on_spawn == NULL &&
				 gv_runtime.options.order != GROVE_ORDER_STRICT;
	choose_cpus(hubs);
	gv_idle_setup(hubs);
	gv_store(&gv_runtime.stopping, 0, relaxed); /* relaxed: no hub runs yet */
	gv_store(&gv_runtime.active_hubs, hubs, relaxed);
	gv_store(&gv_runtime.hub_count, hubs, release); /* [hubs] */

	for (unsigned i = here ? 1 : 0; i < hubs; i++) {
		rc = start_thread(gv_runtime.hubs[i]);
		if (rc < 0) {
			/* Those that run already find their work done. */
			gv_runtime_ask_stop();
			for (unsigned j = here ? 1 : 0; j < i; j++)
				pthread_join(gv_runtime.hubs[j]->thread, NULL);
			gv_slab_cache_close(&gv_runtime.hubs[i]->records);
			gv_slab_cache_close(&gv_runtime.hubs[i]->nodes);
			for (unsigned j = i + 1; j < hubs; j++) {
				gv_slab_cache_close(&gv_runtime.hubs[j]->records);
				gv_slab_cache_close(&gv_runtime.hubs[j]->nodes);
			}
			if (here) {
				gv_slab_cache_close(&gv_runtime.hubs[0]->records);
				gv_slab_cache_close(&gv_runtime.hubs[0]->nodes);
			}
			gv_store(&gv_runtime.hub_count, 0, release); /* [hubs] */
			return rc;
		}
	}
	if (here) {
		here_before = gv_self_get();
		move_in(gv_runtime.hubs[0]);
	}
	return 0;

close_caches:
	while (ready-- > 0) {
		gv_slab_cache_close(&gv_runtime.hubs[ready]->records);
		gv_slab_cache_close(&gv_runtime.hubs[ready]->nodes);
	}
	return rc;
}

void gv_runtime_loop_here(void)
{
	struct gv_hub *hub = gv_runtime.hubs[0];
	int cpus[GROVE_MAX_HUBS];
	size_t count = 0;

	/* The pthread is the program's: it gets its freedom back. */
	if (hub->cpu >= 0) {
		count = gv_os_cpu_list(cpus, GV_ARRAY_LEN(cpus));
		gv_os_pin(hub->cpu);
	}
	gv_loop_run(hub);
	move_out(hub);
	gv_self_set(here_before);
	if (hub->cpu >= 0 && count <= GV_ARRAY_LEN(cpus))
		gv_os_pin_to(cpus, count);
}

void gv_runtime_ask_stop(void)
{
	gv_store(&gv_runtime.stopping, GV_STOP_WHEN_IDLE, seq_cst); /* [stop] */
	for (unsigned i = 0; i < gv_hub_total(); i++)
		gv_idle_wake(gv_runtime.hubs[i]);
}

void gv_runtime_abandon(void)
{
	gv_store(&gv_runtime.stopping, GV_STOP_NOW, seq_cst); /* [stop] */
	for (unsigned i = 0; i < gv_hub_total(); i++) {
		struct gv_hub *hub = gv_runtime.hubs[i];

		if (hub->thread != 0)
			pthread_detach(hub->thread);
		gv_idle_wake(hub);
	}
}

void gv_runtime_end(void)
{
	unsigned hubs = gv_hub_total();

	for (unsigned i = 0; i < hubs; i++) {
		struct gv_hub *hub = gv_runtime.hubs[i];

		if (hub->thread != 0)
			pthread_join(hub->thread, NULL);
		hub->thread = 0;
	}
	gv_store(&gv_runtime.hub_count, 0, release); /* [hubs] */
}

void gv_runtime_forget(void)
{
	memset(gv_runtime.hubs, 0, sizeof(gv_runtime.hubs));
	gv_store(&gv_runtime.hub_count, 0, relaxed); /* relaxed: the only thread */
	gv_store(&gv_runtime.holds, 0, relaxed);
	gv_store(&gv_runtime.foreign_spawned, 0, relaxed);
	gv_store(&gv_runtime.foreign_ended, 0, relaxed);
}

void gv_runtime_set_active(unsigned hubs)
{
	unsigned total = gv_hub_total();

	if (hubs > total)
		hubs = total;
	if (hubs == 0)
		hubs = 1;
	for (unsigned i = 0; i < total; i++)
		gv_store(&gv_runtime.hubs[i]->retired, i >= hubs, seq_cst); /* [stop] */
	gv_store(&gv_runtime.active_hubs, hubs, relaxed); /* relaxed: any hub will do */
	for (unsigned i = 0; i < hubs; i++)
		gv_idle_wake(gv_runtime.hubs[i]);
}
