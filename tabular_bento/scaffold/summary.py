"""What the columns of a table hold, found in one pass over batches; memory does not grow with the table.

Counts, extremes and kinds are those of all rows. Only what needs whole rows is looked for in a sample of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tabular_bento.data.csv_files import MISSING
from tabular_bento.data.epochs import PER_SECOND, instant_text
from tabular_bento.schema import LARGEST_INTEGER, Kind

SAMPLE_ROWS = 20_000
"""Rows of the sample, at most twice as many while it is drawn."""

MOST_DISTINCT = 50_000
"""Distinct values of a column that are counted one by one; beyond, only that there are more is known."""

OTHER_MISSING = frozenset(
    ("NaN", "nan", "NAN", "null", "NULL", "None", "N/A", "n/a", "#N/A", "<NA>", "NaT", "?", "-", ".")
)
"""Texts that mean a missing value where every other value of a column is a number or a time."""

_DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?"
PATTERNS = {
    Kind.INTEGER: r"^ *-?(0|[1-9]\d{0,17}) *$",
    Kind.NUMBER: r"^ *-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *$",
    Kind.BOOLEAN: r"^(true|false|True|False|TRUE|FALSE)$",
    Kind.DATE: rf"^{_DAY}$",
    Kind.LOCAL_TIME: rf"^{_DAY}([T ]{_CLOCK})?$",
    Kind.INSTANT: rf"^{_DAY}[T ]{_CLOCK} ?(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$",
}
"""Texts that can be read as each kind, from the narrowest to the widest."""

_TIMES = tuple(kind for kind in PATTERNS if kind.is_time)
_ANY_TIME = "|".join(f"({PATTERNS[kind]})" for kind in _TIMES)
_ENOUGH = 1000
"""After so many values of which none can be read as a kind, it is not tried any more."""
_ODD = 100

_FRACTION = r":\d\d\.\d"

_CODE = r"^-?0\d"
"""A number with a leading zero is a code, such as a postal one."""

_PLAUSIBLE = tuple(int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1990, 2100))


@dataclass
class ColumnSummary:
    """What one column holds.

    Parameters
    ----------
    name : str
        The column's name in the table.
    rows, missing : int
        Rows, and those of them without a value.
    counts : Counter
        Rows by value, of `MOST_DISTINCT` values at most; texts of a CSV file are as they are written.
    many : bool
        Whether there are more distinct values than those.
    fits : Counter
        Values that can be read as each kind.
    low, high : float, str or None
        The least and the greatest number, or time in ISO 8601.
    shortest, longest : int
        Characters of a text.
    codes : int
        Texts that are a number with a leading zero.
    whole : bool
        Whether every number is whole.
    odd : Counter
        Rows by text that is no number and no time, of the first hundred such texts.
    infinite : int
        Infinite numbers.
    finer : bool
        Whether times have fractions of a second.
    type : str
        The type of the column in Arrow, where it is one that no field can hold.
    """

    name: str
    rows: int = 0
    missing: int = 0
    counts: Counter[Any] = field(default_factory=Counter)
    many: bool = False
    fits: Counter[Kind] = field(default_factory=Counter)
    low: Any = None
    high: Any = None
    shortest: int = 0
    longest: int = 0
    codes: int = 0
    whole: bool = True
    odd: Counter[str] = field(default_factory=Counter)
    infinite: int = 0
    finer: bool = False
    type: str = ""

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def distinct(self) -> int:
        """Distinct values, at least where there are many."""
        return min(len(self.counts), MOST_DISTINCT)

    def add(self, column: pa.Array, typed: bool) -> None:
        """Count a batch of values; `typed` where their types are the table's own, and not all text."""
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        self.rows += len(column)
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        text = _is_text(column.type)
        if text and not typed:
            column = pc.if_else(pc.is_in(column, pa.array(MISSING, column.type)), pa.scalar(None, column.type), column)
        values = column.drop_null()
        self.missing += len(column) - len(values)
        if not len(values):
            return
        if text:
            self._add_texts(values, typed)
        else:
            self._add_values(values)

    def _add_texts(self, values: pa.Array, typed: bool) -> None:
        self._count(values)
        lengths = pc.utf8_length(values)
        shortest, longest = pc.min(lengths).as_py(), pc.max(lengths).as_py()
        self.shortest = min(self.shortest or shortest, shortest)
        self.longest = max(self.longest, longest)
        self.codes += _matches(values, _CODE)
        number = pa.array([False] * len(values)) if typed else self._match(Kind.NUMBER, values)
        if not typed:
            self._match(Kind.INTEGER, values)
        if not pc.all(number).as_py():
            for kind in (Kind.BOOLEAN, *_TIMES) if not typed else _TIMES:
                found = self._match(kind, values)
                if kind.is_time and pc.any(found).as_py():
                    times = values.filter(found)
                    self.finer = self.finer or _matches(times, _FRACTION) > 0
                    self._extend(pc.min(times).as_py(), pc.max(times).as_py())
        if pc.any(number).as_py():
            self._add_numbers(pc.utf8_trim_whitespace(values.filter(number)).cast(pa.float64()))
        read = number if self.fits[Kind.NUMBER] else pc.match_substring_regex(values, _ANY_TIME)
        for value, count in _value_counts(values.filter(pc.invert(read))):
            if value in self.odd or len(self.odd) < _ODD:
                self.odd[value] += count

    def _match(self, kind: Kind, values: pa.Array) -> pa.Array:
        """Which texts can be read as a kind; none, where none of many before could be."""
        if self.known - len(values) > _ENOUGH and not self.fits[kind]:
            return pa.array([False] * len(values))
        found = pc.match_substring_regex(values, PATTERNS[kind])
        self.fits[kind] += pc.sum(found).as_py()
        return found

    def _add_numbers(self, numbers: pa.Array) -> None:
        finite = numbers.filter(pc.is_finite(numbers))
        self.infinite += len(numbers) - len(finite)
        if not len(finite):
            return
        numbers = finite
        if not any(self.fits[kind] for kind in _TIMES):
            self._extend(pc.min(numbers).as_py(), pc.max(numbers).as_py())
        self.whole = self.whole and bool(pc.all(pc.equal(numbers, pc.floor(numbers))).as_py())

    def _add_values(self, values: pa.Array) -> None:
        kind = _kind_of(values.type)
        if kind is None:
            self.type = str(values.type)
            return
        if pa.types.is_decimal(values.type) or kind is Kind.NUMBER:
            values = values.cast(pa.float64())
        self.fits[kind] += len(values)
        self._count(values)
        if kind.is_numeric:
            self._add_numbers(values.cast(pa.float64(), safe=False))
        elif kind.is_time:
            if kind is Kind.LOCAL_TIME:
                midnight = pc.equal(values, pc.floor_temporal(values, unit="day"))
                self.fits[Kind.DATE] += pc.sum(midnight).as_py()
            if kind is not Kind.DATE and not self.finer:
                self.finer = not pc.all(pc.equal(values, pc.floor_temporal(values, unit="second"))).as_py()
            self._extend(_iso(pc.min(values), kind), _iso(pc.max(values), kind))

    def _count(self, values: pa.Array) -> None:
        if self.many:
            return
        for value, count in _value_counts(values):
            self.counts[value] += count
        self.many = len(self.counts) > MOST_DISTINCT

    def _extend(self, low: Any, high: Any) -> None:
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    @property
    def other_missing(self) -> tuple[str, ...]:
        """Texts that stand for a missing value in a column of numbers or times, but for those that always do."""
        if self.odd and set(self.odd) <= OTHER_MISSING and sum(self.odd.values()) < self.known:
            return tuple(sorted(self.odd))
        return ()

    @property
    def kind(self) -> Kind:
        """The narrowest kind that all values can be read as."""
        known = self.known - (sum(self.odd.values()) if self.other_missing else 0)
        if not self.codes and not self.type:
            for kind in PATTERNS:
                if known and self.fits[kind] == known:
                    return Kind.TEXT if kind is Kind.INTEGER and self._too_large else kind
        return Kind.TEXT

    @property
    def epoch(self) -> str | None:
        """The unit, `s` or `ms`, in which all values may count to an instant: integers from 1990 up to 2100."""
        if self.kind is not Kind.INTEGER:
            return None
        low, high = _PLAUSIBLE
        return next((unit for unit, n in PER_SECOND.items() if low * n <= self.low and self.high < high * n), None)

    def dated(self, unit: str) -> ColumnSummary:
        """The same column as one of instants, which its integers count to in a unit."""
        low, high = (instant_text(value, unit) for value in (self.low, self.high))
        return replace(self, fits=Counter({Kind.INSTANT: self.fits[Kind.INTEGER]}), low=low, high=high)

    @property
    def _too_large(self) -> bool:
        ends = [end for end in (self.low, self.high) if not isinstance(end, str)]
        return any(end is not None and abs(end) >= LARGEST_INTEGER for end in ends)


@dataclass
class TableSummary:
    """What a table holds: its columns, and a sample of its rows.

    Parameters
    ----------
    columns : dict of ColumnSummary
        By name, in the table's order.
    rows : int
        All rows.
    sample : pyarrow.Table
        Rows drawn evenly over all, at most `2 * SAMPLE_ROWS`.
    typed : bool
        Whether the columns have types of the table's own, as those of a CSV file have not.
    """

    columns: dict[str, ColumnSummary]
    rows: int
    sample: pa.Table
    typed: bool

    @property
    def sampled(self) -> bool:
        """Whether the sample is not all rows."""
        return bool(self.sample.num_rows < self.rows)


def summarise(batches: Iterable[pa.RecordBatch], typed: bool, sample_rows: int = SAMPLE_ROWS) -> TableSummary:
    """Go over a table once.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        The rows.
    typed : bool
        Whether their types are the table's own; values of a CSV file are all text.
    sample_rows : int
        Size of the sample.
    """
    rng = np.random.default_rng(0)
    columns: dict[str, ColumnSummary] = {}
    kept: list[pa.Table] = []
    rows, size, share = 0, 0, 1.0
    for batch in batches:
        rows += batch.num_rows
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            columns.setdefault(name, ColumnSummary(name)).add(column, typed)
        part = pa.Table.from_batches([batch])
        if share < 1:
            part = part.filter(pa.array(rng.random(part.num_rows) < share))
        kept.append(part)
        size += part.num_rows
        while size > 2 * sample_rows:
            kept = [table.filter(pa.array(rng.random(table.num_rows) < 0.5)) for table in kept]
            size = sum(table.num_rows for table in kept)
            share /= 2
    sample = pa.concat_tables(kept, promote_options="permissive") if kept else pa.table({})
    return TableSummary(columns, rows, sample, typed)


def _matches(values: pa.Array, pattern: str) -> int:
    return int(pc.sum(pc.match_substring_regex(values, pattern)).as_py() or 0)


def _value_counts(values: pa.Array) -> list[tuple[Any, int]]:
    found = pc.value_counts(values)
    return list(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _kind_of(kind: pa.DataType) -> Kind | None:
    types = pa.types
    if types.is_boolean(kind):
        return Kind.BOOLEAN
    if types.is_integer(kind):
        return Kind.INTEGER
    if types.is_floating(kind) or types.is_decimal(kind):
        return Kind.NUMBER
    if types.is_date(kind):
        return Kind.DATE
    if types.is_timestamp(kind):
        return Kind.LOCAL_TIME if kind.tz is None else Kind.INSTANT
    return None


def _iso(moment: pa.Scalar, kind: Kind) -> str:
    if kind is Kind.DATE:
        return str(moment.cast(pa.date32()).as_py().isoformat())
    unit = pa.timestamp("s", moment.type.tz)
    return str(moment.cast(unit, safe=False).as_py().isoformat())
