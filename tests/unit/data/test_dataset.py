from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.data import Dataset, Split
from tabular_bento.data import dataset as module
from tabular_bento.errors import DataError, TableError
from tests.unit.models import DATED, PARCELS, parcels, prices

EVERY = Problem(
    name="every",
    fields=(
        Field("city", Kind.TEXT, "City", optional=True),
        Field("size", Kind.NUMBER, "Size", optional=True),
        Field("rooms", Kind.INTEGER, "Rooms", optional=True),
        Field("floor", Kind.INTEGER, "Floor"),
        Field("garden", Kind.BOOLEAN, "Garden", optional=True),
        Field("let", Kind.BOOLEAN, "Whether it is let"),
        Field("built", Kind.DATE, "Built", optional=True),
        Field("opened", Kind.LOCAL_TIME, "Opened"),
        Field("listed", Kind.INSTANT, "Listed", optional=True),
        Field("key", Kind.TEXT, "Key", optional=True),
    ),
    task=Regression(Field("price", Kind.NUMBER, "Price")),
    identifier="key",
)

TABLE: dict[str, Any] = {
    "city": ["Ulm", None],
    "size": [1.5, None],
    "rooms": [3, None],
    "floor": [-1, 2],
    "garden": [True, None],
    "let": [True, False],
    "built": [date(1970, 1, 3), None],
    "opened": [datetime(1970, 1, 1, 0, 1), datetime(1970, 1, 2)],
    "listed": [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), None],
    "price": [10.0, None],
    "note": ["not read", "not read"],
}


def test_every_kind_is_held_as_the_kind_says() -> None:
    dataset = Dataset.of_table(EVERY, pa.table(TABLE))
    held = {name: values.tolist() for name, values in dataset.columns.items()}
    nan = pytest.approx(np.nan, nan_ok=True)

    assert tuple(held) == EVERY.field_names
    assert held == {
        "city": ["Ulm", None],
        "size": [1.5, nan],
        "rooms": [3.0, nan],
        "floor": [-1, 2],
        "garden": [1.0, nan],
        "let": [1, 0],
        "built": [2.0, nan],
        "opened": [60, 86_400],
        "listed": [1_000_000.0, nan],
        "key": [None, None],
    }
    assert {name: values.dtype for name, values in dataset.columns.items()} == {f.name: f.dtype for f in EVERY.fields}
    assert dataset.labelled.tolist() == [True, False]


@pytest.mark.parametrize("make", [pa.table, pd.DataFrame, dict], ids=["arrow", "pandas", "arrays"])
def test_tables_of_arrow_of_pandas_and_arrays_are_the_same(make: Any) -> None:
    columns = {"weight": [1.0, 2.0], "pieces": [1, 2], "kind": ["box", "tube"], "cost": [3.0, np.nan]}
    dataset = Dataset.of_table(PARCELS, make(columns))
    expected = Dataset.of_table(PARCELS, pa.table({**columns, "cost": [3.0, None]}))
    assert dataset.fingerprint == expected.fingerprint
    assert {name: values.tolist() for name, values in dataset.columns.items()} == {
        name: columns[name] for name in PARCELS.field_names
    }


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("weight", [1.0, -2.0], r"rows\.weight: 1 of 2 rows are outside 0 to 100 kg"),
        ("kind", ["box", None], r"rows\.kind: 1 of 2 rows have no value"),
        ("pieces", [1.5, 2.0], r"rows\.pieces: 1 of 2 rows cannot be read as int64"),
        ("cost", ["a", "1"], r"rows\.cost: 1 of 2 rows cannot be read as double"),
        ("kind", None, r"rows\.kind: the column is missing"),
        ("cost", None, r"rows\.cost: the column is missing"),
    ],
)
def test_a_table_that_breaks_its_contract_is_refused(column: str, values: list[Any] | None, message: str) -> None:
    columns: dict[str, Any] = {"weight": [1.0, 2.0], "pieces": [1, 2], "kind": ["box", "tube"], "cost": [3.0, 4.0]}
    if values is None:
        del columns[column]
    else:
        columns[column] = values
    with pytest.raises(TableError, match=message):
        Dataset.of_table(PARCELS, pa.table(columns))


def test_booleans_may_be_written_as_0_and_1() -> None:
    table = pa.table({**TABLE, "let": [1, 0]})
    assert Dataset.of_table(EVERY, table).columns["let"].tolist() == [1, 0]
    with pytest.raises(TableError, match="neither 0 nor 1"):
        Dataset.of_table(EVERY, pa.table({**TABLE, "let": [1, 2]}))


def test_the_fingerprint_is_of_the_content() -> None:
    one, same, other = parcels(seed=1), parcels(seed=1), parcels(seed=2)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert len(one.fingerprint) == 64
    tables = {"places": pa.table({"name": ["a"], "people": [1]})}
    raw = pa.table({name: pa.array(values) for name, values in {**one.columns, "cost": one.target}.items()})
    beside = Dataset.of_table(PARCELS, raw, tables=tables)
    assert beside.fingerprint != Dataset.of_table(PARCELS, raw).fingerprint
    assert beside.tables["places"]["people"].dtype == np.float64
    assert beside.tables["places"]["name"].tolist() == ["a"]


def test_batches_come_in_the_same_order_whatever_their_size() -> None:
    dataset = parcels().split(Split())
    for part in (None, "train", "test"):
        whole = list(dataset.batches(part=part, rows=10_000))
        cut = list(dataset.batches(part=part, rows=7))
        assert len(whole) == 1
        assert all(len(batch["weight"]) <= 7 for batch in cut)
        for name in PARCELS.field_names:
            assert np.concatenate([batch[name] for batch in cut]).tolist() == np.asarray(whole[0][name]).tolist()
    chosen = next(dataset.batches(["kind", "cost"], part="train"))
    assert list(chosen) == ["kind", "cost"]
    assert not np.isnan(chosen["cost"]).any()
    with pytest.raises(DataError, match="no column 'colour'"):
        next(dataset.batches(["colour"]))


def test_partitions_are_the_rows_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTITION_ROWS", 70)
    dataset = parcels()
    pieces = dataset.partitions
    assert [len(piece) for piece in pieces] == [70, 70, 70, 70, 20]
    assert np.concatenate([piece.columns["weight"] for piece in pieces]).tolist() == dataset.columns["weight"].tolist()


def test_parts_hold_rows_with_a_label_only() -> None:
    dataset = parcels().split(Split())
    assert sum(len(dataset.part(name)) for name in dataset.parts) == int(dataset.labelled.sum()) == 270
    assert dataset.part("train").labelled.all()
    with pytest.raises(DataError, match="no part 'rest'"):
        dataset.part("rest")


def test_rows_are_chosen_by_the_day_of_their_event_time() -> None:
    dataset = prices(DATED)
    assert dataset.event_days is not None
    days = np.sort(dataset.event_days)
    start, end = (date.fromordinal(date(1970, 1, 1).toordinal() + int(day)) for day in (days[50], days[100]))
    chosen = dataset.between(start, end)
    assert chosen.event_days is not None
    assert (chosen.event_days.min(), len(chosen)) == (days[50], int(((days >= days[50]) & (days < days[100])).sum()))
    with pytest.raises(DataError, match="no event time"):
        parcels().between(start, end)


def test_what_is_learnt_is_the_target_less_the_offset() -> None:
    dataset = prices()
    assert dataset.offset is not None
    assert (dataset.residual == dataset.target - dataset.columns["guess"]).all()
    plain = parcels()
    assert plain.offset is None
    assert np.array_equal(plain.residual, plain.target, equal_nan=True)
    assert set(dataset.fit_data.fit_columns) == {"target", "residual"}


def test_a_label_that_is_no_class_is_refused_with_its_row_and_the_classes() -> None:
    from tests.unit.classes import LATE, RETURNED, ZONES

    row = {"weight": [1.0, 2.0], "pieces": [1, 2], "kind": ["box", None]}
    with pytest.raises(TableError, match=r"rows\.zone: 1 of 2 rows are none of the classes 30, 10, 20, .* 40 in row 1"):
        Dataset.of_table(ZONES, {**row, "zone": [30, 40]})
    with pytest.raises(TableError, match=r"rows\.returned: 1 of 2 rows are none of the classes 'no', 'yes, at once'"):
        Dataset.of_table(RETURNED, {**row, "order": ["a", "b"], "returned": ["No", None]})
    dataset = Dataset.of_table(LATE, {**row, "late": np.array([True, None], dtype=object)})
    assert dataset.labelled.tolist() == [True, False]
    assert dataset.residual.tolist()[0] == 1
