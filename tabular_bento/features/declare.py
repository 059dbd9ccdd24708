"""Declaring features: a function for each, over the values of a row or of a column of rows.

A function may use arithmetic and what the row offers by name, and nothing that differs between one row and many: no
`if` on a value, no `math`, no reductions. Then it gives the same bits alone and in any batch. Missing and unknown
values give NaN or the unknown code, never an exception.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from tabular_bento.features.lookups import Lookup

Function = Callable[[Any], Any]
"""Takes the values of a row, or of n rows as arrays of shape [n], and gives a number or an array of shape [n]."""


@dataclass(frozen=True, eq=False)
class Feature:
    """A column of the feature matrix; made by `feature`."""

    name: str
    unit: str
    description: str
    compute: Function

    def __call__(self, row: Any) -> Any:
        return self.compute(row)


@dataclass(frozen=True, eq=False)
class Derived:
    """A value that features share; made by `derived`."""

    name: str
    compute: Function
    size: int | None = None
    fitting: bool = False

    def __call__(self, row: Any) -> Any:
        return self.compute(row)


def feature(unit: str = "") -> Callable[[Function], Feature]:
    """Declare a feature: the function computes it, its name names it, its docstring's first line describes it.

    Parameters
    ----------
    unit : str
        Unit of the values, in words.
    """

    def declare(compute: Function) -> Feature:
        lines = (compute.__doc__ or "").strip().splitlines()
        return Feature(compute.__name__, unit, lines[0] if lines else "", compute)

    return declare


@overload
def derived(function: Function, /) -> Derived: ...
@overload
def derived(*, size: int | None = None, fitting: bool = False) -> Callable[[Function], Derived]: ...
def derived(
    function: Function | None = None, /, *, size: int | None = None, fitting: bool = False
) -> Derived | Callable[[Function], Derived]:
    """Declare a value that features and look-ups share, evaluated once a row or batch and read as `row.<name>`.

    Parameters
    ----------
    size : int, optional
        Declares it a code from 0 to `size` - 1, so that look-ups can be `by` it. Other values are unknown.
    fitting : bool
        Whether it exists in fitting only, where the row also has the columns that are needed only for fitting,
        `target`, and `residual`, the target less the offset.
    """

    def declare(compute: Function) -> Derived:
        return Derived(compute.__name__, compute, size, fitting)

    return declare(function) if function is not None else declare


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
        from tabular_bento.features.lookups import Lookup

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
