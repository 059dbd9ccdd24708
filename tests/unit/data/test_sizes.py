"""The size of a table, without reading it."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tabular_bento.data import TableSource
from tabular_bento.data.sizes import table_size
from tabular_bento.errors import SourceError
from tests.unit.models import PARCELS

ROWS = 200_000
CSV = "a,b\n" + "".join(f"{row},{row * 3}\n" for row in range(ROWS))


def test_parquet_says_how_many_rows_it_has(tmp_path: Path) -> None:
    table = pa.table({"a": range(1000)})
    pq.write_table(table, tmp_path / "one.parquet")
    assert table_size(str(tmp_path / "one.parquet")).rows == 1000
    (tmp_path / "folder").mkdir()
    for part in range(3):
        pq.write_table(table.slice(0, 100 * part), tmp_path / "folder" / f"{part}.parquet")
    size = table_size(str(tmp_path / "folder"))
    files = sum(path.stat().st_size for path in (tmp_path / "folder").iterdir())
    assert (size.rows, size.held) == (300, 2 * files)


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.csv.zip"])
def test_the_rows_of_csv_are_estimated(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    match path.suffix:
        case ".csv":
            path.write_text(CSV)
        case ".gz":
            path.write_bytes(gzip.compress(CSV.encode()))
        case _:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("rows.csv", CSV)
    assert table_size(str(path)).rows == pytest.approx(ROWS, rel=0.1)


@pytest.mark.parametrize(
    ("content", "rows"), [("a,b\n1,2\n3,4\n", 2), ("a,b\n1,2\n3,4", 2), ("a,b\n", 0), ("a,b", 0), ("", 0)]
)
def test_those_of_a_small_one_are_counted(content: str, rows: int, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(content)
    assert table_size(str(tmp_path / "rows.csv")).rows == rows


def test_it_is_known_on_other_file_systems() -> None:
    system = fsspec.filesystem("memory")
    system.pipe_file("/sized/rows.csv", b"a,b\n1,2\n")
    try:
        assert TableSource(PARCELS, "memory://sized/rows.csv").size().rows == 1
    finally:
        system.rm("/sized", recursive=True)


def test_what_is_not_there_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file"):
        table_size(str(tmp_path / "none.csv"))
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match=r"rows\.parquet: it cannot be read"):
        table_size(str(tmp_path / "rows.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"the folder has no \.parquet files"):
        table_size(str(tmp_path / "empty"))
