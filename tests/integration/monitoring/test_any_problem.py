"""Drift of problems that lack what others have: event time, offset, segments, identifier, features, and rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tabular_bento import Problem, Regression
from tabular_bento.cli import main
from tabular_bento.errors import WindowError
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.profile import profile, reference_rows
from tabular_bento.features import FeatureSet
from tabular_bento.features.columns import ColumnRows
from tabular_bento.monitoring.drift.job import REPORT_FILE, RESULT_FILE, run
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query
from tabular_bento.problem import Declaration
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import write_json
from tabular_bento.scoring.store import store_home
from tabular_bento.traffic.log import TrafficLog
from tests import monitored as small
from tests.integration.monitoring.logs import Tagged
from tests.unit import several

ROWS = 1_500


@pytest.fixture(scope="module")
def references() -> dict[str, Reference]:
    """A reference of each problem, by its name."""
    problems = (small.PATIENTS, small.UNDATED_INPUTS, small.DATED)
    return {problem.name: small.reference_of(problem) for problem in problems}


def logged(directory: Path, problem: Problem, count: int = ROWS, shift: float = 0.0) -> Path:
    """A log of rows like those of training, or shifted, with their labels."""
    columns, labels = small.patients(count, 5, shift)
    small.write_log(directory, problem, columns, labels)
    return directory


def kinds(result: DriftResult) -> set[str]:
    return {finding.kind for finding in result.findings}


def test_without_an_event_time_rows_are_resampled(tmp_path: Path, references: dict[str, Reference]) -> None:
    result = small.judged(logged(tmp_path, small.PATIENTS), references["patients"])
    assert (result.verdict, result.decision.days, result.labels.blocks) == ("no_drift", None, "row")
    (reported,) = (finding.text for finding in result.findings if finding.kind == "no_event_time")
    assert "the limits allow for chance alone, not for how days differ" in reported
    assert result.labels.model is not None
    assert result.labels.model.rmse_interval is not None
    assert result.labels.historical_baseline is None


def test_without_an_offset_the_naive_baseline_is_the_mean(tmp_path: Path, references: dict[str, Reference]) -> None:
    result = small.judged(logged(tmp_path, small.PATIENTS), references["patients"])
    trained, labels = small.patients(2_000, 1)[1], small.patients(ROWS, 5)[1]
    assert references["patients"].naive_baseline == pytest.approx(trained.mean())
    assert result.labels.naive_baseline is not None
    assert result.labels.naive_baseline.rmse == pytest.approx(np.sqrt(((trained.mean() - labels) ** 2).mean()))
    assert result.labels.ratio_to_naive_baseline == pytest.approx(0.19, abs=0.02)


def test_a_baseline_without_an_offset_is_the_feature_itself(tmp_path: Path, references: dict[str, Reference]) -> None:
    result = small.judged(logged(tmp_path, small.DATED), references["visits"])
    columns, labels = small.patients(ROWS, 5)
    mean = small.patients(2_000, 1)[1].mean()
    predicted = np.where(np.isnan(columns["bmi"]), mean, columns["bmi"].astype(np.float32))
    assert result.labels.historical_baseline is not None
    assert result.labels.historical_baseline.rmse == pytest.approx(np.sqrt(((predicted - labels) ** 2).mean()))
    assert result.labels.blocks == "day"


@pytest.mark.parametrize("problem", [small.PATIENTS, small.UNDATED_INPUTS, small.DATED], ids=lambda one: one.name)
def test_a_shift_is_found(tmp_path: Path, references: dict[str, Reference], problem: Problem) -> None:
    result = small.judged(logged(tmp_path, problem, shift=6.0), references[problem.name])
    assert result.verdict == "drift"
    assert {"prediction_drift", "strong_drift", "share_of_features"} <= set(result.decision.reasons)


def test_without_features_the_inputs_are_monitored(tmp_path: Path, references: dict[str, Reference]) -> None:
    result = small.judged(logged(tmp_path, small.UNDATED_INPUTS), references["inputs"])
    roles = {column.name: column.role for column in result.columns}
    assert {name for name, role in roles.items() if role == "input"} == set(small.UNDATED_INPUTS.field_names)
    assert (result.decision.features_scored, result.verdict) == (7, "no_drift")
    columns, _ = small.patients(ROWS, 5)
    columns["born"] = np.minimum(columns["born"] + 5_000, 8_900)
    columns["treated"] = np.ones(ROWS, dtype=np.int64)
    small.write_log(tmp_path / "other", small.UNDATED_INPUTS, columns)
    result = small.judged(tmp_path / "other", references["inputs"])
    drifted = {column.name: column.reason for column in result.columns if column.drifted}
    assert set(drifted) == {"born", "treated"}
    assert "-" in drifted["born"], "bins of dates are named by dates"
    assert "2 of 7 inputs drifted" in " ".join(finding.text for finding in result.findings)
    assert "column_constant" in kinds(result)


def test_an_offset_that_no_feature_carries_is_monitored(tmp_path: Path) -> None:
    problem = Problem(
        name="aging",
        fields=small.FIELDS,
        task=Regression(small.TARGET, offset="age"),
        features=FeatureSet((small.body_mass, small.treated)),
    )
    reference = small.reference_of(problem)
    assert {column.name: column.role for column in reference.columns}["age"] == "input"
    result = small.judged(logged(tmp_path / "log", problem), reference)
    assert (result.verdict, result.decision.features_scored) == ("no_drift", 3)
    columns, _ = small.patients(ROWS, 5)
    columns["age"] = columns["age"] * 3 // 2
    small.write_log(tmp_path / "other", problem, columns)
    result = small.judged(tmp_path / "other", reference)
    assert result.verdict == "drift"
    assert {"strong_drift", "offset_drift"} <= kinds(result)


def test_too_few_rows_are_reported(tmp_path: Path, references: dict[str, Reference], monkeypatch: Any) -> None:
    """As of a table of some hundred rows, whose test part is what is replayed."""
    monkeypatch.setattr(Reference, "load", lambda _: references["patients"])
    log = logged(tmp_path / "log", small.PATIENTS, 90)
    query = Query(log, *small.ALL_TIME)
    done = run(query, tmp_path / "out", None, DriftSettings(maturity_hours=0))
    assert (done.result.verdict, done.exit_code, done.complaints) == ("not_enough_data", 2, [])
    assert done.result.findings[0].text == "the window has 90 rows; 500 are needed to tell drift from chance"
    assert "200 due labels are needed to judge it" in " ".join(one.text for one in done.result.findings)
    page = (tmp_path / "out" / REPORT_FILE).read_text()
    assert "the window has 90 rows; 500 are needed" in page


@pytest.mark.parametrize(("by", "value"), [("ward", "A"), ("treated", "true"), ("age", "45")])
def test_windows_are_broken_down_by_text_integer_and_boolean(
    tmp_path: Path, references: dict[str, Reference], by: str, value: str
) -> None:
    result = small.judged(logged(tmp_path, small.DATED), references["visits"], by=by)
    assert sum(segment.rows for segment in result.segments) == ROWS
    columns, _ = small.patients(ROWS, 5)
    expected = {"A": columns["ward"] == "A", "true": columns["treated"] == 1, "45": columns["age"] == 45}[value]
    found = {segment.value: segment.rows for segment in result.segments}
    assert found.get(value, expected.sum()) == expected.sum()


def test_a_problem_without_segments_cannot_be_broken_down(tmp_path: Path, references: dict[str, Reference]) -> None:
    log = logged(tmp_path, small.PATIENTS, 10)
    with pytest.raises(WindowError, match="it declares no segments"):
        small.judged(log, references["patients"], by="ward")


def test_windows_may_be_of_days(tmp_path: Path, references: dict[str, Reference]) -> None:
    result = small.judged(logged(tmp_path, small.DATED), references["visits"], on="visit")
    assert (result.rows.scored, result.verdict) == (ROWS, "no_drift")
    assert result.decision.days == pytest.approx(120, rel=0.02)


def test_a_column_that_was_empty_in_training_does_not_alarm(tmp_path: Path, references: dict[str, Reference]) -> None:
    """94 % of the notes are empty, here as in training; wards are empty in a quarter of the rows."""
    reference = references["inputs"]
    assert reference.vocabularies["note"].empty == pytest.approx(0.94, abs=0.02)
    assert "column_empty" not in kinds(small.judged(logged(tmp_path / "like", small.UNDATED_INPUTS), reference))
    columns, _ = small.patients(ROWS, 5)
    columns["ward"] = np.where(np.arange(ROWS) % 2 == 0, None, columns["ward"])
    small.write_log(tmp_path / "more", small.UNDATED_INPUTS, columns)
    result = small.judged(tmp_path / "more", reference)
    (reported,) = (finding for finding in result.findings if finding.kind == "column_empty")
    assert (reported.severity, reported.column) == ("alarm", "ward")
    assert "of the reference, 2" in reported.text


def test_every_output_is_monitored(tmp_path: Path) -> None:
    count = 1_000
    random = np.random.default_rng(0)
    columns = {
        item.name: np.array(["Ulm"] * count, dtype=object)
        if item.kind.value == "text"
        else random.integers(0, 9, count).astype(item.dtype)
        for item in several.FIELDS
    }
    columns["built"] = random.integers(10_000, 10_100, count)
    outputs, later = several.outputs(count), several.outputs(count, 1)
    features = np.column_stack([columns["area"], columns["floor"]]).astype(np.float32)
    declaration = several.RENTS.declaration
    given = (declaration, columns, features, outputs, outputs["rent"])
    reference = Reference.of("rents:1", declaration, profile(*given, {}, 0), reference_rows(*given))
    log = TrafficLog(tmp_path, declaration, 1 << 30, 3_600.0)
    rows = ColumnRows(columns, several.RENTS.field_names)
    batch = log.record(rows, Tagged("rents:1"), features, later)
    log.record_labels([(one["prediction_id"], float(label)) for one, label in zip(batch, later["rent"], strict=True)])
    log.close()
    result = small.judged(tmp_path, reference)
    predictions = {column.name for column in result.columns if column.role == "prediction"}
    assert predictions == {
        "rent",
        "rent_upper",
        "probability.no",
        "probability.yes, at once",
        "rooms",
        "let",
        "city_name",
        "until",
    }
    assert result.verdict == "no_drift"
    assert not [column.name for column in result.columns if column.drifted]
    assert result.labels.model is not None
    shifted = several.outputs(count, 1)
    shifted["probability"] = np.column_stack([shifted["probability"][:, 0] ** 4, 1 - shifted["probability"][:, 0] ** 4])
    log = TrafficLog(tmp_path / "shifted", declaration, 1 << 30, 3_600.0)
    log.record(rows, Tagged("rents:1"), features, shifted)
    log.close()
    result = small.judged(tmp_path / "shifted", reference)
    assert result.decision.prediction_drifted
    assert {column.name for column in result.columns if column.drifted} == {
        "probability.no",
        "probability.yes, at once",
    }


def stored(declaration: Declaration, version: str) -> str:
    """A package of the store, as far as monitoring needs it; gives its tag."""
    folder = store_home() / "models" / declaration.name / version
    folder.mkdir(parents=True, exist_ok=True)
    columns, labels = small.patients(2_000, 1)
    problem = small.PATIENTS
    features, outputs = small.features_of(problem, columns), {small.TARGET.name: small.predicted(columns)}
    given = (declaration, small.of(problem, columns), features, outputs, labels)
    write_json(folder / "package.json", {"format": 2, "declaration": declaration.to_dict()})
    write_json(folder / "profile.json", profile(*given, {}, 0))
    pq.write_table(reference_rows(*given), folder / "reference.parquet")
    write_manifest(folder)
    return f"{declaration.name}:{version}"


def test_the_command_needs_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()  # references come from the store
    tag = stored(small.PATIENTS.declaration, "outside")
    columns, labels = small.patients(ROWS, 5)
    small.write_log(tmp_path / "log", small.PATIENTS, columns, labels, tag)
    monkeypatch.chdir(tmp_path)
    window = ["drift", "--from", "2000-01-01", "--to", "2100-01-01", "--out", "out"]
    assert main([*window, "--traffic-dir", "log", "--model", tag, "--maturity-hours", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["model"] == tag
    assert main([*window, "--traffic-dir", "log"]) == 0, "the log names the model"
    assert main(window) == 2
    assert "There is no project in" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / RESULT_FILE).read_text())["verdict"] == "no_drift"


def test_a_project_has_thresholds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    tag = stored(small.PATIENTS.declaration, "thresholds")
    columns, _ = small.patients(ROWS, 5)
    small.write_log(tmp_path / "log", small.PATIENTS, columns, tag=tag)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.tabular-bento]\nproblem = "none:P"\nmonitoring = "config.toml"\n')
    window = ["drift", "--from", "2000-01-01", "--to", "2100-01-01", "--out", "out", "--traffic-dir", "log"]
    (tmp_path / "config.toml").write_text("[drift]\nmin_rows = 5000\n")
    assert main(window) == 2
    assert "5,000 are needed to tell drift from chance" in capsys.readouterr().out
    assert main([*window, "--min-rows", "100"]) == 0
    (tmp_path / "config.toml").write_text("[drift]\nleast_rows = 5000\n")
    assert main(window) == 2
    assert "there is no setting 'least_rows'" in capsys.readouterr().err
