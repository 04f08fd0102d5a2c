# SPDX-License-Identifier: MIT
#
# Example programs.  They see what a user sees: the public headers and libgrove.so.
#
#   grove_example(<name> [DIR <folder>] [LIBS <library>...])
#       builds <folder>/<name>.c, examples/<name>.c by default.  Where one of LIBS is not
#       installed the program is left out, with a message.
#   grove_example_test(<name> [DIR <folder>] [LIBS ...] [ARGS ...] [SCRIPT <file>] [SERIAL] [TIMEOUT <s>])
#       builds it and registers the test example.<name>: the program must end with status 0 and,
#       if <folder>/expected/<name>.txt exists, print exactly that on its standard output.
#       SCRIPT (in the folder, .sh or .py) is run instead, with the program as first argument
#       and ARGS behind it; its status decides.

function(grove_example name)
	cmake_parse_arguments(PARSE_ARGV 1 EXAMPLE "" "DIR" "LIBS")
	if(NOT EXAMPLE_DIR)
		set(EXAMPLE_DIR examples)
	endif()
	set(source "${PROJECT_SOURCE_DIR}/${EXAMPLE_DIR}/${name}.c")
	if(NOT EXISTS "${source}")
		message(FATAL_ERROR "The example '${name}' is listed, but ${EXAMPLE_DIR}/${name}.c does not exist.")
	endif()
	set(found "")
	foreach(library IN LISTS EXAMPLE_LIBS)
		find_library(GROVE_LIB_${library} ${library})
		if(NOT GROVE_LIB_${library})
			message(STATUS "Example ${name} is left out: the library ${library} is not installed")
			return()
		endif()
		list(APPEND found "${GROVE_LIB_${library}}")
	endforeach()
	add_executable(example_${name} "${source}")
	set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name})
	target_link_libraries(example_${name} PRIVATE
		grove::grove grove_warnings grove_sanitizer Threads::Threads ${found})
endfunction()

function(grove_example_test name)
	cmake_parse_arguments(PARSE_ARGV 1 EXAMPLE "SERIAL" "DIR;SCRIPT;TIMEOUT" "LIBS;ARGS")
	if(EXAMPLE_UNPARSED_ARGUMENTS)
		message(FATAL_ERROR "example ${name}: unknown arguments: ${EXAMPLE_UNPARSED_ARGUMENTS}")
	endif()
	if(NOT EXAMPLE_DIR)
		set(EXAMPLE_DIR examples)
	endif()
	grove_example(${name} DIR "${EXAMPLE_DIR}" LIBS ${EXAMPLE_LIBS})
	if(NOT GROVE_BUILD_TESTS OR NOT TARGET example_${name})
		return()
	endif()
	set(folder "${PROJECT_SOURCE_DIR}/${EXAMPLE_DIR}")
	if(EXAMPLE_SCRIPT)
		if(NOT EXISTS "${folder}/${EXAMPLE_SCRIPT}")
			message(FATAL_ERROR "example ${name}: ${EXAMPLE_DIR}/${EXAMPLE_SCRIPT} does not exist")
		endif()
		set(interpreter bash)
		if(EXAMPLE_SCRIPT MATCHES "\\.py$")
			set(interpreter python3)
		endif()
		set(command ${interpreter} "${folder}/${EXAMPLE_SCRIPT}" $<TARGET_FILE:example_${name}> ${EXAMPLE_ARGS})
	else()
		set(command ${CMAKE_COMMAND}
			"-DEXPECTED=${folder}/expected/${name}.txt"
			-P "${PROJECT_SOURCE_DIR}/cmake/RunAndCompare.cmake"
			-- $<TARGET_FILE:example_${name}> ${EXAMPLE_ARGS})
	endif()
	set(options "")
	if(EXAMPLE_SERIAL)
		list(APPEND options SERIAL)
	endif()
	if(EXAMPLE_TIMEOUT)
		list(APPEND options TIMEOUT ${EXAMPLE_TIMEOUT})
	endif()
	grove_add_test(example.${name} example COMMAND ${command} ${options})
endfunction()
