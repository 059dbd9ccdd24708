"""From a trained model to an entry of the BentoML model store."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.columns import rows_of
from features.definition import EVENT_TIME, FIELDS, KNOWN_PART, NAME, TARGET
from features.functions import FEATURE_NAMES
from features.values import Row
from tabular_bento.evaluation.error_model import learn_error_model, spread
from tabular_bento.evaluation.reference.calibration import usual_ratios
from tabular_bento.evaluation.reference.importance import importance
from tabular_bento.evaluation.reference.profile import OUTCOME, monitored, profile
from tabular_bento.evaluation.reference.vocabulary import vocabularies
from tabular_bento.schema import Kind
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
from tabular_bento.traffic.log import FEATURE_PREFIX
from tabular_bento.training.commit import commit_of
from tabular_bento.training.pipeline import TrainedModel
from tabular_bento.training.report import write_report

_LIBRARIES = ("bentoml", "numpy", "scikit-learn", "skops", "xgboost-cpu")


def publish(model: TrainedModel) -> tuple[str, str]:
    """Save the model package and give its tag and fingerprint."""
    with bentoml.models.create(NAME, labels={"runner": model.predictor.runner.kind}) as entry:
        directory = Path(entry.path)
        write_predictor(directory, model.predictor)
        write_parity(directory, _parity_rows(model), model.predictor)
        _write_reference(directory, model)
        _write_error_model(directory, model)
        write_json(directory / METRICS_FILE, model.document())
        write_json(directory / PROVENANCE_FILE, _provenance(model))
        write_report(model, directory / REPORT_FILE)
        _flush(entry)
        fingerprint = write_manifest(directory)
    return str(entry.tag), fingerprint


def _flush(entry: Any) -> None:
    """Write BentoML's own model.yaml now, so that the manifest covers it."""
    entry.flush()


def _parity_rows(model: TrainedModel) -> list[Row]:
    """Rows drawn from the test months, then each with one of its optional fields missing or its texts unknown."""
    test = model.parts["test"]
    count = min(model.config.parity_rows, len(test))
    chosen = np.random.default_rng(model.config.seed).choice(len(test), count, replace=False)
    rows = rows_of(test.where(np.sort(chosen)).columns)
    return [_altered(row, index) for index, row in enumerate(rows)]


def _altered(row: Row, index: int) -> Row:
    """Every second row as it is; the others without one optional field, or with one text that nobody has seen."""
    if index % 2 == 0:
        return row
    place = index // 2 % len(FIELDS)
    field, values = FIELDS[place], list(row)
    if field.optional:
        values[place] = float("nan") if field.kind is Kind.NUMBER else None
    elif field.kind is Kind.TEXT:
        values[place] = "?" * int(field.maximum or 1)
    return tuple(values)


def _write_reference(directory: Path, model: TrainedModel) -> None:
    """A sample of the training rows, as they would have been logged, with predictions and outcomes; and its profile."""
    train, predictions = model.parts["train"], model.predictions["train"]
    size = min(model.config.reference_rows, len(train))
    chosen = np.sort(np.random.default_rng(model.config.seed).choice(len(train), size, replace=False))
    sample = train.where(chosen)
    arrays = {field.name: _arrow(sample.columns[field.name], field.kind) for field in FIELDS}
    for index, name in enumerate(FEATURE_NAMES):
        arrays[FEATURE_PREFIX + name] = _arrow(predictions.features[chosen, index].astype(np.float64), Kind.NUMBER)
    arrays[TARGET.name] = pa.array(predictions.target[chosen])
    arrays[OUTCOME] = pa.array(sample.target)
    pq.write_table(pa.table(arrays), directory / REFERENCE_FILE, compression="zstd")

    write_json(directory / PROFILE_FILE, _profile(model))


def _write_error_model(directory: Path, model: TrainedModel) -> None:
    features, error, _ = _unseen(model)
    learn_error_model(features, error, model.config.seed).save_model(directory / ERROR_MODEL_FILE)


def _unseen(model: TrainedModel) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
    """Features, errors and days of the validation months: the error model learns from what the model had not seen."""
    part, predictions = model.parts["validation"], model.predictions["validation"]
    return predictions.features, predictions.target - part.target, part.days


def _profile(model: TrainedModel) -> dict[str, Any]:
    """What the training months looked like to the server: features as served, not out of fold."""
    train, predictions, seed = model.parts["train"], model.predictions["train"], model.config.seed
    columns = monitored(train.columns, predictions.features, predictions.target, train.target)
    weights = importance(model.predictor.runner.predict, predictions.features, seed)
    measured = model.document()
    error = {key: measured["metrics"]["test"][key] for key in ("n", "rmse", "rmse_interval", "mae", "bias")}
    error["ratio_to_zero_gain"] = measured["ratio_to_zero_gain"]
    model_error, zero_gain_error = (known - train.target for known in (predictions.target, train.columns[KNOWN_PART]))
    error |= usual_ratios(model_error, zero_gain_error, train.columns[EVENT_TIME])
    error["estimate"] = spread(*_unseen(model), seed)
    names = dict(zip(FEATURE_NAMES, weights.tolist(), strict=True))
    document = profile(columns, train.columns[EVENT_TIME], names, seed)
    return document | {"error": error, "vocabularies": vocabularies(train.columns)}


def _arrow(values: Any, kind: Kind) -> pa.Array:
    match kind:
        case Kind.NUMBER:
            return pa.array(values, pa.float64(), from_pandas=True)
        case Kind.LOCAL_TIME:
            return pa.array(values).cast(pa.timestamp("s"))
        case Kind.INTEGER:
            return pa.array(values.tolist(), pa.int64())
        case _:
            return pa.array(values.tolist(), pa.string())


def _provenance(model: TrainedModel) -> dict[str, Any]:
    return {
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data_fingerprint": model.flights.fingerprint,
        "commit": commit_of(),
        "config": model.config.model_dump(mode="json"),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "warnings": model.warnings,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
