"""Parity vectors: rows with the exact features and predictions that training computed for them.

A server recomputes them before it is ready. Equal bits prove that its feature code, its libraries and its machine mean
the same as training's did.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from features.definition import FIELD_NAMES, FIELDS
from features.functions import FEATURES
from features.values import Row
from tabular_bento.errors import PackageError
from tabular_bento.schema import Kind
from tabular_bento.scoring.predictor import Predictions, Predictor

ROWS_FILE = "parity.json"
VECTORS_FILE = "parity.npz"


def write_parity(directory: Path, rows: Sequence[Row], predictor: Predictor) -> None:
    """Write n rows with their features, float32 [n, features], and predictions, float64 [n]."""
    document = {
        "fields": FIELD_NAMES,
        "rows": [[None if isinstance(v, float) and math.isnan(v) else v for v in row] for row in rows],
    }
    (directory / ROWS_FILE).write_text(json.dumps(document, indent=None) + "\n")
    expected = predictor.predict(rows)
    with (directory / VECTORS_FILE).open("wb") as file:
        np.savez(file, features=expected.features, target=expected.target)


def read_rows(directory: Path) -> list[Row]:
    """The rows of the parity vectors, as `Predictor.predict` takes them."""
    document = json.loads((directory / ROWS_FILE).read_text())
    numbers = {index for index, field in enumerate(FIELDS) if field.kind is Kind.NUMBER}
    return [
        tuple(math.nan if value is None and index in numbers else value for index, value in enumerate(row))
        for row in document["rows"]
    ]


def check_parity(directory: Path, predictor: Predictor) -> int:
    """Recompute every vector, row by row and as one batch, and return their number.

    Raises PackageError naming the first row and feature whose bits differ.
    """
    rows = read_rows(directory)
    with np.load(directory / VECTORS_FILE, allow_pickle=False) as arrays:
        expected = Predictions(arrays["features"], arrays["target"])
    alone = [predictor.predict([row]) for row in rows]
    _compare(
        "alone",
        expected,
        Predictions(np.concatenate([p.features for p in alone]), np.concatenate([p.target for p in alone])),
    )
    _compare("in a batch", expected, predictor.predict(rows))
    return len(rows)


def _compare(how: str, expected: Predictions, actual: Predictions) -> None:
    names = [feature.name for feature in FEATURES]
    if expected.features.shape != actual.features.shape:
        raise PackageError(
            f"Parity fails: features of shape {actual.features.shape} where training had {expected.features.shape}. "
            "Train the model again with this checkout."
        )
    differs = expected.features.view(np.uint32) != actual.features.view(np.uint32)
    if differs.any():
        row, column = (int(index) for index in np.argwhere(differs)[0])
        raise PackageError(
            f"Parity fails {how}: row {row} has {names[column]} {actual.features[row, column]!r} "
            f"where training had {expected.features[row, column]!r}. Serve with the code and the libraries the model "
            "was trained with, or train it again with these."
        )
    wrong = np.flatnonzero(expected.target.view(np.uint64) != actual.target.view(np.uint64))
    if len(wrong):
        row = int(wrong[0])
        raise PackageError(
            f"Parity fails {how}: row {row} is predicted {actual.target[row]!r} where training predicted "
            f"{expected.target[row]!r}. Serve with the libraries the model was trained with, or train it again with "
            "these."
        )
