from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tabular_bento.errors import LogError
from tabular_bento.traffic.lines import arrow_schema
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.sealing import SealReport, seal
from tabular_bento.traffic.writer import LogWriter
from tests.unit.traffic.streams import SCHEMA, encode, expected, ids, log_files, row, start, write, write_raw

SEAL = """
import sys; from pathlib import Path; from tabular_bento.traffic.sealing import seal
print(seal(Path(sys.argv[1])))
"""


def files(stream: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(stream)): path.read_bytes() for path in stream.glob("*/*") if "schemas" not in str(path)
    }


def test_log_files_become_parquet_by_date(tmp_path: Path) -> None:
    write(tmp_path, range(0, 300, 2))
    write(tmp_path, range(1, 300, 2))
    stems = [path.stem for path in log_files(tmp_path)]
    before = EventLog(tmp_path).read().sort_by("time")
    assert seal(tmp_path) == SealReport(log_files=2, rows=300, files_written=4)
    assert log_files(tmp_path) == []
    assert sorted(files(tmp_path)) == sorted(f"date=2013-07-0{day}/{stem}.parquet" for day in (1, 2) for stem in stems)
    assert EventLog(tmp_path).read().sort_by("time") == before
    parquet = pq.ParquetFile(next(tmp_path.glob("date=*/*.parquet")))
    assert parquet.metadata.row_group(0).column(0).compression == "ZSTD"
    assert parquet.schema_arrow.names == arrow_schema(SCHEMA).names
    assert seal(tmp_path) == SealReport()


def test_an_absent_stream_and_an_empty_log_file(tmp_path: Path) -> None:
    assert seal(tmp_path / "none") == SealReport()
    write_raw(tmp_path, b"")
    assert seal(tmp_path) == SealReport(log_files=1)
    assert log_files(tmp_path) == []
    assert files(tmp_path) == {}


def test_live_log_files_are_left(tmp_path: Path) -> None:
    write(tmp_path, range(10))
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(10)]))
        assert seal(tmp_path, retain_days=0) == SealReport(
            log_files=1, rows=10, files_written=1, skipped_live=1, partitions_removed=1
        )
        writer.append(encode([row(11)]))
        assert ids(tmp_path) == expected([10, 11])
    assert seal(tmp_path).rows == 2


def test_rejected_lines_are_kept(tmp_path: Path) -> None:
    bad, cut = b"nonsense\n", encode([row(2)])[:-9]
    path = write_raw(tmp_path, encode([row(0)]) + bad + encode([row(1)]) + cut)
    assert seal(tmp_path) == SealReport(log_files=1, rows=2, truncated=1, bad=1, files_written=1)
    assert (tmp_path / "rejected" / path.name).read_bytes() == bad + cut
    counts = ScanCounts()
    assert ids(tmp_path, counts) == expected(range(2))
    assert (counts.truncated, counts.bad) == (1, 1)


def test_a_log_file_of_bad_lines_alone(tmp_path: Path) -> None:
    write_raw(tmp_path, b"x\ny\n")
    assert seal(tmp_path) == SealReport(log_files=1, bad=2)
    assert [*files(tmp_path).values()] == [b"x\ny\n"]


def test_progress_counts_log_files(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path, [index])
    seen: list[tuple[int, int]] = []
    seal(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_retention_removes_whole_dates(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    rows = [row(index, time=(now - timedelta(days=index)).isoformat().replace("+00:00", "Z")) for index in range(6)]
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode(rows))
    write_raw(tmp_path, b"bad\n")
    seal(tmp_path)
    (rejected,) = (tmp_path / "rejected").iterdir()
    assert seal(tmp_path, retain_days=6).partitions_removed == 0
    assert seal(tmp_path, retain_days=2).partitions_removed == 3
    assert ids(tmp_path) == expected(range(3))
    assert rejected.exists()
    os.utime(rejected, (0, 0))
    assert seal(tmp_path, retain_days=0).partitions_removed == 2
    assert ids(tmp_path) == expected([0])
    assert not rejected.exists()


def test_leftover_temporary_files_are_ignored_then_removed(tmp_path: Path) -> None:
    write(tmp_path, range(150))
    seal(tmp_path)
    leftovers = [tmp_path / "date=2013-07-01" / "a.parquet.tmp", tmp_path / "schemas" / "b.json.tmp"]
    for path in leftovers:
        path.write_bytes(b"half")
    assert ids(tmp_path) == expected(range(150))
    seal(tmp_path)
    assert not any(path.exists() for path in leftovers)
    assert ids(tmp_path) == expected(range(150))


class CutShortError(Exception):
    """The sealer ends here."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", ["replace", "unlink", "fsync"])
def test_cut_short_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, after: bool) -> None:
    rows = expected(range(300))
    whole: dict[str, bytes] | None = None
    steps = 0
    while True:
        steps += 1
        stream = tmp_path / str(steps)
        write(stream, range(200))
        write_raw(stream, encode(row(index) for index in range(200, 300)) + b"bad\n" + b"cut short")
        left = steps
        step: Callable[..., Any] = getattr(os, name)

        def cut(*arguments: Any, step: Callable[..., Any] = step, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and not after:
                raise CutShortError
            result = step(*arguments, **options)
            if left == 0:
                raise CutShortError
            return result

        with monkeypatch.context() as patch:
            patch.setattr(os, name, cut)
            try:
                seal(stream)
                finished = True
            except CutShortError:
                finished = False
        assert ids(stream) == rows
        seal(stream)
        assert ids(stream) == rows
        assert log_files(stream) == []
        assert not list(stream.rglob("*.tmp"))
        contents = sorted(files(stream).values())
        whole = whole or {str(index): content for index, content in enumerate(contents)}
        assert contents == list(whole.values())
        if finished:
            break
    assert steps > 2


@pytest.mark.slow
def test_killed_at_many_moments(tmp_path: Path) -> None:
    """SIGKILL within milliseconds, again and again, in a dozen states; the reader is right after every one."""
    code = """
import os, sys; from pathlib import Path; from tabular_bento.traffic.sealing import seal
seal(Path(sys.argv[2]))
os.write(1, b"ready")
sys.stdin.read(1)
seal(Path(sys.argv[1]))
"""
    stream, warm_up = tmp_path / "stream", tmp_path / "warm-up"
    rows, order, file_count = expected(range(8000)), random.Random(7), 40
    for part in range(file_count):
        write(stream, range(200 * part, 200 * (part + 1)))
    moments = set()
    for _ in range(200):
        write(warm_up, range(2))
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(stream), str(warm_up)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.read(5) == b"ready"
        process.stdin.write(b"\n")
        process.stdin.flush()
        time.sleep(order.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert ids(stream) == rows
        left = len(log_files(stream))
        if 0 < left < file_count:
            moments.add((left, len(list(stream.rglob("*.parquet"))), len(list(stream.rglob("*.tmp")))))
        if left == 0 or len(moments) == 12:
            break
    assert len(moments) >= 3, "killed in the middle of the work"
    seal(stream)
    assert log_files(stream) == []
    assert not list(stream.rglob("*.tmp"))
    assert ids(stream) == rows


def test_sealers_at_once(tmp_path: Path) -> None:
    for part in range(20):
        write(tmp_path, range(50 * part, 50 * (part + 1)))
    sealers = [start(SEAL, tmp_path) for _ in range(3)]
    reports = [sealer.communicate()[0].decode() for sealer in sealers]
    assert [sealer.returncode for sealer in sealers] == [0, 0, 0]
    assert sum(int(report.split("rows=")[1].split(",")[0]) for report in reports) == 1000
    assert ids(tmp_path) == expected(range(1000))


def test_reading_while_writing_and_sealing(tmp_path: Path) -> None:
    written, stop, sealed = 0, threading.Event(), SealReport()

    def append() -> None:
        nonlocal written
        with LogWriter(tmp_path, SCHEMA, roll_bytes=2_000) as writer:
            while not stop.is_set():
                writer.append(encode([row(written)]))
                written += 1
                stop.wait(0.0002)

    def keep_sealing() -> None:
        while not stop.is_set():
            sealed.log_files += seal(tmp_path).log_files

    threads = [threading.Thread(target=append), threading.Thread(target=keep_sealing)]
    for thread in threads:
        thread.start()
    try:
        reads = 0
        while reads < 40 or sealed.log_files < 40:
            reads += 1
            before, counts = written, ScanCounts()
            found = [int(one.removeprefix("id-")) for one in ids(tmp_path, counts)]
            assert len(found) == len(set(found))
            assert set(found) >= set(range(before))
            assert (counts.truncated, counts.bad) == (0, 0)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    seal(tmp_path)
    assert ids(tmp_path) == expected(range(written))


def test_a_scan_that_began_before_the_sealing(tmp_path: Path) -> None:
    for part in range(3):
        write(tmp_path, range(100 * part, 100 * (part + 1)))
    scan = EventLog(tmp_path).scan(columns=["prediction_id"], batch_rows=10)
    found = next(scan)["prediction_id"].to_pylist()
    seal(tmp_path)
    found += [one for batch in scan for one in batch["prediction_id"].to_pylist()]
    assert sorted(found) == expected(range(300))


def test_parquet_beside_its_log_file_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, range(150))
    (log_file,) = log_files(tmp_path)
    content = log_file.read_bytes()
    seal(tmp_path)
    log_file.write_bytes(content)
    counts = ScanCounts()
    assert ids(tmp_path, counts) == expected(range(150))
    assert (counts.log_files, counts.parquet_files) == (1, 0)


def test_a_stream_that_cannot_be_written(tmp_path: Path) -> None:
    write(tmp_path, [0])
    (tmp_path / "date=2013-07-01").write_text("in the way")
    with pytest.raises(LogError, match=r"cannot be sealed.*Nothing is lost"):
        seal(tmp_path)
    assert len(log_files(tmp_path)) == 1
