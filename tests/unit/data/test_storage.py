"""Folders on this machine and on file systems that fsspec knows."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tabular_bento.data.storage import RemoteFile, RemotePath, failure, filesystem, path_of, size_of
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


class DefaultCredentialsError(Exception):
    """Named as that of Google's library, which need not be installed."""


@pytest.mark.parametrize(
    ("uri", "error", "message"),
    [
        ("gs://b/a.csv", FileNotFoundError("b/a.csv"), "gs://b/a.csv: there is no such file"),
        ("gs://b/a.csv", PermissionError("Forbidden."), "gs://b/a.csv: access is refused: Forbidden. The credentials"),
        (
            "gs://b/a.csv",
            DefaultCredentialsError("none"),
            "it cannot be read: none. Set credentials in the environment",
        ),
        ("gs://b/a.csv", ConnectionRefusedError("no"), "the server cannot be reached: no. Is it running"),
        ("s3://b/a.csv", TimeoutError("late"), "is that its address? AWS_ENDPOINT_URL names another"),
        ("s3://b/a.csv", ValueError("odd"), "s3://b/a.csv: it cannot be read: odd"),
        ("memory://b/a.csv", PermissionError("no"), "memory://b/a.csv: it cannot be read: no"),
        ("/b/a.csv", NotADirectoryError("no"), "/b/a.csv: there is no such file"),
    ],
)
def test_a_failure_says_which_why_and_what_to_do(uri: str, error: Exception, message: str) -> None:
    assert message in failure(uri, error, "it cannot be read")


def test_no_failure_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s/cr+t")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://key:s/cr+t@host:8333")
    shown = failure("s3://b/a.csv", PermissionError("signed with s/cr+t"), "it cannot be read")
    assert "s/cr+t" not in shown
    assert "access is refused" in shown


def test_a_file_that_breaks_off_names_its_uri() -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: object) -> int:
            if self.tell() >= 8:
                raise ConnectionResetError("the peer is gone")
            return super().readinto(memoryview(buffer)[:8])  # type: ignore[arg-type]

    with RemoteFile("s3://bucket/rows.csv", Broken(b"a,b\n1,2\n3,4\n")) as file:
        assert file.read(8) == b"a,b\n1,2\n"
        assert (file.seek(4), file.tell(), file.readable(), file.seekable()) == (4, 4, True, True)
        file.seek(8)
        with pytest.raises(StorageError, match=r"s3://bucket/rows\.csv: cannot be read: the peer is gone"):
            file.read()
