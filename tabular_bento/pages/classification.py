"""Charts of predicted classes: calibration, confusion matrix, ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tabular_bento.pages import drawing
from tabular_bento.pages.charts import Line, trace
from tabular_bento.pages.drawing import STYLES, Figure, plain, short

_COUNTED = 12
"""Classes up to which the cells of a confusion matrix have their counts written in them."""

_LONGEST_LABEL = 16


def calibration_curve(curves: Sequence[Line]) -> Figure:
    """Observed share of a class by its predicted probability; on the dotted line the two are equal.

    Parameters
    ----------
    curves : sequence of Line
        `x` is the mean predicted probability of each bin and `y` the share of its rows that are of the class, both from
        0 to 1, with `low` and `high` where the interval of the share is known.
    """
    return _curves(curves, "predicted probability", "observed share", diagonal=True)


def roc_curve(curves: Sequence[Line]) -> Figure:
    """Receiver operating characteristic; on the dotted line a model knows nothing.

    Parameters
    ----------
    curves : sequence of Line
        `x` is the false positive rate and `y` the true positive rate at each threshold, from 0 to 1.
    """
    return _curves(curves, "false positive rate", "true positive rate", diagonal=True)


def precision_recall_curve(curves: Sequence[Line], base_rate: float | None = None) -> Figure:
    """Precision by recall; the dashed line is the share of the class, the precision of a model that knows nothing.

    Parameters
    ----------
    curves : sequence of Line
        `x` is the recall and `y` the precision at each threshold, from 0 to 1.
    base_rate : float, optional
        The share of the class among the rows; None where curves of several classes are drawn.
    """
    figure = _curves(curves, "recall", "precision", diagonal=False)
    if base_rate is not None:
        figure["layout"]["shapes"].append(drawing.level(base_rate))
        figure["layout"]["annotations"] = [drawing.note(f"share of the class {base_rate:.3g}", base_rate, "left")]
    return figure


def confusion_matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    """Rows by label, top down, and predicted class, from left to right; shades are shares of the rows of a label.

    Parameters
    ----------
    counts : sequence of sequence of int
        Rows; ``counts[i][j]`` are of class i and were predicted as class j.
    names : sequence of str
        Of the classes.
    """
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    labels = [short(name, _LONGEST_LABEL) for name in names]
    places = list(range(len(names)))
    hovers = [
        [
            f"{count:,} rows are {plain(label)} and were predicted as {plain(predicted)} ({share:.1%} of that label)"
            for predicted, count, share in zip(names, row, shown, strict=True)
        ]
        for label, row, shown in zip(names, counts, shares, strict=True)
    ]
    data: dict[str, Any] = {
        "type": "heatmap",
        "x": places,
        "y": places,
        "z": shares,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "var(--soft)"], [1, "var(--shade)"]],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "customdata": hovers,
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    if len(names) <= _COUNTED:
        data["text"] = [[f"{count:,}" for count in row] for row in counts]
        data["texttemplate"] = "%{text}"
        data["textfont"] = {"color": "var(--ink)", "size": 13}
    axis = {"tickmode": "array", "tickvals": places, "ticktext": labels, "showgrid": False, "fixedrange": True}
    layout = {
        "xaxis": {**axis, "title": {"text": "predicted"}},
        "yaxis": {**axis, "title": {"text": "label"}, "autorange": "reversed"},
        "showlegend": False,
    }
    return {"data": [data], "layout": layout}


def styled(curves: Sequence[Line]) -> list[Line]:
    """The same curves, each with a colour and dashes of its own."""
    return [
        replace(curve, colour=colour, dash=dash)
        for curve, (colour, dash) in zip(curves, (STYLES[i % len(STYLES)] for i in range(len(curves))), strict=True)
    ]


def _curves(curves: Sequence[Line], x_title: str, y_title: str, diagonal: bool) -> Figure:
    """Curves in the unit square."""
    shapes = [drawing.line({"x0": 0, "x1": 1, "y0": 0, "y1": 1}, "dot")] if diagonal else []
    axis = {"range": [-0.02, 1.02], "tickformat": ".0%", "fixedrange": True}
    return {
        "data": [trace(curve, f"{x_title} %{{x:.1%}}<br>{y_title} %{{y:.1%}} %{{text}}") for curve in curves],
        "layout": {
            "shapes": shapes,
            "showlegend": len(curves) > 1,
            "xaxis": {**axis, "title": {"text": x_title}},
            "yaxis": {**axis, "title": {"text": y_title}},
        },
    }
