"""Profiles and reference rows of problems of any kind."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tabular_bento.evaluation.reference.bins import Bins, numbers_of, seconds_of
from tabular_bento.evaluation.reference.profile import monitored, profile, reference_rows
from tabular_bento.evaluation.reference.vocabulary import vocabularies
from tabular_bento.schema import Kind
from tabular_bento.traffic.lines import ARROW
from tests import monitored as small
from tests.unit import several

COLUMNS, LABELS = small.patients(600, 3)
OUTPUTS = {small.TARGET.name: small.predicted(COLUMNS)}


def test_rows_are_as_the_log_has_them() -> None:
    problem = small.DATED
    features = small.features_of(problem, COLUMNS)
    rows = reference_rows(problem.declaration, small.of(problem, COLUMNS), features, OUTPUTS, LABELS)
    for item in problem.fields:
        column = rows[f"input.{item.name}"]
        assert column.type == ARROW[item.kind]
        values = COLUMNS[item.name]
        missing = np.array([value is None or value != value for value in values.tolist()])
        assert column.is_null().to_numpy(zero_copy_only=False).tolist() == missing.tolist()
    assert rows.column_names[-5:] == [
        "feature.body_mass",
        "feature.treated",
        "feature.age",
        "output.progression",
        "label",
    ]


def test_what_is_profiled_is_what_is_read_from_the_log() -> None:
    """Of every kind of input: the bins of the columns in NumPy are those of the same columns in Arrow."""
    declaration = small.UNDATED_INPUTS.declaration
    given = (declaration, COLUMNS, None, OUTPUTS, LABELS)
    summaries = profile(*given, {}, 0)["columns"]
    rows, watched = reference_rows(*given), monitored(*given)
    assert set(summaries) == set(watched)
    for name, summary in summaries.items():
        bins, column = Bins(summary), rows[name].combine_chunks()
        text = pa.types.is_string(column.type)
        found = bins.text_indices(column) if text else bins.indices(numbers_of(column))
        assert np.bincount(found, minlength=bins.size).tolist() == summary["counts"], name
    assert summaries["input.born"]["kind"] == "time"
    assert "19" in Bins(summaries["input.born"]).label(5), "a date"
    assert sum(column.get("importance", 0) for column in summaries.values()) == pytest.approx(1, abs=1e-4)


def test_outputs_of_several_columns_are_flat() -> None:
    declaration, outputs = several.RENTS.declaration, several.outputs(50)
    columns = {item.name: np.zeros(50, item.dtype) for item in several.FIELDS}
    found = monitored(declaration, columns, np.zeros((50, 2), np.float32), outputs, np.zeros(50))
    assert {name for name in found if name.startswith("output.")} == {
        "output.rent",
        "output.rent_upper",
        "output.probability.no",
        "output.probability.yes, at once",
        "output.rooms",
        "output.let",
        "output.city_name",
        "output.until",
    }
    assert found["output.until"].max() < 1, "in days"


def test_vocabularies_hold_the_share_that_is_empty() -> None:
    found = vocabularies(small.DATED.declaration, COLUMNS)
    assert found["ward"]["values"] == ["A", "B", "C"]
    assert found["note"]["empty"] == pytest.approx(np.mean([value is None for value in COLUMNS["note"]]))
    assert set(found) == {"ward", "note"}


def test_times_of_arrow() -> None:
    seconds = [0, None, 86_400 * 3 + 5]
    for kind, unit in ((Kind.LOCAL_TIME, 1), (Kind.INSTANT, 1_000_000)):
        column = pa.array([None if value is None else value * unit for value in seconds]).cast(ARROW[kind])
        assert seconds_of(column).tolist() == [0, 0, 86_400 * 3 + 5]
        assert numbers_of(column)[2] == pytest.approx(3 + 5 / 86_400)
        assert np.isnan(numbers_of(column)[1])
    days = pa.array([1, None], pa.int32()).cast(pa.date32())
    assert seconds_of(days).tolist() == [86_400, 0]
    assert numbers_of(pa.array([True, None, False]))[0] == 1
