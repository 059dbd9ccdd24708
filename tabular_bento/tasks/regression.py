"""Predicting a number."""

from __future__ import annotations

from collections.abc import Mapping
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
    interval : float, optional
        How often the label is to be inside of the interval that each prediction then has, such as 0.9: two more
        outputs, for a target `y` `y_lower` and `y_upper`.
    """

    _offset: str | None = field(default=None)
    _interval: float | None = field(default=None)

    kind: ClassVar[str] = "regression"
    evaluator: ClassVar[str] = "regression"
    loss: ClassVar[str] = "squared_error"

    def __init__(self, target: Field, *, offset: str | None = None, interval: float | None = None) -> None:
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "_offset", offset)
        object.__setattr__(self, "_interval", interval)

    @property
    def offset(self) -> str | None:
        return self._offset

    @property
    def interval(self) -> float | None:
        return self._interval

    @property
    def bound_names(self) -> tuple[str, ...]:
        return () if self.interval is None else (f"{self.target.name}_lower", f"{self.target.name}_upper")

    @property
    def outputs(self) -> tuple[Output, ...]:
        target = self.target
        described = target.description or target.name
        bounds = (
            Output(name, Kind.NUMBER, f"{which} bound of the {self.interval:.4g} interval of: {described}", target.unit)
            for name, which in zip(self.bound_names, ("Lower", "Upper"), strict=False)
        )
        return (Output(target.name, Kind.NUMBER, target.description, target.unit), *bounds)

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

    def bounds(self, outputs: Mapping[str, NDArray[Any]], half_widths: Array) -> dict[str, NDArray[Any]]:
        predicted = outputs[self.target.name]
        return dict(zip(self.bound_names, (predicted - half_widths, predicted + half_widths), strict=True))

    def faults(self, fields: dict[str, Field]) -> list[str]:
        found = super().faults(fields)
        if not self.target.kind.is_numeric:
            found.append(f"target {self.target.name!r}: a regression predicts numbers, not {self.target.kind.value}")
        if self.interval is not None and not 0 < self.interval < 1:
            found.append(f"interval {self.interval!r}: it must be between 0 and 1, such as 0.9")
        found += [
            f"output {name!r}: a field of the request has that name" for name in self.bound_names if name in fields
        ]
        if self.offset is not None:
            known = fields.get(self.offset)
            if known is None:
                found.append(f"offset {self.offset!r}: there is no such field")
            elif not known.kind.is_numeric or known.optional:
                found.append(f"offset {self.offset!r}: it must be a required field of kind number or integer")
        return found

    def to_dict(self) -> dict[str, Any]:
        interval = {} if self.interval is None else {"interval": self.interval}
        return {"kind": self.kind, "target": self.target.to_dict(), "offset": self.offset, **interval}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, less the kind."""
        return cls(Field.from_dict(values["target"]), offset=values["offset"], interval=values.get("interval"))
