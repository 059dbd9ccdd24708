"""Tables of different sizes, regressions among them: those of scikit-learn and of the examples, and drawn ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from benchmarks.defaults.tables import TABLES as OTHERS
from benchmarks.defaults.tables import Table

FIRST_DAY = np.datetime64("2023-01-01")
DAYS = 180
GROUPS = np.array(["a", "b", "c", "d"], dtype=object)


def _fixed(name: str) -> Callable[[int], Table]:
    return lambda _: OTHERS[name]()


def drawn(
    rows: int, seed: int = 0, classes: int = 2, share: float = 0.5, strength: float = 1.0, dated: bool = False
) -> Table:
    """Rows whose label follows numbers and a text, with gaps, by chance.

    Parameters
    ----------
    rows, seed : int
        How many, and of what draws.
    classes : int
        Number of classes.
    share : float
        Of two classes, how likely the last one is in the middle of the numbers; of all rows it is likelier.
    strength : float
        How well the label can be predicted: of 5 nearly always.
    dated : bool
        Whether they have a day; days differ by chance.
    """
    rng = np.random.default_rng([seed, rows, classes])
    numbers = rng.normal(size=(rows, 6))
    group = rng.choice(len(GROUPS), rows, p=(0.4, 0.3, 0.2, 0.1))
    score = 1.2 * numbers[:, 0] - 0.9 * numbers[:, 1] + 0.8 * numbers[:, 2] * numbers[:, 3] + 0.5 * (group - 1)
    frame = pd.DataFrame({f"x{index}": values for index, values in enumerate(numbers.T)})
    if dated:
        day = np.sort(rng.integers(0, DAYS, rows))
        score = score + rng.normal(0, 0.3, DAYS)[day]
        frame["day"] = (FIRST_DAY + day).astype("datetime64[s]")
    frame = frame.assign(group=GROUPS[group])
    frame.loc[rng.random(rows) < 0.1, "x4"] = np.nan
    bias = np.zeros(classes)
    bias[-1] = np.log(share / (1 - share)) if classes == 2 else 0.0
    raw = strength * score[:, None] * np.linspace(-1, 1, classes) * (1.0 if classes > 2 else 0.75) + bias
    shares = np.exp(raw - raw.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    codes = (shares.cumsum(axis=1)[:, :-1] < rng.random(rows)[:, None]).sum(axis=1)
    return Table(frame.assign(label=[f"class {code}" for code in codes]), "label", "day" if dated else None)


TABLES: Mapping[str, Callable[[int], Table]] = MappingProxyType(
    {
        "irises": _fixed("irises"),
        "wines": _fixed("wines"),
        "penguins": _fixed("penguins"),
        "tumours": _fixed("tumours"),
        "digits": _fixed("digits"),
        "diabetes": _fixed("diabetes"),
        "claims-3000": _fixed("claims-3000"),
        "friedman-5000": _fixed("friedman-5000"),
        "risks-20000": _fixed("risks-20000"),
        "drawn-150": lambda seed: drawn(150, seed),
        "drawn-300": lambda seed: drawn(300, seed),
        "drawn-600": lambda seed: drawn(600, seed),
        "drawn-1000": lambda seed: drawn(1_000, seed),
        "drawn-2000": lambda seed: drawn(2_000, seed),
        "drawn-5000": lambda seed: drawn(5_000, seed),
        "drawn-20000": lambda seed: drawn(20_000, seed),
        "easy-1000": lambda seed: drawn(1_000, seed, strength=5.0),
        "easy-5000": lambda seed: drawn(5_000, seed, strength=5.0),
        "four-classes-600": lambda seed: drawn(600, seed, classes=4),
        "four-classes-2000": lambda seed: drawn(2_000, seed, classes=4),
        "rare-600": lambda seed: drawn(600, seed, share=0.02),
        "rare-2000": lambda seed: drawn(2_000, seed, share=0.02),
        "rare-10000": lambda seed: drawn(10_000, seed, share=0.0005),
        "days-3000": lambda seed: drawn(3_000, seed, dated=True),
        "days-10000": lambda seed: drawn(10_000, seed, dated=True),
    }
)
"""The tables by name, made when they are called; a drawn one is another for each seed, a real one is the same."""
