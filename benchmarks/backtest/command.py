"""The command `python -m monitoring backtest`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from features.definition import NAME
from tqdm import tqdm

from tabular_bento.errors import DataError, MonitoringError
from tabular_bento.monitoring.arguments import FAILED, add_command, fail

_DESCRIPTION = """Ask what the drift job would have said of windows whose truth is known, on the model's own flights.

False alarms on random halves and on consecutive weeks of the training months, power on injected faults, and the months
after training by month and week. The verdicts are those of the drift job. It takes some two minutes."""

_EPILOG = """exit code: 0 done; 2 wrong arguments; 3 the model or its flights cannot be used.

example: python -m monitoring backtest --out docs/drift.md"""


def add_backtest(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the evaluation layer."""
    command = add_command(
        commands, "backtest", "measure false alarms and power of the drift job", _DESCRIPTION, _EPILOG
    )
    command.add_argument("--model", default=f"{NAME}:latest", metavar="TAG", help="(default: %(default)s)")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="a Markdown page; of one that is there, the part between its marks"
    )
    command.add_argument("--quick", action="store_true", help="few windows of each kind, in some ten seconds")
    command.add_argument("--seed", type=int, default=20130101, help="of the windows drawn (default: %(default)s)")
    command.set_defaults(run=_backtest)


def _backtest(arguments: argparse.Namespace) -> int:
    from benchmarks.backtest import job as backtest
    from benchmarks.backtest import tables as backtest_tables
    from tabular_bento.errors import PackageError
    from tabular_bento.monitoring.drift.settings import DriftSettings

    try:
        grounds = backtest.Grounds.stored(arguments.model, DriftSettings())
        sizes = backtest.QUICK if arguments.quick else backtest.Sizes()
        with tqdm(total=4, disable=not sys.stderr.isatty(), bar_format="{desc:<40} {bar} {elapsed}") as bar:

            def step(what: str) -> None:
                bar.set_description(what)
                bar.update()

            text = backtest_tables.tables(backtest.run(grounds, sizes, arguments.seed, step))
        if arguments.out:
            backtest_tables.write(arguments.out, text)
    except (MonitoringError, PackageError, DataError, OSError, ValueError) as error:
        return fail(f"The back-test failed: {error}", FAILED)
    print(text)
    return 0
