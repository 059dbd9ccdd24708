"""What training does for classes alone: weights of rows, the calibration and the decision threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data import Dataset
from tabular_bento.errors import TrainingError
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.tasks import Calibration, Task
from tabular_bento.training.calibrating import LEAST_OF_A_CLASS, LEAST_ROWS, Method, fit_calibration

ClassWeight = Literal["balanced"] | dict[str, float]


class Settings(Protocol):
    """Settings of the calibration, of `TrainingConfig`."""

    @property
    def calibration(self) -> Method:
        """The method."""

    @property
    def threshold(self) -> float:
        """The decision threshold."""


def class_weights(setting: ClassWeight | None, task: Task, codes: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The weight of each row in fitting, 1 on average, shape [n]; None where all weigh the same.

    Parameters
    ----------
    setting : "balanced" or dict, optional
        As if all classes were as frequent, or the weight of each class by its text, 1 of one that is not named.
    task : Task
        The task.
    codes : ndarray of shape [n]
        The class of each row.

    Raises
    ------
    TrainingError
        Where all rows weigh nothing.
    """
    if setting is None:
        return None
    rows = codes.astype(np.int64)
    if setting == "balanced":
        weights = 1 / np.maximum(np.bincount(rows, minlength=len(task.classes)), 1)
    else:
        weights = np.array([setting.get(name, 1.0) for name in task.class_names])
    found: NDArray[np.float64] = weights[rows]
    if not found.any():
        raise TrainingError("class_weight: no class with a weight above 0 has a row in the training part.")
    return np.asarray(found / found.mean())


def check_calibration_part(part: Dataset, method: Method) -> None:
    """Make sure that a method can be fitted on the calibration part.

    Parameters
    ----------
    part : Dataset
        The rows of the calibration part.
    method : str
        The setting `calibration`.

    Raises
    ------
    TrainingError
        Where the part is empty or too small; the message says which setting to change.
    """
    task = part.problem.task
    if method == "none":
        return
    if not len(part):
        raise TrainingError(
            f'calibration = "{method}" needs a calibration part, which is empty: give it rows in [split], such as '
            'calibration = 0.1, or set calibration = "none".'
        )
    if len(part) < LEAST_ROWS[method]:
        other = ' or calibration = "platt",' if method == "isotonic" and len(part) >= LEAST_ROWS["platt"] else ""
        raise TrainingError(
            f'calibration = "{method}" needs at least {LEAST_ROWS[method]} rows in the calibration part, which has '
            f'{len(part)}: raise split.calibration,{other} or set calibration = "none".'
        )
    counts = np.bincount(task.encode(part.target).astype(np.int64), minlength=len(task.classes))
    for name, count in zip(task.class_names, counts.tolist(), strict=True):
        if count < LEAST_OF_A_CLASS:
            raise TrainingError(
                f'calibration = "{method}" needs at least {LEAST_OF_A_CLASS} rows of each class in the calibration '
                f'part, which has {count} of {name!r}: raise split.calibration or set calibration = "none".'
            )


def calibrated(predictor: Predictor, part: Dataset, settings: Settings) -> Predictor:
    """A predictor with the calibration that settings ask for, fitted on the rows of a part.

    Parameters
    ----------
    predictor : Predictor
        One without a calibration.
    part : Dataset
        Rows that nothing was fitted on.
    settings : TrainingConfig
        The settings.
    """
    task, calibration = predictor.problem.task, threshold_of(settings)
    if settings.calibration != "none":
        probability = predictor.measuring.predict_columns(part.columns).outputs["probability"]
        codes = task.encode(part.target)
        calibration = fit_calibration(probability, codes, settings.calibration, settings.threshold)
    return Predictor(predictor.problem, predictor.extractor, predictor.runner, calibration, predictor.batches)


def threshold_of(settings: Settings) -> Calibration | None:
    """The decision threshold without a calibration; None of the usual one."""
    return None if settings.threshold == 0.5 else Calibration("none", {}, settings.threshold)


def absent_classes(task: Task, parts: Mapping[str, Dataset]) -> list[str]:
    """A warning for each class that the training part or the test part lacks."""
    found: list[str] = []
    for part in ("train", "test") if task.classes else ():
        present = set(task.encode(parts[part].target, None).tolist())
        found += [
            f"No row of the {part} part is of the class {name!r}."
            for code, name in enumerate(task.class_names)
            if code not in present
        ]
    return found
