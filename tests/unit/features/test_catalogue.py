from __future__ import annotations

from typing import Any

import numpy as np

from tabular_bento.features import Extractor, FeatureSet, GroupMean, Vocabulary, derived, feature
from tabular_bento.features.catalogue import fitted_state, inputs_of
from tests.unit.problems import FEATURES, FIELDS, TABLES, fit_data

NAMES = ("city", "opened", "area", "floor")


@derived(size=24)
def hour(row: Any) -> Any:
    return row.opened % 86_400 // 3600


@feature()
def by_look_up(row: Any) -> Any:
    """By a look-up alone."""
    return row.mean


@feature()
def by_numpy(row: Any) -> Any:
    """By NumPy's functions and a comparison."""
    return np.where(np.sqrt(row.area) > 2, -row.area / row.floor, abs(row.floor))


MEAN = GroupMean(of="target", by=("city", hour)).named("mean")
FEATURE_SET = FeatureSet((by_look_up, by_numpy), (hour, MEAN, Vocabulary("city").named("code")))


def test_a_feature_reads_the_fields_that_its_look_ups_are_keyed_by() -> None:
    inputs = inputs_of(by_look_up, FEATURE_SET, NAMES)
    assert (inputs.fields, inputs.lookups) == (("city", "opened"), ("mean",))


def test_all_that_a_function_may_do_is_followed() -> None:
    inputs = inputs_of(by_numpy, FEATURE_SET, NAMES)
    assert (inputs.fields, inputs.lookups) == (("area", "floor"), ())


def test_a_look_up_reads_its_keys_and_not_itself() -> None:
    inputs = inputs_of(MEAN, FEATURE_SET, NAMES)
    assert (inputs.fields, inputs.lookups) == (("city", "opened"), ())


def test_the_fitted_state_has_a_size() -> None:
    extractor = Extractor.fit(FIELDS, FEATURES, [fit_data()], TABLES)
    for lookup in FEATURES.lookups:
        size = fitted_state(lookup, extractor.state)
        assert size["cells"] is not None
        assert size["known"] is not None
        assert 0 < size["known"] <= size["cells"]
