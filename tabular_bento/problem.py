"""The one declaration of what is predicted and from what: `Problem`, and its data without functions, `Declaration`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from tabular_bento.errors import ProblemError
from tabular_bento.features.columns import Columns
from tabular_bento.features.feature_set import FeatureSet
from tabular_bento.features.fingerprint import code_fingerprint
from tabular_bento.schema import Field, Kind
from tabular_bento.tasks import Output, Task, task_from_dict
from tabular_bento.tasks.base import RESERVED

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class FeatureInfo:
    """A feature without its function."""

    name: str
    unit: str = ""
    description: str = ""


@dataclass(frozen=True)
class Declaration:
    """A problem's data, as it is kept in every package: all that logs, reports and comparisons need.

    The parameters are those of `Problem`, with the features' names, units and descriptions.
    """

    name: str
    rows: str
    fields: tuple[Field, ...]
    task: Task
    features: tuple[FeatureInfo, ...] = ()
    baseline: str | tuple[str, ...] | None = None
    identifier: str | None = None
    event_time: str | None = None
    segments: tuple[str, ...] = ()

    @property
    def field_names(self) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(item.name for item in self.fields)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(item.name for item in self.features)

    @property
    def baseline_features(self) -> tuple[str, ...]:
        """The features that are a baseline by themselves: none, one, or one for each class."""
        return _names_of(self.baseline)

    @property
    def target(self) -> Field:
        """What is predicted."""
        return self.task.target

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs of a prediction."""
        return self.task.outputs

    @property
    def offset(self) -> str | None:
        """The field that is a part of the target, if there is one."""
        return self.task.offset

    def field(self, name: str) -> Field:
        """The field of that name.

        Raises
        ------
        KeyError
            Where there is none.
        """
        return {item.name: item for item in self.fields}[name]

    def to_dict(self) -> dict[str, Any]:
        """The declaration as plain JSON values."""
        return {
            "name": self.name,
            "rows": self.rows,
            "fields": [item.to_dict() for item in self.fields],
            "task": self.task.to_dict(),
            "features": [{"name": f.name, "unit": f.unit, "description": f.description} for f in self.features],
            "baseline": list(self.baseline) if isinstance(self.baseline, tuple) else self.baseline,
            "identifier": self.identifier,
            "event_time": self.event_time,
            "segments": list(self.segments),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Declaration:
        """The inverse of `to_dict`.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the values are no declaration.
        """
        return cls(
            name=values["name"],
            rows=values["rows"],
            fields=tuple(Field.from_dict(item) for item in values["fields"]),
            task=task_from_dict(values["task"]),
            features=tuple(FeatureInfo(**item) for item in values["features"]),
            baseline=_of_json(values["baseline"]),
            identifier=values["identifier"],
            event_time=values["event_time"],
            segments=tuple(values["segments"]),
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 in hex of the declaration's canonical JSON."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is predicted and from what.

    Request schemas, endpoints, the traffic log, reports, comparison and deployment follow from it. It is an immutable
    value that is checked when it is made.

    Parameters
    ----------
    name : str
        The model's name in the store and for every client; lower case, as a tag of BentoML.
    rows : str
        The key under which a request holds its rows: ``{"rows": [...]}``.
    fields : tuple of Field
        The fields of a row.
    task : Task
        What is predicted.
    features : FeatureSet
        The features; a problem whose runner takes fields may have none.
    baseline : str or tuple of str, optional
        A feature that is by itself a baseline for the target less the offset, of two classes the share of the positive
        one; of more than two classes the features that are the shares of the classes, one for each in their order.
    identifier : str, optional
        The field that holds the caller's own id, returned with the prediction.
    event_time : str, optional
        The field that dates a row in the world, as against the time of its prediction.
    segments : tuple of str
        Fields by which results are broken down.
    example : mapping, optional
        A row that the documentation shows, in JSON values. By default one is made of the fields' bounds.

    Raises
    ------
    ProblemError
        A message that lists everything that is wrong with it.
    """

    name: str
    rows: str = "rows"
    fields: tuple[Field, ...]
    task: Task
    features: FeatureSet = field(default_factory=FeatureSet)
    baseline: str | tuple[str, ...] | None = None
    identifier: str | None = None
    event_time: str | None = None
    segments: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        object.__setattr__(self, "segments", tuple(self.segments))
        object.__setattr__(self, "baseline", _of_json(self.baseline))
        if found := self._faults():
            raise ProblemError(
                f"The problem {self.name!r} is not sound:\n" + "\n".join(f"- {fault}" for fault in found)
            )
        example = dict(self.example) or {item.name: example_value(item) for item in self.fields}
        object.__setattr__(self, "example", MappingProxyType(example))

    @cached_property
    def declaration(self) -> Declaration:
        """The problem's data, without its functions."""
        return Declaration(
            self.name,
            self.rows,
            self.fields,
            self.task,
            tuple(FeatureInfo(item.name, item.unit, item.description) for item in self.features.features),
            self.baseline,
            self.identifier,
            self.event_time,
            self.segments,
        )

    @cached_property
    def code_fingerprint(self) -> str:
        """The fingerprint of the feature code, see `tabular_bento.features.code_fingerprint`."""
        return code_fingerprint(self.features)

    @property
    def field_names(self) -> tuple[str, ...]:
        """The names of the fields."""
        return self.declaration.field_names

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features."""
        return self.features.names

    @property
    def target(self) -> Field:
        """What is predicted."""
        return self.task.target

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs of a prediction."""
        return self.task.outputs

    def offset_of(self, columns: Columns) -> Any:
        """The values of the offset field as float64, shape [n]; None where there is none."""
        import numpy as np

        return None if self.task.offset is None else np.asarray(columns[self.task.offset], dtype=np.float64)

    def _faults(self) -> list[str]:
        found = []
        if not _NAME.fullmatch(self.name):
            found.append(f"name {self.name!r}: lower case letters, digits, `.`, `_` and `-` make a model's name")
        if not self.rows.isidentifier():
            found.append(f"rows {self.rows!r}: it is no identifier")
        if self.rows == "explain":
            found.append("rows 'explain': the name is reserved for requests")
        if not self.fields:
            found.append("fields: there are none")
        names = [item.name for item in self.fields]
        fields = {item.name: item for item in self.fields}
        found += [f"field {name!r}: declared {names.count(name)} times" for name in fields if names.count(name) > 1]
        for item in self.fields:
            found += item.faults()
            if item.name in RESERVED:
                found.append(f"field {item.name!r}: the name is reserved for responses")
            if item.name.startswith("_"):
                found.append(f"field {item.name!r}: a name may not begin with an underscore")
        found += self.task.faults(fields)
        found += self.features.faults(names)
        found += self._baseline_faults()
        found += self._role_faults(fields)
        found += self._example_faults(fields)
        return found

    def _baseline_faults(self) -> list[str]:
        names, wanted = _names_of(self.baseline), self.task.baseline_size
        found = [f"baseline {name!r}: there is no such feature" for name in names if name not in self.features.names]
        if names and len(names) != wanted:
            what = (
                "one feature is" if wanted == 1 else f"{wanted} features are, one for the share of each class in order,"
            )
            found.append(f"baseline {self.baseline!r}: {what} a baseline of this task")
        return found

    def _role_faults(self, fields: Mapping[str, Field]) -> list[str]:
        found = []
        codes = (Kind.TEXT, Kind.INTEGER)
        if self.identifier is not None and (self.identifier not in fields or fields[self.identifier].kind not in codes):
            found.append(f"identifier {self.identifier!r}: it must be a field of kind text or integer")
        if self.event_time is not None:
            dated = fields.get(self.event_time)
            if dated is None or not dated.kind.is_time or dated.optional:
                found.append(f"event_time {self.event_time!r}: it must be a required date, local time or instant")
        found += [
            f"segment {name!r}: it must be a field of kind text, integer or boolean"
            for name in self.segments
            if name not in fields or fields[name].kind not in (*codes, Kind.BOOLEAN)
        ]
        return found

    def _example_faults(self, fields: Mapping[str, Field]) -> list[str]:
        if not self.example:
            return []
        found = [f"example: there is no field {name!r}" for name in self.example if name not in fields]
        found += [
            f"example: the required field {name!r} is missing"
            for name, item in fields.items()
            if not item.optional and self.example.get(name) is None
        ]
        return found


def example_value(item: Field) -> Any:
    """A value that a field allows, in JSON."""
    match item.kind:
        case Kind.TEXT:
            return "a" * max(1, item.min_length or 1)
        case Kind.INTEGER:
            return int(_middle(item))
        case Kind.NUMBER:
            return _middle(item)
        case Kind.BOOLEAN:
            return True
        case Kind.DATE:
            return "2024-05-17"
        case Kind.LOCAL_TIME:
            return "2024-05-17T12:00:00"
        case Kind.INSTANT:
            return "2024-05-17T12:00:00Z"


def _middle(item: Field) -> float:
    low, high = item.minimum, item.maximum
    if low is not None and high is not None:
        middle = (low + high) / 2
        return float(round(middle)) if low <= round(middle) <= high else middle
    return float(low if low is not None else high if high is not None else 0)


def _names_of(baseline: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if baseline is None else (baseline,) if isinstance(baseline, str) else baseline


def _of_json(baseline: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    """A baseline of several features as a tuple, one of a single feature as its name."""
    if baseline is None or isinstance(baseline, str):
        return baseline
    return baseline[0] if len(baseline) == 1 else tuple(baseline) or None
