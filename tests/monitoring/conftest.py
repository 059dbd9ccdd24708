"""A log of July with its outcomes and what the job says of it, for the whole session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.job import Judgement, judge
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.scoring.package import ModelPackage
from tests.monitoring.logs import AUGUST, JULY, drawn, outcomes_of, post, record, year
from tests.monitoring.misbehaving import bad, bad_grpc  # noqa: F401
from tests.monitoring.variants import Variants, make_variants
from training.source import Flights


@pytest.fixture(autouse=True)
def _reference(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model tags other than the session's have its package too."""
    monkeypatch.setattr(Reference, "load", lambda tag: Reference.read(package.directory, tag))


@pytest.fixture(scope="session")
def july_log(package: ModelPackage, flights: Flights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a server that predicted 2,000 flights of July, and was told what came true."""
    directory = tmp_path_factory.mktemp("july")
    table = drawn(flights, JULY, AUGUST, 2_000)
    post(directory, outcomes_of(table, record(directory, package, table)))
    return directory


@pytest.fixture(scope="session")
def july(july_log: Path, package: ModelPackage) -> Judgement:
    """What the job says of it."""
    return judge(year(july_log), package.tag, DriftSettings())


@pytest.fixture(scope="session")
def variants(package: ModelPackage, flights: Flights, tmp_path_factory: pytest.TempPathFactory) -> Variants:
    """The session's model and three like it, trained once."""
    return make_variants(package, flights, tmp_path_factory.mktemp("variants"))
