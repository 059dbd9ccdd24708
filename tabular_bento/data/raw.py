"""Where tables come from: a folder addressed by URI, on any file system fsspec knows, or a package's own data."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet

from tabular_bento.data.csv_files import PLAIN, CsvFormat, read_csv, reader
from tabular_bento.data.storage import failure, filesystem
from tabular_bento.data.tables import TableSchema
from tabular_bento.data.uris import check_uri, shown
from tabular_bento.environment import pip_install_command
from tabular_bento.errors import SourceError, StorageError

PACKAGE = "package://"
_DAMAGED = (pa.ArrowException, ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
"""What readers of Parquet, CSV, gzip and zip raise for a file that is damaged, or encrypted, or of another format."""

SUFFIXES = (".parquet", ".csv", ".csv.zip")


@dataclass(frozen=True)
class RawTable:
    """The files of one table as they were found, held in memory: what is hashed is what is read.

    `files` maps the path of each file below the folder to its bytes, in order of path.
    """

    name: str
    folder: str
    files: dict[str, bytes] = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """Digest of the bytes of all files, in hexadecimal."""
        digest = hashlib.sha256()
        for path, content in self.files.items():
            digest.update(f"{path}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    def read(self, schema: TableSchema, written: CsvFormat = PLAIN) -> pa.Table:
        """The columns of `schema` that the files have, before any check of their values.

        `written` says how a CSV file writes its values.

        A CSV file of which a value does not fit its column's type is read as text, so that `check_table` can name
        the column and the rows. Raises SourceError for a file that is not of the format its name says.
        """
        try:
            parts = {path: _read_file(path, content, schema, written) for path, content in self.files.items()}
            self._check_columns(parts)
            return pa.concat_tables(parts.values(), promote_options="permissive" if len(parts) > 1 else "none")
        except _DAMAGED as error:
            raise SourceError(
                f"{shown(self.folder)}: table {self.name!r} cannot be read: {' '.join(str(error).split())}"
            ) from error

    def _check_columns(self, parts: dict[str, pa.Table]) -> None:
        first, *others = parts
        for path in others:
            differ = set(parts[first].column_names) ^ set(parts[path].column_names)
            if differ:
                raise SourceError(f"{self.folder}: {first} and {path} differ in having {', '.join(sorted(differ))}")


def fetch(uri: str, names: Iterable[str]) -> dict[str, RawTable]:
    """The tables `names` of the folder at `uri`: `<name>.parquet` (a file or a folder of files), `.csv` or `.csv.zip`.

    `uri` is a path or a URI of any protocol fsspec knows (`file://`, `memory://`, `s3://`, `gs://`), or
    `package://<name>` for the folder `data` of an installed package, which is not imported.

    Raises SourceError, naming the URI and the table, if the folder or a table is not there, if a table is there in two
    formats, if it cannot be fetched, and if the protocol needs a package that is not installed.
    """
    system, folder = open_uri(uri)
    try:
        entries = {entry["name"].rstrip("/").rsplit("/", 1)[-1]: entry for entry in system.ls(folder, detail=True)}
    except Exception as error:  # each driver has errors of its own
        raise SourceError(failure(uri, error, "the folder cannot be listed", "there is no such folder")) from error
    return {name: _fetch_table(system, uri, name, entries) for name in names}


def fetch_file(uri: str, name: str = "rows") -> RawTable:
    """The table at `uri`: a `.parquet`, `.csv`, `.csv.gz` or `.csv.zip` file, or a folder of Parquet files.

    Parameters
    ----------
    uri : str
        A path or a URI as of `fetch`; `package://<name>/<path>` is a file of an installed package.
    name : str
        What errors call the table.

    Raises
    ------
    SourceError
        Where there is nothing, or it cannot be fetched.
    """
    system, paths = files_of(uri)
    _, root = open_uri(uri)
    try:
        files = {path[len(root) :].lstrip("/") or path.rsplit("/", 1)[-1]: system.cat_file(path) for path in paths}
    except Exception as error:  # each driver has errors of its own
        raise SourceError(failure(uri, error, "it cannot be fetched")) from error
    return RawTable(name, uri, files)


def files_of(uri: str) -> tuple[Any, dict[str, int]]:
    """The file system of a table's URI, and the table's files, in order of path, with their sizes in bytes.

    Raises
    ------
    SourceError
        Where there is nothing, or it cannot be listed.
    """
    system, root = open_uri(uri)
    try:
        entry = system.info(root)
        if entry["type"] != "directory":
            return system, {root: int(entry["size"] or 0)}
        found = system.find(root, detail=True)
    except Exception as error:  # each driver has errors of its own
        raise SourceError(failure(uri, error, "it cannot be fetched")) from error
    files = {path: int(found[path]["size"] or 0) for path in sorted(filter(_is_part, found))}
    if not files:
        raise SourceError(f"{uri}: the folder has no .parquet files")
    return system, files


def open_uri(uri: str) -> tuple[Any, str]:
    """The file system of a URI and the path on it; `package://NAME` is the folder `data` of an installed package.

    Raises
    ------
    SourceError
        Where there is no such package, the file system cannot be opened, or the URI holds a password.
    """
    check_uri(uri)
    if uri.startswith(PACKAGE):
        name, _, below = uri.removeprefix(PACKAGE).partition("/")
        spec = find_spec(name) if name.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise SourceError(f"{uri}: there is no installed package {name!r}; try `{pip_install_command(name)}`")
        uri = str(Path(spec.submodule_search_locations[0]) / (below or "data"))
    try:
        system, folder = filesystem(uri)
    except StorageError as error:
        raise SourceError(str(error)) from error
    system.invalidate_cache()
    return system, folder


def _fetch_table(system: Any, uri: str, name: str, entries: dict[str, dict[str, Any]]) -> RawTable:
    found = [name + suffix for suffix in SUFFIXES if name + suffix in entries]
    if len(found) != 1:
        fault = f"is there as {' and '.join(found)}; keep one" if found else "is not there"
        wanted = ", ".join(name + suffix for suffix in SUFFIXES)
        raise SourceError(f"{uri}: table {name!r} {fault} (looked for {wanted})")
    entry = entries[found[0]]
    root = entry["name"].rstrip("/")
    try:
        paths = [root] if entry["type"] == "file" else sorted(filter(_is_part, system.find(root)))
        files = {found[0] + path[len(root) :]: system.cat_file(path) for path in paths}
    except Exception as error:  # each driver has errors of its own
        raise SourceError(failure(uri, error, f"table {name!r} cannot be fetched")) from error
    if not files:
        raise SourceError(f"{uri}: table {name!r} is a folder without .parquet files")
    return RawTable(name, uri, files)


def _is_part(path: str) -> bool:
    return path.endswith(".parquet") and not path.rsplit("/", 1)[-1].startswith((".", "_"))


def _read_file(path: str, content: bytes, schema: TableSchema, written: CsvFormat) -> pa.Table:
    if path.endswith(".parquet"):
        return _read_parquet(path, content, schema)
    if path.endswith(".zip"):
        content = _unzip(content, schema.name + ".csv")
    if path.endswith(".gz"):
        content = gzip.decompress(content)
    return read_csv(content, schema, written)


def _unzip(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        names = archive.namelist()
        if name not in names and len(names) != 1:
            raise zipfile.BadZipFile(f"the archive holds {len(names)} files and none is {name}")
        return archive.read(name if name in names else names[0])


def _read_parquet(path: str, content: bytes, schema: TableSchema) -> pa.Table:
    """One file of a table, with the columns that its path holds (`month=1/part.parquet`) as text.

    Where a column is missing all are read, so that a message can name those that there are.
    """
    names = [field.name for field in schema.fields]
    file = pa.parquet.ParquetFile(reader(content))
    found = file.schema_arrow.names
    held = [segment.partition("=") for segment in path.split("/")[:-1]]
    missing = set(names) - set(found) - {key for key, _, _ in held}
    table = file.read(columns=None if missing else [name for name in found if name in names])
    for key, equals, value in held:
        if equals and key in names and key not in table.column_names:
            table = table.append_column(key, pa.array([unquote(value)] * file.metadata.num_rows, pa.string()))
    return table
