/* SPDX-License-Identifier: MIT */
/* The same program, read as C++17. */
#include "probe.c"
