#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py - the main job: Grove next to Go, Boost.Fiber and a plain epoll server, in short.

usage: run.py [--build DIR] [--out DIR] [--runs N] [--seconds N]

Builds the peers, runs each workload in turn for Grove and its peers, then examples/httpd and its
peers under wrk; prints one table, writes OUT/results.jsonl and OUT/chart.svg.  Ends with status 1 if
one of Grove's programs failed.  What a figure means is said in README.md.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import measure
import report
from measure import Failed, Results, say
from rows import CONNECTIONS, JOBS

PER_RUN_S = 60  # no program may take longer
HTTP_ROUND_S = 1.25  # one second of load, starting and stopping the server


def arguments():
    parser = argparse.ArgumentParser(description="Grove next to its peers, in two minutes.")
    default = os.environ.get("DEV_BUILD_DIR", "build/release")
    parser.add_argument("--build", default=default, help="where Grove was built")
    parser.add_argument("--out", default="build/run", help="where the results go")
    parser.add_argument("--runs", type=int, default=5, help="runs per workload and implementation")
    parser.add_argument("--seconds", type=int, default=100, help="how long all may take, about")
    return parser.parse_args()


def run_programs(options, results, missing, clock):
    jobs = [job for job in JOBS if job.main_job and job.hubs <= measure.cpu_count()]
    for number, job in enumerate(jobs, 1):
        hubs = f"{job.hubs} hub{'s' if job.hubs > 1 else ''}"
        say(f"[{clock():3.0f} s] {number:2}/{len(jobs)} {job.case}, {hubs} ", end="")
        measure.run_job(job, options.build, results, options.runs, True, missing, PER_RUN_S)
        say(" " + report.summary(results, job))


def run_http(options, results, servers, clock):
    """As many rounds as the time allows, from three to options.runs."""
    each = HTTP_ROUND_S * len(servers) * len(CONNECTIONS)
    rounds = int((options.seconds - clock()) / each) if each else 0
    rounds = max(min(3, options.runs), min(options.runs, rounds))
    for number in range(rounds):
        for connections in CONNECTIONS:
            say(f"[{clock():3.0f} s] http/{connections}, round {number + 1}/{rounds}:", end="")
            for impl in list(servers):
                try:
                    figure = measure.measure_http(impl, options.build, connections, 1, number)
                except (Failed, OSError) as failure:
                    results.fail(impl, str(failure))
                    servers.remove(impl)
                    continue
                results.add(figure)
                say(f"  {impl} {figure['value']:.2f} us", end="")
            say()


def run_calls(options, results, clock):
    counter = measure.call_counter()
    if counter is None:
        say("system calls are not counted: neither perf nor strace can do it here")
        return
    for connections in CONNECTIONS:
        try:
            figure = measure.measure_calls("grove", options.build, connections, 1, counter, 0)
        except (Failed, OSError) as failure:
            results.fail("grove", str(failure))
            return
        results.add(figure)
        say(f"[{clock():3.0f} s] http/{connections}: {figure['value']:.2f} system calls per request")


def main():
    options = arguments()
    options.build = (measure.ROOT / options.build).resolve()
    out = measure.ROOT / options.out
    start = time.monotonic()

    def clock():
        return time.monotonic() - start

    results = Results()
    stolen = measure.stolen_ticks()
    say(f"{measure.cpu_model()}, {measure.cpu_count()} cpus, load {os.getloadavg()[0]:.2f}")
    missing = measure.build_peers()
    run_programs(options, results, missing, clock)
    servers = measure.http_ready(missing)
    run_http(options, results, servers, clock)
    if "grove" in servers:
        run_calls(options, results, clock)

    report.print_table(results)
    report.write_json(results, out / "results.jsonl")
    drawn = report.write_chart(results, out / "chart.svg")
    say(f"written: {Path(options.out) / 'results.jsonl'}")
    if drawn:
        say(f"written: {Path(options.out) / 'chart.svg'}")
    return report.finish(results, clock(), stolen)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        measure.interrupted()
