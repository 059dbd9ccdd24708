"""A small project that reads one table, for the tests of training from a source."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.models import ROOT, run_command

FILES = {
    "pyproject.toml": """
[tool.tabular-bento]
problem = "features.problem:PROBLEM"
source = "training.source:SOURCE"
training = "training/config.toml"
""",
    "features/__init__.py": "",
    "features/problem.py": """
from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.features import FeatureSet

FIELDS = (
    Field("weight", Kind.NUMBER, "Weight", unit="kg"),
    Field("pieces", Kind.INTEGER, "Pieces"),
    Field("kind", Kind.TEXT, "Kind"),
)
PROBLEM = Problem(
    name="parcels", fields=FIELDS, task=Regression(Field("cost", Kind.NUMBER, "Cost")),
    features=FeatureSet.of_fields(FIELDS),
)
""",
    "training/__init__.py": "",
    "training/config.toml": """
seed = 3
report = false
resamples = 100
[xgboost]
rounds = 10
min_child_weight = 1.0
""",
}


@dataclass(frozen=True)
class Parcels:
    """The project in a folder, with a model store of its own."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, source: str) -> Parcels:
        """Write it, with the line that names its source."""
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        head = "from features.problem import PROBLEM\nfrom tabular_bento.data import SQLSource, TableSource\n\n"
        (folder / "training" / "source.py").write_text(f"{head}SOURCE = {source}\n")
        return cls(folder)

    @property
    def store(self) -> Path:
        """Its model store."""
        return self.folder / "store"

    @contextmanager
    def settings(self, old: str, new: str) -> Iterator[None]:
        """Within it another line is in the settings of training."""
        path = self.folder / "training" / "config.toml"
        text = path.read_text()
        path.write_text(text.replace(old, new))
        try:
            yield
        finally:
            path.write_text(text)

    def train(self, *arguments: str, expect: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `tabular-bento train`."""
        settings = {"BENTOML_HOME": str(self.store), "PYTHONPATH": str(ROOT), **environment}
        result = run_command("train", "--json", *arguments, cwd=self.folder, **settings)
        assert result.returncode == expect, result.stdout + result.stderr
        return result

    def trained(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """What `tabular-bento train --json` says."""
        document: dict[str, Any] = json.loads(self.train(*arguments, **environment).stdout.splitlines()[-1])
        return document

    def provenance(self, tag: str) -> dict[str, Any]:
        """What a model says of its training."""
        path = self.store / "models" / tag.replace(":", "/") / "provenance.json"
        document: dict[str, Any] = json.loads(path.read_text())
        return document

    def models(self) -> set[str]:
        """The versions in the store."""
        return {path.name for path in (self.store / "models" / "parcels").glob("*/")}


def parcels_csv(rows: int) -> str:
    """Parcels whose costs follow from their weights, every tenth without one."""
    lines = ["weight,pieces,kind,cost"]
    for row in range(rows):
        weight, kind = row * 37 % 101 / 2, ("box", "tube", "letter")[row * 7 % 3]
        cost = "" if row % 10 == 0 else f"{3 * weight + 10 * (kind == 'tube') + row * 13 % 5 / 5:.2f}"
        lines.append(f"{weight},{1 + row % 9},{kind},{cost}")
    return "\n".join(lines) + "\n"
