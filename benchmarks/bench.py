#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench.py - every row at full size, for Grove and its peers in turn.

usage: bench.py [--json FILE] [--compare FILE] [--build DIR] [--runs N] [--pairs N] [--quick]
                [--no-peers] [NAME...]

NAME is a row (pingpong, fanout_send/17) or what stands before its slash (fanout_send, http, wake).
Writes JSON lines and a chart beside them; --compare sets Grove's figures against those of a stored
run.  Ends with status 1 if one of Grove's programs failed.  What a figure means is said in
README.md.
"""

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

import measure
import report
from measure import Failed, Results, say
from rows import CONNECTIONS, JOBS, matches

PER_RUN_S = 180  # no program may take longer


def arguments():
    parser = argparse.ArgumentParser(description="All rows, for Grove and its peers in turn.")
    default = os.environ.get("DEV_BUILD_DIR", "build/release")
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows or groups; all by default")
    parser.add_argument("--json", default="build/bench/results.jsonl", help="where figures go")
    parser.add_argument("--compare", metavar="FILE", help="a stored run to compare with")
    parser.add_argument("--build", default=default, help="where Grove was built")
    parser.add_argument("--runs", type=int, default=5, help="runs per workload and implementation")
    parser.add_argument("--pairs", type=int, default=15, help="runs of each HTTP server")
    parser.add_argument("--load-seconds", type=int, default=2, help="length of an HTTP run")
    parser.add_argument("--quick", action="store_true", help="the sizes of the main job")
    parser.add_argument("--no-peers", action="store_true", help="Grove alone")
    return parser.parse_args()


def chosen_jobs(options):
    jobs = []
    for job in JOBS:
        if not job.meant_by(options.names):
            continue
        if job.hubs > measure.cpu_count():
            say(f"left out: {job.case} with {job.hubs} hubs, there are {measure.cpu_count()} cpus")
            continue
        if options.no_peers:
            job = dataclasses.replace(job, peers=())
        jobs.append(job)
    return jobs


def run_programs(options, results, missing, clock):
    jobs = chosen_jobs(options)
    for number, job in enumerate(jobs, 1):
        hubs = f"{job.hubs} hub{'s' if job.hubs > 1 else ''}"
        say(f"[{clock():4.0f} s] {number:2}/{len(jobs)} {job.case}, {hubs} ", end="")
        measure.run_job(job, options.build, results, options.runs, options.quick, missing, PER_RUN_S)
        say(" " + report.summary(results, job))


def run_http(options, results, servers, clock):
    for connections in CONNECTIONS:
        if not matches(f"http/{connections}", options.names):
            continue
        for number in range(options.pairs):
            say(f"[{clock():4.0f} s] http/{connections} {number + 1}/{options.pairs}:", end="")
            for impl in list(servers):
                try:
                    figure = measure.measure_http(
                        impl, options.build, connections, options.load_seconds, number
                    )
                except (Failed, OSError) as failure:
                    results.fail(impl, str(failure))
                    servers.remove(impl)
                    continue
                results.add(figure)
                say(f"  {impl} {figure['value']:.2f} us", end="")
            say()


def run_calls(options, results, servers, clock):
    wanted = [n for n in CONNECTIONS if matches(f"http/{n}", options.names)]
    counter = measure.call_counter()
    if counter is None and wanted:
        say("system calls are not counted: neither perf nor strace can do it here")
        return
    for connections in wanted:
        for impl in servers:
            try:
                figure = measure.measure_calls(
                    impl, options.build, connections, options.load_seconds, counter, 0
                )
            except (Failed, OSError) as failure:
                results.fail(impl, str(failure))
                continue
            results.add(figure)
            say(f"[{clock():4.0f} s] http/{connections}: {impl} {figure['value']:.2f} calls/request")


def main():
    options = arguments()
    options.build = (measure.ROOT / options.build).resolve()
    stored = report.read_json(options.compare) if options.compare else None
    start = time.monotonic()

    def clock():
        return time.monotonic() - start

    results = Results()
    say(f"{measure.cpu_model()}, {measure.cpu_count()} cpus, load {os.getloadavg()[0]:.2f}")
    stolen = measure.stolen_ticks()
    missing = measure.build_peers()
    run_programs(options, results, missing, clock)
    if any(matches(f"http/{n}", options.names) for n in CONNECTIONS):
        servers = measure.http_ready(missing)
        if options.no_peers:
            servers = [s for s in servers if s in ("grove", "epoll")]
        run_http(options, results, servers, clock)
        run_calls(options, results, servers, clock)
    if not results.runs and not results.failures:
        say(f"no row is called {' or '.join(options.names)}")
        return 2

    report.print_table(results)
    path = Path(options.json)
    report.write_json(results, path)
    say(f"written: {path}")
    if report.write_chart(results, path.with_suffix(".svg")):
        say(f"written: {path.with_suffix('.svg')}")
    if stored is not None:
        report.compare(results, stored)
    return report.finish(results, clock(), stolen)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        measure.interrupted()
