"""The command `python -m benchmarks comparison`, and its tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from tabular_bento.errors import CompareError, TabularBentoError

if TYPE_CHECKING:
    from benchmarks.comparison.simulation import Rate, Simulation
    from tabular_bento.monitoring.comparison.settings import CompareSettings

FAILED = 3

MARKS = ("<!-- simulation: begin -->", "<!-- simulation: end -->")
"""What of a page the tables replace, so that the words around them stay."""

_DESCRIPTION = """Measure how often `tabular-bento compare --not-worse` is wrong, on windows whose truth is known.

Takes the errors of two real models on their test part, makes candidates that are worse by exactly the margin in ways
from the plain to the malicious, and counts how many are accepted; then how many equal ones are; then how often a
segment is defended. It takes some ten minutes."""

_EPILOG = """exit code: 0 done; 2 wrong arguments or settings; 3 the models or their data cannot be used.

environment: BENTOML_HOME, and TABULAR_BENTO_COMPARE_<NAME> for each setting of
tabular_bento/monitoring/comparison/settings.py.

example: tabular-bento train --seed 7
         python -m benchmarks comparison --baseline flights:v1 --candidate flights:latest --out docs/compare.md"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study in the project of the working folder, and return the exit code."""
    from benchmarks.backtest.tables import write
    from benchmarks.comparison import simulation
    from benchmarks.comparison.candidates import Grounds
    from tabular_bento.monitoring.comparison.settings import read_settings
    from tabular_bento.project import Project

    given = _parser().parse_args(arguments)
    try:
        settings = read_settings()
    except CompareError as error:
        return _fail(str(error), 2)
    try:
        project = Project.find()
        problem = project.load_problem()
        baseline = given.baseline or f"{problem.name}:latest"
        dataset = project.load_source().load(None)
        grounds = Grounds.of(baseline, given.candidate, problem, dataset)
        worse = Grounds.of(baseline, given.worse, problem, dataset) if given.worse else None
        sizes = simulation.QUICK if given.quick else simulation.Sizes()
        with tqdm(disable=not sys.stderr.isatty(), bar_format="{desc:<60} {elapsed}") as bar:
            found = simulation.run(grounds, sizes, settings, worse, bar.set_description)
        text = tables(found, settings)
        if given.out:
            write(given.out, text, MARKS)
    except (TabularBentoError, OSError, ValueError) as error:
        return _fail(f"The simulation failed: {error}", FAILED)
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks comparison",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--baseline", metavar="MODEL", help="(default: the latest model of the project)")
    parser.add_argument("--candidate", required=True, metavar="MODEL", help="about as good, such as of another seed")
    parser.add_argument("--worse", metavar="MODEL", help="a worse one, to mix in")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="a Markdown page; of one that is there, the part between its marks"
    )
    parser.add_argument("--quick", action="store_true", help="few windows of each kind, in half a minute")
    return parser


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def tables(simulation: Simulation, settings: CompareSettings) -> str:
    """All tables in Markdown, each under a heading."""
    confidence, windows = f"{settings.confidence:.0%}", f"{simulation.worse[0].windows:,}"
    parts = [
        (
            f"Accepted, though worse by exactly the margin of {settings.margin:.1%}",
            f"Of {windows} windows each, with intervals of {confidence}; the metric named is the one that is worse by "
            "the margin.",
            _by_window(simulation.worse),
        ),
        *(
            (
                f"Accepted, and equal, with a margin of {margin:.1%}",
                f"Of {windows} windows each. What is not accepted is not decided, or is refused because of a segment.",
                _by_window(rates, "rows a day"),
            )
            for margin, rates in simulation.equal.items()
        ),
        (
            "Refused for the sake of a segment",
            f"Of {simulation.segments[0].windows:,} windows each.",
            _by_window(simulation.segments),
        ),
    ]
    least = [
        f"| {margin:.0%} | {rates[0].days} | {_rows(rate)} | {rate.name} | {rate.share:.1%} |"
        for margin, rates in simulation.least.items()
        for rate in rates
    ]
    head = ["| margin | days | rows a day | worst way | accepted |", "| --- | --- | --- | --- | --- |"]
    some = next(iter(simulation.least.values()))[0].windows
    note = f"Of {some:,} windows for each way, at the fewest days and labels that are judged; the worst way a seed."
    parts.append(("At the minima: accepted, though worse by exactly the margin", note, "\n".join([*head, *least])))
    return "\n".join(f"### {title}\n\n{note}\n\n{table}\n" for title, note, table in parts)


def _by_window(rates: list[Rate], rows_named: str = "") -> str:
    """A line for each case, or for each number of rows a day, and a column for each kind of window."""

    def line_of(rate: Rate) -> str:
        return _rows(rate) if rows_named else rate.name

    def column_of(rate: Rate) -> str:
        return f"{rate.days} days" if rows_named or rate.rows is None else f"{rate.days} days, {_rows(rate)} rows a day"

    lines, columns = dict.fromkeys(map(line_of, rates)), list(dict.fromkeys(map(column_of, rates)))
    cells = {(line_of(rate), column_of(rate)): f"{rate.share:.1%}" for rate in rates}
    table = [[rows_named or "what was done", *columns], ["---"] * (len(columns) + 1)]
    table += [[line, *(cells[line, column] for column in columns)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in table)


def _rows(rate: Rate) -> str:
    return "all" if rate.rows is None else f"{rate.rows:,}"
