"""python -m benchmarks drift: time and memory of the drift job, by rows, beside Evidently's own preset, in one run."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.command import clean_up_on_signals, scratch_folder, steps, write_json
from benchmarks.drift_log import END, START, real_rows, write_log
from benchmarks.errors import BenchmarkError
from benchmarks.report import describe_hardware, hardware, show_number
from benchmarks.servers import require_model
from tabular_bento.monitoring.drift.job import RESULT_FILE

SIZES, QUICK_SIZES = (100_000, 1_000_000, 10_000_000), (2_000, 5_000, 10_000)
JOB, CLUSTER, EVIDENTLY = "drift job", "drift job, two Dask workers", "Evidently's DataDriftPreset"
ONE_WORKER = "drift job, one Dask worker"
WORKERS = {ONE_WORKER: 1, CLUSTER: 2}
ROUNDS = 5
"""Passes over the log of the largest size with one worker and with two, by turns."""

SPEEDUP = 1.6
"""How many times as fast two workers must pass over the log as one."""

MEGABYTES = 1024
"""The most that one process may hold."""

GROWTH = 1.1
"""Time and memory may grow by this much more than rows do: a run varies by as much."""

_LAUNCHER = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Starts a process and prints its processor time, that of its workers included, and the peak of its memory. A process
counts its parent's memory as its own until it has begun its program, so the parent must be small.
"""

EPILOG = """\
Each measurement is a process of its own, with its start, its page and its clean-up: `tabular-bento drift` on a
sealed log of real flights under new ids and times, with labels of nine in ten; the same with --workers 2; and
Evidently's DataDriftPreset on all rows of the middle size in pandas, once. The two jobs' result.json must be the same
to the bit. At the largest size one worker and two pass over the log five times by turns: what the workers do, which is
all of a job but its start and its report. The ratio of their times is the median of the rounds; that of the whole jobs
is smaller, and printed beside. Needs 4 GB of disk, and takes about five minutes.

exit codes: 0 measured; 1 results differ, a process holds more than 1 GB, time or memory grow faster than rows, two
workers pass over the log less than 1.6 times as fast as one, or the ratio to Evidently is below --check; 2 the
arguments are wrong; 3 the benchmark cannot be made.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks drift",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", type=float, metavar="RATIO", help="least ratio of Evidently's time to the job's")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--quick", action="store_true", help="some thousand rows; too few to quote")
    options = parser.parse_args(arguments)
    clean_up_on_signals()
    try:
        scaling = measure(QUICK_SIZES if options.quick else SIZES)
        write_json(scaling.document(), options.json)
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks drift: {error}", file=sys.stderr)
        return 3
    print(scaling.table())
    return judge(scaling, options.check, None if options.quick else SPEEDUP)


@dataclass(frozen=True, order=True)
class Cost:
    """What one process took: wall-clock seconds, MB of memory at its peak (of its largest process), and seconds of
    processor time, of all processes together.
    """

    seconds: float
    megabytes: float
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Scaling:
    """Costs by what was run and by rows, the sizes at which the results of both jobs are the same, and the seconds that
    a pass over the log of the largest size takes one worker and two, by rounds.
    """

    costs: dict[str, dict[int, Cost]]
    identical: list[int]
    rounds: tuple[tuple[float, float], ...] = ()

    @property
    def speedup(self) -> float | None:
        """How many times as fast two workers pass over the log as one, the median of the rounds; None without any."""
        return statistics.median(one / two for one, two in self.rounds) if self.rounds else None

    @property
    def whole_speedup(self) -> float | None:
        """How many times as fast the whole job is with two workers as with one; None where it was not run."""
        for rows, cost in self.costs.get(ONE_WORKER, {}).items():
            return cost.seconds / self.costs[CLUSTER][rows].seconds
        return None

    @property
    def ratio(self) -> float | None:
        """Evidently's time over the job's, at the same rows; None without either."""
        for rows, cost in self.costs.get(EVIDENTLY, {}).items():
            return cost.seconds / self.costs[JOB][rows].seconds
        return None

    def table(self) -> str:
        """The measurements for people to read."""
        heading = f"{'':<34}{'rows':>12}{'seconds':>10}{'rows/s':>12}{'peak MB':>10}{'CPU s':>10}"
        lines = [describe_hardware((None, None))[0], "", heading]
        for what, costs in self.costs.items():
            for rows, cost in costs.items():
                lines.append(
                    f"{what:<34}{rows:>12,}{cost.seconds:>10.1f}{rows / cost.seconds:>12,.0f}{cost.megabytes:>10,.0f}"
                    f"{cost.cpu_seconds:>10.1f}"
                )
        each = ", ".join(f"{one:.1f} s and {two:.1f} s" for one, two in self.rounds) or "none"
        lines.append(f"Two workers pass over the log {show_number(self.speedup)} times as fast as one (rounds: {each})")
        lines.append(f"The whole job is {show_number(self.whole_speedup)} times as fast with two workers as with one")
        lines.append(f"Evidently's time over the job's: {show_number(self.ratio)}")
        same = ", ".join(f"{rows:,}" for rows in self.identical) or "none"
        lines.append(f"result.json with and without Dask the same to the bit at {same} rows")
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "hardware": hardware((None, None)),
            "costs": {
                what: {str(rows): asdict(cost) for rows, cost in each.items()} for what, each in self.costs.items()
            },
            "ratio": self.ratio,
            "speedup": self.speedup,
            "whole_speedup": self.whole_speedup,
            "rounds": self.rounds,
            "identical": self.identical,
        }


def measure(sizes: tuple[int, ...]) -> Scaling:
    """Write a log of each size and run all on it. Raises BenchmarkError where something fails."""
    model = require_model()
    costs: dict[str, dict[int, Cost]] = {JOB: {}, ONE_WORKER: {}, CLUSTER: {}, EVIDENTLY: {}}
    identical = []
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        step = stack.enter_context(steps(3 + 3 * len(sizes) + ROUNDS))
        step("predicting real flights")
        base = real_rows(folder / "real", model)
        for rows in sizes:
            log = folder / str(rows)
            step(f"writing a log of {rows:,} rows")
            write_log(log, base, rows)
            step(f"{JOB}, {rows:,} rows")
            costs[JOB][rows] = run([*_job(log), "--out", str(log / "job")], (0, 1))
            step(f"{CLUSTER}, {rows:,} rows")
            costs[CLUSTER][rows] = _with_workers(log, CLUSTER)
            if result_of(log / "job") == result_of(log / "cluster"):
                identical.append(rows)
        step(f"{ONE_WORKER}, {rows:,} rows")
        costs[ONE_WORKER][rows] = _with_workers(log, ONE_WORKER)
        rounds = []
        for number in range(ROUNDS):
            step(f"one Dask worker and two, round {number + 1}, {rows:,} rows")
            order = (1, 2) if number % 2 else (2, 1)
            measured = {count: _pass_seconds(log, model.tag, count) for count in order}
            rounds.append((measured[1], measured[2]))
        step(f"{EVIDENTLY}, {sizes[1]:,} rows")
        preset = ["-m", "benchmarks.evidently_drift", str(folder / str(sizes[1])), model.tag]
        costs[EVIDENTLY][sizes[1]] = run(preset, (0,))
    return Scaling(costs, identical, tuple(rounds))


def _with_workers(log: Path, what: str) -> Cost:
    return run([*_job(log), "--out", str(log / "cluster"), "--workers", str(WORKERS[what])], (0, 1))


def _pass_seconds(log: Path, tag: str, count: int) -> float:
    command = [sys.executable, "-m", "benchmarks.drift_pass", str(log), tag, str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"{count} Dask workers could not read the log: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout)


def _job(log: Path) -> list[str]:
    window = ["--from", START.isoformat(), "--to", END.isoformat(), "--as-of", "2013-09-01"]
    return ["-m", "tabular_bento", "drift", *window, "--traffic-dir", str(log)]


def run(arguments: list[str], expected: tuple[int, ...]) -> Cost:
    """Run Python with the arguments. Raises BenchmarkError where it ends with another code than those expected."""
    command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, sys.executable, *arguments]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        printed = process.stderr.read().strip().splitlines()
    seconds = time.perf_counter() - begin
    if process.returncode not in expected:
        last = printed[-2] if len(printed) > 1 else "it printed nothing"
        raise BenchmarkError(f"`python {' '.join(arguments[:3])}` ended with {process.returncode}: {last}")
    cpu, kilobytes = printed[-1].split()
    return Cost(seconds, int(kilobytes) / 1024, float(cpu))


def result_of(out: Path) -> dict[str, Any]:
    """All of a result.json but when it was made."""
    document: dict[str, Any] = json.loads((out / RESULT_FILE).read_text())
    del document["made_at"]
    return document


def judge(scaling: Scaling, required: float | None, speedup: float | None = None) -> int:
    """The exit code of finished measurements, with a message for each reason that it is not 0."""
    complaints = list(_complaints(scaling, required, speedup))
    for complaint in complaints:
        print(f"benchmarks drift: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def _complaints(scaling: Scaling, required: float | None, speedup: float | None) -> Iterator[str]:
    for rows in scaling.costs[JOB]:
        if rows not in scaling.identical:
            yield f"at {rows:,} rows the Dask workers come to another result.json"
    for what in (JOB, CLUSTER):
        for rows, cost in scaling.costs[what].items():
            if cost.megabytes > MEGABYTES:
                yield f"{what} holds {cost.megabytes:,.0f} MB at {rows:,} rows, above {MEGABYTES:,}"
        for (fewer, before), (more, after) in pairwise(scaling.costs[what].items()):
            for name in ("seconds", "megabytes"):
                growth = getattr(after, name) / getattr(before, name)
                if growth > GROWTH * more / fewer:
                    yield f"{what}: {name} grow {growth:.1f} times from {fewer:,} to {more:,} rows"
    if speedup is not None and (scaling.speedup is None or scaling.speedup < speedup):
        yield f"two workers pass over the log {show_number(scaling.speedup)} times as fast as one, below {speedup:g}"
    if required is not None and (scaling.ratio is None or scaling.ratio < required):
        yield f"Evidently's time over the job's is {show_number(scaling.ratio)}, below {required:g}"


if __name__ == "__main__":
    sys.exit(main())
