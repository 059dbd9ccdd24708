"""One trained model and one running server for the whole session, in a model store of the tests' own."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

STORE = Path(tempfile.mkdtemp(prefix="bentoml-store-"))
atexit.register(shutil.rmtree, STORE, ignore_errors=True)
os.environ["BENTOML_HOME"] = str(STORE)
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin take the cores from the servers under test
for name in ("MODEL_TAG", "SHADOW_MODEL", "TRAFFIC_DIR", "PORT", "GRPC_PORT"):
    os.environ.pop(name, None)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its import uses a deprecated name of pathspec
    import _bentoml_impl.server.app  # noqa: F401

from tabular_bento.scoring.package import ModelPackage  # noqa: E402
from tests.environments import environment  # noqa: E402
from tests.serving import ServedPort, serve  # noqa: E402
from training.source import Flights, load_flights  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def train(*arguments: str, expect: int = 0, store: Path = STORE) -> subprocess.CompletedProcess[str]:
    """Run `python -m training`, in the session's store or in another."""
    command = [sys.executable, "-m", "training", *arguments]
    environment = {**os.environ, "BENTOML_HOME": str(store)}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == expect, result.stderr
    return result


@pytest.fixture(scope="session")
def flights() -> Flights:
    """The packaged flights."""
    return load_flights()


@pytest.fixture(scope="session")
def trained() -> dict[str, Any]:
    """What `python -m training --json` says of the session's model."""
    document: dict[str, Any] = json.loads(train("--json").stdout.splitlines()[-1])
    return document


@pytest.fixture(scope="session")
def package_folder(trained: dict[str, Any]) -> Path:
    """Where the session's model package is."""
    name, version = trained["tag"].split(":")
    return STORE / "models" / name / version


@pytest.fixture(scope="session")
def package(trained: dict[str, Any], package_folder: Path) -> ModelPackage:
    """The session's model, loaded."""
    return ModelPackage.load(package_folder, trained["tag"])


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
    with serve(tmp_path_factory.mktemp("server"), MODEL_TAG=trained["tag"]) as served:
        yield served


@pytest.fixture(scope="session")
def triton() -> Path:
    """The Python of an environment that holds Triton's client, made again whenever its lock changes."""
    return environment("triton")
