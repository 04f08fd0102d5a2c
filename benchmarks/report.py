# SPDX-License-Identifier: MIT
"""report.py - the table, the JSON lines, the chart, and the comparison with a stored run."""

import json
import shutil
import subprocess
from statistics import median

from measure import cpu_count, regime, say, stolen_ticks
from rows import ROWS, Times, paired_ratios, scale_to

# --- figures -------------------------------------------------------------------------------------


def number(value):
    """Three digits that matter."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def values_of(runs, impl, key):
    return [run[key] for run in runs.get(impl, []) if run.get(key) is not None]


def middle(runs, impl, key="value"):
    values = values_of(runs, impl, key)
    return median(values) if values else None


def spread_of(values):
    """(largest - smallest) / median."""
    m = median(values) if values else 0
    return (max(values) - min(values)) / m if m else 0.0


# --- JSON lines ----------------------------------------------------------------------------------


def merged(results):
    """One dictionary per row and implementation: medians over the runs."""
    for (name, hubs), runs in results.runs.items():
        for impl, all_runs in runs.items():
            values = values_of(runs, impl, "value")
            line = {
                "name": name, "impl": impl, "hubs": hubs or cpu_count(), "unit": all_runs[0]["unit"],
                "value": round(median(values), 6), "p99": middle(runs, impl, "p99"),
                "runs": len(values), "spread": round(spread_of(values), 4),
                "size": all_runs[0]["size"],
            }  # fmt: skip
            for key in ("line_ns", "requests_s"):
                if values_of(runs, impl, key):
                    line[key] = round(middle(runs, impl, key), 1)
            if "counter" in all_runs[0]:
                line["counter"] = all_runs[0]["counter"]
            yield line


def write_json(results, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        for line in merged(results):
            out.write(json.dumps(line) + "\n")


def read_json(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


# --- the table -----------------------------------------------------------------------------------

COLUMNS = (
    "row", "hubs", "unit", "grove", "go", "boost/epoll", "grove/go", "spread", "bar", "reached",
    "cache line",
)  # fmt: skip


def _peer_cell(row, runs, impl):
    """A peer's figure; with ~ where it was measured at a smaller size and multiplied."""
    value = middle(runs, impl, row.field)
    if value is None:
        return "-"
    grove = runs.get("grove", [])
    size = grove[0]["size"] if grove else runs[impl][0]["size"]
    factor = scale_to(row, runs[impl][0], size)
    return ("~" if runs[impl][0]["size"] != size else "") + number(value * factor)


def _go_cell(row, runs):
    cell = _peer_cell(row, runs, "go")
    if "go-net/http" in runs:
        cell += f" / {number(middle(runs, 'go-net/http', row.field))}"
    return cell


def _line_cell(row, runs):
    if row.hubs < 2:
        return ""
    lines = values_of(runs, "grove", "line_ns")
    if not lines:
        return "-"
    kinds = {regime(ns) for ns in lines}
    return f"{number(median(lines))} ns {kinds.pop() if len(kinds) == 1 else 'mixed'}"


def _bar_cell(row, runs):
    """The bar, and for a peer other than Go the ratio it is judged on."""
    text = row.bar_text()
    for bar in row.bars:
        if isinstance(bar, Times) and bar.peer != "go":
            ratios = paired_ratios(runs, "grove", bar.peer, row.field)
            if ratios:
                text += f" (is {median(ratios):.2f})"
    return text


def _third_peer(runs):
    return next((impl for impl in ("boost", "epoll", "futex") if impl in runs), "boost")


def _cells(row, runs):
    ratios = paired_ratios(runs, "grove", "go", row.field)
    own = values_of(runs, "grove", row.field)
    reached = {True: "yes", False: "no", None: "-"}[row.reached(runs)]
    if "grove" not in runs:
        reached = "failed"
    third = _third_peer(runs)
    other = _peer_cell(row, runs, third)
    return (
        row.title,
        str(row.hubs or ""),
        row.unit,
        number(middle(runs, "grove", row.field)),
        _go_cell(row, runs),
        other + (" futex" if third == "futex" and other != "-" else ""),
        f"{median(ratios):.3f}" if ratios else "-",
        f"{100 * spread_of(own):.0f}%" if own else "-",
        _bar_cell(row, runs) or "-",
        reached if row.bars else "",
        _line_cell(row, runs),
    )


def table(results):
    """Lines of the table, and how many bars are reached, missed, and could not be judged."""
    lines, counts = [COLUMNS], {True: 0, False: 0, None: 0}
    for row in ROWS:
        runs = results.row(row.name, row.hubs)
        if not runs:
            continue
        lines.append(_cells(row, runs))
        if row.bars:
            counts[row.reached(runs) if "grove" in runs else False] += 1
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    left = {0, 2, 8, 9, 10}
    text = []
    for line in lines:
        cells = [c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))]
        text.append("  ".join(cells).rstrip())
    text.insert(1, "-" * max(len(line) for line in text))
    return text, counts


def print_table(results):
    text, counts = table(results)
    say()
    for line in text:
        say(line)
    say()
    say("Medians; spread is (largest - smallest) / median of Grove's runs; ratios are medians of")
    say("neighbouring runs.  ~ was measured at a smaller size (totals are multiplied up).  http: server")
    say("CPU per request, Go as bare connection / net/http.  near, far: where the host put two cores.")
    say(f"bars reached: {counts[True]}, missed: {counts[False]}, not judged: {counts[None]}")


def summary(results, job):
    """The medians that a job gave, in one line, for those who watch."""
    parts = []
    for row in ROWS:
        runs = results.row(row.name, row.hubs)
        if runs and row.hubs == job.hubs and row.name in job.rows and (row.bars or not job.gives):
            figures = [f"{impl} {number(middle(runs, impl, row.field))}" for impl in runs]
            parts.append(f"{' '.join(figures)} {row.unit}")
    return "; ".join(parts)


def finish(results, seconds, stolen_before):
    """The last lines of a job, and its exit status: 1 if one of Grove's programs failed."""
    now = stolen_ticks()
    share = 100 * (now[0] - stolen_before[0]) / max(now[1] - stolen_before[1], 1)
    say(f"{seconds:.0f} s; the host took {share:.1f} % of the CPU time for others")
    for _, what in results.failures:
        say(f"FAILED: {what}")
    return 1 if any(impl == "grove" for impl, _ in results.failures) else 0


# --- the chart -----------------------------------------------------------------------------------

_COLOURS = {"grove": "#2e7d32", "go": "#00add8", "boost": "#f7901e", "epoll": "#6a6a6a"}


def _chart_rows(results):
    """(label, {impl: cost relative to Go}) of every row that Go has too."""
    for row in ROWS:
        runs = results.row(row.name, row.hubs)
        base = middle(runs, "go", row.field)
        grove = runs.get("grove")
        if not grove or not base or not row.bars:
            continue
        label = row.title
        if sum(other.title == row.title for other in ROWS) > 1:
            label += f", {row.hubs} hub{'s' if row.hubs > 1 else ''}"
        bars = {}
        for impl in _COLOURS:
            value = middle(runs, impl, row.field)
            if value:
                bars[impl] = value * scale_to(row, runs[impl][0], grove[0]["size"]) / base
        yield label, bars


def write_chart(results, path):
    """One group of bars per row that has a bar to reach.  False if there is nothing to draw, or nothing to draw with."""
    rows = list(_chart_rows(results))
    if not rows or shutil.which("gnuplot") is None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    data = path.with_suffix(".dat")
    with open(data, "w", encoding="utf-8") as out:
        for label, bars in rows:
            cells = [f"{bars[i]:.5f}" if i in bars else "-" for i in _COLOURS]
            out.write(f'"{label}" ' + " ".join(cells) + "\n")
    low = min(min(bars.values()) for _, bars in rows)
    plots = ", ".join(
        f"'{data}' using {i + 2}:xtic(1) title '{impl}' linecolor rgb '{colour}'"
        for i, (impl, colour) in enumerate(_COLOURS.items())
    )
    script = f"""
set terminal svg size {220 + 62 * len(rows)},640 font 'sans,12' background 'white'
set output '{path}'
set title 'Cost relative to Go, logarithmic: shorter is better'
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set datafile missing '-'
set logscale y
set yrange [{low / 2:.5f}:*]
set ytics nomirror
set xtics rotate by -40 nomirror noenhanced
set grid ytics
set key outside top center horizontal
set bmargin 11
set rmargin 12
plot {plots}
"""
    done = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True)
    data.unlink()
    if done.returncode != 0:
        say(f"gnuplot: {done.stderr.strip()}")
    return done.returncode == 0


# --- comparison with a stored run ----------------------------------------------------------------


def _key(line):
    """A server's row has as many hubs as there are cpus, and is the same row anyway."""
    return line["name"], 0 if line["name"].startswith("http") else line["hubs"], line["impl"]


def compare(results, stored):
    """Prints each of Grove's figures against those of a stored run, as now / then."""
    now = {_key(x): x for x in merged(results)}
    then = {_key(x): x for x in stored}
    lines = [("row", "hubs", "unit", "then", "now", "now/then", "x go then", "x go now", "")]
    for row in ROWS:
        key = (row.name, row.hubs, "grove")
        if key not in now or key not in then:
            continue
        a, b = then[key], now[key]
        if not a.get(row.field) or b.get(row.field) is None:
            continue
        ratio = b[row.field] / a[row.field]
        noise = max(0.05, a.get("spread") or 0, b.get("spread") or 0)
        remark = "slower" if ratio > 1 + noise else "faster" if ratio < 1 - noise else ""
        if a["size"] != b["size"]:
            remark = "sizes differ"
        elif "line_ns" in a and "line_ns" in b and regime(a["line_ns"]) != regime(b["line_ns"]):
            remark = f"cores were {regime(a['line_ns'])}, are {regime(b['line_ns'])}"
        cells = [row.title, str(row.hubs or ""), row.unit, number(a[row.field]), number(b[row.field])]
        cells.append(f"{ratio:.2f}")
        for side, figures in ((then, a), (now, b)):
            go = side.get((row.name, row.hubs, "go"), {}).get(row.field)
            cells.append(f"{figures[row.field] / go:.3f}" if go else "-")
        lines.append((*cells, remark))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    say()
    for line in lines:
        cells = [c.ljust(w) if i in (0, 2, 8) else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))]
        say("  ".join(cells).rstrip())
    say()
    say("slower, faster: by more than both runs' spread (and 5 %).")
