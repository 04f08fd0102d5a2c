/* SPDX-License-Identifier: MIT */
/*
 * rng.h - a small generator per hub, for victims and probes; not for secrets.
 *
 * Layer   base.  Not thread safe: one state per thread.
 */
#ifndef GV_RNG_H
#define GV_RNG_H

#include <stdint.h>

struct gv_rng {
	uint64_t state;
};

/* The state must never be zero: xorshift would stay there. */
static inline void gv_rng_seed(struct gv_rng *rng, uint64_t seed)
{
	rng->state = seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
	if (rng->state == 0)
		rng->state = 1;
}

static inline uint64_t gv_rng_next(struct gv_rng *rng)
{
	uint64_t x = rng->state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	rng->state = x;
	return x;
}

/* A number below `bound`, which must not be 0.  The slight bias does not matter for victims. */
static inline uint32_t gv_rng_below(struct gv_rng *rng, uint32_t bound)
{
	return (uint32_t)(((gv_rng_next(rng) >> 32) * (uint64_t)bound) >> 32);
}

#endif
