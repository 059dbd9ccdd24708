"""What a problem does not declare, and what a report therefore lacks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from tabular_bento.problem import Declaration, Problem

Report = Literal["training", "drift", "skew", "runs"]

_NAIVE = "the naive baseline predicts the same for every row, from the labels of the training part."
_NO_FEATURE = "no feature is declared to be a baseline by itself."

_LACKING: Mapping[str, Mapping[Report, str]] = MappingProxyType(
    {
        "event time": {
            "training": "the parts are drawn by seed and not by date, and intervals draw rows and not days.",
            "drift": "the window is of the times of the predictions, the error is of the whole window, and the limits "
            "allow for chance and not for how days differ.",
            "skew": "the window is of the times of the predictions.",
            "runs": "windows are of the times of the predictions.",
        },
        "offset": {"training": _NAIVE, "drift": _NAIVE},
        "historical baseline": {"training": _NO_FEATURE, "drift": _NO_FEATURE},
        "segments": {
            "training": "metrics are of all rows of a part only.",
            "drift": "nothing is broken down by segment.",
        },
    }
)
"""By what is not declared, what each report says of it."""


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
    declared = {
        "event time": declaration.event_time,
        "offset": task.offset or "offset" not in task.to_dict(),
        "historical baseline": declaration.baseline,
        "segments": declaration.segments,
    }
    return [f"No {name}: {text[report]}" for name, text in _LACKING.items() if not declared[name] and report in text]
