#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# usage: check_symbols.sh [LIBRARY]
#
# The public headers (GROVE_API), runtime/grove.map and the dynamic symbols of LIBRARY must name the
# same functions, and the map must be sorted.  Without LIBRARY only headers and map are compared.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
library=${1:-}
map=$root/runtime/grove.map
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Names declared GROVE_API, one per line.  A declaration without GROVE_API is printed to stderr.
declared() {
	python3 - "$root" <<'PY'
import re
import sys
from pathlib import Path

root = Path(sys.argv[1])
sys.path.insert(0, str(root / "tools"))
from csource import strip_comments

status = 0
for path in sorted((root / "include").rglob("*.h*")):
    text = strip_comments(path.read_text())
    text = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", "", text, flags=re.M)  # preprocessor lines
    text = re.sub(r'extern\s*"[^"]*"\s*\{', "", text)
    while True:  # bodies of structures and enumerations, innermost first
        text, changed = re.subn(r"\{[^{}]*\}", " ", text)
        if not changed:
            break
    for statement in text.split(";"):
        statement = " ".join(statement.split())
        if re.match(r"[\s}]*typedef\b", statement):
            continue
        name = re.search(r"\b(grove_\w+)\s*\(", statement)
        exported = re.search(r"\bGROVE_API\b", statement)
        if not name and exported:
            name = re.search(r"\b(grove_\w+)\s*(?:\[[^]]*\])?\s*$", statement)
        if not name:
            continue
        if exported:
            print(name[1])
        else:
            print(f"{path.relative_to(root)}: {name[1]} is declared without GROVE_API", file=sys.stderr)
            status = 1
sys.exit(status)
PY
}

status=0

# compare WHAT-A FILE-A WHAT-B FILE-B
compare() {
	local only
	only=$(comm -23 "$2" "$4")
	if [[ -n $only ]]; then
		printf 'in %s, but not in %s:\n%s\n' "$1" "$3" "$only"
		status=1
	fi
	only=$(comm -13 "$2" "$4")
	if [[ -n $only ]]; then
		printf 'in %s, but not in %s:\n%s\n' "$3" "$1" "$only"
		status=1
	fi
}

declared >"$work/declared" || status=1
sort "$work/declared" -o "$work/headers"
repeated=$(uniq -d "$work/headers")
if [[ -n $repeated ]]; then
	printf 'declared more than once:\n%s\n' "$repeated"
	status=1
fi

sed -n 's/^[[:space:]]*\(grove_[a-z0-9_]*\);$/\1/p' "$map" >"$work/unsorted"
sort -u "$work/unsorted" >"$work/map"
# Each version node is sorted by itself; the names of one node stand between "global:" and "local:" or "}".
if ! awk '/^GROVE_/ { last = "" } /^[ \t]*grove_/ { if ($1 <= last) { print "not sorted: " $1; bad = 1 } last = $1 }
	END { exit bad }' "$map"; then
	echo "$map: keep the names of a version sorted (LC_ALL=C), each once"
	status=1
fi
if grep -q '\*;' <(sed '/^local:/,/^}/d' "$map"); then
	echo "$map: patterns are allowed under local: only"
	status=1
fi
compare "the headers" "$work/headers" "grove.map" "$work/map"

if [[ -n $library ]]; then
	# Version names themselves are absolute symbols (type A).
	nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$work/library"
	compare "grove.map" "$work/map" "$(basename "$library")" "$work/library"
fi

if ((status == 0)); then
	echo "check_symbols: $(wc -l <"$work/map") symbols agree"
fi
exit "$status"
