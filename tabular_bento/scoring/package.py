"""The model package: everything that a prediction depends on, in one entry of the BentoML model store.

| file | what it holds |
|---|---|
| `manifest.json` | SHA-256 sums of all the others, and the package's fingerprint |
| `declaration.json` | the declaration, and the fingerprints of the feature code and the extractor |
| `extractor.json`, `extractor.npz` | the extractor's state |
| `model.ubj` or `model.skops` | the runner |
| `parity.json`, `parity.npz` | parity vectors |
| `reference.parquet` | reference rows with features, predictions and outcomes |
| `profile.json` | what the reference looks like, for drift |
| `error_model.ubj` | what error to expect of a row, for monitoring alone |
| `metrics.json` | metrics with intervals, beside the baselines |
| `provenance.json` | when and from what it was made: data fingerprint, commit, library versions |
| `training_report.html` | Evidently's report of the test months |
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.extractor import FeatureExtractor
from features.fingerprint import code_fingerprint, declaration, declaration_fingerprint
from tabular_bento.errors import PackageError
from tabular_bento.scoring.manifest import verify_manifest
from tabular_bento.scoring.parity import ROWS_FILE, VECTORS_FILE, check_parity
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.runners import load_runner

DECLARATION_FILE = "declaration.json"
ERROR_MODEL_FILE = "error_model.ubj"
METRICS_FILE = "metrics.json"
PROFILE_FILE = "profile.json"
PROVENANCE_FILE = "provenance.json"
REFERENCE_FILE = "reference.parquet"
REPORT_FILE = "training_report.html"

_RETRAIN = "Train the model again with this checkout, or serve it from the commit it was trained at"


@dataclass(frozen=True)
class ModelPackage:
    """A verified package, ready to predict."""

    tag: str
    directory: Path
    fingerprint: str
    predictor: Predictor
    parity_rows: int

    @classmethod
    def load(cls, directory: Path, tag: str) -> ModelPackage:
        """Verify the package in `directory` and load it.

        Raises PackageError, one sentence that says what to do, where a file is missing or damaged, the declaration or
        the feature code differs, a library is missing, or a parity vector does not come out to the bit.
        """
        directory = Path(directory)
        fingerprint = verify_manifest(directory)
        with _reading(tag, DECLARATION_FILE):
            document = _read_json(directory / DECLARATION_FILE)
            _check_declaration(tag, document)
            kind, extractor_fingerprint = document["runner"], document["extractor_fingerprint"]
        with _reading(tag, "extractor.json with extractor.npz"):
            extractor = FeatureExtractor.load(directory)
        if extractor.fingerprint != extractor_fingerprint:
            raise PackageError(f"{tag}: the extractor's state is not the one that was fitted. {_RETRAIN}.")
        predictor = Predictor(extractor, load_runner(kind, directory))
        with _reading(tag, f"{ROWS_FILE} with {VECTORS_FILE}"):
            parity_rows = check_parity(directory, predictor)
        return cls(tag, directory, fingerprint, predictor, parity_rows)

    def describe(self) -> dict[str, Any]:
        """What the package is, as plain JSON values: tag, fingerprints, metrics, when and from what it was trained."""
        return {
            "tag": self.tag,
            "fingerprint": self.fingerprint,
            "declaration_fingerprint": declaration_fingerprint(),
            "code_fingerprint": code_fingerprint(),
            "extractor_fingerprint": self.predictor.extractor.fingerprint,
            "runner": self.predictor.runner.kind,
            "parity_rows": self.parity_rows,
            "provenance": self.provenance,
            "metrics": self.metrics,
        }

    @property
    def metrics(self) -> dict[str, Any]:
        return _read_json(self.directory / METRICS_FILE)

    @property
    def provenance(self) -> dict[str, Any]:
        return _read_json(self.directory / PROVENANCE_FILE)

    @property
    def profile(self) -> dict[str, Any]:
        return _read_json(self.directory / PROFILE_FILE)


def write_predictor(directory: Path, predictor: Predictor) -> None:
    """Write the declaration, the extractor and the runner of a new package."""
    document = {
        "declaration": declaration(),
        "declaration_fingerprint": declaration_fingerprint(),
        "code_fingerprint": code_fingerprint(),
        "extractor_fingerprint": predictor.extractor.fingerprint,
        "runner": predictor.runner.kind,
    }
    write_json(directory / DECLARATION_FILE, document)
    predictor.extractor.save(directory)
    predictor.runner.save(directory)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write strict JSON, the same bytes for the same content; ValueError for NaN."""
    path.write_text(json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")


@contextmanager
def _reading(tag: str, what: str) -> Iterator[None]:
    """Turn whatever a file of other content raises into one sentence about it."""
    try:
        yield
    except PackageError:
        raise
    except Exception as error:
        raise PackageError(f"{what} of {tag} cannot be used ({type(error).__name__}: {error}). {_RETRAIN}.") from error


def _check_declaration(tag: str, document: dict[str, Any]) -> None:
    if document["declaration_fingerprint"] != declaration_fingerprint():
        changed = _changed(document["declaration"], declaration())
        raise PackageError(f"{tag} was made by another declaration ({changed}). {_RETRAIN}.")
    if document["code_fingerprint"] != code_fingerprint():
        raise PackageError(f"{tag} was made by other feature code (features/ has changed since). {_RETRAIN}.")


def _changed(packaged: dict[str, Any], current: dict[str, Any]) -> str:
    for part in ("fields", "features"):
        ours = {item["name"]: item for item in current[part]}
        theirs = {item["name"]: item for item in packaged[part]}
        for name in [*theirs, *ours]:
            if ours.get(name) != theirs.get(name):
                return f"{part[:-1]} {name!r} differs"
    return "its name, target or order of fields differs"


def _read_json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document
