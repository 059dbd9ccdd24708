"""One image for all tests of the container, made by `make ship` from nothing, on a base that stands in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.record import Record
from tabular_bento.testing.container import RunningImage
from tests.conftest import ROOT
from tests.integration.container.engine import CONTAINERS_CONF, require_engine, stand_in


@dataclass(frozen=True)
class Shipped:
    """What `make ship` left behind."""

    record: Record
    output: str
    folder: Path
    store: Path

    @property
    def package(self) -> Path:
        """The folder of the model package that was shipped."""
        return self.store / "models" / self.record.model.replace(":", "/")

    @property
    def bento(self) -> Path:
        """The folder of the bento."""
        return self.store / "bentos" / self.record.bento.replace(":", "/")

    @property
    def environment(self) -> dict[str, str]:
        """The environment that the steps ran in."""
        return {**os.environ, "BENTOML_HOME": str(self.store), "SHIP_DIR": str(self.folder)}


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """podman, configured for tight limits."""
    require_engine()
    path = tmp_path_factory.mktemp("engine") / "containers.conf"
    path.write_text(CONTAINERS_CONF)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(path))
        yield


@pytest.fixture(scope="session")
def base(engine: None, tmp_path_factory: pytest.TempPathFactory) -> str:  # noqa: ARG001
    """Name of the base image."""
    return stand_in(tmp_path_factory.mktemp("stand-in"))


@pytest.fixture(scope="session")
def shipped(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    """`make ship`, from data to a smoke-tested image."""
    folder, store = tmp_path_factory.mktemp("ship"), tmp_path_factory.mktemp("ship-store")
    outside = {name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES")}
    environment = {**outside, "BENTOML_HOME": str(store), "SHIP_DIR": str(folder), "BASE_IMAGE": base, "SCAN": "no"}
    made = subprocess.run(
        ["make", "--no-print-directory", "ship"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    record = Record.read(folder, needs="image")
    yield Shipped(record, made.stdout, folder, store)
    subprocess.run(["podman", "image", "rm", "--force", record.image_id], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def volume(engine: None) -> Iterator[str]:  # noqa: ARG001
    """Name of a volume for a traffic log, removed afterwards."""
    name = f"traffic-{os.urandom(6).hex()}"
    yield name
    subprocess.run(["podman", "volume", "rm", "--force", name], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def running(shipped: Shipped) -> Iterator[RunningImage]:
    """The image run as it should be, on one processor."""
    name = f"traffic-{os.urandom(6).hex()}"
    with RunningImage(shipped.record.image_id, volume=name, cpus=1, memory_mib=512) as container:
        yield container
    subprocess.run(["podman", "volume", "rm", "--force", name], check=True, stdout=subprocess.DEVNULL)
