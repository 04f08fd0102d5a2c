/* SPDX-License-Identifier: MIT */
/*
 * version.c - which Grove is loaded.
 *
 * Layer   api.
 */
#include "grove/version.h"

#define TEXT(x) #x
#define NUMBERS(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *grove_version(void)
{
	return NUMBERS(GROVE_VERSION_MAJOR, GROVE_VERSION_MINOR, GROVE_VERSION_PATCH);
}
