# SPDX-License-Identifier: MIT
#
# Three interface targets: grove_sanitizer for everything that is compiled or linked here,
# grove_warnings for our own C, grove_flags for what sees the inside of the runtime.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(GROVE_URCU REQUIRED IMPORTED_TARGET liburcu-qsbr)
pkg_check_modules(GROVE_CK REQUIRED IMPORTED_TARGET ck)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)

add_library(grove_sanitizer INTERFACE)
if(GROVE_SANITIZE)
	set(sanitize_flags -fsanitize=${GROVE_SANITIZE})
	if(GROVE_SANITIZE STREQUAL "undefined")
		list(APPEND sanitize_flags -fno-sanitize-recover=all)
	endif()
	target_compile_options(grove_sanitizer INTERFACE ${sanitize_flags} -fno-omit-frame-pointer)
	target_link_options(grove_sanitizer INTERFACE ${sanitize_flags})
endif()

add_library(grove_warnings INTERFACE)
target_compile_options(grove_warnings INTERFACE -Wall -Wextra -Wconversion)
if(GROVE_WERROR)
	target_compile_options(grove_warnings INTERFACE -Werror)
endif()
if(GROVE_SANITIZE STREQUAL "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
	# gcc warns of every fence because its sanitizer does not model them; nor does clang's.
	target_compile_options(grove_warnings INTERFACE -Wno-tsan)
endif()

add_library(grove_flags INTERFACE)
target_include_directories(grove_flags INTERFACE
	"${PROJECT_SOURCE_DIR}/runtime"
	"${PROJECT_SOURCE_DIR}/include")
target_compile_options(grove_flags INTERFACE -fno-strict-aliasing)
target_compile_definitions(grove_flags INTERFACE
	_GNU_SOURCE
	$<$<BOOL:${GROVE_CHECKED}>:GV_CHECKED>
	$<$<BOOL:${GROVE_FAULT}>:GV_FAULT>
	$<$<BOOL:${GROVE_PERTURB}>:GV_PERTURB>
	$<$<STREQUAL:${GROVE_CONTEXT},ucontext>:GV_CONTEXT_UCONTEXT>
	# CK's own atomics are inline assembly, which sanitizers cannot see.
	$<$<BOOL:${GROVE_SANITIZE}>:CK_USE_CC_BUILTINS>)
target_link_libraries(grove_flags INTERFACE grove_warnings grove_sanitizer)
