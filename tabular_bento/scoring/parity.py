"""Parity vectors: rows with the exact features and outputs that training computed for them.

A server recomputes them before it is ready. Equal bits prove that its feature code, its libraries and its machine mean
the same as training's did. Of a runner that states a tolerance the raw scores are kept too: they are compared within
it, and everything that is computed before and after them by bits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import PackageError
from tabular_bento.features import Row
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.predictor import Predictions, Predictor

ROWS_FILE = "parity.json"
VECTORS_FILE = "parity.npz"
_OUTPUT = "output."
_SCORES = "scores"


def write_parity(directory: Path, rows: Sequence[Row], predictor: Predictor) -> None:
    """Write rows with their features and outputs.

    Parameters
    ----------
    directory : Path
        The package.
    rows : sequence of Row
        n rows.
    predictor : Predictor
        Computes features, float32 [n, features], and outputs.
    """
    fields = predictor.problem.fields
    document = {
        "fields": [field.name for field in fields],
        "rows": [[_json(value, field) for value, field in zip(row, fields, strict=True)] for row in rows],
    }
    (directory / ROWS_FILE).write_text(json.dumps(document, indent=None) + "\n", encoding="utf-8")
    expected = predictor.predict(rows)
    arrays: dict[str, Any] = {_OUTPUT + name: _storable(values) for name, values in expected.outputs.items()}
    if predictor.tolerance > 0:
        arrays[_SCORES] = predictor.score(expected.features, rows)
    with (directory / VECTORS_FILE).open("wb") as file:
        np.savez(file, features=expected.features, **arrays)


def read_rows(directory: Path, fields: Sequence[Field]) -> list[Row]:
    """The rows of the parity vectors, as `Predictor.predict` takes them."""
    document = json.loads((directory / ROWS_FILE).read_text(encoding="utf-8"))
    return [
        tuple(field.missing if value is None else value for value, field in zip(row, fields, strict=True))
        for row in document["rows"]
    ]


def check_parity(directory: Path, predictor: Predictor) -> int:
    """Recompute every vector, row by row and as one batch, and return their number.

    Raises
    ------
    PackageError
        Naming the first row and feature, score, or output, that differs.
    """
    rows = read_rows(directory, predictor.problem.fields)
    with np.load(directory / VECTORS_FILE, allow_pickle=False) as arrays:
        outputs = {name.removeprefix(_OUTPUT): arrays[name] for name in arrays.files if name.startswith(_OUTPUT)}
        expected = Predictions(arrays["features"], outputs)
        scores = arrays[_SCORES] if predictor.tolerance > 0 else None
    parts = [None] * len(rows) if scores is None else [scores[index : index + 1] for index in range(len(rows))]
    alone = [
        _recomputed(predictor, [row], part, index) for index, (row, part) in enumerate(zip(rows, parts, strict=True))
    ]
    names = predictor.problem.feature_names
    together = Predictions(
        np.concatenate([p.features for p in alone]),
        {name: np.concatenate([p.outputs[name] for p in alone]) for name in alone[0].outputs},
    )
    _compare("alone", names, expected, together)
    _compare("in a batch", names, expected, _recomputed(predictor, rows, scores, 0))
    return len(rows)


def _recomputed(
    predictor: Predictor, rows: Sequence[Row], scores: NDArray[np.float64] | None, first: int
) -> Predictions:
    """What is predicted now. With `scores`, those of training, outputs are of these, once they are within tolerance."""
    found = predictor.predict(rows)
    if scores is None:
        return found
    runner, tolerance = predictor.runner, predictor.tolerance
    distance = np.abs(predictor.score(found.features, rows) - scores) / np.maximum(1, np.abs(scores))
    if not (distance <= tolerance).all():
        row, column = (int(index) for index in np.argwhere(~(distance <= tolerance))[0])
        raise PackageError(
            f"Parity fails: the score of row {first + row} differs from that of training by "
            f"{distance[row, column]:.2g}, and the tolerance of the runner {runner.kind!r} is {tolerance:g}. "
            "Serve with the libraries the model was trained with, or train it again with these."
        )
    return Predictions(found.features, predictor.outputs(scores, rows))


def _json(value: Any, field: Field) -> Any:
    """A value of a row in JSON: null where it is missing, an integer where the field holds integers."""
    if value is None or value != value:
        return None
    return value if field.kind in (Kind.TEXT, Kind.NUMBER) else int(value)


def _storable(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.str_) if values.dtype == object else values


def _compare(how: str, names: Sequence[str], expected: Predictions, actual: Predictions) -> None:
    if expected.features.shape != actual.features.shape:
        raise PackageError(
            f"Parity fails: features of shape {actual.features.shape} where training had {expected.features.shape}. "
            "Train the model again with this code."
        )
    differs = expected.features.view(np.uint32) != actual.features.view(np.uint32)
    if differs.any():
        row, column = (int(index) for index in np.argwhere(differs)[0])
        raise PackageError(
            f"Parity fails {how}: row {row} has {names[column]} {actual.features[row, column]!r} "
            f"where training had {expected.features[row, column]!r}. Serve with the code and the libraries the model "
            "was trained with, or train it again with these."
        )
    if set(expected.outputs) != set(actual.outputs):
        raise PackageError(
            f"Parity fails: outputs {', '.join(actual.outputs)} where training had {', '.join(expected.outputs)}. "
            "Train the model again with this code."
        )
    for name, wanted in expected.outputs.items():
        values = _storable(actual.outputs[name])
        if wanted.shape != values.shape:
            raise PackageError(f"Parity fails: {name} of shape {values.shape} where training had {wanted.shape}.")
        wrong = np.argwhere(_bits(wanted) != _bits(values))
        if len(wrong):
            index = tuple(int(index) for index in wrong[0])
            raise PackageError(
                f"Parity fails {how}: row {index[0]} is predicted {name} {values[index]!r} where training predicted "
                f"{wanted[index]!r}. Serve with the libraries the model was trained with, or train it again with these."
            )


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    return values.view(np.uint64) if values.dtype == np.float64 else values
