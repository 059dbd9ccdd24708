"""Variants of a model: packages in folders, with all that a comparison needs of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import PROVENANCE_FILE, ModelPackage, write_json, write_predictor
from tabular_bento.scoring.parity import read_rows, write_parity
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.training.config import TrainingConfig, load_config
from tabular_bento.training.examples import examples_between, out_of_fold
from tabular_bento.training.learners import learn
from training.source import Flights

WEATHER = ("temp", "wind_dir", "wind_speed", "precip", "visib", "pressure")


@dataclass(frozen=True)
class Variants:
    """Folders of packages: the session's, that loaded and saved again, another seed, and one that saw no weather."""

    own: str
    again: str
    seed: str
    blind: str


def make_variants(package: ModelPackage, flights: Flights, folder: Path) -> Variants:
    """Train and write the variants of `package` into folders below `folder`."""
    default = load_config()
    train_part = examples_between(flights, default.split.train)
    X = out_of_fold(train_part, flights.references, default.shrinkage)

    def trained(name: str, **changed: Any) -> str:
        config = load_config(**changed)
        predictor = Predictor(package.predictor.extractor, learn(config, X, train_part.gain))
        return str(write_package(folder / name, predictor, package, config))

    return Variants(
        own=str(package.directory),
        again=str(write_package(folder / "again", package.predictor, package, default)),
        seed=trained("seed", seed=7),
        blind=trained("blind", withheld=WEATHER),
    )


def write_package(folder: Path, predictor: Predictor, like: ModelPackage, config: TrainingConfig) -> Path:
    """A package of `predictor` with the parity rows and the data of `like`."""
    folder.mkdir()
    write_predictor(folder, predictor)
    write_parity(folder, read_rows(like.directory), predictor)
    write_json(folder / PROVENANCE_FILE, {**like.provenance, "config": config.model_dump(mode="json")})
    write_manifest(folder)
    return folder
