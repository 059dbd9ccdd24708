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


def _sharp(rows: int, classes: int) -> Table:
    """Classes that sums of numbers decide, almost without noise."""
    random = np.random.default_rng(rows)
    X = random.normal(size=(rows, 6))
    label = (X @ random.normal(size=(6, classes)) + random.gumbel(0, 0.1, (rows, classes))).argmax(axis=1)
    frame = pd.DataFrame(X, columns=[f"x{index}" for index in range(6)])
    return Table(frame.assign(label=[f"class {code}" for code in label]), "label")


def _circles(rows: int) -> Table:
    X, y = datasets.make_hastie_10_2(rows, random_state=rows)
    return Table(pd.DataFrame(X, columns=[f"x{index}" for index in range(10)]).assign(inside=y > 0), "inside")


def _claims(rows: int) -> Table:
    """Costs with a heavy tail that multiply, over a category of many values and a date."""
    random = np.random.default_rng(rows)
    age, power = random.uniform(18, 80, rows), random.lognormal(4.5, 0.4, rows)
    town = random.zipf(1.6, rows) % 120
    days = random.integers(0, 1_500, rows)
    size = 4 + 0.01 * (age - 45) ** 2 / 20 + 0.5 * np.log(power) + random.normal(0, 0.4, 120)[town] + days / 5_000
    frame = pd.DataFrame({"age": age.round(), "power": power.round(1), "town": [f"town {index}" for index in town]})
    frame["since"] = pd.Timestamp("2018-01-01") + pd.to_timedelta(days, "D")
    return Table(frame.assign(cost=np.exp(size + random.normal(0, 0.8, rows)).round(2)), "cost")


def _switches(rows: int) -> Table:
    """A class that depends on pairs of categories and on a product of numbers, and on none of them alone."""
    random = np.random.default_rng(rows)
    frame = pd.DataFrame({name: random.choice(list("abcd"), rows) for name in ("left", "right", "other")})
    frame["x"], frame["z"] = random.normal(size=rows), random.normal(size=rows)
    odds = 2.0 * np.where((frame["left"] < "c") == (frame["right"] < "c"), 1, -1) + 1.5 * frame["x"] * frame["z"]
    return Table(frame.assign(on=random.random(rows) < 1 / (1 + np.exp(-odds))), "on")


def _noise(rows: int) -> Table:
    """A target that nothing says anything of."""
    random = np.random.default_rng(rows)
    frame = pd.DataFrame(random.normal(size=(rows, 5)), columns=list("abcde"))
    frame["kind"] = random.choice(["x", "y", "z"], rows)
    return Table(frame.assign(value=random.normal(10, 3, rows).round(3)), "value")


def _grades(rows: int) -> Table:
    """Three grades as integers, of few rows, that follow a sum of numbers with gaps and a boolean."""
    random = np.random.default_rng(rows)
    frame = pd.DataFrame(random.normal(size=(rows, 4)), columns=[f"part {index}" for index in range(1, 5)])
    frame["repeated"] = random.random(rows) < 0.3
    total = frame.iloc[:, :3].sum(axis=1) - frame["repeated"] + random.normal(0, 0.7, rows)
    grades = np.digitize(total, np.quantile(total, [0.3, 0.7]))
    return Table(frame.mask(random.random(frame.shape) < 0.08).assign(grade=grades + 1), "grade")


def _demand(rows: int) -> Table:
    """Counts over three years, with seasons, a trend and shops that open late."""
    random = np.random.default_rng(rows)
    day = np.sort(random.integers(0, 1_095, rows))
    shop = (random.integers(0, 20, rows) * (0.5 + day / 2_190)).astype(int)
    level = 2.5 + 0.4 * np.sin(2 * np.pi * day / 365.25) + 0.25 * (day % 7 >= 5) + day / 4_000
    price = random.uniform(1, 3, rows)
    count = random.poisson(np.exp(level + random.normal(0, 0.4, 20)[shop] - 0.3 * price))
    frame = pd.DataFrame({"day": pd.Timestamp("2021-01-01") + pd.to_timedelta(day, "D"), "price": price.round(2)})
    return Table(frame.assign(shop=[f"shop {index}" for index in shop], sold=count), "sold", "day")


def _steps(rows: int) -> Table:
    """A target of steps and interactions, with many columns that say nothing."""
    random = np.random.default_rng(rows)
    X = random.uniform(-1, 1, (rows, 25))
    y = 3 * (X[:, 0] > 0.2) * (X[:, 1] < 0.3) + 2 * np.floor(3 * X[:, 2]) + 2 * X[:, 3] * (X[:, 4] > 0)
    columns = [f"x{index}" for index in range(25)]
    return Table(pd.DataFrame(X, columns=columns).assign(y=y + random.normal(0, 1, rows)), "y")


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
        "sharp-200": lambda: _sharp(200, 3),
        "sharp-400": lambda: _sharp(400, 2),
        "hastie-4000": lambda: _circles(4_000),
        "claims-3000": lambda: _claims(3_000),
        "switches-1000": lambda: _switches(1_000),
        "noise-400": lambda: _noise(400),
        "grades-150": lambda: _grades(150),
        "demand-2500": lambda: _demand(2_500),
        "steps-800": lambda: _steps(800),
    }
)
"""The tables by name, made when they are called."""
