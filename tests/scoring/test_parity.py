from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from features.definition import EXAMPLE, FIELDS
from tabular_bento.errors import PackageError
from tabular_bento.schema import Kind
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.parity import check_parity, read_rows, write_parity
from tabular_bento.scoring.predictor import Predictor
from tests.rows import from_json


def test_the_package_s_vectors_meet_missing_values_and_unknown_texts_of_every_field(package_folder: Path) -> None:
    rows = read_rows(package_folder)
    assert len(rows) >= 100
    for index, field in enumerate(FIELDS):
        values = [row[index] for row in rows]
        if field.optional:
            assert any(value is None or value != value for value in values), field.name
        elif field.kind is Kind.TEXT:
            assert "?" * int(field.maximum or 1) in values


def test_rows_come_back_as_they_were_written(package: ModelPackage, tmp_path: Path) -> None:
    rows = from_json(EXAMPLE, {**EXAMPLE, "temp": None, "tailnum": None, "flight": None, "id": None})
    write_parity(tmp_path, rows, package.predictor)
    back = read_rows(tmp_path)

    assert back[0] == rows[0]
    assert [math.isnan(value) if isinstance(value, float) else value for value in back[1]] == [
        math.isnan(value) if isinstance(value, float) else value for value in rows[1]
    ]
    assert check_parity(tmp_path, package.predictor) == 2


class Restless:
    """A runner that gives the last row of a larger batch one ulp more."""

    kind = "restless"
    file = "none"

    def __init__(self, predictor: Predictor) -> None:
        self.runner = predictor.runner

    def predict(self, X: np.ndarray) -> np.ndarray:
        gain = self.runner.predict(X)
        if len(X) > 1:
            gain[-1] = np.nextafter(gain[-1], np.inf)
        return gain


def test_a_runner_whose_answers_depend_on_the_batch_is_refused(package: ModelPackage, package_folder: Path) -> None:
    predictor = Predictor(package.predictor.extractor, Restless(package.predictor))  # type: ignore[arg-type]
    with pytest.raises(PackageError, match=r"Parity fails in a batch: row \d+ is predicted"):
        check_parity(package_folder, predictor)


def test_another_number_of_features_is_refused_by_its_shape(package: ModelPackage, tmp_path: Path) -> None:
    write_parity(tmp_path, from_json(EXAMPLE), package.predictor)
    with (tmp_path / "parity.npz").open("wb") as file:
        np.savez(file, features=np.zeros((1, 3), dtype=np.float32), target=np.zeros(1))
    with pytest.raises(PackageError, match=r"shape .* where training had \(1, 3\)"):
        check_parity(tmp_path, package.predictor)
