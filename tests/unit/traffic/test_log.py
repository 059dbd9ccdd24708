from __future__ import annotations

import json
import math
import re
import struct
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.problem import PROBLEM
from tabular_bento.errors import LogError
from tabular_bento.features import Row
from tabular_bento.features.columns import ColumnRows, columns_of
from tabular_bento.problem import Problem
from tabular_bento.protocol import RequestSchema
from tabular_bento.protocol.values import FEW_ROWS, json_values
from tabular_bento.schema import Field, Kind
from tabular_bento.tasks import Regression
from tabular_bento.traffic.log import ShadowLog, TrafficLog, prediction_ids, rows_of_lines
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import (
    LABELS,
    PREDICTIONS,
    SHADOW,
    feature_column,
    input_column,
    label_columns,
    output_column,
    prediction_columns,
    shadow_columns,
)
from tabular_bento.traffic.sealing import seal
from tests.lines import logged, unfold
from tests.strategies import parsed, rows_of_fields
from tests.unit import several
from tests.unit.several import EXAMPLE, FIELDS, RENTS, SPARSE

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DECLARATION = RENTS.declaration
COLUMNS = prediction_columns(DECLARATION)
SCHEMA = RequestSchema(DECLARATION)


class Package:
    tag = "rents:test"


def log_in(folder: Path, problem: Problem = RENTS) -> TrafficLog:
    return TrafficLog(folder, problem.declaration, 1 << 20, 3600)


def features_of(count: int, seed: int = 0) -> NDArray[np.float32]:
    """A matrix of features, some of them missing."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, len(RENTS.feature_names))).astype(np.float32)
    return np.where(random.random(features.shape) < 0.2, np.float32(np.nan), features)


def record(log: TrafficLog, rows: Sequence[Row], seed: int = 0) -> Any:
    return log.record(rows, Package(), features_of(len(rows), seed), several.outputs(len(rows), seed))


def float_bits(value: float | None) -> bytes | None:
    """float32 as bytes; null stands for any NaN."""
    return None if value is None or math.isnan(value) else struct.pack("<f", value)


def test_a_line_holds_what_was_asked_what_was_computed_and_what_was_returned(tmp_path: Path) -> None:
    rows, outputs, features = parsed(SCHEMA, EXAMPLE, SPARSE), several.outputs(2), features_of(2)
    before = datetime.now(UTC)
    batch = log_in(tmp_path).record(rows, Package(), features, outputs)
    lines = logged(tmp_path)

    assert [item["prediction_id"] for item in batch] == [line["prediction_id"] for line in lines]
    assert {item["model"] for item in batch} == {line["model"] for line in lines} == {"rents:test"}
    assert {line["declaration"] for line in lines} == {DECLARATION.fingerprint}
    assert [line["trace"] for line in lines] == [None, None]
    assert lines[0]["inputs"] == [EXAMPLE[field.name] for field in FIELDS]
    assert lines[1]["inputs"] == [SPARSE.get(field.name) for field in FIELDS]
    assert {type(value) for value in lines[0]["inputs"]} == {str, int, float, bool}
    for row, (item, line) in enumerate(zip(batch, lines, strict=True)):
        flat = unfold(line, COLUMNS)
        for output in RENTS.outputs:
            if output.parts:
                assert {part: flat[output_column(f"{output.name}.{part}")] for part in output.parts} == item[
                    output.name
                ]
            else:
                assert flat[output_column(output.name)] == item[output.name]
        assert flat["output.rent"] == outputs["rent"][row]
        assert before <= datetime.fromisoformat(line["time"]) <= datetime.now(UTC)


def test_the_keys_of_a_line_are_the_columns_in_their_order(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    batch = record(log, parsed(SCHEMA, EXAMPLE))
    log.record_labels([(batch[0]["prediction_id"], 4.0)])
    (line,) = logged(tmp_path)
    assert list(line) == list(dict.fromkeys(column.within or column.name for column in COLUMNS))
    assert unfold(line, COLUMNS).keys() == {column.name for column in COLUMNS}
    assert list(logged(tmp_path, LABELS)[0]) == [column.name for column in label_columns(DECLARATION)]


def test_identifiers_are_returned_and_problems_without_features_are_logged(tmp_path: Path) -> None:
    problem = Problem(
        name="bare",
        fields=(Field("number", Kind.INTEGER, optional=True), Field("text", Kind.TEXT)),
        task=Regression(Field("y", Kind.NUMBER)),
        identifier="number",
    )
    log = log_in(tmp_path, problem)
    rows = [(7, "a"), (math.nan, "b"), (9.0, "c")]
    batch = log.record(rows, Package(), np.empty((3, 0), np.float32), {"y": np.array([1.0, 2.0, 3.0])})
    assert [item["number"] for item in batch] == [7, None, 9]
    assert json.loads(batch.json()) == list(batch)
    assert [line["inputs"] for line in logged(tmp_path)] == [[7, "a"], [None, "b"], [9, "c"]]
    assert [line["features"] for line in logged(tmp_path)] == [[], [], []]
    assert EventLog(tmp_path / PREDICTIONS).read(columns=["input.number"])["input.number"].to_pylist() == [7, None, 9]


@settings(deadline=None, max_examples=40)
@given(batch=st.lists(rows_of_fields(FIELDS), min_size=1, max_size=20), as_columns=st.booleans())
def test_rows_features_and_outputs_are_in_the_log_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, batch: list[Row], as_columns: bool
) -> None:
    folder = tmp_path_factory.mktemp("log")
    rows = ColumnRows(columns_of(batch, FIELDS), RENTS.field_names) if as_columns else batch
    record(log_in(folder), rows)
    lines, features, outputs = logged(folder), features_of(len(batch)), several.outputs(len(batch))

    for index, line in enumerate(lines):
        assert struct.pack("<d", line["outputs"][0]) == struct.pack("<d", outputs["rent"][index])
        for value, computed in zip(line["features"], features[index], strict=True):
            assert float_bits(value) == float_bits(float(computed))
    for place, field in enumerate(FIELDS):
        values = json_values(field.kind, [row[place] for row in batch])
        assert [line["inputs"][place] for line in lines] == list(values), field.name
    read, expected = columns_of(rows_of_lines(lines, DECLARATION), FIELDS), columns_of(batch, FIELDS)
    for name, column in read.items():
        np.testing.assert_array_equal(column, expected[name])


@pytest.mark.parametrize("sealed", [False, True])
@settings(deadline=None, max_examples=15)
@given(batch=st.lists(rows_of_fields(FIELDS), min_size=1, max_size=20))
def test_the_reader_takes_every_line_and_every_column(
    tmp_path_factory: pytest.TempPathFactory, batch: list[Row], sealed: bool
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = log_in(folder)
    record(log, batch)
    log.close()
    if sealed:
        seal(folder / PREDICTIONS)
    counts = ScanCounts()
    table = EventLog(folder / PREDICTIONS).read(counts=counts)

    assert (counts.rows, counts.truncated, counts.bad) == (len(batch), 0, 0)
    assert table.column_names == [column.name for column in COLUMNS]
    for place, field in enumerate(FIELDS):
        column = table[input_column(field.name)]
        if field.kind is Kind.DATE:
            column = column.cast("int32")
        read = column.cast("int64").to_pylist() if field.kind.is_time else column.to_pylist()
        asked = [row[place] for row in batch]
        assert read == [None if value != value else value for value in asked], field.name


@pytest.mark.parametrize("count", [1, FEW_ROWS + 1])
def test_the_trace_of_each_row_is_logged_where_requests_are_traced(tmp_path: Path, count: int) -> None:
    log = log_in(tmp_path)
    traces = [None, *(f"{index:032x}" for index in range(count - 1))]
    log.traces = lambda: traces
    record(log, parsed(SCHEMA, *[EXAMPLE] * count))
    assert [line["trace"] for line in logged(tmp_path)] == traces
    assert EventLog(tmp_path / PREDICTIONS).read(columns=["trace"])["trace"].to_pylist() == traces


def test_whoever_counts_is_given_what_is_in_the_log(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    seen: list[tuple[Any, Any]] = []
    log.on_recorded = lambda features, outputs: seen.append((features, outputs))
    record(log, parsed(SCHEMA, EXAMPLE))
    ((features, outputs),) = seen
    np.testing.assert_array_equal(features, features_of(1))
    assert list(outputs) == [output.name for output in RENTS.outputs]
    assert list(log.record([], Package(), features_of(0), several.outputs(0))) == []
    assert len(seen) == len(logged(tmp_path)) == 1


def test_labels_are_logged_as_they_come_repeated_or_of_unknown_predictions(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    assert log.record_labels([("b", 1.5), ("a", -3.0), ("b", 2.0)]) == 3
    assert log.record_labels([]) == 0
    assert [(line["prediction_id"], line["label"]) for line in logged(tmp_path, LABELS)] == [
        ("b", 1.5),
        ("a", -3.0),
        ("b", 2.0),
    ]


@pytest.mark.parametrize(
    ("kind", "held", "written", "read"),
    [
        (Kind.BOOLEAN, 1, True, True),
        (Kind.INTEGER, 7, 7, 7),
        (Kind.TEXT, "yes", "yes", "yes"),
        (Kind.INSTANT, 1_000_000, "1970-01-01T00:00:01Z", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_a_label_may_be_of_any_kind(tmp_path: Path, kind: Kind, held: Any, written: Any, read: Any) -> None:
    declaration = replace(DECLARATION, task=several.Several(Field("rent", kind)))
    log = TrafficLog(tmp_path, declaration, 1 << 20, 3600)
    log.record_labels([("a", held)])
    assert logged(tmp_path, LABELS)[0]["label"] == written
    assert EventLog(tmp_path / LABELS).read()["label"].to_pylist() == [read]


def test_a_shadow_line_has_the_envelope_and_the_outputs_of_the_candidate(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.traces = lambda: ["00ff", None]
    record(log, parsed(SCHEMA, EXAMPLE, SPARSE))
    lines, outputs = logged(tmp_path), several.outputs(2, seed=1)
    shadow = ShadowLog(tmp_path, DECLARATION, 1 << 20, 3600)
    shadow.record(lines, "rents:candidate", outputs)
    shadow.record([], "rents:candidate", several.outputs(0))
    shadow.close()

    written = logged(tmp_path, SHADOW)
    columns = shadow_columns(DECLARATION)
    assert list(written[0]) == list(dict.fromkeys(column.within or column.name for column in columns))
    for row, (line, of) in enumerate(zip(written, lines, strict=True)):
        assert [line[name] for name in ("prediction_id", "time", "trace")] == [
            of[name] for name in ("prediction_id", "time", "trace")
        ]
        assert (line["model"], line["declaration"]) == ("rents:candidate", DECLARATION.fingerprint)
        assert unfold(line, columns)["output.rent_upper"] == outputs["rent_upper"][row]
    assert EventLog(tmp_path / SHADOW).read().num_rows == 2


def test_a_log_that_cannot_be_written_returns_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    log = log_in(tmp_path / "file")
    with pytest.raises(LogError, match="cannot be written"):
        record(log, parsed(SCHEMA, EXAMPLE))
    with pytest.raises(LogError, match="cannot be written"):
        log.record_labels([("a", 1.0)])


def test_a_log_that_could_not_be_written_works_again_once_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "traffic"
    folder.write_text("")
    log, rows = log_in(folder), parsed(SCHEMA, EXAMPLE)
    with pytest.raises(LogError):
        record(log, rows)
    folder.unlink()
    batch = record(log, rows)

    assert [line["prediction_id"] for line in logged(folder)] == [batch[0]["prediction_id"]]


def test_two_problems_are_logged_in_one_process(tmp_path: Path) -> None:
    rents, flights = log_in(tmp_path / "rents"), log_in(tmp_path / "flights", PROBLEM)
    record(rents, parsed(SCHEMA, EXAMPLE))
    rows = parsed(RequestSchema(PROBLEM.declaration), PROBLEM.example)
    features = np.zeros((1, len(PROBLEM.feature_names)), np.float32)
    batch = flights.record(rows, Package(), features, {"arrival_delay": np.array([1.0])})
    assert list(batch[0]) == ["prediction_id", "id", "arrival_delay", "model"]
    assert logged(tmp_path / "flights")[0]["inputs"] == list(PROBLEM.example.values())
    assert logged(tmp_path / "rents")[0]["inputs"] == list(EXAMPLE.values())
    assert feature_column("pad") in EventLog(tmp_path / "flights" / PREDICTIONS).read().column_names


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    ids = prediction_ids(1000)
    after = time.time_ns() // 1_000_000

    assert all(UUID7.fullmatch(one) for one in ids)
    assert all(before <= int(one.replace("-", "")[:12], 16) <= after for one in ids)
    assert len(set(ids)) == 1000
    assert prediction_ids(0) == []


def test_ids_of_later_milliseconds_sort_after_those_of_earlier_ones() -> None:
    batches = []
    for _ in range(5):
        batches.append(prediction_ids(100))
        last = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 <= last:
            pass
    for earlier, later in pairwise(batches):
        assert max(earlier) < min(later)


def test_the_random_bits_of_ids_are_all_in_use() -> None:
    ids = [prediction_ids(1)[0].replace("-", "") for _ in range(500)]
    values = [int(one[13:16] + one[17:], 16) for one in ids]
    counts_up = 31  # the counter's own first bit, kept free so that it never runs over
    for bit in set(range(72)) - {counts_up}:
        share = np.mean([(value >> bit) & 1 for value in values])
        assert 0.3 < share < 0.7, bit


def test_lines_are_strict_json_although_values_are_missing(tmp_path: Path) -> None:
    features = np.full((1, len(RENTS.feature_names)), np.nan, np.float32)
    log_in(tmp_path).record(parsed(SCHEMA, SPARSE), Package(), features, several.outputs(1))
    text = next((tmp_path / PREDICTIONS).glob("*.jsonl")).read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    line = json.loads(text, parse_constant=refuse)
    assert line["features"] == [None] * len(RENTS.feature_names)
    assert line["inputs"][1::2] == [None] * (len(FIELDS) // 2)
