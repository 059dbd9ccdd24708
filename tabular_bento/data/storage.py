"""Folders on this machine and on any file system that fsspec knows, by the few methods of a path that reading takes.

A local folder is a `pathlib.Path`; another one is a `RemotePath`, which is a URI and nothing else, so that it can be
sent to a worker on another machine. What is written to is always local: object stores have neither locks nor appends.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.registry import known_implementations

from tabular_bento.data.uris import scrubbed, shown
from tabular_bento.environment import pip_install_command
from tabular_bento.errors import StorageError

_LOCAL = ("file://", "local://")


@dataclass(frozen=True)
class _Driver:
    """A driver that the library has an extra for.

    Parameters
    ----------
    extra : str
        Of the library.
    credentials : str
        What the driver takes them from.
    endpoint : str, optional
        The variable that names a server other than the provider's.
    """

    extra: str
    credentials: str
    endpoint: str | None = None


_DRIVERS = {
    "s3fs": _Driver("s3", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE", "AWS_ENDPOINT_URL"),
    "gcsfs": _Driver("gs", "GOOGLE_APPLICATION_CREDENTIALS, or those of `gcloud auth application-default login`"),
}
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

# Drivers' own errors, by name: their packages may not be installed.
_NO_BUCKET = {"NoSuchBucket"}
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"}
_REFUSED = {"PermissionError", "RefreshError"}
_UNREACHABLE = {
    "ClientConnectorError", "ConnectTimeoutError", "ConnectionClosedError", "ConnectionError", "ConnectionRefusedError",
    "EndpointConnectionError", "ProxyConnectionError", "ReadTimeoutError", "SSLError", "TimeoutError",
}  # fmt: skip


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
        protocol, package = uri.partition("://")[0], driver_of(uri)
        known = _DRIVERS.get(package or "")
        command = pip_install_command(f"tabular-bento[{known.extra}]" if known else package or protocol)
        raise StorageError(f"{uri}: {protocol}:// needs a package, `{command}` ({error})") from error
    except Exception as error:  # each driver has errors of its own
        raise StorageError(failure(uri, error, "cannot be opened")) from error
    return opened


def failure(uri: str, error: Exception, fault: str, missing: str = "there is no such file") -> str:
    """What is wrong with a file or folder, why, and what to do about it, without credentials.

    Parameters
    ----------
    uri : str
        Of the file or folder.
    error : Exception
        What its driver raised.
    fault : str
        What cannot be done, where no more is known.
    missing : str, optional
        What is said where it is not there.
    """
    return scrubbed(_failure(uri, error, fault, missing), (os.environ.get(name, "") for name in _SECRETS))


def _failure(uri: str, error: Exception, fault: str, missing: str) -> str:
    names = {type(one).__name__ for one in (error, error.__cause__)}
    reason = " ".join(str(error).split()).rstrip(".")
    driver = _DRIVERS.get(driver_of(uri) or "")
    if driver is None:
        absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        return f"{uri}: {missing}" if absent else f"{uri}: {fault}: {reason}"
    address = os.environ.get(driver.endpoint or "")
    where = f" at {shown(address)}" if address else ""
    named = f", or {driver.endpoint}, which names the server" if driver.endpoint else ""
    if names & _NO_BUCKET:
        bucket = uri.partition("://")[2].partition("/")[0]
        return f"{uri}: there is no bucket {bucket!r}{where}. Correct the URI{named}"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{uri}: {missing}"
    if names & _NO_CREDENTIALS:
        return f"{uri}: {fault}: {reason}. Set credentials in the environment: {driver.credentials}"
    if names & _REFUSED:
        return (
            f"{uri}: access is refused{where}: {reason}. The credentials of the environment must be those of a user "
            f"that may list and read it: {driver.credentials}"
        )
    if names & _UNREACHABLE:
        return f"{uri}: the server cannot be reached: {reason}. Is it running, and is that its address?" + (
            f" {driver.endpoint} names another" if driver.endpoint else ""
        )
    return f"{uri}: {fault}: {reason}"


class RemoteFile(io.RawIOBase):
    """A file that a driver opened, whose errors while it is read are a StorageError that names the URI.

    Parameters
    ----------
    uri : str
        Of the file.
    file : Any
        What the driver opened.
    """

    def __init__(self, uri: str, file: Any) -> None:
        self._uri, self._file = uri, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _reporting(self._uri):
            return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _reporting(self._uri):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


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
        raise StorageError(failure(uri, error, "cannot be read")) from error
