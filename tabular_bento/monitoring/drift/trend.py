"""The trend of the last windows as inline SVG: no script, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tabular_bento.monitoring.drift.history import Entry

WIDTH, HEIGHT = 540, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 22
_OUTLINE = ' stroke="#1f2328" stroke-width="2"'
COLOURS = {
    "no_drift": "#1b7f4b",
    "drift": "#b3261e",
    "warning": "#c69026",
    "not_enough_data": "#c69026",
    "invalid_data": "#c69026",
}


@dataclass(frozen=True)
class Line:
    """Values of one figure by window; None where it was not measured."""

    name: str
    values: Sequence[float | None]
    colour: str
    dashed: bool = False


def trend(entries: Sequence[Entry], max_drifted_share: float, max_error_ratio: float) -> str:
    """The verdicts and the main figures of windows in order of time, the last being this one."""
    names = [f"{entry.start:%Y-%m-%d}" for entry in entries]
    charts = [
        (
            "RMSE",
            [
                Line("of due labels", [entry.rmse for entry in entries], "#0b57d0"),
                Line("estimated without labels", [entry.estimated_rmse for entry in entries], "#8a5a00", dashed=True),
            ],
            None,
        ),
        (
            "RMSE over the naive baseline's",
            [Line("ratio", [entry.ratio_to_naive_baseline for entry in entries], "#0b57d0")],
            max_error_ratio,
        ),
        (
            "Share of features drifted, by importance",
            [Line("share", [entry.drifted_share for entry in entries], "#b3261e")],
            max_drifted_share,
        ),
        ("Prediction's score over its limit", [Line("score", [entry.prediction for entry in entries], "#b3261e")], 1.0),
    ]
    shown = (_figure(title, lines, limit, names) for title, lines, limit in charts if _known(lines))
    return f"{verdict_strip(entries)}<div class=charts>{''.join(shown)}</div>"


def verdict_strip(entries: Sequence[Entry]) -> str:
    """A square for each window's verdict, outlined where it alerted."""
    step = min(42, 1080 // max(len(entries), 1))
    cells = "".join(
        f"<g><title>{entry.start:%Y-%m-%d %H:%M}: {entry.verdict.replace('_', ' ')}"
        f"{', alert' if entry.alert else ''}</title>"
        f'<rect x="{index * step + 2}" y="3" width="{step - 6}" height="22" rx="3" fill="{COLOURS[entry.verdict]}"'
        f"{_OUTLINE if entry.alert else ''}/></g>"
        for index, entry in enumerate(entries)
    )
    first, last = f"{entries[0].start:%Y-%m-%d}", f"{entries[-1].start:%Y-%m-%d}"
    words = "one window so far" if len(entries) == 1 else f"{len(entries)} windows from {first} to {last}, oldest first"
    return (
        f'<p class="muted">Verdicts of {words}: red is drift, green is none, yellow could not be judged; '
        f'outlined ones alerted.</p><svg class=strip width="{len(entries) * step}" height="28" role="img" '
        f'aria-label="verdicts of the last windows">{cells}</svg>'
    )


def _known(lines: Sequence[Line]) -> bool:
    return any(value is not None for line in lines for value in line.values)


def _figure(title: str, lines: Sequence[Line], limit: float | None, names: Sequence[str]) -> str:
    values = [value for line in lines for value in line.values if value is not None]
    low, high = _range([*values, *([limit] if limit is not None else [])])

    def y(value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    count = len(names)

    def x(index: int) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (index / (count - 1) if count > 1 else 0.5)

    parts = [
        f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#e6e8eb"/>'
        f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.3g}</text>'
        for tick in (low, (low + high) / 2, high)
    ]
    if limit is not None:
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}" stroke="#1f2328" '
            f'stroke-dasharray="2 3"/><text x="{WIDTH - _RIGHT}" y="{y(limit) - 4:.1f}" text-anchor="end">'
            f"limit {limit:.3g}</text>"
        )
    for line in lines:
        for run in _runs(line.values):
            points = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in run)
            dash = ' stroke-dasharray="5 4"' if line.dashed else ""
            parts.append(f'<polyline points="{points}" fill="none" stroke="{line.colour}" stroke-width="2"{dash}/>')
            parts += [
                f'<circle cx="{x(index):.1f}" cy="{y(value):.1f}" r="3" fill="{line.colour}">'
                f"<title>{names[index]}: {line.name} {value:.3f}</title></circle>"
                for index, value in run
            ]
    for index, anchor in {0: "start" if count > 1 else "middle", count - 1: "end" if count > 1 else "middle"}.items():
        parts.append(f'<text x="{x(index):.1f}" y="{HEIGHT - 5}" text-anchor="{anchor}">{names[index]}</text>')
    key = (
        " ".join(
            f'<span style="color:{line.colour}">{"- -" if line.dashed else "—"} {line.name}</span>' for line in lines
        )
        if len(lines) > 1
        else ""
    )
    return (
        f"<figure><figcaption>{escape(title)} {key}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches of known values, with their indices."""
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.1 or abs(high) * 0.1 or 1.0
    return (low - margin if low < 0 or low - margin > 0 else 0.0), high + margin
