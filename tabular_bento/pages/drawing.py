"""What all charts are drawn with: colours, lines, keys, and text that Plotly takes for no markup.

Colours are variables of the page's style, such as ``var(--window)``, so that a chart follows the reader's choice of
dark or light. They are of the palette of Okabe and Ito, and no chart tells by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]

REFERENCE, WINDOW, THIRD, FOURTH = "var(--reference)", "var(--window)", "var(--third)", "var(--fourth)"
LIMIT = "var(--limit)"

STYLES = tuple((colour, dash) for dash in ("solid", "dash", "dot") for colour in (WINDOW, THIRD, FOURTH, REFERENCE))
"""Colours and dashes that several lines of one chart have in turn."""


def across(low: float, high: float) -> dict[str, Any]:
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


def level(height: float) -> dict[str, Any]:
    """A dashed line at a height."""
    return line({"xref": "paper", "x0": 0, "x1": 1, "y0": height, "y1": height}, "dash")


def line(where: dict[str, Any], dash: str) -> dict[str, Any]:
    """A straight line between two points, in the colour of limits."""
    return {"type": "line", **where, "line": {"color": LIMIT, "width": 1.5, "dash": dash}}


def note(text: str, height: float, side: str = "right") -> dict[str, Any]:
    """A word at the right or left end of a level."""
    place = {
        "xref": "paper",
        "x": int(side == "right"),
        "xanchor": side,
        "y": height,
        "yanchor": "bottom",
        "showarrow": False,
    }
    return {"text": text, **place, "font": {"size": 11, "color": LIMIT}}


def key(name: str, marker: dict[str, Any]) -> dict[str, Any]:
    """An entry of the legend that is drawn by a shape."""
    point = {"type": "scatter", "mode": "markers", "name": name, "x": [None], "y": [None], "marker": marker}
    return {**point, "hoverinfo": "skip", "showlegend": True}


def finite(values: Sequence[float | None]) -> list[float | None]:
    """Values for JSON: None where they are not known."""
    return [float(value) if value is not None and math.isfinite(value) else None for value in values]


def error_bars(
    values: Sequence[float | None],
    low: Sequence[float | None],
    high: Sequence[float | None],
    colour: str,
    thickness: float,
    width: int,
) -> dict[str, Any]:
    """Intervals about estimates; nothing where an end is not known."""

    def distances(upper: Sequence[float | None], lower: Sequence[float | None]) -> list[float]:
        pairs = zip(upper, lower, strict=True)
        return [0.0 if a is None or b is None else max(a - b, 0.0) for a, b in pairs]

    ends = {"array": distances(high, values), "arrayminus": distances(values, low)}
    return {"type": "data", "symmetric": False, **ends, "color": colour, "thickness": thickness, "width": width}


def short(text: str, longest: int) -> str:
    """A label of a limited length."""
    return plain(text if len(text) <= longest else f"{text[: longest - 1]}…")


def plain(text: str) -> str:
    """Text that Plotly takes for no markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
