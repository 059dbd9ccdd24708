"""The drift job and the skew check on logs of classes, written by the library's own log."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from tabular_bento.cli.drift import table
from tabular_bento.evaluation.reference.estimate import Withheld
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring import skew
from tabular_bento.monitoring.drift.checks import withheld_finding
from tabular_bento.monitoring.drift.history import History
from tabular_bento.monitoring.drift.job import HISTORY_FILE, REPORT_FILE, RESULT_FILE, run
from tabular_bento.monitoring.drift.page import page
from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings
from tabular_bento.monitoring.window.data import Query
from tests import monitored_classes as classes

AT_ONCE = DriftSettings(maturity_hours=0.0)


@pytest.fixture(scope="module")
def returns(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The reference of the binary problem."""
    return classes.reference_of(tmp_path_factory.mktemp("packages"), "returns")


@pytest.fixture(scope="module")
def grades(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """That of the problem of three classes."""
    return classes.reference_of(tmp_path_factory.mktemp("packages"), "grades")


def kinds(result: Any) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in result.findings}


def test_the_observed_metrics_are_those_of_scikit_learn(returns: Reference, tmp_path: Path) -> None:
    rows = classes.rows_of("returns", 3_000, seed=9)
    classes.write_log(tmp_path, "returns", rows, "returns:one", known=0.8)
    result = classes.judged(tmp_path, returns, by="ward")
    assert (result.verdict, result.metric, result.format) == ("no_drift", "log_loss", 6)
    probability = classes.trained("returns").predictor.predict_columns(rows.columns).outputs["probability"][:, 1]
    codes = classes.RETURNS.task.encode(rows.target, None)
    known = np.random.default_rng(5).random(len(rows)) < 0.8
    model, labels = result.labels.model, result.labels
    assert model is not None
    assert model.metrics == ("log_loss", "brier")
    assert (model.n, model.rmse, model.rmse_interval) == (int(known.sum()), None, None)
    assert model.log_loss == pytest.approx(log_loss(codes[known], probability[known]))
    assert model.brier == pytest.approx(brier_score_loss(codes[known], probability[known]))
    assert model.bias == pytest.approx(probability[known].mean() - codes[known].mean())
    assert model.log_loss_interval is not None
    assert model.log_loss_interval[0] < model.log_loss < model.log_loss_interval[1]
    assert labels.naive_baseline is not None
    assert labels.ratio_to_naive_baseline == pytest.approx(model.log_loss / labels.naive_baseline.log_loss)
    assert labels.historical_baseline is not None
    assert model.log_loss < labels.historical_baseline.log_loss < labels.naive_baseline.log_loss
    assert {segment.value for segment in result.segments} == {"A", "B", "C", "(empty)"}
    total = sum(segment.labels * segment.log_loss for segment in result.segments)
    assert total / labels.matched == pytest.approx(model.log_loss)
    assert result.performance[0].log_loss is not None
    text = next(finding.text for finding in result.findings if finding.kind == "observed_performance_allowed")
    assert text.startswith("log loss 0.")


def test_the_class_its_probabilities_and_the_label_are_monitored(returns: Reference, tmp_path: Path) -> None:
    classes.write_log(tmp_path, "returns", classes.rows_of("returns", 3_000, seed=9), "returns:one")
    result = classes.judged(tmp_path, returns)
    columns = {column.log_name: column for column in returns.columns}
    assert columns["output.returns"].bins.labels() == ["'no'", "'yes'"]
    roles = {column.name: column.role for column in result.columns}
    assert {name for name, role in roles.items() if role == "prediction"} == {
        "probability.no",
        "probability.yes",
        "returns",
    }
    label = next(column for column in result.columns if column.role == "label")
    assert label.histogram is not None
    assert sum(label.histogram.window) == 3_000


def test_more_of_a_class_than_predicted_is_an_alarm(returns: Reference, tmp_path: Path) -> None:
    rows = classes.rows_of("returns", 3_000, seed=9)
    turned = np.random.default_rng(1).random(len(rows)) < 0.3
    labels = np.where(turned, "yes", rows.target)
    classes.write_log(tmp_path, "returns", rows, "returns:one", labels)
    result = classes.judged(tmp_path, returns)
    assert result.verdict == "drift"
    assert "bias" in result.decision.reasons
    text = next(finding.text for finding in result.findings if finding.kind == "bias")
    assert text.startswith("probabilities are 0.")
    assert "below shares of labels" in text


def test_labels_without_any_relation_to_the_predictions_are_an_alarm(returns: Reference, tmp_path: Path) -> None:
    rows = classes.rows_of("returns", 3_000, seed=9)
    classes.write_log(tmp_path, "returns", rows, "returns:one", np.random.default_rng(2).permutation(rows.target))
    result = classes.judged(tmp_path, returns)
    assert "observed_performance" in result.decision.reasons


@pytest.mark.parametrize("shift", ["a category gone", "a column constant", "gaps", "another unit"])
def test_shifted_requests_are_drift(returns: Reference, tmp_path: Path, shift: str) -> None:
    rows = classes.rows_of("returns", 2_000, seed=10)
    altered = dict(rows.columns)
    if shift == "a category gone":
        rows = rows.where(np.flatnonzero(rows.columns["ward"] != "A"))
        altered = dict(rows.columns)
    elif shift == "a column constant":
        altered["age"] = np.full(len(rows), 50)
    elif shift == "gaps":
        altered["dose"] = np.where(np.random.default_rng(3).random(len(rows)) < 0.2, np.nan, altered["dose"])
    else:
        altered["dose"] = altered["dose"] / 1_000
    classes.write_log(tmp_path, "returns", replace(rows, columns=altered), "returns:one")
    assert classes.judged(tmp_path, returns).verdict == "drift"


def test_an_estimate_that_is_withheld_is_noted_with_its_reason() -> None:
    (found,) = withheld_finding(Withheld("12 rows are too few"))
    assert (found.kind, found.severity) == ("not_estimated", "note")
    assert found.text == "without labels no metric is estimated: 12 rows are too few"
    assert list(withheld_finding(None)) == []


def test_too_few_rows_are_not_judged(returns: Reference, tmp_path: Path) -> None:
    classes.write_log(tmp_path, "returns", classes.rows_of("returns", 200, seed=11), "returns:one")
    result = classes.judged(tmp_path, returns)
    assert (result.verdict, result.exit_code) == ("not_enough_data", 2)
    assert "500 are needed" in result.findings[0].text
    (line,) = [line for line in table(result).splitlines() if "500 are needed" in line]
    assert line.startswith("too few  the window has 200 rows")
    assert '<li class="notice"><b>too few</b>' in page(result, None, [])


def test_classes_that_are_integers_without_days(grades: Reference, tmp_path: Path) -> None:
    rows = classes.rows_of("grades", 3_000, seed=9)
    classes.write_log(tmp_path, "grades", rows, "grades:one")
    result = classes.judged(tmp_path, grades)
    assert result.verdict == "no_drift"
    probability = classes.trained("grades").predictor.predict_columns(rows.columns).outputs["probability"]
    codes = classes.GRADES.task.encode(rows.target, None)
    assert result.labels.model is not None
    assert result.labels.model.log_loss == pytest.approx(log_loss(codes, probability, labels=[0, 1, 2]))
    history, naive = result.labels.historical_baseline, result.labels.naive_baseline
    assert history is not None
    assert naive is not None
    assert result.labels.model.log_loss < history.log_loss < naive.log_loss
    names = {column.name for column in result.columns}
    assert {"probability.1", "probability.2", "probability.3"} <= names
    assert result.performance == []


@pytest.mark.parametrize("name", ["returns", "grades"])
def test_the_whole_job(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Result, report with Evidently's classification plots, history, metrics; and the estimate without labels."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    tag = classes.store_of(tmp_path / "store", name)
    log, out = tmp_path / "traffic", tmp_path / "out"
    classes.write_log(log, name, classes.rows_of(name, 2_000, seed=12), tag, known=0.5)
    metrics = tmp_path / "drift.prom"
    done = run(Query(log, *classes.ALL_TIME), out, tag, AT_ONCE, OutputSettings(textfile=metrics))
    assert (done.result.verdict, done.complaints) == ("no_drift", [])
    estimate, model = done.result.estimate, done.result.labels.model
    assert estimate is not None
    assert model is not None
    assert estimate.log_loss == pytest.approx(model.log_loss, rel=0.15)
    measured, task = done.result.labels.classes, classes.PROBLEMS[name].task
    assert measured is not None
    assert measured.n == model.n == np.sum(measured.confusion_matrix)
    assert measured.classes == list(task.class_names)
    assert measured.accuracy == pytest.approx(np.trace(measured.confusion_matrix) / measured.n)
    assert len(measured.metrics) == (7 if len(task.classes) == 2 else 4)
    for metric in measured.metrics:
        low, high = measured.metric_interval(metric) or (np.nan, np.nan)
        assert low <= (measured.metric(metric) or 0) <= high, metric
    written = json.loads((out / RESULT_FILE).read_text())
    assert written["labels"]["model"]["rmse"] is None
    assert written["metric"] == "log_loss"
    page = (out / REPORT_FILE).read_text()
    assert "Confusion matrix" in page
    assert "average precision" in page
    assert not re.search(r"[ >\"]RMSE", page), "as a word: base64 holds any four letters"
    assert "log loss" in page
    (entry,) = History(out / HISTORY_FILE).entries()
    assert (entry.value, entry.estimated) == (model.log_loss, estimate.log_loss)
    assert f'tabular_bento_drift_log_loss{{model="{name}"' in metrics.read_text()
    assert "tabular_bento_drift_rmse" not in metrics.read_text()


@pytest.mark.parametrize("name", ["returns", "grades"])
def test_labels_and_probabilities_are_recomputed_to_the_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    tag = classes.store_of(tmp_path / "store", name)
    rows = classes.rows_of(name, 500, seed=13)
    classes.write_log(tmp_path / "traffic", name, rows, tag)
    query = Query(tmp_path / "traffic", *classes.ALL_TIME)
    result = skew.run(query, tmp_path / "out", classes.PROBLEMS[name], tag)
    assert (result.verdict, result.checked, result.differing) == ("no_skew", 500, 0)
    (file,) = (tmp_path / "traffic" / "predictions").glob("*.jsonl")
    lines = file.read_text().splitlines()
    changed = json.loads(lines[7])
    changed["outputs"][1] += 1e-9
    file.write_text("\n".join([*lines[:7], json.dumps(changed), *lines[8:]]) + "\n")
    result = skew.run(query, tmp_path / "out", classes.PROBLEMS[name], tag)
    assert (result.verdict, result.differing) == ("skew", 1)
    assert [column.name for column in result.columns] == [f"probability.{classes.PROBLEMS[name].task.class_names[0]}"]
