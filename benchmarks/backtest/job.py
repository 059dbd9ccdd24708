"""The back-test: what the drift job would have said of windows whose truth is known.

False alarms on windows that are like the training months, power on injected faults, and the months after training as
they were. Every verdict comes from the job's own decision (`judge_window`) on the package's own predictor; only
the log is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.backtest.past import Past, judge_past
from benchmarks.backtest.shifts import SHIFTS, stale
from benchmarks.errors import BenchmarkError
from tabular_bento.data.dataset import Dataset
from tabular_bento.data.splits import Split, month_range
from tabular_bento.evaluation.metrics import event_seconds
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.problem import Declaration
from tabular_bento.project import Project
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.store import find_model

WEEK = timedelta(days=7)
STALE = "look-up tables of the first month"

Step = Callable[[str], None]


@dataclass(frozen=True)
class Sizes:
    """How much of the back-test to run."""

    rows: tuple[int, ...] = (1_000, 5_000, 20_000, 50_000)
    splits: int = 100
    weeks: int = 26
    shifted_rows: tuple[int, ...] = (1_000, 5_000, 20_000)
    draws: int = 10


QUICK = Sizes(rows=(1_000, 5_000), splits=5, weeks=4, shifted_rows=(5_000,), draws=2)


@dataclass(frozen=True)
class Rate:
    """How many windows of a kind alarmed, and why those did."""

    name: str
    rows: int
    windows: int
    alarms: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """One window of the months after training; `learnt` where the error model has learnt from some of it."""

    name: str
    kind: str
    result: DriftResult
    learnt: bool


@dataclass(frozen=True)
class BackTest:
    """All that was measured: `left_out` weeks were judged by a reference that was made without them."""

    model: str
    splits: list[Rate]
    weeks: Rate
    left_out: Rate
    power: list[Rate]
    power_in_a_week: list[Rate]
    story: list[Chapter]


@dataclass(frozen=True)
class Grounds:
    """What the back-test stands on: the model, its reference, its training months and those after them.

    Until `learnt_until` they are the validation months, which the error model has learnt from.
    """

    predictor: Predictor
    reference: Reference
    train: Past
    later: Past
    learnt_until: datetime
    settings: DriftSettings

    @classmethod
    def stored(cls, tag: str, settings: DriftSettings, project: Project | None = None) -> Grounds:
        """Those of model `tag` in the BentoML store. Raises as `of` does."""
        model = find_model(tag)
        return cls.of(model.tag, model.directory, settings, project)

    @classmethod
    def of(cls, tag: str, directory: Path, settings: DriftSettings, project: Project | None = None) -> Grounds:
        """Those of the package in `directory`, on the source and the months that it was trained with.

        By default the project is that of the working folder. Raises PackageError, PackageReferenceError, ProjectError
        or the errors of the data layer where one of them cannot be used, and BenchmarkError for rows without a time.
        """
        project = project or Project.find()
        problem = project.load_problem()
        package = ModelPackage.load(directory, tag, problem)
        if problem.event_time is None:
            raise BenchmarkError(f"{tag}: windows are drawn of days, and the rows of its problem have no time.")
        config = package.provenance["config"]
        train, later, learnt_until = _rows(
            project.load_source().load(config["source"]), Split.model_validate(config["split"])
        )
        reference, predictor = Reference.read(directory, tag), package.predictor
        return cls(predictor, reference, Past.of(predictor, train), Past.of(predictor, later), learnt_until, settings)

    def judge(self, past: Past, reference: Reference | None = None, estimated: bool = False) -> DriftResult:
        """The job's verdict on these rows, with the error to expect where `estimated`."""
        return judge_past(past, reference or self.reference, self.settings, estimated)

    def rate(self, name: str, rows: int, results: list[DriftResult]) -> Rate:
        """How many of the windows are `drift`."""
        alarms = [result for result in results if result.verdict == "drift"]
        return Rate(name, rows, len(results), len(alarms), tuple(sorted(set().union(*map(why, alarms)))))


def _rows(data: Dataset, split: Split) -> tuple[Dataset, Dataset, datetime]:
    """The rows of training, those from validation on, and when validation ends."""
    if split.by_months:
        train, validation, test = (month_range(*getattr(split, name)) for name in ("train", "validation", "test"))
        return data.between(*train), data.between(validation[0], test[1]), _midnight(validation[1])
    parts = data.split(split)
    declaration = data.problem if isinstance(data.problem, Declaration) else data.problem.declaration
    validation = event_seconds(declaration, parts.part("validation").columns)
    seconds = event_seconds(declaration, data.columns)
    assert validation is not None
    assert seconds is not None
    until = datetime.fromtimestamp(int(validation.max()) + 1, UTC).replace(tzinfo=None)
    return parts.part("train"), data.where(seconds >= validation.min()), until


def why(result: DriftResult) -> set[str]:
    """The kinds of findings that made the verdict, each with the columns that it is about."""
    about = {kind: ", ".join(_about(kind, result)) for kind in result.decision.reasons}
    return {f"{kind} ({names})" if names else kind for kind, names in about.items()}


def _about(kind: str, result: DriftResult) -> list[str]:
    if kind in ("share_of_features", "strong_drift"):
        return [column.name for column in result.columns if column.drifted and column.weighs]
    return [finding.column for finding in result.findings if finding.kind == kind and finding.column]


def run(grounds: Grounds, sizes: Sizes, seed: int, step: Step = lambda _: None) -> BackTest:
    """The whole back-test; `step` is called with what begins. The same arguments give the same numbers."""
    rng = np.random.default_rng(seed)
    step("random splits of the training months")
    splits = _splits(grounds, sizes, rng)
    step("weeks of the training months")
    weeks, left_out = _weeks(grounds, sizes)
    step("injected faults")
    power = list(_power(grounds, sizes, rng))
    power_in_a_week = list(_power_in_a_week(grounds, sizes, rng))
    step("the months after training")
    return BackTest(
        str(grounds.reference.model), splits, weeks, left_out, power, power_in_a_week, list(_story(grounds))
    )


def _splits(grounds: Grounds, sizes: Sizes, rng: np.random.Generator) -> list[Rate]:
    """Windows of one random half of the training months, by a reference made of the other half, a new split each."""
    train, results = grounds.train, {rows: list[DriftResult]() for rows in sizes.rows}
    for _ in range(sizes.splits):
        order = rng.permutation(len(train))
        half = len(train) // 2
        reference = train.where(np.sort(order[:half])).reference(grounds.reference, grounds.settings.seed)
        for rows, found in results.items():
            found.append(grounds.judge(train.where(order[half : half + rows]), reference))
    return [grounds.rate("random rows", rows, found) for rows, found in results.items()]


def _weeks(grounds: Grounds, sizes: Sizes) -> tuple[Rate, Rate]:
    """Consecutive weeks of the training months, by the package's reference and by one made without the week."""
    train = grounds.train
    seen, left_out = [], []
    for start in _starts(train, WEEK, sizes.weeks):
        week = train.between(start, start + WEEK)
        rest = train.where((train.event < week.event.min()) | (train.event > week.event.max()))
        seen.append(grounds.judge(week))
        left_out.append(grounds.judge(week, rest.reference(grounds.reference, grounds.settings.seed)))
    rows = len(train) // max(round((train.event.max() - train.event.min()) / WEEK.total_seconds()), 1)
    return grounds.rate("weeks", rows, seen), grounds.rate("weeks left out of the reference", rows, left_out)


def _power(grounds: Grounds, sizes: Sizes, rng: np.random.Generator) -> Iterator[Rate]:
    """Random rows of the training months with a fault."""
    for rows in sizes.shifted_rows:
        drawn = [grounds.train.where(rng.choice(len(grounds.train), rows, False)) for _ in range(sizes.draws)]
        yield from _faulty(grounds, drawn, rows, rng)


def _power_in_a_week(grounds: Grounds, sizes: Sizes, rng: np.random.Generator) -> Iterator[Rate]:
    """Whole weeks of the training months with a fault: harder, since a week strays from the half-year by itself."""
    starts = list(_starts(grounds.train, WEEK, 26))[:: max(26 // sizes.draws, 1)]
    weeks = [grounds.train.between(start, start + WEEK) for start in starts]
    yield from _faulty(grounds, weeks, int(np.median([len(week) for week in weeks])), rng)


def _faulty(grounds: Grounds, windows: list[Past], rows: int, rng: np.random.Generator) -> Iterator[Rate]:
    for shift in (each for each in SHIFTS if each.field in grounds.predictor.problem.field_names):
        altered = [shift.apply(window, grounds.predictor, rng) for window in windows]
        yield grounds.rate(shift.name, rows, [grounds.judge(window) for window in altered])
    old = stale(grounds.predictor, grounds.train)
    results = [grounds.judge(window.with_values(old)) for window in windows]
    yield grounds.rate(STALE, rows, results)


def _story(grounds: Grounds) -> Iterator[Chapter]:
    """Each month and each week after training."""
    later = grounds.later
    for month in np.unique(later.event.astype("datetime64[s]").astype("datetime64[M]")).astype(str).tolist():
        start, end = map(_midnight, month_range(month, month))
        result = grounds.judge(later.between(start, end), estimated=True)
        yield Chapter(month, "month", result, start < grounds.learnt_until)
    for start in _starts(later, WEEK, 60):
        result = grounds.judge(later.between(start, start + WEEK), estimated=True)
        yield Chapter(f"{start:%Y-%m-%d}", "week", result, start < grounds.learnt_until)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def _starts(past: Past, step: timedelta, most: int) -> Iterator[datetime]:
    """The beginnings of whole windows from the first day on, at most so many; the last may lack days."""
    first = datetime.fromtimestamp(int(past.event.min()), UTC).replace(hour=0, minute=0, second=0, tzinfo=None)
    last = datetime.fromtimestamp(int(past.event.max()), UTC).replace(tzinfo=None)
    for index in range(most):
        if first + index * step < last - step * 0.7:
            yield first + index * step
