/* SPDX-License-Identifier: MIT */
/*
 * chores.h - what some hub does now and then.
 *
 * Layer   api.
 */
#ifndef GV_API_CHORES_H
#define GV_API_CHORES_H

/* Hubs run from now on; and none runs any more. */
void gv_chores_begin(void);
void gv_chores_end(void);

#endif
