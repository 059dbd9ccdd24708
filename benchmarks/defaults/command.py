"""How good the models of new projects are, without a setting changed, beside two models of scikit-learn."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import run_in_project, scratch_folder, steps, write_json
from benchmarks.defaults.tables import TABLES

SEEDS = (1, 2, 3, 4, 5)
MOST = 1.03
"""How much more than the better of the two a project's model may lose, on average over the seeds."""


def main(arguments: list[str]) -> int:
    """Make a project of each table, train it once a seed, and print what it loses beside the two."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks defaults", description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="TABLE")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="SEED")
    parser.add_argument("--runner", help="a kind of runner in the place of the project's own setting")
    parser.add_argument(
        "--parts",
        default="train",
        help="what scikit-learn's models learn from; with train,validation,calibration they have rows that the "
        "project's model only chooses and calibrates by (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all losses")
    options = parser.parse_args(arguments)
    found: dict[str, list[dict[str, Any]]] = {}
    with scratch_folder() as folder, steps(len(options.tables)) as step:
        for name in options.tables:
            step(name)
            found[name] = _measure(folder.absolute(), name, options)
    print(_table(found))
    write_json({"tables": found}, options.json)
    worst = max(_ratios(found[name])["better"] for name in found)
    print(f"\nthe most that a project loses beside the better of the two: {worst:.3f} times; the limit is {MOST}")
    return 1 if worst > MOST else 0


def _measure(folder: Path, name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    TABLES[name]().make_project(folder / name)
    if options.runner is not None:
        settings = folder / name / "training" / "config.toml"
        lines = settings.read_text(encoding="utf-8").splitlines(keepends=True)
        changed = [f'runner = "{options.runner}"\n' if line.startswith("runner = ") else line for line in lines]
        settings.write_text("".join(changed), encoding="utf-8")
    seeds = map(str, options.seeds)
    printed = run_in_project(folder / name, "-m", "benchmarks.defaults.project", options.parts, *seeds)
    return [json.loads(line) for line in printed.splitlines()]


def _ratios(measured: list[dict[str, Any]]) -> dict[str, float]:
    """The mean loss of the project over that of each of the two, and of the better of them."""
    losses = {name: np.mean([each["losses"][name] for each in measured]) for name in measured[0]["losses"]}
    found = {name: float(losses["project"] / losses[name]) for name in ("boosting", "linear")}
    return found | {"better": max(found.values())}


def _table(found: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "| table | task | rows | boosting | linear | project | over the better | chosen |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for name, measured in found.items():
        means = {key: np.mean([each["losses"][key] for each in measured]) for key in ("boosting", "linear", "project")}
        kinds = [each["runner"] for each in measured]
        chosen = ", ".join(f"{kind} {kinds.count(kind)}" for kind in dict.fromkeys(kinds))
        cells = " | ".join(f"{value:.4g}" for value in means.values())
        first = measured[0]
        lines.append(
            f"| {name} | {first['task']} | {first['rows']:,} | {cells} | {_ratios(measured)['better']:.3f} | {chosen} |"
        )
    return "\n".join(lines)
