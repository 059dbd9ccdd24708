"""A runner of another distribution, built from docs/write-a-runner.md: found, checked, trained and served."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabular_bento import Client, FeatureSet, Field, Kind, Problem, Regression, TableSource, publish, serve, train
from tabular_bento.errors import PackageError
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.runners import kinds, runner_class
from tabular_bento.scoring.store import find_model
from tabular_bento.training import load_config
from tests.runner_page import settings, write_files
from tests.tables import written

FIELDS = (Field("area", Kind.NUMBER, optional=True), Field("rooms", Kind.INTEGER), Field("city", Kind.TEXT))
PROBLEM = Problem(
    name="flats", fields=FIELDS, task=Regression(Field("rent", Kind.NUMBER)), features=FeatureSet.of_fields(FIELDS)
)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that the distribution's wheel is installed in, which is on the path."""
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    write_files(source)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    importlib.invalidate_caches()
    yield source
    sys.modules.pop("neighbours", None)


@pytest.mark.slow
def test_a_runner_of_another_distribution_is_checked_trained_and_served(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kinds()[-1] == "neighbours"
    test: dict[str, object] = {}
    exec((installed / "test_neighbours.py").read_text(), test)
    test["test_it_is_a_runner"]()  # type: ignore[operator]

    random = np.random.default_rng(0)
    area, city = random.normal(75, 25, 300).round(1), random.choice(["Ulm", "Bonn"], 300)
    rent = 200 + 8 * area + 150 * (city == "Bonn") + random.normal(0, 30, 300)
    table = pd.DataFrame({"area": area, "rooms": random.integers(1, 6, 300), "city": city, "rent": rent.round(2)})
    written(table, tmp_path / "flats.csv")
    (tmp_path / "config.toml").write_text("report = false\nresamples = 100\n" + settings())
    config = load_config(tmp_path / "config.toml", problem=PROBLEM)
    assert config.runner_parameters == runner_class("neighbours").Parameters(neighbours=40)

    model = train(PROBLEM, TableSource(PROBLEM, str(tmp_path / "flats.csv")).load(), config)
    assert model.metrics["test"].to_dict()["rmse"] < 0.6 * rent.std()
    tag, _ = publish(model)
    row = {"area": 71.5, "rooms": 3, "city": "Ulm"}
    with serve(PROBLEM, tag, traffic_dir=tmp_path / "traffic") as url, Client(url) as client:
        assert 600 < client.predict([row])[0]["rent"] < 950
        described = client.model()
    assert (described["runner"], described["exact"], described["tolerance"]) == ("neighbours", True, 0.0)

    folder = find_model(tag).directory
    package = json.loads((folder / "package.json").read_text())
    assert package["runner"]["distribution"] == "tabular-bento-neighbours"
    assert package["runner"]["version"] == "0.1.0"
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path / "site")])
    with pytest.raises(PackageError, match=r"wants the runner 'neighbours'.*entry point tabular_bento.runners"):
        ModelPackage.load(folder, tag, PROBLEM)
