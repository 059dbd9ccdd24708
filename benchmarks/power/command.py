"""The study `python -m benchmarks power`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tqdm import tqdm

from benchmarks.errors import BenchmarkError
from tabular_bento.errors import TabularBentoError

_DESCRIPTION = """Ask how many shifts the drift job finds, and how often it is wrong, in windows drawn by a seed.

The reference is made of one half of the training months, windows are random rows of the other half: by default halves
of whole days, drawn so that both cover all months. Of each shift the kind goes in turn; column and strength are drawn.
Whole weeks, which stray from the half-year by themselves, are reported beside. It takes some five minutes."""

ROWS = (1_000, 5_000, 20_000, 50_000)

_EPILOG = """exit code: 0 done; 2 wrong arguments; 3 the model or its rows cannot be used.

examples:
  python -m benchmarks power --seed 7 --json var/power.json
  python -m benchmarks power --project examples/disruptions --rows 2000 --judged 2000 --shifts 60 --weeks 0 --seed 7"""


def main(arguments: list[str] | None = None) -> int:
    """Run the study and return its exit code."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks power",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--project", type=Path, default=Path(), metavar="DIR", help="whose model and rows (default: the working folder)"
    )
    parser.add_argument("--model", metavar="TAG", help="(default: the latest of the project's in the store)")
    parser.add_argument("--seed", type=int, default=20130101, help="of all that is drawn (default: %(default)s)")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=list(ROWS), metavar="N", help="of windows (default: %(default)s)"
    )
    parser.add_argument("--judged", type=int, default=5_000, metavar="N", help="rows of most shifts (%(default)s)")
    parser.add_argument("--shifts", type=int, default=300, metavar="N", help="of so many rows (default: %(default)s)")
    parser.add_argument(
        "--windows", type=int, default=100, metavar="N", help="without a shift, of each size (default: %(default)s)"
    )
    parser.add_argument("--others", type=int, default=60, metavar="N", help="shifts of each other size (%(default)s)")
    parser.add_argument("--splits", type=int, default=50, metavar="N", help="into halves (default: %(default)s)")
    parser.add_argument("--weeks", type=int, default=26, metavar="N", help="whole weeks; 0 for none (%(default)s)")
    parser.add_argument("--split", choices=("days", "months"), default="days", help="halves of what (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all windows with their verdicts there")
    return _run(parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    from benchmarks.backtest.job import Grounds
    from benchmarks.power import study
    from tabular_bento.monitoring.drift.settings import DriftSettings
    from tabular_bento.monitoring.files import read_settings
    from tabular_bento.project import Project

    sizes = study.Sizes(
        rows=tuple(sorted({*options.rows, options.judged})),
        judged=options.judged,
        windows=options.windows,
        shifts=options.shifts,
        others=options.others,
        splits=options.splits,
        weeks=options.weeks,
    )
    started = time.perf_counter()
    try:
        project = Project.find(options.project)
        written = read_settings(project.monitoring, "drift")
        known = {name: value for name, value in written.items() if name in DriftSettings.model_fields}
        tag = options.model or f"{project.load_problem().name}:latest"
        grounds = Grounds.stored(tag, DriftSettings(**known), project)
        with tqdm(
            total=sizes.splits + 1, disable=not sys.stderr.isatty(), bar_format="{desc:<20} {bar} {elapsed}"
        ) as bar:

            def step(what: str) -> None:
                bar.set_description(what)
                bar.update()

            found = study.run(grounds, sizes, options.seed, options.split, step)
    except (TabularBentoError, BenchmarkError, OSError, ValueError) as error:
        print(f"benchmarks power: {error}", file=sys.stderr)
        return 3
    print(study.table(found))
    seconds = time.perf_counter() - started
    print(f"\nseed {found.seed}, {found.splits} splits by {found.split}, model {found.model}, {seconds:.0f} s")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        document = {**found.document(), "made_at": study.made_at(), "seconds": round(seconds, 1)}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0
