# SPDX-License-Identifier: MIT
#
# Benchmark programs.  They see what a user sees: the public headers and libgrove.so.  The same
# workloads elsewhere, below benchmarks/peers/, are built by the scripts that compare them.
#
#   grove_benchmark(<name>)     benchmarks/bench_<name>.c and the harness bench.c
#                               -> <build>/benchmarks/bench_<name>

add_library(grove_bench_harness STATIC "${PROJECT_SOURCE_DIR}/benchmarks/bench.c")
target_compile_definitions(grove_bench_harness PUBLIC _GNU_SOURCE)
target_include_directories(grove_bench_harness PUBLIC "${PROJECT_SOURCE_DIR}/benchmarks")
target_link_libraries(grove_bench_harness
	PRIVATE grove_warnings
	PUBLIC grove_sanitizer Threads::Threads m)

function(grove_benchmark name)
	set(source "${PROJECT_SOURCE_DIR}/benchmarks/bench_${name}.c")
	if(NOT EXISTS "${source}")
		message(FATAL_ERROR
			"The benchmark '${name}' is listed, but benchmarks/bench_${name}.c does not exist.")
	endif()
	add_executable(bench_${name} "${source}")
	target_link_libraries(bench_${name} PRIVATE grove_bench_harness grove::grove grove_warnings)
endfunction()
