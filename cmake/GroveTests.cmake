# SPDX-License-Identifier: MIT
#
# How tests are built and registered.  tests/CMakeLists.txt has one line per program.
#
#   grove_conformance(<name> ...)   tests/conformance/test_<name>.c   conformance.<name>
#   grove_stress(<name> ...)        tests/stress/stress_<name>.c      stress.<name>
#   grove_fault(<name> ...)         tests/fault/fault_<name>.c        fault.<name>, GROVE_FAULT only
#   unit tests come from grove_unit() in runtime/CMakeLists.txt       unit.<layer>.<name>
#
# Arguments: HUBS <n>...   register the test once per hub count, in the environment GROVE_HUBS
#            SERIAL        runs alone: it judges times or counts threads
#            TIMEOUT <s>   seconds before it counts as hung, in a build without a sanitizer
#            LIBS <lib>...
#
# Each program gets GT_SECONDS, how long a time-limited loop may take, and the sanitizers' options.

find_package(PkgConfig REQUIRED)
pkg_check_modules(GROVE_CMOCKA REQUIRED IMPORTED_TARGET cmocka)

set(GROVE_STRESS_SECONDS 3 CACHE STRING "Seconds that each time-limited stress loop takes")

# Slowest first: what a test of the plain build may take is multiplied.
if(GROVE_SANITIZE STREQUAL "thread")
	set(GROVE_TIMEOUT_SCALE 4)
elseif(GROVE_SANITIZE OR GROVE_PERTURB)
	set(GROVE_TIMEOUT_SCALE 3)
else()
	set(GROVE_TIMEOUT_SCALE 1)
endif()

# use_sigaltstack=0: the runtime installs alternate stacks of its own, which the sanitizers would
# unmap at the end of the thread.
set(GROVE_TEST_ENVIRONMENT
	"GT_SECONDS=${GROVE_STRESS_SECONDS}"
	"ASAN_OPTIONS=detect_leaks=1:use_sigaltstack=0:strict_string_checks=1"
	"LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tools/lsan.supp:print_suppressions=0"
	"UBSAN_OPTIONS=print_stacktrace=1:use_sigaltstack=0"
	"TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tools/tsan.supp:use_sigaltstack=0:second_deadlock_stack=1:die_after_fork=0")

# Registers a finished executable.  Everything below, the examples too, goes through here.
function(grove_add_test test_name label)
	cmake_parse_arguments(PARSE_ARGV 2 TEST "SERIAL" "TIMEOUT" "COMMAND;ENVIRONMENT")
	if(NOT TEST_TIMEOUT)
		set(TEST_TIMEOUT 60)
	endif()
	math(EXPR timeout "${TEST_TIMEOUT} * ${GROVE_TIMEOUT_SCALE}")
	if(TEST_UNPARSED_ARGUMENTS)
		message(FATAL_ERROR "test ${test_name}: unknown arguments: ${TEST_UNPARSED_ARGUMENTS}")
	endif()
	add_test(NAME ${test_name} COMMAND ${TEST_COMMAND})
	set_tests_properties(${test_name} PROPERTIES
		LABELS ${label}
		TIMEOUT ${timeout}
		ENVIRONMENT "${GROVE_TEST_ENVIRONMENT};${TEST_ENVIRONMENT}")
	if(TEST_SERIAL)
		set_tests_properties(${test_name} PROPERTIES RUN_SERIAL ON)
	endif()
endfunction()

function(grove_test_program kind name source)
	cmake_parse_arguments(PARSE_ARGV 3 TEST "SERIAL" "TIMEOUT" "HUBS;LIBS")
	if(TEST_UNPARSED_ARGUMENTS)
		message(FATAL_ERROR "${kind} ${name}: unknown arguments: ${TEST_UNPARSED_ARGUMENTS}")
	endif()
	if(NOT EXISTS "${PROJECT_SOURCE_DIR}/${source}")
		message(FATAL_ERROR "The ${kind} test '${name}' is listed, but ${source} does not exist.")
	endif()
	string(REPLACE "." "_" target "test_${kind}_${name}")
	add_executable(${target} "${PROJECT_SOURCE_DIR}/${source}")
	target_link_libraries(${target} PRIVATE grove_test_support ${TEST_LIBS})

	set(options "")
	if(TEST_SERIAL)
		list(APPEND options SERIAL)
	endif()
	if(TEST_TIMEOUT)
		list(APPEND options TIMEOUT ${TEST_TIMEOUT})
	endif()
	if(NOT TEST_HUBS)
		grove_add_test(${kind}.${name} ${kind} COMMAND ${target} ${options})
	endif()
	foreach(hubs IN LISTS TEST_HUBS)
		grove_add_test(${kind}.${name}.hubs${hubs} ${kind}
			COMMAND ${target} ENVIRONMENT "GROVE_HUBS=${hubs}" ${options})
	endforeach()
endfunction()

function(grove_conformance name)
	grove_test_program(conformance ${name} tests/conformance/test_${name}.c ${ARGN})
endfunction()

function(grove_stress name)
	grove_test_program(stress ${name} tests/stress/stress_${name}.c TIMEOUT 120 ${ARGN})
endfunction()

function(grove_fault name)
	if(GROVE_FAULT)
		grove_test_program(fault ${name} tests/fault/fault_${name}.c ${ARGN})
	endif()
endfunction()

# Called once by tests/CMakeLists.txt: the units are known by then.
function(grove_unit_tests)
	get_property(units GLOBAL PROPERTY GROVE_UNIT_TESTS)
	foreach(unit IN LISTS units)
		get_property(args GLOBAL PROPERTY "GROVE_UNIT_TEST_ARGS_${unit}")
		string(REGEX MATCH "^(.*)/(.*)$" matched "${unit}")
		set(layer "${CMAKE_MATCH_1}")
		set(name "${CMAKE_MATCH_2}")
		grove_test_program(unit ${layer}.${name} tests/unit/${layer}/test_${name}.c ${args})
	endforeach()
endfunction()

# tests/support: compiled once; every test program links it, cmocka and the runtime's inside.
function(grove_support_library)
	file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/support/*.c")
	if(sources)
		add_library(grove_test_support STATIC ${sources})
		set(scope PUBLIC)
	else()
		add_library(grove_test_support INTERFACE)
		set(scope INTERFACE)
	endif()
	target_include_directories(grove_test_support ${scope}
		"${PROJECT_SOURCE_DIR}/tests" "${PROJECT_SOURCE_DIR}/tests/support")
	target_link_libraries(grove_test_support ${scope} grove_internal PkgConfig::GROVE_CMOCKA m)
endfunction()
