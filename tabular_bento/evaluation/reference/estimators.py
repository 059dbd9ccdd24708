"""What estimates a model's metrics without labels, by the task: learnt in training, read for a window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.error_model import learn_error_model, spread
from tabular_bento.evaluation.evaluators import Outputs, evaluator_of
from tabular_bento.evaluation.reference.confidence import ConfidenceModel, learn_confidence
from tabular_bento.evaluation.reference.estimate import ErrorModel, Estimate, Withheld
from tabular_bento.evaluation.reference.row_errors import RowErrors, learn_row_errors
from tabular_bento.problem import Declaration
from tabular_bento.scoring.package import ERROR_MODEL_FILE
from tabular_bento.tasks import Calibration
from tabular_bento.traffic.schema import output_column


@dataclass(frozen=True)
class Unseen:
    """Predictions of n rows that the model had not seen, with their labels.

    Parameters
    ----------
    features : ndarray of shape [n, features]
        The feature matrix.
    outputs : mapping
        The predictions.
    codes : ndarray of shape [n]
        The labels as numbers, see `Evaluator`.
    days : ndarray of shape [n], optional
        The day of each row, where rows have a time.
    """

    features: NDArray[np.float32]
    outputs: Outputs
    codes: NDArray[np.float64]
    days: NDArray[np.int64] | None


class Estimator(Protocol):
    """Estimates the metrics of a window without labels."""

    def estimate_sample(
        self,
        sample: pa.Table,
        event: str | None,
        days: float,
        resamples: int,
        seed: int,
        rows: int | None = None,
    ) -> Estimate | Withheld | None:
        """The metrics to expect of rows as they were logged; None where the columns that it needs are not there.

        Of too few rows that a model had not seen none is learnt, and the reason is given instead.

        Parameters
        ----------
        sample : Table
            Rows of the window.
        event : str, optional
            The column of their times.
        days : float
            Over how many days they are spread.
        resamples, seed : int
            Of a bootstrap.
        rows : int, optional
            The rows of the window that `sample` was drawn from; by default it is all of them.
        """


def learn_estimate(
    directory: Path, declaration: Declaration, unseen: Unseen, calibration: Calibration | None, seed: int
) -> dict[str, Any]:
    """Learn what to estimate by; write what is no JSON into the package in `directory`.

    Returns
    -------
    dict
        The entry `estimate` of the profile's `error`; empty where a regression has no features to estimate by.
    """
    if declaration.task.evaluator == "regression":
        if not declaration.features:
            return {}
        error = evaluator_of(declaration.task).residual(unseen.outputs, unseen.codes)
        learn_error_model(unseen.features, error, seed).save_model(directory / ERROR_MODEL_FILE)
        if declaration.event_time is None:
            return learn_row_errors(unseen.features, error, seed)
        return spread(unseen.features, error, unseen.days, seed)
    threshold = calibration.threshold if calibration else 0.5
    return learn_confidence(unseen.outputs["probability"], unseen.codes, unseen.days, threshold, seed)


def read_estimator(directory: Path, error: dict[str, Any], declaration: Declaration) -> Estimator | None:
    """That of the package in `directory`, `error` being the entry of its profile; None where it has none."""
    if declaration.task.evaluator == "regression":
        kind = RowErrors if declaration.event_time is None else ErrorModel
        return kind.read(directory, error, declaration.feature_names)
    if not error.get("estimate"):
        return None
    probability = declaration.outputs[1]
    return ConfidenceModel(error["estimate"], tuple(output_column(name) for name in probability.columns))
