"""A cache of finished tables as Parquet: keyed by content, written atomically, verified when read."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet

log = logging.getLogger(__name__)

FACTS, MANIFEST = "facts.json", "manifest.json"


@dataclass(frozen=True)
class Entry:
    """Finished tables by name, and what else is known of them as plain JSON values."""

    tables: dict[str, pa.Table]
    facts: dict[str, Any]


def default_folder() -> Path:
    """The folder that TABULAR_BENTO_DATA_CACHE_DIR names, or `.cache/data` in the working folder."""
    return Path(os.environ.get("TABULAR_BENTO_DATA_CACHE_DIR") or ".cache/data")


def digest_of_texts(texts: dict[str, str]) -> str:
    """SHA-256 of named texts, in hexadecimal, whatever their order."""
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()


def digest_of_tables(tables: dict[str, pa.Table]) -> str:
    """SHA-256 of the columns, types and values of tables, in hexadecimal; how Arrow lays them out has no part in it.

    The columns may be text, numbers and times.
    """
    digest = hashlib.sha256()
    for name in sorted(tables):
        digest.update(f"{name}\0{tables[name].num_rows}\0".encode())
        for field, column in zip(tables[name].schema, tables[name].columns, strict=True):
            digest.update(f"{field.name}\0{field.type}\0".encode())
            digest.update(pc.is_valid(column).to_numpy().tobytes())
            if pa.types.is_string(field.type):
                digest.update(pc.binary_length(column).fill_null(0).to_numpy().tobytes())
                digest.update("".join(column.drop_null().to_pylist()).encode())
            else:
                whole = column.cast(pa.int32()) if pa.types.is_date32(field.type) else column
                bits = whole if pa.types.is_floating(field.type) else whole.cast(pa.int64())
                digest.update(bits.fill_null(0).to_numpy().tobytes())
    return digest.hexdigest()


def cached(folder: Path, key: str, build: Callable[[], Entry]) -> Entry:
    """The entry `key` of the cache in `folder`; made with `build` and stored if it is missing or damaged.

    Any number of processes may ask at once: each gets a whole entry, and one of them is kept. A cache that cannot be
    written costs time and a warning in the log, not the result.
    """
    entry_folder = folder / key
    found = _load(entry_folder)
    if found is not None:
        return found
    entry = build()
    try:
        _store(entry_folder, entry)
    except OSError as error:
        log.warning("%s: the cache cannot be written, so the next load takes as long: %s", entry_folder, error)
    return entry


def _load(entry_folder: Path) -> Entry | None:
    """The entry at `entry_folder`, or None if there is none or any of its files is not as it was written."""
    try:
        manifest: dict[str, str] = json.loads((entry_folder / MANIFEST).read_bytes())
        contents = {name: _read(entry_folder / name) for name in manifest}
        for name, content in contents.items():
            if _sha256(content) != manifest[name]:
                raise ValueError(f"{name} has changed")
        facts = json.loads(contents.pop(FACTS).to_pybytes())
        return Entry({Path(name).stem: _from_parquet(content) for name, content in contents.items()}, facts)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s: this cache entry is damaged and is made again: %s", entry_folder, error)
        return None


def _read(path: Path) -> pa.Buffer:
    """The bytes of a file in memory of Arrow: `tabular_bento.data.raw` says why its threads must share none of ours."""
    with pa.OSFile(str(path)) as file:
        return file.read_buffer()


def _from_parquet(content: pa.Buffer) -> pa.Table:
    """The table as it was written; Parquet alone has no timestamps in seconds and gives them back in milliseconds."""
    file = pa.parquet.ParquetFile(pa.BufferReader(content))
    written = pa.ipc.read_schema(pa.py_buffer(b64decode(file.metadata.metadata[b"ARROW:schema"])))
    return file.read().cast(written)


def _store(entry_folder: Path, entry: Entry) -> None:
    made = entry_folder.parent / f".making-{uuid4().hex}"
    made.mkdir(parents=True)
    try:
        (made / FACTS).write_text(json.dumps(entry.facts, indent=1))
        for name, table in entry.tables.items():
            pa.parquet.write_table(table, made / f"{name}.parquet", compression="zstd")
        manifest = {path.name: _sha256(path.read_bytes()) for path in sorted(made.iterdir())}
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1))
        _put(made, entry_folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _put(made: Path, entry_folder: Path) -> None:
    """Rename the finished folder to `entry_folder`; what is there stays if it is whole, and makes way if not."""
    if entry_folder.exists() and _load(entry_folder) is None:
        aside = made.with_name(f".damaged-{uuid4().hex}")
        with suppress(FileNotFoundError):  # another process was first
            entry_folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    try:
        made.rename(entry_folder)
    except OSError:
        if not entry_folder.exists():  # otherwise another process put the same entry
            raise


def _sha256(content: bytes | pa.Buffer) -> str:
    return hashlib.sha256(content).hexdigest()
