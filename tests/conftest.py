"""One small model and one running server for each worker of the session, in a model store of the tests' own."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

SESSION = Path(tempfile.mkdtemp(prefix="tabular-bento-"))
atexit.register(shutil.rmtree, SESSION, ignore_errors=True)
STORE = SESSION / "bentoml"
for name in [name for name in os.environ if name.startswith("TABULAR_BENTO_") or name == "PORT"]:
    del os.environ[name]
os.environ["BENTOML_HOME"] = str(STORE)
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ["XDG_STATE_HOME"] = str(SESSION / "state")
os.environ["TABULAR_BENTO_GRPC_PORT"] = "0"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin take the cores from the servers under test
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for the same reason: its threads wait for each other by spinning

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its import uses a deprecated name of pathspec
    import _bentoml_impl.server.app  # noqa: F401

from tests import commands, scheduling  # noqa: E402
from tests.environments import environment  # noqa: E402
from tests.models import ROOT, SMALL, run_command, trained_model  # noqa: E402
from tests.serving import ServedPort, serve  # noqa: E402

commands.address(SESSION)

if TYPE_CHECKING:
    from tabular_bento.scoring.package import ModelPackage
    from training.source import Flights

__all__ = ["ROOT", "SMALL", "STORE", "FullModel", "copy_of_store", "train"]


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """What builds images is slow. Workers begin with what takes long."""
    for item in items:
        if item.get_closest_marker("container"):
            item.add_marker(pytest.mark.slow)
    yield
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = scheduling.ordered(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The order in which workers are given files."""
    return scheduling.FilesInOrder(config, log) if config.getoption("dist") == "loadfile" else None


def train(*arguments: str, expect: int = 0, store: Path = STORE) -> subprocess.CompletedProcess[str]:
    """Run `tabular-bento train`, or another command of `python -m training`, in the session's store or in another."""
    result = run_command(*arguments, module="training", BENTOML_HOME=str(store))
    assert result.returncode == expect, result.stdout + result.stderr
    return result


@dataclass(frozen=True)
class FullModel:
    """The model of six months of flights: what training printed, and the store that it is in."""

    document: dict[str, Any]
    store: Path

    @property
    def tag(self) -> str:
        return str(self.document["tag"])

    @property
    def folder(self) -> Path:
        return self.store / "models" / self.tag.replace(":", "/")


@pytest.fixture(scope="session")
def flights() -> Flights:
    """The packaged flights."""
    from training.source import load_flights

    return load_flights()


@pytest.fixture(scope="session")
def trained() -> dict[str, Any]:
    """What `tabular-bento train --json` printed of the session's small model."""
    return trained_model("small", STORE)


@pytest.fixture(scope="session")
def trained_full(tmp_path_factory: pytest.TempPathFactory) -> FullModel:
    """The project's own model, in a store of its own. For slow tests."""
    store = tmp_path_factory.mktemp("full") / "bentoml"
    return FullModel(trained_model("full", store), store)


@pytest.fixture(scope="session")
def package_folder(trained: dict[str, Any]) -> Path:
    """Where the session's model package is."""
    return STORE / "models" / trained["tag"].replace(":", "/")


@pytest.fixture(scope="session")
def package(trained: dict[str, Any], package_folder: Path) -> ModelPackage:
    """The session's model, loaded."""
    from features.problem import PROBLEM
    from tabular_bento.scoring.package import ModelPackage

    return ModelPackage.load(package_folder, trained["tag"], PROBLEM)


@pytest.fixture
def package_copy(package_folder: Path, tmp_path: Path) -> Path:
    """A copy of the session's package, to be altered."""
    return Path(shutil.copytree(package_folder, tmp_path / "package"))


@pytest.fixture
def store_copy(trained: dict[str, Any], tmp_path: Path) -> Path:
    """A model store that holds a copy of the session's package, to be altered."""
    return copy_of_store(trained["tag"], tmp_path / "store")


def copy_of_store(tag: str, store: Path) -> Path:
    """A new store at `store` with the model `tag` of the session's store as its latest."""
    name, version = tag.split(":")
    shutil.copytree(STORE / "models" / name / version, store / "models" / name / version)
    (store / "models" / name / "latest").write_text(version)
    return store


@pytest.fixture(scope="session")
def server(trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPort]:
    """A running `bentoml serve` of the session's model."""
    with serve(tmp_path_factory.mktemp("server"), TABULAR_BENTO_MODEL=trained["tag"]) as served:
        yield served


@pytest.fixture(scope="session")
def triton() -> Path:
    """The Python of an environment that holds Triton's client, made again whenever its lock changes."""
    return environment("triton")
