"""From a trained model to an entry of the model store."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tabular_bento import __version__
from tabular_bento.data.snapshot import Snapshot
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.metrics import event_seconds
from tabular_bento.evaluation.reference.calibration import error_spread, usual_ratios
from tabular_bento.evaluation.reference.common_shift import common_shift
from tabular_bento.evaluation.reference.estimators import Unseen, learn_estimate
from tabular_bento.evaluation.reference.profile import (
    importance,
    input_importance,
    monitored_inputs,
    profile,
    reference_rows,
)
from tabular_bento.features import Row
from tabular_bento.features.clock import DAY
from tabular_bento.features.columns import arrays_of, rows_of
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import (
    CARD_FILE,
    METRICS_FILE,
    PROFILE_FILE,
    PROVENANCE_FILE,
    REFERENCE_FILE,
    write_json,
    write_predictor,
)
from tabular_bento.scoring.parity import write_parity
from tabular_bento.scoring.runners import installed_version
from tabular_bento.training.card import write_card
from tabular_bento.training.commit import commit_of
from tabular_bento.training.pipeline import TrainedModel

_LIBRARIES = ("bentoml", "numpy", "pydantic", "tzdata")

_UNSEEN = ("validation", "calibration")
"""Parts that estimates without labels are learnt from: the model had not seen them."""


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
    write_json(directory / METRICS_FILE, model.document())
    provenance = _provenance(model, folder)
    write_json(directory / PROVENANCE_FILE, provenance)
    write_card(model, provenance, directory / CARD_FILE)


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
    write_json(directory / PROFILE_FILE, _profile(directory, model))


def _profile(directory: Path, model: TrainedModel) -> dict[str, Any]:
    """What the training rows looked like to the server: features as served, not out of fold."""
    declaration, train, predictions = model.problem.declaration, model.parts["train"], model.predictions["train"]
    seed = model.config.seed
    names = _importance(model)
    document = profile(declaration, train.columns, predictions.features, predictions.outputs, train.target, names, seed)
    return document | {"error": _error(directory, model)}


def _importance(model: TrainedModel) -> dict[str, float]:
    """The importance of each feature, or of each monitored input where the problem has no features, by name."""
    declaration, predictor, seed = model.problem.declaration, model.predictor.measuring, model.config.seed
    if predictor.takes_fields:
        columns = arrays_of(model.parts["train"].columns, declaration.fields)
        watched = [item.name for item in monitored_inputs(declaration)]
        # It says nothing of features, which such a runner does not see.
        return {} if declaration.features else input_importance(predictor.runner.predict, columns, watched, seed)
    weights = importance(predictor.runner.predict, model.predictions["train"].features, seed)
    return dict(zip(declaration.feature_names, weights.tolist(), strict=True))


def _error(directory: Path, model: TrainedModel) -> dict[str, Any]:
    """The entry `error` of the profile."""
    declaration, train, predictions = model.problem.declaration, model.parts["train"], model.predictions["train"]
    evaluator, measured = evaluator_of(declaration.task), model.document()
    first, second = evaluator.losses
    keys = ("n", first, f"{first}_interval", second, "bias")
    error = {key: measured["metrics"]["test"][key] for key in keys}
    error["ratio_to_naive_baseline"] = measured["ratio_to_naive_baseline"]
    codes = evaluator.codes(train.target)
    naive = 0.0 if train.offset is not None else evaluator.naive(codes)
    assert naive is not None
    plain = declaration.task.decode(evaluator.naive_raw(naive, len(train)), train.offset)
    ours, theirs = (evaluator.row_losses(outputs, codes)[:, 0] for outputs in (predictions.outputs, plain))
    error |= usual_ratios(ours, theirs, event_seconds(declaration, train.columns), evaluator.first_level)
    error["shift"] = _shift(model, evaluator.residual(predictions.outputs, codes), error)
    unseen = unseen_rows(model)
    residual = evaluator.residual(unseen.outputs, unseen.codes)
    seconds = None if unseen.days is None else unseen.days * DAY
    error["unseen"] = error_spread(residual, seconds, evaluator.row_losses(unseen.outputs, unseen.codes)[:, 0])
    calibration, seed = model.predictor.calibration, model.config.seed
    error["estimate"] = learn_estimate(directory, declaration, unseen, calibration, seed)
    return error


def _shift(model: TrainedModel, residual: NDArray[np.float64], error: dict[str, Any]) -> dict[str, Any]:
    """How a shift of all segments alike is measured; limits allow for how much better the model is on rows it saw."""
    declaration, columns = model.problem.declaration, model.parts["train"].columns
    segments = {name: columns[name] for name in declaration.segments if declaration.field(name).kind is Kind.TEXT}
    seen = next(reversed(error["usual_ratio"]), 0.0)
    optimism = error["ratio_to_naive_baseline"] / seen if seen else 1.0
    return common_shift(residual, segments, event_seconds(declaration, columns), optimism)


def unseen_rows(model: TrainedModel) -> Unseen:
    """The parts but for test that the model had not seen: of a calibrated one not the calibration part either."""
    calibrated = model.config.calibration != "none"
    names = [name for name in _UNSEEN if len(model.parts[name]) and not (calibrated and name == "calibration")]
    parts, predictions = [model.parts[name] for name in names], [model.predictions[name] for name in names]
    codes = evaluator_of(model.problem.task).codes
    events = [event_seconds(model.problem.declaration, part.columns) for part in parts]
    known = [event for event in events if event is not None]
    return Unseen(
        np.concatenate([each.features for each in predictions]),
        {name: np.concatenate([each.outputs[name] for each in predictions]) for name in predictions[0].outputs},
        np.concatenate([codes(part.target) for part in parts]),
        np.concatenate(known) // DAY if known else None,
    )


def _provenance(model: TrainedModel, folder: Path | None) -> dict[str, Any]:
    libraries = (*_LIBRARIES, model.predictor.runner.distribution)
    used = dict(model.dataset.parts)
    labelled = int(model.dataset.labelled.sum())
    return {
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data_fingerprint": model.dataset.fingerprint,
        "data": model.dataset.description,
        "snapshot": Snapshot.of(model.dataset).to_dict(),
        "rows": len(model.dataset),
        "rows_without_label": len(model.dataset) - labelled,
        "rows_in_no_part": labelled - sum(map(len, used.values())),
        "split": {name: _part(model, name) for name in used},
        "fitted_on": list(model.fitted_on),
        "folds": {"by": model.config.folds, "number": model.folds},
        "commit": commit_of(folder),
        "config": model.config.model_dump(mode="json"),
        "parameters": model.parameters,
        "chosen": model.chosen,
        **_comparison(model.predictor.runner),
        "python": platform.python_version(),
        "libraries": {"tabular-bento": __version__} | {name: installed_version(name) for name in libraries},
        **({} if model.imported is None else {"imported": asdict(model.imported)}),
        "warnings": model.warnings,
    }


def _comparison(runner: Any) -> dict[str, Any]:
    """How a network's values compare with those of the library that fitted it."""
    found = getattr(runner, "comparison", None)
    return {} if found is None else {"comparison": found.model_dump(mode="json")}


def _part(model: TrainedModel, name: str) -> dict[str, Any]:
    part = model.parts[name]
    found: dict[str, Any] = {"rows": len(part)}
    days = part.event_days
    if days is not None and len(part):
        first, last = (str(np.datetime64(int(day), "D")) for day in (days.min(), days.max()))
        found |= {"first_day": first, "last_day": last}
    return found
