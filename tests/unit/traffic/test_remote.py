"""The same log on this machine and on file systems that fsspec knows."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import fsspec
import pytest

from tabular_bento.data.storage import RemotePath, filesystem, path_of
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.sealing import seal
from tests.unit.traffic.streams import encode, row, write, write_raw


@pytest.fixture
def remote() -> Iterator[str]:
    """A folder in memory, by its URI."""
    name = f"/log-{secrets.token_hex(4)}"
    yield f"memory:/{name}"
    system = fsspec.filesystem("memory")
    if system.exists(name):
        system.rm(name, recursive=True)


def copied(local: Path, uri: str) -> RemotePath:
    """The same files elsewhere."""
    system, folder = filesystem(uri)
    for path in local.rglob("*"):
        if path.is_file():
            system.pipe_file(f"{folder}/{path.relative_to(local)}", path.read_bytes())
    found = path_of(uri)
    assert isinstance(found, RemotePath)
    return found


def test_a_log_elsewhere_reads_as_it_does_here(tmp_path: Path, remote: str) -> None:
    write(tmp_path, range(0, 4000, 10))
    seal(tmp_path)
    write(tmp_path, range(4000, 4100))
    there = EventLog(copied(tmp_path, remote))
    here, counts = EventLog(tmp_path), (ScanCounts(), ScanCounts())
    assert there.read(counts=counts[0]).sort_by("time") == here.read(counts=counts[1]).sort_by("time")
    assert counts[0] == counts[1]
    window = (datetime(2013, 7, 2), datetime(2013, 7, 3))
    assert there.read(*window).num_rows == here.read(*window).num_rows > 0
    assert EventLog(path_of(f"file://{tmp_path}")).read().num_rows == 500


def test_what_is_not_there_is_empty(remote: str) -> None:
    assert list(EventLog(path_of(remote)).scan()) == []
    with pytest.raises(FileNotFoundError):
        RemotePath(f"{remote}/nothing").open("rb")


def test_log_files_elsewhere_have_no_writer(tmp_path: Path, remote: str) -> None:
    write_raw(tmp_path, encode([row(0), row(1)]) + encode([row(2)])[:-10])
    counts = ScanCounts()
    assert EventLog(copied(tmp_path, remote)).read(counts=counts).num_rows == 2
    assert (counts.truncated, counts.log_files) == (1, 1)
    assert counts.examples[0].startswith(remote)


def test_new_files_are_seen(tmp_path: Path, remote: str) -> None:
    write(tmp_path, range(10))
    log = EventLog(copied(tmp_path, remote))
    assert log.read().num_rows == 10
    write(tmp_path, range(10, 30))
    copied(tmp_path, remote)
    assert log.read().num_rows == 30
