from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tabular_bento.errors import PackageError
from tabular_bento.scoring.store import LEAST_FREE, check_writable, find_model, store_home
from tests.unit import models
from tests.unit.scoring.test_ledger import release


def test_the_store_is_where_bentoml_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    assert store_home() == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENTOML_HOME", "here")
    assert store_home() == tmp_path / "here"
    monkeypatch.setenv("BENTOML_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store_home() == tmp_path / "bentoml"


@pytest.mark.parametrize("tag", ["prices:first", "prices:latest", "prices", "prices:fir", "prices:champion"])
def test_a_tag_is_found_by_version_by_its_beginning_and_by_alias(home: Path, tag: str) -> None:
    found = find_model(tag)
    assert found == (models.folder_of(home, "prices:first"), "prices:first", None)


def test_the_champion_is_the_one_that_was_released(home: Path) -> None:
    record = release(home, "prices:second")
    found = find_model("prices:champion")
    assert (found.tag, found.release) == ("prices:second", record)
    assert found.directory == models.folder_of(home, "prices:second")


@pytest.mark.parametrize("tag", ["prices:none", "other:latest", "other:champion", "prices:"])
def test_what_is_not_there_is_reported(home: Path, tag: str) -> None:
    if tag == "prices:":
        assert find_model(tag).tag == "prices:first"
        return
    with pytest.raises(PackageError, match=rf"There is no model .* in the store {home}: run `tabular-bento train`"):
        find_model(tag)


def test_models_that_are_there_are_listed_the_latest_first(home: Path) -> None:
    for number, version in enumerate(("first", "second")):
        os.utime(models.folder_of(home, f"prices:{version}"), (number, number))
    with pytest.raises(PackageError, match=r"such as .*prices:second, prices:first"):
        find_model("prices:none")
    with pytest.raises(PackageError, match=r"run `tabular-bento train`\.$"):
        find_model("other:none")


def test_a_beginning_that_two_versions_share_is_none(home: Path) -> None:
    models.folder_of(home, "prices:fifth").mkdir()
    with pytest.raises(PackageError, match="There is no model prices:fi"):
        find_model("prices:fi")


@pytest.mark.parametrize("tag", ["", ":x", "../prices:first", "a/b:c", "prices:../first"])
def test_what_is_no_tag_is_refused(home: Path, tag: str) -> None:
    assert home.is_dir()
    with pytest.raises(PackageError, match="is no tag of a model"):
        find_model(tag)


class Usage(NamedTuple):
    """What `shutil.disk_usage` gives."""

    total: int
    used: int
    free: int


def test_a_store_is_probed_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in (tmp_path, tmp_path / "not" / "there"):
        monkeypatch.setenv("BENTOML_HOME", str(home))
        check_writable("prices")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["store", "store/models", "store/models/prices"])
def test_what_is_in_the_way_of_a_store_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("in the way")
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    with pytest.raises(PackageError, match=rf"store cannot be written: {tmp_path / place}: Not a directory\. Name .*"):
        check_writable("prices")


@pytest.mark.parametrize("reason", ["Permission denied", "Read-only file system", "No space left on device"])
def test_why_a_store_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    def refuse(**_: Any) -> None:
        raise OSError(5, reason)

    monkeypatch.setattr("tabular_bento.scoring.store.TemporaryFile", refuse)
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    with pytest.raises(PackageError, match=rf"cannot be written: {tmp_path}: {reason}\. Name .* by BENTOML_HOME"):
        check_writable("prices")


def test_a_store_that_is_nearly_full_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 30, 0, LEAST_FREE))
    check_writable("prices")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 30, 0, 5 << 20))
    with pytest.raises(PackageError, match=r"has 5 MiB left, and at least 64 are needed: remove models"):
        check_writable("prices")
