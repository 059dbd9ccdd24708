"""The rows that two models are compared on: the packaged test months, a Parquet, or the traffic log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.columns import columns_of_table
from data.events import EventLog, ScanCounts
from data.flights import load_flights, month_range
from data.schema import Field, Kind
from data.stream import Stream
from data.tables import TableSchema, check_table
from features.definition import EVENT_TIME, FIELD_NAMES, FIELDS, TARGET
from monitoring.compare_settings import CompareSettings
from monitoring.compare_sides import Side
from monitoring.errors import CompareError
from monitoring.ids import Keys, SeenKeys, contains, keys_of
from monitoring.outcomes import join
from monitoring.window import Query, Scored
from scoring.traffic import PREDICTIONS

SHADOW = "shadow"
"""The stream that a candidate's predictions are logged to, beside the primary's."""

OUTCOME = "outcome"
"""A column of this name is the outcome of an example; else the target's own name is."""

_BATCH = 65_536
_FIRST, _LAST = datetime(1970, 1, 1), datetime(9999, 1, 1)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """n rows: request fields by name, outcomes [n] with NaN for none, and what each row is called.

    `baseline` and `candidate` are predictions that were logged, [n]; None where they are to be computed.
    """

    columns: Mapping[str, NDArray[Any]]
    outcome: Array
    names: list[str]
    baseline: Array | None = None
    candidate: Array | None = None


@dataclass
class Found:
    """What a source tells beside its rows: where they are, what was left out and why, and what to know."""

    where: str
    left_out: dict[str, int]
    notes: list[str]


def test_months(baseline: Side, candidate: Side, settings: CompareSettings, found: Found) -> Iterator[Batch]:
    """The candidate's test months, less those that either model was trained on: to have seen them is no merit."""
    config = candidate.provenance.get("config")
    if not config:
        raise CompareError(f"{candidate.party.name} does not say what its test months are: name a Parquet with --on.")
    months = _months(*config["split"]["test"])
    for side in (baseline, candidate):
        split = (side.provenance.get("config") or {}).get("split", {})
        seen = [month for month in months if "train" in split and month in _months(*split["train"])]
        if seen:
            found.notes.append(f"{', '.join(seen)} left out: {side.party.name} was trained on it.")
            months = [month for month in months if month not in seen]
    found.where = f"{config['source']}, {', '.join(months) or 'no months'}"
    if not months:
        return
    flights = load_flights(config["source"])
    if flights.fingerprint != candidate.provenance.get("data_fingerprint"):
        found.notes.append(f"The flights of {config['source']} have changed since {candidate.party.name} was trained.")
    table = pa.concat_tables([flights.between(*month_range(month, month)) for month in months])
    yield from _batches(_complete(table), settings, found)


def parquet(path: Path, settings: CompareSettings, found: Found) -> Iterator[Batch]:
    """The examples of a Parquet file, or of all in a folder: the request's fields, and `outcome` or the target's name.

    Optional fields that are not there are missing in every row. Raises TableError for values that a server would
    refuse, CompareError where there is no such file.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise CompareError(
            f"--on {path}: this is neither `test`, `traffic` nor `shadow`, and there is no Parquet file there."
        )
    found.where = str(path)
    try:
        tables = [pq.read_table(file) for file in files]
        table = pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowException, OSError) as error:
        raise CompareError(f"{path} cannot be read as Parquet ({error}).") from error
    absent = [field.name for field in FIELDS if field.optional and field.name not in table.column_names]
    if absent:
        found.notes.append(f"{path} has no {', '.join(absent)}: missing in every row.")
    if OUTCOME in table.column_names:
        kept = table.drop_columns([TARGET.name]) if TARGET.name in table.column_names else table
        table = kept.rename_columns([TARGET.name if name == OUTCOME else name for name in kept.column_names])
    table = _complete(table)
    schema = TableSchema(path.name, (*FIELDS, replace(TARGET, optional=True)), ())
    yield from _batches(_checked(table, schema), settings, found)


def _checked(table: pa.Table, schema: TableSchema) -> pa.Table:
    """The declared columns, checked; a key that no row repeats is made, as every table must have one."""
    numbered = table.append_column("row_number", pa.array(np.arange(table.num_rows)))
    keyed = TableSchema(schema.name, (*schema.fields, Field("row_number", Kind.INTEGER, "Place")), ("row_number",))
    return check_table(numbered, keyed)


def logged(query: Query, model: str | None, shadow_of: str | None, found: Found) -> Iterator[Batch]:
    """The rows of a window of the log with all that came true of them, each prediction_id once.

    With `model`, only the rows that it predicted, and these predictions are the baseline's. With `shadow_of`, only
    those that this candidate has predicted in the shadow, and these are the candidate's. Two passes: outcomes first.
    Raises LogError where the log cannot be read.
    """
    found.where = str(query.directory)
    if not Stream(query.directory / PREDICTIONS).schemas():
        found.notes.append(f"There is no log of predictions under {query.directory}.")
        return
    theirs = _shadow(query, shadow_of, found) if shadow_of is not None else None
    rows = _LogRows(model, theirs[0] if theirs else None)
    keys = [np.empty(0, np.uint64), *(rows.of(batch)[0] for batch in query.scan(["prediction_id", "model"]))]
    wanted = np.sort(np.concatenate(keys))
    none = np.zeros(len(wanted))
    scored = Scored(wanted, none, none, none.astype(np.int64), none.astype(np.int64))
    outcomes = join(query, scored).latest
    lines, rows = ScanCounts(), _LogRows(model, theirs[0] if theirs else None)
    for batch in query.scan(["prediction_id", "model", *FIELD_NAMES, TARGET.name], lines):
        fresh, batch = rows.of(batch)
        known = contains(wanted, fresh)
        fresh, table = fresh[known], pa.Table.from_batches([batch.filter(pa.array(known))])
        if not table.num_rows:
            continue
        yield Batch(
            columns_of_table(table, FIELDS),
            outcomes[np.searchsorted(wanted, fresh)],
            table["prediction_id"].to_pylist(),
            _numbers(table[TARGET.name]) if model is not None else None,
            theirs[1][np.searchsorted(theirs[0], fresh)] if theirs else None,
        )
    found.left_out |= {name: count for name, count in rows.left_out.items() if count}
    if lines.bad + lines.torn:
        found.left_out["lines that cannot be read"] = lines.bad + lines.torn


class _LogRows:
    """The rows of one pass that count, each prediction_id once; the others by why."""

    def __init__(self, model: str | None, among: Keys | None) -> None:
        self._model, self._among, self._seen = model, among, SeenKeys()
        self.left_out = dict.fromkeys(("of other models", "without an id", "not in the shadow log", "repeated"), 0)

    def of(self, batch: pa.RecordBatch) -> tuple[Keys, pa.RecordBatch]:
        """The keys of the rows of a batch that count, and these rows."""
        if self._model is not None:
            named = pc.fill_null(pc.equal(batch.column("model"), pa.scalar(self._model)), False)
            batch = self._keep(batch, named, "of other models")
        batch = self._keep(batch, pc.is_valid(batch.column("prediction_id")), "without an id")
        keys = keys_of(batch.column("prediction_id"))
        if self._among is not None:
            there = contains(self._among, keys)
            keys, batch = keys[there], self._keep(batch, pa.array(there), "not in the shadow log")
        fresh = self._seen.add(keys)
        return keys[fresh], self._keep(batch, pa.array(fresh), "repeated")

    def _keep(self, batch: pa.RecordBatch, mask: pa.Array, why: str) -> pa.RecordBatch:
        kept = batch.filter(mask)
        self.left_out[why] += batch.num_rows - kept.num_rows
        return kept


def _shadow(query: Query, candidate: str, found: Found) -> tuple[Keys, Array]:
    """Keys, sorted, and the predictions that `candidate` made of them in the shadow."""
    folder = query.directory / SHADOW
    parts: list[tuple[Keys, Array]] = [(np.empty(0, np.uint64), np.empty(0))]
    if not Stream(folder).schemas():
        found.notes.append(f"There is no shadow log under {query.directory}: serve with SHADOW_MODEL={candidate}.")
    others = 0
    for batch in EventLog(folder).scan(columns=["prediction_id", "model", TARGET.name]):
        named = batch.filter(pc.fill_null(pc.equal(batch.column("model"), pa.scalar(candidate)), False))
        others += batch.num_rows - named.num_rows
        whole = named.filter(pc.and_(pc.is_valid(named.column(0)), pc.is_finite(named.column(2).fill_null(np.nan))))
        parts.append((keys_of(whole.column(0)), whole.column(2).to_numpy()))
    if others:
        found.notes.append(f"The shadow log holds {others:,} rows of other candidates.")
    keys, predicted = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    distinct, first = np.unique(keys, return_index=True)
    return distinct, predicted[first]


def _batches(table: pa.Table, settings: CompareSettings, found: Found) -> Iterator[Batch]:
    """All rows of a table, or as many as the settings say, evenly over it."""
    places = np.arange(table.num_rows)
    if settings.sample and settings.sample < table.num_rows:
        places = np.linspace(0, table.num_rows - 1, settings.sample).astype(np.int64)
        table = table.take(pa.array(places))
        found.notes.append(f"A sample of {len(places):,} rows, evenly over the source.")
    for start in range(0, table.num_rows, _BATCH):
        part = table.slice(start, _BATCH)
        names = [f"row {place}" for place in places[start : start + _BATCH]]
        yield Batch(columns_of_table(part, FIELDS), _numbers(part[TARGET.name]), names)


def _complete(table: pa.Table) -> pa.Table:
    """The table with a column for every optional field and for the outcome, all null where it had none."""
    for name in [*(field.name for field in FIELDS if field.optional), TARGET.name]:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows))
    return table


def _numbers(column: pa.ChunkedArray) -> Array:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _months(first: str, last: str) -> list[str]:
    months = np.arange(np.datetime64(first, "M"), np.datetime64(last, "M") + 1)
    return [str(month) for month in months]


def window_of(settings: CompareSettings) -> Query:
    """The window of the traffic log that the settings name; all of it where they name no bounds."""
    return Query(settings.traffic_dir, settings.start or _FIRST, settings.end or _LAST, settings.on)


def event_times(batch: Batch) -> NDArray[np.int64]:
    """Local times of the batch's rows in seconds, shape [n]."""
    return np.asarray(batch.columns[EVENT_TIME])
