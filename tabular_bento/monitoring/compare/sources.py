"""The rows that two models are compared on: the candidate's test months, a Parquet, or a window of the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.definition import FIELDS, TARGET
from tabular_bento.data.columns import columns_of_table
from tabular_bento.data.storage import path_of
from tabular_bento.data.tables import TableSchema, check_table
from tabular_bento.errors import CompareError
from tabular_bento.monitoring.compare.batches import Batch, Found, numbers
from tabular_bento.monitoring.compare.settings import CompareSettings
from tabular_bento.monitoring.compare.sides import Side
from tabular_bento.monitoring.window.data import Query
from tabular_bento.schema import Field, Kind
from training.source import load_flights, month_range

OUTCOME = "outcome"
"""A column of this name is the outcome of an example; else the target's own name is."""

_BATCH = 65_536
_FIRST, _LAST = datetime(1970, 1, 1), datetime(9999, 1, 1)


def unseen_months(baseline: Side, candidate: Side, settings: CompareSettings, found: Found) -> Iterator[Batch]:
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
        yield Batch(columns_of_table(part, FIELDS), numbers(part[TARGET.name]), names)


def _complete(table: pa.Table) -> pa.Table:
    """The table with a column for every optional field and for the outcome, all null where it had none."""
    for name in [*(field.name for field in FIELDS if field.optional), TARGET.name]:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows))
    return table


def _months(first: str, last: str) -> list[str]:
    months = np.arange(np.datetime64(first, "M"), np.datetime64(last, "M") + 1)
    return [str(month) for month in months]


def window_of(settings: CompareSettings) -> Query:
    """The window of the traffic log that the settings name; all of it where they name no bounds."""
    return Query(path_of(settings.traffic_dir), settings.start or _FIRST, settings.end or _LAST, settings.on)
