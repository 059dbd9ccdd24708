"""The verdict, over real logs of real flights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from tabular_bento.monitoring.drift.job import REPORT_FILE, RESULT_FILE, judge, run
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.scoring.package import ModelPackage
from tests.integration.monitoring.logs import AUGUST, JANUARY, JULY, append, drawn, labels_of, post, record, year
from tests.integration.monitoring.verdicts import SETTINGS, column, embedded, finding, kinds, strict, verdict
from training.source import Flights

ROWS = 3_000


def test_no_log(tmp_path: Path) -> None:
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code, result.model) == ("not_enough_data", 2, None)
    assert str(tmp_path) in result.findings[0].text


@pytest.mark.parametrize("count", [1, 30])
def test_few_rows_are_never_drift(tmp_path: Path, package: ModelPackage, flights: Flights, count: int) -> None:
    """Whatever they hold: July, without wind directions, and of one temperature out of range."""
    altered = {"wind_dir": np.full(count, np.nan), "temp": np.full(count, 130.0)}
    record(tmp_path, package, drawn(flights, JULY, AUGUST, count), **altered)
    assert run(year(tmp_path), tmp_path / "out").complaints == []
    result = DriftResult.model_validate(strict((tmp_path / "out" / RESULT_FILE).read_text()))
    assert (result.verdict, result.exit_code, result.rows.scored) == ("not_enough_data", 2, count)
    assert [one.kind for one in result.findings if one.severity != "note"] == ["few_rows"]
    assert "column_all_missing" in kinds(result, "wind_dir")
    assert not [one.name for one in result.columns if one.drifted or one.threshold is not None]
    assert {one.reason for one in result.columns} == {"too few rows to judge"}
    assert (result.decision.features_scored, result.decision.drifted_share) == (0, None)
    page = (tmp_path / "out" / REPORT_FILE).read_text()
    assert page.count("too few rows to judge</td>") == len(result.columns)
    assert page.count('class="drifted"') == page.count('class="warning"') == 0
    plots = embedded(page)
    assert ("Data drift not detected" in plots, "Data drift detected" in plots) == (count > 1, False)


def test_a_part_of_a_day_is_never_drift(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = flights.between(JULY, AUGUST)
    hours = pc.and_(pc.equal(pc.day(table["sched_dep"]), 9), pc.less(pc.hour(table["sched_dep"]), 17))
    part = table.filter(hours)
    record(tmp_path, package, part, wind_dir=np.full(part.num_rows, np.nan))
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code) == ("not_enough_data", 2)
    assert result.rows.scored > 500
    assert [one.kind for one in result.findings if one.severity == "alarm"] == ["few_hours"]
    assert finding(result, "column_all_missing").severity == "notice"
    assert not [one.name for one in result.columns if one.drifted or one.threshold is not None]


def test_months_of_training_do_not_drift(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    post(tmp_path, labels_of(table, record(tmp_path, package, table)))
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code) == ("no_drift", 0)
    assert result.decision.features_drifted == 0
    assert result.decision.features_scored == 24


def test_july_drifts(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JULY, AUGUST, ROWS)
    post(tmp_path, labels_of(table, record(tmp_path, package, table)))
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code, result.model) == ("drift", 1, package.tag)
    assert {"temp", "wind_speed", "pad"} <= {one.name for one in result.columns if one.drifted}
    assert not column(result, "pressure").drifted, "a month of training strayed as far"
    assert result.decision.reasons == ["share_of_features"]
    assert result.decision.days == pytest.approx(31, abs=0.5)
    assert "median 80.06 to 93.92 degrees F, was 48.92" in column(result, "temp").reason
    labels = result.labels
    assert labels.matched == ROWS - table["arrival_delay"].null_count
    assert labels.model is not None
    assert labels.naive_baseline is not None
    assert labels.model.rmse_interval is not None
    assert labels.model.rmse_interval[0] < labels.model.rmse < labels.model.rmse_interval[1]
    assert labels.model.rmse < labels.naive_baseline.rmse
    assert labels.historical_baseline is not None
    assert labels.model.rmse < labels.historical_baseline.rmse < labels.naive_baseline.rmse
    assert labels.blocks == "day"
    assert labels.maturity is not None
    assert labels.maturity.judged
    assert column(result, "label").n == labels.maturity.matched == labels.model.n
    assert labels.unknown == labels.elsewhere == labels.contradictory == 0


def test_windows_are_cut_by_the_chosen_time(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 600))
    query = year(tmp_path)
    assert judge(type(query)(tmp_path, query.start, query.end), None, SETTINGS).result.rows.scored == 0
    assert judge(query, None, SETTINGS).result.rows.scored == 600


def test_mostly_missing(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    temp = np.where(np.random.default_rng(1).random(ROWS) < 0.9, np.nan, np.asarray(table["temp"].to_numpy()))
    record(tmp_path, package, table, temp=temp)
    result = verdict(tmp_path)
    assert result.verdict == "drift"
    assert "missing_rise" in kinds(result, "temp")
    assert column(result, "temp").missing == pytest.approx(0.9, abs=0.02)
    assert column(result, "temp").drifted


def test_an_outlier_hides_nothing(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JULY, AUGUST, ROWS)
    temp = np.array(table["temp"].to_numpy())
    temp[0] = 1e9
    record(tmp_path / "with", package, table, temp=temp)
    record(tmp_path / "without", package, table)
    scores = [column(verdict(tmp_path / name), "temp").score for name in ("with", "without")]
    assert scores[0] == pytest.approx(scores[1], rel=0.01)


def test_two_models(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 600), tag="flights:other")
    most, other = verdict(tmp_path), verdict(tmp_path, "flights:other")
    assert (most.model, most.rows.scored, most.rows.other_models) == (package.tag, ROWS, 600)
    assert (other.model, other.rows.scored, other.rows.other_models) == ("flights:other", 600, ROWS)
    assert (most.verdict, other.verdict) == ("no_drift", "drift")
    assert "other_models" in kinds(most)


def test_repeated_rows_count_once(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    segment = next((tmp_path / "predictions").glob("*.jsonl"))
    append(tmp_path, segment.read_bytes())
    result = verdict(tmp_path)
    assert (result.rows.scored, result.rows.duplicates) == (ROWS, ROWS)
    assert "duplicates" in kinds(result)


def test_observed_performance_alarms(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    """Flights that all arrive as late as they left: the naive baseline is exact, and the model is not."""
    table = drawn(flights, JANUARY, JULY, ROWS)
    predictions = record(tmp_path, package, table)
    noisy = pc.add(table["dep_delay"], np.random.default_rng(0).normal(0, 5, ROWS)).to_pylist()
    post(tmp_path, [(prediction["prediction_id"], value) for prediction, value in zip(predictions, noisy, strict=True)])
    result = verdict(tmp_path)
    assert (result.verdict, result.decision.reasons) == ("drift", ["observed_performance"])


@pytest.mark.parametrize("seed", range(10))
def test_same_distribution_never_alarms(tmp_path: Path, package: ModelPackage, flights: Flights, seed: int) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, 1_000, seed))
    assert verdict(tmp_path).decision.features_drifted == 0
