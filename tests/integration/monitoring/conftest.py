"""A model of flights, a log of July with its labels and what the job says of it, for the whole session."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.problem import PROBLEM
from tabular_bento.data.dataset import Dataset
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift import evidently
from tabular_bento.monitoring.drift.job import Judgement, judge
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import WindowData
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.store import store_home
from tests.golden import monitored as golden
from tests.integration.misbehaving import bad, bad_grpc  # noqa: F401
from tests.integration.monitoring.logs import AUGUST, JULY, drawn, labels_of, post, record, year
from training.source import SOURCE, Flights, load_flights


@pytest.fixture(scope="session")
def flights() -> Flights:
    """The packaged flights."""
    return load_flights()


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """All flights."""
    return SOURCE.load()


@pytest.fixture(scope="session")
def package_folder() -> Path:
    """The golden package, the model of the default configuration, in the session's store."""
    name, version = golden.TAG.split(":")
    folder = store_home() / "models" / name / version
    return folder if folder.exists() else golden.write_package(folder)


@pytest.fixture(scope="session")
def package(package_folder: Path) -> ModelPackage:
    """The same, loaded."""
    return ModelPackage.load(package_folder, golden.TAG, PROBLEM)


@pytest.fixture
def package_copy(package_folder: Path, tmp_path: Path) -> Path:
    """A copy of it, to be altered."""
    return Path(shutil.copytree(package_folder, tmp_path / "package"))


@pytest.fixture(autouse=True)
def _reference(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model tags other than the session's have its package too."""
    monkeypatch.setattr(Reference, "load", lambda tag: Reference.read(package.directory, tag))


@pytest.fixture(scope="session", autouse=True)
def _drawn_once() -> Iterator[None]:
    """Evidently draws a window once for all jobs that report it: two seconds each."""
    drawn: dict[bytes, str | None] = {}
    plot = evidently.plot

    def once(result: DriftResult, reference: Reference, data: WindowData) -> str | None:
        digest = hashlib.sha256()
        for column in result.columns:
            digest.update(column.model_dump_json().encode())
        for table in (data.sample, reference.rows):
            for batch in table.combine_chunks().to_batches():
                digest.update(batch.serialize())
            digest.update(str(table.schema).encode())
        key = digest.digest()
        if key not in drawn:
            drawn[key] = plot(result, reference, data)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidently, "plot", once)
        yield


@pytest.fixture(scope="session")
def july_log(package: ModelPackage, flights: Flights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a server that predicted 2,000 flights of July, with their labels."""
    directory = tmp_path_factory.mktemp("july")
    table = drawn(flights, JULY, AUGUST, 2_000)
    post(directory, labels_of(table, record(directory, package, table)))
    return directory


@pytest.fixture(scope="session")
def july(july_log: Path, package: ModelPackage) -> Judgement:
    """What the job says of it."""
    return judge(year(july_log), package.tag, DriftSettings())
