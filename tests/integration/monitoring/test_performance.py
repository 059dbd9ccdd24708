"""How late labels come, which predictions are mature, and what is wrong with labels."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from markupsafe import escape
from numpy.typing import NDArray

from features.problem import PROBLEM
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.monitoring.drift.job import REPORT_FILE, judge, run
from tabular_bento.monitoring.drift.performance import summarize
from tabular_bento.monitoring.drift.result import Labels
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import CELLS, GRID, NEARLY_ALL, Blocks, cells_of, usual_cell
from tabular_bento.monitoring.window.data import Joined, RowCounts, WindowData
from tabular_bento.monitoring.window.scan import limits
from tabular_bento.scoring.package import ModelPackage
from tests.integration.monitoring.logs import AUGUST, JANUARY, JULY, drawn, labels_of, post, record, rewrite, year
from tests.integration.monitoring.verdicts import SETTINGS, column, finding, kinds, verdict
from tests.unit.monitoring.window.values import values_of
from training.source import Flights

ROWS = 2_000
Array = NDArray[np.float64]
rng = np.random.default_rng(0)


def summary(age: Array, delay: Array, error: Array, gain: float = 0.0, **settings: float) -> Labels:
    """Of predictions so many hours old, whose labels come so many hours after them, if they have come yet.

    The model's error is as given; the naive baseline's is off by `gain` more, and the historical one's is as
    the model's.
    """
    chosen = DriftSettings(**settings)  # type: ignore[arg-type]
    error = np.where(delay <= age, error, np.nan)
    event = np.arange(len(age)) * 86_400 * 20 // len(age)
    labelled = ~np.isnan(error)
    came_true = error[labelled]
    values = values_of(came_true, came_true - gain, came_true, np.full(len(came_true), True))
    blocks = Blocks.of(event, cells_of(age, limits(chosen.maturity_hours)), labelled, values)
    came = np.bincount(cells_of(delay[delay <= age]), minlength=CELLS)
    now = datetime.now(UTC)
    data = WindowData(now, True, RowCounts(len(age)), {}, {}, blocks, Joined(came), None, pa.table({}))
    return summarize(data, evaluator_of(PROBLEM.task), chosen)


def usual_delay(came: Array, waiting: Array) -> float:
    counts = (np.bincount(cells_of(hours), minlength=CELLS) for hours in (came, waiting))
    return float(GRID[usual_cell(*counts) - 1])


def test_the_delay_is_that_of_nearly_all() -> None:
    delay = rng.exponential(5, 20_000)
    assert usual_delay(delay, np.empty(0)) == pytest.approx(np.quantile(delay, NEARLY_ALL), rel=0.06)


def test_labels_that_have_not_come_yet_do_not_shorten_the_delay() -> None:
    delay, age = rng.exponential(5, 20_000), rng.uniform(0, 40, 20_000)
    came = delay <= age
    naive = np.quantile(delay[came], NEARLY_ALL)
    found = usual_delay(delay[came], age[~came])
    assert found == pytest.approx(np.quantile(delay, NEARLY_ALL), rel=0.1)
    assert naive < 0.9 * found


def test_labels_that_never_come_do_not_lengthen_it() -> None:
    delay, never = rng.exponential(5, 20_000), np.full(2_000, 500.0)
    assert usual_delay(delay, never) == pytest.approx(np.quantile(delay, NEARLY_ALL), rel=0.06)


def test_errors_are_of_the_mature_alone() -> None:
    """Labels that come late are worse: those that came early of young predictions would flatter the model."""
    age, delay = rng.uniform(0, 40, 20_000), rng.uniform(0, 20, 20_000)
    error = rng.normal(0, 1 + delay)
    labels = summary(age, delay, error)
    assert labels.maturity is not None
    assert labels.model is not None
    assert labels.maturity.source == "observed"
    assert labels.maturity.hours == pytest.approx(19, rel=0.06)
    assert labels.maturity.coverage == pytest.approx(1, abs=0.01)
    assert labels.model.n == labels.maturity.matched < labels.matched
    assert labels.model.rmse == pytest.approx(np.sqrt((error**2).mean()), rel=0.03)
    assert np.sqrt((error[delay <= age] ** 2).mean()) < 0.97 * labels.model.rmse


def test_a_setting_takes_the_place_of_what_was_observed() -> None:
    age = np.linspace(0, 100, 10_000)
    labels = summary(age, np.full(10_000, 1.0), rng.normal(0, 1, 10_000), maturity_hours=50)
    assert labels.maturity is not None
    assert (labels.maturity.source, labels.maturity.hours, labels.maturity.predictions) == ("setting", 50, 5_000)


def test_few_that_came_are_not_judged() -> None:
    delay = np.where(np.arange(10_000) % 10 < 3, 1.0, 1e6)
    labels = summary(np.full(10_000, 100.0), delay, rng.normal(0, 1, 10_000), maturity_hours=24)
    assert labels.maturity is not None
    assert labels.maturity.coverage == pytest.approx(0.3)
    assert labels.maturity.matched > 200
    assert not labels.maturity.judged


def test_all_baselines_beside_the_model() -> None:
    labels = summary(np.full(5_000, 100.0), np.full(5_000, 1.0), rng.normal(0, 3, 5_000), gain=-8.0)
    assert labels.naive_baseline is not None
    assert labels.historical_baseline is not None
    assert labels.model is not None
    assert labels.historical_baseline.rmse == labels.model.rmse, "the model is the history here"
    assert labels.naive_baseline.bias == pytest.approx(8, abs=0.2)
    assert labels.ratio_to_historical_baseline == 1
    for errors in (labels.model, labels.naive_baseline):
        for value, interval in (
            (errors.rmse, errors.rmse_interval),
            (errors.mae, errors.mae_interval),
            (errors.bias, errors.bias_interval),
        ):
            assert interval is not None
            assert interval[0] < value < interval[1]


def test_no_labels(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    result = verdict(tmp_path)
    assert (result.verdict, result.labels.matched, result.labels.coverage) == ("no_drift", 0, 0)
    assert (result.labels.model, result.labels.maturity) == (None, None)
    assert "no_labels" in kinds(result)
    assert result.estimate is not None


def test_overdue_labels(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    result = verdict(tmp_path, settings=DriftSettings(maturity_hours=0))
    assert result.verdict == "no_drift"
    reported = finding(result, "low_coverage")
    assert "0 of 2,000 predictions older than 0.0 seconds have a label" in reported.text
    assert reported.look_at == "what posts labels: it lags, or has stopped"


def test_young_labels_are_not_measured(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    post(tmp_path, labels_of(table, record(tmp_path, package, table)))
    result = verdict(tmp_path, settings=DriftSettings(maturity_hours=24))
    assert result.labels.matched > 1_900
    assert result.labels.model is None
    assert "older than 24.0 hours" in finding(result, "no_mature_labels").text
    assert not [one for one in result.columns if one.role == "label"]


def test_labels_before_their_prediction(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    predictions = record(tmp_path, package, table)
    rewrite(tmp_path, lambda line: {**line, "time": "2030-01-01T00:00:00Z"} if line["input.carrier"] == "UA" else line)
    post(tmp_path, labels_of(table, predictions))
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code) == ("no_drift", 0)
    assert kinds(result, "time") == {"clock_ahead", "label_before_prediction"}
    assert 0 < result.labels.before_prediction <= result.rows.future


def test_late_repeated_contradictory_and_unknown(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    predictions = record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    elsewhere = record(tmp_path, package, drawn(flights, JULY, AUGUST, 50), tag="flights:other")
    ids = [prediction["prediction_id"] for prediction in predictions]
    post(tmp_path, [(ids[0], 1.0), (ids[1], 2.0), (ids[2], 3.0)])
    post(tmp_path, [(ids[1], 2.0), (ids[2], 4.0), ("nobody", 1.0), (elsewhere[0]["prediction_id"], 1.0)])
    judgement = judge(year(tmp_path), package.tag, SETTINGS)
    labels = judgement.result.labels
    assert (judgement.result.verdict, judgement.result.exit_code) == ("no_drift", 0)
    assert (labels.matched, labels.repeated, labels.contradictory) == (3, 1, 1)
    assert (labels.unknown, labels.elsewhere) == (1, 1)
    assert sorted(judgement.data.sample["label"].drop_null().to_pylist()) == [1.0, 2.0, 4.0]
    done = run(year(tmp_path), tmp_path / "out", package.tag)
    assert (done.exit_code, done.complaints) == (0, [])
    page = (tmp_path / "out" / REPORT_FILE).read_text()
    for kind in ("contradictory_labels", "unknown_labels"):
        reported = finding(done.result, kind)
        assert reported.severity == "notice"
        assert f"<b>notice</b><span>{escape(reported.text)}<em>Look first at {reported.look_at}" in page


def test_the_shift_of_labels_is_of_the_mature(july_log: Path) -> None:
    result = verdict(july_log)
    assert result.labels.maturity is not None
    assert column(result, "label").n == result.labels.maturity.matched
