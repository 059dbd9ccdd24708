"""The project's own tests: what holds of every project, and the Pipeline's own predictions, which are the model's."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io

from tabular_bento import testing
from tabular_bento.training.importing import import_pipeline

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody made elsewhere."""
    made = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, PROJECT / "elsewhere" / "fit.py", made], check=True)
    return made


@pytest.fixture(scope="module")
def project(folder: Path) -> testing.ProjectUnderTest:
    here = testing.ProjectUnderTest.here()
    rows = folder / "sample.parquet"
    runner = import_pipeline(folder / "pipeline.skops", here.problem, here.dataset, rows=rows, trust=True)
    return replace(here, fitted=runner)


def test_it_holds_what_every_project_does(project: testing.ProjectUnderTest) -> None:
    testing.check_project(project)


def test_the_model_predicts_what_the_pipeline_does(project: testing.ProjectUnderTest, folder: Path) -> None:
    path = folder / "pipeline.skops"
    pipeline = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    columns = project.dataset.columns
    penguins = pd.DataFrame({name: columns[name] for name in pipeline.feature_names_in_})
    found = project.package.predictor.predict_columns(columns).outputs
    np.testing.assert_allclose(found["probability"], pipeline.predict_proba(penguins), rtol=0, atol=1e-14)
    assert found["sex"].tolist() == pipeline.predict(penguins).tolist()


def test_it_beats_the_naive_baseline(project: testing.ProjectUnderTest) -> None:
    measured, naive = project.model.metrics["test"], project.model.baselines["naive_baseline"]["test"]
    assert measured.log_loss < 0.7 * naive.log_loss
