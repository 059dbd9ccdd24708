"""Variants of a model: packages in folders, with all that a comparison needs of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.problem import PROBLEM
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import PROVENANCE_FILE, ModelPackage, write_json, write_predictor
from tabular_bento.scoring.parity import read_rows, write_parity
from tabular_bento.scoring.predictor import Predictor
from tests.golden import monitored as golden


@dataclass(frozen=True)
class Variants:
    """Folders of packages: the session's, that saved again, a near equal, one of other settings, and a worse one."""

    own: str
    again: str
    near: str
    other: str
    worse: str


def make_variants(package: ModelPackage, folder: Path) -> Variants:
    """Write the variants of `package` into folders below `folder`: all of its trees, most, and a few."""

    def cut(name: str, share: float) -> str:
        runner: Any = package.runner
        trees = round(share * runner.booster.num_boosted_rounds())
        return str(write_package(folder / name, type(runner)(runner.booster[:trees]), package))

    return Variants(
        own=str(package.directory),
        again=str(write_package(folder / "again", package.runner, package)),
        near=cut("near", 0.9),
        other=str(golden.write_package(folder / "other", "package_small")),
        worse=cut("worse", 0.03),
    )


def write_package(folder: Path, runner: Any, like: ModelPackage, **provenance: Any) -> Path:
    """A package of a runner with the extractor, the parity rows and the provenance of `like`."""
    folder.mkdir()
    predictor = Predictor(PROBLEM, like.extractor, runner)
    write_predictor(folder, predictor, PROBLEM)
    write_parity(folder, read_rows(like.directory, PROBLEM.fields), predictor)
    write_json(folder / PROVENANCE_FILE, {**like.provenance, **provenance})
    write_manifest(folder)
    return folder
