"""Training of prediction intervals, with the packages that hold them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tabular_bento.cli.train import measured, table
from tabular_bento.errors import ConfigError, PackageError, TrainingError
from tabular_bento.features.columns import rows_of
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import PACKAGE_FILE, ModelPackage, write_json
from tabular_bento.training import load_config, train
from tabular_bento.training.card import card_of
from tests.unit import models
from tests.unit.wide import RUNNERS, SPLIT, WIDE, dataset, settings, trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of a model with intervals."""
    folder = tmp_path_factory.mktemp("intervals") / "package"
    models.write(folder, trained("parcels"))
    return folder


@pytest.mark.parametrize("runner", RUNNERS)
def test_intervals_hold_their_share_and_are_wider_where_errors_are_larger(runner: str) -> None:
    model = trained("parcels", runner)
    outputs, test = model.predictions["test"].outputs, model.parts["test"]
    inside = (outputs["cost_lower"] <= test.target) & (test.target <= outputs["cost_upper"])
    width = outputs["cost_upper"] - outputs["cost_lower"]
    heavy = test.columns["weight"] > 25
    assert 0.84 <= inside.mean() <= 0.96
    assert width[heavy].mean() > 1.4 * width[~heavy].mean()
    measured = model.document()["intervals"]
    assert (measured["level"], measured["rows"]) == (0.9, len(model.parts["calibration"]))
    assert measured["test"]["coverage"] == inside.mean()
    assert measured["test"]["mean_width"] == pytest.approx(width.mean())
    low, high = measured["test"]["coverage_interval"]
    assert low < inside.mean() < high
    assert "by_month" not in measured["test"]


def test_with_an_event_time_coverage_is_shown_by_month() -> None:
    months = trained("dated").document()["intervals"]["test"]["by_month"]
    assert sum(month["n"] for month in months) == len(trained("dated").parts["test"])
    assert [month["month"] for month in months] == sorted(month["month"] for month in months)
    assert all(0 <= month["coverage"] <= 1 < month["mean_width"] for month in months)


def test_only_the_width_depends_on_the_calibration_rows() -> None:
    data = dataset(WIDE)
    chosen = data.split(settings().split).parts["calibration"]
    target = data.target.copy()
    target[chosen] += 100
    other, model = train(WIDE, replace(data, target=target), settings()), trained("parcels")
    X = model.predictions["test"].features
    for name in ("runner", "spread"):
        ours, theirs = (getattr(each.predictor, name).predict(X) for each in (model, other))
        assert ours.tobytes() == theirs.tobytes()
    assert model.predictor.conformal is not None
    assert other.predictor.conformal is not None
    assert other.predictor.conformal.floor == model.predictor.conformal.floor
    assert other.predictor.conformal.quantile > 3 * model.predictor.conformal.quantile


def test_a_package_gives_the_same_bits_alone_and_in_batches(folder: Path) -> None:
    model, package = trained("parcels"), ModelPackage.load(folder, "parcels:1", WIDE)
    test = model.parts["test"]
    rows = rows_of(test.columns, WIDE.field_names)
    together = package.predict(rows).outputs
    assert list(together) == ["cost", "cost_lower", "cost_upper"]
    for name, values in together.items():
        assert values.tobytes() == model.predictions["test"].outputs[name].tobytes()
        alone = np.concatenate([package.predict([row]).outputs[name] for row in rows[:50]])
        assert values[:50].tobytes() == alone.tobytes()
    features = package.extractor.transform(rows)
    served = package.outputs(package.score(features, rows), rows)
    assert served["cost_upper"].tobytes() == together["cost_upper"].tobytes()
    assert {name: len(values) for name, values in package.predict([]).outputs.items()} == dict.fromkeys(together, 0)
    assert package.describe()["interval"]["level"] == 0.9
    assert (folder / "spread" / "model.ubj").exists()


@pytest.mark.parametrize("change", ["level", "missing", "folder"])
def test_a_package_whose_intervals_are_others_is_refused(folder: Path, tmp_path: Path, change: str) -> None:
    package = tmp_path / "package"
    shutil.copytree(folder, package)
    document = json.loads((package / PACKAGE_FILE).read_text())
    if change == "level":
        document["interval"]["level"] = 0.8
    elif change == "missing":
        del document["interval"]
    else:
        document["spread"]["folder"] = "../elsewhere"
    write_json(package / PACKAGE_FILE, document)
    write_manifest(package)
    with pytest.raises(PackageError, match="parcels:1 cannot be used"):
        ModelPackage.load(package, "parcels:1", WIDE)


def test_too_few_rows_have_one_scale_and_fewer_still_are_refused() -> None:
    small = train(WIDE, dataset(WIDE, 200), settings())
    assert small.predictor.spread is None
    width = small.predictions["test"].outputs["cost_upper"] - small.predictions["test"].outputs["cost"]
    assert np.ptp(width) < 1e-9
    shares = {**SPLIT, "train": 0.57, "calibration": 0.03}
    with pytest.raises(TrainingError, match=r"interval = 0\.9 needs at least 9 rows in the calibration part"):
        train(WIDE, dataset(WIDE, 200), settings(split=shares))
    with pytest.raises(ConfigError, match=r"give split\.calibration some"):
        train(WIDE, dataset(WIDE, 200), load_config(**models.SMALL))


def test_withheld_features_are_not_asked_for_the_scale() -> None:
    model = train(WIDE, dataset(WIDE), settings(withheld=["weight_of_all"]))
    X = model.predictions["test"].features
    other = X.copy()
    other[:, 2] = 1e6
    assert model.predictor.spread.predict(X).tobytes() == model.predictor.spread.predict(other).tobytes()


def test_a_runner_without_rounds_of_its_own_chooses_them_on_a_part_of_those_rows() -> None:
    model = train(WIDE, dataset(WIDE), settings(parameters={"xgboost": {"min_child_weight": 1.0}}))
    assert model.predictor.spread.booster.num_boosted_rounds() < 120
    assert 0.84 <= model.document()["intervals"]["test"]["coverage"] <= 0.96


def test_the_model_card_shows_the_coverage_in_all_and_by_month() -> None:
    model = trained("dated")
    measured = model.document()["intervals"]["test"]
    (table,) = (each for each in card_of(model, {}).tables if each.title.startswith("Prediction intervals"))
    assert table.head == ["month", "rows", "coverage", "mean width, EUR"]
    assert [row[0] for row in table.rows] == ["all", *(each["month"] for each in measured["by_month"])]
    assert table.rows[0][2].startswith(f"{measured['coverage']:.4g} (")
    assert not [each for each in card_of(models.trained("parcels"), {}).tables if "intervals" in each.title]


def test_the_command_says_how_often_intervals_hold_the_label() -> None:
    model = trained("dated")
    test = model.document()["intervals"]["test"]
    *_, last = table(model).splitlines()
    assert last.startswith(f"intervals of 0.9: {test['coverage']:.1%} (")
    assert last.endswith(f"of the test part's labels are inside; mean width {test['mean_width']:.4g} EUR")
    assert measured(model)["intervals"]["test"] == test
    assert "intervals" not in measured(models.trained("parcels"))
