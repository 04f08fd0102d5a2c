# SPDX-License-Identifier: MIT
#
# cmake -DEXPECTED=<file> -P RunAndCompare.cmake -- <program> [<argument>...]
#
# Runs the program.  Fails if its status is not 0, or if EXPECTED exists and the standard output
# differs from it.

set(command "")
set(collecting OFF)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
	if(collecting)
		list(APPEND command "${CMAKE_ARGV${i}}")
	elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
		set(collecting ON)
	endif()
endforeach()

execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_VARIABLE output)
message("${output}")
if(NOT status EQUAL 0)
	message(FATAL_ERROR "The program ended with: ${status}")
endif()
if(EXISTS "${EXPECTED}")
	file(READ "${EXPECTED}" expected)
	if(NOT output STREQUAL expected)
		message(FATAL_ERROR "Its output differs.  Expected from ${EXPECTED}:\n${expected}")
	endif()
endif()
