#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# usage: format.sh check|apply [FILE...]
#
# Check, or put right, the white space of all C and C++ sources (or of FILE...) by .clang-format.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
mode=${1:-}
shift || true

# The style is written for one version: others disagree about details.
formatter=
for candidate in clang-format-14 clang-format; do
	if command -v "$candidate" >/dev/null; then
		formatter=$candidate
		break
	fi
done
if [[ -z $formatter ]]; then
	echo "format.sh: clang-format 14 is needed" >&2
	exit 2
fi
if ! "$formatter" --version | grep -q 'version 14\.'; then
	echo "format.sh: warning: $("$formatter" --version), but the style is written for 14" >&2
fi

if (($# > 0)); then
	files=("$@")
else
	mapfile -t files < <(cd "$root" && find include runtime tests examples benchmarks docs -type f \
		\( -name '*.c' -o -name '*.h' -o -name '*.h.in' -o -name '*.cpp' \) | LC_ALL=C sort)
	cd "$root"
fi
if ((${#files[@]} == 0)); then
	exit 0
fi

case $mode in
check)
	status=0
	for file in "${files[@]}"; do
		if ! "$formatter" --style=file "$file" | cmp -s - "$file"; then
			echo "$file: not formatted; ./dev format puts it right"
			status=1
		fi
	done
	exit "$status"
	;;
apply)
	"$formatter" --style=file -i "${files[@]}"
	;;
*)
	echo "usage: format.sh check|apply [FILE...]" >&2
	exit 2
	;;
esac
