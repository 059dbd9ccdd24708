"""Every runner on a slice of the flights and of the disruptions: how good, how large and how fast it is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.backtest.tables import write
from benchmarks.command import ROOT, run_in_project, steps, write_json
from benchmarks.report import describe_hardware
from tabular_bento.evaluation.evaluators import metric_title
from tabular_bento.scoring.runners import BUILT_IN, runner_class

PROJECTS = {"flights": ROOT, "disruptions": ROOT / "examples" / "disruptions"}
ROWS = 60_000
MARKS = ("<!-- runners: begin -->", "<!-- runners: end -->")


def main(arguments: list[str]) -> int:
    """Train every runner on every project, and print a table for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks runners", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of each slice, all parts together")
    parser.add_argument("--runners", nargs="+", choices=trainable(), default=trainable(), metavar="KIND")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a Markdown page, whose part between marks is written")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    options = parser.parse_args(arguments)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in PROJECTS}
    with steps(len(PROJECTS) * len(options.runners)) as step:
        for name, folder in PROJECTS.items():
            for kind in options.runners:
                step(f"{name}, {kind}")
                found[name].append(_measure(folder, kind, options.rows))
    text = "\n".join([describe_hardware((None, None))[0], "", *(_table(name, rows) for name, rows in found.items())])
    print(text)
    if options.out:
        write(options.out, text, MARKS)
    write_json({"projects": found}, options.json)
    return 0


def trainable() -> list[str]:
    """The built-in runners that are trained on features; others are imported."""
    return [kind for kind in BUILT_IN if runner_class(kind).takes == "matrix"]


def _measure(folder: Path, kind: str, rows: int) -> dict[str, Any]:
    printed = run_in_project(folder, "-m", "benchmarks.runners.project", kind, str(rows))
    measured: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return measured


def _table(name: str, measured: list[dict[str, Any]]) -> str:
    first = measured[0]
    title = metric_title(first["metric"])
    parts = ", ".join(f"{count:,} {part}" for part, count in first["rows"].items())
    lines = [
        f"### {name}",
        "",
        f"Rows by part: {parts}. {title} of the test part, 95 % interval; less is better.",
        "",
        f"| runner | {title} | fit, s | runner, kB | added to the image, MB | 1 row, ms | 1,000 rows, ms |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for one in sorted(measured, key=lambda one: one["value"]):
        low, high = one["interval"]
        one_row, many = (one["microseconds"][count] / 1000 for count in ("1", "1000"))
        lines.append(
            f"| {one['kind']} | {one['value']:.4g} ({low:.4g} to {high:.4g}) | {one['fit_seconds']:.1f} | "
            f"{one['runner_bytes'] / 1000:,.0f} | {one['image_bytes'] / 1e6:,.0f} | {one_row:.2f} | {many:.1f} |"
        )
    lines += [f"| {each.replace('_', ' ')} | {value:.4g} | | | | | |" for each, value in _baselines(first)]
    return "\n".join([*lines, ""])


def _baselines(measured: dict[str, Any]) -> Iterable[tuple[str, float]]:
    values: dict[str, float] = measured["baselines"]
    return sorted(values.items(), key=lambda item: item[1])
