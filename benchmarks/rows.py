# SPDX-License-Identifier: MIT
"""rows.py - which programs are run, which rows they give, and what each row should reach.

The bars are those of the design; a bar that compares with a peer is judged on the median of the
ratios of single runs that were made one right after the other.
"""

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Job:
    """One case of one program, run for Grove and its peers in turn."""

    program: str
    case: str
    hubs: int
    peers: tuple = ("go", "boost")
    main_job: bool = True  # part of `./dev run`
    memory_mib: dict = field(default_factory=dict)  # what a peer needs at full size
    gives: tuple = ()  # rows beside the one of the case's name

    @property
    def rows(self):
        return (self.case, *self.gives)

    def meant_by(self, wanted):
        """Whether one of the names on the command line asks for one of its rows."""
        return any(matches(row, wanted) for row in self.rows)


@dataclass(frozen=True)
class Times:
    """Grove takes at most `most` times what the peer takes."""

    most: float
    peer: str

    def __str__(self):
        return f"<= {self.most:g} x {self.peer}"

    def judge(self, row, runs):
        ratios = paired_ratios(runs, "grove", self.peer, row.field)
        return median(ratios) <= self.most if ratios else None


@dataclass(frozen=True)
class AtMost:
    """Grove's figure is at most this."""

    most: float

    def __str__(self):
        return f"<= {self.most:g}"

    def judge(self, row, runs):
        values = [run[row.field] for run in runs.get("grove", []) if run[row.field] is not None]
        return median(values) <= self.most if values else None


@dataclass(frozen=True)
class Row:
    """A line of the table: one figure of one case."""

    name: str
    hubs: int
    unit: str
    bars: tuple = ()
    field: str = "value"  # or "p99"
    grows_with: str = ""  # a peer's figure at a smaller size is multiplied up: "size" or "fib"
    label: str = ""

    @property
    def title(self):
        return self.label or self.name

    def bar_text(self):
        unit = " " + self.unit if self.unit and self.unit != "calls" else ""
        return ", ".join(str(b) + (unit if isinstance(b, AtMost) else "") for b in self.bars)

    def reached(self, runs):
        """True, False, or None if a figure that is needed is missing."""
        verdicts = [bar.judge(self, runs) for bar in self.bars]
        if False in verdicts:
            return False
        return None if None in verdicts or not verdicts else True


def paired_ratios(runs, impl, peer, key="value"):
    """Ratios of the runs with the same number; peers at other sizes do not count."""
    others = {run["run"]: run for run in runs.get(peer, [])}
    ratios = []
    for run in runs.get(impl, []):
        other = others.get(run["run"])
        if other is None or other["size"] != run["size"]:
            continue
        if run[key] is not None and other[key]:
            ratios.append(run[key] / other[key])
    return ratios


_BIG = {"boost": 11000}  # 1M fibers, with a page or two of stack each

JOBS = [
    Job("yield", "yield/2", 1),
    Job("yield", "yield/1000", 1),
    Job("spawn", "spawn_join", 1),
    Job("spawn", "spawn_join", 2),
    Job(
        "spawn", "spawn_batch", 2, memory_mib=_BIG, gives=("spawn_batch_warm", "spawn_batch_peak")
    ),
    Job("skynet", "skynet", 2, memory_mib={"boost": 4000}, gives=("skynet_peak",)),
    Job("fib", "fib", 2),
    Job("pingpong", "pingpong", 1),
    Job("pingpong", "pingpong", 2),
    Job("pingpong", "pingpong_flag", 1, peers=(), main_job=False),
    Job("pingpong", "pingpong_flag", 2, peers=(), main_job=False),
    Job("fanout", "fanout", 2),
    Job("fanout", "fanout_send/10", 2, main_job=False),
    Job("fanout", "fanout_send/17", 2),
    Job("fanout", "fanout_send/1000", 2, main_job=False),
    Job("fanout", "fanout_send/10000", 2),
    Job("fanout", "fanout_send/100000", 2, peers=("go",)),
    Job("fanout", "fanout_send/1000000", 2, main_job=False, memory_mib={"grove": 6000, **_BIG}),
    Job(
        "idle", "idle", 2, memory_mib={"grove": 6000, **_BIG},
        gives=("idle_memory", "idle_memory_pte", "idle_create"),
    ),  # fmt: skip
    Job(
        "timers", "timers_cpu", 2, memory_mib={"grove": 6000, **_BIG}, gives=("timers_wall",)
    ),
    Job("wake", "wake/asleep", 2, peers=()),
    Job("wake", "wake/spinning", 2, peers=()),
    Job("stuck", "stuck", 2, peers=()),
]

CONNECTIONS = (64, 512)


def _send_row(waiters):
    return Row(f"fanout_send/{waiters}", 2, "us", (AtMost(2),))


def _http_rows(connections):
    name = f"http/{connections}"
    return [
        Row(name, 0, "us", (Times(1.10, "epoll"),), label=f"{name} cpu"),
        Row(name, 0, "us", (Times(1.2, "epoll"),), field="p99", label=f"{name} p99"),
        Row(f"{name}_calls", 0, "calls", (AtMost(2.1),), label=f"{name} calls"),
    ]


ROWS = [
    Row("yield/2", 1, "ns", (Times(0.13, "go"),)),
    Row("yield/1000", 1, "ns", (Times(0.16, "go"),)),
    Row("spawn_join", 1, "ns", (Times(0.13, "go"),)),
    Row("spawn_join", 2, "ns", (Times(0.12, "go"),)),
    Row("spawn_batch", 2, "ns", (Times(0.45, "go"),)),
    Row("spawn_batch_warm", 2, "ns"),
    Row("spawn_batch_peak", 2, "MiB", (AtMost(110),), grows_with="size"),
    Row("skynet", 2, "ms", (Times(0.045, "go"),), grows_with="size"),
    Row("skynet_peak", 2, "MiB", (AtMost(64),)),
    Row("fib", 2, "ms", (Times(0.045, "go"),), grows_with="fib"),
    Row("pingpong", 1, "ns", (Times(0.22, "go"),)),
    Row("pingpong", 2, "ns", (Times(0.25, "go"),)),
    Row("pingpong_flag", 1, "ns"),
    Row("pingpong_flag", 2, "ns"),
    Row("fanout", 2, "ns", (Times(0.20, "go"), AtMost(60))),
    Row("fanout_send/10", 2, "us"),
    *[_send_row(n) for n in (17, 1000, 10000, 100000, 1000000)],
    Row("idle_memory", 2, "B", (AtMost(4300),)),
    Row("idle_memory_pte", 2, "B"),
    Row("idle_create", 2, "ns", (Times(0.75, "go"),)),
    Row("timers_cpu", 2, "s", (Times(0.4, "go"),), grows_with="size"),
    Row("timers_wall", 2, "s", grows_with="size"),
    *[row for n in CONNECTIONS for row in _http_rows(n)],
    Row("wake/asleep", 2, "us", (Times(1.2, "futex"),)),
    Row("wake/spinning", 2, "us", (AtMost(0.3),)),
    Row("stuck", 2, "ms", (AtMost(2),), field="p99", label="stuck p99"),
]


def _fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def scale_to(row, run, size):
    """What a figure measured at run["size"] is worth at `size`."""
    if run["size"] == size or not row.grows_with:
        return 1.0
    if row.grows_with == "fib":
        return _fib(size + 1) / _fib(run["size"] + 1)
    return size / run["size"]


def matches(row, wanted):
    """Whether a name on the command line means the row: its name, or the beginning of it."""
    return not wanted or any(w == row or row.startswith((w + "/", w + "_")) for w in wanted)
