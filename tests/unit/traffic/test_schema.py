"""The columns of the streams follow from the declaration alone."""

from __future__ import annotations

import orjson

from features.problem import PROBLEM
from tabular_bento.problem import Declaration
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import (
    FEATURES,
    INPUTS,
    OUTPUTS,
    LogColumn,
    feature_column,
    input_column,
    label_columns,
    output_column,
    prediction_columns,
    shadow_columns,
)
from tests.unit.several import CLASSES, RENTS

ENVELOPE = ["prediction_id", "time", "model", "declaration", "trace"]


def test_predictions_have_the_envelope_inputs_features_and_outputs() -> None:
    columns = prediction_columns(RENTS.declaration)
    names = [column.name for column in columns]
    outputs = [name for output in RENTS.outputs for name in output.columns]
    assert names == [
        *ENVELOPE,
        *map(input_column, RENTS.field_names),
        *map(feature_column, RENTS.feature_names),
        *map(output_column, outputs),
    ]
    assert f"output.probability.{CLASSES[1]}" in names
    assert len(set(names)) == len(names)
    assert [column.within for column in columns] == [
        *[None] * 5, *[INPUTS] * len(RENTS.fields), *[FEATURES] * len(RENTS.feature_names), *[OUTPUTS] * len(outputs),
    ]  # fmt: skip
    inputs = {column.name: column for column in columns if column.within == INPUTS}
    for field in RENTS.fields:
        column = inputs[input_column(field.name)]
        assert (column.kind, column.unit, column.optional) == (field.kind, field.unit, field.optional)


def test_labels_and_shadow() -> None:
    label = label_columns(PROBLEM.declaration)
    assert [column.name for column in label] == ["prediction_id", "time", "label"]
    assert (label[-1].kind, label[-1].unit) == (Kind.NUMBER, "minutes")
    shadow = [column.name for column in shadow_columns(PROBLEM.declaration)]
    assert shadow == [*ENVELOPE, "output.arrival_delay"]


def test_a_column_and_a_declaration_come_back_from_json() -> None:
    columns = prediction_columns(RENTS.declaration)
    written = orjson.loads(orjson.dumps([column.to_dict() for column in columns]))
    assert tuple(map(LogColumn.from_dict, written)) == columns
    declaration = Declaration.from_dict(orjson.loads(orjson.dumps(PROBLEM.declaration.to_dict())))
    assert prediction_columns(declaration) == prediction_columns(PROBLEM.declaration)
