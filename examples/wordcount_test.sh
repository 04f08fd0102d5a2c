#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# wordcount_test.sh WORDCOUNT DIR... - compares wordcount with wc, on the given directories and on
# a small tree that has every kind of entry.
#
# Two differences between the tools are kept out of the comparison, which is of their sums:
#   - cat joins the last word of a file with the first one of the next where the file does not end
#     in a newline; grep, asked for every line, adds that newline.
#   - wc does not count words in which nothing is printable, and its releases do not agree on what
#     that is; so all bytes but white space become letters before it counts the words.
set -euo pipefail
export LC_ALL=C

wordcount=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# count_with_wc DIR...: lines, words and bytes, separated by spaces.
count_with_wc()
{
	local lines words bytes
	read -r lines bytes < <(find "$@" -type f -exec cat {} + | wc -lc)
	words=$(find "$@" -type f -exec grep -ah '' {} + | tr '\000-\010\016-\037\041-\377' 'x' | wc -w)
	echo "$lines $((words)) $bytes"
}

# check WHAT EXPECTED [ARGUMENT...]
check()
{
	local what=$1 expected=$2 got
	shift 2
	got=$("$wordcount" "$@" | xargs)
	if [[ $got == "$expected" ]]; then
		echo "ok      $what: $got"
	else
		echo "FAILED  $what: $got, but wc says $expected"
		failed=1
	fi
}

tree="$work/a tree"
mkdir -p "$tree/deep/er/and/deeper" "$tree/empty directory"
: > "$tree/empty"
printf 'no newline at the end' > "$tree/1"
printf 'split\tby\vall\fkinds\rof space\n\n  \n' > "$tree/2"
printf '\303\251 \342\200\224 bytes above 127 \000 zeros' > "$tree/deep/binary"
printf 'a name with spaces\n' > "$tree/deep/er/a file"
seq 1 100000 > "$tree/deep/er/and/deeper/long"
for ((i = 0; i < 200; i++)); do echo "file number $i" > "$tree/deep/er/and/$i"; done
ln -s deep "$tree/link to a directory"
ln -s empty "$tree/link to a file"
ln -s nowhere "$tree/link to nothing"
mkfifo "$tree/fifo"

expected=$(count_with_wc "$tree")
check "made tree" "$expected" "$tree"
check "one at a time" "$expected" -j 1 "$tree"
check "all at once" "$expected" -j 1000 "$tree"
check "several roots" "$(count_with_wc "$tree/deep" "$tree/2")" "$tree/deep" "$tree/2"
for directory; do
	check "$directory" "$(count_with_wc "$directory")" "$directory"
done

if "$wordcount" "$tree/not there" 2> "$work/errors" > "$work/output"; then
	echo "FAILED  a missing root: status 0"
	failed=1
elif ! grep -q 'not there' "$work/errors" || [[ $(xargs < "$work/output") != "0 0 0" ]]; then
	echo "FAILED  a missing root: $(cat "$work/errors" "$work/output")"
	failed=1
else
	echo "ok      a missing root"
fi
exit "$failed"
