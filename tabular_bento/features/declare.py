"""Declaring features: a function for each, over the values of a row or of a column of rows.

A function may use arithmetic and what the row offers by name, and nothing that differs between one row and many: no
`if` on a value, no `math`, no reductions. Then it gives the same bits alone and in any batch. Missing and unknown
values give NaN or the unknown code, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, overload

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
