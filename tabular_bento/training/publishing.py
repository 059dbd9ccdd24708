"""From a trained model to an entry of the model store."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tabular_bento import __version__
from tabular_bento.evaluation.error_model import learn_error_model, spread
from tabular_bento.evaluation.metrics import event_seconds
from tabular_bento.evaluation.reference.calibration import error_spread, usual_ratios
from tabular_bento.evaluation.reference.profile import importance, naive_baseline, profile, reference_rows
from tabular_bento.features import Row
from tabular_bento.features.clock import DAY
from tabular_bento.features.columns import rows_of
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import (
    ERROR_MODEL_FILE,
    METRICS_FILE,
    PROFILE_FILE,
    PROVENANCE_FILE,
    REFERENCE_FILE,
    REPORT_FILE,
    write_json,
    write_predictor,
)
from tabular_bento.scoring.parity import write_parity
from tabular_bento.scoring.runners import installed_version
from tabular_bento.training.commit import commit_of
from tabular_bento.training.pipeline import TrainedModel
from tabular_bento.training.report import write_report

_LIBRARIES = ("bentoml", "numpy", "pydantic", "tzdata")

_UNSEEN = ("validation", "calibration")
"""Parts that the error model learns from: the model had not seen them."""


def publish(model: TrainedModel, folder: Path | None = None) -> tuple[str, str]:
    """Save a trained model as a package of the model store.

    Parameters
    ----------
    model : TrainedModel
        The model.
    folder : Path, optional
        The project, whose commit is recorded; by default the working folder.

    Returns
    -------
    tuple of str
        The tag of the package, and its fingerprint.
    """
    import bentoml

    entry: Any
    with bentoml.models.create(model.problem.name, labels={"runner": model.predictor.runner.kind}) as entry:
        directory = Path(entry.path)
        write_package(directory, model, folder)
        entry.flush()  # writes BentoML's own model.yaml now, so that the manifest covers it
        fingerprint = write_manifest(directory)
    return str(entry.tag), fingerprint


def write_package(directory: Path, model: TrainedModel, folder: Path | None = None) -> None:
    """Write all files of a package but the manifest; parameters as of `publish`."""
    write_predictor(directory, model.predictor, model.problem)
    write_parity(directory, _parity_rows(model), model.predictor)
    _write_reference(directory, model)
    features, error, _ = _unseen(model)
    learn_error_model(features, error, model.config.seed).save_model(directory / ERROR_MODEL_FILE)
    write_json(directory / METRICS_FILE, model.document())
    write_json(directory / PROVENANCE_FILE, _provenance(model, folder))
    if model.config.report:
        write_report(model, directory / REPORT_FILE)


def _parity_rows(model: TrainedModel) -> list[Row]:
    """Rows drawn from the test part, then each with one of its optional fields missing or its texts unknown."""
    test, fields = model.parts["test"], model.problem.fields
    count = min(max(model.config.parity_rows, 2 * len(fields)), len(test))
    chosen = np.random.default_rng(model.config.seed).choice(len(test), count, replace=False)
    rows = rows_of(test.where(np.sort(chosen)).columns, model.problem.field_names)
    return [_altered(row, index, fields) for index, row in enumerate(rows)]


def _altered(row: Row, index: int, fields: tuple[Field, ...]) -> Row:
    """Every second row as it is; the others without one optional field, or with one text that nobody has seen."""
    if index % 2 == 0:
        return row
    column = index // 2 % len(fields)
    field, values = fields[column], list(row)
    if field.optional:
        values[column] = field.missing
    elif field.kind is Kind.TEXT:
        values[column] = "?" * (field.max_length or max(field.min_length or 1, 1))
    return tuple(values)


def _write_reference(directory: Path, model: TrainedModel) -> None:
    """A sample of the training rows, as they would have been logged, with their labels; and the profile of all."""
    train, predictions = model.parts["train"], model.predictions["train"]
    size = min(model.config.reference_rows, len(train))
    chosen = np.sort(np.random.default_rng(model.config.seed).choice(len(train), size, replace=False))
    sample = train.where(chosen)
    outputs = {name: values[chosen] for name, values in predictions.outputs.items()}
    rows = reference_rows(
        model.problem.declaration, sample.columns, predictions.features[chosen], outputs, sample.target
    )
    pq.write_table(rows, directory / REFERENCE_FILE, compression="zstd")
    write_json(directory / PROFILE_FILE, _profile(model))


def _profile(model: TrainedModel) -> dict[str, Any]:
    """What the training rows looked like to the server: features as served, not out of fold."""
    declaration, train, predictions = model.problem.declaration, model.parts["train"], model.predictions["train"]
    seed = model.config.seed
    weights = importance(model.predictor.runner.predict, predictions.features, seed)
    names = dict(zip(declaration.feature_names, weights.tolist(), strict=True))
    document = profile(declaration, train.columns, predictions.features, predictions.outputs, train.target, names, seed)
    measured = model.document()
    error = {key: measured["metrics"]["test"][key] for key in ("n", "rmse", "rmse_interval", "mae", "bias")}
    error["ratio_to_naive_baseline"] = measured["ratio_to_naive_baseline"]
    offset = train.offset
    naive = np.full(len(train), naive_baseline(declaration, train.target)) if offset is None else offset
    event = event_seconds(declaration, train.columns)
    error |= usual_ratios(predictions.value - train.target, naive - train.target, event)
    features, unseen, days = _unseen(model)
    error["unseen"] = error_spread(unseen, None if days is None else days * DAY)
    error["estimate"] = spread(features, unseen, days, seed)
    return document | {"error": error}


def _unseen(model: TrainedModel) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64] | None]:
    """Features, errors and days of the parts that the model had not seen, but for the test part."""
    names = [name for name in _UNSEEN if len(model.parts[name])]
    features = np.concatenate([model.predictions[name].features for name in names])
    error = np.concatenate([model.predictions[name].value - model.parts[name].target for name in names])
    events = [event_seconds(model.problem.declaration, model.parts[name].columns) for name in names]
    known = [event for event in events if event is not None]
    return features, error, np.concatenate(known) // DAY if known else None


def _provenance(model: TrainedModel, folder: Path | None) -> dict[str, Any]:
    libraries = (*_LIBRARIES, model.predictor.runner.distribution)
    used = dict(model.dataset.parts)
    labelled = int(model.dataset.labelled.sum())
    return {
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data_fingerprint": model.dataset.fingerprint,
        "data": model.dataset.description,
        "rows": len(model.dataset),
        "rows_without_label": len(model.dataset) - labelled,
        "rows_in_no_part": labelled - sum(map(len, used.values())),
        "split": {name: _part(model, name) for name in used},
        "folds": {"by": model.config.folds, "number": model.folds},
        "commit": commit_of(folder),
        "config": model.config.model_dump(mode="json"),
        "parameters": model.config.runner_parameters.model_dump(mode="json"),
        "python": platform.python_version(),
        "libraries": {"tabular-bento": __version__} | {name: installed_version(name) for name in libraries},
        "warnings": model.warnings,
    }


def _part(model: TrainedModel, name: str) -> dict[str, Any]:
    part = model.parts[name]
    found: dict[str, Any] = {"rows": len(part)}
    days = part.event_days
    if days is not None and len(part):
        first, last = (str(np.datetime64(int(day), "D")) for day in (days.min(), days.max()))
        found |= {"first_day": first, "last_day": last}
    return found
