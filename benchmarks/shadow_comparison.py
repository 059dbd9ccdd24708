"""What a benchmark of shadows measured, by kind of shadow, and its table."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.report import describe_hardware, hardware, show_number
from benchmarks.rounds import Measured, Scenario, median

NONE = "no shadow"
KINDS = {NONE: None, "that scores": "", "that sleeps 5 s": "sleep", "that raises": "raise"}
"""The servers, by what MISBEHAVE says of their shadow; None has no shadow."""

SCENARIOS = {"one_row": Scenario(1, 32, 8, 2), "lone": Scenario(1, 1, 4, 0.5)}
METRICS = ("p50", "p99", "requests_per_second")
COUNTED = ("rows", "dropped_rows", "failed_rows")


@dataclass(frozen=True)
class ShadowComparison:
    """Measurements by kind of shadow, round and scenario, and what the shadows counted in all.

    `missing` are the rows that were returned and are not in the log, by kind.
    """

    rounds: dict[str, list[dict[str, Measured]]]
    counted: dict[str, dict[str, float]]
    cores: tuple[int | None, int | None]
    missing: dict[str, int]

    def ratio(self, kind: str, scenario: str, metric: str) -> float | None:
        """A metric with a shadow over that without, of the medians; None where there is none."""
        value, without = (median(self.rounds[name], scenario, metric) for name in (kind, NONE))
        return value / without if value and without else None

    def spread(self, scenario: str, metric: str) -> float | None:
        """By which share the rounds without a shadow differ among themselves: (largest - least) / median."""
        values = [measured[scenario][metric] for measured in self.rounds[NONE]]
        return None if None in values else (max(values) - min(values)) / statistics.median(values)

    def table(self) -> str:
        """The comparison for people to read."""
        lines = describe_hardware(self.cores)
        for scenario, load in SCENARIOS.items():
            title = f"one row a request, {load.connections} callers"
            names = ("p50, ms", "ratio", "p99, ms", "ratio", "requests/s", "ratio")
            lines.append(f"{title:<34}" + "".join(f"{name:>12}" for name in names))
            for kind in self.rounds:
                cells: list[float | None] = []
                for metric in METRICS:
                    cells += [median(self.rounds[kind], scenario, metric), self.ratio(kind, scenario, metric)]
                lines.append(f"    {named(kind):<30}" + "".join(f"{show_number(cell):>12}" for cell in cells))
            spread = self.spread(scenario, "p99")
            lines += [f"    p99 of the rounds without a shadow differs by {show_number(spread)} of its median", ""]
        lines.append("rows that the shadows scored, dropped and failed on")
        for kind, counted in self.counted.items():
            cells_of = "".join(f"{counted[name]:>12,.0f}" for name in COUNTED)
            lines.append(f"    a shadow {kind:<21}{cells_of}")
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "hardware": hardware(self.cores),
            "ratios": {
                kind: {
                    scenario: {metric: self.ratio(kind, scenario, metric) for metric in METRICS}
                    for scenario in SCENARIOS
                }
                for kind in self.rounds
            },
            "spread": {scenario: self.spread(scenario, "p99") for scenario in SCENARIOS},
            "counted": self.counted,
            "missing": self.missing,
            "scenarios": {name: asdict(scenario) for name, scenario in SCENARIOS.items()},
            "rounds": self.rounds,
        }


def named(kind: str) -> str:
    """A kind of shadow in words."""
    return kind if kind == NONE else f"a shadow {kind}"
