"""A package of a network that Keras fitted, served where Keras, JAX and h5py cannot be imported."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tabular_bento.client import PROTOCOLS, Client, Protocol
from tabular_bento.features import Extractor
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.runners.base import FittingData
from tabular_bento.scoring.runners.keras import KerasRunner
from tabular_bento.scoring.runners.keras_fitting import KerasParameters
from tests.models import ROOT
from tests.serving import ServedPort, serve
from tests.unit import classes
from tests.unit.models import folder_of

NAME, COUNT = "zones", 20
PROBLEM = classes.PROBLEMS[NAME]

WITHOUT_KERAS = """\
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path


class Refused(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "jax", "jaxlib", "h5py"):
            raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, Refused())
Path(__file__).with_name("refuses").touch()
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    rows = classes.dataset(NAME)
    labelled = rows.where(rows.labelled)
    extractor = Extractor.fit(PROBLEM.fields, PROBLEM.features, [labelled.fit_data], labelled.tables)
    X = extractor.transform_columns(labelled.columns)
    data = FittingData(X, labelled.residual, names=PROBLEM.feature_names, coded=PROBLEM.features.coded)
    parameters = KerasParameters(units=(8,), epochs=5, learning_rate=0.02)
    return Predictor(PROBLEM, extractor, KerasRunner.fit(data, parameters, PROBLEM.task, 1))


@pytest.fixture(scope="module")
def server(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPort]:
    folder = tmp_path_factory.mktemp("keras")
    project, hidden, store = folder / "project", folder / "hidden", folder / "store"
    (project / "features").mkdir(parents=True)
    (project / "features" / "__init__.py").touch()
    (project / "features" / "problem.py").write_text("from tests.unit.classes import ZONES as PROBLEM\n")
    (project / "pyproject.toml").write_text('[tool.tabular-bento]\nproblem = "features.problem:PROBLEM"\n')
    shutil.copy(ROOT / "examples" / "diabetes" / "service.py", project)
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(WITHOUT_KERAS)
    package = folder_of(store, f"{NAME}:one")
    classes.write(package, NAME, predictor)
    (package / "model.yaml").write_text(classes.ENTRY.format(name=NAME, version="one"))
    write_manifest(package)
    (store / "models" / NAME / "latest").write_text("one")
    path = os.pathsep.join(map(str, (hidden, project, ROOT)))
    with serve(folder, cwd=project, BENTOML_HOME=str(store), PYTHONPATH=path) as port:
        assert (hidden / "refuses").exists()
        yield port


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_is_served_over_every_protocol(server: ServedPort, predictor: Predictor, protocol: Protocol) -> None:
    wanted = predictor.predict_columns(classes.dataset(NAME).where(slice(0, COUNT)).columns).outputs["probability"]
    with Client(server.process.url, f"127.0.0.1:{server.grpc_port}") as client:
        rows = classes.requests(NAME, COUNT)
        batch = [list(one["probability"].values()) for one in client.predict(rows, protocol)]
        alone = [list(one["probability"].values()) for one in client.predict(rows[:1], protocol)]
    assert batch == wanted.tolist()
    assert alone == wanted[:1].tolist()


def test_the_package_says_what_it_is_served_by(server: ServedPort) -> None:
    _, document = server.get("/model")
    assert document["runner"] == "keras"
    assert document["exact"] is True
    assert document["tolerance"] == 0
