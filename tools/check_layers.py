#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the include rule and the confinement rules of tools/layers.txt.

usage: check_layers.py [ROOT]

A source of runtime/<layer>/ includes its own header, headers of lower layers, headers of its own
layer unless the layer stands alone, and public headers.  Public headers include public and system
headers only.  Some texts (assembly, thread-local data, ...) are confined to the places that
layers.txt gives.  Prints one line per violation and ends with status 1 if there is any.
"""

import fnmatch
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from csource import strip_comments  # noqa: E402

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)

ARCH_MACRO = (
    r"__(?:x86_64|amd64|i386|aarch64|arm|ARM|riscv|powerpc|powerpc64|s390x?|mips|loongarch\w*"
    r"|SSE\w*|AVX\w*)(?:_*\b)"
)

# Rule -> pattern in the text without comments and strings.
CONFINED = {
    "assembly": re.compile(r"\b(?:__asm__|__asm|asm)\b(?=\s*(?:volatile|__volatile__|goto|inline|\())"),
    "arch": re.compile(
        rf"^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*{ARCH_MACRO}|\b__builtin_(?:ia32|arm|aarch64)_\w+",
        re.M,
    ),
    "thread-local": re.compile(r"\b(?:_Thread_local|__thread|thread_local)\b"),
    "atomics": re.compile(
        r"\batomic_(?!bool\b|u?int|u?l?long|u?char|u?short|size_t|ptrdiff_t|flag\b)\w+\s*\("
        r"|\b__(?:atomic|sync)_\w+\s*\(|\bmemory_order_\w+"
    ),
}
# Rule -> pattern of the included header's name.
CONFINED_INCLUDES = {
    "urcu": re.compile(r"^urcu(?:[/.\-]|$)"),
    "ck": re.compile(r"^ck_\w+\.h$"),
}


class Rules:
    def __init__(self, path):
        self.layers = []
        self.alone = set()
        self.places = {}
        self.allowed = set()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            keyword, rest = words[0], words[1:]
            if keyword == "layer" and rest:
                self.layers += rest
            elif keyword == "alone" and rest:
                self.alone |= set(rest)
            elif keyword == "confine" and len(rest) == 2:
                self.places.setdefault(rest[0], []).append(rest[1])
            elif keyword == "allow" and len(rest) == 2:
                self.allowed.add(tuple(rest))
            else:
                sys.exit(f"{path}:{number}: not understood: {line.strip()}")
        known = set(CONFINED) | set(CONFINED_INCLUDES)
        if set(self.places) != known:
            sys.exit(f"{path}: the confined rules must be exactly: {', '.join(sorted(known))}")

    def confined_away(self, rule, name):
        return not any(fnmatch.fnmatch(name, place) for place in self.places[rule])


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def is_own_header(source, header):
    """plat/context_x86_64.S and store/poller_epoll.c belong to context.h and poller.h."""
    if source.parts[:-1] != header.parts[:-1]:
        return False
    return source.stem == header.stem or source.stem.startswith(header.stem + "_")


def check_runtime_include(rules, used, name, kind, target, runtime):
    """Return what is wrong with runtime file `name` including `target`, or None."""
    for rule, pattern in CONFINED_INCLUDES.items():
        if pattern.search(target) and rules.confined_away(rule, name):
            return f"<{target}> may be included only in {' '.join(rules.places[rule])}"
    if kind == "<" or target == "grove.h" or target.startswith("grove/"):
        return None
    layer = Path(name).parts[0]
    header = Path(target)
    if header.parts[0] not in rules.layers:
        if (runtime / target).exists() or (runtime / name).parent.joinpath(target).exists():
            return f'"{target}": write the layer, as in "base/list.h"'
        return None
    if not (runtime / header).exists():
        return f'"{target}" does not exist'
    mine, its = rules.layers.index(layer), rules.layers.index(header.parts[0])
    if its < mine or is_own_header(Path(name), header):
        return None
    if (name, target) in rules.allowed:
        used.add((name, target))
        return None
    if its > mine:
        return f'"{target}" is in a higher layer than {layer}'
    if layer in rules.alone:
        return f'"{target}": units of {layer} do not include each other'
    return None


def check_runtime(rules, runtime, report):
    used = set()
    for path in sorted(runtime.rglob("*")):
        if path.suffix not in (".c", ".h", ".S"):
            continue
        name = path.relative_to(runtime).as_posix()
        if name.split("/")[0] not in rules.layers:
            report(path, 1, "is in no layer of tools/layers.txt")
            continue
        text = path.read_text()
        with_strings = strip_comments(text, strings=False)
        bare = strip_comments(text)

        for match in INCLUDE.finditer(with_strings):
            wrong = check_runtime_include(rules, used, name, match[1], match[2], runtime)
            if wrong:
                report(path, line_of(with_strings, match.start(1)), wrong)

        if path.suffix == ".S" and rules.confined_away("assembly", name):
            report(path, 1, f"assembly belongs in {' '.join(rules.places['assembly'])}")
        for rule, pattern in CONFINED.items():
            if not rules.confined_away(rule, name):
                continue
            for match in pattern.finditer(bare):
                line = line_of(bare, match.end() - 1)
                report(path, line, f"{rule} belongs in {' '.join(rules.places[rule])}: {match[0].strip()}")
    for name, target in sorted(rules.allowed - used):
        report(Path("tools/layers.txt"), 1, f"the exception for {name} including {target} is not needed")


def check_public(include, report):
    for path in sorted(include.rglob("*.h*")):
        text = strip_comments(path.read_text(), strings=False)
        for match in INCLUDE.finditer(text):
            target = match[2]
            public = target == "grove.h" or target.startswith("grove/")
            foreign = any(p.search(target) for p in CONFINED_INCLUDES.values())
            if (match[1] == '"' and not public) or foreign:
                report(path, line_of(text, match.start(1)), f"a public header may not include {target}")


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    rules = Rules(root / "tools/layers.txt")
    violations = []

    def report(path, line, message):
        shown = path.relative_to(root) if path.is_absolute() and path.is_relative_to(root) else path
        violations.append(f"{shown}:{line}: {message}")

    check_runtime(rules, root / "runtime", report)
    check_public(root / "include", report)
    for violation in violations:
        print(violation)
    if violations:
        print(f"check_layers: {len(violations)} violation(s)")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
