"""What the commands' arguments have in common: their types, and how a wrong one is told."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

from pydantic import ValidationError

FAILED = 3
"""The exit code of a command that could not do its work."""


def moment(text: str) -> datetime:
    """An ISO 8601 date or time."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date or time, such as 2013-07-01") from None


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def first_error(error: ValidationError) -> str:
    """What is wrong with the first of the settings that are wrong, by the argument's name."""
    first = error.errors()[0]
    return f"--{'.'.join(map(str, first['loc'])).replace('_', '-')}: {first['msg']}"


def fail(message: object, code: int) -> int:
    """Tell why on stderr, and give the exit code back."""
    print(message, file=sys.stderr)
    return code
