"""Fields with and without missing values as columns of every type that a DataFrame may have."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabular_bento.schema import Kind
from tabular_bento.scoring.runners.frames import InputColumn, array_of, frame_of

NAN = float("nan")
DAY = pd.Timestamp("2024-05-17")
DAYS = DAY.value // 86_400_000_000_000
SECONDS = DAYS * 86_400 + 3_600
MICROSECONDS = SECONDS * 1_000_000 + 5


@pytest.mark.parametrize(
    ("kind", "dtype", "values", "expected"),
    [
        (Kind.NUMBER, "float64", [1.5, NAN], pd.Series([1.5, NAN])),
        (Kind.NUMBER, "float32", [1.5, NAN], pd.Series([1.5, NAN], dtype="float32")),
        (Kind.NUMBER, "Float64", [1.5, NAN], pd.Series([1.5, None], dtype="Float64")),
        (Kind.INTEGER, "int32", [1, 2], pd.Series([1, 2], dtype="int32")),
        (Kind.INTEGER, "int64", [1.0, NAN], pd.Series([1.0, NAN])),
        (Kind.INTEGER, "Int64", [1.0, NAN], pd.Series([1, None], dtype="Int64")),
        (Kind.INTEGER, "category", [2, 3], pd.Categorical([2, None], categories=[1, 2])),
        (Kind.BOOLEAN, "bool", [1, 0], pd.Series([True, False])),
        (Kind.BOOLEAN, "bool", [1.0, 0.0], pd.Series([True, False])),
        (Kind.BOOLEAN, "bool", [1.0, NAN], pd.Series([True, NAN], dtype=object)),
        (Kind.BOOLEAN, "object", [1, 0], pd.Series([True, False], dtype=object)),
        (Kind.BOOLEAN, "boolean", [1.0, NAN], pd.Series([True, None], dtype="boolean")),
        (Kind.BOOLEAN, "int8", [1, 0], pd.Series([1, 0], dtype="int8")),
        (Kind.BOOLEAN, "float64", [1.0, NAN], pd.Series([1.0, NAN])),
        (Kind.TEXT, "object", ["a", None], pd.Series(["a", NAN], dtype=object)),
        (Kind.TEXT, "str", ["a", None], pd.Series(["a", NAN], dtype="str")),
        (Kind.TEXT, "string", ["a", None], pd.Series(["a", None], dtype="string")),
        (Kind.TEXT, "category", ["a", "c"], pd.Categorical(["a", None], categories=["b", "a"])),
        (Kind.DATE, "datetime64[ns]", [DAYS, NAN], pd.Series([DAY, pd.NaT], dtype="datetime64[ns]")),
        (Kind.DATE, "datetime64[s]", [DAYS, DAYS], pd.Series([DAY, DAY], dtype="datetime64[s]")),
        (Kind.DATE, "object", [DAYS, DAYS], pd.Series([date(2024, 5, 17)] * 2, dtype=object)),
        (Kind.DATE, "object", [DAYS, NAN], pd.Series([date(2024, 5, 17), NAN], dtype=object)),
        (
            Kind.LOCAL_TIME,
            "datetime64[us]",
            [SECONDS, NAN],
            pd.Series([DAY + pd.Timedelta("1h"), pd.NaT], dtype="datetime64[us]"),
        ),
        (
            Kind.INSTANT,
            "datetime64[ns, Europe/Berlin]",
            [MICROSECONDS, NAN],
            pd.Series([pd.Timestamp("2024-05-17T03:00:00.000005+02:00"), pd.NaT]).dt.tz_convert("Europe/Berlin"),
        ),
        (
            Kind.INSTANT,
            "datetime64[us]",
            [MICROSECONDS, MICROSECONDS],
            pd.Series([DAY + pd.Timedelta("1h") + pd.Timedelta("5us")] * 2, dtype="datetime64[us]"),
        ),
    ],
)
def test_a_column_has_the_values_of_its_field(kind: Kind, dtype: str, values: list[Any], expected: Any) -> None:
    categories = tuple(expected.categories.tolist()) if dtype == "category" else ()
    column = InputColumn("x", "field", kind, dtype, categories)
    missing = any(value != value for value in values)
    held = object if kind is Kind.TEXT else np.float64 if missing or isinstance(values[0], float) else np.int64
    frame = frame_of({"field": np.array(values, dtype=held)}, (column,))
    wanted = pd.DataFrame({"x": expected})
    if kind is Kind.INSTANT and "Berlin" in dtype:
        wanted["x"] = wanted["x"].dt.as_unit("ns")
    pd.testing.assert_frame_equal(frame, wanted, check_index_type=False)


def test_dates_may_be_texts_and_missing_ones_none() -> None:
    column = InputColumn("x", "field", Kind.DATE, "object", as_text=True, none=True)
    assert column.array(np.array([float(DAYS), NAN])).tolist() == ["2024-05-17", None]


def test_columns_of_an_array() -> None:
    columns = (InputColumn("b", "b", Kind.INTEGER, "int64"), InputColumn("a", "a", Kind.TEXT, "object"))
    fields = {"a": np.array(["x", None], dtype=object), "b": np.array([1, 2])}
    assert array_of(fields, columns[:1], "float64").tolist() == [[1.0], [2.0]]
    found = array_of(fields, columns, "object")
    assert found[0].tolist() == [1, "x"]
    assert found[1][0] == 2
    assert np.isnan(found[1][1])
