"""The verdict, over real logs of real flights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from data.flights import Flights
from data.schema import Field, Kind
from monitoring import report
from monitoring.__main__ import main
from monitoring.job import judge, run
from monitoring.reference import Reference
from monitoring.result import Column, DriftResult
from monitoring.settings import DriftSettings
from scoring.package import ModelPackage
from scoring.traffic import PREDICTION_SCHEMA
from tests.monitoring.logs import (
    AUGUST,
    JANUARY,
    JULY,
    append,
    drawn,
    outcomes_of,
    post,
    record,
    rewrite,
    year,
)

ROWS = 3_000
SETTINGS = DriftSettings()


@pytest.fixture(autouse=True)
def _reference(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model tags other than the session's have its package too."""
    monkeypatch.setattr(Reference, "load", lambda tag: Reference.read(package.directory, tag))


def verdict(directory: Path, model: str | None = None) -> DriftResult:
    result = judge(year(directory), model, SETTINGS).result
    strict(result.to_json())
    return result


def strict(text: str) -> Any:
    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


def kinds(result: DriftResult, column: str | None = None) -> set[str]:
    return {finding.kind for finding in result.findings if finding.column == column}


def column(result: DriftResult, name: str) -> Column:
    return next(one for one in result.columns if one.name == name)


def test_no_log(tmp_path: Path) -> None:
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code, result.model) == ("not_enough_data", 2, None)
    assert str(tmp_path) in result.findings[0].text


@pytest.mark.parametrize("count", [1, 30])
def test_few_rows_are_never_drift(tmp_path: Path, package: ModelPackage, flights: Flights, count: int) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, count))
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code, result.rows.scored) == ("not_enough_data", 2, count)
    assert result.findings[0].kind == "few_rows"


def test_months_of_training_do_not_drift(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    post(tmp_path, package, outcomes_of(table, record(tmp_path, package, table)))
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code) == ("no_drift", 0)
    assert result.decision.features_drifted == 0
    assert result.decision.features_scored == 24


def test_july_drifts(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JULY, AUGUST, ROWS)
    post(tmp_path, package, outcomes_of(table, record(tmp_path, package, table)))
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code, result.model) == ("drift", 1, package.tag)
    assert {"temp", "wind_speed", "pad"} <= {one.name for one in result.columns if one.drifted}
    assert not column(result, "pressure").drifted, "a month of training strayed as far"
    assert result.decision.reasons == ["share_of_features"]
    assert result.decision.days == pytest.approx(31, abs=0.5)
    assert "median 80.06 to 93.92 degrees F, was 48.92" in column(result, "temp").reason
    outcomes = result.outcomes
    assert outcomes.matched == ROWS - table["arrival_delay"].null_count
    assert outcomes.model is not None
    assert outcomes.zero_gain is not None
    assert outcomes.model.rmse_interval is not None
    assert outcomes.model.rmse_interval[0] < outcomes.model.rmse < outcomes.model.rmse_interval[1]
    assert outcomes.model.rmse < outcomes.zero_gain.rmse
    assert outcomes.blocks == "day"
    assert column(result, "outcome").n == outcomes.matched
    assert outcomes.unknown == outcomes.elsewhere == outcomes.contradictory == 0


def test_windows_are_cut_by_the_chosen_time(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 600))
    query = year(tmp_path)
    assert judge(type(query)(tmp_path, query.start, query.end), None, SETTINGS).result.rows.scored == 0
    assert judge(query, None, SETTINGS).result.rows.scored == 600


def test_all_missing(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS), temp=np.full(ROWS, np.nan))
    result = verdict(tmp_path)
    assert result.verdict == "drift"
    assert kinds(result, "temp") == {"column_all_missing"}
    assert not column(result, "temp").healthy
    assert result.findings[0].column == "temp"


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


def test_stuck_sensor(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS), pressure=np.full(ROWS, 1012.0))
    result = verdict(tmp_path)
    assert {"column_constant", "feature_drift"} <= kinds(result, "pressure")
    assert not column(result, "pressure").healthy


def test_missing_column(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    schema = [field for field in PREDICTION_SCHEMA if field.name != "feature_temp"]
    rewrite(tmp_path, lambda line: line, schema)
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code) == ("invalid_data", 2)
    assert kinds(result, "temp") == {"column_unreadable"}
    assert column(result, "temp").score is None


def test_column_of_another_kind(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    schema = [Field("feature_temp", Kind.TEXT, "") if f.name == "feature_temp" else f for f in PREDICTION_SCHEMA]
    rewrite(tmp_path, lambda line: {**line, "feature_temp": str(line["feature_temp"])}, schema)
    result = verdict(tmp_path)
    assert result.verdict == "invalid_data"
    assert kinds(result, "temp") == {"column_unreadable"}


def test_strings_for_numbers(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    rewrite(tmp_path, lambda line: {**line, "feature_temp": "warm"} if line["carrier"] == "UA" else line)
    result = verdict(tmp_path)
    assert (result.verdict, result.findings[0].kind) == ("invalid_data", "bad_lines")
    assert "feature_temp" in result.findings[0].text
    assert result.rows.bad > 0.1 * ROWS


def test_torn_and_broken_lines(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    append(tmp_path, b'{"temp": NaN}\n{"time": "2013-')
    result = verdict(tmp_path)
    assert (result.verdict, result.rows.scored, result.rows.torn, result.rows.bad) == ("no_drift", ROWS, 1, 1)
    assert {"torn_lines", "some_bad_lines"} <= kinds(result)


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


def test_no_outcomes(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    result = verdict(tmp_path)
    assert result.outcomes.matched == 0
    assert result.outcomes.coverage == 0
    assert result.outcomes.model is None
    assert "no_outcomes" in kinds(result)


def test_realised_error_alarms(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    """Flights that all arrive as late as they left: zero gain is exact, and the model is not."""
    table = drawn(flights, JANUARY, JULY, ROWS)
    answers = record(tmp_path, package, table)
    noisy = pc.add(table["dep_delay"], np.random.default_rng(0).normal(0, 5, ROWS)).to_pylist()
    post(tmp_path, package, [(answer["prediction_id"], value) for answer, value in zip(answers, noisy, strict=True)])
    result = verdict(tmp_path)
    assert (result.verdict, result.decision.reasons) == ("drift", ["realised_error"])


def test_outcomes_late_repeated_contradictory_and_unknown(
    tmp_path: Path, package: ModelPackage, flights: Flights
) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    answers = record(tmp_path, package, table)
    elsewhere = record(tmp_path, package, drawn(flights, JULY, AUGUST, 50), tag="flights:other")
    ids = [answer["prediction_id"] for answer in answers]
    post(tmp_path, package, [(ids[0], 1.0), (ids[1], 2.0), (ids[2], 3.0)])
    post(tmp_path, package, [(ids[1], 2.0), (ids[2], 4.0), ("nobody", 1.0), (elsewhere[0]["prediction_id"], 1.0)])
    judgement = judge(year(tmp_path), package.tag, SETTINGS)
    outcomes = judgement.result.outcomes
    assert (outcomes.matched, outcomes.repeated, outcomes.contradictory) == (3, 1, 1)
    assert (outcomes.unknown, outcomes.elsewhere) == (1, 1)
    assert sorted(judgement.data.sample["outcome"].drop_null().to_pylist()) == [1.0, 2.0, 4.0]
    assert {"contradictory_outcomes", "unknown_outcomes", "few_outcomes"} <= kinds(judgement.result)


def test_page_opens_with_the_verdict(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JULY, AUGUST, ROWS)
    answers = record(tmp_path, package, table, wind_dir=np.full(ROWS, np.nan))
    post(tmp_path, package, outcomes_of(table, answers))
    result = run(year(tmp_path), tmp_path / "out")
    assert "page_failed" not in kinds(result)
    assert strict((tmp_path / "out" / "result.json").read_text())["verdict"] == "drift"
    page = (tmp_path / "out" / "report.html").read_text()
    assert len(page) < 8_000_000
    body = page.index("<body>")
    opening = [page.index(text, body) for text in ("<h1", "Drift", "Findings", "wind_dir: all of its", "temp: median")]
    assert opening == sorted(opening)
    first = [one for one in result.columns if one.healthy and (one.drifted or one.role != "feature")]
    names = ["prediction" if one.role == "prediction" else one.name for one in first]
    assert {"wind_speed", "temp", "prediction"} <= set(names)
    plots = [page.index(f"Drift in column '{name}'") for name in names]
    assert plots == sorted(plots)
    assert plots[-1] < page.index("Regression Model Performance") < page.index("Drift in column 'congestion'")
    assert "Drift in column 'wind_dir'" not in page


def test_a_failing_page_keeps_the_verdict(
    tmp_path: Path, package: ModelPackage, flights: Flights, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("no plots\ntoday")

    monkeypatch.setattr(report, "plot", fail)
    record(tmp_path, package, drawn(flights, JULY, AUGUST, ROWS))
    result = run(year(tmp_path), tmp_path / "out")
    assert (result.verdict, result.exit_code) == ("drift", 1)
    document = strict((tmp_path / "out" / "result.json").read_text())
    assert document["findings"][-1]["kind"] == "page_failed"
    assert "RuntimeError: no plots" in (tmp_path / "out" / "report.html").read_text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "result.json"]


def test_command(tmp_path: Path, package: ModelPackage, flights: Flights, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 100))
    window = ["--from", "2013-07-01", "--to", "2013-08-01", "--on", "sched_dep", "--traffic-dir", str(tmp_path)]
    assert main(["drift", *window, "--out", str(tmp_path / "out"), "--json"]) == 2
    summary = strict(capsys.readouterr().out.splitlines()[-1])
    assert (summary["verdict"], summary["rows"]) == ("not_enough_data", 100)
    assert main(["drift", *window, "--out", str(tmp_path / "out"), "--sample", "1"]) == 2
    assert "--sample" in capsys.readouterr().err
    assert main(["drift", *window[:-1], str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2


def test_command_fails_in_one_sentence(
    tmp_path: Path, package: ModelPackage, flights: Flights, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 100))
    for path in (tmp_path / "predictions" / "schemas").iterdir():
        path.write_text("[]")
    window = ["--from", "2013-07-01", "--to", "2013-08-01", "--on", "sched_dep", "--traffic-dir", str(tmp_path)]
    assert main(["drift", *window, "--out", str(tmp_path / "out")]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("seed", range(10))
def test_same_distribution_never_alarms(tmp_path: Path, package: ModelPackage, flights: Flights, seed: int) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, 1_000, seed))
    assert verdict(tmp_path).decision.features_drifted == 0
