"""The rounds of a comparison: the load on each server, and medians over the rounds."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.load import GRACE_SECONDS
from benchmarks.servers import pinned

Measured = dict[str, Any]
"""The JSON form of `benchmarks.load.Measurement`."""


@dataclass(frozen=True)
class Scenario:
    """One kind of load: rows in a request, connections, measured seconds, and seconds of warm-up before them."""

    rows: int
    connections: int
    seconds: float
    warm_up: float


@dataclass(frozen=True)
class Target:
    """What is loaded: a URL, or HOST:PORT of a gRPC server, and the protocol, of `load.CALLERS`."""

    url: str
    protocol: str = "json"


SCENARIOS: dict[str, Scenario] = {
    "lone_before": Scenario(1, 1, 3, 0.5),
    "one_row": Scenario(1, 32, 8, 2),
    "lone_after": Scenario(1, 1, 3, 0),
    "thousand_rows": Scenario(1000, 4, 8, 2),
}
"""In the order they are run: the lone caller runs directly before and directly after the burst of one-row requests."""


@dataclass(frozen=True)
class Pace:
    """How many rounds there are, and the share of a scenario's seconds that each load lasts."""

    rounds: int = 3
    share: float = 1.0


QUICK = Pace(1, 0.15)
"""One short round, to check that everything runs."""


def run_rounds(
    targets: Mapping[str, Mapping[str, Target]],
    rows: Path,
    core: int | None,
    pace: Pace,
    step: Callable[[str], None],
) -> dict[str, list[dict[str, Measured]]]:
    """Measurements by name, round and scenario; the names take turns, and only one is under load at a time.

    `targets` are by name and scenario, `rows` is the file of rows, `core` where the load runs.
    """
    rounds: dict[str, list[dict[str, Measured]]] = {name: [] for name in targets}
    for number in range(pace.rounds):
        for name, by_scenario in targets.items():
            measured = {}
            for scenario, target in by_scenario.items():
                step(f"round {number + 1}: {name}, {scenario.replace('_', ' ')}")
                measured[scenario] = measure(target, rows, SCENARIOS[scenario], core, pace.share)
            rounds[name].append(measured)
    return rounds


def run_pairs(
    targets: Mapping[str, Target],
    scenarios: Mapping[str, Scenario],
    rows: Path,
    core: int | None,
    pace: Pace,
    step: Callable[[str], None],
) -> dict[str, list[dict[str, Measured]]]:
    """Measurements by name, round and scenario, where each scenario runs on all targets directly one after the other.

    The order of the targets is reversed in every other round.
    """
    rounds: dict[str, list[dict[str, Measured]]] = {name: [{} for _ in range(pace.rounds)] for name in targets}
    for number in range(pace.rounds):
        for scenario, load in scenarios.items():
            for name in list(targets)[:: -1 if number % 2 else 1]:
                step(f"round {number + 1}: {name}, {scenario.replace('_', ' ')}")
                rounds[name][number][scenario] = measure(targets[name], rows, load, core, pace.share)
    return rounds


def median(rounds: list[dict[str, Measured]], scenario: str, metric: str) -> float | None:
    """The median of a metric over rounds; None where a round has no value."""
    values = [measured[scenario][metric] for measured in rounds]
    return None if None in values else statistics.median(values)


def count_reasons(rounds: list[dict[str, Measured]]) -> Counter[str]:
    """Requests of all rounds and scenarios that failed, by what went wrong."""
    return sum((Counter(measured["reasons"]) for each in rounds for measured in each.values()), Counter())


def measure(target: Target, rows: Path, load: Scenario, core: int | None, factor: float) -> Measured:
    """What the callers of one load measured; `factor` shortens it. Raises BenchmarkError where the load fails."""
    command = [sys.executable, "-m", "benchmarks.load", "--url", target.url, "--protocol", target.protocol]
    command += ["--rows", str(rows), "--rows-per-request", str(load.rows), "--connections", str(load.connections)]
    command += ["--seconds", str(load.seconds * factor), "--warm-up", str(load.warm_up * factor)]
    timeout = load.seconds + load.warm_up + GRACE_SECONDS + 60
    try:
        with pinned(core):
            result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"The load on {target.url} did not end within {timeout:.0f} s.") from None
    if result.returncode:
        raise BenchmarkError(f"The load on {target.url} failed: {result.stderr.strip()[-500:]}")
    measured: Measured = json.loads(result.stdout)
    return measured
