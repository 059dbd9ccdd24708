"""What the commands' arguments have in common: their types, and how a wrong one is told."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime

from pydantic import ValidationError

from data.storage import path_of

FAILED = 3
"""The exit code of a command that could not do its work."""

MOMENT = "ISO 8601; with an offset it is converted to UTC, so a local time has none"
"""What `moment` reads, for --help."""


def add_window(command: argparse.ArgumentParser) -> None:
    """The arguments that choose rows of the traffic log: a window, the log, and the model."""
    command.add_argument("--from", dest="start", type=moment, required=True, metavar="TIME", help=f"first, {MOMENT}")
    command.add_argument("--to", dest="end", type=moment, required=True, metavar="TIME", help="end, not included")
    command.add_argument(
        "--on",
        default="time",
        metavar="COLUMN",
        help="`time` of the prediction in UTC (default), or a local time of the row, such as sched_dep",
    )
    command.add_argument(
        "--traffic-dir",
        type=path_of,
        default=os.environ.get("TRAFFIC_DIR") or "var/traffic",
        metavar="DIR",
        help="the traffic log, a folder or a URI such as s3://bucket/traffic (default: TRAFFIC_DIR, or var/traffic)",
    )
    command.add_argument("--model", metavar="TAG", help="default: the model that most rows of the window name")


def moment(text: str) -> datetime:
    """An ISO 8601 date or time without an offset; one that has an offset is converted to UTC first."""
    try:
        read = datetime.fromisoformat(text)
        return read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no date or time, such as 2013-07-01") from None


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def first_error(error: ValidationError) -> str:
    """What is wrong with the first of the settings that are wrong, by the argument's name if it is one of them."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"])).replace("_", "-")
    return f"--{name}: {first['msg']}" if name else first["msg"]


def fail(message: object, code: int) -> int:
    """Tell why on stderr, and give the exit code back."""
    print(message, file=sys.stderr)
    return code
