from __future__ import annotations

import json
import math
import re
import struct
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from features.definition import EXAMPLE, FIELD_NAMES, TARGET
from features.fingerprint import declaration_fingerprint
from features.values import Row
from hypothesis import given, settings
from hypothesis import strategies as st

from features.functions import FEATURE_NAMES
from tabular_bento.errors import LogError
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.log import (
    FEATURE_PREFIX,
    OUTCOME_SCHEMA,
    OUTCOMES,
    PREDICTION_SCHEMA,
    PREDICTIONS,
    TrafficLog,
    prediction_ids,
)
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tests.lines import unfold
from tests.rows import from_json, rows
from tests.serving import logged

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


TAG = "flights:test"


def log_in(folder: Path) -> TrafficLog:
    return TrafficLog(folder, 1 << 20, 3600)


def float_bits(value: float | None) -> bytes | None:
    """float32 as bytes; null stands for any NaN."""
    return None if value is None or math.isnan(value) else struct.pack("<f", value)


def test_a_line_holds_what_was_asked_what_was_computed_and_what_was_answered(
    package: ModelPackage, tmp_path: Path
) -> None:
    batch = from_json(EXAMPLE, {**EXAMPLE, "id": None, "temp": None, "tailnum": None, "dep_delay": 33.25})
    predictions = package.predictor.predict(batch)
    before = datetime.now(UTC)
    answers = log_in(tmp_path).record(batch, predictions, TAG)
    lines = logged(tmp_path)

    assert [answer["prediction_id"] for answer in answers] == [line["prediction_id"] for line in lines]
    assert [answer[TARGET.name] for answer in answers] == [line[TARGET.name] for line in lines]
    assert [answer[TARGET.name] for answer in answers] == predictions.target.tolist()
    assert [answer["id"] for answer in answers] == [EXAMPLE["id"], None]
    assert {answer["model"] for answer in answers} == {line["model"] for line in lines} == {"flights:test"}
    assert {line["declaration"] for line in lines} == {declaration_fingerprint()}
    assert {name: lines[0][name] for name in FIELD_NAMES} == EXAMPLE
    assert lines[1]["temp"] is None
    for line in lines:
        assert before <= datetime.fromisoformat(line["time"]) <= datetime.now(UTC)


def test_the_keys_of_a_line_are_the_schema_in_its_order(package: ModelPackage, tmp_path: Path) -> None:
    log = log_in(tmp_path)
    answers = log.record(from_json(EXAMPLE), package.predictor.predict(from_json(EXAMPLE)), TAG)
    log.record_outcomes([(answers[0]["prediction_id"], 4.0)])

    line = logged(tmp_path)[0]
    assert list(line) == list(dict.fromkeys(field.within or field.name for field in PREDICTION_SCHEMA))
    assert unfold(line).keys() == {field.name for field in PREDICTION_SCHEMA}
    assert list(logged(tmp_path, OUTCOMES)[0]) == [field.name for field in OUTCOME_SCHEMA]


@settings(deadline=None, max_examples=40)
@given(batch=st.lists(rows, min_size=1, max_size=20))
def test_features_and_predictions_are_in_the_log_to_the_bit(
    package: ModelPackage, tmp_path_factory: pytest.TempPathFactory, batch: list[Row]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    predictions = package.predictor.predict(batch)
    log_in(folder).record(batch, predictions, TAG)

    for line, features, target in zip(logged(folder), predictions.features, predictions.target, strict=True):
        assert struct.pack("<d", line[TARGET.name]) == struct.pack("<d", target)
        values = unfold(line)
        for name, value in zip(FEATURE_NAMES, features, strict=True):
            assert float_bits(values[FEATURE_PREFIX + name]) == float_bits(float(value)), name


@settings(deadline=None, max_examples=40)
@given(batch=st.lists(rows, min_size=1, max_size=20))
def test_the_reader_of_the_data_layer_takes_every_line_and_every_field(
    package: ModelPackage, tmp_path_factory: pytest.TempPathFactory, batch: list[Row]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log_in(folder).record(batch, package.predictor.predict(batch), TAG)
    counts = ScanCounts()
    table = EventLog(folder / PREDICTIONS).read(counts=counts)

    assert (counts.rows, counts.torn, counts.bad) == (len(batch), 0, 0)
    assert table.column_names == [field.name for field in PREDICTION_SCHEMA]
    for index, name in enumerate(FIELD_NAMES):
        read = table[name].cast("int64").to_pylist() if name.startswith("sched_") else table[name].to_pylist()
        asked = [row[index] for row in batch]
        assert read == [None if value != value else value for value in asked], name


def test_outcomes_are_logged_as_they_come_repeated_or_of_unknown_predictions(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    assert log.record_outcomes([("b", 1.5), ("a", -3.0), ("b", 2.0)]) == 3
    assert log.record_outcomes([]) == 0
    assert [(line["prediction_id"], line[TARGET.name]) for line in logged(tmp_path, OUTCOMES)] == [
        ("b", 1.5),
        ("a", -3.0),
        ("b", 2.0),
    ]


def test_a_log_that_cannot_be_written_gives_no_answer(package: ModelPackage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    log = log_in(tmp_path / "file")
    with pytest.raises(LogError, match="cannot be written"):
        log.record(from_json(EXAMPLE), package.predictor.predict(from_json(EXAMPLE)), TAG)
    with pytest.raises(LogError, match="cannot be written"):
        log.record_outcomes([("a", 1.0)])


def test_a_log_that_could_not_be_written_works_again_once_it_can(package: ModelPackage, tmp_path: Path) -> None:
    folder = tmp_path / "traffic"
    folder.write_text("")
    log = log_in(folder)
    batch = from_json(EXAMPLE)
    with pytest.raises(LogError):
        log.record(batch, package.predictor.predict(batch), TAG)
    folder.unlink()
    answer = log.record(batch, package.predictor.predict(batch), TAG)

    assert [line["prediction_id"] for line in logged(folder)] == [answer[0]["prediction_id"]]


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
        time.sleep(0.002)
    for earlier, later in pairwise(batches):
        assert max(earlier) < min(later)


def test_the_random_bits_of_ids_are_all_in_use() -> None:
    ids = [prediction_ids(1)[0].replace("-", "") for _ in range(500)]
    values = [int(one[13:16] + one[17:], 16) for one in ids]
    counts_up = 31  # the counter's own first bit, kept free so that it never runs over
    for bit in set(range(72)) - {counts_up}:
        share = np.mean([(value >> bit) & 1 for value in values])
        assert 0.3 < share < 0.7, bit


def test_lines_are_strict_json_although_readings_are_missing(package: ModelPackage, tmp_path: Path) -> None:
    unknown = {**EXAMPLE, "carrier": "??", "dest": "???", "temp": None}
    log_in(tmp_path).record(from_json(unknown), package.predictor.predict(from_json(unknown)), TAG)
    text = next((tmp_path / PREDICTIONS).glob("*.jsonl")).read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert unfold(json.loads(text, parse_constant=refuse))[FEATURE_PREFIX + "block"] is None
