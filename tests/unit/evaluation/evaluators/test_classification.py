"""Metrics and baselines of classifications, against those of scikit-learn."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as known

from tabular_bento import Binary, Field, Kind, Multiclass
from tabular_bento.evaluation.evaluators import HISTORICAL, NAIVE, evaluator_of, higher_is_better
from tabular_bento.evaluation.evaluators.classification import LOGISTIC
from tabular_bento.problem import Declaration, FeatureInfo

BINARY = Binary(Field("churn", Kind.TEXT), classes=["no", "yes"])
COLOURS = Multiclass(Field("colour", Kind.TEXT), classes=["red", "green", "blue"])
TASKS: dict[str, Any] = {"binary": BINARY, "multiclass": COLOURS}
SCORES = ("log_loss", "brier", "roc_auc", "average_precision", "calibration_error", "accuracy", "bias")


def drawn(task: Any, n: int = 1_000, seed: int = 0, sharp: float = 1.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Predictions, and codes that are drawn from their probabilities; `sharp` of 2 claims more than is known."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(n, task.raw_columns))
    codes = (rng.random(n)[:, None] > task.probabilities(raw).cumsum(axis=1)[:, :-1]).sum(axis=1)
    return task.decode(sharp * raw), codes.astype(np.float64)


def measured(task: Any, outputs: Any, codes: Any, blocks: Any = None, resamples: int = 200) -> dict[str, Any]:
    blocks = np.arange(len(codes)) % 200 if blocks is None else blocks
    return evaluator_of(task).measure(outputs, np.asarray(codes, np.float64), blocks, resamples, 0).to_dict()


def certain(task: Any, codes: Any) -> dict[str, np.ndarray]:
    """Predictions that give one class all of the probability."""
    codes = np.asarray(codes)
    return {task.target.name: task.labels(codes), "probability": np.eye(len(task.classes))[codes]}


def test_metrics_of_two_classes_are_those_of_scikit_learn() -> None:
    outputs, codes = drawn(BINARY)
    p, predicted = outputs["probability"][:, 1], BINARY.encode(outputs["churn"])
    found = measured(BINARY, outputs, codes)
    expected = {
        "log_loss": known.log_loss(codes, outputs["probability"]),
        "brier": known.brier_score_loss(codes, p),
        "roc_auc": known.roc_auc_score(codes, p),
        "average_precision": known.average_precision_score(codes, p),
        "accuracy": known.accuracy_score(codes, predicted),
        "precision": known.precision_score(codes, predicted),
        "recall": known.recall_score(codes, predicted),
        "f1": known.f1_score(codes, predicted),
        "bias": p.mean() - codes.mean(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["confusion_matrix"] == tuple(map(tuple, known.confusion_matrix(codes, predicted).tolist()))
    assert found["classes"] == ("no", "yes")


def test_metrics_of_more_classes_are_those_of_scikit_learn() -> None:
    outputs, codes = drawn(COLOURS)
    p, predicted = outputs["probability"], COLOURS.encode(outputs["colour"])
    found = measured(COLOURS, outputs, codes)
    expected = {
        "log_loss": known.log_loss(codes, p),
        "brier": known.brier_score_loss(codes, p),
        "roc_auc": known.roc_auc_score(codes, p, multi_class="ovr"),
        "average_precision": known.average_precision_score(np.eye(3)[codes.astype(int)], p),
        "accuracy": known.accuracy_score(codes, predicted),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["confusion_matrix"] == tuple(map(tuple, known.confusion_matrix(codes, predicted).tolist()))
    assert (found["precision"], found["f1_interval"]) == (None, None)


@pytest.mark.parametrize("name", TASKS)
def test_intervals_hold_what_they_are_of_and_are_as_wide_as_samples_differ(name: str) -> None:
    task = TASKS[name]
    found = measured(task, *drawn(task), resamples=300)
    samples = [measured(task, *drawn(task, seed=seed), resamples=2) for seed in range(1, 50)]
    for score in SCORES:
        low, high = found[f"{score}_interval"]
        assert low <= found[score] <= high
        spread = 2 * 1.96 * np.std([each[score] for each in samples])
        assert high - low == pytest.approx(spread, rel=0.6 if score == "calibration_error" else 0.4), score
    for row, counts in zip(found["confusion_matrix_interval"], found["confusion_matrix"], strict=True):
        for (low, high), count in zip(row, counts, strict=True):
            assert low < count / sum(counts) < high


def test_rows_of_one_block_are_drawn_together() -> None:
    outputs, codes = drawn(BINARY, 200)
    twice = {name: np.concatenate([values] * 10) for name, values in outputs.items()}
    alone = measured(BINARY, outputs, codes)
    blocks = np.tile(np.arange(200), 10)
    together = measured(BINARY, twice, np.tile(codes, 10), blocks)
    apart = measured(BINARY, twice, np.tile(codes, 10), np.arange(2_000))
    for score in ("log_loss", "roc_auc"):
        widths = [np.subtract(*each[f"{score}_interval"][::-1]) for each in (alone, together, apart)]
        assert widths[1] == pytest.approx(widths[0])
        assert widths[2] < widths[0] / 2


def test_many_distinct_scores_change_no_interval_much() -> None:
    outputs, codes = drawn(BINARY, 4_000)
    coarse = {**outputs, "probability": outputs["probability"].round(2)}
    fine, exact = measured(BINARY, outputs, codes), measured(BINARY, coarse, codes)
    for score in ("roc_auc", "average_precision"):
        assert np.subtract(*fine[f"{score}_interval"]) == pytest.approx(
            np.subtract(*exact[f"{score}_interval"]), rel=0.05
        )


def test_rows_without_a_label_are_left_out() -> None:
    outputs, codes = drawn(COLOURS)
    gaps = np.where(np.arange(len(codes)) % 4 == 0, np.nan, codes)
    part = np.arange(len(codes)) % 4 != 0
    found = measured(COLOURS, outputs, gaps, np.arange(len(codes)))
    assert found["n"] == part.sum()
    assert found["log_loss"] == known.log_loss(codes[part], outputs["probability"][part])
    losses = evaluator_of(COLOURS).row_losses(outputs, gaps)
    assert np.isnan(losses).all(axis=1).tolist() == (~part).tolist()
    assert np.isnan(evaluator_of(COLOURS).residual(outputs, gaps)).tolist() == (~part).tolist()
    with pytest.raises(ValueError, match="no row has a label"):
        measured(COLOURS, outputs, np.full(len(codes), np.nan))


@pytest.mark.parametrize("name", TASKS)
def test_losses_of_rows_add_up_to_the_metrics(name: str) -> None:
    task = TASKS[name]
    evaluator, (outputs, codes) = evaluator_of(task), drawn(task)
    found = measured(task, outputs, codes)
    means = evaluator.level(evaluator.row_losses(outputs, codes).mean(axis=0))
    assert means.tolist() == pytest.approx([found[loss] for loss in evaluator.losses])
    assert evaluator.residual(outputs, codes).mean() == pytest.approx(found["bias"])
    assert set(evaluator.metrics) < set(found)


def test_wrong_with_certainty_is_finite() -> None:
    found = measured(BINARY, certain(BINARY, [0, 1, 1, 0]), [1, 1, 1, 0])
    worst = -np.log(np.finfo(np.float64).eps)
    assert found["log_loss"] == pytest.approx(worst / 4)
    assert found["brier"] == 0.25
    assert np.isfinite(evaluator_of(COLOURS).row_losses(certain(COLOURS, [0, 1]), np.array([2.0, 1.0]))).all()


@pytest.mark.parametrize("name", TASKS)
def test_a_perfect_model(name: str) -> None:
    task = TASKS[name]
    codes = np.arange(60) % len(task.classes)
    found = measured(task, certain(task, codes), codes)
    assert [found[score] for score in SCORES] == [pytest.approx(value) for value in (0, 0, 1, 1, 0, 1, 0)]
    assert found["roc_auc_interval"] == (1, 1)


def test_no_interval_of_a_share_reaches_beyond_one() -> None:
    rng = np.random.default_rng(3)
    codes = (rng.random(2_400) < 0.03).astype(np.float64)
    positive = np.where(codes == 1, rng.uniform(0.3, 1.0, len(codes)), rng.uniform(0.0, 0.31, len(codes)))
    probability = np.column_stack([1 - positive, positive])
    outputs = {BINARY.target.name: np.array(BINARY.classes, dtype=object)[(positive >= 0.5).astype(int)]}
    found = measured(BINARY, outputs | {"probability": probability}, codes)
    for name in ("roc_auc", "average_precision"):
        low, high = found[f"{name}_interval"]
        assert 0.9 < low <= found[name] <= high <= 1, name


def test_labels_of_one_class_have_no_order() -> None:
    outputs, _ = drawn(BINARY, 50)
    found = measured(BINARY, outputs, np.zeros(50))
    assert np.isnan(found["roc_auc"])
    assert np.isnan(found["average_precision"])
    assert np.isnan(found["recall"])
    assert found["roc_auc_interval"] is None
    assert found["confusion_matrix"][1] == (0, 0)
    assert found["confusion_matrix_interval"][1] == (None, None)
    assert found["log_loss_interval"] is not None


def test_a_class_that_no_row_has_is_left_out_of_means_over_classes() -> None:
    outputs, codes = drawn(COLOURS, 500)
    codes = np.where(codes == 2, 1.0, codes)
    p = outputs["probability"]
    found = measured(COLOURS, outputs, codes)
    by_class = [known.roc_auc_score(codes == column, p[:, column]) for column in (0, 1)]
    assert found["roc_auc"] == pytest.approx(np.mean(by_class))
    assert found["log_loss"] == pytest.approx(known.log_loss(codes, p, labels=[0, 1, 2]))


def test_resamples_in_which_all_rows_are_of_one_class_are_left_out() -> None:
    outputs, codes = drawn(BINARY, 40)
    blocks = np.arange(40) % 8
    codes = np.where(blocks == 0, 1.0, 0.0)
    found = measured(BINARY, outputs, codes, blocks)
    assert found["roc_auc_interval"] is not None
    assert np.isfinite(found["roc_auc_interval"]).all()


def test_equal_scores_count_half() -> None:
    flat = {"churn": BINARY.labels(np.zeros(10)), "probability": np.full((10, 2), 0.5)}
    found = measured(BINARY, flat, np.arange(10) % 2)
    assert (found["roc_auc"], found["average_precision"], found["precision"]) == (0.5, 0.5, 0.0)


def test_one_block_has_no_interval() -> None:
    found = measured(BINARY, *drawn(BINARY, 50), blocks=np.zeros(50, np.int64))
    assert {found[f"{score}_interval"] for score in SCORES} == {None}


def test_the_calibration_error_grows_with_what_is_claimed_too_much() -> None:
    for task in TASKS.values():
        good, bad = (measured(task, *drawn(task, 5_000, sharp=sharp)) for sharp in (1.0, 3.0))
        assert good["calibration_error"] < 0.03
        assert bad["calibration_error"] > 0.1
        assert bad["calibration_error_interval"][0] > good["calibration_error_interval"][1]


def declaration(task: Any, baseline: str | tuple[str, ...] | None = None) -> Declaration:
    features = tuple(map(FeatureInfo, ("share", "size", "third")))
    return Declaration("clients", "rows", (Field("size", Kind.NUMBER),), task, features, baseline)


def test_the_naive_baseline_is_the_share_of_each_class() -> None:
    X = np.zeros((8, 2), np.float32)
    for task, codes, shares in (
        (BINARY, [0, 0, 0, 1, 1, 0, 0, 0], [0.75, 0.25]),
        (COLOURS, [0, 0, 0, 0, 1, 1, 2, 2], [0.5, 0.25, 0.25]),
    ):
        evaluator, y = evaluator_of(task), np.array(codes, np.float64)
        raw = evaluator.baselines(declaration(task), X, y, {"test": X[:3]})[NAIVE]["test"]
        assert task.decode(raw)["probability"] == pytest.approx(np.tile(shares, (3, 1)))
        assert evaluator.naive(y) == shares
        outputs = evaluator.naive_outputs(shares, 3)
        assert outputs["probability"].tolist() == task.decode(raw)["probability"].tolist()


def test_a_class_without_a_row_has_a_small_share() -> None:
    shares = evaluator_of(COLOURS).naive(np.array([0.0, 0.0, 1.0, np.nan]))
    assert shares == pytest.approx([2 / 3.5, 1 / 3.5, 0.5 / 3.5])
    assert evaluator_of(COLOURS).naive(np.array([np.nan])) is None


def test_the_historical_baseline_is_a_feature_read_as_the_share_of_the_positive_class() -> None:
    X = np.array([[0.2, 0], [np.nan, 0], [0.0, 0], [1.0, 0]], np.float32)
    y = np.array([0.0, 0.0, 0.0, 1.0])
    found = evaluator_of(BINARY).baselines(declaration(BINARY, "share"), X, y, {"test": X})
    p = BINARY.decode(found[HISTORICAL]["test"])["probability"][:, 1]
    assert p == pytest.approx([0.2, 0.25, 1e-4, 1 - 1e-4])
    assert set(found) == {NAIVE, HISTORICAL, LOGISTIC}
    assert set(found) == set(evaluator_of(BINARY).baseline_names(declaration(BINARY, "share")))
    assert HISTORICAL not in evaluator_of(BINARY).baseline_names(declaration(BINARY))


def test_the_historical_baseline_of_more_classes_is_a_feature_for_the_share_of_each() -> None:
    X = np.array([[0.2, 0.5, 0.3], [np.nan, 0.5, 0.5], [0.0, 0.0, 1.0], [0.1, 0.1, 0.1]], np.float32)
    y, declared = np.array([0.0, 0.0, 1.0, 2.0]), declaration(COLOURS, ("share", "size", "third"))
    evaluator = evaluator_of(COLOURS)
    found = evaluator.baselines(declared, X, y, {"test": X})
    probability = COLOURS.decode(found[HISTORICAL]["test"])["probability"]
    expected = [[0.2, 0.5, 0.3], [0.5, 0.25, 0.25], [1e-4, 1e-4, 1 - 1e-4], [1 / 3, 1 / 3, 1 / 3]]
    assert probability == pytest.approx(np.array(expected), abs=2e-4)
    assert set(found) == set(evaluator.baseline_names(declared)) == {NAIVE, HISTORICAL, LOGISTIC}
    outputs = evaluator.historical_outputs(X, evaluator.naive(y) or [])
    assert outputs["probability"].tolist() == probability.tolist()
    assert Declaration.from_dict(json.loads(json.dumps(declared.to_dict()))) == declared


@pytest.mark.parametrize("present", [(0, 1), (0, 2), (0, 1, 2)])
def test_logistic_regression_finds_what_is_linear_although_values_and_classes_are_missing(present: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2)).astype(np.float32)
    X[:, 0] = np.nan
    y = np.array(present)[np.searchsorted(np.quantile(X[:, 1], np.linspace(0, 1, len(present) + 1)[1:-1]), X[:, 1])]
    task = COLOURS
    raw = evaluator_of(task).baselines(declaration(task), X, y.astype(np.float64), {"test": X})[LOGISTIC]["test"]
    probability = task.decode(raw)["probability"]
    assert (probability.argmax(axis=1) == y).mean() > 0.9
    assert np.isfinite(known.log_loss(y, probability, labels=[0, 1, 2]))


def test_logistic_regression_of_two_classes() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)).astype(np.float32)
    y = (rng.random(500) < 1 / (1 + np.exp(-2 * X[:, 1].astype(np.float64)))).astype(np.float64)
    raw = evaluator_of(BINARY).baselines(declaration(BINARY), X, y, {"test": X, "empty": X[:1]})[LOGISTIC]
    assert raw["empty"].shape == (1, 1)
    assert np.polyfit(X[:, 1], raw["test"][:, 0], 1)[0] == pytest.approx(2, rel=0.2)


def test_which_way_is_better() -> None:
    assert [higher_is_better(name) for name in ("log_loss", "brier", "calibration_error")] == [False] * 3
    assert [higher_is_better(name) for name in ("roc_auc", "average_precision", "f1")] == [True] * 3


def test_labels_of_every_kind_are_codes() -> None:
    assert evaluator_of(Binary(Field("left", Kind.BOOLEAN))).codes(np.array([1.0, 0.0, np.nan]))[:2].tolist() == [1, 0]
    stars = Multiclass(Field("stars", Kind.INTEGER), classes=[1, 3, 5])
    assert evaluator_of(stars).codes(np.array([5, 1])).tolist() == [2, 0]
    with pytest.raises(ValueError, match="the classes are 'red', 'green', 'blue'"):
        evaluator_of(replace(COLOURS)).codes(np.array(["pink"], dtype=object))
