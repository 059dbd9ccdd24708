"""Charts as Plotly figures, which the macro `chart` of the templates draws.

A figure is plain JSON. Colours are variables of the page's style, such as ``var(--window)``, so that a chart
follows the reader's choice of dark or light; they are of the palette of Okabe and Ito, and no chart tells by colour
alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Figure = dict[str, Any]

REFERENCE, WINDOW, THIRD, LIMIT = "var(--reference)", "var(--window)", "var(--third)", "var(--limit)"

_LONGEST_LABEL = 14

_VISIBLE = 0.005
"""Share below which a bin that is no part of the scale is left out."""

_DAY = 86_400_000.0
"""Milliseconds, which are Plotly's unit of time."""


@dataclass(frozen=True)
class Line:
    """One line of `series`: values by `x`, None where they were not measured, with their intervals where known."""

    name: str
    x: Sequence[Any]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    colour: str = WINDOW
    dashed: bool = False
    text: Sequence[str] | None = None
    """What is said of each point when it is pointed at, beside its value."""


@dataclass(frozen=True)
class Interval:
    """One row of `intervals`: an estimate with its interval, and the limit that it must keep where there is one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    hollow: bool = False
    """Whether it is drawn as a ring, such as what is only estimated."""


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
        and as high as their share in proportion to it.
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
    if edges is None:
        return _bars([bins[i] for i in (*first, *rest)], [[one[i] for i in (*first, *rest)] for one in shares], names)
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


def series(
    lines: Sequence[Line],
    band: tuple[float, float] | Sequence[float] | None = None,
    band_name: str = "reference",
    limit: float | None = None,
    title: str = "",
    percent: bool = False,
) -> Figure:
    """Lines over time or over windows, with their intervals, a band of what is usual and a limit."""
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    if band is not None:
        shapes.append(_across(band[0], band[1]))
    if limit is not None:
        shapes.append(_level(limit))
        notes.append(_note(f"limit {limit:.3g}", limit))
    form = ":.1%" if percent else ":.4g"
    for line in lines:
        text = list(line.text) if line.text else [""] * len(line.x)
        values: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines+markers",
            "name": line.name,
            "x": list(line.x),
            "y": _finite(line.y),
            "text": text,
            "hovertemplate": f"%{{x}}<br>%{{y{form}}} %{{text}}<extra>{_plain(line.name)}</extra>",
            "line": {"color": line.colour, "width": 2, "dash": "dash" if line.dashed else "solid"},
            "marker": {"color": line.colour, "size": 6, "symbol": "diamond" if line.dashed else "circle"},
        }
        if line.low is not None and line.high is not None:
            values["error_y"] = {
                "type": "data",
                "symmetric": False,
                "array": _apart(line.high, line.y),
                "arrayminus": _apart(line.y, line.low),
                "color": line.colour,
                "thickness": 1.2,
                "width": 3,
            }
        data.append(values)
    if band is not None:  # after the lines: Plotly takes the kind of the axis, such as time, from the first trace
        data.append(_key(band_name, {"symbol": "square", "size": 12, "color": "var(--band)"}))
    layout: Figure = {
        "shapes": shapes,
        "annotations": notes,
        "showlegend": len(lines) > 1 or band is not None,
        "yaxis": {"title": {"text": title}, "tickformat": ".0%" if percent else None, "rangemode": "normal"},
    }
    if percent:
        highest = max([0.0, limit or 0.0, *(value for line in lines for value in _finite(line.y) if value is not None)])
        layout["yaxis"]["range"] = [-0.03 * (highest or 1), 1.12 * (highest or 1)]
    return {"data": data, "layout": layout}


def intervals(rows: Sequence[Interval], title: str = "", zero: float | None = None) -> Figure:
    """A forest plot: a row each with estimate, interval and limit; at `zero` there is no difference."""
    ordered = list(reversed(rows))
    names = [_short(row.name, 34) for row in ordered]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [row.value for row in ordered],
            "y": names,
            "marker": {
                "color": WINDOW,
                "size": 9,
                "symbol": ["circle-open" if row.hollow else "circle" for row in ordered],
            },
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [_distance(row.high, row.value) for row in ordered],
                "arrayminus": [_distance(row.value, row.low) for row in ordered],
                "color": WINDOW,
                "thickness": 2,
                "width": 5,
            },
            "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
            "showlegend": False,
        }
    ]
    if limits := [(row.limit, name) for row, name in zip(ordered, names, strict=True) if row.limit is not None]:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "limit",
                "x": [limit for limit, _ in limits],
                "y": [name for _, name in limits],
                "marker": {"symbol": "line-ns", "size": 18, "line": {"width": 2, "color": LIMIT}, "color": LIMIT},
                "hovertemplate": "limit %{x:.4g}<extra></extra>",
                "showlegend": True,
            }
        )
    shapes = (
        [] if zero is None else [_line({"x0": zero, "x1": zero, "y0": 0, "y1": 1, "xref": "x", "yref": "paper"}, "dot")]
    )
    axis = {"type": "category", "automargin": True, "range": [-0.6, len(rows) - 0.4], "showgrid": False}
    layout = {"shapes": shapes, "xaxis": {"title": {"text": title}}, "yaxis": axis, "showlegend": bool(limits)}
    return {"data": data, "layout": layout}


def scatter(
    x: Sequence[float | None],
    y: Sequence[float | None],
    x_title: str = "",
    y_title: str = "",
    level: float | None = None,
    diagonal: bool = False,
    text: Sequence[str] | None = None,
    last: bool = False,
) -> Figure:
    """Points, with a line at the height `level` or the line of equal values.

    `text` is what each point is called; with `last`, the last of them stands out.
    """
    given = zip(_finite(x), _finite(y), text or [""] * len(x), strict=True)
    known = [(a, b, name) for a, b, name in given if a is not None and b is not None]
    shapes = [] if level is None else [_level(level)]
    if diagonal and known:
        low, high = (kind(kind(a, b) for a, b, _ in known) for kind in (min, max))
        shapes.append(_line({"x0": low, "x1": high, "y0": low, "y1": high}, "dot"))
    data: dict[str, Any] = {
        "type": "scattergl" if len(known) > 20_000 else "scatter",
        "mode": "markers",
        "x": [a for a, _, _ in known],
        "y": [b for _, b, _ in known],
        "text": [name for _, _, name in known],
        "marker": {"color": WINDOW, "size": 5, "opacity": 0.35},
        "hovertemplate": "%{x:.4g}, %{y:.4g} %{text}<extra></extra>",
    }
    if text is not None:
        here = [last and index == len(known) - 1 for index in range(len(known))]
        data["marker"] = {
            "color": [THIRD if one else WINDOW for one in here],
            "size": [13 if one else 8 for one in here],
            "symbol": ["diamond" if one else "circle" for one in here],
        }
    axes = {"xaxis": {"title": {"text": x_title}}, "yaxis": {"title": {"text": y_title}}}
    return {"data": [data], "layout": {"shapes": shapes, "showlegend": False, **axes}}


def bars(names: Sequence[str], values: Sequence[float], title: str = "", percent: bool = False) -> Figure:
    """Horizontal bars, the first on top."""
    data = {
        "type": "bar",
        "orientation": "h",
        "x": list(reversed(_finite(values))),
        "y": [_short(name, 34) for name in reversed(names)],
        "marker": {"color": WINDOW},
        "hovertemplate": f"%{{y}}: %{{x{':.1%' if percent else ':.4g'}}}<extra></extra>",
    }
    axis = {"type": "category", "automargin": True, "showgrid": False}
    form = {"title": {"text": title}, "tickformat": ".0%" if percent else None, "rangemode": "tozero"}
    return {"data": [data], "layout": {"xaxis": form, "yaxis": axis, "showlegend": False}}


def _bars(labels: Sequence[str], shares: Sequence[Sequence[float]], names: tuple[str, str]) -> Figure:
    positions = list(range(len(labels)))
    data = [
        {
            "type": "bar",
            "name": name,
            "x": positions,
            "y": list(values),
            "width": width,
            "customdata": list(labels),
            "marker": style,
            "hovertemplate": f"%{{customdata}}: %{{y:.1%}}<extra>{_plain(name)}</extra>",
        }
        for name, values, style, width in zip(names, shares, _styles(), (0.86, 0.56), strict=True)
    ]
    step = max(1, math.ceil(len(labels) / 10))
    shown = positions[::step]
    axis = {
        "tickmode": "array",
        "tickvals": shown,
        "ticktext": [_short(labels[i], _LONGEST_LABEL) for i in shown],
        "showgrid": False,
        "range": [-0.6, len(labels) - 0.4],
        "fixedrange": True,
    }
    return {"data": data, "layout": {"barmode": "overlay", "xaxis": axis, "yaxis": {"tickformat": ".2~p"}}}


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
                "hovertemplate": f"%{{customdata[0]}}: %{{customdata[1]:.1%}}<extra>{_plain(name)}</extra>",
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
            "ticktext": [_short(label, _LONGEST_LABEL) for label in aside],
            "tickangle": 0,
            "showgrid": False,
            "fixedrange": True,
        }
        layout["yaxis2"] = {"anchor": "x2", "tickformat": ".2~p", "rangemode": "tozero", "nticks": 4}
        for name, values, style, size in zip(names, shares_aside, _styles(), (0.86, 0.56), strict=True):
            data.append(
                {
                    "type": "bar",
                    "name": name,
                    "x": list(range(len(aside))),
                    "y": list(values),
                    "width": size,
                    "xaxis": "x2",
                    "yaxis": "y2",
                    "customdata": list(aside),
                    "marker": style,
                    "showlegend": False,
                    "hovertemplate": f"%{{customdata}}: %{{y:.1%}}<extra>{_plain(name)}</extra>",
                }
            )
    return {"data": data, "layout": layout}


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


def _across(low: float, high: float) -> dict[str, Any]:
    """A band over the whole width."""
    return {
        "type": "rect",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": low,
        "y1": high,
        "fillcolor": "var(--band)",
        "line": {"width": 0},
        "layer": "below",
    }


def _level(height: float) -> dict[str, Any]:
    return _line({"xref": "paper", "x0": 0, "x1": 1, "y0": height, "y1": height}, "dash")


def _line(where: dict[str, Any], dash: str) -> dict[str, Any]:
    return {"type": "line", **where, "line": {"color": LIMIT, "width": 1.5, "dash": dash}}


def _note(text: str, height: float) -> dict[str, Any]:
    """A word at the right end of a level."""
    place = {"xref": "paper", "x": 1, "xanchor": "right", "y": height, "yanchor": "bottom", "showarrow": False}
    return {"text": text, **place, "font": {"size": 11, "color": LIMIT}}


def _key(name: str, marker: dict[str, Any]) -> dict[str, Any]:
    """An entry of the legend that is drawn by a shape."""
    point = {"type": "scatter", "mode": "markers", "name": name, "x": [None], "y": [None], "marker": marker}
    return {**point, "hoverinfo": "skip", "showlegend": True}


def _finite(values: Sequence[float | None]) -> list[float | None]:
    return [float(value) if value is not None and math.isfinite(value) else None for value in values]


def _apart(upper: Sequence[float | None], lower: Sequence[float | None]) -> list[float]:
    return [_distance(a, b) for a, b in zip(upper, lower, strict=True)]


def _distance(upper: float | None, lower: float | None) -> float:
    return 0.0 if upper is None or lower is None else max(upper - lower, 0.0)


def _short(text: str, longest: int) -> str:
    return _plain(text if len(text) <= longest else f"{text[: longest - 1]}…")


def _plain(text: str) -> str:
    """Text that Plotly takes for no markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
