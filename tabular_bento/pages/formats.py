"""How templates write numbers, shares, intervals and times. What is not known is a dash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tabular_bento.evaluation.evaluators import metric_title

NOTHING = "-"


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many digits after the point, thousands apart."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def title(metric: str) -> str:
    """A metric's name where a heading begins with it."""
    found = metric_title(metric)
    return found[:1].upper() + found[1:]


def share(value: float | None, digits: int = 0) -> str:
    """A share of 0 to 1 as a percentage."""
    return NOTHING if value is None else f"{value:.{digits}%}"


def interval(value: tuple[float, float] | list[float] | None, digits: int = 2) -> str:
    """An interval in words; nothing where there is none."""
    return "" if value is None else f"{value[0]:,.{digits}f} to {value[1]:,.{digits}f}"


def moment(value: datetime) -> str:
    """A day, and the time of the day where it is not midnight."""
    midnight = (value.hour, value.minute, value.second) == (0, 0, 0)
    return f"{value.day} {value:%B %Y}" if midnight else f"{value.day} {value:%B %Y %H:%M}"


def words(value: str) -> str:
    """A name of a program as words: `no_drift` as `no drift`."""
    return value.replace("_", " ")


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "share": share,
    "interval": interval,
    "moment": moment,
    "words": words,
}
