"""The features of a problem together, with the values and look-ups that they share."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tabular_bento.features.declare import Derived, Feature
from tabular_bento.features.lookups import Lookup


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

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(item.name for item in self.features)

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


def _repeated(what: str, names: Sequence[str]) -> list[str]:
    return [
        f"{what} {name!r}: declared {names.count(name)} times" for name in dict.fromkeys(names) if names.count(name) > 1
    ]
