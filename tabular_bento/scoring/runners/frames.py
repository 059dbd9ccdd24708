"""Fields of rows as the DataFrame or the array that a Pipeline was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabular_bento.schema import Kind

_EPOCH_UNITS = {Kind.DATE: "D", Kind.LOCAL_TIME: "s", Kind.INSTANT: "us"}

Array = NDArray[Any]


@dataclass(frozen=True)
class InputColumn:
    """A column of the DataFrame, or of the array, and the field that it is made of.

    Parameters
    ----------
    name : str
        Its name in the Pipeline.
    field : str
        The field.
    kind : Kind
        What the field holds.
    dtype : str
        The type that the column had in the sample, by its name in pandas: `float64`, `str`, `category`,
        `datetime64[ns, UTC]`, ...
    categories : tuple
        The categories of the type `category`, in their order.
    ordered : bool
        Whether that order means something.
    as_text : bool
        Whether dates are written as texts, `2024-05-17`.
    none : bool
        Whether a missing value in a column of objects is None; otherwise it is NaN.
    """

    name: str
    field: str
    kind: Kind
    dtype: str
    categories: tuple[Any, ...] = ()
    ordered: bool = False
    as_text: bool = False
    none: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without what is not set."""
        values = {key: value for key, value in asdict(self).items() if value not in ((), False)}
        return {**values, "kind": self.kind.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError."""
        categories = tuple(values.get("categories", ()))
        return cls(**{**values, "kind": Kind(values["kind"]), "categories": categories})

    def series(self, values: Array) -> Any:
        """The values of the field, shape [n], as a column of a DataFrame.

        Parameters
        ----------
        values : ndarray of shape [n]
            As `Kind` says.
        """
        import pandas as pd

        if self.dtype == "category":
            return pd.Categorical.from_codes(self._codes(values), dtype=self._category_dtype)
        if self.kind.is_time and not self.as_text and self.dtype != "object":
            return self._times(values)
        held = self.array(values)
        if self._is_of_pandas:
            return pd.array(_with_gaps(held, None), dtype=self.dtype)  # type: ignore[call-overload]
        return pd.Series(held, dtype=object) if held.dtype == object else held

    def array(self, values: Array) -> Array:
        """The values of the field, shape [n], as NumPy holds them in a column of such a type.

        Integers are float64 where the field may be missing, as pandas has them; booleans without a type for missing
        values are objects in a batch with one.
        """
        missing = None if self.none else np.nan
        if self.kind is Kind.TEXT:
            return values if self.none else _with_gaps(values, missing)
        if self.kind is Kind.BOOLEAN and self.dtype in ("bool", "boolean", "object"):
            if values.dtype.kind != "f" or not np.isnan(values).any():
                return values.astype(bool).astype(object if self.dtype == "object" else bool)
            held = [missing if value != value else bool(value) for value in values.tolist()]
            return np.array(held, dtype=object)
        if self.kind is Kind.DATE and (self.as_text or self.dtype == "object"):
            days = _moments(values, "D")
            dates = np.datetime_as_string(days) if self.as_text else days.astype(object)
            return np.where(np.isnat(days), np.array(missing, dtype=object), dates.astype(object))
        dtype = np.dtype(self.dtype.lower() if self.dtype[:1].isupper() else self.dtype)
        return values.astype(np.float64 if dtype.kind in "iu" and values.dtype.kind == "f" else dtype)

    @property
    def _is_of_pandas(self) -> bool:
        """Whether the type is one of pandas that has a missing value of its own, such as `Int64`, `boolean`, `str`."""
        return self.dtype[:1].isupper() or self.dtype.startswith(("boolean", "str"))

    def _times(self, values: Array) -> Any:
        import pandas as pd

        moments = _moments(values, _EPOCH_UNITS[self.kind])
        unit, _, zone = self.dtype.removeprefix("datetime64[").removesuffix("]").partition(", ")
        index: Any = pd.DatetimeIndex(moments.astype("datetime64[s]") if self.kind is Kind.DATE else moments)
        index = index.as_unit(unit)
        return index.tz_localize("UTC").tz_convert(zone) if zone else index

    def _codes(self, values: Array) -> Array:
        known = {value: code for code, value in enumerate(self.categories)}
        return np.array([known.get(value, -1) for value in values.tolist()], dtype=np.int64)

    @property
    def _category_dtype(self) -> Any:
        import pandas as pd

        return pd.CategoricalDtype(list(self.categories), self.ordered)


def frame_of(columns: Mapping[str, Array], inputs: tuple[InputColumn, ...]) -> Any:
    """The DataFrame of n rows.

    Parameters
    ----------
    columns : mapping
        Fields as arrays of shape [n], by name.
    inputs : tuple of InputColumn
        The columns, in their order.
    """
    import pandas as pd

    count = len(columns[inputs[0].field])
    found = {item.name: item.series(columns[item.field]) for item in inputs}
    return pd.DataFrame(found, index=pd.RangeIndex(count), copy=False)


def array_of(columns: Mapping[str, Array], inputs: tuple[InputColumn, ...], dtype: str) -> Array:
    """The array of shape [n, columns]; parameters as of `frame_of`, `dtype` being that of the array."""
    matrix = np.empty((len(columns[inputs[0].field]), len(inputs)), dtype=dtype)
    for index, item in enumerate(inputs):
        matrix[:, index] = item.array(columns[item.field])
    return matrix


def _moments(values: Array, unit: str) -> Array:
    """Times as NumPy has them: NaN is not a time."""
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=np.bool_)
    moments = np.where(missing, 0, values).astype(np.int64).astype(f"datetime64[{unit}]")
    moments[missing] = np.datetime64("NaT")
    return np.asarray(moments)


def _with_gaps(values: Array, missing: Any) -> Array:
    """Objects with another value for the missing ones."""
    held = values.astype(object)
    gaps = np.array([value is None or value != value for value in held.tolist()], dtype=np.bool_)
    if gaps.any():
        held = held.copy()
        held[gaps] = missing
    return held
