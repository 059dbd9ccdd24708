"""Charts of Plotly, each a figure in plain JSON, which the macro `chart` of the templates draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tabular_bento.pages import drawing
from tabular_bento.pages.drawing import LIMIT, REFERENCE, THIRD, WINDOW, Figure, finite, plain, short

__all__ = ["REFERENCE", "THIRD", "WINDOW", "Figure", "Interval", "Line", "bars", "intervals", "scatter", "series"]


@dataclass(frozen=True)
class Line:
    """One line of `series`: values by `x`, None where they were not measured, with their intervals where known."""

    name: str
    x: Sequence[Any]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    colour: str = WINDOW
    dash: str = "solid"
    """Plotly's name of the dashes."""
    markers: bool = True
    """Whether its points are marked."""
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
        shapes.append(drawing.across(band[0], band[1]))
    if limit is not None:
        shapes.append(drawing.level(limit))
        notes.append(drawing.note(f"limit {limit:.3g}", limit))
    form = ":.1%" if percent else ":.4g"
    data += [trace(line, f"%{{x}}<br>%{{y{form}}} %{{text}}") for line in lines]
    if band is not None:  # after the lines: Plotly takes the kind of the axis, such as time, from the first trace
        data.append(drawing.key(band_name, {"symbol": "square", "size": 12, "color": "var(--band)"}))
    layout: Figure = {
        "shapes": shapes,
        "annotations": notes,
        "showlegend": len(lines) > 1 or band is not None,
        "yaxis": {"title": {"text": title}, "tickformat": ".0%" if percent else None, "rangemode": "normal"},
    }
    if percent:
        highest = max([0.0, limit or 0.0, *(value for line in lines for value in finite(line.y) if value is not None)])
        layout["yaxis"]["range"] = [-0.03 * (highest or 1), 1.12 * (highest or 1)]
    return {"data": data, "layout": layout}


def trace(line: Line, hover: str) -> dict[str, Any]:
    """A line as Plotly's trace; `hover` is the template of what is said of a point."""
    drawn: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if line.markers else "lines",
        "name": plain(line.name),
        "x": list(line.x),
        "y": finite(line.y),
        "text": list(line.text) if line.text else [""] * len(line.x),
        "hovertemplate": f"{hover}<extra>{plain(line.name)}</extra>",
        "line": {"color": line.colour, "width": 2, "dash": line.dash},
    }
    if line.markers:
        drawn["marker"] = {"color": line.colour, "size": 6, "symbol": "circle" if line.dash == "solid" else "diamond"}
    if line.low is not None and line.high is not None:
        drawn["error_y"] = drawing.error_bars(line.y, line.low, line.high, line.colour, 1.2, 3)
    return drawn


def intervals(rows: Sequence[Interval], title: str = "", zero: float | None = None) -> Figure:
    """A forest plot: a row each with estimate, interval and limit; at `zero` there is no difference."""
    ordered = list(reversed(rows))
    names, values = [short(row.name, 34) for row in ordered], [row.value for row in ordered]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": values,
            "y": names,
            "marker": {
                "color": WINDOW,
                "size": 9,
                "symbol": ["circle-open" if row.hollow else "circle" for row in ordered],
            },
            "error_x": drawing.error_bars(
                values, [row.low for row in ordered], [row.high for row in ordered], WINDOW, 2, 5
            ),
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
        []
        if zero is None
        else [drawing.line({"x0": zero, "x1": zero, "y0": 0, "y1": 1, "xref": "x", "yref": "paper"}, "dot")]
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
    given = zip(finite(x), finite(y), text or [""] * len(x), strict=True)
    known = [(a, b, name) for a, b, name in given if a is not None and b is not None]
    shapes = [] if level is None else [drawing.level(level)]
    if diagonal and known:
        low, high = (kind(kind(a, b) for a, b, _ in known) for kind in (min, max))
        shapes.append(drawing.line({"x0": low, "x1": high, "y0": low, "y1": high}, "dot"))
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
        "x": list(reversed(finite(values))),
        "y": [short(name, 34) for name in reversed(names)],
        "marker": {"color": WINDOW},
        "hovertemplate": f"%{{y}}: %{{x{':.1%' if percent else ':.4g'}}}<extra></extra>",
    }
    axis = {"type": "category", "automargin": True, "showgrid": False}
    form = {"title": {"text": title}, "tickformat": ".0%" if percent else None, "rangemode": "tozero"}
    return {"data": [data], "layout": {"xaxis": form, "yaxis": axis, "showlegend": False}}
