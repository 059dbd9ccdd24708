"""Histograms of two distributions, one over the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from textwrap import wrap
from typing import Any

from tabular_bento.pages.drawing import REFERENCE, WINDOW, Figure, plain, short

_LONGEST_LABEL, _SHORT_LABEL, _SHORT_LINE = 14, 6, 8

_VISIBLE = 0.005
"""Share below which a bin that is no part of the scale is left out."""

_NEEDLE, _FLAT = 0.008, 4.0
"""Width of a bin, as a share of the scale, that is a line at best; and how many times as high as others it may be."""

_LEAST_SCALE = 0.1
"""Share that the scale of bins apart reaches at least, so that a handful of rows is a low bar."""

_TICKS = 5

_DAY = 86_400_000.0
"""Milliseconds, which are Plotly's unit of time."""


def histograms(
    bins: Sequence[str],
    reference: Sequence[float],
    window: Sequence[float],
    edges: Sequence[float] | None = None,
    aside: int = 0,
    names: tuple[str, str] = ("reference", "window"),
    dates: bool = False,
) -> Figure:
    """Two distributions over the same bins, one over the other, each as shares of its own rows.

    Parameters
    ----------
    bins : sequence of str
        What each bin holds.
    reference, window : sequence of float
        Rows by bin, in the order of `bins`.
    edges : sequence of float, optional
        Of the bins beyond the first `aside`, where they are intervals of numbers: bars are as wide as their interval,
        and as high as their share in proportion to it. Where one bin is too narrow for that, all are equally wide.
    aside : int
        The number of first bins that are no part of the scale, such as missing values: they are drawn apart, on the
        left, and left out where they are empty.
    names : tuple of str
        Of the two distributions.
    dates : bool
        Whether the edges are days since 1970.
    """
    shares = [_shares(reference), _shares(window)]
    first = [i for i in range(aside) if max(one[i] for one in shares) >= _VISIBLE]
    rest = range(aside, len(bins))
    if edges is None or _has_needle(edges, [one[aside:] for one in shares]):
        figure = _bars([bins[i] for i in (*first, *rest)], [[one[i] for i in (*first, *rest)] for one in shares], names)
        if edges is not None:
            figure["layout"]["xaxis"] |= _boundaries([bins[i] for i in first], edges, dates)
        return figure
    scale = _DAY if dates else 1.0
    figure = _densities(
        [edge * scale for edge in edges],
        [bins[i] for i in rest],
        [[one[i] for i in rest] for one in shares],
        [bins[i] for i in first],
        [[one[i] for i in first] for one in shares],
        names,
    )
    if dates:
        figure["layout"]["xaxis"]["type"] = "date"
    return figure


def _bars(labels: Sequence[str], shares: Sequence[Sequence[float]], names: tuple[str, str]) -> Figure:
    positions = list(range(len(labels)))
    data = _overlaid(labels, shares, names)
    room = 10 if max(map(len, labels), default=0) <= _SHORT_LABEL else 5
    step = max(1, math.ceil(len(labels) / room))
    shown = positions[::step]
    axis = {
        "tickmode": "array",
        "tickvals": shown,
        "ticktext": [short(labels[i], _LONGEST_LABEL) for i in shown],
        "showgrid": False,
        "range": [-0.6, len(labels) - 0.4],
        "fixedrange": True,
    }
    return {"data": data, "layout": {"barmode": "overlay", "xaxis": axis, "yaxis": {"tickformat": ".2~p"}}}


def _overlaid(
    labels: Sequence[str], shares: Sequence[Sequence[float]], names: tuple[str, str], **more: Any
) -> list[dict[str, Any]]:
    """Bars of equal width of both distributions as Plotly's traces, the second before the first."""
    return [
        {
            "type": "bar",
            "name": name,
            "x": list(range(len(labels))),
            "y": list(values),
            "width": width,
            "customdata": list(labels),
            "marker": style,
            "hovertemplate": f"%{{customdata}}: %{{y:.1%}}<extra>{plain(name)}</extra>",
            **more,
        }
        for name, values, style, width in zip(names, shares, _styles(), (0.86, 0.56), strict=True)
    ]


def _boundaries(aside: Sequence[str], edges: Sequence[float], dates: bool) -> Figure:
    """Ticks of bars of equal width: what some of them begin or end at, and the names of those before them."""
    inner = [place for place, edge in enumerate(edges) if math.isfinite(edge)]
    step = max(1, math.ceil(len(inner) / _TICKS))
    inner = inner[step if aside else 0 :: step]  # a name needs room
    texts = [_date(edges[place]) if dates else f"{edges[place]:.2g}" for place in inner]
    return {
        "tickvals": [*range(len(aside)), *(len(aside) + place - 0.5 for place in inner)],
        "ticktext": [*(short(label, _LONGEST_LABEL) for label in aside), *texts],
        "tickangle": 0,
    }


def _date(days: float) -> str:
    return (date(1970, 1, 1) + timedelta(days=math.floor(days))).isoformat()


def _densities(
    edges: Sequence[float],
    labels: Sequence[str],
    shares: Sequence[Sequence[float]],
    aside: Sequence[str],
    shares_aside: Sequence[Sequence[float]],
    names: tuple[str, str],
) -> Figure:
    """Histograms on a scale of numbers, whose first and last bins may be open; others on an axis of their own."""
    low, high = _ends(edges)
    spans = [(max(a, low), min(b, high)) for a, b in pairwise(edges)]
    kept = [i for i, (a, b) in enumerate(spans) if b > a]
    data: list[dict[str, Any]] = []
    for name, values, style in zip(names, shares, _styles(), strict=True):
        data.append(
            {
                "type": "bar",
                "name": name,
                "x": [(spans[i][0] + spans[i][1]) / 2 for i in kept],
                "width": [spans[i][1] - spans[i][0] for i in kept],
                "y": [values[i] / (spans[i][1] - spans[i][0]) for i in kept],
                "customdata": [[labels[i], values[i]] for i in kept],
                "marker": style,
                "hovertemplate": f"%{{customdata[0]}}: %{{customdata[1]:.1%}}<extra>{plain(name)}</extra>",
            }
        )
    layout: Figure = {
        "barmode": "overlay",
        "bargap": 0,
        "xaxis": {"range": [low, high], "showgrid": False, "fixedrange": True},
        "yaxis": {"showticklabels": False, "showgrid": False, "rangemode": "tozero"},
    }
    if aside:
        width = min(0.15 * len(aside), 0.4)
        layout["xaxis"]["domain"] = [width + 0.1, 1]
        layout["yaxis"]["anchor"] = "x"
        layout["xaxis2"] = {
            "domain": [0, width],
            "anchor": "y2",
            "tickmode": "array",
            "tickvals": list(range(len(aside))),
            "ticktext": _side_by_side([short(label, _LONGEST_LABEL) for label in aside]),
            "tickangle": 0,
            "showgrid": False,
            "fixedrange": True,
        }
        top = max(_LEAST_SCALE, 1.05 * max(map(max, shares_aside)))
        layout["yaxis2"] = {"anchor": "x2", "tickformat": ".2~p", "range": [0, top], "nticks": 4}
        data += _overlaid(aside, shares_aside, names, xaxis="x2", yaxis="y2", showlegend=False)
    return {"data": data, "layout": layout}


def _side_by_side(labels: list[str]) -> list[str]:
    """The labels of narrow bars: several of them are broken into lines, so that none touches the next."""
    return ["<br>".join(wrap(label, _SHORT_LINE)) for label in labels] if len(labels) > 1 else labels


def _has_needle(edges: Sequence[float], shares: Sequence[Sequence[float]]) -> bool:
    """Whether a bin that is too narrow to be seen would be so high that all others are flat."""
    low, high = _ends(edges)
    needles, others = [0.0], [0.0]
    for bin_, (a, b) in enumerate(pairwise(edges)):
        width = min(b, high) - max(a, low)
        if width > 0:
            highest = max(one[bin_] for one in shares) / width
            (needles if width < (high - low) * _NEEDLE else others).append(highest)
    return max(needles) > _FLAT * max(others)


def _ends(edges: Sequence[float]) -> tuple[float, float]:
    """Where the scale begins and ends: an open bin, or one that is many times as wide as its neighbours, is cut."""
    inner = [edge for edge in edges if math.isfinite(edge)]
    if len(inner) < 4:
        width = (inner[-1] - inner[0]) or abs(inner[0]) or 1.0 if inner else 1.0
        return (inner[0] - 0.05 * width, inner[-1] + 0.05 * width) if inner else (0.0, 1.0)
    span = inner[-2] - inner[1]
    reach = 0.35 * span or 1.0
    return max(inner[0], inner[1] - reach), min(inner[-1], inner[-2] + reach)


def _styles() -> list[dict[str, Any]]:
    return [
        {"color": "var(--reference-fill)", "line": {"color": REFERENCE, "width": 1}},
        {"color": "var(--window-fill)", "line": {"color": WINDOW, "width": 1.5}},
    ]


def _shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]
