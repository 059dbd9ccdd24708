from __future__ import annotations

import io
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import parts
from data.errors import LogError
from data.events import EventLog, ScanCounts
from data.lines import RejectedLine, arrow_schema, read_lines
from data.schema import Field, Kind
from data.sealing import seal
from data.segments import SegmentWriter
from tests.data.traffic import SCHEMA, START, encode, expected, ids, row, segments, write, write_raw


@pytest.fixture(params=["json", "parquet", "both"])
def stream(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """300 rows, one a minute from 22:00 UTC on 1 July: 120 on the first date, 180 on the second."""
    write(tmp_path, range(150))
    if request.param == "both":
        seal(tmp_path)
    write(tmp_path, range(150, 300))
    if request.param == "parquet":
        seal(tmp_path)
    return tmp_path


def test_an_absent_folder_is_an_empty_stream(tmp_path: Path) -> None:
    counts = ScanCounts()
    log = EventLog(tmp_path / "none")
    assert list(log.scan(START, columns=["carrier"], counts=counts)) == []
    assert log.read(columns=["carrier"]).schema.names == ["carrier"]
    assert counts == ScanCounts()


def test_columns_are_typed(stream: Path) -> None:
    table = EventLog(stream).read().sort_by("time")
    assert table.schema == arrow_schema(SCHEMA)
    assert table.num_rows == 300
    assert table.slice(0, 1).to_pylist() == [
        {
            "prediction_id": "id-0",
            "time": START,
            "sched_dep": datetime(2013, 7, 1, 18),
            "flight": 0,
            "dep_delay": 0.0,
        }
    ]


def test_missing_fields_are_null(tmp_path: Path) -> None:
    line = {"prediction_id": "a", "time": "2013-07-01T22:00:00Z", "dep_delay": None}
    with SegmentWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([line]))
    log = EventLog(tmp_path)
    before = log.read().to_pylist()
    assert before[0] == {**dict.fromkeys(arrow_schema(SCHEMA).names), "prediction_id": "a", "time": START}
    seal(tmp_path)
    assert log.read().to_pylist() == before


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START + timedelta(minutes=10), START + timedelta(minutes=200)),
        (datetime(2013, 7, 1, 22, 10), datetime(2013, 7, 2, 1, 20)),
        (datetime(2013, 7, 1, 18, 10, tzinfo=timezone(timedelta(hours=-4))), datetime(2013, 7, 2, 1, 20)),
    ],
)
def test_windows_of_time_are_half_open_and_utc(stream: Path, start: datetime, end: datetime) -> None:
    table = EventLog(stream).read(start, end, columns=["flight"])
    assert sorted(table["flight"].to_pylist()) == list(range(10, 200))
    assert EventLog(stream).read(start=start).num_rows == 290
    assert EventLog(stream).read(end=end).num_rows == 200


def test_windows_of_local_time(stream: Path) -> None:
    log = EventLog(stream)
    table = log.read(datetime(2013, 7, 1, 19), datetime(2013, 7, 1, 20), columns=["flight"], on="sched_dep")
    assert sorted(table["flight"].to_pylist()) == list(range(60, 120))
    assert log.read(datetime(2014, 1, 1), on="sched_dep").num_rows == 0


def test_a_window_must_be_of_time(stream: Path) -> None:
    with pytest.raises(LogError, match=r"'flight'.*integer"):
        EventLog(stream).read(START, on="flight")


def test_dates_outside_the_window_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path, range(0, 4000, 100))
    seal(tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("date=*"))] == [f"date=2013-07-0{day}" for day in range(1, 5)]
    counts = ScanCounts()
    EventLog(tmp_path).read(datetime(2013, 7, 2), datetime(2013, 7, 3), counts=counts)
    assert counts.parquet_files == 1
    assert counts.rows == 14


def test_an_unknown_column_is_named(stream: Path) -> None:
    with pytest.raises(LogError, match=r"'gate'.*prediction_id, time"):
        EventLog(stream).scan(columns=["time", "gate"])


def test_columns_that_an_older_schema_lacks_are_null(tmp_path: Path) -> None:
    write(tmp_path, [0])
    newer = (*SCHEMA[:-1], Field("gate", Kind.TEXT, "Gate"), Field("flight_hours", Kind.NUMBER, "Length"))
    with SegmentWriter(tmp_path, newer) as writer:
        writer.append(encode([row(1, gate="B2")]))
    log = EventLog(tmp_path)
    for _ in range(2):
        table = log.read(columns=["gate", "dep_delay", "flight"]).sort_by("flight")
        assert table.to_pylist() == [
            {"gate": None, "dep_delay": 0.0, "flight": 0},
            {"gate": "B2", "dep_delay": None, "flight": 1},
        ]
        assert log.read(START, columns=["gate"]).num_rows == 2
        assert log.read().schema.names == [*arrow_schema(SCHEMA).names, "gate", "flight_hours"]
        seal(tmp_path)


MEANS = tuple(replace(field, within="means") for field in (SCHEMA[-1], Field("mean_delay", Kind.NUMBER, "Mean")))
LISTED = (*SCHEMA[:-1], *MEANS)


def test_the_elements_of_a_list_are_columns_like_others_beside_older_lines_too(tmp_path: Path) -> None:
    write(tmp_path, [0])
    with SegmentWriter(tmp_path, LISTED) as writer:
        writer.append(encode([row(1, means=[5.5, None]), row(2, means=None, dep_delay=9.0), row(3, flight=None)]))
        writer.append(encode([{"time": row(4)["time"], "means": [1, 2.5]}]))
    for _ in range(2):
        table = EventLog(tmp_path).read(columns=["dep_delay", "mean_delay"], on="time").to_pydict()
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
        (b'{"dep_delay":1}', "means is not a list of 2 values"),
        (b'[1.0,"late"]', "mean_delay is not of kind number"),
        (b"[true,1.0]", "dep_delay is not of kind number"),
        (b"[NaN,2.0]", "dep_delay is NaN, so the line is not JSON"),
        (b"[1.0, -Infinity]", "mean_delay is -Infinity, so the line is not JSON"),
        (b"[1.0,2.0,NaN]", "means is NaN, so the line is not JSON"),
    ],
)
def test_a_list_that_is_not_as_declared_is_set_aside_with_its_reason(value: bytes, reason: str) -> None:
    good, bad = encode([row(1, means=[1.0, 2.0])]), encode([row(2, means=0)]).replace(b'"means":0', b'"means":' + value)
    rejected: list[RejectedLine] = []
    batches = list(read_lines(io.BytesIO(good + bad + good), len(good + bad + good), LISTED, rejected.append))
    assert sum(batch.num_rows for batch in batches) == 2
    assert [(line.number, line.reason) for line in rejected] == [(2, reason)]


def test_kinds_that_changed(tmp_path: Path) -> None:
    write(tmp_path, [0])
    widened = (*SCHEMA[:3], Field("flight", Kind.NUMBER, "Number"), Field("dep_delay", Kind.TEXT, "Delay"))
    with SegmentWriter(tmp_path, widened) as writer:
        writer.append(encode([row(1, flight=1.5, dep_delay="late")]))
    for _ in range(2):
        assert sorted(EventLog(tmp_path).read(columns=["flight"])["flight"].to_pylist()) == [0.0, 1.5]
        with pytest.raises(LogError, match=r"'dep_delay'.*number and as text"):
            EventLog(tmp_path).read()
        seal(tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "not JSON"),
        (b"", "one JSON object"),
        (b"null", "one JSON object"),
        (b"[1]", "one JSON object"),
        (b"{}{}", "not JSON"),
        (b"{},{}", "one JSON object"),
        (b'{"dep_delay": NaN}', "not JSON"),
        (b'{"dep_delay": -Infinity}', "not JSON"),
        (b"{}", "time is missing"),
        (encode([row(0, time=None)]).strip(), "time is missing"),
        (encode([row(0, time="noon")]).strip(), "time: Failed to parse"),
        (encode([row(0, time="2013-07-01T22:00:00")]).strip(), "zone offset"),
        (encode([row(0, sched_dep="2013-07-01T18:00:00Z")]).strip(), "zone offset"),
        (encode([row(0, dep_delay="1.5")]).strip(), "dep_delay is not of kind number"),
        (encode([row(0, dep_delay=True)]).strip(), "dep_delay is not of kind number"),
        (encode([row(0, flight=1.5)]).strip(), "flight is not of kind integer"),
        (encode([row(0, flight=2**63)]).strip(), "flight: "),
        (encode([row(0, prediction_id=7)]).strip(), "prediction_id is not of kind text"),
        (encode([row(0, prediction_id=["a"])]).strip(), "prediction_id is not of kind text"),
        (b'{"prediction_id": "\xff"}', "not JSON"),
        (b'{"prediction_id": "a", "dep_delay": NaN}', "dep_delay is NaN, so the line is not JSON"),
        (b'{"prediction_id": "x\\": NaN", "dep_delay":-Infinity}', "dep_delay is -Infinity, so the line is not JSON"),
    ],
)
def test_bad_lines_are_skipped_and_counted(tmp_path: Path, line: bytes, reason: str) -> None:
    path = write_raw(tmp_path, encode(row(index) for index in range(7)) + line + b"\n" + encode([row(7)]))
    counts = ScanCounts()
    assert ids(tmp_path, counts) == expected(range(8))
    assert (counts.rows, counts.bad, counts.torn) == (8, 1, 0)
    (example,) = counts.examples
    assert example.startswith(f"{path}:8: ")
    assert reason in example


def test_a_torn_line_is_skipped_and_counted(tmp_path: Path) -> None:
    write_raw(tmp_path, encode([row(0), row(1)]) + encode([row(2)])[:-10])
    counts = ScanCounts()
    assert ids(tmp_path, counts) == expected(range(2))
    assert (counts.torn, counts.bad, len(counts.examples)) == (1, 0, 1)


def test_a_line_being_written_is_not_torn(tmp_path: Path) -> None:
    with SegmentWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(0)]))
        with segments(tmp_path)[0].open("ab") as file:
            file.write(encode([row(1)])[:-10])
        counts = ScanCounts()
        assert ids(tmp_path, counts) == expected([0])
        assert counts.torn == 0
    assert ids(tmp_path, counts) == expected([0])
    assert counts.torn == 1


def test_examples_are_few(tmp_path: Path) -> None:
    write_raw(tmp_path, b"x\n" * 100)
    counts = ScanCounts()
    assert ids(tmp_path, counts) == []
    assert counts.bad == 100
    assert len(counts.examples) == 5


@given(st.lists(st.one_of(st.integers(0, 50), st.binary(max_size=12).filter(lambda line: b"\n" not in line))))
def test_good_lines_survive_any_company(lines: list[int | bytes]) -> None:
    rows = [{**row(line), "extra": 1} if line % 3 else {"flight": line, "time": row(0)["time"]} for line in range(51)]
    content = b"".join(encode([rows[line]]) if isinstance(line, int) else line + b"\n" for line in lines)
    rejected: list[RejectedLine] = []
    batches = list(read_lines(io.BytesIO(content), len(content), SCHEMA, rejected.append))
    assert [number for batch in batches for number in batch["flight"].to_pylist()] == [
        line for line in lines if isinstance(line, int)
    ]
    assert [line.line for line in rejected] == [line for line in lines if isinstance(line, bytes)]


def test_a_missing_schema_says_what_to_do(stream: Path) -> None:
    for path in (stream / "schemas").iterdir():
        path.rename(stream / "elsewhere")
    with pytest.raises(LogError, match="restore it"):
        _fresh(stream).scan()


def test_a_changed_schema_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [0])
    (path,) = (tmp_path / "schemas").iterdir()
    path.write_bytes(path.read_bytes().replace(b"number", b"text"))
    with pytest.raises(LogError, match="was changed"):
        EventLog(tmp_path).scan()


@pytest.mark.parametrize("part_bytes", [parts.PART_BYTES, 0], ids=["whole", "in parts"])
@pytest.mark.parametrize("damage", [lambda _: b"nothing", lambda content: b"x" * 500 + content[500:]])
def test_a_damaged_sealed_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int, damage: Callable[[bytes], bytes]
) -> None:
    """Large files are looked into when they are listed, small ones when they are read."""
    monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
    write(tmp_path, range(100))
    seal(tmp_path)
    (path,) = tmp_path.glob("date=*/*.parquet")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LogError, match=rf"{path.name} cannot be read: .* restore it from a copy"):
        EventLog(tmp_path).read()


def _fresh(stream: Path) -> EventLog:
    """A reader under another name of the stream, which has seen none of its schemas."""
    alias = stream.with_name(stream.name + "-alias")
    alias.symlink_to(stream)
    return EventLog(alias)


@pytest.mark.parametrize("batch_rows", [1, 7, 299, 300, 1000])
def test_batches_are_full(stream: Path, batch_rows: int) -> None:
    counts = ScanCounts()
    sizes = [batch.num_rows for batch in EventLog(stream).scan(batch_rows=batch_rows, counts=counts)]
    assert sum(sizes) == counts.rows == 300
    assert all(size == batch_rows for size in sizes[:-1])
    assert sizes[-1] <= batch_rows


def test_reads_lines_longer_than_a_chunk(tmp_path: Path) -> None:
    long = "x" * 3_000_000
    with SegmentWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(0), row(1, prediction_id=long), row(2)]))
    assert ids(tmp_path) == ["id-0", "id-2", long]


def test_memory_is_bounded(tmp_path: Path) -> None:
    def peak(parts: int) -> int:
        """Bytes held at most while a stream of as many segments and Parquet files is scanned."""
        stream = tmp_path / str(parts)
        for part in range(parts):
            write(stream, range(part * 20_000, (part + 1) * 20_000))
        seal(stream)
        for part in range(parts, 2 * parts):
            write(stream, range(part * 20_000, (part + 1) * 20_000))
        rows, arrow, before = 0, 0, pa.total_allocated_bytes()
        tracemalloc.start()
        for batch in EventLog(stream).scan(batch_rows=1000):
            rows += batch.num_rows
            arrow = max(arrow, pa.total_allocated_bytes() - before)
        python = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows == 40_000 * parts
        return arrow + python

    assert peak(4) < 1.3 * peak(1)


def test_reading_while_writing(tmp_path: Path) -> None:
    written, stop = 0, threading.Event()

    def work() -> None:
        nonlocal written
        with SegmentWriter(tmp_path, SCHEMA, roll_bytes=30_000) as writer:
            while not stop.is_set():
                writer.append(encode([row(written)]))
                written += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(30):
            before, counts = written, ScanCounts()
            found = [int(one.removeprefix("id-")) for one in ids(tmp_path, counts)]
            assert len(found) == len(set(found))
            assert set(found) >= set(range(before))
            assert (counts.torn, counts.bad) == (0, 0)
    finally:
        stop.set()
        thread.join()
    assert ids(tmp_path) == expected(range(written))


def test_json_null_for_nan_reads_as_null(tmp_path: Path) -> None:
    with SegmentWriter(tmp_path, SCHEMA) as writer:
        writer.append(orjson.dumps(row(0, dep_delay=float("nan"))) + b"\n")
    table = EventLog(tmp_path).read(datetime(2013, 7, 1, tzinfo=UTC))
    assert table["dep_delay"].null_count == 1
