"""What training does for classes: weights, calibration, threshold; and whole trainings on real tables."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn import datasets
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

from tabular_bento import Binary, Field, Kind, Multiclass, Problem
from tabular_bento.data import Dataset
from tabular_bento.errors import ConfigError, GateError, TrainingError
from tabular_bento.evaluation.reference.estimate import Estimate, Withheld
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.features import FeatureSet
from tabular_bento.features.declare import Feature
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.training import TrainedModel, load_config, train
from tabular_bento.training.calibrating import fit_calibration
from tabular_bento.training.card import card_of
from tabular_bento.training.classes import class_weights
from tests.unit import models

TABLES: dict[str, Any] = {"tumours": datasets.load_breast_cancer, "wines": datasets.load_wine}
FIELDS = 6
SPLIT = {"train": 0.5, "validation": 0.15, "calibration": 0.15, "test": 0.2}
QUICK: dict[str, Any] = {"report": False, "resamples": 100, "split": SPLIT}
RNG = np.random.default_rng(0)


@cache
def table(name: str) -> tuple[Problem, Dataset]:
    """A table of scikit-learn: its first fields, and its classes by their names."""
    bunch = TABLES[name]()
    names = tuple(f"x{index}" for index in range(FIELDS))
    classes = [str(each) for each in bunch.target_names]
    target = Field("kind", Kind.TEXT, "Kind")
    task = Binary(target, classes=classes) if len(classes) == 2 else Multiclass(target, classes=classes)
    features = tuple(Feature(f"f_{each}", "", each, lambda row, each=each: getattr(row, each)) for each in names)
    problem = Problem(
        name=name, fields=tuple(Field(each, Kind.NUMBER) for each in names), task=task, features=FeatureSet(features)
    )
    columns = {each: bunch.data[:, index] for index, each in enumerate(names)}
    labels = np.array(classes, dtype=object)[bunch.target]
    labels[:10] = None
    return problem, Dataset.of_table(problem, {**columns, "kind": labels})


@cache
def trained(name: str, calibration: str = "none", threshold: float = 0.5) -> TrainedModel:
    problem, dataset = table(name)
    return train(problem, dataset, load_config(**QUICK, calibration=calibration, threshold=threshold))


@pytest.mark.parametrize("name", TABLES)
def test_a_model_of_classes_is_measured_beside_its_baselines(name: str) -> None:
    model = trained(name)
    document = json.loads(json.dumps(model.document(), allow_nan=False))
    test = document["metrics"]["test"]
    assert test["n"] == len(model.parts["test"]) == np.sum(test["confusion_matrix"])
    assert test["log_loss_interval"][0] < test["log_loss"] < test["log_loss_interval"][1]
    assert set(document["baselines"]) == {"naive_baseline", "logistic_regression"}
    naive = document["baselines"]["naive_baseline"]["test"]
    assert document["ratio_to_naive_baseline"] == test["log_loss"] / naive["log_loss"] < 0.5
    assert test["roc_auc"] > 0.95
    assert naive["roc_auc"] == 0.5
    shares = np.bincount(model.problem.task.encode(model.parts["train"].target, None).astype(int))
    assert naive["log_loss"] == pytest.approx(-(shares / shares.sum() * np.log(shares / shares.sum())).sum(), rel=0.05)


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
def test_the_rounds_that_the_validation_part_chose_are_recorded_and_shown(kind: str, tmp_path: Path) -> None:
    problem, dataset = table("wines")
    model = train(problem, dataset, load_config(**QUICK, runner=kind))
    rounds = model.chosen["rounds"]
    runner: Any = model.predictor.runner
    trees = {"xgboost": "num_boosted_rounds", "lightgbm": "current_iteration"}[kind]
    assert 0 < rounds == getattr(runner.booster, trees)()
    models.write(tmp_path / "package", model)
    assert json.loads((tmp_path / "package" / "provenance.json").read_text())["chosen"] == {"rounds": rounds}
    tables = {each.title: each for each in card_of(model, {}).tables}
    assert ["rounds", f"{rounds}, by unseen rows"] in [list(row) for row in tables["Settings"].rows]
    shares = tables["Predicted classes by label, test part"]
    assert list(shares.head) == ["label", "class_0", "class_1", "class_2", "rows"]
    assert "(" in shares.rows[0][1]
    given = train(problem, dataset, load_config(**QUICK, runner=kind, parameters={kind: {"rounds": 9}}))
    assert given.chosen == {}


MODELS = [(name, method) for name in TABLES for method in ("none", "platt") if (name, method) != ("wines", "platt")]
"""All but those of a calibration part that is too small, see below."""


@pytest.mark.parametrize(("name", "calibration"), MODELS)
def test_a_package_of_classes_predicts_and_is_monitored_by_what_it_holds(
    name: str, calibration: str, tmp_path: Path
) -> None:
    model = trained(name, calibration, 0.3 if calibration == "platt" else 0.5)
    folder = tmp_path / "package"
    models.write(folder, model)
    package = ModelPackage.load(folder, f"{name}:x", model.problem)
    found = package.predictor.predict_columns(model.parts["test"].columns)
    assert found.outputs["probability"].tobytes() == model.predictions["test"].outputs["probability"].tobytes()
    assert package.predictor.calibration == model.predictor.calibration

    reference = Reference.read(folder, f"{name}:x")
    assert reference.naive_baseline == pytest.approx(
        np.bincount(model.problem.task.encode(model.parts["train"].target, None).astype(int))
        / len(model.parts["train"])
    )
    assert reference.label is not None
    profile = json.loads((folder / "profile.json").read_text())
    assert set(profile["columns"]["label"]["categories"]) == set(model.problem.task.class_names)
    error = profile["error"]
    test = model.document()["metrics"]["test"]
    assert {key: error[key] for key in ("n", "log_loss", "brier", "bias")} == {
        key: test[key] for key in ("n", "log_loss", "brier", "bias")
    }
    unseen = len(model.parts["validation"]) + (calibration == "none") * len(model.parts["calibration"])
    assert error["unseen"]["square"]["rows"] == unseen
    rows = pq.read_table(folder / "reference.parquet")
    assert set(rows["label"].to_pylist()) <= set(model.problem.task.class_names)
    assert reference.error_model is not None
    found = reference.error_model.estimate_sample(rows, None, 1.0, 100, 0)
    assert isinstance(found, Estimate if (name, calibration) == ("tumours", "none") else Withheld)
    assert not (folder / "error_model.ubj").exists()


def test_the_same_rows_and_seed_give_the_same_package_of_classes(tmp_path: Path) -> None:
    problem, dataset = table("wines")
    config = load_config(**QUICK, class_weight="balanced")
    prints = [models.write(tmp_path / str(number), train(problem, dataset, config)) for number in range(2)]
    assert prints[0] == prints[1]


def test_the_gate_goes_by_the_metrics_of_classes() -> None:
    problem, dataset = table("wines")
    with pytest.raises(GateError, match=r"on the test part log loss 0\.\d+ is above 0.001; ROC AUC 0\.\d+ is below 1"):
        train(problem, dataset, load_config(**QUICK, gate={"max_log_loss": 0.001, "min_roc_auc": 1.1}))
    model = train(problem, dataset, load_config(**QUICK, gate={"warn_max_roc_auc": 0.6, "warn_min_accuracy": 0.999}))
    assert "look for a feature that knows the label" in model.warnings[0]
    with pytest.raises(ConfigError, match=r"gate\.max_rmse: there is no metric 'rmse'; there are n, log_loss, brier"):
        train(problem, dataset, load_config(**QUICK, gate={"max_rmse": 1.0}))
    with pytest.raises(ConfigError, match="no metric 'f1'"):
        train(problem, dataset, load_config(**QUICK, gate={"min_f1": 0.5}))


def test_the_threshold_decides_and_moves_no_probability() -> None:
    usual, eager = trained("tumours"), trained("tumours", threshold=0.9)
    one, other = (model.predictions["test"].outputs for model in (usual, eager))
    assert one["probability"].tolist() == other["probability"].tolist()
    positive = eager.problem.task.classes[1]
    assert (other["kind"] == positive).tolist() == (other["probability"][:, 1] >= 0.9).tolist()
    assert eager.metrics["test"].recall < usual.metrics["test"].recall


@pytest.mark.parametrize("rows", [100, 400])
def test_platt_is_that_of_scikit_learn_drawn_towards_no_change(rows: int) -> None:
    scores = RNG.normal(0, 3, rows)
    codes = (RNG.random(rows) < 1 / (1 + np.exp(-0.5 * scores + 1))).astype(np.float64)
    p = 1 / (1 + np.exp(-scores))
    found = fit_calibration(np.stack([1 - p, p], axis=1), codes, "platt", 0.3)
    slope, intercept = _sigmoid(scores, codes)
    high, low = (codes.sum() + 1) / (codes.sum() + 2), 1 / (rows - codes.sum() + 2)
    loss = [
        np.logaddexp(0, odds) - np.where(codes == 1, high, low) * odds for odds in (scores, slope * scores + intercept)
    ]
    kept = 1 - 2 / (2 * (loss[0] - loss[1]).sum())
    assert 0.8 < kept < 1
    assert found.arrays["slope"][0] == pytest.approx(1 + kept * (slope - 1), abs=1e-3)
    assert found.arrays["intercept"][0] == pytest.approx(kept * intercept, abs=1e-3)
    assert found.threshold == 0.3


def test_platt_changes_nothing_that_the_rows_do_not_contradict() -> None:
    codes = np.tile(
        [0.0, 1.0, 1.0, 1.0], 30
    )  # three of four, as is claimed: what Platt's targets say differs by little
    probability = np.full(120, 0.75) + np.linspace(-0.01, 0.01, 120)
    found = fit_calibration(np.stack([1 - probability, probability], axis=1), codes, "platt")
    assert found.arrays == {"slope": [1.0], "intercept": [0.0]}


def test_platt_costs_a_calibrated_model_a_fraction_of_what_the_curve_alone_would() -> None:
    random = np.random.default_rng(3)
    unseen = random.normal(0, 1.5, 4_000)
    p, costs = 1 / (1 + np.exp(-unseen)), []
    for _ in range(40):
        scores = random.normal(0, 1.5, 100)
        codes = (random.random(100) < 1 / (1 + np.exp(-scores))).astype(np.float64)
        q = 1 / (1 + np.exp(-scores))
        arrays = fit_calibration(np.stack([1 - q, q], axis=1), codes, "platt").arrays
        odds = [arrays["slope"][0] * unseen + arrays["intercept"][0], np.polyval(_sigmoid(scores, codes), unseen)]
        costs.append([(np.logaddexp(0, each) - p * each).mean() for each in (unseen, *odds)])
    best, drawn, alone = np.mean(costs, axis=0)
    assert 0 < drawn - best < (alone - best) / 2


def _sigmoid(scores: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of scikit-learn's own implementation of Platt's method."""
    from sklearn.calibration import _sigmoid_calibration

    a, b = _sigmoid_calibration(scores, codes)
    return -float(a), -float(b)


@pytest.mark.parametrize("k", [2, 3])
def test_isotonic_calibration_is_that_of_scikit_learn_away_from_certainty(k: int) -> None:
    raw = RNG.normal(0, 2, (1_000, k))
    probability = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    codes = np.array([RNG.choice(k, p=row**0.5 / (row**0.5).sum()) for row in probability]).astype(np.float64)
    calibration = fit_calibration(probability, codes, "isotonic")
    columns = [1] if k == 2 else range(k)
    peers = [
        IsotonicRegression(out_of_bounds="clip").fit(probability[:, c], codes == c).predict(probability[:, c])
        for c in columns
    ]
    expected = np.stack([1 - peers[0], peers[0]] if k == 2 else peers, axis=1)
    expected = np.clip(expected, 1 / 1_002, 1_001 / 1_002)
    expected = expected / expected.sum(axis=1, keepdims=True)
    assert np.abs(calibration.apply(probability) - expected).max() < 1e-6
    assert (calibration.apply(probability) > 0).all()


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_calibration_undoes_what_is_claimed_too_much(method: Any) -> None:
    raw = RNG.normal(size=4_000)
    codes = (RNG.random(4_000) < 1 / (1 + np.exp(-raw))).astype(np.float64)
    p = 1 / (1 + np.exp(-3 * raw))
    both = np.stack([1 - p, p], axis=1)
    better = fit_calibration(both[:2_000], codes[:2_000], method).apply(both[2_000:])[:, 1]

    def loss(probability: np.ndarray) -> float:
        return float(-np.log(np.where(codes[2_000:] == 1, probability, 1 - probability)).mean())

    best = loss(1 / (1 + np.exp(-raw[2_000:])))
    assert loss(better) < best + 0.02 < loss(p[2_000:])


def test_weights_are_those_of_scikit_learn() -> None:
    task = table("wines")[0].task
    codes = np.repeat([0.0, 1.0, 2.0], [10, 30, 60])
    found = class_weights("balanced", task, codes)
    assert found == pytest.approx(compute_sample_weight("balanced", codes))
    name = task.class_names[2]
    given = class_weights({name: 3.0}, task, codes)
    assert given is not None
    assert given.mean() == pytest.approx(1.0)
    assert given[-1] == pytest.approx(3 * given[0])
    assert class_weights(None, task, codes) is None
    with pytest.raises(TrainingError, match="class_weight: no class with a weight above 0"):
        class_weights({name: 1.0, task.class_names[0]: 0.0, task.class_names[1]: 0.0}, task, codes[:40])


def test_balanced_weights_find_more_of_the_rare_class() -> None:
    problem, dataset = table("tumours")
    rare = dataset.where(np.flatnonzero((dataset.target == "benign") | (np.arange(len(dataset)) % 8 == 0)))
    plain, balanced = (
        train(problem, rare, load_config(**QUICK, class_weight=setting)) for setting in (None, "balanced")
    )
    first, second = (model.predictions["test"].outputs["probability"][:, 0].mean() for model in (plain, balanced))
    assert second > first


def test_too_few_rows_to_calibrate_by_are_reported_with_the_setting_to_change() -> None:
    problem, dataset = table("wines")
    with pytest.raises(TrainingError, match=r'"platt" needs at least 50 rows .* has 25: raise split.calibration, or'):
        train(problem, dataset, load_config(**QUICK, calibration="platt"))
    problem, dataset = table("tumours")
    with pytest.raises(TrainingError, match=r'"isotonic" needs at least 200 .* or calibration = "platt"'):
        train(problem, dataset, load_config(**QUICK, calibration="isotonic"))
    settings = {**QUICK, "split": {"train": 0.6, "validation": 0.2, "test": 0.2}}
    with pytest.raises(ConfigError, match=r"calibration: .* give split\.calibration some, such as 0\.1"):
        train(problem, dataset, load_config(**settings, calibration="platt"))


def test_a_class_with_few_rows_to_calibrate_by_is_named() -> None:
    problem, dataset = table("tumours")
    benign = np.flatnonzero(dataset.target == "benign")
    few = np.concatenate([benign, np.flatnonzero(dataset.target == "malignant")[:20]])
    with pytest.raises(TrainingError, match=r"at least 5 rows of each class .* has 3 of 'malignant'"):
        train(problem, dataset.where(few), load_config(**QUICK, calibration="platt"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_weight": "balanced"}, "class_weight: it is of classes, and the task is a regression"),
        ({"calibration": "platt"}, "calibration: it is of classes"),
        ({"threshold": 0.4}, "threshold: it is of two classes"),
    ],
)
def test_a_regression_has_no_settings_of_classes(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(problem=models.PARCELS, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0.4}, "threshold: it is of two classes, and the task is a multiclass"),
        ({"class_weight": {"class_9": 2.0}}, "there is no class 'class_9'; there are class_0, class_1, class_2"),
        ({"class_weight": {"class_0": -1.0}}, "the weight of 'class_0' is -1"),
        ({"class_weight": dict.fromkeys(("class_0", "class_1", "class_2"), 0.0)}, "no class has a weight above 0"),
        ({"calibration": "beta"}, "calibration"),
        ({"threshold": 1.5}, "threshold"),
    ],
)
def test_settings_of_classes_are_checked(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(problem=table("wines")[0], **settings)


def test_a_class_that_a_part_lacks_is_warned_of() -> None:
    problem, dataset = table("wines")
    known = dataset.where(np.flatnonzero(dataset.target != "class_1"))
    one = np.flatnonzero(dataset.target == "class_1")[:1]
    rows = np.sort(np.concatenate([np.flatnonzero(dataset.target != "class_1"), one]))
    model = train(problem, dataset.where(rows), load_config(**QUICK))
    assert "No row of the test part is of the class 'class_1'." in model.warnings
    assert train(problem, known, load_config(**QUICK)).warnings[0].startswith("No row of the train part")


def test_labels_of_one_class_cannot_be_learnt_from() -> None:
    problem, dataset = table("tumours")
    with pytest.raises(TrainingError, match="training part cannot be learnt from"):
        train(problem, dataset.where(np.flatnonzero(dataset.target == "benign")), load_config(**QUICK))


def test_a_linear_model_of_the_same_scores_is_no_better() -> None:
    model = trained("tumours", "platt")
    p = model.predictions["calibration"].outputs["probability"][:, 1]
    codes = model.problem.task.encode(model.parts["calibration"].target, None)
    odds = np.log(p / (1 - p))[:, None]
    again = LogisticRegression(C=np.inf).fit(odds, codes)
    assert again.coef_[0, 0] == pytest.approx(1.0, abs=0.5)  # what is calibrated needs no other slope
