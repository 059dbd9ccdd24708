"""The model package: everything that a prediction depends on, in one entry of the model store.

| file | what it holds |
|---|---|
| `manifest.json` | SHA-256 sums of all the others, and the package's fingerprint |
| `package.json` | the format, the declaration, outputs, runner, calibration, and fingerprints of code and extractor |
| `extractor.json`, `extractor.npz` | the extractor's state |
| `runner/` | the runner |
| `spread/` | of a problem with intervals, the runner that says by how much a row's prediction is off |
| `parity.json`, `parity.npz` | parity vectors |
| `reference.parquet` | reference rows with features, predictions and labels |
| `profile.json` | what the reference looks like, for drift |
| `error_model.ubj` | what error to expect of a row, for monitoring alone |
| `metrics.json` | metrics with intervals, beside the baselines |
| `provenance.json` | when and from what it was made: data fingerprint, split, commit, library versions |
| `model_card.html` | the model card: data, metrics beside baselines, charts, segments, importance, limits, versions |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import PackageError
from tabular_bento.features import Extractor, Row
from tabular_bento.problem import Declaration, Problem
from tabular_bento.scoring.manifest import verify_manifest
from tabular_bento.scoring.parity import ROWS_FILE, VECTORS_FILE, check_parity
from tabular_bento.scoring.predictor import BatchDifference, Predictions, Predictor
from tabular_bento.scoring.runners import installed_version, load_runner
from tabular_bento.scoring.runners.base import Runner, exactness
from tabular_bento.tasks import Calibration, Conformal

FORMAT = 2

PACKAGE_FILE = "package.json"
ERROR_MODEL_FILE = "error_model.ubj"
METRICS_FILE = "metrics.json"
PROFILE_FILE = "profile.json"
PROVENANCE_FILE = "provenance.json"
REFERENCE_FILE = "reference.parquet"
CARD_FILE = "model_card.html"
RUNNER_FOLDER = "runner"
SPREAD_FOLDER = "spread"

_RETRAIN = "Train the model again with this code, or serve it from the commit it was trained at"


@dataclass(frozen=True)
class ModelPackage:
    """A verified package, ready to predict.

    Parameters
    ----------
    tag : str
        Its tag in the store.
    directory : Path
        Where it is.
    fingerprint : str
        SHA-256 in hex of all files that a prediction depends on.
    problem : Problem
        The problem that it was trained for, as this code declares it.
    predictor : Predictor
        Extractor, runner and calibration.
    parity_rows : int
        The number of parity vectors that were recomputed.
    """

    tag: str
    directory: Path
    fingerprint: str
    problem: Problem
    predictor: Predictor
    parity_rows: int

    @classmethod
    def load(cls, directory: Path, tag: str, problem: Problem) -> ModelPackage:
        """Verify the package in a folder and load it.

        Parameters
        ----------
        directory : Path
            The folder.
        tag : str
            Its tag in the store.
        problem : Problem
            What the code that runs declares.

        Raises
        ------
        PackageError
            One message that says what to do, where a file is missing or damaged, the declaration or the feature code
            differs, a library is missing, or a parity vector does not come out to the bit, or within the runner's
            tolerance.
        """
        directory = Path(directory)
        fingerprint = verify_manifest(directory)
        with _reading(tag, PACKAGE_FILE):
            document = _read_package(directory, tag)
            _check_declaration(tag, document, problem)
            runner_of = document["runner"]
            kind, folder, extractor_fingerprint = (
                runner_of["kind"],
                runner_of["folder"],
                document["extractor_fingerprint"],
            )
            for entry in (runner_of, document.get("spread", runner_of)):
                if entry["distribution"] is None or not (directory / entry["folder"]).resolve().is_relative_to(
                    directory.resolve()
                ):
                    raise ValueError("it names no folder of the package")
        with _reading(tag, "extractor.json with extractor.npz"):
            extractor = Extractor.load(problem.fields, problem.features, directory)
        if extractor.state.fingerprint != extractor_fingerprint:
            raise PackageError(f"{tag}: the extractor's state is not the one that was fitted. {_RETRAIN}.")
        with _reading(tag, f"the calibration in {PACKAGE_FILE}"):
            stored = document.get("calibration")
            calibration = None if stored is None else Calibration.from_dict(stored)
            if calibration is not None:
                problem.task.check_calibration(calibration)
            batches = runner_of.get("batches")
            measured = None if batches is None else BatchDifference.from_dict(batches)
        with _reading(tag, f"the intervals in {PACKAGE_FILE}"):
            conformal = _conformal(document, problem)
        runner = load_runner(kind, directory / folder)
        spread = None
        if "spread" in document:
            spread = load_runner(document["spread"]["kind"], directory / document["spread"]["folder"])
        predictor = Predictor(problem, extractor, runner, calibration, measured, conformal, spread)
        with _reading(tag, f"{ROWS_FILE} with {VECTORS_FILE}"):
            parity_rows = check_parity(directory, predictor)
        return cls(tag, directory, fingerprint, problem, predictor, parity_rows)

    @property
    def declaration(self) -> Declaration:
        """The problem's data."""
        return self.problem.declaration

    @property
    def extractor(self) -> Extractor:
        """The fitted features."""
        return self.predictor.extractor

    @property
    def runner(self) -> Runner:
        """The fitted model; its scores do not depend on the batch."""
        runner: Runner = self.predictor.runner
        return runner

    def predict(self, rows: Sequence[Row]) -> Predictions:
        """Predict n validated rows, see `Predictor.predict`."""
        return self.predictor.predict(rows)

    def score(self, features: NDArray[np.float32], rows: Sequence[Row]) -> NDArray[np.float64]:
        """The runner's raw scores of rows with their features, see `Predictor.score`."""
        return self.predictor.score(features, rows)

    def outputs(self, raw: NDArray[np.float64], rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
        """The outputs that raw scores mean for their rows, see `Predictor.outputs`."""
        return self.predictor.outputs(raw, rows)

    def describe(self) -> dict[str, Any]:
        """What the package is, as plain JSON values: tag, fingerprints, metrics, when and from what it was trained.

        Of a classification also the calibration with the decision threshold.
        """
        calibration, conformal = self.predictor.calibration, self.predictor.conformal
        return {
            "tag": self.tag,
            "fingerprint": self.fingerprint,
            "declaration_fingerprint": self.declaration.fingerprint,
            "code_fingerprint": self.problem.code_fingerprint,
            "extractor_fingerprint": self.extractor.state.fingerprint,
            "runner": self.runner.kind,
            **exactness(self.runner),
            "explains": self.predictor.explains,
            **self.predictor.measured_batches,
            "parity_rows": self.parity_rows,
            **({} if calibration is None else {"calibration": calibration.to_dict()}),
            **({} if conformal is None else {"interval": conformal.to_dict()}),
            "provenance": self.provenance,
            "metrics": self.metrics,
        }

    @property
    def metrics(self) -> dict[str, Any]:
        """What was measured of it, beside the baselines."""
        return _read_json(self.directory / METRICS_FILE)

    @property
    def provenance(self) -> dict[str, Any]:
        """When and from what it was made."""
        return _read_json(self.directory / PROVENANCE_FILE)

    @property
    def profile(self) -> dict[str, Any]:
        """What its training rows looked like."""
        return _read_json(self.directory / PROFILE_FILE)


def read_declaration(directory: Path) -> Declaration:
    """The declaration of the package in a folder, for those who do not have the project.

    Raises
    ------
    PackageError
        Where the folder holds no package, or a damaged one.
    """
    with _reading(str(directory), PACKAGE_FILE):
        return Declaration.from_dict(_read_package(Path(directory), str(directory))["declaration"])


def write_predictor(directory: Path, predictor: Predictor, problem: Problem) -> None:
    """Write the declaration, the extractor, the runner and the calibration of a new package."""
    runner = predictor.runner
    document: dict[str, Any] = {
        "format": FORMAT,
        "declaration": problem.declaration.to_dict(),
        "declaration_fingerprint": problem.declaration.fingerprint,
        "code_fingerprint": problem.code_fingerprint,
        "extractor_fingerprint": predictor.extractor.state.fingerprint,
        "outputs": [{**asdict(output), "kind": output.kind.value} for output in problem.outputs],
        "runner": {**_runner_entry(runner, RUNNER_FOLDER), **predictor.measured_batches},
    }
    if predictor.calibration is not None:
        document["calibration"] = predictor.calibration.to_dict()
    if predictor.conformal is not None:
        document["interval"] = predictor.conformal.to_dict()
    stored = {RUNNER_FOLDER: runner}
    if predictor.spread is not None:
        document["spread"] = _runner_entry(predictor.spread, SPREAD_FOLDER)
        stored[SPREAD_FOLDER] = predictor.spread
    write_json(directory / PACKAGE_FILE, document)
    predictor.extractor.save(directory)
    for folder, each in stored.items():
        (directory / folder).mkdir()
        each.save(directory / folder)


def _runner_entry(runner: Any, folder: str) -> dict[str, Any]:
    return {
        "kind": runner.kind,
        "distribution": runner.distribution,
        "version": installed_version(runner.distribution),
        "folder": folder,
        **exactness(runner),
    }


def _conformal(document: dict[str, Any], problem: Problem) -> Conformal | None:
    """The intervals of a package, which it has where the task has some."""
    stored, level = document.get("interval"), problem.task.interval
    conformal = None if stored is None else Conformal.from_dict(stored)
    if (None if conformal is None else conformal.level) != level:
        raise ValueError(f"they are {stored}, and the task's level is {level}")
    return conformal


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write strict JSON, the same bytes for the same content; ValueError for NaN."""
    path.write_text(json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def _reading(tag: str, what: str) -> Iterator[None]:
    """Turn whatever a file of other content raises into one message about it."""
    try:
        yield
    except PackageError:
        raise
    except Exception as error:
        raise PackageError(f"{what} of {tag} cannot be used ({type(error).__name__}: {error}). {_RETRAIN}.") from error


def _read_package(directory: Path, tag: str) -> dict[str, Any]:
    path = directory / PACKAGE_FILE
    if not path.is_file():
        old = (directory / "declaration.json").is_file()
        raise PackageError(
            f"{tag} is a package of format 1, and this version reads {FORMAT}. {_RETRAIN}."
            if old
            else f"{directory} has no {PACKAGE_FILE}, so it is no model package: run `tabular-bento train`."
        )
    document = _read_json(path)
    if document["format"] != FORMAT:
        raise PackageError(f"{tag} is a package of format {document['format']}, and this version reads {FORMAT}.")
    return document


def _check_declaration(tag: str, document: dict[str, Any], problem: Problem) -> None:
    declaration = problem.declaration
    if document["declaration_fingerprint"] != declaration.fingerprint:
        changed = _changed(document["declaration"], declaration.to_dict())
        raise PackageError(f"{tag} was made by another declaration ({changed}). {_RETRAIN}.")
    if document["code_fingerprint"] != problem.code_fingerprint:
        raise PackageError(f"{tag} was made by other feature code, which has changed since. {_RETRAIN}.")


def _changed(packaged: dict[str, Any], current: dict[str, Any]) -> str:
    for part in ("fields", "features"):
        ours = {item["name"]: item for item in current[part]}
        theirs = {item["name"]: item for item in packaged[part]}
        for name in [*theirs, *ours]:
            if ours.get(name) != theirs.get(name):
                return f"{part[:-1]} {name!r} differs"
    for part in ("task", "name", "rows", "baseline", "identifier", "event_time", "segments"):
        if packaged.get(part) != current[part]:
            return f"its {part.replace('_', ' ')} differs"
    return "the order of fields or features differs"


def _read_json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
