"""Predicting a number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.schema import Field, Kind
from tabular_bento.tasks.base import Array, Output, Task
from tabular_bento.tasks.calibration import Calibration


@dataclass(frozen=True)
class Regression(Task):
    """Predicting a number.

    Parameters
    ----------
    target : Field
        What is predicted, of kind NUMBER or INTEGER.
    offset : str, optional
        A required numeric field that is a part of the target: models learn the target less it, and it is added back
        to each prediction.
    """

    _offset: str | None = field(default=None)

    kind: ClassVar[str] = "regression"
    evaluator: ClassVar[str] = "regression"
    loss: ClassVar[str] = "squared_error"

    def __init__(self, target: Field, *, offset: str | None = None) -> None:
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "_offset", offset)

    @property
    def offset(self) -> str | None:
        return self._offset

    @property
    def outputs(self) -> tuple[Output, ...]:
        return (Output(self.target.name, Kind.NUMBER, self.target.description, self.target.unit),)

    def encode(self, target: NDArray[Any], offset: Array | None = None) -> Array:
        values = np.asarray(target, dtype=np.float64)
        return values if offset is None else values - offset

    def decode(
        self,
        raw: Array,
        offset: Array | None = None,
        calibration: Calibration | None = None,  # noqa: ARG002
    ) -> dict[str, NDArray[Any]]:
        score = raw[:, 0]
        return {self.target.name: score if offset is None else offset + score}

    def faults(self, fields: dict[str, Field]) -> list[str]:
        found = super().faults(fields)
        if not self.target.kind.is_numeric:
            found.append(f"target {self.target.name!r}: a regression predicts numbers, not {self.target.kind.value}")
        if self.offset is not None:
            known = fields.get(self.offset)
            if known is None:
                found.append(f"offset {self.offset!r}: there is no such field")
            elif not known.kind.is_numeric or known.optional:
                found.append(f"offset {self.offset!r}: it must be a required field of kind number or integer")
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "target": self.target.to_dict(), "offset": self.offset}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, less the kind."""
        return cls(Field.from_dict(values["target"]), offset=values["offset"])
