"""A training that there is no memory for is not begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from tabular_bento.data.sizes import Size
from tabular_bento.errors import ConfigError, MemoryLimitError
from tabular_bento.training import train
from tabular_bento.training.memory import Memory, available, check_dataset, check_memory, needed, taken_by
from tests.unit.classes import LATE, ZONES
from tests.unit.models import DATED, PARCELS, parcels


def test_what_is_needed_grows_with_rows_fields_classes_and_files() -> None:
    one, ten = needed(PARCELS, Size(1_000_000)), needed(PARCELS, Size(10_000_000))
    assert 5 * one < ten < 10 * one
    assert needed(DATED, Size(1_000_000)) > one
    assert needed(ZONES, Size(1_000_000)) > needed(LATE, Size(1_000_000)) + 400 * 1_000_000
    assert needed(PARCELS, Size(1_000_000, held=10**9)) == one + 10**9


def test_a_table_that_fits_is_trained_on_and_a_larger_one_is_not() -> None:
    memory = Memory(2 * 10**9, "the container's limit")
    check_memory(PARCELS, Size(100_000), memory)
    with pytest.raises(MemoryLimitError) as error:
        check_memory(PARCELS, Size(50_000_000), memory)
    message = str(error.value)
    assert "Training parcels on 50,000,000 rows of 3 fields and 3 features needs about " in message
    assert "2.0 GB may be taken (the container's limit). Nothing was read." in message
    assert "TABULAR_BENTO_MEMORY_LIMIT sets another limit" in message


def test_the_function_begins_no_training_that_there_is_no_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = parcels()
    check_dataset(PARCELS, rows)
    assert taken_by(rows) > rows.target.nbytes
    monkeypatch.setenv("TABULAR_BENTO_MEMORY_LIMIT", "200 MB")
    with pytest.raises(MemoryLimitError, match=r"Training parcels on 300 rows of .* Nothing was trained\. Read fewer"):
        train(PARCELS, rows)


@pytest.mark.parametrize(
    ("text", "size"), [("500 MB", 500_000_000), ("4GB", 4 * 10**9), ("1.5 gb", 1_500_000_000), ("123456", 123_456)]
)
def test_the_limit_is_set_by_the_environment(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABULAR_BENTO_MEMORY_LIMIT", text)
    assert available() == Memory(size, "TABULAR_BENTO_MEMORY_LIMIT")


@pytest.mark.parametrize("text", ["much", "-1 GB", "4 XB", "GB"])
def test_what_is_no_size_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABULAR_BENTO_MEMORY_LIMIT", text)
    with pytest.raises(ConfigError, match="is no size, such as 4 GB"):
        available()


def test_a_container_s_limit_comes_before_what_the_machine_has(tmp_path: Path) -> None:
    assert available(tmp_path).source == "free on this machine"
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(f"{600 << 20}\n")
    found = available(tmp_path)
    assert found.source == "the container's limit"
    assert found.size < 600 << 20
