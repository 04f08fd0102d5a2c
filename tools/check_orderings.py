#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that every ordered atomic access of the runtime names its partner.

usage: check_orderings.py [--quiet] [ROOT]

An access through base/atomic.h with an order stronger than relaxed, and every fence, carries a
[label] in a comment: on one of its own lines, or in a comment that ends within the 4 lines above
it.  The label is listed in the opening comment of the unit's source or header.  A label that
occurs at one place only has no other side and is an error.  The other side may be foreign code (a
system call, a CK or liburcu structure): then a comment beside that call names the label.

A relaxed access without a reason (a comment with "relaxed" or "relaxed:" nearby, or a statement in
the opening comment) is a warning.  Ends with status 1 if there are errors.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from csource import comments, strip_comments  # noqa: E402

REACH = 4  # lines between a comment and the access that it explains
ACCESS = re.compile(r"\bgv_(load|store|xchg|add|sub|or|and|cas|fence|fence_light|fence_heavy)\s*\(")
ORDERS = {"relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst"}
LABEL = re.compile(r"(?<![\w)\]])\[([a-z][a-z0-9_-]*)\](?![\[\w])")
SKIPPED = {"base/atomic.h", "plat/fence.h", "plat/fence.c"}  # they define the words


class Access:
    def __init__(self, operation, orders, first, last):
        self.operation = operation
        self.first = first
        self.last = last
        self.relaxed = bool(orders) and all(order == "relaxed" for order in orders)
        self.unknown = [order for order in orders if order not in ORDERS]


def arguments(text, opening):
    """Split the call whose parenthesis is at `opening`; returns (arguments, end) or None."""
    depth, start, found = 0, opening + 1, []
    for i in range(opening, len(text)):
        char = text[i]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0:
                found.append(text[start:i].strip())
                return found, i
        elif char == "," and depth == 1:
            found.append(text[start:i].strip())
            start = i + 1
    return None


def accesses(text):
    bare = strip_comments(text)
    for match in ACCESS.finditer(bare):
        line_start = bare.rfind("\n", 0, match.start()) + 1
        before = bare[line_start : match.start()]
        operation = match[1]
        first = bare.count("\n", 0, match.start()) + 1
        call = arguments(bare, match.end() - 1)
        if call is None:
            yield Access(operation, ["?"], first, first)
            continue
        args, end = call
        if operation in ("fence_light", "fence_heavy"):
            # The declaration says (void), a call says nothing.
            if re.search(r"\b(void|inline)\s*$|#\s*define", before):
                continue
            orders = []
        elif operation == "cas":
            orders = args[-2:]
        else:
            orders = args[-1:]
        yield Access(operation, orders, first, first + bare.count("\n", match.start(), end))


def opening_comment(all_comments):
    """The first comment that is more than the licence line."""
    for comment in all_comments:
        if "SPDX-License-Identifier" not in comment.text or comment.first != comment.last:
            return comment
    return None


def unit_files(path):
    """The files of a unit: poller_epoll.c belongs to poller.h, poller.h to poller.c."""
    yield path
    yield path.with_suffix(".c" if path.suffix == ".h" else ".h")
    stem = path.stem
    while "_" in stem:
        stem = stem.rsplit("_", 1)[0]
        yield path.with_name(stem + ".h")


class Checker:
    def __init__(self, root):
        self.root = root
        self.errors = []
        self.warnings = []
        self.uses = {}  # label -> [(path, line)]

    def at(self, path, line):
        return f"{path.relative_to(self.root)}:{line}"

    def listed_labels(self, path):
        listed = set()
        for candidate in unit_files(path):
            if candidate.exists():
                opening = opening_comment(comments(candidate.read_text()))
                if opening:
                    listed |= set(LABEL.findall(opening.text))
        return listed

    def check(self, path):
        text = path.read_text()
        all_comments = comments(text)
        opening = opening_comment(all_comments)
        body = [c for c in all_comments if c is not opening]
        listed = self.listed_labels(path)
        relaxed_stated = opening is not None and "relaxed" in opening.text
        explaining = set()

        for access in accesses(text):
            beside = [c for c in body if c.last >= access.first and c.first <= access.last]
            above = [c for c in body if access.first - REACH <= c.last < access.first]
            where = self.at(path, access.first)
            if access.unknown:
                self.errors.append(f"{where}: gv_{access.operation}: no order: {', '.join(access.unknown)}")
                continue
            if access.relaxed:
                if not relaxed_stated and not any("relaxed" in c.text for c in beside + above):
                    self.warnings.append(f"{where}: gv_{access.operation}: relaxed, for what reason?")
                continue
            labels = self.nearest_labels(beside, above, explaining)
            if not labels:
                self.errors.append(f"{where}: gv_{access.operation}: no [label] names its other side")
            for label in labels:
                self.uses.setdefault(label, []).append((path, access.first))
                if label not in listed:
                    self.errors.append(f"{where}: [{label}] is not in the opening comment of this unit")

        # A label beside foreign code is the other side of something.
        for comment in body:
            if comment not in explaining:
                for label in LABEL.findall(comment.text):
                    if label in listed:
                        self.uses.setdefault(label, []).append((path, comment.first))

    @staticmethod
    def nearest_labels(beside, above, explaining):
        for group in (beside, *([c] for c in reversed(above))):
            labels = []
            for comment in group:
                found = LABEL.findall(comment.text)
                if found:
                    explaining.add(comment)
                    labels += found
            if labels:
                return list(dict.fromkeys(labels))
        return []

    def check_pairs(self):
        for label, places in sorted(self.uses.items()):
            if len(set(places)) == 1:
                path, line = places[0]
                self.errors.append(f"{self.at(path, line)}: [{label}] is used only here: where is its other side?")


def main():
    args = sys.argv[1:]
    quiet = "--quiet" in args
    args = [arg for arg in args if arg != "--quiet"]
    root = Path(args[0] if args else Path(__file__).resolve().parent.parent).resolve()
    runtime = root / "runtime"
    checker = Checker(root)
    for path in sorted(runtime.rglob("*.[ch]")):
        if path.relative_to(runtime).as_posix() not in SKIPPED:
            checker.check(path)
    checker.check_pairs()
    if not quiet:
        for warning in checker.warnings:
            print(f"warning: {warning}")
    for error in checker.errors:
        print(error)
    if checker.errors:
        print(f"check_orderings: {len(checker.errors)} error(s)")
    return 1 if checker.errors else 0


if __name__ == "__main__":
    sys.exit(main())
