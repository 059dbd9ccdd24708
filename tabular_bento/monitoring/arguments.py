"""What the commands have in common: how they are added, their arguments' types, and how a wrong one is told."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from pydantic import ValidationError

from tabular_bento.data.storage import path_of

FAILED = 3
"""The exit code of a command that could not do its work."""

MOMENT = "ISO 8601; with an offset it is converted to UTC, so a local time has none"
"""What `moment` reads, for --help."""


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """Add a command; `summary` is its line in the list of them, the other texts stand in its own --help as they are."""
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


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


def first_error(
    error: ValidationError, given: Collection[str], prefix: str = "", options: Mapping[str, str] = MappingProxyType({})
) -> str:
    """What is wrong with the first of the settings that are wrong, by the argument or the variable that it came from.

    `given` are the settings that came as arguments; others are the environment's, after `prefix`. `options` names the
    arguments that are not named as their setting.
    """
    first = error.errors()[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    name = str(first["loc"][0])
    option = options.get(name, f"--{name.replace('_', '-')}")
    return f"{option if name in given else prefix + name.upper()}: {first['msg']}"


def fail(message: object, code: int) -> int:
    """Tell why on stderr, and give the exit code back."""
    print(message, file=sys.stderr)
    return code
