/* SPDX-License-Identifier: MIT */
/*
 * steal_word.h - the word in which a thief announces what it is about to take.
 *
 * Layer   store.  Used by deque.c and fifo.c, whose opening comments say what the states mean.
 *
 *     63        53 52      40 39                    0
 *    | thief (11) | len (13) |  top (40)             |
 *
 * thief = 0: idle, len = 0, and everything below `top` is gone.  Otherwise hub `thief - 1` has
 * announced the `len` items that begin at `top`.  As the thief's number is part of the word, no
 * second thief can bring back a value that a first one still expects (no ABA).  Indices are compared
 * modulo 2^40.
 */
#ifndef GV_STEAL_WORD_H
#define GV_STEAL_WORD_H

#include "base/atomic.h"
#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>

#define GV_STEAL_MAX 4096u /* items in one announcement */
#define GV_STEAL_TOP_MASK ((UINT64_C(1) << 40) - 1)
#define GV_STEAL_OWNER 0x7ffu /* thief number by which an owner keeps thieves out */

static inline uint64_t gv_steal_pack(uint64_t top, uint64_t len, unsigned thief)
{
	return (top & GV_STEAL_TOP_MASK) | (len << 40) | ((uint64_t)thief << 53);
}

static inline bool gv_steal_idle(uint64_t word)
{
	return word <= GV_STEAL_TOP_MASK;
}

static inline uint64_t gv_steal_len(uint64_t word)
{
	return (word >> 40) & 0x1fff;
}

static inline unsigned gv_steal_thief(uint64_t word)
{
	return (unsigned)(word >> 53);
}

/* How far `index` lies above the word's top; negative below it. */
static inline int64_t gv_steal_distance(uint64_t index, uint64_t word)
{
	return (int64_t)((index - word) << 24) >> 24;
}

/* What a hub needs to steal: its number, and stamps that it never gives twice. */
struct gv_thief {
	unsigned id; /* 1 + the number of the hub; GV_STEAL_OWNER is not a hub */
	uint64_t stamps;
};

/* The two words by which a thief learns that its announcement was seen. */
struct gv_steal_stamp {
	_Atomic uint64_t asked;				 /* thieves, while they are announced */
	_Atomic uint64_t seen GV_ALIGNED(GV_CACHE_LINE); /* owner */
};

/*
 * Thief, after its announcement: wait until the owner is known to have seen it, because it says so,
 * which costs nothing if it is at work on its queue, or else because a heavy fence makes it so.
 * Bounded: a stuck owner is not waited for.
 */
void gv_steal_settle(struct gv_steal_stamp *stamp, struct gv_thief *thief);

/* Owner, after it saw a word that is not idle. */
void gv_steal_acknowledge(struct gv_steal_stamp *stamp);

#endif
