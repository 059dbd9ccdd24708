from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import PackageError
from tabular_bento.features import Extractor, State
from tabular_bento.features.columns import rows_of
from tabular_bento.schema import Kind
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.parity import check_parity, read_rows, write_parity
from tabular_bento.scoring.predictor import Predictor
from tests.unit import models
from tests.unit.scoring.test_predictor import RENT, Fixed
from tests.unit.several import RENTS, Several

FIELDS = models.PRICES.fields


def test_the_package_s_vectors_meet_missing_values_and_unknown_texts_of_every_field(folder: Path) -> None:
    rows = read_rows(folder, FIELDS)
    assert len(rows) == 60
    for index, field in enumerate(FIELDS):
        values = [row[index] for row in rows]
        if field.optional:
            assert any(value is None or value != value for value in values), field.name
        assert any(value is not None and value == value for value in values), field.name


def test_a_required_text_is_met_with_one_that_nobody_has_seen(tmp_path: Path) -> None:
    models.write(tmp_path / "parcels", models.trained("parcels"))
    kinds = {row[2] for row in read_rows(tmp_path / "parcels", models.PARCELS.fields)}
    assert kinds == {"box", "tube", "letter", "????????"}


def test_rows_come_back_as_they_were_written(prices_package: ModelPackage, tmp_path: Path) -> None:
    rows = rows_of(models.trained().parts["test"].columns, models.PRICES.field_names)
    write_parity(tmp_path, rows, prices_package.predictor)
    back = read_rows(tmp_path, FIELDS)
    for row, again in zip(rows, back, strict=True):
        for value, other, field in zip(row, again, FIELDS, strict=True):
            missing = value is None or value != value
            assert (
                other is None if missing and field.kind is Kind.TEXT else other != other if missing else other == value
            )
            if not missing and field.kind not in (Kind.TEXT, Kind.NUMBER):
                assert isinstance(other, int)
    assert check_parity(tmp_path, prices_package.predictor) == len(rows)


class Restless(Fixed):
    """A runner that gives the last row of a larger batch a little more."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__([])
        self.runner = predictor.runner

    def predict(self, X: np.ndarray) -> np.ndarray:
        scores: np.ndarray = self.runner.predict(X)
        if len(X) > 1:
            scores[-1] += 1e-9
        return scores


def test_a_runner_whose_scores_depend_on_the_batch_is_refused(prices_package: ModelPackage, folder: Path) -> None:
    runner: Any = Restless(prices_package.predictor)
    predictor = Predictor(models.PRICES, prices_package.extractor, runner)
    with pytest.raises(PackageError, match=r"Parity fails in a batch: row \d+ is predicted price"):
        check_parity(folder, predictor)
    runner.exact = False
    assert check_parity(folder, Predictor(models.PRICES, prices_package.extractor, runner)) == 60


def test_scores_of_a_runner_with_a_tolerance_are_compared_within_it(
    prices_package: ModelPackage, tmp_path: Path
) -> None:
    class Near(Fixed):
        """A runner whose scores are greater by a share on this processor."""

        tolerance = 1e-6
        share = 0.0

        def predict(self, X: np.ndarray) -> np.ndarray:
            return prices_package.runner.predict(X) * (1 + self.share)

    rows = read_rows(prices_package.directory, FIELDS)
    runner: Any = Near([])
    predictor = Predictor(models.PRICES, prices_package.extractor, runner)
    write_parity(tmp_path, rows, predictor)
    runner.share = 1e-9
    assert check_parity(tmp_path, predictor) == len(rows)
    runner.share = 1e-5
    with pytest.raises(PackageError, match=r"the score of row 0 differs .* by 1e-05, and the tolerance .* is 1e-06"):
        check_parity(tmp_path, predictor)
    runner.tolerance, runner.share = 0.0, 1e-9
    with pytest.raises(PackageError, match="Parity fails alone: row 0 is predicted price"):
        check_parity(tmp_path, predictor)


def test_another_number_of_features_is_refused_by_its_shape(copy: Path, prices_package: ModelPackage) -> None:
    with (copy / "parity.npz").open("wb") as file:
        np.savez(file, features=np.zeros((60, 3), dtype=np.float32), **{"output.price": np.zeros(60)})
    with pytest.raises(PackageError, match=r"shape .* where training had \(60, 3\)"):
        check_parity(copy, prices_package.predictor)


class Alike(Several):
    """Outputs that do not depend on a row's place in its batch."""

    def decode(self, raw: np.ndarray, offset: Any = None, calibration: Any = None) -> dict[str, Any]:  # noqa: ARG002
        return {name: np.repeat(values[:1], len(raw), axis=0) for name, values in super().decode(raw, offset).items()}


class Two(Fixed):
    """A runner of two scores a row."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.column_stack([X[:, 0], X[:, 1] / 10]).astype(np.float64)


@pytest.mark.parametrize("name", [output.name for output in RENTS.outputs])
def test_every_output_is_compared_to_the_bit(tmp_path: Path, name: str) -> None:
    problem = replace(RENTS, task=Alike(RENTS.task.target), example={})
    runner: Any = Two([])
    predictor = Predictor(problem, Extractor(problem.fields, problem.features, State()), runner)
    write_parity(tmp_path, [RENT] * 3, predictor)
    assert check_parity(tmp_path, predictor) == 3
    with np.load(tmp_path / "parity.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    changed = arrays[f"output.{name}"]
    place = (2,) if changed.ndim == 1 else (2, 1)
    changed[place] = "Kiel" if changed.dtype.kind == "U" else changed[place] + 1
    with (tmp_path / "parity.npz").open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(PackageError, match=rf"Parity fails alone: row 2 is predicted {name} "):
        check_parity(tmp_path, predictor)
