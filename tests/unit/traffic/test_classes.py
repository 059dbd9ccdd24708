"""Classification in the traffic log: written, read back, sealed, and in the shadow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tabular_bento.features.columns import rows_of
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.log import ShadowLog, TrafficLog, rows_of_lines
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import LABELS, PREDICTIONS, SHADOW, prediction_columns
from tabular_bento.traffic.sealing import seal
from tests.lines import logged, unfold
from tests.unit import classes
from tests.unit.classes import PROBLEMS

ARROW = {"returned": pa.string(), "zones": pa.int64(), "late": pa.bool_()}


@pytest.fixture(params=list(PROBLEMS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def written(name: str, tmp_path: Path) -> tuple[Path, Any]:
    """A log of twenty predictions, a label of each and what a candidate predicts; the folder and the predictions."""
    problem = PROBLEMS[name]
    classes.write(tmp_path / "package", name)
    package = ModelPackage.load(tmp_path / "package", f"{name}:one", problem)
    rows = rows_of(classes.dataset(name).where(slice(0, 20)).columns, problem.field_names)
    predicted = package.predict(rows)
    log = TrafficLog(tmp_path / "traffic", problem.declaration, 1 << 20, 3600)
    batch = log.record(rows, package, predicted.features, predicted.outputs)
    labels = predicted.value.tolist()[::-1]
    log.record_labels(list(zip(batch.column("prediction_id"), labels, strict=True)))
    shadow = ShadowLog(tmp_path / "traffic", problem.declaration, 1 << 20, 3600)
    lines = logged(tmp_path / "traffic")
    shadow.record(lines, f"{name}:two", package.predict(rows_of_lines(lines, problem.declaration)).outputs)
    log.close()
    shadow.close()
    return tmp_path / "traffic", batch


def test_a_line_holds_the_label_in_its_type_and_a_number_for_each_class(name: str, written: Any) -> None:
    folder, batch = written
    problem, wanted = PROBLEMS[name], classes.expected(name)
    lines = [unfold(line, prediction_columns(problem.declaration)) for line in logged(folder)]
    for line, one, prediction in zip(lines, wanted, batch, strict=True):
        assert line[f"output.{problem.target.name}"] == one[problem.target.name] == prediction[problem.target.name]
        for part, share in one["probability"].items():
            assert line[f"output.probability.{part}"] == share
    labels = [line["label"] for line in logged(folder, LABELS)]
    assert labels == [one[problem.target.name] for one in wanted][::-1]
    assert {type(label) for label in labels} == {type(problem.task.classes[0])}


@pytest.mark.parametrize("sealed", [False, True])
def test_every_stream_is_read_back_live_and_sealed(name: str, written: Any, sealed: bool) -> None:
    folder, batch = written
    problem, wanted = PROBLEMS[name], classes.expected(name)
    target, ids = problem.target.name, list(batch.column("prediction_id"))
    if sealed:
        for stream in (PREDICTIONS, LABELS, SHADOW):
            seal(folder / stream)
            assert not list((folder / stream).glob("*.jsonl"))
            assert list((folder / stream).rglob("*.parquet"))
    for stream in (PREDICTIONS, SHADOW):
        table = EventLog(folder / stream).read().sort_by("prediction_id")
        assert table.column("prediction_id").to_pylist() == ids
        assert table.schema.field(f"output.{target}").type == ARROW[name]
        assert table.column(f"output.{target}").to_pylist() == [one[target] for one in wanted]
        for part in problem.task.class_names:
            assert table.column(f"output.probability.{part}").to_pylist() == [
                one["probability"][part] for one in wanted
            ]
    labels = EventLog(folder / LABELS).read().sort_by("prediction_id").column("label")
    assert labels.type == ARROW[name]
    codes = problem.task.encode(labels.to_numpy(zero_copy_only=False))
    assert codes.tolist() == [problem.task.label_code(one[target]) for one in wanted][::-1]
