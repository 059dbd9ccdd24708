"""Errors of regressions without an event time, estimated without labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.evaluation.error_model import losses_of
from tabular_bento.evaluation.reference.estimate import Estimate, Withheld
from tabular_bento.evaluation.reference.estimators import Unseen, learn_estimate, read_estimator
from tabular_bento.evaluation.reference.row_errors import LEAST_ROWS, RowErrors
from tabular_bento.features import FeatureSet, feature
from tabular_bento.problem import Declaration
from tabular_bento.traffic.schema import feature_column


@feature()
def side(row: Any) -> Any:
    """The length of a side."""
    return row.area**0.5


@feature()
def size(row: Any) -> Any:
    """The area."""
    return row.area


FIELDS = (Field("area", Kind.NUMBER),)
TASK = Regression(Field("price", Kind.NUMBER))
PRICES = Problem(name="prices", fields=FIELDS, task=TASK, features=FeatureSet([side, size])).declaration
BARE = Problem(name="prices", fields=FIELDS, task=TASK).declaration


def drawn(n: int, rng: np.random.Generator, heavy: bool = False) -> tuple[Any, Any]:
    """Features, and errors that grow with the first."""
    X = rng.normal(size=(n, 2)).astype(np.float32)
    return X, np.exp(0.4 * X[:, 0]) * (rng.standard_t(4, n) if heavy else rng.normal(0.3, 1, n))


def learnt(folder: Path, X: Any, error: Any, declaration: Declaration = PRICES) -> Any:
    unseen = Unseen(X, {"price": error}, np.zeros(len(error)), None)
    entry = json.loads(json.dumps(learn_estimate(folder, declaration, unseen, None, 0), allow_nan=False))
    return read_estimator(folder, {"estimate": entry}, declaration)


def test_intervals_hold_what_labels_show_and_are_no_wider_than_need_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    held, width, labelled, trials = np.zeros(2), 0.0, 0.0, 0
    for heavy in (False, True):
        for _ in range(12):
            model = learnt(tmp_path, *drawn(200, rng, heavy))
            for _ in range(5):
                X, error = drawn(100, rng, heavy)
                found = model.estimate(X)
                if heavy and isinstance(found, Withheld):
                    continue
                assert isinstance(found, Estimate)
                assert found.rmse_interval is not None
                assert found.mae_interval is not None
                observed = np.sqrt(losses_of(error)[:, 0].mean()), losses_of(error)[:, 1].mean()
                ends = (found.rmse_interval, found.mae_interval)
                held += [low <= each <= high for each, (low, high) in zip(observed, ends, strict=True)]
                width += found.mae_interval[1] - found.mae_interval[0]
                labelled += 2 * 1.96 * float(np.abs(error).std()) / 10
                trials += 1
    assert trials >= 90
    assert (held >= 0.85 * trials).all(), held / trials
    assert width <= 2 * labelled


def test_rows_with_larger_errors_have_a_larger_estimate(tmp_path: Path) -> None:
    X, error = drawn(6_000, np.random.default_rng(1))
    model = learnt(tmp_path, X, error)
    hard, easy = (model.estimate(X[chosen]) for chosen in (X[:, 0] > 0.5, X[:, 0] < -0.5))
    assert hard.rmse > 1.3 * easy.rmse


def test_what_was_logged_is_estimated_and_a_window_that_is_too_large_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    model, (X, _) = learnt(tmp_path, *drawn(500, rng)), drawn(400, rng)
    sample = pa.table({feature_column(name): X[:, index] for index, name in enumerate(PRICES.feature_names)})
    found = model.estimate_sample(sample, None, 1.0, 100, 0)
    assert found == model.estimate(X)
    assert found.rmse_interval[0] < found.rmse < found.rmse_interval[1]
    assert (found.log_loss, found.n) == (None, 400)
    assert model.estimate_sample(sample.drop_columns([feature_column("side")]), None, 1.0, 100, 0) is None
    assert model.estimate(X[:0]) is None
    withheld = model.estimate_sample(sample, None, 1.0, 100, 0, rows=100_000)
    assert isinstance(withheld, Withheld)
    assert "learnt from 500 rows that the model had not seen, and a window of more, of 100,000, may" in withheld.reason


def test_few_rows_with_a_label_teach_nothing(tmp_path: Path) -> None:
    X, error = drawn(LEAST_ROWS + 10, np.random.default_rng(3))
    error[:11] = np.nan
    found = learnt(tmp_path, X[11:], error[11:]).estimate(X)
    assert isinstance(found, Withheld)
    assert f"{LEAST_ROWS - 1} rows with a label" in found.reason


def test_errors_of_nothing_are_no_error(tmp_path: Path) -> None:
    X, error = drawn(100, np.random.default_rng(4))
    assert isinstance(learnt(tmp_path, X, 0 * error).estimate(X), Withheld)


@pytest.mark.parametrize("entry", [{}, {"days": [], "rmse": [], "mae": []}])
def test_a_package_that_learnt_none_has_no_estimate(tmp_path: Path, entry: dict[str, Any]) -> None:
    assert read_estimator(tmp_path, {"estimate": entry}, PRICES) is None
    learnt(tmp_path, *drawn(100, np.random.default_rng(5)))
    assert RowErrors.read(tmp_path, {"estimate": entry}, PRICES.feature_names) is None


def test_without_features_nothing_is_learnt(tmp_path: Path) -> None:
    X, error = drawn(100, np.random.default_rng(6))
    assert learnt(tmp_path, X[:, :0], error, BARE) is None
