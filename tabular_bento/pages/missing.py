"""What a problem does not declare, and what a report therefore lacks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from tabular_bento.problem import Declaration, Problem

Report = Literal["training", "drift", "skew", "runs"]

_EVENT_TIME: Mapping[Report, str] = MappingProxyType(
    {
        "training": "the parts are drawn by seed and not by date, and intervals draw rows and not days.",
        "drift": "the window is of the times of the predictions, the error is of the whole window, and the limits "
        "allow for chance and not for how days differ.",
        "skew": "the window is of the times of the predictions.",
        "runs": "windows are of the times of the predictions.",
    }
)
_OFFSET: Mapping[Report, str] = MappingProxyType(
    {
        "training": "the naive baseline predicts the same for every row, from the labels of the training part.",
        "drift": "the naive baseline predicts the same for every row, from the labels of the training part.",
    }
)
_BASELINE: Mapping[Report, str] = MappingProxyType(
    {
        "training": "no feature is declared to be a baseline by itself.",
        "drift": "no feature is declared to be a baseline by itself.",
    }
)
_SEGMENTS: Mapping[Report, str] = MappingProxyType(
    {
        "training": "metrics are of all rows of a part only.",
        "drift": "nothing is broken down by segment.",
    }
)


def undeclared(declaration: Declaration | Problem, report: Report) -> list[str]:
    """What the report lacks because the problem does not declare it, a line each.

    A kind of task that can have no offset does not lack one.

    Parameters
    ----------
    declaration : Declaration or Problem
        The problem.
    report : str
        Which report.
    """
    task = declaration.task
    offset = task.offset or "offset" not in task.to_dict()
    wanted = (
        ("event time", declaration.event_time, _EVENT_TIME),
        ("offset", offset, _OFFSET),
        ("historical baseline", declaration.baseline, _BASELINE),
        ("segments", declaration.segments, _SEGMENTS),
    )
    return [f"No {name}: {text[report]}" for name, found, text in wanted if not found and report in text]
