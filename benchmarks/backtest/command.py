"""The study `python -m benchmarks backtest`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from features.problem import PROBLEM
from tabular_bento.errors import TabularBentoError

_DESCRIPTION = """Ask what the drift job would have said of windows whose truth is known, on the model's own rows.

False alarms on random halves and on consecutive weeks of the training part, power on injected faults, and the months
after training by month and week. The verdicts are those of the drift job. It takes some two minutes."""

_EPILOG = """exit code: 0 done; 2 wrong arguments; 3 the model or its rows cannot be used.

example: python -m benchmarks backtest --out docs/drift.md"""


def main(arguments: list[str] | None = None) -> int:
    """Run the study and return its exit code."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks backtest",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default=f"{PROBLEM.name}:latest", metavar="TAG", help="(default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="a Markdown page; of one that is there, the part between its marks"
    )
    parser.add_argument("--quick", action="store_true", help="few windows of each kind, in some ten seconds")
    parser.add_argument("--seed", type=int, default=20130101, help="of the windows drawn (default: %(default)s)")
    return _run(parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    from benchmarks.backtest import job, tables
    from tabular_bento.monitoring.drift.settings import DriftSettings

    try:
        grounds = job.Grounds.stored(options.model, DriftSettings())
        sizes = job.QUICK if options.quick else job.Sizes()
        with tqdm(total=4, disable=not sys.stderr.isatty(), bar_format="{desc:<40} {bar} {elapsed}") as bar:

            def step(what: str) -> None:
                bar.set_description(what)
                bar.update()

            text = tables.tables(job.run(grounds, sizes, options.seed, step))
        if options.out:
            tables.write(options.out, text)
    except (TabularBentoError, OSError, ValueError) as error:
        print(f"benchmarks backtest: {error}", file=sys.stderr)
        return 3
    print(text)
    return 0
