"""The test months as two models predict them."""

from __future__ import annotations

import pytest

from features.problem import PROBLEM
from tabular_bento.data.dataset import Dataset
from tabular_bento.monitoring.comparison.models import PackageModel
from tabular_bento.monitoring.comparison.predictions import PairedPredictions, Worst, gather
from tabular_bento.monitoring.comparison.rows import Found, unseen_rows
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.scoring.package import ModelPackage
from tests.integration.monitoring.variants import Variants, make_variants

NO_LATENCY = CompareSettings(max_latency_ratio=None)
"""Times of a busy machine are no part of a test."""


@pytest.fixture(scope="session")
def variants(package: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> Variants:
    """The session's model and three like it."""
    return make_variants(package, tmp_path_factory.mktemp("variants"))


@pytest.fixture(scope="module")
def paired(variants: Variants, dataset: Dataset) -> PairedPredictions:
    """The test months, predicted by the session's model and by one that is nearly equal."""
    models = PackageModel.load(variants.own, PROBLEM), PackageModel.load(variants.near, PROBLEM)
    declaration = PROBLEM.declaration
    rows = unseen_rows(*models, dataset, NO_LATENCY, Found(""))
    return gather(rows, *models, declaration, Worst(0, declaration))
