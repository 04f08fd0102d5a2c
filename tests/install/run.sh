#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# usage: run.sh BUILD-DIR WORK-DIR        (CC, CXX, CMAKE, GENERATOR, STATIC from the environment)
#
# Installs BUILD-DIR below WORK-DIR, moves the result, then builds and runs foreign/ against it: by
# find_package and by pkg-config, each as C11 and as C++17.
set -euo pipefail

build=$1
work=$2
foreign=$(cd "$(dirname "$0")/foreign" && pwd)
cmake=${CMAKE:-cmake}

step() {
	printf '\n== %s\n' "$*"
}

rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)

step "install"
"$cmake" --install "$build" --prefix "$work/first" >"$work/install.log" || {
	cat "$work/install.log"
	exit 1
}
mv "$work/first" "$work/prefix"
prefix=$work/prefix

step "the installed headers stand apart from the source tree"
if grep -rnE '#[[:space:]]*include[[:space:]]*[<"](base|plat|store|sched|wait|prim|comp|api|urcu|ck_)' "$prefix/include"; then
	echo "an installed header includes what is not installed"
	exit 1
fi

step "find_package"
"$cmake" -S "$foreign" -B "$work/foreign" -G "$GENERATOR" \
	-DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" \
	-DFOREIGN_STATIC="${STATIC:-0}"
"$cmake" --build "$work/foreign"
for program in "$work"/foreign/probe_*; do
	"$program"
done

step "pkg-config"
pc=$(find "$prefix" -name grove.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
libdir=$(dirname "$PKG_CONFIG_PATH")
# The tree was moved after it was installed, so its prefix is given anew.
query() {
	pkg-config --define-variable=prefix="$prefix" "$@" grove
}
read -r -a cflags <<<"$(query --cflags) $(query --variable=stack_cflags)"
read -r -a libs <<<"$(query --libs)"
[[ " ${cflags[*]} " == *" -fstack-clash-protection "* ]]
warnings=(-Wall -Wextra -Wconversion -Werror)
"$CC" -std=c11 -pedantic "${warnings[@]}" "${cflags[@]}" "$foreign/probe.c" "${libs[@]}" -o "$work/pc_c"
"$CXX" -std=c++17 -pedantic "${warnings[@]}" "${cflags[@]}" "$foreign/probe.cpp" "${libs[@]}" -o "$work/pc_cxx"
LD_LIBRARY_PATH=$libdir "$work/pc_c"
LD_LIBRARY_PATH=$libdir "$work/pc_cxx"

step "the program needs the library by its SONAME"
readelf -d "$work/pc_c" | grep -F 'libgrove.so.0]'

echo "install test: passed"
