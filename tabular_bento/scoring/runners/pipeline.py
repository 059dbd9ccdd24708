"""A fitted Pipeline, or any estimator, of scikit-learn: made elsewhere, imported, and kept by skops.

`tabular-bento import` makes it, see `tabular_bento.training.importing`. It is given the fields of the rows as the
DataFrame or array that it was fitted on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.errors import TrainingError
from tabular_bento.scoring.runners import base, skops_files
from tabular_bento.scoring.runners.frames import InputColumn, array_of, frame_of
from tabular_bento.tasks import Task
from tabular_bento.tasks.arithmetic import log

FORMAT = 1
INPUT_FILE = "pipeline.json"

LEAST_PROBABILITY = 2.0**-53
"""Smaller ones are raised to this, so that log-odds are finite."""


@dataclass(frozen=True)
class PipelineInput:
    """What a Pipeline is given, and what its predictions mean.

    Parameters
    ----------
    columns : tuple of InputColumn
        Its columns, in the order that it was fitted on.
    array : str, optional
        The type of the array that it takes; None of one that takes a DataFrame.
    classes : tuple of int
        For each class of the task, which of the Pipeline's it is; empty of a regression.
    offset : str, optional
        The field that is subtracted from predicted numbers, see `Task.offset`.
    types : tuple of str
        The types that its archive holds beyond those that skops trusts, all named.
    approved : tuple of str
        Those of them that were approved by whoever imported it.
    independent : bool
        Whether rows had the same bits alone and in batches when it was imported.
    """

    columns: tuple[InputColumn, ...]
    array: str | None = None
    classes: tuple[int, ...] = ()
    offset: str | None = None
    types: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    independent: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "format": FORMAT, "columns": [item.to_dict() for item in self.columns]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError."""
        given = dict(values)
        if (found := given.pop("format")) != FORMAT:
            raise ValueError(f"it has format {found!r}, and {FORMAT} is read")
        columns = tuple(InputColumn.from_dict(item) for item in given["columns"])
        return cls(
            **{**given, "columns": columns, **{key: tuple(given[key]) for key in ("classes", "types", "approved")}}
        )


class PipelineRunner:
    """A fitted Pipeline of scikit-learn, whose rows are scored one by one.

    Parameters
    ----------
    estimator : object
        What has `predict`, and for classes `predict_proba`.
    given : PipelineInput
        What it is given.
    archive : bytes or Path
        Its archive, or where that is.
    """

    kind: ClassVar[str] = "pipeline"
    takes: ClassVar[str] = base.FIELDS
    exact: ClassVar[bool] = False
    explains: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-9
    """Of whatever a Pipeline holds: products of matrices and `exp` differ between processors in the last bits."""
    losses: ClassVar[tuple[str, ...]] = ("squared_error", "log_loss", "multiclass_log_loss")
    distribution: ClassVar[str] = "scikit-learn"
    Parameters: ClassVar[type[base.Parameters]] = base.Parameters
    file: ClassVar[str] = "pipeline.skops"

    def __init__(self, estimator: Any, given: PipelineInput, archive: bytes | Path) -> None:
        self.estimator = _in_one_thread(estimator)
        self.given = given
        self._archive = archive
        self._predict = estimator.predict_proba if given.classes else estimator.predict

    @classmethod
    def fit(cls, data: base.FittingData, parameters: base.Parameters, task: Task, seed: int) -> Self:  # noqa: ARG003
        raise TrainingError(
            "The runner 'pipeline' is fitted elsewhere: `tabular-bento import FILE` makes a model of a fitted Pipeline."
        )

    @classmethod
    def of(cls, estimator: Any, given: PipelineInput, archive: bytes | Path) -> PipelineRunner:
        """The runner of a Pipeline: one whose rows are scored in batches where they are independent."""
        return (IndependentPipelineRunner if given.independent else PipelineRunner)(estimator, given, archive)

    def with_independence(self, independent: bool) -> PipelineRunner:
        """The same Pipeline, once it is known whether rows are independent of their batch."""
        return PipelineRunner.of(self.estimator, replace(self.given, independent=independent), self._archive)

    def predict(self, columns: Any) -> NDArray[np.float64]:
        """Raw scores, of shape [n, k], of the fields of n rows.

        Parameters
        ----------
        columns : mapping
            Arrays of shape [n] by field.
        """
        given = self.given
        count = len(columns[given.columns[0].field])
        if not count:
            return np.empty((0, self._raw_columns))
        X = frame_of(columns, given.columns) if given.array is None else array_of(columns, given.columns, given.array)
        found = np.asarray(self._predict(X), dtype=np.float64)
        if not given.classes:
            values = found.reshape(count, -1)
            return values if given.offset is None else values - np.asarray(columns[given.offset])[:, None]
        logs = log(np.maximum(found[:, given.classes], LEAST_PROBABILITY))
        return logs if self._raw_columns > 1 else logs[:, 1:] - logs[:, :1]

    @property
    def _raw_columns(self) -> int:
        classes = len(self.given.classes)
        return classes if classes > 2 else 1

    def save(self, directory: Path) -> None:
        archive = self._archive if isinstance(self._archive, bytes) else self._archive.read_bytes()
        (directory / self.file).write_bytes(archive)
        text = json.dumps(self.given.to_dict(), indent=1, sort_keys=True, allow_nan=False)
        (directory / INPUT_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> PipelineRunner:  # type: ignore[override, unused-ignore]
        given = PipelineInput.from_dict(json.loads((directory / INPUT_FILE).read_text(encoding="utf-8")))
        path = directory / cls.file
        return cls.of(skops_files.build(path.read_bytes(), given.types, given.approved), given, path)


def _in_one_thread(estimator: Any) -> Any:
    """The estimator without threads of its own: sums over trees then have one order, and a server has workers.

    None is one thread of scikit-learn, and all cores of LightGBM and XGBoost.
    """
    found = estimator.get_params() if hasattr(estimator, "get_params") else {}
    own = [name for name, value in found.items() if name.endswith("n_jobs") and value != 1]
    return estimator.set_params(**dict.fromkeys(own, 1)) if own else estimator


class IndependentPipelineRunner(PipelineRunner):
    """One whose rows had the same bits alone and in batches when it was imported."""

    exact: ClassVar[bool] = True
