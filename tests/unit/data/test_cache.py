from __future__ import annotations

import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from tabular_bento.data.cache import Entry, cached, default_folder, digest_of_tables, digest_of_texts

TABLE = pa.table(
    {
        "name": pa.array(["a", None, "ü", ""]),
        "count": pa.array([1, 2, None, 4]),
        "size": pa.array([0.5, None, -1.0, 0.0]),
        "local": pa.array([datetime(2013, 3, 10, 2, 30)] * 4, pa.timestamp("s")),
        "moment": pa.array([None, *[datetime(2013, 3, 10, tzinfo=UTC)] * 3], pa.timestamp("s", "UTC")),
    }
)
ENTRY = Entry({"things": TABLE}, {"cancelled": 3, "by": {"size": 1}})

WORKER = """
import sys, time
from pathlib import Path
import pyarrow as pa
from tabular_bento.data.cache import Entry, cached

def build():
    Path(sys.argv[1], f"building-{sys.argv[2]}").touch()
    while len(list(Path(sys.argv[1]).glob("building-*"))) < 4:
        time.sleep(0.005)
    return Entry({"things": pa.table({"x": list(range(200_000))})}, {"sum": 7})

entry = cached(Path(sys.argv[1], "cache"), "key", build)
assert entry.facts == {"sum": 7} and entry.tables["things"]["x"].to_pylist() == list(range(200_000))
"""


def build() -> Entry:
    return ENTRY


def must_not_build() -> Entry:
    raise AssertionError("the entry is in the cache")


def test_gives_back_what_was_stored(tmp_path: Path) -> None:
    assert cached(tmp_path, "key", build) is ENTRY
    again = cached(tmp_path, "key", must_not_build)
    assert again.facts == ENTRY.facts
    assert again.tables["things"].equals(TABLE)
    assert again.tables["things"].schema.equals(TABLE.schema)


def test_keys_are_apart(tmp_path: Path) -> None:
    cached(tmp_path, "one", build)
    other = Entry({}, {"other": True})
    assert cached(tmp_path, "two", lambda: other) is other
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize("name", ["things.parquet", "facts.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_damaged_entry_is_made_again(name: str, damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cached(tmp_path, "key", build)
    file = tmp_path / "key" / name
    content = file.read_bytes()
    middle = len(content) // 2
    match damage:
        case "flip":
            file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        case "cut":
            file.write_bytes(content[:middle])
        case "empty":
            file.write_bytes(b"")
        case "remove":
            file.unlink()
    with caplog.at_level(logging.WARNING):
        assert cached(tmp_path, "key", build) is ENTRY
    assert cached(tmp_path, "key", must_not_build).tables["things"].equals(TABLE)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    if damage != "remove" and name != "manifest.json":
        assert f"{name} has changed" in caplog.text


def test_every_byte_of_the_data_is_verified(tmp_path: Path) -> None:
    cached(tmp_path, "key", build)
    file = tmp_path / "key" / "facts.json"
    content = file.read_bytes()
    for index in range(len(content)):
        file.write_bytes(content[:index] + bytes([content[index] ^ 4]) + content[index + 1 :])
        assert cached(tmp_path, "key", build) is ENTRY


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_race(damaged: bool, tmp_path: Path) -> None:
    if damaged:
        place = tmp_path / "cache" / "key"
        place.mkdir(parents=True)
        (place / "manifest.json").write_text("{")
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    workers = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(4)]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["key"]
    assert cached(tmp_path / "cache", "key", must_not_build).facts == {"sum": 7}


def test_failed_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        cached(tmp_path, "key", must_not_build)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_cache_costs_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    assert cached(tmp_path / "file" / "cache", "key", build) is ENTRY
    assert "the cache cannot be written" in caplog.text


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TABULAR_BENTO_DATA_CACHE_DIR", raising=False)
    assert default_folder() == Path(".cache/data")
    monkeypatch.setenv("TABULAR_BENTO_DATA_CACHE_DIR", os.fspath(tmp_path))
    assert default_folder() == tmp_path


def test_digest_of_texts_has_no_order_and_no_seams() -> None:
    assert digest_of_texts({"a": "1", "b": "2"}) == digest_of_texts({"b": "2", "a": "1"})
    assert digest_of_texts({"a": "12", "b": ""}) != digest_of_texts({"a": "1", "b": "2"})


def test_digest_of_tables_ignores_layout() -> None:
    digest = digest_of_tables({"things": TABLE})
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 2), TABLE.slice(3)])
    padded = pa.concat_tables([TABLE, TABLE]).combine_chunks().slice(4)
    assert digest_of_tables({"things": chunked}) == digest_of_tables({"things": padded}) == digest


@pytest.mark.parametrize(
    "other",
    [
        TABLE.slice(1),
        TABLE.take(pa.array([1, 0, 2, 3])),
        TABLE.drop("size"),
        TABLE.rename_columns({"size": "length"}),
        TABLE.set_column(0, "name", pa.array(["a", "", "ü", ""])),
        TABLE.set_column(0, "name", pa.array([None, "a", "ü", ""])),
        TABLE.set_column(0, "name", pa.array(["aü", None, "", ""])),
        TABLE.set_column(1, "count", pa.array([1, 2, 0, 4])),
        TABLE.set_column(1, "count", pa.array([1.0, 2.0, None, 4.0])),
        TABLE.set_column(2, "size", pa.array([0.5, None, -1.0, 5e-324])),
    ],
)
def test_digest_of_tables_sees_every_change(other: pa.Table) -> None:
    assert digest_of_tables({"things": other}) != digest_of_tables({"things": TABLE})
