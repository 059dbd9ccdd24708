"""Small problems with data sets and models of them, for tests that need no project."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.data import Dataset
from tabular_bento.features import FeatureSet, Vocabulary, feature
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.parity import read_rows, write_parity
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.runners.xgboost import XGBoostRunner
from tabular_bento.training import TrainedModel, load_config, train
from tabular_bento.training.publishing import write_package
from tests.unit.problems import PRICES, TABLES, fit_data

ROWS = 300

kind_code = Vocabulary("kind").named("kind_code")


@feature(unit="kg")
def weight(row: Any) -> Any:
    """Weight."""
    return row.weight


@feature(unit="code")
def kind(row: Any) -> Any:
    """Kind, as its code in the training vocabulary."""
    return row.kind_code


@feature(unit="kg")
def weight_of_all(row: Any) -> Any:
    """Weight of all pieces."""
    return row.weight * row.pieces


PARCELS = Problem(
    name="parcels",
    fields=(
        Field("weight", Kind.NUMBER, "Weight", unit="kg", minimum=0, maximum=100),
        Field("pieces", Kind.INTEGER, "Pieces", minimum=1, maximum=9),
        Field("kind", Kind.TEXT, "Kind", min_length=1, max_length=8),
    ),
    task=Regression(Field("cost", Kind.NUMBER, "Cost", unit="EUR")),
    features=FeatureSet((weight, kind, weight_of_all), (kind_code,)),
)
"""A problem without a time, an offset, segments, tables, columns for fitting or an identifier."""

DATED = replace(PRICES, name="dated", event_time="opened", segments=("city",), baseline="city_mean", example={})
"""`PRICES` with an event time, a segment and a baseline."""

SMALL = {"parameters": {"xgboost": {"rounds": 20, "min_child_weight": 1.0}}, "report": False, "resamples": 100}
"""Settings for small models."""


def parcels(count: int = ROWS, seed: int = 0) -> Dataset:
    """Parcels, every tenth without a cost."""
    random = np.random.default_rng(seed)
    columns = {
        "weight": random.uniform(0, 50, count),
        "pieces": random.integers(1, 10, count),
        "kind": np.array(["box", "tube", "letter"])[random.integers(0, 3, count)],
    }
    cost = 3 * columns["weight"] + 10 * (columns["kind"] == "tube") + random.normal(0, 1, count)
    cost[::10] = np.nan
    return Dataset.of_table(PARCELS, {**columns, "cost": cost}, description="parcels")


def prices(problem: Problem = PRICES, count: int = ROWS, seed: int = 0) -> Dataset:
    """Rows of `PRICES` or of `DATED`."""
    data = fit_data(count, seed)
    return Dataset(problem, data.columns, data.fit_columns["target"], tables=TABLES, fingerprint=f"{count}-{seed}")


@cache
def trained(name: str = "prices") -> TrainedModel:
    """A small model of one of the problems, by its name."""
    dataset = {"prices": prices, "parcels": parcels, "dated": lambda: prices(DATED)}[name]()
    assert isinstance(dataset.problem, Problem)
    return train(dataset.problem, dataset, load_config(**SMALL))


def write(folder: Path, model: TrainedModel) -> str:
    """The package of a model in a new folder, outside of a store; its fingerprint."""
    folder.mkdir(parents=True)
    write_package(folder, model)
    return write_manifest(folder)


def store_of_two(home: Path, model: TrainedModel) -> tuple[str, str]:
    """A store with a model, the latest, and a worse one with fewer of its trees; the two tags."""
    name = model.problem.name
    first, second = f"{name}:first", f"{name}:second"
    write(folder_of(home, first), model)
    add_worse(home, model.problem, first, second)
    (home / "models" / name / "latest").write_text("first")
    return first, second


def folder_of(home: Path, tag: str) -> Path:
    """Where a package is in the store."""
    return home / "models" / tag.replace(":", "/")


def add_worse(home: Path, problem: Problem, tag: str, other: str, share: float = 0.7) -> None:
    """Add a real package that predicts otherwise than `tag`, with a share of its trees."""
    source, folder = folder_of(home, tag), folder_of(home, other)
    shutil.copytree(source, folder)
    predictor = ModelPackage.load(source, tag, problem).predictor
    booster = predictor.runner.booster
    runner = XGBoostRunner(booster[: round(share * booster.num_boosted_rounds())])
    runner.save(folder / "runner")
    write_parity(folder, read_rows(source, problem.fields), Predictor(problem, predictor.extractor, runner))
    write_manifest(folder)
