"""The test months as two models predict them."""

from __future__ import annotations

import pytest

from tabular_bento.monitoring.compare.batches import Found
from tabular_bento.monitoring.compare.pairs import Pairs, Worst, gather
from tabular_bento.monitoring.compare.settings import CompareSettings
from tabular_bento.monitoring.compare.sides import PackageSide
from tabular_bento.monitoring.compare.sources import unseen_months
from tests.monitoring.variants import Variants

NO_LATENCY = CompareSettings(max_latency_ratio=None)
"""Times of a busy machine are no part of a test."""


@pytest.fixture(scope="module")
def pairs(variants: Variants) -> Pairs:
    """The test months, predicted by the session's model and by one of another seed."""
    sides = PackageSide.load(variants.own), PackageSide.load(variants.seed)
    return gather(unseen_months(*sides, NO_LATENCY, Found("")), *sides, Worst(0))
