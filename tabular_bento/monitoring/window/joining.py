"""The second half of a pass: DuckDB lets rows and labels of one partition meet, each id once, and they are added up.

Partitions are independent of each other and of how the log was cut into files and chunks, and all that they are added
up to are whole numbers: the result is the same whoever computed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabular_bento.evaluation.reference.bins import Counts
from tabular_bento.evaluation.reference.thresholds import HOUR
from tabular_bento.monitoring.window.blocks import CELLS, YOUNGEST, BlockSums, cells_of
from tabular_bento.monitoring.window.counts import ColumnCounts
from tabular_bento.monitoring.window.errors import measurable
from tabular_bento.monitoring.window.ids import Keys
from tabular_bento.monitoring.window.reading import Plan

CLOCKS_DIFFER = 1 / HOUR
"""Hours that a label may come before its prediction without a finding."""

AHEAD = 60 / HOUR
"""Hours that a prediction may be dated after the job's own time without a finding."""

BATCH = 65_536

_ADDED = ("scored", "duplicates", "future", "unusable", "labels", "matched", "repeated", "contradictory", "before")

REPEATED = "CREATE OR REPLACE TEMP TABLE repeated_{0} AS SELECT k0, k1 FROM {0} GROUP BY ALL HAVING count(*) > 1"
"""The keys that several rows have."""

RANKED = """
CREATE OR REPLACE TEMP TABLE ranked AS
SELECT rows.*, row_number() OVER (PARTITION BY k0, k1 ORDER BY {order}) AS place
FROM rows SEMI JOIN repeated_rows USING (k0, k1)
"""
"""Rows of one id, the first by time first; ties are broken by what else differs, never by the order of the files."""

LATEST = """
CREATE OR REPLACE TEMP TABLE latest AS
SELECT k0, k1, max(time) AS time, arg_max(value, place) AS value, arg_max(bin, place) AS bin,
    count(*) AS n, count(*) FILTER (before <> value) AS changes
FROM (
    SELECT labels.*, lag(value) OVER received AS before, row_number() OVER received AS place
    FROM labels SEMI JOIN repeated_labels USING (k0, k1)
    WINDOW received AS (PARTITION BY k0, k1 ORDER BY time, value)
)
GROUP BY k0, k1
"""
"""Of several labels of one prediction the one received last, and how often they changed."""

ONCE = """
CREATE OR REPLACE TEMP VIEW {0}_once AS
SELECT {columns} FROM {0} ANTI JOIN repeated_{0} USING (k0, k1)
UNION ALL SELECT {columns} FROM {several}
"""

ALL = "CREATE OR REPLACE TEMP VIEW {0}_once AS SELECT {columns} FROM {0}"

JOINED = """
SELECT rows.* EXCLUDE (k0, k1), k0, coalesce(labels.time, 0) AS received, coalesce(value, 'NaN'::DOUBLE) AS value,
    coalesce(bin, 0) AS bin, k0 IN (SELECT k0 FROM sampled) AS drawn
FROM rows_once AS rows LEFT JOIN labels_once AS labels USING (k0, k1)
"""

KNOWN_SEVERAL = """
SELECT coalesce(sum(n - 1), 0), coalesce(sum(n - 1 - changes), 0), count(*) FILTER (changes > 0)
FROM latest SEMI JOIN rows USING (k0, k1)
"""

_LABELS = [("k0", pa.uint64()), ("k1", pa.uint64()), ("time", pa.int64()), ("value", pa.float64()), ("bin", pa.uint8())]
_NOTHING = pa.Table.from_batches([], pa.schema(_LABELS))

UNKNOWN = "SELECT count(*) FROM labels ANTI JOIN keys USING (k0, k1) ANTI JOIN rows USING (k0, k1)"


@dataclass(frozen=True)
class Join:
    """What to join and to add up.

    Parameters
    ----------
    plan : Plan
        By which they were spilled.
    rows, labels : tuple of str
        The names of their files.
    now : float
        In seconds since 1970.
    limits : ndarray of shape [l]
        The ages in hours by which rows are grouped, ascending.
    sampled : ndarray of shape [s]
        The keys of the rows whose labels are wanted one by one.
    memory : int
        Megabytes that DuckDB may hold before it spills in turn.
    """

    plan: Plan
    rows: tuple[str, ...]
    labels: tuple[str, ...]
    now: float
    limits: NDArray[np.float64]
    sampled: Keys
    memory: int


@dataclass
class JoinSums:
    """What rows and labels add up to; `surplus` holds the codes of rows that repeat another.

    `unusable` are rows with no number to measure an error by, by the required columns: as without a label. Of all
    `labels`, `matched` are of rows of the window, and `came` the latest of these by the cell of their delay. `true`
    holds the labels by age, shape [ages, bins].
    """

    blocks: BlockSums
    surplus: ColumnCounts
    unusable: Counts
    true: Counts | None
    scored: int = 0
    duplicates: int = 0
    future: int = 0
    labels: int = 0
    matched: int = 0
    repeated: int = 0
    contradictory: int = 0
    before: int = 0
    came: Counts = field(default_factory=lambda: np.zeros(CELLS, np.int64))
    sampled: dict[int, float] = field(default_factory=dict)

    @classmethod
    def none(cls, join: Join) -> JoinSums:
        """No rows and no labels."""
        plan = join.plan
        unusable = np.zeros(len(plan.errors.required), np.int64)
        true = None if plan.labels is None else np.zeros((len(join.limits) + 1, plan.labels.size), np.int64)
        return cls(BlockSums.none(plan.errors.scales), plan.counts(), unusable, true)

    def add(self, other: JoinSums) -> None:
        """Add another partition."""
        for name in (*_ADDED, "came", "blocks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if self.true is not None and other.true is not None:
            self.true = self.true + other.true
        self.surplus.merge(other.surplus)
        self.sampled |= other.sampled


def join_partitions(join: Join, partitions: range) -> JoinSums:
    """The sums of some partitions. Raises SpillError."""
    total = JoinSums.none(join)
    with join.plan.spill.reported(), session(join) as run:
        run.register("sampled", pa.table({"k0": join.sampled}))
        row_files, label_files = (join.plan.spill.open(names) for names in (join.rows, join.labels))
        for partition in partitions:
            rows, labels = (files.read(partition, _NOTHING) for files in (row_files, label_files))
            sums = JoinSums.none(join)
            sums.labels = labels.num_rows
            if rows.num_rows:
                run.register("rows", rows)
                run.register("labels", labels)
                _first_rows(run, rows, join, sums)
                _last_labels(run, labels, sums)
                _add_up(join, _joined(run), sums)
            total.add(sums)
    return total


def count_unknown(join: Join, keys: tuple[str, ...], partitions: range) -> int:
    """How many labels are of predictions that are not among `keys`, the names of files with those of the whole log."""
    files = {
        name: join.plan.spill.open(names)
        for name, names in (("rows", join.rows), ("labels", join.labels), ("keys", keys))
    }
    count = 0
    with join.plan.spill.reported(), session(join) as run:
        for partition in partitions:
            for name, each in files.items():
                run.register(name, each.read(partition, _NOTHING))
            count += _numbers(run, UNKNOWN)[0]
    return count


@contextmanager
def session(join: Join) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB on one thread; what it cannot hold it spills to the pass's folder."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": f"{join.memory}MB",
        "temp_directory": str(join.plan.spill.folder / "duckdb"),
        "preserve_insertion_order": False,
    }
    with duckdb.connect(config=settings) as run:
        yield run


def _numbers(run: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    (found,) = run.sql(query).fetchall()
    return tuple(int(each) for each in found)


def _first_rows(run: duckdb.DuckDBPyConnection, rows: pa.Table, join: Join, sums: JoinSums) -> None:
    """Make the view `rows_once`, and count the rows that are not in it."""
    sums.scored = rows.num_rows
    wanted = ", ".join(name for name in rows.column_names if name != "codes")
    if not _may_repeat(rows):
        run.execute(ALL.format("rows", columns=wanted))
        return
    required, values = len(join.plan.errors.required), [f"x{index}" for index in range(len(join.plan.measured))]
    run.execute(REPEATED.format("rows"))
    run.execute(RANKED.format(order=", ".join(["time", "event", *values[:required], "codes", *values[required:]])))
    run.execute(ONCE.format("rows", columns=wanted, several="ranked WHERE place = 1"))
    for batch in run.sql("SELECT * FROM ranked WHERE place > 1").to_arrow_reader(BATCH):
        codes = np.frombuffer(b"".join(batch["codes"].to_pylist()), np.uint8).reshape(batch.num_rows, -1)
        segments = batch["segment"].to_numpy().astype(np.int64) if join.plan.segment else None
        for index in range(sums.surplus.columns):
            sums.surplus.add(index, codes[:, index], segments)
        sums.duplicates += batch.num_rows
    sums.scored -= sums.duplicates


def _may_repeat(table: pa.Table) -> bool:
    """Whether any two first halves of keys are alike; there is nothing to be left out where none are."""
    keys = np.sort(table["k0"].to_numpy())
    return bool((keys[1:] == keys[:-1]).any())


def _last_labels(run: duckdb.DuckDBPyConnection, labels: pa.Table, sums: JoinSums) -> None:
    """Make the view `labels_once`, and count the labels that are not in it and of rows of the window."""
    if not _may_repeat(labels):
        run.execute(ALL.format("labels", columns="*"))
        return
    run.execute(REPEATED.format("labels"))
    run.execute(LATEST)
    sums.matched, sums.repeated, sums.contradictory = _numbers(run, KNOWN_SEVERAL)
    run.execute(ONCE.format("labels", columns="k0, k1, time, value, bin", several="latest"))


def _joined(run: duckdb.DuckDBPyConnection) -> dict[str, NDArray[Any]]:
    """The columns of the rows that are there once, each with its latest label."""
    found = run.sql(JOINED).to_arrow_table()
    return {name: found[name].to_numpy() for name in found.column_names}


def _add_up(join: Join, rows: dict[str, NDArray[Any]], sums: JoinSums) -> None:
    """Add rows that are there once, each with its latest label."""
    errors = join.plan.errors
    hours = (join.now - rows["time"] / 1e6) / HOUR
    sums.future = int((hours < -AHEAD).sum())
    age = np.where(hours < 0, YOUNGEST, cells_of(hours, join.limits))
    label, joined = rows["value"], ~np.isnan(rows["value"])
    sums.matched += int(joined.sum())
    delay = (rows["received"][joined] - rows["time"][joined]) / (HOUR * 1e6)
    sums.came = np.bincount(cells_of(delay), minlength=CELLS)
    sums.before = int((delay < -CLOCKS_DIFFER).sum())
    columns = {name: rows[f"x{index}"] for index, name in enumerate(join.plan.measured)}
    usable = np.array([measurable(columns[name]) for name in errors.required], np.bool_)
    usable = usable.reshape(len(errors.required), len(label))
    sums.unusable = (~usable).sum(axis=1)
    has = joined & usable.all(axis=0)
    absent = np.full(len(label), np.nan)
    values = errors.row_values({name: columns.get(name, absent)[has] for name in errors.columns}, label[has])
    segment = rows["segment"] if join.plan.segment else None
    sums.blocks = BlockSums.of(rows["event"], age, has, values, errors.scales, segment)
    if sums.true is not None:
        ages, size = sums.true.shape
        cells = np.maximum(age[has], 0) * size + rows["bin"][has]
        sums.true = np.bincount(cells, minlength=ages * size).reshape(ages, size)
    drawn = rows["drawn"] & has
    sums.sampled = dict(zip(rows["k0"][drawn].tolist(), label[drawn].tolist(), strict=True))
