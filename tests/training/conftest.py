"""More trained models, each in a store of its own so that the session's stays the latest in the session's store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from features.history import References
from tabular_bento.training.config import load_config
from tabular_bento.training.examples import Examples, examples_between
from tests.conftest import train
from tests.releases import store_of_two
from training.source import Flights


@dataclass(frozen=True)
class OtherModel:
    """What `python -m training --json` said of a model, and where it saved it."""

    document: dict[str, Any]
    store: Path

    @property
    def folder(self) -> Path:
        return self.store / "models" / self.document["tag"].replace(":", "/")


def train_other(store: Path, *arguments: str) -> OtherModel:
    return OtherModel(json.loads(train("--json", *arguments, store=store).stdout.splitlines()[-1]), store)


@pytest.fixture(scope="session")
def sklearn_model(tmp_path_factory: pytest.TempPathFactory) -> OtherModel:
    """A model of the other runner."""
    return train_other(tmp_path_factory.mktemp("store"), "--runner", "sklearn")


@pytest.fixture(scope="session")
def references(flights: Flights) -> References:
    """The planes and airports of the packaged flights."""
    return flights.references


@pytest.fixture(scope="session")
def train_part(flights: Flights) -> Examples:
    """The training flights of the default split."""
    return examples_between(flights, load_config().split.train)


@pytest.fixture
def store(trained: dict[str, Any], tmp_path: Path) -> Path:
    """Two models, none released."""
    return store_of_two(trained["tag"], tmp_path / "store")
