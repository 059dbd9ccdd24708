"""Kinds, ranges, roles and the task of a table, and the tables that no project can be made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabular_bento import Binary, Problem, Regression
from tabular_bento.data import TableSource
from tabular_bento.data.epochs import UNITS
from tabular_bento.errors import ScaffoldError
from tabular_bento.features import FeatureSet
from tabular_bento.protocol.requests import RequestSchema
from tabular_bento.scaffold.choices import Choices, choose
from tabular_bento.scaffold.columns import bounds
from tabular_bento.scaffold.declaring import example_of
from tabular_bento.schema import Field, Kind
from tests.tables import customers, rentals, wines, written
from tests.unit.scaffold.conftest import csv_of, summary_of

Chosen = Callable[..., Choices]


def number(row: int) -> str:
    return f"{(row * 37) % 101 / 7:.4f}"


def field(choices: Choices, name: str) -> Field:
    return {item.name: item.field for item in choices.fields}[name]


def problem_with(choices: Choices) -> Problem:
    """A regression of the fields and the target that were chosen."""
    fields = [item.field for item in choices.fields]
    features = FeatureSet.of_fields(fields, without=(choices.event_time,) if choices.event_time else ())
    return Problem(
        name="chosen",
        rows="rows",
        fields=tuple(fields),
        task=Regression(choices.target.field),
        features=features,
        event_time=choices.event_time,
    )


def in_a_request(problem: Problem, row: dict[str, object]) -> dict[str, Any]:
    """A row as a server reads it."""
    (parsed,) = RequestSchema(problem.declaration).parse_rows(json.dumps({"rows": [row]}))
    return dict(zip((item.name for item in problem.fields), parsed, strict=True))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_regression_with_a_time(tmp_path: Path, suffix: str) -> None:
    table = summary_of(written(rentals(), tmp_path / f"t{suffix}"))
    choices = choose(table, "rented", time="when", identifier="ride_no")
    assert choices.task == "regression"
    assert (choices.identifier, choices.event_time) == ("ride_no", "when")
    kinds = {item.name: item.field.kind for item in choices.fields}
    assert kinds == {
        "ride_no": Kind.INTEGER,
        "when": Kind.LOCAL_TIME,
        "station": Kind.TEXT,
        "temperature": Kind.NUMBER,
        "humidity": Kind.INTEGER,
        "holiday": Kind.BOOLEAN,
    }
    assert dict(choices.left_out) == {"country": "the same value in every row, 'NL'"}
    assert choices.segments == ("station", "holiday")
    assert not any(item.field.optional for item in choices.fields)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_binary_table_with_gaps_and_names_of_any_kind(tmp_path: Path, suffix: str) -> None:
    choices = choose(summary_of(written(customers(), tmp_path / f"t{suffix}")), "Leaves?")
    assert choices.task == "binary"
    assert choices.classes == ("No", "Yes")
    assert choices.target.name == "leaves"
    assert choices.renamed == {
        "tenure_months": "Tenure (months)",
        "monthly_fee": "Monthly fee",
        "senior_citizen": "Senior citizen",
        "the_class": "class",
        "last_contact": "Last contact",
        "leaves": "Leaves?",
    }
    assert field(choices, "senior_citizen").kind is Kind.BOOLEAN
    assert field(choices, "last_contact").kind is Kind.DATE
    assert {item.name for item in choices.fields if item.field.optional} == {"monthly_fee", "Region"}
    assert [name for name, _ in choices.left_out] == ["customerID"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_whole_numbers_as_labels(tmp_path: Path, suffix: str) -> None:
    choices = choose(summary_of(written(wines(), tmp_path / f"t{suffix}")), "kind")
    assert choices.task == "multiclass"
    assert choices.classes == (1, 2, 3)
    assert choices.target.field.kind is Kind.INTEGER
    assert choices.labelled < choices.rows == 900
    assert "have no 'kind' and are left out" in choices.warnings[0]


def test_labels_with_gaps_that_pandas_made_floats_are_whole_numbers(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.arange(100.0) % 17, "y": [np.nan, *(float(row % 2) for row in range(99))]})
    choices = choose(summary_of(written(table, tmp_path / "t.parquet")), "y")
    assert (choices.task, choices.classes) == ("binary", (0, 1))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (lambda row: row * 3, Kind.INTEGER),
        (lambda row: row / 3, Kind.NUMBER),
        (lambda row: f"{row}e-3", Kind.NUMBER),
        (lambda row: "TRUE" if row % 2 else "FALSE", Kind.BOOLEAN),
        (lambda row: f"2024-05-{row % 28 + 1:02d}", Kind.DATE),
        (lambda row: f"2024-05-{row % 28 + 1:02d} 12:30", Kind.LOCAL_TIME),
        (lambda row: f"2024-05-{row % 28 + 1:02d}T12:30:00Z", Kind.INSTANT),
        (lambda row: f"2024-05-{row % 28 + 1:02d}T12:30:00+02:00", Kind.INSTANT),
        (lambda row: f"0{row % 7}501", Kind.TEXT),
        (lambda row: row % 7 + 2**53, Kind.TEXT),
        (lambda row: "abcdefg"[row % 7], Kind.TEXT),
    ],
)
def test_the_kind_of_a_column_of_text(chosen: Chosen, values: object, kind: Kind) -> None:
    choices = chosen(100, x=values, z=number, y=number)
    assert field(choices, "x").kind is kind
    assert not field(choices, "x").optional


@pytest.mark.parametrize("gap", ["", "NA"])
def test_a_column_with_gaps_is_optional(chosen: Chosen, gap: str) -> None:
    choices = chosen(100, x=lambda row: gap if row % 9 == 0 else row % 13, y=number)
    assert field(choices, "x").optional
    assert field(choices, "x").kind is Kind.INTEGER
    assert choices.missing == ()


@pytest.mark.parametrize("gap", ["?", "null", "NaN", "N/A", "-"])
def test_other_ways_to_write_a_gap_are_known_among_numbers(chosen: Chosen, gap: str) -> None:
    choices = chosen(100, x=lambda row: gap if row % 9 == 0 else row / 7, y=number)
    assert field(choices, "x").kind is Kind.NUMBER
    assert field(choices, "x").optional
    assert choices.missing == (gap,)


def test_mixed_types_are_left_out_and_said(chosen: Chosen) -> None:
    choices = chosen(100, x=lambda row: "broken" if row == 70 else row / 7, z=number, y=number)
    assert dict(choices.left_out)["x"].startswith("mixed types: 99 of 100 values are numbers")
    assert "'broken'" in choices.warnings[0]


@pytest.mark.parametrize(
    ("low", "high", "kind", "expected"),
    [
        (0, 10, Kind.INTEGER, (0, 20)),
        (-5, 5, Kind.NUMBER, (-20, 20)),
        (0, 1, Kind.INTEGER, (0, 1)),
        (0.0, 1.0, Kind.NUMBER, (0, 2)),
        (3, 3, Kind.NUMBER, (0, 6)),
        (-9, -1, Kind.NUMBER, (-17, 0)),
        (0.001, 0.004, Kind.NUMBER, (0, 0.007)),
        (0, 0, Kind.NUMBER, (0, 1)),
    ],
)
def test_a_range_is_wider_than_what_was_seen(
    low: float, high: float, kind: Kind, expected: tuple[float, float]
) -> None:
    assert bounds(low, high, kind) == expected


@pytest.mark.parametrize("seed", range(20))
def test_a_range_holds_what_was_seen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = float(rng.normal() * 10.0 ** rng.integers(-8, 9))
    high = low + float(rng.random() * 10.0 ** rng.integers(-8, 9))
    lower, upper = bounds(low, high, Kind.NUMBER)
    assert lower <= low <= high <= upper
    assert lower >= 0 or low < 0


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (lambda row: "yes" if row % 3 else "no", "binary", ("no", "yes")),
        (lambda row: "b" if row % 3 else "a", "binary", ("b", "a")),
        (lambda row: "benign" if row % 3 else "malignant", "binary", ("benign", "malignant")),
        (lambda row: row % 2, "binary", (0, 1)),
        (lambda row: row % 3 == 0, "binary", (False, True)),
        (lambda row: "abc"[row % 3], "multiclass", ("a", "b", "c")),
        (lambda row: row % 5, "multiclass", (0, 1, 2, 3, 4)),
        (lambda row: row % 30, "regression", ()),
        (lambda row: row / 7, "regression", ()),
    ],
)
def test_the_task_follows_from_the_target(
    chosen: Chosen, values: object, task: str, classes: tuple[object, ...]
) -> None:
    choices = chosen(150, x=number, y=values)
    assert (choices.task, choices.classes) == (task, classes)


def test_the_task_can_be_said(chosen: Chosen) -> None:
    assert chosen(100, x=number, y=lambda row: row % 5, task="regression").task == "regression"
    with pytest.raises(ScaffoldError, match="5 distinct values: --task multiclass fits them"):
        chosen(100, x=number, y=lambda row: row % 5, task="binary")
    with pytest.raises(ScaffoldError, match="holds texts, such as 'a': a regression predicts numbers"):
        chosen(100, x=number, y=lambda row: "ab"[row % 2], task="regression")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (lambda row: row + 1, "numbers the rows"),
        (lambda row: f"P{row * 7919 % 1000}", "100 texts in 100 rows name rows, such as 'P0'"),
        (lambda row: f"{row % 12 + 1}/{row % 12 + 1}/2024", "dates that are not ISO 8601, such as '1/1/2024'"),
        (lambda row: f"{row * 7 + 1}%", "numbers with other marks, such as '1%'"),
        (
            lambda row: "9999-12-31" if row % 9 else "2024-05-17",
            "dates before the year 1900 or after 2199, such as 999",
        ),
        ("", "no row has a value"),
        (7, "the same value in every row, '7'"),
    ],
)
def test_columns_that_are_left_out(chosen: Chosen, values: object, reason: str) -> None:
    assert dict(chosen(100, x=values, z=number, y=number).left_out)["x"].startswith(reason)


@pytest.mark.parametrize("name", ["id", "customer_id", "customerID", "PassengerId", "row no", "Unnamed: 0"])
def test_a_whole_number_of_its_own_for_each_row_is_an_identifier_by_its_name(chosen: Chosen, name: str) -> None:
    choices = chosen(100, **{name: lambda row: row * 7919 % 10007, "z": number, "y": number})
    assert dict(choices.left_out)[name].startswith("an identifier")
    kept = chosen(100, income=lambda row: row * 7919 % 10007, y=number)
    assert field(kept, "income").kind is Kind.INTEGER


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_classes_that_were_made_fractions_by_gaps_are_whole_numbers(tmp_path: Path, suffix: str) -> None:
    labels = [None if row % 10 == 0 else float(1 - 2 * (row % 3 == 0)) for row in range(200)]
    table = pd.DataFrame({"x": np.arange(200) * 7919 % 101 / 7, "y": labels})
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    choices = choose(summary_of(path), "y")
    assert (choices.classes, choices.target.field.kind) == ((-1, 1), Kind.INTEGER)
    assert choices.task_why.endswith("1 is the positive class")
    problem = Problem(
        name="signs",
        rows="rows",
        fields=tuple(item.field for item in choices.fields),
        task=Binary(choices.target.field, classes=choices.classes),
        features=FeatureSet.of_fields([item.field for item in choices.fields]),
    )
    rows = TableSource(problem, str(path)).load()
    assert [value for value in rows.target.tolist() if value == value] == [value for value in labels if value]


def test_infinite_values_and_times_finer_than_requests_hold_are_named(tmp_path: Path) -> None:
    moments = np.datetime64("2024-01-01", "ns") + np.arange(200) * np.timedelta64(100_000_000_001_000, "ns")
    x = np.arange(200) * 7919 % 101 / 7
    table = pd.DataFrame({"x": x, "far": np.where(x > 12, np.inf, x), "when": moments, "y": x[::-1]})
    path = tmp_path / "t.parquet"
    table.to_parquet(path)
    choices = choose(summary_of(path), "y", time="when")
    count = int((x > 12).sum())
    reason = f"infinite values in {count} rows; write them as missing to use the column"
    assert dict(choices.left_out) == {"far": reason}
    assert choices.warnings == (
        f"'far' is left out: {reason}.",
        "'when' has fractions of a second, which are dropped; requests have none.",
    )
    with pytest.raises(ScaffoldError, match=rf"The target 'far' is infinite in {count} of 200 rows"):
        choose(summary_of(path), "far")


def test_ten_thousand_categories_are_kept(chosen: Chosen) -> None:
    choices = chosen(40_000, x=lambda row: f"c{row % 10_000}", y=lambda row: row % 977 / 10)
    assert field(choices, "x").kind is Kind.TEXT
    assert choices.segments == ()


def test_an_event_time_is_not_called_as_the_time_of_the_prediction(tmp_path: Path) -> None:
    columns = {"time": lambda row: f"2024-01-{row % 28 + 1:02d}", "x": number, "y": number}
    table = summary_of(csv_of(tmp_path / "t.csv", 100, columns))
    assert choose(table, "y", time="time").event_time == "event_time"


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"x": number, "y": "a"}, {}, "'y' is 'a' in every row that has a value: nothing is to be predicted"),
        ({"x": number, "y": ""}, {}, "'y' has no value in any of 100 rows"),
        ({"x": number, "y": lambda row: f"t{row}"}, {}, "'y' has 100 distinct values in 100 rows, such as 't0'"),
        ({"x": number, "y": lambda row: "Yy"[row % 2]}, {}, "classes that differ only in case, such as 'y'"),
        ({"x": number, "y": lambda row: f"2024-01-{row % 28 + 1:02d}"}, {}, "'y' holds values of date"),
        ({"x": 1, "y": number}, {}, "No column is left to predict 'y' from. Left out: x: the same value"),
        ({"x": number, "y": number}, {"target": "z"}, "--target z: the table has no such column; it has 'x', 'y'"),
        ({"x": number, "y": number}, {"time": "x"}, "--time x: its values are no dates or times in ISO 8601, for exam"),
        ({"x": number, "y": number}, {"identifier": "x"}, "--id x: it holds values of kind number; an id is a text or"),
        ({"x": number, "y": number}, {"identifier": "y"}, "--target, --time and --id must be different columns"),
        (
            {"x": number, "t": lambda row: "1066-10-14" if row % 2 else "2024-01-01", "y": number},
            {"time": "t"},
            "--time t: it has dates before the year 1900 or after 2199, such as 1066-10-14. Fill or drop them.",
        ),
        (
            {"x": number, "t": lambda row: "2024-01-01" if row else "", "y": number},
            {"time": "t"},
            "--time t: 1 of 100 rows have no value, and every row must be dated",
        ),
        (
            {"x": number, "y": number, "t": lambda row: f"2024-01-{1 + max(0, row - 80):02d}"},
            {"time": "t"},
            "--time t: 81 of 100 rows have the same value, and rows of one time cannot be divided",
        ),
        (
            {"x": number, "y": lambda row: number(row) if row < 30 else ""},
            {},
            "30 of 100 rows have a value of 'y', and a project needs at least 60",
        ),
    ],
)
def test_what_no_project_can_be_made_of(
    chosen: Chosen, columns: dict[str, object], options: dict[str, str], message: str
) -> None:
    with pytest.raises(ScaffoldError) as error:
        chosen(100, **columns, **options)
    assert message in str(error.value)


def test_one_row_is_too_few(chosen: Chosen) -> None:
    with pytest.raises(ScaffoldError, match="in every row that has a value: nothing is to be predicted"):
        chosen(1, x=number, y="a")
    with pytest.raises(ScaffoldError, match="The table has a header and no rows"):
        chosen(0, x=number, y="a")


def test_classes_of_few_rows_are_said(chosen: Chosen) -> None:
    choices = chosen(200, x=number, y=lambda row: "rare" if row < 3 else "ab"[row % 2])
    assert "Classes with fewer than 10 rows are hardly learnt: 'rare'." in choices.warnings


@pytest.mark.parametrize(("rows", "method"), [(150, "none"), (1_200, "platt"), (20_000, "isotonic")])
def test_calibration_needs_rows_of_every_class(chosen: Chosen, rows: int, method: str) -> None:
    assert chosen(rows, x=number, y=lambda row: row % 2).calibration == method


def test_steps_of_probability_need_many_rows_of_the_rarest_class(chosen: Chosen) -> None:
    assert chosen(20_000, x=number, y=lambda row: int(row % 20 == 0)).calibration == "platt"


@pytest.mark.parametrize(
    ("end", "example"),
    [
        (" UTC", "Z"),
        (" GMT", "Z"),
        ("UTC", "Z"),
        ("Z", "Z"),
        (" Z", "Z"),
        ("+02:00", "+02:00"),
        (" +0200", "+0200"),
        (".25 UTC", ".25Z"),
    ],
)
def test_a_time_with_a_zone_is_an_instant_that_the_source_and_a_request_hold(
    tmp_path: Path, end: str, example: str
) -> None:
    columns = {"at": lambda row: f"2024-05-{row % 28 + 1:02d} 12:30:00{end}", "x": number, "y": number}
    summary = summary_of(path := csv_of(tmp_path / "t.csv", 100, columns))
    choices = choose(summary, "y", time="at")
    assert field(choices, "at").kind is Kind.INSTANT
    assert choices.warnings == ()
    row = example_of(summary.sample.to_pylist()[0], choices)
    assert row["at"] == f"2024-05-01T12:30:00{example}"
    problem = problem_with(choices)
    read = TableSource(problem, str(path)).load().columns["at"]
    assert read[0] == in_a_request(problem, row)["at"]
    assert len(np.unique(read)) == 28


@pytest.mark.parametrize(
    ("first", "step", "unit", "low"),
    [
        (1_714_566_600, 3_600, "s", "2024-05-01T12:30:00Z"),
        (1_714_566_600_250, 3_600_000, "ms", "2024-05-01T12:30:00.250Z"),
        (631_152_000, 86_400, "s", "1990-01-01T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_integers_that_count_from_1970_are_instants_if_they_are_the_time(
    tmp_path: Path, suffix: str, first: int, step: int, unit: str, low: str
) -> None:
    rows = np.arange(100)
    table = pd.DataFrame({"at": first + step * rows, "x": rows % 7 / 3, "y": rows % 11 / 3})
    path = written(table, tmp_path / f"t{suffix}")
    summary = summary_of(path)
    assert field(choose(summary, "y"), "at").kind is Kind.INTEGER, "nothing says that it is a time"
    choices = choose(summary, "y", time="at")
    assert field(choices, "at").kind is Kind.INSTANT
    assert field(choices, "at").minimum is None
    assert choices.epochs == {"at": unit}
    assert choices.fields[0].low == low
    assert f"'at' is read as {UNITS[unit]} since 1970. Requests hold it in ISO 8601" in choices.warnings[0]
    row = example_of(summary.sample.to_pylist()[0], choices)
    assert row["at"] == low
    problem = problem_with(choices)
    read = TableSource(problem, str(path), epochs=choices.epochs).load().columns["at"]
    assert read[0] == in_a_request(problem, row)["at"]


@pytest.mark.parametrize(
    "value",
    [
        lambda row: 20240501 + row % 28,
        lambda row: 1990 + row % 30,
        lambda row: 4_102_444_800 + row,
        lambda row: 631_151_999 + row,
        lambda row: 1_714_566_600 if row else 1_714_566_600_000,
        lambda row: 1_714_566_600_000_000 + row,
    ],
)
def test_other_integers_are_no_times(chosen: Chosen, value: object) -> None:
    with pytest.raises(ScaffoldError, match="its values are no dates or times in ISO 8601"):
        chosen(100, at=value, x=number, y=number, time="at")
