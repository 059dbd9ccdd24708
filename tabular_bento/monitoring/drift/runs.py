"""Windows of the past: trends and the strip of verdicts of a drift report, and the page that lists all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tabular_bento.evaluation.evaluators import metric_title
from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.result import Verdict
from tabular_bento.pages import charts, render
from tabular_bento.pages.formats import capitalised, digits, duration

TONES: dict[Verdict, str] = {
    "no_drift": "good",
    "warning": "warning",
    "drift": "alarm",
    "not_enough_data": "neutral",
    "invalid_data": "alarm",
}
"""The class of the page's style that a verdict has."""


def site(
    history: Sequence[Entry],
    reports: Mapping[tuple[str | None, ...], str],
    latest: str | None,
    missing: Sequence[str] = (),
) -> str:
    """The page that lists past runs.

    Parameters
    ----------
    history : sequence of Entry
        All windows, the last one last.
    reports : mapping
        Where the report of a window is kept, relative to the page, by the window's key.
    latest : str, optional
        Where the report of the last run is.
    missing : sequence of str
        As of `page`.
    """
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in history:
        groups.setdefault((entry.model, entry.on, round(entry.length / timedelta(hours=1))), []).append(entry)
    ordered = sorted(groups.values(), key=lambda group: max(entry.made_at for entry in group), reverse=True)
    return render(
        "runs.html",
        latest=latest,
        missing=missing,
        count=len(history),
        newest=max(history, key=lambda entry: entry.made_at, default=None),
        tones=TONES,
        groups=[
            {
                "model": group[0].model or "no model",
                "length": duration(group[0].length / timedelta(hours=1)),
                "on": group[0].on,
                "windows": [window(entry) for entry in group],
                "title": _of_entries(group),
                "digits": digits(max((entry.value for entry in group if entry.value is not None), default=None)),
                "trend": trend(group, None, None),
                "scores": _scores(group),
                "runs": [(entry, reports.get(entry.key)) for entry in reversed(group)],
            }
            for group in ordered
        ],
    )


def trend(history: Sequence[Entry], share: float | None, ratio: float | None) -> list[dict[str, Any]]:
    """The charts of windows in order of time: those that have two points or more."""
    x = [entry.start.isoformat() for entry in history]
    observed = charts.Line("of due labels", x, [entry.value for entry in history])
    estimated = charts.Line(
        "estimated without labels", x, [entry.estimated for entry in history], colour=charts.THIRD, dash="dash"
    )
    title = _of_entries(history)
    wanted: list[tuple[str, list[charts.Line], float | None, bool]] = [
        (title, [observed, estimated], None, False),
        (
            f"{title} over the naive baseline's",
            [charts.Line("ratio", x, [entry.ratio_to_naive_baseline for entry in history])],
            ratio,
            False,
        ),
        (
            "Features drifted, by importance",
            [charts.Line("share", x, [entry.drifted_share for entry in history])],
            share,
            True,
        ),
        ("Prediction's score over its limit", [charts.Line("score", x, [e.prediction for e in history])], 1.0, False),
        ("Predictions with a label", [charts.Line("share", x, [entry.coverage for entry in history])], None, True),
    ]
    shown = []
    for name, lines, limit, percent in wanted:
        known = [line for line in lines if sum(value is not None for value in line.y) > 1]
        if known:
            figure = charts.series(known, limit=limit, percent=percent)
            shown.append({"title": capitalised(name), "figure": figure})
    return shown


def _of_entries(history: Sequence[Entry]) -> str:
    """What the metric of the last window that names one is called."""
    return metric_title(next((entry.metric for entry in reversed(history) if entry.metric), "error"))


def _scores(history: Sequence[Entry]) -> list[dict[str, Any]]:
    """Each column's score over its limit, by window, the highest of the last window first."""
    names = {name for entry in history for name in entry.scores}
    rows = [{"name": name, "values": [entry.scores.get(name) for entry in history]} for name in sorted(names)]
    return sorted(rows, key=lambda row: -(row["values"][-1] or 0.0))


def window(entry: Entry) -> dict[str, str]:
    """A window's square in the strip of verdicts."""
    marks: dict[Verdict, str] = {
        "no_drift": "✓",
        "warning": "W",
        "drift": "D",
        "not_enough_data": "?",
        "invalid_data": "!",
    }
    words = f"{entry.start:%Y-%m-%d %H:%M}: {entry.verdict.replace('_', ' ')}{', alert' if entry.alert else ''}"
    return {"mark": marks[entry.verdict], "tone": TONES[entry.verdict], "words": words, "alert": str(entry.alert)}
