from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tabular_bento.data.tables import TableSchema, check_table
from tabular_bento.errors import TableError
from tabular_bento.schema import Field, Kind

SCHEMA = TableSchema(
    "trips",
    (
        Field("id", Kind.INTEGER, "Number"),
        Field("place", Kind.TEXT, "Code", min_length=3, max_length=3),
        Field("delay", Kind.NUMBER, "Delay", unit="minutes", minimum=-240, maximum=2880, optional=True),
        Field("left", Kind.LOCAL_TIME, "Local time"),
        Field("seen", Kind.INSTANT, "Moment"),
    ),
    key=("id", "place"),
)

LEFT = datetime(2013, 1, 1, 5, 15)
SEEN = datetime(2013, 1, 1, 10, 15, tzinfo=UTC)

ROWS: dict[str, list[Any]] = {
    "id": [1, 2, 3],
    "place": ["JFK", "LGA", "EWR"],
    "delay": [1.5, None, -3.0],
    "left": [LEFT] * 3,
    "seen": [SEEN] * 3,
}


def trips(**columns: Any) -> pa.Table:
    return pa.table(ROWS | columns)


def test_gives_declared_columns_in_order_and_type() -> None:
    table = trips(extra=[1, 2, 3]).select(["extra", "seen", "left", "delay", "place", "id"])
    checked = check_table(table, SCHEMA)
    assert checked.schema == pa.schema(
        {
            "id": pa.int64(),
            "place": pa.string(),
            "delay": pa.float64(),
            "left": pa.timestamp("s"),
            "seen": pa.timestamp("us", "UTC"),
        }
    )
    assert checked.to_pydict() == ROWS


@pytest.mark.parametrize(
    "columns",
    [
        {"id": pa.array([1.0, 2.0, 3.0])},
        {"id": ["1", "2", "3"]},
        {"place": pa.array(ROWS["place"]).dictionary_encode()},
        {"place": pa.array(ROWS["place"], pa.large_string())},
        {"delay": ["1.5", None, "-3"]},
        {"delay": pa.array([1.5, float("nan"), -3.0])},
        {"left": pa.array([LEFT] * 3, pa.timestamp("ns"))},
        {"left": ["2013-01-01T05:15:00"] * 3},
        {"seen": ["2013-01-01T10:15:00Z"] * 3},
        {"seen": pa.array([SEEN] * 3, pa.timestamp("ms", "America/New_York"))},
    ],
    ids=lambda columns: f"{next(iter(columns))} as {pa.table(columns).schema.types[0]}",
)
def test_reads_what_means_the_same(columns: dict[str, Any]) -> None:
    assert check_table(trips(**columns), SCHEMA).to_pydict() == ROWS


@pytest.mark.parametrize(
    "columns",
    [
        {"left": pa.array([np.datetime64(LEFT, "ns") + 999_999_999] * 3)},
        {"left": ["2013-01-01 05:15:00.9"] * 3},
        {"left": pa.array([LEFT.replace(microsecond=1)] * 3)},
        {"seen": pa.array([np.datetime64(SEEN.replace(tzinfo=None), "ns") + 999] * 3).cast(pa.timestamp("ns", "UTC"))},
        {"seen": ["2013-01-01T10:15:00.000000999Z"] * 3},
        {"seen": ["2013-01-01T11:15:00.0000009+01:00"] * 3},
    ],
)
def test_drops_what_is_finer_than_a_time_holds(columns: dict[str, Any]) -> None:
    assert check_table(trips(**columns), SCHEMA).to_pydict() == ROWS


def test_drops_fractions_of_times_before_1970_downwards() -> None:
    checked = check_table(trips(left=[datetime(1969, 12, 31, 23, 59, 58, 900_000)] * 3), SCHEMA)
    assert checked["left"].to_pylist() == [datetime(1969, 12, 31, 23, 59, 58)] * 3


def test_unknown_column_of_nulls_is_null() -> None:
    assert check_table(trips(delay=pa.nulls(3)), SCHEMA)["delay"].null_count == 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": [1, None, 3]}, r"trips\.id: 1 of 3 rows have no value.*None in row 1"),
        ({"id": [1.0, 2.5, 3.5]}, r"trips\.id: 2 of 3 rows cannot be read as int64.*2\.5 in row 1"),
        ({"id": ["1", "two", "two"]}, r"trips\.id: 2 of 3 rows cannot be read as int64.*'two' in row 1"),
        ({"id": [LEFT] * 3}, r"trips\.id: 3 of 3 rows have type timestamp\[us\], which is no int64"),
        ({"id": [[1], [2], [3]]}, r"trips\.id: 3 of 3 rows have type list<.*\[1\] in row 0"),
        ({"id": [True, False, True]}, r"trips\.id: 3 of 3 rows have type bool"),
        ({"place": ["JFK", "", "NEWARK"]}, r"trips\.place: 2 of 3 rows are outside 3 to 3 characters.*'' in row 1"),
        ({"place": [b"JFK", b"\xff\xff", b"EWR"]}, r"trips\.place: 1 of 3 rows cannot be read as string"),
        ({"delay": [0.0, 2881.0, 9999.0]}, r"trips\.delay: 2 of 3 rows are outside -240 to 2880 minutes.*2881\.0 in"),
        ({"delay": [0.0, -241.0, 0.0]}, r"trips\.delay: 1 of 3 rows are outside.*-241\.0 in row 1"),
        ({"delay": [0.0, 0.0, float("inf")]}, r"trips\.delay: 1 of 3 rows are infinite.*inf in row 2"),
        ({"delay": [0.0, 0.0, float("-inf")]}, r"trips\.delay: 1 of 3 rows are infinite.*-inf in row 2"),
        ({"delay": ["0", "late", None]}, r"trips\.delay: 1 of 3 rows cannot be read as double.*'late' in row 1"),
        ({"left": [1, 2, 3]}, r"trips\.left: 3 of 3 rows have type int64, which is no timestamp\[s\]"),
        ({"left": [SEEN] * 3}, r"trips\.left: 3 of 3 rows have type timestamp\[us, tz=UTC\]"),
        (
            {"left": ["2013-01-01", "noon", "2013-01-02"]},
            r"trips\.left: 1 of 3 rows cannot be read as.*'noon' in row 1",
        ),
        ({"seen": [LEFT] * 3}, r"trips\.seen: 3 of 3 rows have type timestamp\[us\], which is no .*UTC"),
        ({"seen": ["2013-01-01T10:15:00"] * 3}, r"trips\.seen: 3 of 3 rows cannot be read as"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_refuses_values(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        check_table(trips(**columns), SCHEMA)


def test_refuses_empty_table() -> None:
    with pytest.raises(TableError, match="trips: the table has no rows"):
        check_table(trips().slice(0, 0), SCHEMA)


@pytest.mark.parametrize("column", ROWS)
def test_refuses_missing_column_even_if_optional(column: str) -> None:
    with pytest.raises(TableError, match=rf"trips\.{column}: the column is missing \(all 3 rows\); the table has"):
        check_table(trips().drop_columns([column]), SCHEMA)


def test_refuses_column_that_occurs_twice() -> None:
    with pytest.raises(TableError, match=r"trips\.id: the column occurs 2 times"):
        check_table(trips().append_column("id", pa.array([4, 5, 6])), SCHEMA)


def test_refuses_duplicate_key() -> None:
    table = pa.concat_tables([trips(), trips(id=[9, 2, 1])])
    with pytest.raises(TableError, match=r"trips\.id\+place: 2 of 6 rows share .* id=2, place=LGA in rows 1 and 4"):
        check_table(table, SCHEMA)


def test_refuses_key_of_optional_column() -> None:
    with pytest.raises(ValueError, match="trips: the key delay must name required fields"):
        TableSchema("trips", SCHEMA.fields, key=("delay",))


def test_row_numbers_hold_across_chunks() -> None:
    table = pa.concat_tables([trips(), trips(id=[4, 5, 6], delay=[0.0, 0.0, 5000.0])])
    with pytest.raises(TableError, match=r"5000\.0 in row 5"):
        check_table(table, SCHEMA)
