"""Comparisons on logged traffic, and on what a candidate predicted in the shadow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from features.problem import PROBLEM
from tabular_bento.data.columns import columns_of_table
from tabular_bento.errors import CompareError
from tabular_bento.monitoring.comparison.job import run
from tabular_bento.monitoring.comparison.models import PackageModel
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.schema import LABEL, LABELS, OUTPUTS, SHADOW, input_column, output_column, shadow_columns
from tabular_bento.traffic.writer import LogWriter
from tests.integration.monitoring.comparison.test_job import other_code
from tests.integration.monitoring.logs import AUGUST, JULY, append, drawn, labels_of, post, record, rewrite
from tests.integration.monitoring.variants import Variants
from training.source import Flights

COUNT = 3_000
TARGET = PROBLEM.target.name
OUTPUT = output_column(TARGET)


def settings(directory: Path, **changed: Any) -> CompareSettings:
    window = {"start": datetime(2013, 7, 1), "end": datetime(2013, 8, 1), "on": "sched_dep"}
    return CompareSettings(traffic_dir=directory, max_latency_ratio=None, **{**window, **changed})


@pytest.fixture
def predictions(package: ModelPackage, flights: Flights, tmp_path: Path) -> list[dict[str, Any]]:
    """A logged month with labels, one row of it logged twice."""
    table = drawn(flights, JULY, AUGUST, COUNT)
    predictions = record(tmp_path, package, table)
    post(tmp_path, labels_of(table, predictions))
    line = next((tmp_path / "predictions").glob("*.jsonl")).read_bytes().splitlines(True)[0]
    append(tmp_path, line)
    return predictions


def shadow(directory: Path, rows: Sequence[tuple[str, float]], model: str) -> None:
    with LogWriter(directory / SHADOW, shadow_columns(PROBLEM.declaration)) as writer:
        lines = [
            {
                "prediction_id": key,
                "time": "2026-01-01T00:00:00Z",
                "model": model,
                "declaration": PROBLEM.declaration.fingerprint,
                "trace": None,
                OUTPUTS: [value],
            }
            for key, value in rows
        ]
        writer.append(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))


def test_logged_requests_are_predicted_again_by_both(
    variants: Variants, flights: Flights, predictions: list[dict[str, Any]], tmp_path: Path
) -> None:
    result = run(
        variants.own, variants.near, "traffic", "not_worse", tmp_path / "out", settings(tmp_path), problem=PROBLEM
    )
    assert result.rows.compared == COUNT
    assert 0.95 * COUNT < result.rows.labels < COUNT, "some never arrived"
    assert result.rows.left_out == {"repeated": 1}
    assert result.source.first is not None
    assert result.source.first >= datetime(2013, 7, 1)
    labels = dict(labels_of(drawn(flights, JULY, AUGUST, COUNT), predictions))
    errors = [one[TARGET] - labels[key] for one in predictions if (key := one["prediction_id"]) in labels]
    assert result.metrics[0].baseline == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert result.metrics[0].interval is not None
    assert (result.verdict, len(result.reasons)) == ("cannot_tell", 1)
    assert "labels over 31 days; at this spread about " in result.reasons[0]
    again = run(
        variants.own, variants.again, "traffic", "equivalent", tmp_path / "out", settings(tmp_path), problem=PROBLEM
    )
    assert again.verdict == "accepted"


@pytest.mark.usefixtures("predictions")
def test_a_window_is_what_it_says(variants: Variants, tmp_path: Path) -> None:
    part = settings(tmp_path, end=datetime(2013, 7, 11))
    result = run(variants.own, variants.near, "traffic", "not_worse", tmp_path / "out", part, problem=PROBLEM)
    assert 0.2 * COUNT < result.rows.compared < 0.5 * COUNT
    assert result.verdict == "cannot_tell"
    assert "10 days" in " ".join(result.reasons)


def test_rows_that_lack_what_every_request_has_are_left_out_and_counted(
    package: ModelPackage, variants: Variants, predictions: list[dict[str, Any]], tmp_path: Path
) -> None:
    lacking = {predictions[3]["prediction_id"]: "dest", predictions[4]["prediction_id"]: "carrier"}
    untold = predictions[5]["prediction_id"]

    def alter(line: dict[str, Any]) -> dict[str, Any]:
        if name := lacking.get(line["prediction_id"]):
            return {**line, input_column(name): None}
        return {**line, OUTPUT: None} if line["prediction_id"] == untold else line

    rewrite(tmp_path, alter)
    with next((tmp_path / LABELS).glob("*.jsonl")).open("ab") as file:
        file.write(orjson.dumps({"prediction_id": untold, "time": None, LABEL: 3.0}) + b"\n")
    shadow(
        tmp_path, [(prediction["prediction_id"], prediction[TARGET]) for prediction in predictions], "flights:candidate"
    )
    why = "without a value that every request has"
    again = run(
        variants.own, variants.again, "traffic", "equivalent", tmp_path / "out", settings(tmp_path), problem=PROBLEM
    )
    assert (again.verdict, again.rows.compared) == ("accepted", COUNT - 2)
    assert again.rows.left_out == {why: 2, "repeated": 1}
    beside = run(
        package.tag, "flights:candidate", "shadow", "equivalent", tmp_path / "out", settings(tmp_path), problem=PROBLEM
    )
    assert (beside.verdict, beside.rows.compared) == ("accepted", COUNT - 3)
    assert beside.rows.left_out == {why: 2, "without a prediction": 1, "repeated": 1}


def test_what_an_unreadable_baseline_logged_stands_for_it(
    package: ModelPackage, variants: Variants, flights: Flights, tmp_path: Path
) -> None:
    baseline = other_code(variants.own, tmp_path / "old")
    table = drawn(flights, JULY, AUGUST, COUNT)
    record(tmp_path, package, table, tag=baseline)
    record(tmp_path, package, table.slice(0, 100), tag="flights:other")
    result = run(
        baseline, variants.again, "traffic", "equivalent", tmp_path / "out", settings(tmp_path), problem=PROBLEM
    )
    assert result.verdict == "accepted"
    assert (result.rows.compared, result.rows.left_out) == (COUNT, {"of other models": 100})
    assert result.baseline.kind == "log"
    assert "what it logged stands for it" in result.notes[0]


def test_the_shadow_s_predictions_are_joined_by_prediction_id_without_any_model(
    package: ModelPackage, variants: Variants, flights: Flights, predictions: list[dict[str, Any]], tmp_path: Path
) -> None:
    candidate = PackageModel.load(variants.near, PROBLEM)
    columns = columns_of_table(drawn(flights, JULY, AUGUST, COUNT), [f for f in PROBLEM.fields if f.name != "id"])
    predicted = candidate.predict({**columns, "id": np.full(COUNT, None)})[TARGET].tolist()
    pairs = list(zip((prediction["prediction_id"] for prediction in predictions), predicted, strict=True))
    shadow(tmp_path, pairs[100:][::-1], "flights:candidate")
    shadow(tmp_path, [(key, 1e6) for key, _ in pairs[:50]], "flights:third")
    shadow(tmp_path, [("no-such-id", 0.0)], "flights:candidate")

    out = tmp_path / "out"
    result = run(package.tag, "flights:candidate", "shadow", "not_worse", out, settings(tmp_path), problem=PROBLEM)
    assert (result.baseline.kind, result.candidate.kind) == ("log", "log")
    assert result.rows.compared == COUNT - 100
    assert result.rows.left_out == {"repeated": 1, "not in the shadow log": 100}
    assert "50 rows of other candidates" in result.notes[0]
    assert not result.costs

    same = run(
        variants.own, variants.near, "traffic", "not_worse", tmp_path / "again", settings(tmp_path), problem=PROBLEM
    )
    assert abs(same.metrics[0].delta - result.metrics[0].delta) < 0.2
    worst = result.agreement.worst[0] if result.agreement else None
    assert worst is not None
    logged = {prediction["prediction_id"]: prediction[TARGET] for prediction in predictions}
    assert worst.baseline == logged[worst.row], "a row of the log is named by its prediction_id"
    assert worst.candidate == dict(pairs)[worst.row]


@pytest.mark.usefixtures("predictions")
def test_without_a_shadow_log_it_cannot_tell_and_says_how_to_make_one(package: ModelPackage, tmp_path: Path) -> None:
    result = run(
        package.tag, "flights:candidate", "shadow", "not_worse", tmp_path / "out", settings(tmp_path), problem=PROBLEM
    )
    assert (result.verdict, result.rows.compared) == ("cannot_tell", 0)
    assert "SHADOW_MODEL=flights:candidate" in result.notes[0]
    assert "Cannot tell" in (tmp_path / "out" / "compare.html").read_text()


def test_without_a_log_it_cannot_tell(package: ModelPackage, tmp_path: Path) -> None:
    result = run(
        package.tag,
        "flights:candidate",
        "shadow",
        "equivalent",
        tmp_path / "out",
        settings(tmp_path / "no"),
        problem=PROBLEM,
    )
    assert result.verdict == "cannot_tell"
    assert str(tmp_path / "no") in result.notes[0]


def test_a_server_has_no_shadow_rows_by_its_url(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="give the tag in place of the URL"):
        run("http://127.0.0.1:1", "flights:x", "shadow", "not_worse", tmp_path, settings(tmp_path), problem=PROBLEM)


@pytest.mark.usefixtures("predictions")
def test_the_window_of_the_whole_log_needs_no_bounds(variants: Variants, tmp_path: Path) -> None:
    every = CompareSettings(traffic_dir=tmp_path, max_latency_ratio=None)
    result = run(variants.own, variants.near, "traffic", "not_worse", tmp_path / "out", every, problem=PROBLEM)
    assert result.rows.compared == COUNT
