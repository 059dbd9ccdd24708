"""A problem with a field of every kind, required and optional, no identifier, and a task of several outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tabular_bento import Field, Kind, Problem
from tabular_bento.features import FeatureSet, feature
from tabular_bento.tasks import Output, Task
from tabular_bento.tasks.base import Array

CLASSES = ("no", "yes, at once")


@dataclass(frozen=True)
class Several(Task):
    """A number, an upper bound, a class with the shares of all, and a time."""

    kind: ClassVar[str] = "several"
    evaluator: ClassVar[str] = "regression"
    loss: ClassVar[str] = "squared_error"

    @property
    def raw_columns(self) -> int:
        return 2

    @property
    def outputs(self) -> tuple[Output, ...]:
        name = self.target.name
        return (
            Output(name, Kind.NUMBER, "Rent", "EUR"),
            Output(f"{name}_upper", Kind.NUMBER, "Upper bound of the rent", "EUR"),
            Output("probability", Kind.NUMBER, "Whether it is let", parts=CLASSES, tensor=f"{name}_probability"),
            Output("rooms", Kind.INTEGER, "Rooms"),
            Output("let", Kind.BOOLEAN, "Whether it is let"),
            Output("city_name", Kind.TEXT, "City"),
            Output("until", Kind.INSTANT, "Until when"),
        )

    def encode(self, target: NDArray[Any], offset: Array | None = None) -> Array:  # noqa: ARG002
        return np.asarray(target, np.float64)

    def decode(self, raw: Array, offset: Array | None = None, calibration: Any = None) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        first, second = raw[:, 0], raw[:, 1]
        name = self.target.name
        return {
            name: first,
            f"{name}_upper": first + second,
            "probability": np.column_stack([1 - second, second]),
            "rooms": np.arange(len(raw)),
            "let": (second > 0.5).astype(np.int64),
            "city_name": np.array(["Köln"] * len(raw), dtype=object),
            "until": np.arange(len(raw)) * 1_000_001,
        }

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "target": self.target.to_dict()}


@feature(unit="m2")
def area(row: Any) -> Any:
    """Area."""
    return row.area


@feature()
def floor(row: Any) -> Any:
    """Floor."""
    return row.floor


def _pair(name: str, kind: Kind, **bounds: Any) -> tuple[Field, Field]:
    return (
        Field(name, kind, name.capitalize(), **bounds),
        Field(f"{name}_or_not", kind, f"{name.capitalize()}, where it is known", **bounds, optional=True),
    )


FIELDS = (
    *_pair("city", Kind.TEXT, min_length=1, max_length=12),
    *_pair("area", Kind.NUMBER, unit="m2", minimum=0, maximum=10_000),
    *_pair("floor", Kind.INTEGER, minimum=-5, maximum=200),
    *_pair("count", Kind.INTEGER),
    *_pair("balcony", Kind.BOOLEAN),
    *_pair("built", Kind.DATE),
    *_pair("opened", Kind.LOCAL_TIME),
    *_pair("listed", Kind.INSTANT),
)

RENTS = Problem(
    name="rents",
    fields=FIELDS,
    task=Several(Field("rent", Kind.NUMBER, "Rent", unit="EUR", minimum=0, maximum=10_000)),
    features=FeatureSet((area, floor)),
    event_time="built",
)

EXAMPLE: dict[str, Any] = {
    "city": "Ulm",
    "city_or_not": "Bonn",
    "area": 71.5,
    "area_or_not": 12.25,
    "floor": 3,
    "floor_or_not": -1,
    "count": -(2**63),
    "count_or_not": 2**53,
    "balcony": True,
    "balcony_or_not": False,
    "built": "1999-12-31",
    "built_or_not": "2000-01-01",
    "opened": "2024-05-17T12:00:00",
    "opened_or_not": "2024-05-17T12:00:01",
    "listed": "2024-05-17T12:00:00Z",
    "listed_or_not": "2024-05-17T12:00:00.123456Z",
}
"""A row that has every field."""

SPARSE = {name: value for name, value in EXAMPLE.items() if not name.endswith("_or_not")}
"""A row that has only the required ones."""


def outputs(count: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """What some model predicts for n rows."""
    return RENTS.task.decode(np.random.default_rng(seed).random((count, 2)), None)
