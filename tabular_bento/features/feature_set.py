"""The features of a problem together, with the values and look-ups that they share."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tabular_bento.features.declare import Derived, Feature
from tabular_bento.features.lookups import Lookup, Vocabulary
from tabular_bento.schema import Field, Kind

CODE = "code"
"""The unit of a feature that is the code of a value in a vocabulary, whose size means nothing."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """The features of a problem, with the values and look-ups that they share.

    Parameters
    ----------
    features : sequence of Feature
        In the order of the matrix's columns.
    shared : sequence of Derived or Lookup
        In the order of their evaluation: each may use those before it.
    """

    features: tuple[Feature, ...] = ()
    shared: tuple[Derived | Lookup, ...] = ()

    def __init__(self, features: Iterable[Feature] = (), shared: Iterable[Derived | Lookup] = ()) -> None:
        object.__setattr__(self, "features", tuple(features))
        object.__setattr__(self, "shared", tuple(shared))

    @classmethod
    def from_module(cls, name: str) -> FeatureSet:
        """Everything that the module of this name declares so far, in the order of its text; look-ups get their names.

        Call it at the end of the module, as ``FEATURES = FeatureSet.from_module(__name__)``.
        """
        features: list[Feature] = []
        shared: list[Derived | Lookup] = []
        for variable, item in vars(sys.modules[name]).items():
            if isinstance(item, Feature):
                features.append(item)
            elif isinstance(item, Derived):
                shared.append(item if item.name == variable else replace(item, name=variable))
            elif isinstance(item, Lookup):
                shared.append(item.named(variable))
        return cls(features, shared)

    @classmethod
    def of_fields(cls, fields: Iterable[Field], without: Iterable[str] = ()) -> FeatureSet:
        """A feature of each field as it is: a number, the code of a text, and times in days.

        Parameters
        ----------
        fields : iterable of Field
            The fields of a problem.
        without : iterable of str
            Fields that are no features, such as an identifier.
        """
        left_out = frozenset(without)
        features: list[Feature] = []
        shared: list[Derived | Lookup] = []
        for item in fields:
            if item.name in left_out:
                continue
            if item.kind is Kind.TEXT:
                code = Vocabulary(item.name).named(f"_{item.name}_code")  # no field begins so
                shared.append(code)
                features.append(Feature(item.name, CODE, item.description, _Value(code.name)))
            elif item.kind.is_time:
                features.append(Feature(item.name, "days", item.description, _Value(item.name, item.kind.per_day)))
            else:
                features.append(Feature(item.name, item.unit or "", item.description, _Value(item.name)))
        return cls(features, shared)

    def __add__(self, other: FeatureSet) -> FeatureSet:
        """The features of both."""
        return FeatureSet((*self.features, *other.features), (*self.shared, *other.shared))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(item.name for item in self.features)

    @property
    def coded(self) -> tuple[int, ...]:
        """The columns of the matrix that hold codes of a vocabulary: those of the unit `code`."""
        return tuple(index for index, item in enumerate(self.features) if item.unit == CODE)

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """The fitted look-ups."""
        return tuple(item for item in self.shared if not isinstance(item, Derived))

    @property
    def functions(self) -> tuple[Any, ...]:
        """Functions and classes whose source decides what the features are."""
        computed = [item.compute for item in (*self.features, *self.shared) if isinstance(item, Feature | Derived)]
        return (*computed, *(type(lookup) for lookup in self.lookups))

    def faults(self, fields: Sequence[str]) -> list[str]:
        """What is wrong with the features beside request fields of these names."""
        found = _repeated("feature", self.names)
        shared = [item.name for item in self.shared]
        found += _repeated("shared value", shared)
        found += [f"shared value {name!r}: a field of the request has that name" for name in shared if name in fields]
        known = {*fields}
        for item in self.shared:
            if not isinstance(item, Derived):
                found += item.faults(fields, known)
            known.add(item.name)
        return found


class _Value:
    """Reads a value of a row, in units of `per`."""

    def __init__(self, name: str, per: int = 1) -> None:
        self.name = name
        self.per = per

    def __call__(self, row: Any) -> Any:
        value = getattr(row, self.name)
        return value if self.per == 1 else value / self.per


def _repeated(what: str, names: Sequence[str]) -> list[str]:
    return [
        f"{what} {name!r}: declared {names.count(name)} times" for name in dict.fromkeys(names) if names.count(name) > 1
    ]
