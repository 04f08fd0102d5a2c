# SPDX-License-Identifier: MIT
"""measure.py - builds the peers, runs the programs, drives the HTTP servers.

Nothing here judges: every run gives dictionaries in the form of the JSON lines, with the number of
the run in "run", and Results collects them.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "build" / "peers"
SOURCES = ROOT / "benchmarks" / "peers"


class Failed(Exception):
    """A program ended badly; the text says how."""


def say(text="", end="\n"):
    print(text, end=end, flush=True)


# --- the machine ---------------------------------------------------------------------------------


def cpu_model():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown cpu"


def available_mib():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def cpu_count():
    return len(os.sched_getaffinity(0))


def stolen_ticks():
    """(stolen, all) clock ticks of all CPUs since the start of the machine."""
    fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[7], sum(fields)


def regime(line_ns):
    """How the host has placed the two cores, judged by a cache line's round trip."""
    return "near" if line_ns < 200 else "far"


# --- building the peers --------------------------------------------------------------------------


def _older(target, sources):
    if not target.exists():
        return True
    stamp = target.stat().st_mtime
    return any(source.stat().st_mtime > stamp for source in sources)


def _build(target, sources, command, cwd=ROOT, env=None):
    if not _older(target, sources):
        return
    say(f"  building {target.relative_to(ROOT)}")
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{done.stderr.strip()}")


def _build_go(name):
    folder = SOURCES / "go" / name
    env = dict(os.environ, GOPROXY="off", GOFLAGS="", GOWORK="off", GOCACHE=str(PEERS / "go-cache"))
    target = PEERS / f"{name}_go"
    _build(target, list(folder.iterdir()), ["go", "build", "-o", target, "."], folder, env)


def _build_boost():
    bench = ROOT / "benchmarks"
    cc, cxx = os.environ.get("CC", "gcc"), os.environ.get("CXX", "g++")
    harness = PEERS / "bench.o"
    headers = [bench / "bench.h"]
    _build(
        harness,
        [bench / "bench.c", *headers],
        [cc, "-std=gnu11", "-O2", "-D_GNU_SOURCE", "-c", bench / "bench.c", "-o", harness],
    )
    source, target = SOURCES / "boost" / "bench_boost.cpp", PEERS / "bench_boost"
    _build(
        target,
        [source, harness, *headers],
        [cxx, "-std=c++17", "-O2", f"-I{bench}", source, harness, "-o", target]
        + ["-lboost_fiber", "-lboost_context", "-lpthread"],
    )


def _build_epoll():
    source, target = SOURCES / "epoll" / "http_epoll.c", PEERS / "http_epoll"
    command = [os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-D_GNU_SOURCE", source]
    _build(target, [source], command + ["-o", target, "-lhttp_parser", "-lpthread"])


def build_peers():
    """Builds what can be built; returns what could not be, as {name: reason}."""
    PEERS.mkdir(parents=True, exist_ok=True)
    missing = {}
    steps = {
        "go": ("go", lambda: (_build_go("bench"), _build_go("http"))),
        "boost": (os.environ.get("CXX", "g++"), _build_boost),
        "epoll": (os.environ.get("CC", "gcc"), _build_epoll),
    }
    for name, (tool, step) in steps.items():
        if shutil.which(tool) is None:
            missing[name] = f"{tool} is not installed"
            continue
        try:
            step()
        except Failed as failure:
            missing[name] = str(failure)
    for name, reason in missing.items():
        say(f"  no figures of {name}: {reason}")
    return missing


# --- programs ------------------------------------------------------------------------------------


class Results:
    """All runs, by row and implementation."""

    def __init__(self):
        self.runs = {}
        self.failures = []

    def add(self, run):
        row = self.runs.setdefault((run["name"], run["hubs"]), {})
        row.setdefault(run["impl"], []).append(run)

    def row(self, name, hubs):
        return self.runs.get((name, hubs), {})

    def fail(self, impl, what):
        self.failures.append((impl, what))
        say(f"  FAILED: {what}")


def find_program(build, name):
    """A program of the build directory, wherever the build put it."""
    for folder in ("benchmarks", "examples", "bin", "."):
        path = build / folder / name
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise Failed(f"{build}/benchmarks/{name} does not exist; build first: ./dev build release")


def program_of(impl, job, build):
    if impl == "grove":
        return find_program(build, f"bench_{job.program}")
    return PEERS / ("bench_go" if impl == "go" else "bench_boost")


def run_case(impl, job, build, number, options, limit_s):
    """One fresh process; returns its figures."""
    program = program_of(impl, job, build)
    command = [str(program), "--case", job.case, "--hubs", str(job.hubs), "--runs", "1", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)}: took more than {limit_s} s") from None
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()[-300:]}")
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    for figure in figures:
        figure["run"] = number
    return figures


def run_job(job, build, results, runs, quick, missing, limit_s):
    """All runs of a job, Grove and its peers in turn."""
    impls = ["grove"] + [peer for peer in job.peers if peer not in missing]
    for number in range(runs):
        figures = {}
        for impl in list(impls):
            options = ["--quick"] if quick else []
            if not quick and job.memory_mib.get(impl, 0) > available_mib():
                options = ["--quick"]
            try:
                figures[impl] = run_case(impl, job, build, number, options, limit_s)
            except (Failed, OSError, ValueError) as failure:
                results.fail(impl, str(failure))
                impls.remove(impl)
        # Go's programs do not measure the cache line; their neighbours of the same run did.
        lines = [f["line_ns"] for one in figures.values() for f in one if "line_ns" in f]
        for one in figures.values():
            for figure in one:
                if lines and "line_ns" not in figure:
                    figure["line_ns"] = min(lines)
                results.add(figure)
        say("." if "grove" in figures else "!", end="")
        if not impls:
            break


# --- HTTP ----------------------------------------------------------------------------------------

PATH = "/plaintext"
BODY = b"Hello, World!"

SERVERS = ("grove", "epoll", "go", "go-net/http")


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _server_command(impl, build, port):
    option = ["--port", str(port)]
    if impl == "grove":
        return [str(find_program(build, "httpd")), *option]
    if impl == "epoll":
        return [str(PEERS / "http_epoll"), *option]
    return [str(PEERS / "http_go"), *option] + (["-raw"] if impl == "go" else [])


class Server:
    """A server on the loopback interface, for the length of a with block."""

    def __init__(self, impl, build):
        self.impl = impl
        self.port = _free_port()
        self.command = _server_command(impl, build, self.port)

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self._check()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _check(self):
        """Waits until it answers, and looks at the answer."""
        end = time.monotonic() + 5
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            try:
                connection.request("GET", PATH)
                answer = connection.getresponse()
                body = answer.read()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Failed(f"{self.command[0]} does not answer") from None
                time.sleep(0.01)
            finally:
                connection.close()
        if answer.status != 200 or body != BODY:
            raise Failed(f"{self.command[0]} answers {answer.status} {body!r}")

    def cpu_s(self):
        """User and system time so far.  The scheduler's nanoseconds; clock ticks without."""
        folder = Path(f"/proc/{self.process.pid}")
        try:
            ns = 0
            for task in (folder / "task").iterdir():
                ns += int((task / "schedstat").read_text().split()[0])
            if ns > 0:
                return ns / 1e9
        except (OSError, ValueError):
            pass
        fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{PATH}"


_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


def _load(server, connections, seconds):
    """Runs wrk; returns (requests, p99 in us)."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    text = done.stdout
    requests = re.search(r"(\d+) requests in", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", text)
    if done.returncode != 0 or requests is None or p99 is None:
        raise Failed(f"{' '.join(command)}: {text[-200:]}{done.stderr[-200:]}")
    if "Socket errors" in text or "Non-2xx" in text:
        raise Failed(f"{server.impl}: {text[text.find('Socket errors'):][:200].strip()}")
    return int(requests.group(1)), float(p99.group(1)) * _UNITS[p99.group(2)]


def measure_http(impl, build, connections, seconds, number):
    """One server, one load; returns its figure."""
    with Server(impl, build) as server:
        before = server.cpu_s()
        requests, p99 = _load(server, connections, seconds)
        used = server.cpu_s() - before
    return {
        "name": f"http/{connections}", "impl": impl, "hubs": 0, "unit": "us",
        "value": used / max(requests, 1) * 1e6, "p99": p99, "size": connections,
        "requests_s": requests / seconds, "run": number,
    }  # fmt: skip


def _works(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "not supported" not in done.stderr


def call_counter():
    """How system calls can be counted here: "perf" (cheap), "strace" (slows the server), None."""
    if shutil.which("perf") and _works(["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"]):
        return "perf"
    if shutil.which("strace") and _works(["strace", "-c", "-o", "/dev/null", "true"]):
        return "strace"
    return None


def measure_calls(impl, build, connections, seconds, counter, number):
    """System calls of the server per request."""
    report = ROOT / "build" / "calls.txt"
    tool = {
        "perf": ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o", str(report), "-p"],
        "strace": ["strace", "-f", "-c", "-o", str(report), "-p"],
    }[counter]
    with Server(impl, build) as server:
        watcher = subprocess.Popen(
            [*tool, str(server.process.pid)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.3)
        requests, _ = _load(server, connections, seconds)
        watcher.send_signal(signal.SIGINT)
        watcher.wait(10)
    text = report.read_text()
    report.unlink()
    if counter == "perf":
        calls = re.search(r"^(\d+),", text, re.MULTILINE)
    else:
        calls = re.search(r"^\s*100\.00\s+\S+\s+\S*\s*(\d+)(?:\s+\d+)?\s+total$", text, re.MULTILINE)
    if calls is None:
        raise Failed(f"{counter} gave no number of calls")
    return {
        "name": f"http/{connections}_calls", "impl": impl, "hubs": 0, "unit": "calls",
        "value": int(calls.group(1)) / max(requests, 1), "p99": None, "size": connections,
        "counter": counter, "run": number,
    }  # fmt: skip


def http_ready(missing):
    """Which servers can be measured; empty without wrk."""
    if shutil.which("wrk") is None:
        say("  no http rows: wrk is not installed")
        return []
    return [s for s in SERVERS if s.split("-")[0] not in missing]


def interrupted():
    """Ends quietly on ^C: the servers are ended by their with blocks."""
    say("\ninterrupted")
    sys.exit(130)
