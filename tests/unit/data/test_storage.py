"""Folders on this machine and on file systems that fsspec knows."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tabular_bento.data.storage import RemotePath, filesystem, path_of, size_of
from tabular_bento.errors import StorageError


@pytest.fixture
def remote() -> Iterator[str]:
    """A folder in memory, by its URI."""
    name = f"/log-{secrets.token_hex(4)}"
    yield f"memory:/{name}"
    system = fsspec.filesystem("memory")
    if system.exists(name):
        system.rm(name, recursive=True)


def test_paths_and_uris() -> None:
    assert path_of("var/traffic") == path_of(Path("var/traffic")) == Path("var/traffic")
    assert path_of("file:///srv/traffic") == Path("/srv/traffic")
    folder = path_of("s3://bucket/traffic/")
    assert str(folder / "predictions") == "s3://bucket/traffic/predictions"
    assert (folder / "a.b.jsonl").stem == "a.b"
    assert (folder / "a.b.jsonl").parent == folder


def test_what_is_not_there_is_empty(remote: str) -> None:
    folder = RemotePath(remote)
    assert list(folder.glob("*")) == []
    assert not folder.is_dir()
    with pytest.raises(FileNotFoundError):
        (folder / "nothing").open("rb")


def test_new_files_are_seen(remote: str) -> None:
    system, folder = filesystem(remote)
    for number in range(3):
        system.pipe_file(f"{folder}/{number}.txt", b"x" * number)
        found = sorted(RemotePath(remote).glob("*.txt"))
        assert [path.name for path in found] == [f"{other}.txt" for other in range(number + 1)]
    assert [size_of(path) for path in found] == [0, 1, 2]
    assert found[2].read_bytes() == b"xx"


@pytest.mark.parametrize(("uri", "message"), [("nowhere://a/b", "nowhere"), ("sftp://host/a", "pip install")])
def test_a_file_system_that_cannot_be_opened_is_reported(uri: str, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        list(RemotePath(uri).glob("*"))
