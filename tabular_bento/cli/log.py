"""`tabular-bento log seal`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tabular_bento.cli.common import WRONG_ARGUMENTS, Json, fail, on_a_terminal, project, traffic_dir

if TYPE_CHECKING:
    from tabular_bento.traffic.sealing import SealReport


def seal(
    directory: Annotated[
        str | None,
        typer.Option(
            "--dir",
            metavar="DIR",
            envvar="TABULAR_BENTO_TRAFFIC_DIR",
            help="The traffic log; by default the folder that the project's server writes.",
        ),
    ] = None,
    retain_days: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=36_500,
            metavar="N",
            envvar="TABULAR_BENTO_TRAFFIC_RETENTION_DAYS",
            help="Remove sealed rows that are older than N full days, in UTC; by default all are kept.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn files of the traffic log that no server writes any more into Parquet, partitioned by date.

    It may run at any time, beside servers, readers and another run of itself. Files that are being written are left
    for a later run; lines that cannot be read are kept in rejected/. A run that was killed is continued by the next
    one. Run it by a timer, such as cron, every hour or every day.

    Exit codes: 0 done; 2 wrong arguments; 3 failed.
    """
    from tabular_bento.traffic.explanations import EXPLANATIONS
    from tabular_bento.traffic.schema import LABELS, PREDICTIONS, SHADOW
    from tabular_bento.traffic.sealing import seal as seal_stream

    log = traffic_dir(directory, lambda: project("Or name the log by --dir DIR.").load_problem().name)
    if "://" in log:
        raise fail(f"--dir {log}: only a folder of this machine can be sealed.", WRONG_ARGUMENTS)
    reports: dict[str, SealReport] = {}
    sampled = [EXPLANATIONS] if (Path(log) / EXPLANATIONS).is_dir() else []
    for name in (PREDICTIONS, LABELS, SHADOW, *sampled):
        stream = Path(log) / name
        with ExitStack() as stack:
            reports[name] = seal_stream(stream, retain_days, _progress(name, stack))
        if not as_json:
            nothing = f"nothing is logged in {stream} yet."
            print(f"{name}: {_message(reports[name]) if stream.is_dir() else nothing}")
    if as_json:
        print(json.dumps({name: asdict(report) for name, report in reports.items()}))


def _message(report: SealReport) -> str:
    parts = [
        f"{report.rows:,} rows of {report.log_files:,} log files sealed into {report.files_written:,} files",
        f"{report.truncated + report.bad:,} lines rejected",
        f"{report.skipped_live:,} log files in use",
        f"{report.partitions_removed:,} dates removed",
    ]
    return ", ".join(parts) + "."


def _progress(name: str, stack: ExitStack) -> Callable[[int, int], None] | None:
    """A progress bar that `stack` ends, on a terminal only."""
    if not on_a_terminal():
        return None
    from tqdm import tqdm

    bar = stack.enter_context(tqdm(desc=name, unit="file", leave=False, file=sys.stderr))

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show
