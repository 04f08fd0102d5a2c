/* SPDX-License-Identifier: MIT */
/*
 * timer_wheel.c - which timer is due, in work that does not grow with the number of timers.
 *
 * Layer   store.  Below: plat/lock.h.
 * Owns    struct gv_wheel, and the timers that are armed on it.
 * Entry   gv_wheel_start(), gv_wheel_cancel(), gv_wheel_expire().
 *
 *          start                 advance                deliver
 *   idle ---------> in a slot ------------> in `due` --------------> idle
 *    ^               |     ^                    |
 *    |               '-----' cascade            |
 *    '--------------- cancel -------------------'
 *
 * Deadlines are rounded up to ticks.  `tick` is how far the wheel has come.  A timer of a later
 * tick t lies on the level of the highest group of eight bits in which t and `tick` differ, in the
 * slot that this group of t names.  So within a level the slots come one after the other, all
 * slots of a level come before those of the next, and all that is needed to find the earliest is
 * the lowest bit of the lowest bitmap.  Reaching a slot of level 0 makes its timers due; reaching
 * another one spreads its timers over the levels below it.
 *
 * W1  No slot starts at or before `tick`, but for the one that is being cascaded.  `tick` may move
 *     up to the start of the first occupied slot, or to any time before it, without moving a timer.
 * W2  `tick` moves only while `due` is empty and no cascade is unfinished.
 * W3  Every slot list is in the order of starts.  A slot's timers are older than any that was
 *     started straight into a slot of its range, because that is possible only after `tick` has
 *     reached the range; so a cascade runs from the end and puts each timer in front.
 * W4  next_ns is never later than the first time at which a call of expire delivers something.
 *     Starting keeps it exact, cancelling may leave it early, expiring corrects it.
 * W5  The wheel touches a timer only under the lock and while timer->wheel names this wheel.
 *
 * [detach]    delivery and cancel: last access to the timer, then timer->wheel = NULL (release).
 *             gv_wheel_cancel and gv_wheel_armed: load of timer->wheel (acquire).
 *     Who reads NULL may reuse the memory without having taken the lock.
 * [earliest]  start and expire store next_ns (release), under the lock.
 *             gv_wheel_next_ns loads it (acquire).
 *     A reader that finds a time due finds its timer; missing the newest value is prevented by
 *     whoever goes to sleep after reading it (the fences of the idle protocol).
 *
 * Rejected: coarse upper levels without cascades (late by a share of the delay); a heap (a cold
 * cache line per level of the tree, and cancelling moves other timers); 64 slots per level (each
 * cascade visits each timer, in cold memory: with 256 most timers of a second are visited once).
 */
#include "store/timer_wheel.h"

#include "base/check.h"

#include <errno.h>

enum {
	LEVELS = GV_WHEEL_LEVELS,
	SLOT_BITS = GV_WHEEL_SLOT_BITS,
	SLOT_MASK = GV_WHEEL_SLOTS - 1,
	IN_DUE = GV_WHEEL_LEVELS, /* timer->level of those that reached `due` by a cascade */

	/* A slot of an upper level with up to so many timers is looked through for the earliest. */
	EXACT = 8,
};

_Static_assert(GV_WHEEL_TICK_BITS + LEVELS * SLOT_BITS >= 64, "every deadline has a slot");
_Static_assert(LEVELS <= 32, "levels fit in the word `occupied`");

/* The first tick at or after the deadline. */
static uint64_t tick_of(int64_t when_ns)
{
	uint64_t when = when_ns > 0 ? (uint64_t)when_ns : 0;

	return (when + (1u << GV_WHEEL_TICK_BITS) - 1) >> GV_WHEEL_TICK_BITS;
}

/* When the tick begins; never INT64_MAX, which says that nothing is armed. */
static int64_t time_of(uint64_t tick)
{
	return tick <= (uint64_t)INT64_MAX >> GV_WHEEL_TICK_BITS
		       ? (int64_t)(tick << GV_WHEEL_TICK_BITS)
		       : INT64_MAX - 1;
}

static unsigned level_shift(unsigned level)
{
	return level * SLOT_BITS;
}

static struct gv_wheel_timer *timer_of(struct gv_list *link)
{
	return GV_CONTAINER_OF(link, struct gv_wheel_timer, link);
}

void gv_wheel_init(struct gv_wheel *wheel, int64_t now_ns)
{
	*wheel = (struct gv_wheel){ .tick = (uint64_t)GV_MAX(now_ns, 0) >> GV_WHEEL_TICK_BITS };
	gv_list_init(&wheel->due);
	for (unsigned level = 0; level < LEVELS; level++) {
		for (unsigned slot = 0; slot < GV_WHEEL_SLOTS; slot++)
			gv_list_init(&wheel->slot[level][slot]);
	}
	gv_store(&wheel->next_ns, INT64_MAX, relaxed); /* relaxed: nobody else knows the wheel */
}

/* The list in which the timer belongs now; its bits are set and the timer knows its place. */
static struct gv_list *find_place(struct gv_wheel *wheel, struct gv_wheel_timer *timer,
				  uint64_t tick)
{
	if (tick <= wheel->tick) {
		timer->level = IN_DUE;
		return &wheel->due;
	}

	unsigned highest = 63 - (unsigned)__builtin_clzll(tick ^ wheel->tick);
	unsigned level = highest / SLOT_BITS;
	unsigned slot = (unsigned)(tick >> level_shift(level)) & SLOT_MASK;
	timer->level = (uint8_t)level;
	timer->slot = (uint8_t)slot;
	wheel->bitmap[level][slot / 64] |= UINT64_C(1) << slot % 64;
	wheel->occupied |= 1u << level;
	return &wheel->slot[level][slot];
}

/* GV_WHEEL_SLOTS if none is occupied. */
static unsigned lowest_slot(const struct gv_wheel *wheel, unsigned level)
{
	for (unsigned i = 0; i < GV_WHEEL_SLOTS / 64; i++) {
		uint64_t word = wheel->bitmap[level][i];

		if (word != 0)
			return i * 64 + (unsigned)__builtin_ctzll(word);
	}
	return GV_WHEEL_SLOTS;
}

static void clear_if_empty(struct gv_wheel *wheel, unsigned level, unsigned slot)
{
	if (!gv_list_empty(&wheel->slot[level][slot]))
		return;
	uint64_t word = wheel->bitmap[level][slot / 64] &= ~(UINT64_C(1) << slot % 64);
	if (word == 0 && lowest_slot(wheel, level) == GV_WHEEL_SLOTS)
		wheel->occupied &= ~(1u << level);
}

static void set_armed(struct gv_wheel *wheel, uint64_t armed)
{
	gv_store(&wheel->armed, armed, relaxed); /* relaxed: statistics; written under the lock */
}

static void set_next(struct gv_wheel *wheel, int64_t next_ns)
{
	gv_store(&wheel->next_ns, next_ns, release); /* [earliest] */
}

void gv_wheel_start(struct gv_wheel *wheel, struct gv_wheel_timer *timer, int64_t when_ns)
{
	uint64_t tick = tick_of(when_ns);

	GV_DEBUG_CHECK(!gv_wheel_armed(timer), "timer %p is armed", (void *)timer);
	timer->when_ns = when_ns;

	gv_lock_acquire(&wheel->lock);
	timer->sequence = wheel->sequence++ & ((UINT64_C(1) << 48) - 1);
	gv_list_append(find_place(wheel, timer, tick), &timer->link);
	gv_store(&timer->wheel, wheel, relaxed); /* relaxed: who acts on it takes the lock */
	set_armed(wheel, gv_wheel_armed_count(wheel) + 1);
	/* relaxed: written under the lock */
	if (time_of(tick) < gv_load(&wheel->next_ns, relaxed))
		set_next(wheel, time_of(tick));
	gv_lock_release(&wheel->lock);
}

static void cancel_locked(struct gv_wheel *wheel, struct gv_wheel_timer *timer)
{
	uint64_t armed = gv_wheel_armed_count(wheel) - 1;

	/* A timer that came to `due` with its whole slot finds that slot empty: harmless. */
	gv_list_remove(&timer->link);
	if (timer->level != IN_DUE)
		clear_if_empty(wheel, timer->level, timer->slot);
	set_armed(wheel, armed);
	if (armed == 0)
		set_next(wheel, INT64_MAX);
	gv_store(&timer->wheel, NULL, release); /* [detach] */
}

bool gv_wheel_cancel(struct gv_wheel_timer *timer)
{
	/* [detach] */
	struct gv_wheel *wheel = gv_load(&timer->wheel, acquire);
	if (wheel == NULL)
		return false;

	gv_lock_acquire(&wheel->lock);
	/* relaxed: cleared under the lock.  It cannot name another wheel, see the contract. */
	bool armed = gv_load(&timer->wheel, relaxed) != NULL;
	if (armed)
		cancel_locked(wheel, timer);
	gv_lock_release(&wheel->lock);
	return armed;
}

/*
 * Expiry.  All of this under the lock.
 */

/* Where the first occupied slot starts; there is one. */
static uint64_t first_slot(const struct gv_wheel *wheel, unsigned *level, unsigned *slot)
{
	*level = (unsigned)__builtin_ctz(wheel->occupied);
	*slot = lowest_slot(wheel, *level);

	uint64_t range = wheel->tick >> level_shift(*level + 1) << level_shift(*level + 1);
	return range | (uint64_t)*slot << level_shift(*level);
}

/* Go to the next slot that starts by `target`.  False: there is none, the wheel is at `target`. */
static bool advance(struct gv_wheel *wheel, uint64_t target)
{
	unsigned level = 0, slot = 0;
	uint64_t start = wheel->occupied != 0 ? first_slot(wheel, &level, &slot) : UINT64_MAX;

	if (start > target) {
		wheel->tick = GV_MAX(wheel->tick, target);
		return false;
	}
	wheel->tick = start;
	if (level > 0) {
		wheel->cascading = level;
		return true;
	}
	gv_list_move_all(&wheel->due, &wheel->slot[0][slot]);
	clear_if_empty(wheel, 0, slot);
	return true;
}

/* Spread the slot that the wheel has reached.  False: the work is used up, some are left. */
static bool cascade(struct gv_wheel *wheel, unsigned *work)
{
	unsigned level = wheel->cascading;
	unsigned slot = (unsigned)(wheel->tick >> level_shift(level)) & SLOT_MASK;
	struct gv_list *from = &wheel->slot[level][slot];

	while (!gv_list_empty(from)) {
		if (*work == 0)
			return false;
		--*work;

		/* From the end to the front, see W3. */
		struct gv_wheel_timer *timer = timer_of(from->prev);
		gv_list_remove(&timer->link);
		struct gv_list *to = find_place(wheel, timer, tick_of(timer->when_ns));
		gv_list_append(to->next, &timer->link);
	}
	clear_if_empty(wheel, level, slot);
	wheel->cascading = 0;
	return true;
}

static size_t deliver(struct gv_wheel *wheel, struct gv_wheel_fired out[], size_t room)
{
	struct gv_list *link = wheel->due.next;
	size_t count = 0;

	for (; count < room && link != &wheel->due; count++) {
		struct gv_wheel_timer *timer = timer_of(link);

		link = link->next;
		__builtin_prefetch(link, 1);
		out[count] = (struct gv_wheel_fired){
			.cookie = { timer->cookie[0], timer->cookie[1] },
			.when_ns = timer->when_ns,
			.sequence = timer->sequence,
		};
		gv_store(&timer->wheel, NULL, release); /* [detach] */
	}
	/* The links of what was delivered are not valid any more, only this end of the list is. */
	wheel->due.next = link;
	link->prev = &wheel->due;
	return count;
}

static int64_t find_next(const struct gv_wheel *wheel)
{
	if (wheel->cascading != 0 || !gv_list_empty(&wheel->due))
		return time_of(wheel->tick);
	if (wheel->occupied == 0)
		return INT64_MAX;

	unsigned level, slot;
	uint64_t start = first_slot(wheel, &level, &slot);
	if (level == 0)
		return time_of(start);

	/* For a few timers it pays to know better: a sleeper need not wake up for the cascade. */
	const struct gv_list *head = &wheel->slot[level][slot];
	uint64_t earliest = UINT64_MAX;
	struct gv_list *link = head->next;
	for (int i = 0; link != head; i++, link = link->next) {
		if (i == EXACT)
			return time_of(start);
		uint64_t tick = tick_of(timer_of(link)->when_ns);
		earliest = GV_MIN(earliest, tick);
	}
	return time_of(earliest);
}

static size_t expire_locked(struct gv_wheel *wheel, int64_t now_ns, struct gv_wheel_fired out[],
			    size_t room)
{
	uint64_t target = (uint64_t)GV_MAX(now_ns, 0) >> GV_WHEEL_TICK_BITS;
	unsigned work = GV_WHEEL_WORK;
	size_t count = 0;

	while (count < room) {
		if (wheel->cascading != 0 && !cascade(wheel, &work))
			break;
		if (!gv_list_empty(&wheel->due))
			count += deliver(wheel, out + count, room - count);
		else if (!advance(wheel, target))
			break;
	}
	if (count != 0)
		set_armed(wheel, gv_wheel_armed_count(wheel) - count);
	set_next(wheel, find_next(wheel));
	return count;
}

static bool is_later(const struct gv_wheel_fired *a, const struct gv_wheel_fired *b)
{
	return a->when_ns != b->when_ns ? a->when_ns > b->when_ns : a->sequence > b->sequence;
}

static bool is_sorted(const struct gv_wheel_fired fired[], size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (is_later(&fired[i - 1], &fired[i]))
			return false;
	}
	return true;
}

/* Shell's sort: in place, and little work where the order is nearly right. */
static void sort(struct gv_wheel_fired fired[], size_t count)
{
	static const size_t gaps[] = { 701, 301, 132, 57, 23, 10, 4, 1 };

	if (is_sorted(fired, count))
		return;
	for (size_t g = 0; g < GV_ARRAY_LEN(gaps); g++) {
		size_t gap = gaps[g];

		for (size_t i = gap; i < count; i++) {
			struct gv_wheel_fired moving = fired[i];
			size_t to = i;

			for (; to >= gap && is_later(&fired[to - gap], &moving); to -= gap)
				fired[to] = fired[to - gap];
			fired[to] = moving;
		}
	}
}

size_t gv_wheel_expire(struct gv_wheel *wheel, int64_t now_ns, struct gv_wheel_fired out[],
		       size_t room)
{
	if (gv_wheel_next_ns(wheel) > now_ns)
		return 0;

	gv_lock_acquire(&wheel->lock);
	size_t count = expire_locked(wheel, now_ns, out, room);
	gv_lock_release(&wheel->lock);
	sort(out, count);
	return count;
}

int gv_wheel_try_expire(struct gv_wheel *wheel, int64_t now_ns, struct gv_wheel_fired out[],
			size_t room, size_t *count)
{
	*count = 0;
	if (gv_wheel_next_ns(wheel) > now_ns)
		return 0;
	if (!gv_lock_try(&wheel->lock))
		return -EBUSY;
	*count = expire_locked(wheel, now_ns, out, room);
	gv_lock_release(&wheel->lock);
	sort(out, *count);
	return 0;
}
