"""The model that was served before the library was split off, as a package of the library in a store of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from features.problem import PROBLEM
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import write_json, write_predictor
from tabular_bento.scoring.parity import write_parity
from tests.golden import before

VERSION = "goldengoldengold"
"""As long as those that BentoML makes: lengths of heads are compared."""

ENTRY = f"""\
name: flights
version: {VERSION}
module: ''
labels: {{}}
options: {{}}
metadata: {{}}
context:
  framework_name: ''
  framework_versions: {{}}
  bentoml_version: 1.4.39
  python_version: 3.11.7
signatures: {{}}
api_version: v1
creation_time: '2013-01-01T00:00:00+00:00'
"""


def write_store(store: Path) -> str:
    """Write a store that holds the model, and give its tag."""
    folder = store / "models" / "flights" / VERSION
    folder.mkdir(parents=True)
    predictor = before.predictor()
    write_predictor(folder, predictor, PROBLEM)
    write_parity(folder, before.rows()[:120], predictor)
    for name in ("metrics.json", "provenance.json", "error_model.ubj", "reference.parquet"):
        shutil.copy(before.FOLDER / "package" / name, folder)
    write_json(folder / "profile.json", _profile(json.loads((before.FOLDER / "package" / "profile.json").read_text())))
    (folder / "model.yaml").write_text(ENTRY)
    write_manifest(folder)
    (folder.parent / "latest").write_text(VERSION)
    return f"flights:{VERSION}"


def _profile(profile: dict[str, object]) -> dict[str, object]:
    """The profile by the names that columns have in the log."""
    columns = profile["columns"]
    assert isinstance(columns, dict)
    outputs = {output.name for output in PROBLEM.outputs}
    named = {(f"output.{name}" if name in outputs else f"feature.{name}"): value for name, value in columns.items()}
    return {**profile, "columns": named}
