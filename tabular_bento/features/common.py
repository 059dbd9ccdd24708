"""Features that most tables want: means of the target by category, parts of the calendar, days between two times.

Each function gives a `FeatureSet`, to be added to that of the fields:

>>> FEATURES = FeatureSet.of_fields(FIELDS) + target_means(("city",)) + calendar(FIELDS, "ordered")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tabular_bento.features.declare import Derived, Feature
from tabular_bento.features.feature_set import FeatureSet
from tabular_bento.features.lookups import GroupMean, Lookup
from tabular_bento.schema import Field, Kind

CALENDAR_PARTS = ("hour", "day_of_week", "day_of_month", "month")
"""What `calendar` knows of a time, from the fastest to the slowest."""

_UNITS = {"hour": "hour", "day_of_week": "day, Monday is 0", "day_of_month": "day", "month": "month"}
_DAY = 24
_ERA_DAYS = 146_097
"""Days of the 400 years after which the calendar repeats."""
_FROM_MARCH_OF_YEAR_0 = 719_468
"""Days from the first of March of the year 0 to the first of January of 1970."""


def target_means(names: Iterable[str], smooth: float = 20.0, classes: int = 0) -> FeatureSet:
    """The mean of the target over the training rows that have a category, for each of several fields.

    Training fits it out of fold, so that no row sees its own label. A category that training has not seen, and a
    missing one, gives NaN.

    Parameters
    ----------
    names : iterable of str
        Fields of kind text, integer or boolean.
    smooth : float
        The number of rows at the overall mean that each category is mixed with.
    classes : int
        For a task of several classes: instead of the mean, the share of each of the first so many classes. With two
        classes the mean is the share of the positive one, so 0 will do.
    """
    shared: list[Derived | Lookup] = [
        Derived(_class(number), _IsClass(number), fitting=True) for number in range(classes)
    ]
    features = []
    for name in names:
        of = [(f"{name}_share_{number}", _class(number)) for number in range(classes)]
        for feature, value in of or [(f"{name}_target_mean", "residual")]:
            lookup = GroupMean(of=value, by=(name,), smooth=smooth).named(f"_{feature}")
            what = f"share of class {feature.rsplit('_', 1)[1]}" if classes else "mean target"
            shared.append(lookup)
            features.append(Feature(feature, "", f"The {what} in training by {name}", _Read(lookup.name)))
    return FeatureSet(features, shared)


def calendar(fields: Iterable[Field], name: str, parts: Sequence[str] | None = None) -> FeatureSet:
    """Parts of the calendar of a date, a local time, or an instant, of which they are those in UTC.

    Parameters
    ----------
    fields : iterable of Field
        The fields of the problem.
    name : str
        The field, of a kind of time.
    parts : sequence of str, optional
        Some of `hour`, `day_of_week` (Monday is 0), `day_of_month` and `month`; by default the hour, where there is
        one, and the day of the week.

    Raises
    ------
    ValueError
        For a part that there is not, or the hour of a date.
    """
    kind = _time_kind(fields, name)
    known = CALENDAR_PARTS[1:] if kind is Kind.DATE else CALENDAR_PARTS
    chosen = [part for part in known if part in ("hour", "day_of_week")] if parts is None else list(parts)
    for part in chosen:
        if part not in known:
            raise ValueError(f"{name} has no part {part!r}: a field of kind {kind.value} has {', '.join(known)}")
    return FeatureSet(
        Feature(f"{name}_{part}", _UNITS[part], f"The {part.replace('_', ' ')} of {name}", _Part(name, kind, part))
        for part in chosen
    )


def elapsed(fields: Iterable[Field], since: str, until: str) -> FeatureSet:
    """The days from one time of a row to another, such as from the sign-up to the order.

    Parameters
    ----------
    fields : iterable of Field
        The fields of the problem.
    since, until : str
        Two fields of kinds of time.
    """
    fields = tuple(fields)
    begin, end = (_Read(name, _time_kind(fields, name).per_day) for name in (since, until))
    text = f"Days from {since} to {until}"
    return FeatureSet((Feature(f"{since}_until_{until}", "days", text, _Difference(begin, end)),))


class _Read:
    """A value of a row, in units of `per`."""

    def __init__(self, name: str, per: int = 1) -> None:
        self.name = name
        self.per = per

    def __call__(self, row: Any) -> Any:
        value = getattr(row, self.name)
        return value if self.per == 1 else value / self.per


class _Difference:
    """One value less another."""

    def __init__(self, begin: _Read, end: _Read) -> None:
        self.begin = begin
        self.end = end

    def __call__(self, row: Any) -> Any:
        return self.end(row) - self.begin(row)


class _IsClass:
    """Whether a fitting row is of a class: 1 or 0, NaN without a label."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, row: Any) -> Any:
        codes = row.residual
        return (codes == self.number) + 0.0 * codes


class _Part:
    """A part of the calendar, by whole-number arithmetic alone, so that it is the same for one row and for many."""

    def __init__(self, name: str, kind: Kind, part: str) -> None:
        self.name = name
        self.per_day = kind.per_day
        self.part = part

    def __call__(self, row: Any) -> Any:
        value = getattr(row, self.name)
        if self.part == "hour":
            return value % self.per_day // (self.per_day // _DAY)
        days = value // self.per_day
        if self.part == "day_of_week":
            return (days + 3) % 7  # 1970 began on a Thursday
        day_of_year = _day_of_year_from_march(days)
        month = (5 * day_of_year + 2) // 153  # months from March on have 153 days in five
        if self.part == "month":
            return (month + 2) % 12 + 1
        return day_of_year - (153 * month + 2) // 5 + 1


def _day_of_year_from_march(days: Any) -> Any:
    """Days since the last first of March; years that begin in March end with the day that leap years add."""
    day = (days + _FROM_MARCH_OF_YEAR_0) % _ERA_DAYS
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    return day - (365 * year + year // 4 - year // 100)


def _class(number: int) -> str:
    return f"_is_class_{number}"


def _time_kind(fields: Iterable[Field], name: str) -> Kind:
    kind = {item.name: item.kind for item in fields}[name]
    if not kind.is_time:
        raise ValueError(f"{name} is of kind {kind.value}, which is no time")
    return kind
