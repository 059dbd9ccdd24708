"""How good the models of new projects are, without a setting changed, beside two models of scikit-learn.

Each of the two learns once from the training part alone, and once from all rows but the test part; the project's model
keeps the calibration part to calibrate by. Five seeds draw the split, and more of a table whose test part is small: up
to 20, until 1,000 test rows are predicted in all. Exit codes: 0 every project keeps the limit beside both; 1 one does
not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import run_in_project, scratch_folder, steps, write_json
from benchmarks.defaults.project import LEARNT
from benchmarks.defaults.tables import TABLES

MOST = 1.03
"""How much more than the better of the two a project's model may lose, on average over the seeds."""


def main(arguments: list[str]) -> int:
    """Make a project of each table, train it once a seed, and print what it loses beside the two."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks defaults", description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="TABLE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], metavar="SEED", help="in place of those")
    parser.add_argument("--runner", help="a kind of runner in the place of the project's own setting")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all losses")
    options = parser.parse_args(arguments)
    found: dict[str, list[dict[str, Any]]] = {}
    with scratch_folder() as folder, steps(len(options.tables)) as step:
        for name in options.tables:
            step(name)
            found[name] = _measure(folder.absolute(), name, options)
    print(table(found))
    write_json({"tables": found}, options.json)
    missed = misses(found)
    for name, most in missed.items():
        print(f"benchmarks defaults: {name}: {most:.3f} times the better of the two, and the limit is {MOST}")
    return 1 if missed else 0


def misses(found: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """The tables whose project loses too much beside the better of the two, whichever parts these learn from."""
    worst = {name: max(ratio(measured, learnt) for learnt in LEARNT) for name, measured in found.items()}
    return {name: most for name, most in worst.items() if most > MOST}


def _measure(folder: Path, name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    TABLES[name]().make_project(folder / name)
    if options.runner is not None:
        settings = folder / name / "training" / "config.toml"
        lines = settings.read_text(encoding="utf-8").splitlines(keepends=True)
        changed = [f'runner = "{options.runner}"\n' if line.startswith("runner = ") else line for line in lines]
        settings.write_text("".join(changed), encoding="utf-8")
    seeds = map(str, options.seeds)
    printed = run_in_project(folder / name, "-m", "benchmarks.defaults.project", *seeds)
    return [json.loads(line) for line in printed.splitlines()]


def mean_losses(measured: list[dict[str, Any]], learnt: str) -> dict[str, float]:
    """The mean loss over the seeds of the project and of each of the two, which learnt from some of the parts."""
    losses = [{"project": each["losses"]["project"], **each["losses"][learnt]} for each in measured]
    return {name: float(np.mean([each[name] for each in losses])) for name in losses[0]}


def ratio(measured: list[dict[str, Any]], learnt: str) -> float:
    """The mean loss of the project over that of the better of the two, which is the one with the smaller mean."""
    losses = mean_losses(measured, learnt)
    return losses["project"] / min(losses["boosting"], losses["linear"])


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """What was measured, in Markdown."""
    lines = [
        "| table | task | rows | project | boosting | linear | over the better | boosting, all | linear, all "
        "| over the better | chosen |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for name, measured in found.items():
        first, cells = measured[0], []
        for learnt in LEARNT:
            losses = mean_losses(measured, learnt)
            cells += [f"{losses['boosting']:.4g}", f"{losses['linear']:.4g}", f"{ratio(measured, learnt):.3f}"]
        kinds = [each["runner"] for each in measured]
        chosen = ", ".join(f"{kind} {kinds.count(kind)}" for kind in dict.fromkeys(kinds))
        cells = [name, first["task"], f"{first['rows']:,}", f"{losses['project']:.4g}", *cells, chosen]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
