"""The comparison as a table and as JSON, with the hardware it was made on."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy import ROWS
from benchmarks.rounds import SCENARIOS, Measured, count_reasons, median

OURS, CLASSIC = "this service", "classic scaffold"

_LINES = (
    ("one row, 32 connections, requests/s", "one_row", "requests_per_second"),
    ("    p50, ms", "one_row", "p50"),
    ("    p99, ms", "one_row", "p99"),
    ("1000 rows, 4 connections, rows/s", "thousand_rows", "rows_per_second"),
    ("    p50, ms", "thousand_rows", "p50"),
    ("    p99, ms", "thousand_rows", "p99"),
    ("lone caller before the burst, p50, ms", "lone_before", "p50"),
    ("    p99, ms", "lone_before", "p99"),
    ("lone caller after the burst, p50, ms", "lone_after", "p50"),
    ("    p99, ms", "lone_after", "p99"),
)


@dataclass(frozen=True)
class Comparison:
    """Measurements by server, round and scenario, and the RMSE of each server's predictions in minutes."""

    rounds: dict[str, list[dict[str, Measured]]]
    rmse: dict[str, float]
    cores: tuple[int | None, int | None]

    @property
    def ratio(self) -> float | None:
        """One-row requests a second, of this service over the classic scaffold, medians; None without either."""
        return self._ratio("one_row", "requests_per_second")

    @property
    def errors(self) -> int:
        return sum(count_reasons(rounds).total() for rounds in self.rounds.values())

    def table(self) -> str:
        """The comparison for people to read."""
        lines = [*describe_hardware(self.cores), f"{'':<40}{OURS:>14}{CLASSIC:>18}{'times better':>14}"]
        for label, scenario, metric in _LINES:
            values = [show_number(median(self.rounds[name], scenario, metric)) for name in (OURS, CLASSIC)]
            ratio = self._ratio(scenario, metric)
            lines.append(f"{label:<40}{values[0]:>14}{values[1]:>18}{show_number(ratio):>14}")
        lines.append(f"{'errors':<40}" + "".join(f"{self._errors(name):>{width}}" for name, width in _WIDTHS))
        label = f"RMSE on {ROWS:,} flights, minutes"
        lines.append(f"{label:<40}" + "".join(f"{self.rmse[name]:>{width}.2f}" for name, width in _WIDTHS))
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "hardware": hardware(self.cores),
            "one_row_ratio": self.ratio,
            "errors": self.errors,
            "rmse": self.rmse,
            "medians": {
                name: {
                    scenario: {
                        metric: median(rounds, scenario, metric)
                        for metric in ("requests_per_second", "rows_per_second", "p50", "p90", "p99")
                    }
                    for scenario in SCENARIOS
                }
                for name, rounds in self.rounds.items()
            },
            "scenarios": {name: asdict(scenario) for name, scenario in SCENARIOS.items()},
            "rounds": self.rounds,
        }

    def _ratio(self, scenario: str, metric: str) -> float | None:
        ours, classic = (median(self.rounds[name], scenario, metric) for name in (OURS, CLASSIC))
        if not ours or not classic:
            return None
        return ours / classic if metric.endswith("_per_second") else classic / ours

    def _errors(self, name: str) -> str:
        return f"{count_reasons(self.rounds[name]).total():,}"


_WIDTHS = ((OURS, 14), (CLASSIC, 18))


def hardware(cores: tuple[int | None, int | None]) -> dict[str, Any]:
    """What the numbers were measured on; `cores` are those of the servers and of the load."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "server_core": cores[0],
        "load_core": cores[1],
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "load_average": os.getloadavg()[0],
    }


def describe_hardware(cores: tuple[int | None, int | None]) -> list[str]:
    """The same in words."""
    known = hardware(cores)
    where = "not pinned, load and server share cores"
    if cores[0] is not None:
        where = f"servers on core {cores[0]}, one under load at a time, load on core {cores[1]}"
    return [f"{known['cpu']}, {known['cores']} cores, Python {known['python']}, {known['system']}", where, ""]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def show_number(value: float | None) -> str:
    """Three digits, or "-" for what is not known."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
