#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each public header compiles by itself, and twice, as strict C11 and as strict C++17.  CC and CXX
# choose the compilers; an empty CXX leaves C++ out.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cc=${CC:-cc}
cxx=${CXX-c++}
flags=(-Wall -Wextra -Wconversion -Wshadow -pedantic -Werror -fsyntax-only -I "$root/include")
mapfile -t headers < <(cd "$root/include" && find . -name '*.h' | sed 's|^\./||' | LC_ALL=C sort)
if ((${#headers[@]} == 0)); then
	echo "check_headers: no public headers found"
	exit 1
fi

status=0

# compile WHAT HEADER COMMAND...
compile() {
	local what=$1 header=$2
	shift 2
	if ! printf '#include "%s"\n#include "%s"\nint grove_header_stands_alone;\n' "$header" "$header" |
		"$@" "${flags[@]}" -; then
		echo "$header does not stand alone as $what ($1)"
		status=1
	fi
}

for header in "${headers[@]}"; do
	compile C11 "$header" "$cc" -std=c11 -Wstrict-prototypes -x c
	if [[ -n $cxx ]]; then
		compile C++17 "$header" "$cxx" -std=c++17 -x c++
	fi
done
if ((status == 0)); then
	echo "check_headers: ${#headers[@]} headers stand alone ($cc, ${cxx:-no C++})"
fi
exit "$status"
