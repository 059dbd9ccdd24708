"""Folders on this machine and on any file system that fsspec knows, by the few methods of a path that reading takes.

A local folder is a `pathlib.Path`; another one is a `RemotePath`, which is a URI and nothing else, so that it can be
sent to a worker on another machine. What is written to is always local: object stores have neither locks nor appends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.registry import known_implementations

from tabular_bento.errors import StorageError

_LOCAL = ("file://", "local://")


def path_of(text: str | Path) -> AnyPath:
    """The folder or file at a path of this machine or at a URI, such as `s3://bucket/traffic`. Opens nothing."""
    if isinstance(text, Path):
        return text
    for protocol in _LOCAL:
        if text.startswith(protocol):
            return Path(text.removeprefix(protocol))
    return RemotePath(text.rstrip("/")) if "://" in text else Path(text)


def driver_of(uri: str) -> str | None:
    """The package that opens a URI, such as `s3fs`; None for a path and for what fsspec itself opens."""
    protocol, separator, _ = uri.partition("://")
    if not separator or protocol not in known_implementations:
        return None
    package = str(known_implementations[protocol]["class"]).partition(".")[0]
    return None if package == "fsspec" else package


def filesystem(uri: str) -> tuple[Any, str]:
    """The file system of a URI, or of a path, and the path on it.

    Raises StorageError if the protocol is unknown, or needs a package that is not installed.
    """
    try:
        opened: tuple[Any, str] = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        protocol = uri.partition("://")[0]
        package = driver_of(uri) or protocol
        raise StorageError(f"{uri}: {protocol}:// needs a package, `pip install {package}` ({error})") from error
    except Exception as error:  # each driver has errors of its own
        raise StorageError(f"{uri}: cannot be opened: {error}") from error
    return opened


@dataclass(frozen=True, order=True)
class RemotePath:
    """A file or folder at a URI. As of `pathlib.Path`: a file that is not there raises FileNotFoundError, a folder that
    is not there holds nothing. Whatever else a driver raises is a StorageError that names the URI.
    """

    uri: str

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.uri}/{name}")

    def __str__(self) -> str:
        return self.uri

    @property
    def name(self) -> str:
        return self.uri.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        return RemotePath(self.uri.rpartition("/")[0])

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Files and folders below this one, as they are now."""
        system, root = filesystem(self.uri)
        with _reporting(self.uri):
            system.invalidate_cache()  # object stores' listings are kept for minutes
            try:
                found = system.glob(f"{root}/{pattern}")
            except FileNotFoundError:
                found = []
        for path in found:
            yield RemotePath(self.uri + str(path).rstrip("/")[len(root.rstrip("/")) :])

    def is_dir(self) -> bool:
        system, path = filesystem(self.uri)
        with _reporting(self.uri):
            return bool(system.isdir(path))

    def size(self) -> int:
        """Bytes of the file."""
        system, path = filesystem(self.uri)
        with _reporting(self.uri):
            return int(system.size(path))

    def open(self, mode: str) -> BinaryIO:
        """The file, to be read: `mode` is "rb"."""
        system, path = filesystem(self.uri)
        with _reporting(self.uri):
            return cast(BinaryIO, system.open(path, mode))

    def read_bytes(self) -> bytes:
        with self.open("rb") as file:
            return file.read()


AnyPath = Path | RemotePath


def size_of(path: AnyPath) -> int:
    """Bytes of a file. Raises FileNotFoundError."""
    return path.size() if isinstance(path, RemotePath) else path.stat().st_size


def modified(path: AnyPath) -> int:
    """When a file was last written, in nanoseconds since 1970; 0 where the file system does not say."""
    if isinstance(path, Path):
        return path.stat().st_mtime_ns
    system, name = filesystem(path.uri)
    try:
        return int(system.modified(name).timestamp() * 1e9)
    except Exception:  # drivers that keep no times raise what they like
        return 0


@contextmanager
def _reporting(uri: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, StorageError):
        raise
    except Exception as error:  # each driver has errors of its own
        raise StorageError(f"{uri}: cannot be read: {error}") from error
