# SPDX-License-Identifier: MIT
#
# The library and the functions that add to it.  runtime/CMakeLists.txt calls them in layer order.
#
#   grove_unit(<layer> <name> [ALSO <file>...] [NO_TEST <reason>] [SERIAL] [TIMEOUT <s>])
#       compiles runtime/<layer>/<name>.c, and registers tests/unit/<layer>/test_<name>.c, which
#       must exist unless NO_TEST says why not.  ALSO names further sources of the same folder
#       that the unit's own test covers.  SERIAL and TIMEOUT are handed to the test.
#   grove_header(<layer> <name> [SERIAL] [TIMEOUT <s>])
#       registers the test of a unit that is a header only.
#   grove_asm(<layer> <name>)
#       compiles runtime/<layer>/<name>_<arch>.S for this processor, or <name>_ucontext.c where
#       GROVE_CONTEXT says so.
#
# Everything is compiled once, for the shared library:
#
#   grove_objects ---> grove           libgrove.so: only what grove.map lists is visible
#                 ---> grove_static    libgrove.a (GROVE_BUILD_STATIC)
#                 ---> grove_internal  archive for tests: hidden symbols still link statically

set(GROVE_RUNTIME_DIR "${PROJECT_SOURCE_DIR}/runtime")
set(GROVE_MAP "${GROVE_RUNTIME_DIR}/grove.map")

add_library(grove_objects OBJECT)
set_target_properties(grove_objects PROPERTIES
	POSITION_INDEPENDENT_CODE ON
	C_VISIBILITY_PRESET hidden)
target_compile_options(grove_objects PRIVATE
	-fno-semantic-interposition
	-fno-plt)
target_compile_definitions(grove_objects PRIVATE GROVE_BUILDING)
target_link_libraries(grove_objects PRIVATE
	grove_flags PkgConfig::GROVE_URCU PkgConfig::GROVE_CK Threads::Threads)

if(GROVE_PERTURB)
	target_sources(grove_objects PRIVATE "${PROJECT_SOURCE_DIR}/tests/perturb/perturb.c")
endif()

# What a program that uses the library needs to know.
function(grove_public_interface target)
	target_include_directories(${target} INTERFACE
		"$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
		"$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
	target_compile_features(${target} INTERFACE c_std_11)
endfunction()

add_library(grove SHARED)
add_library(grove::grove ALIAS grove)
set_target_properties(grove PROPERTIES
	VERSION ${PROJECT_VERSION}
	SOVERSION ${GROVE_SOVERSION}
	LINKER_LANGUAGE C
	LINK_DEPENDS "${GROVE_MAP}")
target_sources(grove PRIVATE $<TARGET_OBJECTS:grove_objects>)
# nodelete: its handlers of signals and forks, its thread-local pointer and its threads are in the
# process for good, so dlclose must not take its code away.
target_link_options(grove PRIVATE
	"LINKER:--version-script=${GROVE_MAP}"
	LINKER:--as-needed
	LINKER:-z,relro,-z,now,-z,nodelete)
if(NOT GROVE_SANITIZE)
	# A sanitizer's own symbols are only found in the program.
	target_link_options(grove PRIVATE LINKER:-z,defs)
endif()
target_link_libraries(grove PRIVATE
	$<BUILD_INTERFACE:grove_sanitizer>
	PkgConfig::GROVE_URCU PkgConfig::GROVE_CK Threads::Threads)
grove_public_interface(grove)

if(GROVE_BUILD_STATIC)
	add_library(grove_static STATIC)
	add_library(grove::grove_static ALIAS grove_static)
	set_target_properties(grove_static PROPERTIES OUTPUT_NAME grove LINKER_LANGUAGE C)
	target_sources(grove_static PRIVATE $<TARGET_OBJECTS:grove_objects>)
	target_link_libraries(grove_static PRIVATE
		PkgConfig::GROVE_URCU PkgConfig::GROVE_CK Threads::Threads)
	grove_public_interface(grove_static)
endif()

if(GROVE_BUILD_TESTS)
	add_library(grove_internal STATIC)
	set_target_properties(grove_internal PROPERTIES LINKER_LANGUAGE C)
	target_sources(grove_internal PRIVATE $<TARGET_OBJECTS:grove_objects>)
	target_link_libraries(grove_internal PUBLIC
		grove_flags PkgConfig::GROVE_URCU PkgConfig::GROVE_CK Threads::Threads)
endif()

function(grove_register_unit_test layer name)
	if(NOT GROVE_BUILD_TESTS)
		return()
	endif()
	set(test "tests/unit/${layer}/test_${name}.c")
	if(NOT EXISTS "${PROJECT_SOURCE_DIR}/${test}")
		set_property(GLOBAL APPEND PROPERTY GROVE_MISSING_TESTS "${test}")
		return()
	endif()
	set_property(GLOBAL APPEND PROPERTY GROVE_UNIT_TESTS "${layer}/${name}")
	set_property(GLOBAL PROPERTY "GROVE_UNIT_TEST_ARGS_${layer}/${name}" "${ARGN}")
endfunction()

# Called once, after the last unit: names everything that is missing, not only the first.
function(grove_check_unit_tests)
	get_property(missing GLOBAL PROPERTY GROVE_MISSING_TESTS)
	if(missing)
		list(JOIN missing "\n  " missing)
		message(FATAL_ERROR
			"Units without a test.  Write these files, or pass NO_TEST \"reason\" to grove_unit:\n"
			"  ${missing}")
	endif()
endfunction()

function(grove_add_source layer file)
	set(source "${GROVE_RUNTIME_DIR}/${layer}/${file}")
	if(NOT EXISTS "${source}")
		message(FATAL_ERROR
			"runtime/CMakeLists.txt lists ${layer}/${file}, but runtime/${layer}/${file} does not exist.")
	endif()
	target_sources(grove_objects PRIVATE "${source}")
endfunction()

# Options that grove_unit and grove_header hand to the test unchanged.
macro(grove_collect_test_args)
	set(test_args "")
	if(UNIT_SERIAL)
		list(APPEND test_args SERIAL)
	endif()
	if(UNIT_TIMEOUT)
		list(APPEND test_args TIMEOUT ${UNIT_TIMEOUT})
	endif()
	if(UNIT_UNPARSED_ARGUMENTS)
		message(FATAL_ERROR "${layer}/${name}: unknown arguments: ${UNIT_UNPARSED_ARGUMENTS}")
	endif()
endmacro()

function(grove_unit layer name)
	cmake_parse_arguments(PARSE_ARGV 2 UNIT "SERIAL" "NO_TEST;TIMEOUT" "ALSO")
	grove_collect_test_args()
	if("NO_TEST" IN_LIST UNIT_KEYWORDS_MISSING_VALUES)
		message(FATAL_ERROR "${layer}/${name}: NO_TEST needs a reason")
	endif()
	grove_add_source(${layer} ${name}.c)
	foreach(file IN LISTS UNIT_ALSO)
		grove_add_source(${layer} ${file})
	endforeach()
	if(NOT UNIT_NO_TEST)
		grove_register_unit_test(${layer} ${name} ${test_args})
	endif()
endfunction()

function(grove_header layer name)
	cmake_parse_arguments(PARSE_ARGV 2 UNIT "SERIAL" "TIMEOUT" "")
	grove_collect_test_args()
	if(NOT EXISTS "${GROVE_RUNTIME_DIR}/${layer}/${name}.h")
		message(FATAL_ERROR "runtime/CMakeLists.txt lists the header ${layer}/${name}.h, which does not exist.")
	endif()
	grove_register_unit_test(${layer} ${name} ${test_args})
endfunction()

function(grove_asm layer name)
	if(GROVE_CONTEXT STREQUAL "ucontext")
		grove_add_source(${layer} ${name}_ucontext.c)
	else()
		grove_add_source(${layer} ${name}_${GROVE_ARCH}.S)
	endif()
endfunction()
