"""What a pass sets aside: all of it comes back, by ranges, and nothing is left behind."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tabular_bento.errors import SpillError
from tabular_bento.monitoring.window import spill as module
from tabular_bento.monitoring.window.records import LABEL_KIND
from tabular_bento.monitoring.window.spill import BUCKETS, RANGE_ROWS, Spill, Writer, cut, ranges, spill_folder

rng = np.random.default_rng(0)


def rows(count: int) -> np.ndarray:
    made = np.empty(count, LABEL_KIND)
    made["key"] = rng.integers(2**64, size=count, dtype=np.uint64)
    made["time"], made["value"] = np.arange(count), rng.normal(size=count)
    return made


@pytest.mark.parametrize("place", ["", "file://", "memory://"])
def test_every_row_is_in_one_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setattr(module, "RUN_ROWS", 700)
    everything = rows(5_000)
    with spill_folder(f"{place}{tmp_path}") as spill:
        writer = Writer(spill, LABEL_KIND)
        for start in range(0, 5_000, 900):
            writer.add(everything[start : start + 900])
        runs = writer.flush()
        assert len(runs) == 8
        parts = [spill.read(cut(runs, *place), LABEL_KIND) for place in ranges(10 * RANGE_ROWS)]
    assert len(parts) == 16
    for lower, upper in pairwise(parts):
        assert lower["key"].max() < upper["key"].min()
    assert np.sort(np.concatenate(parts), order="time").tobytes() == everything.tobytes()


def test_ranges_cover_all_buckets_and_are_never_more() -> None:
    for count in (0, 1, RANGE_ROWS, RANGE_ROWS + 1, 10**7, 10**12):
        places = ranges(count)
        assert [first for first, _ in places] == [0, *(last for _, last in places[:-1])]
        assert places[-1][1] == BUCKETS
    assert len(ranges(RANGE_ROWS)) == 1
    assert len(ranges(10**12)) == BUCKETS


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with spill_folder(str(tmp_path)) as spill:
            spill.write(rows(10))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpillError, match=r"file.*--spill"), spill_folder(str(tmp_path / "file")):
        pass
    with pytest.raises(SpillError, match="does not see"):
        Spill(str(tmp_path / "elsewhere")).write(rows(1))
