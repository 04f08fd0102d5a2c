# SPDX-License-Identifier: MIT
#
# Every switch of the build, checked once.

option(GROVE_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(GROVE_BUILD_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(GROVE_BUILD_BENCHMARKS "Build the benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(GROVE_BUILD_STATIC "Also build and install libgrove.a" OFF)
option(GROVE_INSTALL "Create the install rules" ${PROJECT_IS_TOP_LEVEL})
option(GROVE_WERROR "Treat warnings as errors" OFF)
option(GROVE_CHECKED "Costly checks of the runtime's own state (GV_CHECKED)" OFF)
option(GROVE_FAULT "Named failure points that tests can trigger (GV_FAULT)" OFF)
option(GROVE_PERTURB "Random delays before shared accesses (GV_PERTURB)" OFF)

set(GROVE_SANITIZE "" CACHE STRING "Sanitizer: empty, address, undefined or thread")
set_property(CACHE GROVE_SANITIZE PROPERTY STRINGS "" address undefined thread)
if(NOT GROVE_SANITIZE MATCHES "^(|address|undefined|thread)$")
	message(FATAL_ERROR
		"GROVE_SANITIZE is '${GROVE_SANITIZE}'; it must be empty, address, undefined or thread.")
endif()

# The name under which runtime/plat/ keeps its assembly for this processor; empty if it has none.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
	set(GROVE_ARCH x86_64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
	set(GROVE_ARCH aarch64)
else()
	set(GROVE_ARCH "")
endif()
if(GROVE_ARCH)
	set(context_default asm)
else()
	set(context_default ucontext)
endif()
set(GROVE_CONTEXT ${context_default} CACHE STRING "Context switch: asm or ucontext")
set_property(CACHE GROVE_CONTEXT PROPERTY STRINGS asm ucontext)
if(NOT GROVE_CONTEXT MATCHES "^(asm|ucontext)$")
	message(FATAL_ERROR "GROVE_CONTEXT is '${GROVE_CONTEXT}'; it must be asm or ucontext.")
endif()
if(GROVE_CONTEXT STREQUAL "asm" AND NOT GROVE_ARCH)
	message(FATAL_ERROR
		"There is no assembly for ${CMAKE_SYSTEM_PROCESSOR}; configure with -DGROVE_CONTEXT=ucontext.")
endif()

# What programs get: optimised, asserts off, with line tables for backtraces.
get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(PROJECT_IS_TOP_LEVEL AND NOT multi_config AND NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()
if(PROJECT_IS_TOP_LEVEL)
	set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()
