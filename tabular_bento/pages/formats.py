"""How reports and messages write numbers, shares, intervals and times. In a template, what is not known is a dash."""

from __future__ import annotations

import math
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
    return capitalised(metric_title(metric))


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


def decimals(value: float | None, *, sign: bool = False) -> str:
    """A metric in two decimals, or in three digits where it is small."""
    if value is None:
        return "unknown"
    small = 0 < abs(value) < 1
    return format(value, ("+" if sign else "") + (".3g" if small else ".2f"))


def duration(hours: float) -> str:
    """Hours in words of the right size."""
    if hours >= 48:
        return f"{hours / 24:,.0f} days"
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours >= 1 / 60 else f"{hours * 3600:.1f} seconds"


def capitalised(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]


def digits(value: float | None) -> int:
    """Decimals of errors about as large as the value: at least two, and three digits of a small one."""
    return 2 if not value else max(2, 2 - math.floor(math.log10(value)))


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "share": share,
    "interval": interval,
    "moment": moment,
    "words": words,
}
