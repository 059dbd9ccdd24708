"""Ridge and logistic regression, fitted with scikit-learn and served by NumPy alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tabular_bento.scoring.runners import base, linear_fitting
from tabular_bento.scoring.runners.coefficients import Array, Coefficients
from tabular_bento.tasks import Task

FORMAT = 1
LOSSES = {"squared_error": "squared_error", "log_loss": "log_loss", "multiclass_log_loss": "log_loss"}

ALPHA = 1.0
"""The penalty where neither it nor rows to choose it by are given."""


class LinearParameters(base.Parameters):
    """Parameters of `sklearn.linear_model.Ridge` and `LogisticRegression`."""

    alpha: float | None = Field(default=None, gt=0)
    """L2 penalty of coefficients of standardised columns: `alpha` of Ridge, 1 / `C` of LogisticRegression. By default
    the one with the smallest loss on the validation part and, of few training rows, on each fold of them; of classes
    one below 0.1 only for a clear gain."""
    min_code_rows: int = Field(default=10, ge=1)
    """Fewest training rows of a code that gets a coefficient; rarer and unknown codes have none."""

    search: ClassVar[Mapping[str, base.Range]] = MappingProxyType(
        {"alpha": base.Range(1e-3, 1e4, log=True), "min_code_rows": base.Range(1, 100, log=True)}
    )

    @property
    def needs_validation(self) -> bool:
        return self.alpha is None


class LinearRunner:
    """A linear model of standardised numbers, indicators of missing values, and codes one-hot.

    A missing number is taken for the mean of training, beside its indicator; numbers are clipped to the range of
    training, so that an infinite or mistaken one does not decide the score alone.

    Parameters
    ----------
    coefficients : Coefficients
        The fitted model.
    """

    kind: ClassVar[str] = "linear"
    takes: ClassVar[str] = "matrix"
    exact: ClassVar[bool] = True
    explains: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.0
    losses: ClassVar[tuple[str, ...]] = tuple(LOSSES)
    distribution: ClassVar[str] = "numpy"
    Parameters: ClassVar[type[base.Parameters]] = LinearParameters
    file: ClassVar[str] = "model.json"

    def __init__(self, coefficients: Coefficients) -> None:
        self.coefficients = coefficients
        self.chosen: dict[str, float] = {}

    @classmethod
    def fit(cls, data: base.FittingData, parameters: LinearParameters, task: Task, seed: int) -> Self:
        from threadpoolctl import threadpool_limits

        loss = base.objective_of(task, LOSSES, cls.kind, data.y)
        alphas = [parameters.alpha or ALPHA]
        if parameters.alpha is None and (data.validation is not None or data.folds):
            alphas = sorted(linear_fitting.ALPHAS[loss], reverse=True)
        with threadpool_limits(1):  # the same bits with any number of processors
            if loss == "squared_error":
                found = linear_fitting.ridge(data, parameters.min_code_rows, alphas)
            else:
                found = linear_fitting.logistic(data, parameters.min_code_rows, alphas, task, seed)
        runner = cls(found.model.with_average(data.X))
        runner.chosen = {"alpha": found.alpha} if len(alphas) > 1 else {}
        return runner

    def predict(self, X: NDArray[np.float32]) -> Array:
        return self.coefficients.scores(X)

    def explain(self, X: NDArray[np.float32]) -> Array:
        """Contributions less their means in training (SHAP values of independent features), and the mean score."""
        model = self.coefficients
        found = model.contributions(X) - model.average + 0.0
        mean_score = model.intercept + model.average.sum(axis=1)
        return np.concatenate([found, np.broadcast_to(mean_score[:, None], (*found.shape[:2], 1))], axis=2)

    def save(self, directory: Path) -> None:
        document = {name: values.tolist() for name, values in self.coefficients.arrays.items()}
        text = json.dumps({"format": FORMAT, **document}, allow_nan=False)
        (directory / self.file).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        document = json.loads((directory / cls.file).read_text(encoding="utf-8"))
        if document.pop("format", None) != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}")
        arrays = {name: np.array(values, dtype=np.float64) for name, values in document.items()}
        if not len(arrays["codes"]):
            arrays["codes"] = np.empty((0, len(arrays["intercept"])))
        coefficients = Coefficients(**arrays)
        coefficients.check()
        return cls(coefficients)
