from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tabular_bento.protocol import PredictionBatch
from tests.flights.rows import SCHEMA
from tests.unit.several import CLASSES, RENTS, outputs

TARGET = "arrival_delay"
OBJECTS = [
    {"prediction_id": "a", "id": "mine", TARGET: 1.5, "model": "flights:1"},
    {"prediction_id": "b", "id": None, TARGET: -2.0, "model": "flights:1"},
    {"prediction_id": "c", "id": "", TARGET: 0.0, "model": "flights:1"},
]
BATCH = PredictionBatch(
    SCHEMA.declaration, ["a", "b", "c"], ["mine", None, ""], {TARGET: np.array([1.5, -2.0, 0.0])}, "flights:1"
)


def test_predictions_are_a_sequence_of_objects_in_order() -> None:
    assert list(BATCH) == [BATCH[place] for place in range(3)] == OBJECTS
    assert [list(item) for item in BATCH] == [list(item) for item in OBJECTS]
    assert (len(BATCH), BATCH[-1], repr(BATCH)) == (3, OBJECTS[2], repr(OBJECTS))
    with pytest.raises(IndexError):
        BATCH[3]


def test_the_part_of_one_request_is_a_batch_again() -> None:
    part = BATCH[1:3]
    assert isinstance(part, PredictionBatch)
    assert list(part) == OBJECTS[1:]
    assert part.column(TARGET) == [-2.0, 0.0]
    assert part.model == "flights:1"
    assert not BATCH[3:]


def test_a_column_has_the_values_of_one_key() -> None:
    for name in ("prediction_id", "id", TARGET):
        assert list(BATCH.column(name)) == [item[name] for item in OBJECTS]


def test_a_batch_encodes_itself_as_its_objects_are() -> None:
    assert json.loads(BATCH.json()) == OBJECTS
    assert json.loads(BATCH[:0].json()) == []
    numbers = [5e-324, 1e-7, 0.1, 1e16, 1e22, -1.7976931348623157e308, 123456789.125, -0.0]
    batch = PredictionBatch(SCHEMA.declaration, ["a"] * 8, [None] * 8, {TARGET: np.array(numbers)}, "flights:1")
    assert [repr(item[TARGET]) for item in json.loads(batch.json())] == list(map(repr, numbers))


def test_no_predictions() -> None:
    empty = PredictionBatch.empty(RENTS.declaration)
    assert (len(empty), list(empty), empty.json(), empty.model) == (0, [], b"[]", "")
    assert list(empty.column("probability")) == []


def test_outputs_of_every_kind_are_in_order_without_an_identifier() -> None:
    values = outputs(2)
    batch = PredictionBatch(RENTS.declaration, ["a", "b"], None, values, "rents:1")
    expected: list[dict[str, Any]] = [
        {
            "prediction_id": name,
            "rent": values["rent"][row],
            "rent_upper": values["rent_upper"][row],
            "probability": dict(zip(CLASSES, values["probability"][row], strict=True)),
            "rooms": row,
            "let": bool(values["let"][row]),
            "city_name": "Köln",
            "until": ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.000001Z"][row],
            "model": "rents:1",
        }
        for row, name in enumerate("ab")
    ]
    assert list(batch) == expected
    assert [list(item) for item in batch] == [list(item) for item in expected]
    assert json.loads(batch.json()) == expected
    assert type(batch[0]["let"]) is bool
    assert list(batch[1:]) == expected[1:]
    assert batch[1] == expected[1]
