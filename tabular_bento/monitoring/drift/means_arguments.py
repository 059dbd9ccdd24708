"""Arguments of the drift command that say who reads the log and where rows are set aside; an end that cleans up."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from tabular_bento.monitoring.arguments import moment, positive
from tabular_bento.monitoring.window.scan import Means

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""An interrupt from the keyboard raises an exception by itself."""


def add_means(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    who = command.add_mutually_exclusive_group()
    who.add_argument("--workers", type=positive, metavar="N", help="read with N processes of this machine, by Dask")
    who.add_argument(
        "--scheduler",
        metavar="URL",
        help="read with the workers of this Dask scheduler, such as tcp://host:8786; they must run the same checkout, "
        "and see the log and --spill",
    )
    command.add_argument(
        "--spill",
        metavar="DIR",
        help="folder or URI for what is set aside, some 80 bytes a row, removed at the end (default: TMPDIR)",
    )
    command.add_argument(
        "--as-of",
        type=moment,
        metavar="TIME",
        help="judge the age of predictions as of this time in UTC (default: now)",
    )


@contextmanager
def means_of(arguments: argparse.Namespace) -> Iterator[Means]:
    """What the arguments ask for. While it lasts, SIGTERM and SIGHUP end the process through its clean-up.

    Raises ClusterError where there is no such cluster.
    """
    from datetime import UTC

    from tabular_bento.monitoring.window.workers import workers

    now = arguments.as_of
    with _cleaning_up(), workers(arguments.scheduler, arguments.workers) as who:
        yield Means(who, arguments.spill, now.replace(tzinfo=UTC) if now else None)


@contextmanager
def _cleaning_up() -> Iterator[None]:
    before = {number: signal.signal(number, _leave) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: Any) -> NoReturn:
    """End through the clean-up, once; a second signal must not interrupt that."""
    for other in (*SIGNALS, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)
