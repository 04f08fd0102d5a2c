#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Add up the tests in a JUnit file written by ctest.

usage: sum_tests.py [--list-failed] JUNIT.xml

A cmocka program counts with each of its tests, any other program as one.  A program that fails
without naming a failed test (a crash, a time-out, a sanitizer's report at its end) adds one failure.
Prints "PASSED FAILED SKIPPED", and before it, if asked, a line for each failed program.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

CMOCKA_RUN = re.compile(r"^\[=+\]\s+(?:[^:\n]+:\s+)?(\d+) test\(s\) run\.", re.M)
CMOCKA_SKIPPED = re.compile(r"^\[  SKIPPED \]\s+(?:[^:\n]+:\s+)?(\d+) test\(s\)", re.M)
CMOCKA_PASSED = re.compile(r"^\[  PASSED  \]\s+(\d+) test\(s\)\.", re.M)


def count(case):
    """Return (passed, failed, skipped) of one program."""
    failed_status = case.get("status") == "fail" or case.find("failure") is not None
    if case.get("status") in ("notrun", "disabled") or case.find("skipped") is not None:
        # A program that could not be started is a failure; a disabled one is not.
        return (0, 0, 1) if case.get("status") == "disabled" else (0, 1, 0)
    output = case.findtext("system-out") or ""
    run = sum(int(n) for n in CMOCKA_RUN.findall(output))
    if run == 0:
        return (0, 1, 0) if failed_status else (1, 0, 0)
    passed = sum(int(n) for n in CMOCKA_PASSED.findall(output))
    skipped = sum(int(n) for n in CMOCKA_SKIPPED.findall(output))
    failed = max(run - passed - skipped, 0)
    if failed_status and failed == 0:
        failed = 1
    return passed, failed, skipped


def main():
    args = sys.argv[1:]
    list_failed = "--list-failed" in args
    args = [arg for arg in args if arg != "--list-failed"]
    if len(args) != 1:
        sys.exit(__doc__)
    totals = [0, 0, 0]
    for case in ElementTree.parse(args[0]).getroot().iter("testcase"):
        counts = count(case)
        if list_failed and counts[1]:
            print(f"failed: {case.get('name')}")
        totals = [a + b for a, b in zip(totals, counts)]
    print(*totals)


if __name__ == "__main__":
    main()
