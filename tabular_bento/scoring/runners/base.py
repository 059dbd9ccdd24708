"""What a runner is: a fitted model behind one method, and the folder it is kept in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tabular_bento.errors import TrainingError
from tabular_bento.tasks import Task

MATRIX, FIELDS = "matrix", "fields"
"""What runners take: the feature matrix, or the fields of the rows as columns."""


@dataclass(frozen=True)
class Range:
    """The numbers that a parameter is tuned over, both ends included.

    Parameters
    ----------
    low, high : float
        The ends; where both are `int` so are the numbers.
    log : bool
        Whether their logarithms are drawn evenly.
    """

    low: float
    high: float
    log: bool = False


class Parameters(BaseModel):
    """Base of a runner's parameters: each has a default, and a name that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    search: ClassVar[Mapping[str, Range]] = MappingProxyType({})
    """What `tabular-bento train --tune` looks for the best of, by parameter."""

    @property
    def needs_validation(self) -> bool:
        """Whether `fit` is to be given rows of the validation part, to choose by how much it learns."""
        return False


@dataclass(frozen=True)
class FittingData:
    """What a runner learns from.

    Parameters
    ----------
    X : ndarray of shape [n, features]
        The feature matrix; missing values are NaN.
    y : ndarray of shape [n]
        The encoded target, see `Task.encode`.
    weights : ndarray of shape [n], optional
        What each row counts in the loss; by default all count 1.
    validation : FittingData, optional
        Rows that a runner may choose by, but not learn from; given where its parameters say `needs_validation`.
    names : tuple of str
        The names of the features; empty where they are not known.
    coded : tuple of int
        The columns that hold codes of a vocabulary, whole numbers from 0, which is the code of unknown values; a code
        says nothing by its size.
    columns : mapping, optional
        The fields of the rows, arrays of shape [n] by name: what a runner that takes fields learns from.
    folds : tuple of FittingData, optional
        Where rows are few, more to choose by, beside `validation`: of each fold the rows of the others, which are to be
        learnt from, with those of the fold as their `validation`. Given where the parameters say `needs_validation`.
    """

    X: NDArray[np.float32]
    y: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None
    validation: FittingData | None = None
    names: tuple[str, ...] = ()
    coded: tuple[int, ...] = ()
    columns: Mapping[str, NDArray[Any]] | None = None
    folds: tuple[FittingData, ...] = ()


class Runner(Protocol):
    """Predicts raw scores from the feature matrix, or from the fields of the rows.

    `save` writes into a folder of its own, and `load` reads it without unpickling anything. The library that it runs is
    imported inside its methods. A runner of another distribution is found by the entry point group
    `tabular_bento.runners`, whose entry is named as its kind.

    A fitted runner whose parameters said `needs_validation` says in `chosen`, a dictionary, which parameters it chose:
    with them the same is fitted on other rows, and no validation part is needed. Without it a model is not fitted again
    on more rows.
    """

    kind: ClassVar[str]
    """Its name in packages and settings."""
    takes: ClassVar[str]
    """What `predict` is given: `matrix`, the features of n rows as float32 of shape [n, features]; or `fields`, a
    mapping of the problem's fields by name to arrays of shape [n], as `Kind` says."""
    exact: ClassVar[bool]
    """Whether a row's scores are the same bits in any batch; if not, rows are scored one by one."""
    explains: ClassVar[bool]
    """Whether it has `explain`, see `ExplainingRunner`; a runner without the attribute has not."""
    tolerance: ClassVar[float]
    """The largest difference of a raw score between processors, relative to max(1, |score|); 0 where all compute the
    same bits."""
    losses: ClassVar[tuple[str, ...]]
    """The losses that it learns, see `Task.loss`: which tasks it is for."""
    distribution: ClassVar[str]
    """The distribution whose version a package names."""
    Parameters: ClassVar[type[Parameters]]
    """The parameters that `fit` takes, a model of pydantic in which each has a default."""

    @classmethod
    def fit(
        cls,
        data: FittingData,
        parameters: Any,
        task: Task,
        seed: int,
    ) -> Self:
        """Learn.

        Parameters
        ----------
        data : FittingData
            The rows of the training part.
        parameters : Parameters
            An instance of the runner's own `Parameters`.
        task : Task
            Its `loss` is what is minimised.
        seed : int
            The same seed and data give the same model.

        Raises
        ------
        TrainingError
            For a loss that the runner does not know, or labels that cannot be learnt from.
        """

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Raw scores, of shape [n, task.raw_columns], for features of shape [n, features], or for columns of fields.

        They are what `Task.decode` takes: of a regression the target less the offset, of a binary task the log-odds of
        the positive class, of a multiclass one the log-odds of every class, up to a constant of the row.
        """

    def save(self, directory: Path) -> None:
        """Write the model into an empty folder; equal models write equal bytes."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what `save` wrote. Raises an exception of the model's library where it is damaged."""


class ExplainingRunner(Runner, Protocol):
    """A runner whose raw scores come apart into contributions of the features."""

    def explain(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """What each feature contributes to the raw scores, and last the base value, which is the same for every row.

        Parameters
        ----------
        X : ndarray of shape [n, features]
            The features of n rows.

        Returns
        -------
        ndarray of shape [n, raw_columns, features + 1]
            Over the last axis they add up to `predict(X)`, within what float32 can hold. The bits of a row do not
            depend on the batch.
        """


class OneByOne:
    """A runner that is not exact, with each row scored by itself so that batches do not matter.

    Parameters
    ----------
    runner : Runner
        The runner.
    """

    exact: ClassVar[bool] = True

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.takes = runner.takes
        self.kind = runner.kind
        self.tolerance = runner.tolerance
        self.distribution = runner.distribution
        self.explains = getattr(runner, "explains", False)

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Raw scores, of shape [n, k]."""
        count = len(next(iter(X.values()))) if self.takes == FIELDS else len(X)
        if not count:
            return self.runner.predict(X)
        return np.concatenate([self.runner.predict(self._row(X, index)) for index in range(count)])

    def _row(self, X: Any, index: int) -> Any:
        """The row as a batch of one."""
        row = slice(index, index + 1)
        return {name: values[row] for name, values in X.items()} if self.takes == FIELDS else X[row]

    def explain(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Contributions, of shape [n, k, features + 1], of a runner that explains."""
        runner: Any = self.runner
        if not len(X):
            nothing: NDArray[np.float64] = runner.explain(X)
            return nothing
        return np.concatenate([runner.explain(X[index : index + 1]) for index in range(len(X))])

    def save(self, directory: Path) -> None:
        """Write the runner."""
        self.runner.save(directory)


def no_scores(runner: Runner, X: NDArray[np.float32]) -> NDArray[np.float64]:
    """The scores of no rows, of shape [0, raw_columns], of a runner that can score one without values."""
    return runner.predict(np.full((1, X.shape[1]), np.nan, dtype=np.float32))[:0]


def exactness(runner: Any) -> dict[str, Any]:
    """What a runner says of its bits, as plain JSON values: `exact` and `tolerance`, see `Runner`.

    Parameters
    ----------
    runner : Runner or OneByOne
        A runner; of one that scores its rows one by one, what the runner inside says.
    """
    inner = runner.runner if isinstance(runner, OneByOne) else runner
    return {"exact": bool(inner.exact), "tolerance": float(inner.tolerance)}


def objective_of(task: Task, known: dict[str, str], kind: str, y: NDArray[np.float64]) -> str:
    """A library's word for the loss of a task whose encoded labels are `y`.

    Raises
    ------
    TrainingError
        Where the runner does not know it, or the labels are not enough to learn from.
    """
    if task.loss not in known:
        raise TrainingError(f"The runner {kind!r} cannot learn the loss {task.loss!r}; it knows {', '.join(known)}.")
    try:
        task.check_learnable(y)
    except ValueError as error:
        raise TrainingError(f"The training rows of {task.target.name!r} cannot be learnt from: {error}.") from None
    return known[task.loss]
