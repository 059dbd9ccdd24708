"""What each feature reads: found by running its function on a row that notes what is asked of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tabular_bento.features.declare import Derived, Feature
from tabular_bento.features.feature_set import FeatureSet
from tabular_bento.features.lookups import Key, Lookup
from tabular_bento.features.state import State


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a feature or look-up reads.

    Parameters
    ----------
    fields : tuple of str
        Fields of the request, those that its look-ups are keyed by included, in the order of the request.
    lookups : tuple of str
        Look-ups, in the order of their declaration.
    """

    fields: tuple[str, ...]
    lookups: tuple[str, ...]


def inputs_of(item: Feature | Lookup, features: FeatureSet, fields: Iterable[str]) -> Inputs:
    """What a feature or look-up reads, directly or by values that it shares with others.

    Parameters
    ----------
    item : Feature or Lookup
        One of `features`.
    features : FeatureSet
        The features of a problem.
    fields : iterable of str
        The names of the request's fields.
    """
    names = tuple(fields)
    row = _RecordingRow(features, names)
    if isinstance(item, Feature):
        row.run(item)
    else:
        row.read(item)
    return Inputs(
        tuple(name for name in names if name in row.seen),
        tuple(lookup.name for lookup in features.lookups if lookup.name in row.seen and lookup is not item),
    )


def fitted_state(lookup: Lookup, state: State) -> dict[str, int | None]:
    """The size of what was fitted for a look-up.

    Returns
    -------
    dict
        `cells`, the number of its values, and `known`, how many of them are not missing.
    """
    if lookup.name in state.tables:
        table = state.tables[lookup.name]
        return {"cells": int(table.size), "known": int((table == table).sum())}
    if lookup.name in state.texts:
        texts = state.texts[lookup.name]
        return {"cells": len(texts), "known": sum(bool(text) for text in texts)}
    codes = [state.vocabularies[part].size - 1 for part in lookup.by if isinstance(part, str)]
    return {"cells": sum(codes), "known": sum(codes)} if codes else {"cells": None, "known": None}


class _RecordingRow:
    """A row whose every value is `_Anything`, and which knows what was asked for."""

    def __init__(self, features: FeatureSet, fields: tuple[str, ...]) -> None:
        self.seen: set[str] = set()
        self._fields = fields
        self._shared = {item.name: item for item in features.shared}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        item = self._shared.get(name)
        if isinstance(item, Derived):
            return self.run(item)
        if item is not None:
            self.read(item)
        self.seen.add(name)
        return _Anything()

    def run(self, item: Feature | Derived) -> Any:
        """Note what a function reads; what it reads after it has failed is not found."""
        with contextlib.suppress(Exception):
            item.compute(self)
        return _Anything()

    def read(self, lookup: Lookup) -> None:
        """Note what a look-up is keyed by."""
        for part in lookup.by:
            if isinstance(part, Derived):
                self.run(part)
            else:
                self.seen.add(part.field if isinstance(part, Key) else part)


class _Anything:
    """Allows all that a feature may do with a value: arithmetic, comparison, NumPy's functions, methods."""

    __array_priority__ = 1000.0

    def _same(self, *_: Any, **__: Any) -> _Anything:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    __call__ = __getitem__ = _same
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _same
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __pos__ = __abs__ = _same
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = _same
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _same  # type: ignore[assignment]
    __array_ufunc__ = __array_function__ = _same

    __hash__ = object.__hash__
