from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tabular_bento.schema import Kind
from tabular_bento.serving.shadow.tail import BLOCK_BYTES, LogTail
from tabular_bento.traffic.schema import LogColumn
from tabular_bento.traffic.writer import LogWriter, owner_of

SCHEMA = (LogColumn("time", Kind.INSTANT, "When"),)


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    return tmp_path / "predictions"


def tail_of(stream: Path, file: str = "2000", offset: int = 0) -> LogTail:
    return LogTail(stream, owner_of(os.getpid()), file, offset)


def lines(first: int, last: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(first, last))


def numbers(read: list[bytes]) -> list[int]:
    return [int(line) for line in read]


def test_lines_are_read_as_they_are_written_and_in_order(stream: Path) -> None:
    writer, tail = LogWriter(stream, SCHEMA), tail_of(stream)
    assert tail.read(10) == []
    writer.append(lines(0, 5))
    assert numbers(tail.read(10)) == list(range(5))
    assert tail.read(10) == []
    writer.append(lines(5, 30))
    assert numbers(tail.read(10)) == list(range(5, 15))
    assert numbers(tail.read(100)) == list(range(15, 30))


def test_log_files_follow_each_other_without_a_gap(stream: Path) -> None:
    writer, tail = LogWriter(stream, SCHEMA, roll_bytes=40), tail_of(stream)
    read: list[int] = []
    for start in range(0, 300, 3):
        writer.append(lines(start, start + 3))
        if start % 9 == 0:
            read += numbers(tail.read(50))
    while more := tail.read(50):
        read += numbers(more)
    assert len(list(stream.glob("*.jsonl"))) > 20
    assert read == list(range(300))


def test_a_log_file_that_is_sealed_while_it_is_read_is_read_to_its_end(stream: Path) -> None:
    writer, tail = LogWriter(stream, SCHEMA), tail_of(stream)
    writer.append(lines(0, 20))
    assert numbers(tail.read(5)) == list(range(5))
    writer.close()
    next(stream.glob("*.jsonl")).unlink()
    writer.append(lines(20, 25))
    assert numbers(tail.read(100)) == list(range(5, 20))
    assert numbers(tail.read(100)) == list(range(20, 25))


def test_a_later_reader_goes_on_where_one_left_off(stream: Path) -> None:
    writer, tail = LogWriter(stream, SCHEMA), tail_of(stream)
    writer.append(lines(0, 20))
    tail.read(7)
    assert numbers(tail_of(stream, tail.file, tail.offset).read(100)) == list(range(7, 20))


def test_what_others_wrote_and_what_was_written_before_is_not_read(stream: Path) -> None:
    stream.mkdir()
    (stream / f"20200101T000000.000000Z-{owner_of(1)}-ab.x.jsonl").write_bytes(lines(0, 3))
    (stream / f"20200101T000000.000000Z-{owner_of(os.getpid())}-ab.x.jsonl").write_bytes(lines(3, 6))
    start = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    LogWriter(stream, SCHEMA).append(lines(6, 9))
    assert numbers(tail_of(stream, start).read(100)) == [6, 7, 8]


def test_a_line_that_is_not_ended_is_left_until_it_is_and_a_truncated_one_is_passed_over(stream: Path) -> None:
    stream.mkdir()
    first = stream / f"20300101T000000.000000Z-{owner_of(os.getpid())}-ab.x.jsonl"
    first.write_bytes(b"1\n2")
    tail = tail_of(stream)
    assert numbers(tail.read(10)) == [1]
    assert tail.read(10) == []
    first.write_bytes(b"1\n23\n4")
    assert numbers(tail.read(10)) == [23]
    (stream / f"20300102T000000.000000Z-{owner_of(os.getpid())}-ab.x.jsonl").write_bytes(b"5\n")
    assert numbers(tail.read(10)) == [5]


def test_a_line_longer_than_a_block_is_read(stream: Path) -> None:
    long = b"x" * (3 * BLOCK_BYTES)
    LogWriter(stream, SCHEMA).append(long + b"\nshort\n")
    assert tail_of(stream).read(10) == [long, b"short"]


def test_a_reader_that_is_behind_skips_ahead_and_counts_every_line(stream: Path) -> None:
    writer, tail = LogWriter(stream, SCHEMA, roll_bytes=30_000), tail_of(stream)
    line = b"x" * 99 + b"\n"
    for _ in range(50):
        writer.append(line * 100)
    tail.read(100)
    assert tail.behind() > 400
    skipped = tail.skip(1_000)
    left = 0
    while read := tail.read(300):
        left += len(read)
    assert 100 + skipped + left == 5_000
    assert 900 <= left <= 1_100
    assert tail.behind() == 0
    assert tail.skip(10) == 0
