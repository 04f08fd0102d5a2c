/* SPDX-License-Identifier: MIT */
/**
 * @file
 * version.h - which Grove this is.
 */
#ifndef GROVE_VERSION_H
#define GROVE_VERSION_H

#include <grove/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of these headers. */
#define GROVE_VERSION_MAJOR 0
#define GROVE_VERSION_MINOR 1
#define GROVE_VERSION_PATCH 0

/** The same as one number that can be compared: 0x00MMmmpp. */
#define GROVE_VERSION_NUMBER                                                                       \
	((GROVE_VERSION_MAJOR << 16) | (GROVE_VERSION_MINOR << 8) | GROVE_VERSION_PATCH)

/**
 * Tell the version of the library that is loaded, which may be newer than these headers.
 *
 * Returns      "major.minor.patch"; lives as long as the library.
 *
 * From         anywhere, signal handlers too.
 */
GROVE_API const char *grove_version(void);

#ifdef __cplusplus
}
#endif

#endif
