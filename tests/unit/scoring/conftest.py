"""A small package outside of a store, to be read or altered."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tabular_bento.scoring.package import ModelPackage
from tests.unit import models


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of `PRICES`; not to be altered."""
    folder = tmp_path_factory.mktemp("package") / "prices"
    models.write(folder, models.trained())
    return folder


@pytest.fixture(scope="session")
def prices_package(folder: Path) -> ModelPackage:
    """That package, loaded."""
    return ModelPackage.load(folder, "prices:small", models.PRICES)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of it, to be altered."""
    return Path(shutil.copytree(folder, tmp_path / "package"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two models of `PRICES`, `prices:first` and `prices:second`, none released."""
    home = tmp_path / "home"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    models.store_of_two(home, models.trained())
    return home
