"""Comparisons of classifications by log loss and Brier score, on rows, on Parquet and on a shadow's log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from tabular_bento.cli.compare import table
from tabular_bento.errors import CompareError
from tabular_bento.monitoring.comparison.decision import agreement
from tabular_bento.monitoring.comparison.job import run
from tabular_bento.monitoring.comparison.models import PackageModel
from tabular_bento.monitoring.comparison.predictions import Distance, Worst, gather
from tabular_bento.monitoring.comparison.result import CompareResult
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.traffic.log import ShadowLog
from tests import monitored_classes as classes
from tests.unit import models

NO_LATENCY = CompareSettings(max_latency_ratio=None)


@pytest.fixture
def tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tags of a small model and of a worse one, by the problem's name."""
    home = tmp_path / "store"
    monkeypatch.setenv("BENTOML_HOME", str(home))

    def made(name: str) -> tuple[str, str]:
        first = classes.store_of(home, name)
        models.add_worse(home, classes.PROBLEMS[name], first, f"{name}:two", 0.4)
        return first, f"{name}:two"

    return made


def compared(tags: tuple[str, str], name: str, out: Path, mode: Any = "not_worse", **given: Any) -> CompareResult:
    on, settings = given.pop("on", "test"), given.pop("settings", NO_LATENCY)
    rows = given.pop("rows", None)
    result = run(*tags, on, mode, out, settings, problem=classes.PROBLEMS[name], dataset=rows)
    text = (out / "compare.json").read_text()
    assert CompareResult.model_validate_json(text) == result
    json.loads(text, parse_constant=lambda token: pytest.fail(f"{token} is no JSON"))
    return result


def test_a_worse_binary_is_refused_by_its_log_loss_and_brier_score(tags: Any, tmp_path: Path) -> None:
    pair, rows = tags("returns"), classes.rows_of("returns", 12_000, seed=4)
    result = compared(pair, "returns", tmp_path, rows=rows)
    assert (result.verdict, result.metric, result.target) == ("refused", "log_loss", "returns")
    assert [metric.name for metric in result.metrics] == ["log_loss", "brier"]
    assert result.reasons[0].startswith("Log loss is 0.")
    assert "minutes" not in result.reasons[0]
    assert "it is worse" in result.reasons[0]
    found = result.agreement
    assert found is not None
    assert 0 < found.classes_differing == found.moved < found.rows_differing
    assert 0 < found.largest <= 1
    assert found.worst[0].output == "probability.yes"
    assert {segment.field for segment in result.segments} == {"ward"}
    assert result.segments[0].metric("log_loss").baseline > 0
    assert result.segments[0].rmse is None
    assert result.days[0].values("log_loss")[0] > 0
    page = (tmp_path / "compare.html").read_text()
    assert "RMSE" not in page
    assert "to another class" in page
    printed = table(result).splitlines()
    assert [line[:13] for line in printed[5:7]] == ["log loss     ", "Brier score  "]
    assert printed[4].endswith(f"{found.moved_share:.1%} to another class")


def test_metrics_are_those_of_scikit_learn(tags: Any, tmp_path: Path) -> None:
    pair, rows = tags("returns"), classes.rows_of("returns", 2_000, seed=5)
    pq.write_table(
        pa.table({**rows.columns, "visit": rows.columns["visit"].astype("datetime64[D]"), "label": rows.target}),
        tmp_path / "rows.parquet",
    )
    result = compared(pair, "returns", tmp_path, on=str(tmp_path / "rows.parquet"))
    assert (result.rows.compared, result.rows.labels) == (2_000, 2_000)
    codes = classes.RETURNS.task.encode(rows.target, None)
    for whose, tag in (("baseline", pair[0]), ("candidate", pair[1])):
        outputs = PackageModel.load(tag, classes.RETURNS).predict(rows.columns)
        positive = outputs["probability"][:, 1]
        assert getattr(result.metrics[0], whose) == pytest.approx(log_loss(codes, positive))
        assert getattr(result.metrics[1], whose) == pytest.approx(brier_score_loss(codes, positive))


def test_the_same_model_is_equivalent_and_not_worse(tags: Any, tmp_path: Path) -> None:
    first, _ = tags("grades")
    rows = classes.rows_of("grades", 8_000, seed=6)
    same = compared((first, first), "grades", tmp_path, "equivalent", rows=rows)
    assert (same.verdict, same.agreement and same.agreement.classes_differing) == ("accepted", 0)
    accepted = compared((first, first), "grades", tmp_path, rows=rows)
    assert accepted.verdict == "accepted"
    assert accepted.reasons == ["Log loss is the same.", "Brier score is the same."]


def test_many_classes_are_compared_by_all_their_probabilities(tags: Any, tmp_path: Path) -> None:
    pair, rows = tags("grades"), classes.rows_of("grades", 3_000, seed=7)
    result = compared(pair, "grades", tmp_path, "equivalent", rows=rows)
    assert result.verdict == "refused"
    assert "of a probability" in result.reasons[0]
    assert "in the predicted class" in result.reasons[0]
    assert result.agreement is not None
    assert {row.output for row in result.agreement.worst} <= {"probability.1", "probability.2", "probability.3"}


def test_a_metric_that_is_named_decides_alone(tags: Any, tmp_path: Path) -> None:
    first, _ = tags("returns")
    rows = classes.rows_of("returns", 12_000, seed=4)
    settings = CompareSettings(max_latency_ratio=None, metric="brier")
    result = compared((first, first), "returns", tmp_path, rows=rows, settings=settings)
    assert [metric.decides for metric in result.metrics] == [False, True]
    assert [reason.split()[0] for reason in result.reasons] == ["Brier"]
    wrong = CompareSettings(max_latency_ratio=None, metric="rmse")
    with pytest.raises(CompareError, match="'rmse' is not compared for this task; name 'log_loss' or 'brier'"):
        compared((first, first), "returns", tmp_path, rows=rows, settings=wrong)


def test_a_shadow_of_classes_is_compared_by_what_was_logged(tags: Any, tmp_path: Path) -> None:
    pair, rows = tags("returns"), classes.rows_of("returns", 3_000, seed=8)
    traffic = tmp_path / "traffic"
    ids = classes.write_log(traffic, "returns", rows, pair[0])
    candidate = PackageModel.load(pair[1], classes.RETURNS).predict(rows.columns)
    shadow = ShadowLog(traffic, classes.RETURNS.declaration, 1 << 30, 3600.0)
    time = "2026-01-01T00:00:00.000000Z"
    shadow.record([{"prediction_id": one, "time": time} for one in ids], pair[1], candidate)
    shadow.close()
    settings = CompareSettings(traffic_dir=traffic, max_latency_ratio=None)
    logged = compared(pair, "returns", tmp_path / "one", on="shadow", settings=settings)
    assert (logged.rows.compared, logged.rows.labels) == (3_000, 3_000)
    computed = compared(pair, "returns", tmp_path / "two", on="traffic", settings=settings)
    assert [metric.delta for metric in logged.metrics] == pytest.approx([metric.delta for metric in computed.metrics])
    assert logged.agreement is not None
    assert computed.agreement is not None
    assert logged.agreement.classes_differing == computed.agreement.classes_differing


def test_the_distance_of_two_predictions_is_that_of_the_probability_that_moved_most() -> None:
    declaration = classes.GRADES.declaration
    before = {"grade": np.array([3, 1]), "probability": np.array([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])}
    after = {"grade": np.array([3, 2]), "probability": np.array([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]])}
    found = Distance.of(declaration, before, after)
    assert found.delta == pytest.approx([0, -0.5]) or found.delta == pytest.approx([0, 0.5])
    assert found.classes is not None
    assert found.classes.tolist() == [False, True]
    assert found.columns == ("probability.3", "probability.1", "probability.2")


def test_no_rows_have_no_agreement() -> None:
    declaration = classes.GRADES.declaration
    paired = gather([], None, None, declaration, Worst(3, declaration))
    assert len(paired) == 0
    assert agreement(paired, NO_LATENCY, []) is None
