"""How often the estimate without labels holds what labels show, in projects that `tabular-bento new` makes."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import clean_up_on_signals, run_in_project, scratch_folder, steps, write_json
from benchmarks.errors import BenchmarkError
from benchmarks.estimate.project import MEASURED
from benchmarks.estimate.tables import TABLES

LEAST_COVERED = 0.85
"""The share of the windows of a table whose metric is in the interval at least."""

WIDEST = 2.0
"""Times the interval by labels that the interval may be wide, on average over the windows of a table."""

EPILOG = """\
Once a seed a project is made of each table and trained by its own settings. The seed draws the rows of a table that is
drawn, and the split of any table (of rows with a time, the last day). The test part is cut into at most five windows of
at least 100 rows; of each, log loss, Brier score and accuracy, of a regression the RMSE, are estimated, and measured by
labels.

exit codes: 0 every table holds both limits; 1 one does not; 2 wrong arguments; 3 a project cannot be made or trained.

example: python -m benchmarks estimate --seeds 31 32 33 --tables drawn-600 tumours
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the study and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks estimate",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="TABLE")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(1, 21)), metavar="SEED")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every window")
    options = parser.parse_args(arguments)
    clean_up_on_signals()
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        with scratch_folder() as folder, steps(len(options.tables)) as step:
            for name in options.tables:
                step(name)
                found[name] = _measure(folder.absolute(), name, options.seeds)
        write_json({"seeds": options.seeds, "tables": found}, options.json)
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks estimate: {error}", file=sys.stderr)
        return 3
    print(table(found))
    missed = [name for name, measured in found.items() if not holds(measured)]
    if missed:
        print(f"\nbenchmarks estimate: a limit is missed by {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def covered(measured: list[dict[str, Any]], metric: str) -> float:
    """The share of the windows with an estimate whose metric is in the interval."""
    return float(np.mean([window[metric]["inside"] for window in measured if metric in window]))


def width(measured: list[dict[str, Any]], metric: str) -> float:
    """The mean width of the intervals over that of the intervals by labels."""
    ends = [(window[metric]["estimate"][1:], window[metric]["observed"][1:]) for window in measured if metric in window]
    ours, theirs = (np.mean([high - low for low, high in side]) for side in zip(*ends, strict=True))
    return float(ours / theirs)


def holds(measured: list[dict[str, Any]]) -> bool:
    """Whether the windows of a table keep both limits; those without an estimate do."""
    if all("withheld" in window for window in measured):
        return True
    given = [each for each in MEASURED if any(each in window for window in measured)]
    return all(covered(measured, each) >= LEAST_COVERED and width(measured, each) <= WIDEST for each in given)


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """The table of the study in Markdown."""
    lines = [
        "| table | unseen rows | rows of a window | windows | withheld | log loss | Brier score | accuracy | RMSE |",
        "|---|--:|--:|--:|--:|---|---|---|---|",
    ]
    for name, measured in found.items():
        withheld = sum("withheld" in window for window in measured)
        cells = [""] * len(MEASURED)
        if withheld < len(measured):
            cells = [_cell(measured, each) for each in MEASURED]
        rows, unseen = (round(np.mean([window[key] for window in measured])) for key in ("rows", "unseen"))
        lines.append(f"| {name} | {unseen:,} | {rows:,} | {len(measured)} | {withheld} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(measured: list[dict[str, Any]], metric: str) -> str:
    if not any(metric in window for window in measured):
        return ""
    return f"{covered(measured, metric):.0%}, {width(measured, metric):.2f}"


def _measure(folder: Path, name: str, seeds: list[int]) -> list[dict[str, Any]]:
    found = []
    for seed in seeds:
        project = folder / f"{name}-{seed}"
        TABLES[name](seed).make_project(project)
        lines = run_in_project(project, "-m", "benchmarks.estimate.project", str(seed))
        found += [json.loads(line) for line in lines.splitlines()]
        shutil.rmtree(project)
    return found
