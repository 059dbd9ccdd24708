"""What a pass spills: all of it comes back, by partition, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tabular_bento.errors import SpillError
from tabular_bento.monitoring.window.spill import (
    MOST_PARTITIONS,
    PARTITION_BYTES,
    Spill,
    partitions_of,
    spill_folder,
)

rng = np.random.default_rng(0)
NOTHING = pa.table({})


def rows(count: int) -> dict[str, np.ndarray]:
    return {
        "k0": rng.integers(2**64, size=count, dtype=np.uint64),
        "time": np.arange(count),
        "codes": rng.integers(256, size=(count, 3)).astype(np.uint8),
    }


@pytest.mark.parametrize("partitions", [1, 2, 64])
def test_every_row_is_in_one_partition(tmp_path: Path, partitions: int) -> None:
    everything = rows(5_000)
    with spill_folder(str(tmp_path), partitions) as spill:
        names = []
        for first, last in ((0, 2_000), (2_000, 5_000)):
            with spill.writer() as writer:
                for start in range(first, last, 900):
                    chosen = slice(start, min(start + 900, last))
                    writer.add({name: each[chosen] for name, each in everything.items()})
            names += writer.names
        assert len(names) == 2
        files = spill.open(names)
        parts = [files.read(index, NOTHING) for index in range(partitions)]
        for index, part in enumerate(parts):
            assert (part["k0"].to_numpy() // np.uint64(2**63 // partitions) // np.uint64(2) == index).all()
        together = pa.concat_tables(parts).sort_by("time")
        assert together["k0"].to_pylist() == everything["k0"].tolist()
        assert b"".join(together["codes"].to_pylist()) == everything["codes"].tobytes()


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    with spill_folder(str(tmp_path), 4) as spill:
        with spill.writer() as writer:
            pass
        assert writer.names == []
        assert spill.open([]).read(3, NOTHING) is NOTHING


def test_partitions_follow_the_size_of_the_log() -> None:
    assert [partitions_of(size) for size in (0, 1, PARTITION_BYTES)] == [1, 1, 1]
    assert [partitions_of(times * PARTITION_BYTES) for times in (2, 3, 5, 10**6)] == [2, 4, 8, MOST_PARTITIONS]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with spill_folder(str(tmp_path), 1) as spill, spill.writer() as writer:
            writer.add(rows(10))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SpillError, match=r"file, where .* cannot be made: .*--spill"),
        spill_folder(str(tmp_path / "file"), 1),
    ):
        pass
    with pytest.raises(SpillError, match="does not see"), Spill(tmp_path / "elsewhere").writer() as writer:
        writer.add(rows(1))
    with pytest.raises(SpillError, match="does not see"):
        Spill(tmp_path / "elsewhere").open(["gone.arrow"])


def test_a_uri_is_refused() -> None:
    with pytest.raises(SpillError, match=r"s3://bucket/spill.*a folder"), spill_folder("s3://bucket/spill", 1):
        pass
