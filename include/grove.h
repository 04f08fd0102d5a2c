/* SPDX-License-Identifier: MIT */
/**
 * @file
 * grove.h - everything that Grove offers to programs.
 */
#ifndef GROVE_H
#define GROVE_H

#include <grove/async.h>
#include <grove/base.h>
#include <grove/event.h>
#include <grove/failure.h>
#include <grove/flag.h>
#include <grove/greenlet.h>
#include <grove/io.h>
#include <grove/result.h>
#include <grove/runtime.h>
#include <grove/server.h>
#include <grove/stats.h>
#include <grove/timer.h>
#include <grove/version.h>

#endif
