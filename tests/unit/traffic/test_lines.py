"""What a reader makes of each line of a log, good, bad or truncated."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabular_bento.schema import Kind
from tabular_bento.traffic.lines import RejectedLine, arrow_schema, read_lines
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import LogColumn
from tabular_bento.traffic.sealing import seal
from tabular_bento.traffic.writer import LogWriter
from tests.unit.traffic.streams import SCHEMA, START, encode, expected, ids, log_files, row, write, write_raw


def test_missing_fields_are_null(tmp_path: Path) -> None:
    line = {"prediction_id": "a", "time": "2013-07-01T22:00:00Z", "amount": None}
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([line]))
    log = EventLog(tmp_path)
    before = log.read().to_pylist()
    assert before[0] == {**dict.fromkeys(arrow_schema(SCHEMA).names), "prediction_id": "a", "time": START}
    seal(tmp_path)
    assert log.read().to_pylist() == before


MEANS = tuple(replace(field, within="means") for field in (SCHEMA[-1], LogColumn("mean_amount", Kind.NUMBER, "Mean")))


LISTED = (*SCHEMA[:-1], *MEANS)


def test_the_elements_of_a_list_are_columns_like_others_beside_older_lines_too(tmp_path: Path) -> None:
    write(tmp_path, [0])
    with LogWriter(tmp_path, LISTED) as writer:
        writer.append(encode([row(1, means=[5.5, None]), row(2, means=None, amount=9.0), row(3, number=None)]))
        writer.append(encode([{"time": row(4)["time"], "means": [1, 2.5]}]))
    for _ in range(2):
        table = EventLog(tmp_path).read(columns=["amount", "mean_amount"], on="time").to_pydict()
        assert sorted(zip(*table.values(), strict=True), key=str) == [
            (0.0, None),
            (1.0, 2.5),
            (5.5, None),
            (None, None),
            (None, None),
        ]
        seal(tmp_path)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[1.0]", "means is not a list of 2 values"),
        (b"[1.0,2.0,3.0]", "means is not a list of 2 values"),
        (b"7", "means is not a list of 2 values"),
        (b'{"amount":1}', "means is not a list of 2 values"),
        (b'[1.0,"late"]', "mean_amount is not of kind number"),
        (b"[true,1.0]", "amount is not of kind number"),
        (b"[NaN,2.0]", "amount is NaN, so the line is not JSON"),
        (b"[1.0, -Infinity]", "mean_amount is -Infinity, so the line is not JSON"),
        (b"[1.0,2.0,NaN]", "means is NaN, so the line is not JSON"),
    ],
)
def test_a_list_that_is_not_as_declared_is_rejected_with_its_reason(value: bytes, reason: str) -> None:
    good, bad = encode([row(1, means=[1.0, 2.0])]), encode([row(2, means=0)]).replace(b'"means":0', b'"means":' + value)
    rejected: list[RejectedLine] = []
    batches = list(read_lines(io.BytesIO(good + bad + good), len(good + bad + good), LISTED, rejected.append))
    assert sum(batch.num_rows for batch in batches) == 2
    assert [(line.number, line.reason) for line in rejected] == [(2, reason)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "not JSON"),
        (b"", "one JSON object"),
        (b"null", "one JSON object"),
        (b"[1]", "one JSON object"),
        (b"{}{}", "not JSON"),
        (b"{},{}", "one JSON object"),
        (b'{"amount": NaN}', "not JSON"),
        (b'{"amount": -Infinity}', "not JSON"),
        (b"{}", "time is missing"),
        (encode([row(0, time=None)]).strip(), "time is missing"),
        (encode([row(0, time="noon")]).strip(), "time: Failed to parse"),
        (encode([row(0, time="2013-07-01T22:00:00")]).strip(), "zone offset"),
        (encode([row(0, opened="2013-07-01T18:00:00Z")]).strip(), "zone offset"),
        (encode([row(0, amount="1.5")]).strip(), "amount is not of kind number"),
        (encode([row(0, amount=True)]).strip(), "amount is not of kind number"),
        (encode([row(0, number=1.5)]).strip(), "number is not of kind integer"),
        (encode([row(0, number=2**63)]).strip(), "number: "),
        (encode([row(0, prediction_id=7)]).strip(), "prediction_id is not of kind text"),
        (encode([row(0, prediction_id=["a"])]).strip(), "prediction_id is not of kind text"),
        (b'{"prediction_id": "\xff"}', "not JSON"),
        (b'{"prediction_id": "a", "amount": NaN}', "amount is NaN, so the line is not JSON"),
        (b'{"prediction_id": "x\\": NaN", "amount":-Infinity}', "amount is -Infinity, so the line is not JSON"),
    ],
)
def test_bad_lines_are_skipped_and_counted(tmp_path: Path, line: bytes, reason: str) -> None:
    path = write_raw(tmp_path, encode(row(index) for index in range(7)) + line + b"\n" + encode([row(7)]))
    counts = ScanCounts()
    assert ids(tmp_path, counts) == expected(range(8))
    assert (counts.rows, counts.bad, counts.truncated) == (8, 1, 0)
    (example,) = counts.examples
    assert example.startswith(f"{path}:8: ")
    assert reason in example


def test_a_truncated_line_is_skipped_and_counted(tmp_path: Path) -> None:
    write_raw(tmp_path, encode([row(0), row(1)]) + encode([row(2)])[:-10])
    counts = ScanCounts()
    assert ids(tmp_path, counts) == expected(range(2))
    assert (counts.truncated, counts.bad, len(counts.examples)) == (1, 0, 1)


def test_a_line_being_written_is_not_truncated(tmp_path: Path) -> None:
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(0)]))
        with log_files(tmp_path)[0].open("ab") as file:
            file.write(encode([row(1)])[:-10])
        counts = ScanCounts()
        assert ids(tmp_path, counts) == expected([0])
        assert counts.truncated == 0
    assert ids(tmp_path, counts) == expected([0])
    assert counts.truncated == 1


def test_examples_are_few(tmp_path: Path) -> None:
    write_raw(tmp_path, b"x\n" * 100)
    counts = ScanCounts()
    assert ids(tmp_path, counts) == []
    assert counts.bad == 100
    assert len(counts.examples) == 5


@given(st.lists(st.one_of(st.integers(0, 50), st.binary(max_size=12).filter(lambda line: b"\n" not in line))))
def test_good_lines_survive_any_company(lines: list[int | bytes]) -> None:
    rows = [{**row(line), "extra": 1} if line % 3 else {"number": line, "time": row(0)["time"]} for line in range(51)]
    content = b"".join(encode([rows[line]]) if isinstance(line, int) else line + b"\n" for line in lines)
    rejected: list[RejectedLine] = []
    batches = list(read_lines(io.BytesIO(content), len(content), SCHEMA, rejected.append))
    assert [number for batch in batches for number in batch["number"].to_pylist()] == [
        line for line in lines if isinstance(line, int)
    ]
    assert [line.line for line in rejected] == [line for line in lines if isinstance(line, bytes)]


def test_reads_lines_longer_than_a_chunk(tmp_path: Path) -> None:
    long = "x" * 3_000_000
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(0), row(1, prediction_id=long), row(2)]))
    assert ids(tmp_path) == ["id-0", "id-2", long]


def test_json_null_for_nan_reads_as_null(tmp_path: Path) -> None:
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(orjson.dumps(row(0, amount=float("nan"))) + b"\n")
    table = EventLog(tmp_path).read(datetime(2013, 7, 1, tzinfo=UTC))
    assert table["amount"].null_count == 1


TYPED = (
    LogColumn("time", Kind.INSTANT),
    LogColumn("input.city", Kind.TEXT, within="inputs"),
    LogColumn("input.balcony", Kind.BOOLEAN, optional=True, within="inputs"),
    LogColumn("input.built", Kind.DATE, optional=True, within="inputs"),
    LogColumn("input.area", Kind.NUMBER, optional=True, within="inputs"),
)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (b'["a",1,null,null]', "input.balcony is not of kind boolean"),
        (b'["a","true",null,null]', "input.balcony is not of kind boolean"),
        (b'["a",true,17,null]', "input.built is not of kind date"),
        (b'["a",true,"2013-13-01",null]', "input.built: "),
        (b'["a",true,"2013-07-01",true]', "input.area is not of kind number"),
        (b'["a,b\\",",true,"2013-07-01",NaN]', "input.area is NaN, so the line is not JSON"),
        (b'["a",-Infinity,"2013-07-01",1]', "input.balcony is -Infinity, so the line is not JSON"),
        (b'["a",true,"2013-07-01",1,NaN]', "inputs is NaN, so the line is not JSON"),
    ],
)
def test_values_of_another_kind_are_rejected_by_the_column_s_name(values: bytes, reason: str) -> None:
    line = b'{"time":"2013-07-01T22:00:00Z","inputs":%b}\n'
    content = line % b'["a",true,"2013-07-01",1.5]' + line % values + line % b'["b",null,null,2]'
    rejected: list[RejectedLine] = []
    (*batches,) = read_lines(io.BytesIO(content), len(content), TYPED, rejected.append)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert [row["input.balcony"] for row in rows] == [True, None]
    assert [row["input.built"] for row in rows] == [date(2013, 7, 1), None]
    ((number, found),) = [(line.number, line.reason) for line in rejected]
    assert number == 2
    assert found.startswith(reason)
