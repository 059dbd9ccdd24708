"""The history of verdicts: one line of JSON a window, and what the windows before this one were.

A line is known by its window, the model and the log: a window that is judged again replaces its line. Lines that cannot
be read, such as those of a later version, are kept as they are.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tabular_bento.monitoring.drift.result import METRICS, Alert, DriftResult, Verdict
from tabular_bento.monitoring.files import locked, write_whole

SAME_LENGTH = 0.15
"""Windows whose lengths differ by less than this share are of the same length: as February and March are."""


class Entry(BaseModel):
    """One line of `history.jsonl`: the window, the verdict, and the values that trends are drawn of."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    start: datetime
    end: datetime
    on: str
    log: str
    model: str | None
    verdict: Verdict
    alert: bool
    made_at: datetime
    rows: int
    reasons: list[str]
    drifted: list[str]
    drifted_share: float | None
    prediction: float | None
    """Score of the prediction in terms of its limit; of several outputs, the largest."""
    coverage: float | None
    metric: str | None = "rmse"
    """What `value` and `estimated` give; lines that are older than classifications do not say."""
    rmse: float | None = None
    mae: float | None = None
    log_loss: float | None = None
    brier: float | None = None
    bias: float | None
    ratio_to_naive_baseline: float | None
    estimated_rmse: float | None = None
    estimated_log_loss: float | None = None
    scores: dict[str, float] = {}
    """Score of each column in terms of its limit."""

    @classmethod
    def of(cls, result: DriftResult) -> Self:
        """The line of a result."""
        observed = {name: result.at(f"labels.model.{name}") for name in (*METRICS, "bias")}
        estimated = {f"estimated_{name}": result.at(f"estimate.{name}") for name in ("rmse", "log_loss")}
        return cls(
            **dict(result.window),
            **observed,
            **estimated,
            model=result.model,
            verdict=result.verdict,
            alert=result.alert.alert,
            made_at=result.made_at,
            rows=result.rows.scored,
            reasons=result.decision.reasons,
            drifted=[column.name for column in result.columns if column.drifted],
            drifted_share=result.decision.drifted_share,
            prediction=result.prediction_excess,
            coverage=result.labels.coverage,
            metric=result.metric,
            ratio_to_naive_baseline=result.labels.ratio_to_naive_baseline,
            scores={column.name: round(column.excess, 4) for column in result.columns if column.excess is not None},
        )

    @property
    def value(self) -> float | None:
        """The observed metric of the window."""
        found: float | None = getattr(self, self.metric or "", None)
        return found

    @property
    def estimated(self) -> float | None:
        """The metric estimated without labels."""
        found: float | None = getattr(self, f"estimated_{self.metric}", None)
        return found

    @property
    def key(self) -> tuple[str | None, ...]:
        """What a line is known by."""
        return self.start.isoformat(), self.end.isoformat(), self.on, self.log, self.model

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def resembles(self, other: Entry) -> bool:
        """Whether `other` is of the same model, log and column of time, and about as long."""
        alike = (self.on, self.log, self.model) == (other.on, other.log, other.model)
        if not alike or (self.start.tzinfo is None) != (other.start.tzinfo is None):
            return False
        return abs(other.length - self.length) <= SAME_LENGTH * max(other.length, self.length)

    def follows(self, before: Entry) -> bool:
        """Whether `before` is a window like this one that begins earlier, and ends when this one begins or later."""
        return self.resembles(before) and before.start < self.start <= before.end


class History:
    """The lines of one file. A file that is not there holds none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[Entry]:
        """All lines that can be read, by window. Raises OSError."""
        entries = (_entry(line) for line in self._lines())
        return sorted((entry for entry in entries if entry), key=lambda entry: entry.end.replace(tzinfo=None))

    def before(self, entry: Entry, most: int) -> list[Entry]:
        """Up to `most` windows that led up to this one without a gap, the latest first. Raises OSError."""
        earlier, found = self.entries(), list[Entry]()
        while len(found) < most:
            last = found[-1] if found else entry
            if not (candidates := [one for one in earlier if last.follows(one)]):
                break
            found.append(max(candidates, key=lambda one: one.start))
        return found

    def trend(self, entry: Entry, most: int) -> list[Entry]:
        """Up to `most` windows like this one that end no later, this one the last. Raises OSError."""
        alike = [one for one in self.entries() if one.key != entry.key and entry.resembles(one)]
        earlier = [one for one in alike if one.end <= entry.end]
        return [*earlier[max(len(earlier) - most + 1, 0) :], entry]

    def record(self, result: DriftResult, after: int, of: int) -> DriftResult:
        """Write the result's line in place of a former one of its window; the result, with its alert decided.

        Processes that do so at a time do it one after the other. Raises OSError where the file cannot be written.
        """
        with locked(self.path):
            entry = Entry.of(result)
            result = result.with_alert(alert(entry, self.before(entry, of - 1), after, of))
            entry = Entry.of(result)
            kept = [line for line in self._lines() if (held := _entry(line)) is None or held.key != entry.key]
            write_whole(self.path, "\n".join([*kept, entry.model_dump_json()]) + "\n")
        return result

    def _lines(self) -> list[str]:
        if not self.path.exists():
            return []
        return [line for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]


def alert(entry: Entry, before: list[Entry], after: int, of: int) -> Alert:
    """Whether `after` of the last `of` windows drifted, this one among them."""
    windows = [entry, *before[: of - 1]]
    drifted = sum(window.verdict == "drift" for window in windows)
    wanted = entry.verdict == "drift" and drifted >= after
    return Alert(alert=wanted, after=after, of=of, drifted=drifted, windows=len(windows))


def _entry(line: str) -> Entry | None:
    try:
        return Entry.model_validate_json(line)
    except ValidationError:
        return None
