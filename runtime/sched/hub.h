/* SPDX-License-Identifier: MIT */
/*
 * hub.h - a hub: one pthread, its queues, and who may touch which of its fields.
 *
 * Layer   sched.
 *
 * [hubs]  runtime.c: store-release hub_count after the hubs are made.  gv_hub_total: load-acquire.
 */
#ifndef GV_HUB_H
#define GV_HUB_H

#include "base/atomic.h"
#include "base/compiler.h"
#include "base/rng.h"
#include "plat/lock.h"
#include "plat/sanitize.h"
#include "sched/record.h"
#include "sched/self.h"
#include "store/deque.h"
#include "store/fifo.h"
#include "store/inbox.h"
#include "store/reclaim.h"
#include "store/slab.h"
#include "store/stack.h"
#include "store/timer_wheel.h"

#include "grove/runtime.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What stands in a queue: the address of a record or of a node, and two bits.  A record may stand
 * in queues as the entry that starts it (FRESH), and later as a greenlet that goes on.
 */
typedef uintptr_t gv_item;
#define GV_ITEM_NODE ((uintptr_t)1)  /* something to do, see struct gv_hooks */
#define GV_ITEM_FRESH ((uintptr_t)2) /* starts the greenlet, unless somebody else did */
#define GV_ITEM_BITS ((uintptr_t)3)

/* Nodes that are put into inboxes have their link here; records have it elsewhere. */
#define GV_NODE_LINK_OFFSET 48
_Static_assert(offsetof(struct grove_greenlet, link) != GV_NODE_LINK_OFFSET, "told apart by it");

/* Park words. */
enum gv_park {
	GV_PARK_RUN = 0,
	GV_PARK_FUTEX = 1,  /* sleeps on the park word */
	GV_PARK_POLL = 2,   /* sleeps in the poller */
	GV_PARK_SEARCH = 3, /* was woken, and is counted as a searcher already */
};

#define GV_TICK_PICKS 61
#define GV_FAIR_TICKS_MAX 256
#define GV_LOOT_MAX 4096

/* Counters that their owner writes with plain stores and others add up. */
struct gv_hub_stats {
	_Atomic uint64_t spawned;
	_Atomic uint64_t ended;
	_Atomic uint64_t switches;
	_Atomic uint64_t steals_tried;
	_Atomic uint64_t steals_won; /* greenlets */
	_Atomic uint64_t inbox_passes;
	_Atomic uint64_t wakeups;
	_Atomic uint64_t sleeps;
	_Atomic uint64_t polls;
	_Atomic uint64_t polls_ready; /* descriptor events */
	_Atomic uint64_t timers_fired;
	_Atomic uint64_t callbacks;
	_Atomic uint64_t stacks_refused;
	_Atomic uint64_t ticks;
};

struct gv_hub {
	/* Owner only, hot. */
	struct gv_self self;
	struct grove_greenlet *current; /* &root in hub context */
	int *errno_location;
	uintptr_t *exceptions; /* the C++ runtime's two words, or NULL */
	uint32_t tick_left;    /* picks until the next tick */
	uint16_t id;
	/* Set around code that changes what is below: a signal handler that finds it set must not. */
	volatile uint8_t inside;
	bool strict;
	int16_t fair_left;	     /* ticks until the oldest fresh greenlet is run */
	int16_t fair_ticks;	     /* how many that is */
	struct grove_greenlet *fair; /* who was run that way last; compared only */
	bool turn;		     /* whose turn: FIFO or deque */
	bool pinned_turn;	     /* or the pinned ones', before those two */
	bool save_fpu;
	bool carries; /* exceptions or save_fpu: there is more to a switch than registers */
	bool owes;    /* somebody in `owed`, or a notify */
	bool owes_notify;
	bool spilled;		     /* the FIFO was full: what follows goes to the shared inbox */
	gv_item pending;	     /* a node for the root context */
	struct gv_stack *dead_stack; /* of a greenlet that ended: freed by whoever runs next */
	struct gv_link *pinned_oldest;
	struct gv_link *pinned_newest;
	_Atomic uint64_t picks; /* read by the sentinel */
	struct gv_slab_cache records;
	struct gv_slab_cache nodes;
	struct gv_stack_cache stacks;
	struct gv_hub_stats stats;

	struct gv_fifo fifo;
	struct gv_deque deque;

	/* Owner only, cold. */
	struct grove_greenlet root;
	struct gv_sanitizer sanitizer;
	struct gv_thief thief;
	struct gv_rng rng;
	struct gv_reclaim_reader reader;
	pthread_t thread;
	int cpu; /* pinned to, or -1 */
	void *signal_stack;
	uint64_t owed[GROVE_MAX_HUBS / 64]; /* hubs to wake at the next scheduling point */
	int64_t last_poll_ns;
	gv_item *loot;
	bool woken_soon; /* the last sleep was short */

	/* Anybody. */
	struct gv_inbox shared GV_ALIGNED(GV_CACHE_LINE); /* thieves may take it as a whole */
	struct gv_inbox pinned;				  /* only the owner takes it */
	_Atomic uint32_t park GV_ALIGNED(GV_CACHE_LINE);
	_Atomic bool retired; /* the quota shrank: runs nothing but what is pinned */
	uint64_t picks_seen;  /* the sentinel's */
	_Atomic uint64_t
		stuck_at; /* its picks when the sentinel last found that it does not move */
	_Atomic uintptr_t running_timer; /* whose callback runs here: prim/timer.c */
	struct gv_wheel wheel;
} GV_ALIGNED(GV_CACHE_LINE);

/*
 * What the layers above do when the scheduler reaches their things.  All run in hub context on the
 * root stack with `inside` set; set once before the first hub runs.
 */
struct gv_hooks {
	/* Run a node that was found in a queue.  Returns with it disposed of, or put back. */
	void (*run_node)(struct gv_hub *hub, void *node);
	/* A timer of somebody's wheel is due: the cookie that was armed. */
	void (*timer_due)(struct gv_hub *hub, const uint64_t cookie[2]);
	/* Look for ready descriptors; sleep for up to timeout_ns (0 looks, < 0 no limit). */
	void (*poll)(struct gv_hub *hub, int64_t timeout_ns);
	/* Make the hub that sleeps in poll return.  Any thread, signal handlers included. */
	void (*interrupt_poll)(void);
	/* Whether any descriptor is watched. */
	bool (*poll_wanted)(void);
	/* A foreign pthread whose wait was claimed must be told. */
	void (*wake_foreign)(struct grove_greenlet *proxy);
	/* The first thing a fresh greenlet does; never returns. */
	void (*main)(void *hub);
	/* Kills that were never delivered go with the record. */
	void (*drop_kills)(struct grove_greenlet *g);
	/* Start the runtime if it does not run.  Returns 0 or a code of grove_start. */
	int (*ensure)(void);
	/* No memory for the stack of a greenlet that was to run: end it with a failure. */
	void (*cannot_start)(struct gv_hub *hub, struct grove_greenlet *g);
};

/* One runtime per process.  Written by start and stop only, but for the atomics. */
struct gv_runtime {
	struct gv_hub *hubs[GROVE_MAX_HUBS]; /* made once, kept until the process ends */
	_Atomic uint32_t hub_count;	     /* of this run */
	_Atomic uint32_t active_hubs;	     /* of these, not retired: follows the quota */
	_Atomic uint32_t stopping;	     /* hubs leave their loops */
	_Atomic uint32_t next_hub;	     /* round robin for spawns from outside */
	struct gv_hooks hooks;
	grove_options options; /* resolved: no field means "default" any more */
	bool plain_spawn; /* neither max_greenlets nor on_spawn: most of gv_spawn can be left out */
	bool counting;	  /* max_greenlets: live greenlets are counted exactly */
	_Atomic uint64_t live;
	_Atomic int64_t holds;
	_Atomic uint64_t foreign_spawned;
	_Atomic uint64_t foreign_ended;
	_Atomic uint64_t main_id;  /* the main greenlet of grove_run, or 0 */
	_Atomic uint32_t draining; /* no new greenlets */
};

extern struct gv_runtime gv_runtime;
extern struct gv_slab gv_nodes;

static inline struct gv_hub *gv_hub_at(unsigned number)
{
	return gv_runtime.hubs[number];
}

static inline unsigned gv_hub_total(void)
{
	return gv_load(&gv_runtime.hub_count, acquire); /* [hubs] runtime.c */
}

/* Whether it has been computing since the sentinel looked: what is given to it would wait. */
static inline bool gv_hub_stuck(struct gv_hub *hub)
{
	uint64_t at = gv_load(&hub->stuck_at, relaxed); /* relaxed: a hint */

	return GV_UNLIKELY(at != 0) && gv_load(&hub->picks, relaxed) == at; /* relaxed: a hint */
}

static inline bool gv_item_is_node(gv_item item)
{
	return (item & GV_ITEM_NODE) != 0;
}

static inline struct grove_greenlet *gv_item_record(gv_item item)
{
	return (struct grove_greenlet *)(item & ~GV_ITEM_BITS);
}

static inline void *gv_item_node(gv_item item)
{
	return (void *)(item & ~GV_ITEM_BITS);
}

/* Owner statistics: a plain add that others may read at any time. */
#define gv_count(counter)                                                                          \
	gv_store((counter), gv_load((counter), relaxed) + 1, relaxed) /* relaxed: statistics */
#define gv_count_many(counter, n)                                                                  \
	gv_store((counter), gv_load((counter), relaxed) + (n), relaxed) /* relaxed: statistics */

/*
 * Enter the runtime: the calling hub, with `inside` set; NULL for a foreign pthread, and for a
 * signal handler that interrupted the runtime on this hub.  Such a caller is remote: it may use
 * nothing of any hub but its inboxes and its park word.
 */
static inline struct gv_hub *gv_enter(void)
{
	struct gv_hub *hub = gv_hub_self();

	if (GV_UNLIKELY(hub == NULL || hub->inside))
		return NULL;
	hub->inside = 1;
	gv_compiler_barrier();
	return hub;
}

/* Leave it, on whatever hub the caller is now. */
static inline void gv_leave(struct gv_hub *hub)
{
	gv_compiler_barrier();
	hub->inside = 0;
}

static inline bool gv_in_hub_context(const struct gv_hub *hub)
{
	return hub->current == &hub->root;
}

#endif
