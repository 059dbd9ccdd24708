from __future__ import annotations

import errno
import os
import signal
import threading
from pathlib import Path

import orjson
import pytest

from tabular_bento.errors import LogError
from tabular_bento.schema import Kind
from tabular_bento.traffic.reader import ScanCounts
from tabular_bento.traffic.schema import LogColumn
from tabular_bento.traffic.stream import is_live
from tabular_bento.traffic.writer import LogWriter, schema_fingerprint
from tests.unit.traffic.streams import SCHEMA, encode, expected, ids, log_files, row, start


def locked(path: Path) -> bool:
    with path.open("rb") as file:
        return is_live(file.fileno())


def test_concurrent_processes_share_nothing_and_lose_nothing(tmp_path: Path) -> None:
    code = """
import sys; from pathlib import Path; from tabular_bento.traffic.writer import LogWriter
from tests.unit.traffic.streams import *
first = int(sys.argv[2])
with LogWriter(Path(sys.argv[1]), SCHEMA, roll_bytes=50_000) as writer:
    for index in range(first, first + 2000):
        writer.append(encode([row(index)]))
"""
    processes = [start(code, tmp_path, 2000 * index) for index in range(4)]
    for process in processes:
        assert process.communicate()[0] == b""
        assert process.returncode == 0
    counts = ScanCounts()
    assert ids(tmp_path, counts) == expected(range(8000))
    assert counts.log_files >= 16
    assert (counts.rows, counts.truncated, counts.bad) == (8000, 0, 0)


def test_threads_share_a_writer(tmp_path: Path) -> None:
    with LogWriter(tmp_path, SCHEMA, roll_bytes=20_000) as writer:

        def work(first: int) -> None:
            for index in range(first, first + 500):
                writer.append(encode([row(index)]))

        threads = [threading.Thread(target=work, args=(500 * index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert writer.lines == 2000
    assert ids(tmp_path) == expected(range(2000))


def test_a_killed_writer_keeps_every_line_it_returned_for(tmp_path: Path) -> None:
    code = """
import os, sys; from pathlib import Path; from tabular_bento.traffic.writer import LogWriter
from tests.unit.traffic.streams import *
writer = LogWriter(Path(sys.argv[1]), SCHEMA)
for index in range(10**9):
    writer.append(encode([row(index)]))
    os.write(1, b"%d\\n" % index)
"""
    process = start(code, tmp_path)
    assert process.stdout is not None
    head = b"".join(process.stdout.readline() for _ in range(200))
    process.send_signal(signal.SIGKILL)
    returned = [int(index) for index in (head + process.communicate()[0]).splitlines()]
    counts = ScanCounts()
    found = set(ids(tmp_path, counts))
    assert found >= set(expected(returned))
    assert len(found) <= len(returned) + 1
    assert counts.truncated <= 1
    assert not locked(log_files(tmp_path)[0])


def test_lines_are_kept_as_they_are(tmp_path: Path) -> None:
    names = ["Zürich", "東京", "a\nb", "\u0000", "😀", '"\\']
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode(row(index, prediction_id=name) for index, name in enumerate(names)))
    assert ids(tmp_path) == sorted(names)


def test_nothing_is_made_before_the_first_line(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "traffic" / "predictions", SCHEMA):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_log_file_is_locked_while_it_is_written(tmp_path: Path) -> None:
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(0)]))
        assert locked(log_files(tmp_path)[0])
    assert not locked(log_files(tmp_path)[0])


def test_rolls_by_size_and_by_age(tmp_path: Path) -> None:
    line = encode([row(0)])
    with LogWriter(tmp_path / "size", SCHEMA, roll_bytes=3 * len(line)) as writer:
        for _ in range(9):
            writer.append(line)
    assert [path.stat().st_size for path in log_files(tmp_path / "size")] == [3 * len(line)] * 3
    with LogWriter(tmp_path / "age", SCHEMA, roll_seconds=0) as writer:
        for _ in range(3):
            writer.append(line)
    assert len(log_files(tmp_path / "age")) == 3


def test_counts_what_it_wrote(tmp_path: Path) -> None:
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(0), row(1)]))
        writer.append(encode([row(2)]))
    assert (writer.lines, writer.bytes, writer.failures) == (3, log_files(tmp_path)[0].stat().st_size, 0)


def test_the_schema_is_beside_the_log_files(tmp_path: Path) -> None:
    for _ in range(2):
        with LogWriter(tmp_path, SCHEMA) as writer:
            writer.append(encode([row(0)]))
    fingerprint = schema_fingerprint(SCHEMA)
    assert [path.name for path in (tmp_path / "schemas").iterdir()] == [f"{fingerprint[:12]}.json"]
    assert all(path.name.endswith(f".{fingerprint[:12]}.jsonl") for path in log_files(tmp_path))
    stored = orjson.loads((tmp_path / "schemas" / f"{fingerprint[:12]}.json").read_bytes())
    assert tuple(map(LogColumn.from_dict, stored)) == SCHEMA


def test_the_fingerprint_follows_the_schema() -> None:
    assert schema_fingerprint(SCHEMA) == schema_fingerprint(list(SCHEMA))
    assert schema_fingerprint(SCHEMA) != schema_fingerprint(SCHEMA[:-1])
    assert len(schema_fingerprint(SCHEMA)) == 64


def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode(row(index) for index in range(3)))
    assert ids(tmp_path) == expected(range(3))


def test_a_full_disk_costs_the_lines_of_one_append(tmp_path: Path) -> None:
    code = """
import resource, sys; from pathlib import Path
from tabular_bento.errors import LogError; from tabular_bento.traffic.writer import LogWriter
from tests.unit.traffic.streams import *
writer = LogWriter(Path(sys.argv[1]), SCHEMA)
line = len(encode([row(0)]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(3.5 * line),) * 2)
writer.append(encode([row(0)]))
try:
    writer.append(encode(row(index) for index in range(1, 5)))
except LogError as error:
    print(error)
writer.append(encode([row(5)]))
print(writer.lines, writer.failures)
"""
    process = start(code, tmp_path)
    error, counted = process.communicate()[0].decode().splitlines()
    assert process.returncode == 0
    assert str(tmp_path) in error
    assert "File too large" in error
    assert "4 line(s) are not logged" in error
    assert counted == "2 1"
    counts = ScanCounts()
    assert ids(tmp_path, counts) == expected([0, 5])
    assert (counts.log_files, counts.truncated, counts.bad) == (2, 0, 0)


def test_a_write_truncated_for_good_is_the_last_of_its_log_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    sizes: list[int] = []

    def fail(fd: int, data: memoryview) -> int:
        sizes.append(len(data))
        if len(sizes) == 1:
            return write(fd, data[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EIO, f"{fd} not cut to {size}")

    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(0)]))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail)
            patch.setattr(os, "ftruncate", refuse)
            with pytest.raises(LogError, match="No space left on device"):
                writer.append(encode([row(1)]))
        writer.append(encode([row(2)]))
    counts = ScanCounts()
    assert ids(tmp_path, counts) == expected([0, 2])
    assert (counts.log_files, counts.truncated, counts.bad) == (2, 1, 0)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = LogWriter(tmp_path / "file" / "predictions", SCHEMA)
    with pytest.raises(LogError, match=r"Not a directory.*1 line"):
        writer.append(encode([row(0)]))
    assert writer.failures == 1


def test_a_deleted_log_file_is_not_written_on(tmp_path: Path) -> None:
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(0)]))
        log_files(tmp_path)[0].unlink()
        writer.append(encode([row(1)]))
    assert ids(tmp_path) == expected([1])


def test_a_forked_child_writes_a_log_file_of_its_own(tmp_path: Path) -> None:
    with LogWriter(tmp_path, SCHEMA) as writer:
        writer.append(encode([row(0)]))
        with writer._lock:  # as if another thread were writing
            child = os.fork()
            if child == 0:
                writer.append(encode([row(1)]))
                os._exit(0 if writer.lines == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        ours, childs = sorted(log_files(tmp_path), key=lambda path: b"id-1" in path.read_bytes())
        assert ours.read_bytes() == encode([row(0)])
        assert childs.read_bytes() == encode([row(1)])
        assert locked(ours)
        assert not locked(childs)


@pytest.mark.parametrize("lines", [b"", b"{}", b"{}\n{}"])
def test_unended_lines_are_refused(tmp_path: Path, lines: bytes) -> None:
    with LogWriter(tmp_path, SCHEMA) as writer, pytest.raises(ValueError, match="newline"):
        writer.append(lines)


def test_a_stream_needs_a_time(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="'time'"):
        LogWriter(tmp_path, [LogColumn("time", Kind.TEXT, "When")])
