"""A chart as static SVG: axes with round ticks, and marks in the units of the data. No script, no font, no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10

INK, MUTED, GRID = "#1f2328", "#59636e", "#e4e8ec"
GOOD, BAD, UNSURE = "#1b7f4b", "#b3261e", "#8a5a00"
BASELINE, CANDIDATE = "#7b8794", "#0b63c5"

Range = tuple[float, float]


class Chart:
    """A plot of `width` by `height` pixels; `x` and `y` are the ranges of its axes, low to high.

    `left` and `bottom` are the margins for labels, in pixels. Texts given to it are escaped.
    """

    def __init__(
        self,
        width: int,
        height: int,
        x: Range,
        y: Range,
        left: int = 52,
        bottom: int = 40,
        right: int = 14,
        top: int = 12,
    ) -> None:
        self._size = width, height
        self._area = left, top, width - right, height - bottom
        self._x, self._y = _widened(x), _widened(y)
        self._marks: list[str] = []

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point of the data."""
        left, top, right, bottom = self._area
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (y - self._y[0]) / (self._y[1] - self._y[0])
        return round(left + across * (right - left), 2), round(bottom - up * (bottom - top), 2)

    def axis_x(self, label: str, labels: Sequence[tuple[float, str]] | None = None) -> None:
        """Grid, ticks and label of the horizontal axis; `labels` are places with their texts, in place of numbers."""
        left, top, right, bottom = self._area
        for value, text in labels if labels is not None else ticks(*self._x):
            place = self.at(value, self._y[0])[0]
            self._marks.append(f'<path d="M{place} {top}V{bottom}" stroke="{GRID}"/>')
            self._text(place, bottom + 16, text, MUTED, "middle")
        self._text((left + right) / 2, self._size[1] - 4, label, MUTED, "middle")

    def axis_y(self, label: str, labels: Sequence[tuple[float, str]] | None = None) -> None:
        """The same of the vertical axis; its label stands at the top."""
        left, top, right, _ = self._area
        for value, text in labels if labels is not None else ticks(*self._y):
            place = self.at(self._x[0], value)[1]
            self._marks.append(f'<path d="M{left} {place}H{right}" stroke="{GRID}"/>')
            self._text(left - 7, place + 4, text, MUTED, "end")
        if label:
            self._text(left, top - 1, label, MUTED, "start")

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 1.6, dash: str = "") -> None:
        """A line through the points."""
        path = " ".join(f"{x},{y}" for x, y in (self.at(*point) for point in points))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>')

    def bar(self, x: Range, y: Range, colour: str, opacity: float = 1.0, title: str = "") -> None:
        """A filled rectangle, which shows `title` under the pointer."""
        (x0, y1), (x1, y0) = self.at(x[0], y[0]), self.at(x[1], y[1])
        shape = (
            f'<rect x="{min(x0, x1)}" y="{min(y0, y1)}" width="{round(abs(x1 - x0), 2)}" '
            f'height="{round(abs(y1 - y0), 2)}" fill="{colour}" fill-opacity="{opacity:.3g}"'
        )
        self._marks.append(f"{shape}><title>{escape(title)}</title></rect>" if title else f"{shape}/>")

    def dot(self, x: float, y: float, colour: str, title: str = "", radius: float = 4) -> None:
        """A point, which shows `title` under the pointer."""
        cx, cy = self.at(x, y)
        self._marks.append(
            f'<circle cx="{cx}" cy="{cy}" r="{radius}" fill="{colour}"><title>{escape(title)}</title></circle>'
        )

    def text(self, x: float, y: float, text: str, colour: str = INK, anchor: str = "start", dx: float = 0) -> None:
        """Words at a point of the data, `dx` pixels to the right of it."""
        px, py = self.at(x, y)
        self._text(px + dx, py + 4, text, colour, anchor)

    def svg(self, title: str) -> str:
        """The chart; `title` is what a screen reader says."""
        width, height = self._size
        return (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(self._marks)}</svg>'
        )

    def _text(self, x: float, y: float, text: str, colour: str, anchor: str) -> None:
        self._marks.append(
            f'<text x="{round(x, 1)}" y="{round(y, 1)}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
        )


def ticks(low: float, high: float, about: int = 6) -> list[tuple[float, str]]:
    """Round numbers from `low` to `high` with their texts."""
    rough = (high - low) / about
    size = 10 ** floor(log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    digits = max(0, -floor(log10(step)))
    places = [count * step for count in range(ceil(low / step), floor(high / step) + 1)]
    return [(place, f"{place + 0.0:,.{digits}f}") for place in places]


def _widened(ends: Range) -> Range:
    """The range, never empty."""
    low, high = float(ends[0]), float(ends[1])
    return (low, high) if high > low else (low - 0.5 - abs(low) * 1e-3, low + 0.5 + abs(low) * 1e-3)
