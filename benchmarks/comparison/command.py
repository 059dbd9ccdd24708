"""The command `python -m monitoring compare-simulation`, and its tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from features.definition import NAME
from tqdm import tqdm

from tabular_bento.errors import CompareError, DataError, MonitoringError, ScoringError
from tabular_bento.monitoring.arguments import FAILED, add_command, fail

if TYPE_CHECKING:
    from benchmarks.comparison.simulation import Rate, Simulation
    from tabular_bento.monitoring.compare.settings import CompareSettings

MARKS = ("<!-- simulation: begin -->", "<!-- simulation: end -->")
"""What of a page the tables replace, so that the words around them stay."""

_DESCRIPTION = """Ask how often `compare --not-worse` is wrong, on windows of days whose truth is known.

Takes the errors of two real models on their test months, makes candidates that are worse by exactly the margin in ways
from the plain to the malicious, and counts how many are accepted; then how many equal ones are; then how often a
segment is defended. It takes some ten minutes."""

_EPILOG = """exit code: 0 done; 2 wrong arguments or settings; 3 the models or their flights cannot be used.

environment: BENTOML_HOME, and COMPARE_<NAME> for each setting of monitoring/compare/settings.py.

example: python -m training --seed 7
         python -m monitoring compare-simulation --baseline flights:v1 --candidate flights:latest \\
             --out docs/compare.md"""


def add_compare_simulation(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the evaluation layer."""
    command = add_command(commands, "compare-simulation", "measure how often compare is wrong", _DESCRIPTION, _EPILOG)
    command.add_argument("--baseline", default=f"{NAME}:latest", metavar="MODEL", help="(default: %(default)s)")
    command.add_argument("--candidate", required=True, metavar="MODEL", help="about as good, such as of another seed")
    command.add_argument("--worse", metavar="MODEL", help="a worse one, such as trained without weather, to mix in")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="a Markdown page; of one that is there, the part between its marks"
    )
    command.add_argument("--quick", action="store_true", help="few windows of each kind, in half a minute")
    command.set_defaults(run=_simulate)


def _simulate(arguments: argparse.Namespace) -> int:
    from benchmarks.backtest import tables as backtest_tables
    from tabular_bento.monitoring.compare import simulation
    from tabular_bento.monitoring.compare.candidates import Grounds
    from tabular_bento.monitoring.compare.settings import read_settings

    try:
        settings = read_settings()
    except CompareError as error:
        return fail(error, 2)
    try:
        grounds = Grounds.of(arguments.baseline, arguments.candidate)
        worse = Grounds.of(arguments.baseline, arguments.worse) if arguments.worse else None
        sizes = simulation.QUICK if arguments.quick else simulation.Sizes()
        with tqdm(disable=not sys.stderr.isatty(), bar_format="{desc:<60} {elapsed}") as bar:
            found = simulation.run(grounds, sizes, settings, worse, bar.set_description)
        text = tables(found, settings)
        if arguments.out:
            backtest_tables.write(arguments.out, text, MARKS)
    except (MonitoringError, DataError, ScoringError, OSError, ValueError) as error:
        return fail(f"The simulation failed: {error}", FAILED)
    print(text)
    return 0


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
                f"Of {windows} windows each. What is not accepted cannot be told, or is refused for a segment's sake.",
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
