"""The data layer's commands: `python -m data seal`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tabular_bento.errors import DataError
from tabular_bento.traffic.sealing import SealReport, seal

STREAMS = ("predictions", "outcomes", "shadow")

_SEAL = """Turn the segments of the traffic log that no server writes any more into Parquet, partitioned by date.

Safe at any time: beside running servers, readers and other sealers, and after being killed, when the next run goes on
where this one ended. Segments in use are left for a later run. Lines that cannot be read are kept in rejected/.
Meant for a timer, such as cron, every hour or every day."""

_EPILOG = """environment:
  TRAFFIC_DIR             the log, unless --dir is given
  TRAFFIC_RETENTION_DAYS  full days to keep, unless --retain-days is given; unset keeps all

exit code: 0 done, 1 failed, 2 wrong arguments"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    retention = os.environ.get("TRAFFIC_RETENTION_DAYS") or None
    parser = argparse.ArgumentParser("python -m data", description="Commands of the data layer.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "seal",
        help="turn finished segments of the traffic log into Parquet",
        description=_SEAL,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--dir",
        type=Path,
        default=os.environ.get("TRAFFIC_DIR") or "var/traffic",
        help=f"the log, with the streams {', '.join(STREAMS)} in it (default: %(default)s)",
    )
    command.add_argument(
        "--retain-days",
        type=_days,
        default=retention,
        metavar="N",
        help=f"remove sealed rows of more than N full days ago, by UTC (default: {retention or 'keep all'})",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object, by stream, as the last line")
    command.set_defaults(run=_seal)
    return parser


def _days(text: str) -> int:
    if not text.isdecimal() or int(text) > 36_500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of days from 0 to 36500")
    return int(text)


def _seal(arguments: argparse.Namespace) -> None:
    reports: dict[str, SealReport] = {}
    for name in STREAMS:
        directory = arguments.dir / name
        with ExitStack() as stack:
            reports[name] = seal(directory, arguments.retain_days, _progress(name, stack))
        if not arguments.json:
            nothing = f"nothing is logged in {directory} yet."
            print(f"{name}: {_sentence(reports[name]) if directory.is_dir() else nothing}")
    if arguments.json:
        print(json.dumps({name: asdict(report) for name, report in reports.items()}))


def _sentence(report: SealReport) -> str:
    parts = [
        f"{report.rows:,} rows of {report.segments:,} segments sealed into {report.files_written:,} files",
        f"{report.torn + report.bad:,} lines rejected",
        f"{report.skipped_live:,} segments in use",
        f"{report.partitions_removed:,} dates removed",
    ]
    return ", ".join(parts) + "."


def _progress(name: str, stack: ExitStack) -> Callable[[int, int], None] | None:
    """A progress bar that `stack` ends, on a terminal only."""
    if not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    bar = stack.enter_context(tqdm(desc=name, unit="segment", leave=False))

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


if __name__ == "__main__":
    sys.exit(main())
