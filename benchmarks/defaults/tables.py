"""Tables that projects are made of: those of scikit-learn and of the examples, and generated ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from benchmarks.command import run_in_project


@dataclass(frozen=True)
class Table:
    """A table, and what is predicted of it.

    Parameters
    ----------
    rows : DataFrame
        All columns.
    target : str
        The column that is predicted.
    time : str, optional
        The column that the split goes by.
    """

    rows: pd.DataFrame
    target: str
    time: str | None = None

    def make_project(self, folder: Path) -> None:
        """Make a project of the table in a new folder, as `tabular-bento new` does, with its CSV file beside it."""
        csv = folder.with_suffix(".csv")
        self.rows.to_csv(csv, index=False)
        time = () if self.time is None else ("--time", self.time)
        options = ("--from", str(csv), "--target", self.target, *time)
        run_in_project(folder.parent, "-m", "tabular_bento", "new", folder.name, *options)


def _of_scikit_learn(load: Callable[..., Any]) -> Table:
    bunch = load(as_frame=True)
    rows = bunch.frame.rename(columns={"target": "label"})
    if (names := getattr(bunch, "target_names", None)) is not None:
        rows["label"] = [f"class {names[code]}" for code in rows["label"]]
    return Table(rows, "label")


def _penguins() -> Table:
    from palmerpenguins import load_penguins

    return Table(load_penguins(), "species")


def _friedman(rows: int) -> Table:
    """Friedman, Multivariate adaptive regression splines, Annals of Statistics 1991: interactions and curves."""
    X, y = datasets.make_friedman1(rows, n_features=10, noise=1.0, random_state=rows)
    return Table(pd.DataFrame(X, columns=[f"x{index}" for index in range(10)]).assign(y=y), "y")


def _linear(rows: int) -> Table:
    """Numbers and a category that add up, with gaps, over two years."""
    random = np.random.default_rng(rows)
    X = random.normal(size=(rows, 6))
    shop = random.integers(0, 12, rows)
    y = X @ random.normal(size=6) + random.normal(size=12)[shop] + random.normal(0, 1.0, rows)
    frame = pd.DataFrame(X, columns=[f"measure {index}" for index in range(6)])
    frame = frame.mask(random.random(frame.shape) < 0.05)
    frame["shop"] = [f"shop {index}" for index in shop]
    frame["sold on"] = pd.Timestamp("2022-01-01") + pd.to_timedelta(np.sort(random.integers(0, 730, rows)), "D")
    return Table(frame.assign(price=y.round(4)), "price", "sold on")


def _risks(rows: int) -> Table:
    """A rare class, that depends on a category of many values and on two numbers together."""
    random = np.random.default_rng(rows)
    age, income = random.uniform(18, 80, rows), random.lognormal(10, 0.6, rows)
    place = random.integers(0, 60, rows)
    risk = -3.5 + 1.5 * ((age < 30) & (income < 20_000)) + random.normal(0, 0.8, 60)[place] + 0.01 * (age - 45)
    lost = random.random(rows) < 1 / (1 + np.exp(-risk))
    frame = pd.DataFrame({"age": age.round(), "income": income.round(2), "place": [f"p{index}" for index in place]})
    frame["member"] = random.random(rows) < 0.4
    return Table(frame.assign(lost=np.where(lost, "yes", "no")), "lost")


def _groups(rows: int) -> Table:
    X, y = datasets.make_classification(
        rows, n_features=12, n_informative=6, n_classes=4, class_sep=0.8, flip_y=0.05, random_state=rows
    )
    return Table(pd.DataFrame(X, columns=[f"v{index}" for index in range(12)]).assign(group=y), "group")


def _circles(rows: int) -> Table:
    X, y = datasets.make_hastie_10_2(rows, random_state=rows)
    return Table(pd.DataFrame(X, columns=[f"x{index}" for index in range(10)]).assign(inside=y > 0), "inside")


TABLES: Mapping[str, Callable[[], Table]] = MappingProxyType(
    {
        "diabetes": lambda: _of_scikit_learn(datasets.load_diabetes),
        "tumours": lambda: _of_scikit_learn(datasets.load_breast_cancer),
        "wines": lambda: _of_scikit_learn(datasets.load_wine),
        "irises": lambda: _of_scikit_learn(datasets.load_iris),
        "digits": lambda: _of_scikit_learn(datasets.load_digits),
        "penguins": _penguins,
        "friedman-500": lambda: _friedman(500),
        "friedman-5000": lambda: _friedman(5_000),
        "linear-300": lambda: _linear(300),
        "linear-3000": lambda: _linear(3_000),
        "risks-2000": lambda: _risks(2_000),
        "risks-20000": lambda: _risks(20_000),
        "groups-1500": lambda: _groups(1_500),
        "hastie-4000": lambda: _circles(4_000),
    }
)
"""The tables by name, made when they are called."""
