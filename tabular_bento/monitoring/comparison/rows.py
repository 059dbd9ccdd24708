"""The rows that two models are compared on: the candidate's test part, a Parquet file, or a window of the traffic log.

The log is read in two passes over the window: the first finds which predictions are in it, so that labels and shadow
rows can be joined as they stream by; the second yields the rows. A row of the window costs some 32 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from tabular_bento.data.columns import columns_of_table
from tabular_bento.data.dataset import Dataset
from tabular_bento.data.splits import Split
from tabular_bento.data.storage import path_of
from tabular_bento.data.tables import TableSchema, check_table
from tabular_bento.errors import CompareError, RowsError
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.monitoring.comparison.models import Model, Outputs
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.monitoring.window.data import Query, whole
from tabular_bento.monitoring.window.ids import Keys, contains, keys_of
from tabular_bento.problem import Declaration
from tabular_bento.schema import Field, Kind
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import (
    LABEL,
    MODEL,
    PREDICTION_ID,
    SHADOW,
    TIME,
    default_directory,
    input_column,
    output_column,
)

Array = NDArray[np.float64]
_BATCH = 65_536
_FIRST, _LAST = datetime(1970, 1, 1), datetime(9999, 1, 1)


@dataclass(frozen=True)
class Batch:
    """n rows.

    Parameters
    ----------
    columns : mapping
        The fields by name, arrays of shape [n].
    labels : ndarray of shape [n]
        Labels as the evaluator reads them; NaN for none.
    names : list of str
        What each row is called.
    baseline, candidate : mapping, optional
        Outputs that were logged; None where they are to be computed.
    """

    columns: Mapping[str, NDArray[Any]]
    labels: Array
    names: list[str]
    baseline: Outputs | None = None
    candidate: Outputs | None = None


@dataclass
class Found:
    """What a source reports beside its rows: where they are, what was left out and why, and what to know."""

    where: str
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    """Why the rows are not all that was named: nothing is accepted on the rest."""

    def leave_out(self, why: str, rows: int) -> None:
        """Count rows that are not compared."""
        if rows:
            self.left_out[why] = self.left_out.get(why, 0) + rows


def outputs_of(table: pa.Table, declaration: Declaration) -> Outputs:
    """The outputs that n rows of a log hold, none of them missing."""
    found: dict[str, NDArray[Any]] = {}
    for output in declaration.outputs:
        kind = Kind.NUMBER if output.parts else output.kind
        fields = [Field(output_column(name), kind) for name in output.columns]
        columns = list(columns_of_table(table, fields).values())
        found[output.name] = np.column_stack(columns) if output.parts else columns[0]
    return found


def _logged_outputs(declaration: Declaration) -> dict[str, Kind]:
    """The columns of the outputs in the log, and their kinds."""
    return {
        output_column(name): Kind.NUMBER if output.parts else output.kind
        for output in declaration.outputs
        for name in output.columns
    }


def unseen_rows(
    baseline: Model, candidate: Model, dataset: Dataset, settings: CompareSettings, found: Found
) -> Iterator[Batch]:
    """The candidate's test part, less the rows that either model was trained on: to have seen them is no merit.

    Raises
    ------
    CompareError
        Where the candidate does not say what its test part is.
    """
    split = _split(candidate)
    if split is None:
        raise CompareError(
            f"{candidate.described.name} does not say what its test part is: name a Parquet file with --on."
        )
    chosen, months = _rows(dataset, candidate, split, "test"), _months(split, "test")
    for model in (baseline, candidate):
        own = _split(model)
        if own is None:
            continue
        parts = model.provenance.get("fitted_on", ["train"])
        seen = np.isin(chosen, np.concatenate([_rows(dataset, model, own, part) for part in parts]))
        common = [month for month in months if any(month in _months(own, part) for part in parts)]
        if seen.any():
            what = f"{', '.join(common)} left out" if common else f"{int(seen.sum()):,} rows left out"
            them = "it" if common else "them"
            found.notes.append(f"{what}: {model.described.name} was trained on {them}.")
        chosen = chosen[~seen]
        months = [month for month in months if month not in common]
        if model.provenance.get("data_fingerprint") != dataset.fingerprint and not own.by_months:
            found.notes.append(
                f"The data has changed since {model.described.name} was trained: some of these rows may be among those "
                "that it was trained on."
            )
    source = candidate.provenance["config"].get("source") or dataset.description or "the project's data"
    what = (", ".join(months) or "no months") if split.by_months else "test part"
    found.where = f"{source}, {what}"
    if len(chosen) and split.by_months and candidate.provenance.get("data_fingerprint") != dataset.fingerprint:
        found.notes.append(f"The data of {source} has changed since {candidate.described.name} was trained.")
    places = _sampled(len(chosen), settings, found)
    for start in range(0, len(places), _BATCH):
        part = places[start : start + _BATCH]
        rows = dataset.where(chosen[part])
        labels = evaluator_of(candidate.declaration.task).known_codes(rows.target)
        yield Batch(rows.columns, labels, [f"row {place}" for place in part])


def parquet_files(path: Path) -> list[Path]:
    """A Parquet file, or all of a folder.

    Raises
    ------
    RowsError
        Where there is none.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise RowsError(
            f"--on {path}: this is neither `test`, `traffic` nor `shadow`, and there is no Parquet file there."
        )
    return files


def parquet(path: Path, declaration: Declaration, settings: CompareSettings, found: Found) -> Iterator[Batch]:
    """The examples of a Parquet file, or of all in a folder: the fields, and `label` or the target's name.

    Optional fields that are not there are missing in every row.

    Raises
    ------
    TableError
        For values that a server would refuse.
    CompareError
        Where there is no such file, or none can be read.
    """
    files = parquet_files(path)
    found.where = str(path)
    table = _read_parquet(path, files, found)
    if not table.num_rows:
        found.notes.append(f"{path} holds no rows.")
        return
    target = declaration.target
    absent = [item.name for item in declaration.fields if item.optional and item.name not in table.column_names]
    if absent:
        found.notes.append(f"{path} has no {', '.join(absent)}: missing in every row.")
    if LABEL in table.column_names and target.name != LABEL:
        kept = table.drop_columns([target.name]) if target.name in table.column_names else table
        table = kept.rename_columns([target.name if name == LABEL else name for name in kept.column_names])
    for name in (*absent, target.name):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows))
    table = check_table(table, TableSchema(path.name, (*declaration.fields, replace(target, optional=True))))
    places = _sampled(table.num_rows, settings, found)
    for start in range(0, len(places), _BATCH):
        places_of_part = places[start : start + _BATCH]
        part = table.take(pa.array(places_of_part))
        names = [f"row {place}" for place in places_of_part]
        labels = columns_of_table(part, [replace(target, optional=True)])[target.name]
        yield Batch(
            columns_of_table(part, declaration.fields), evaluator_of(declaration.task).known_codes(labels), names
        )


def _read_parquet(path: Path, files: list[Path], found: Found) -> pa.Table:
    """All rows of the files that can be read; the others are named, and are an error where there are no others."""
    tables, damaged = [], []
    for file in files:
        try:
            tables.append(pq.read_table(file))
        except (pa.ArrowException, OSError) as error:
            damaged.append(f"{file} cannot be read as Parquet ({error}).")
    if not tables:
        raise CompareError(damaged[0])
    found.incomplete += damaged
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise CompareError(f"The files of {path} have columns of different types ({error}).") from error


def window_of(settings: CompareSettings, declaration: Declaration) -> Query:
    """The window of the traffic log that the settings name; all of it where they name no bounds."""
    directory = settings.traffic_dir or default_directory(declaration.name)
    return Query(path_of(directory), settings.start or _FIRST, settings.end or _LAST, settings.on)


def _sampled(count: int, settings: CompareSettings, found: Found) -> NDArray[np.int64]:
    """The places of all rows, or of as many as the settings say, evenly over them."""
    if not settings.sample or settings.sample >= count:
        return np.arange(count)
    found.notes.append(f"A sample of {settings.sample:,} rows, evenly over the source.")
    return np.linspace(0, count - 1, settings.sample).astype(np.int64)


def _split(model: Model) -> Split | None:
    """How the rows were split that the model was trained on, as its package says."""
    config = model.provenance.get("config") or {}
    if "split" not in config:
        return None
    try:
        return Split.model_validate(config["split"])
    except ValidationError as error:
        raise CompareError(
            f"{model.described.name}: what it was trained on cannot be read ({error.errors()[0]['msg']})."
        ) from error


def _rows(dataset: Dataset, model: Model, split: Split, part: str) -> NDArray[np.int64]:
    """The positions of a part's rows; of months also those without a label."""
    if not split.by_months:
        return split.positions(dataset)[part]
    if dataset.months is None:
        raise CompareError(f"{model.described.name} was split by months, and the problem has no event time.")
    first, last = (np.datetime64(month, "M").astype(np.int64) for month in getattr(split, part))
    return np.flatnonzero((dataset.months >= first) & (dataset.months <= last))


def _months(split: Split, part: str) -> list[str]:
    """The months of a part; none where it is a share of the rows."""
    if not split.by_months:
        return []
    first, last = getattr(split, part)
    return [str(month) for month in np.arange(np.datetime64(first, "M"), np.datetime64(last, "M") + 1)]


def logged(
    query: Query, declaration: Declaration, model: str | None, shadow_of: str | None, found: Found
) -> Iterator[Batch]:
    """The rows of a window of the log with their labels, each prediction_id once.

    With `model`, only the rows that it predicted, and these predictions are the baseline's. With `shadow_of`, only
    those that this candidate has predicted in the shadow, and these are the candidate's. Raises LogError where the log
    cannot be read.
    """
    found.where = str(query.directory)
    outputs = list(_logged_outputs(declaration))
    batches = query.log.scan(query.start, query.end, [PREDICTION_ID, MODEL], query.column)
    parts = [keys_of(_counted(batch, model, None).column(PREDICTION_ID)) for batch in batches]
    keys = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))
    if not len(keys):
        found.notes.append(f"The window of the log under {query.directory} holds no rows to compare.")
    theirs = _shadow(query, declaration, shadow_of, keys, found) if shadow_of is not None else None
    labels = _labels(query, declaration, keys)
    taken, lines = np.zeros(len(keys), dtype=np.bool_), ScanCounts()
    inputs = [input_column(name) for name in declaration.field_names]
    names = [PREDICTION_ID, MODEL, *inputs, *outputs]
    for batch in query.log.scan(query.start, query.end, names, query.column, lines):
        usable = _usable(_counted(batch, model, found), declaration, model is not None, found)
        table, places = _fresh(usable, keys, taken, found)
        if theirs is not None:
            shadowed = theirs.where[places] >= 0
            found.leave_out("not in the shadow log", int((~shadowed).sum()))
            table, places = table.filter(pa.array(shadowed)), places[shadowed]
        if table.num_rows:
            rows = table.select(inputs).rename_columns(list(declaration.field_names))
            yield Batch(
                columns_of_table(rows, declaration.fields),
                labels[places],
                table[PREDICTION_ID].to_pylist(),
                outputs_of(table, declaration) if model is not None else None,
                outputs_of(theirs.of_keys(places), declaration) if theirs is not None else None,
            )
    found.leave_out("lines that cannot be read", lines.bad + lines.truncated)


def _counted(batch: pa.RecordBatch, model: str | None, found: Found | None) -> pa.RecordBatch:
    """The rows that have an id and, where one is named, the model; the others are counted where `found` is given."""
    kept = batch
    if model is not None:
        kept = batch.filter(pc.fill_null(pc.equal(batch.column(MODEL), pa.scalar(model)), False))
    named = kept.filter(pc.is_valid(kept.column(PREDICTION_ID)))
    if found is not None:
        found.leave_out("of other models", batch.num_rows - kept.num_rows)
        found.leave_out("without an id", kept.num_rows - named.num_rows)
    return named


def _usable(batch: pa.RecordBatch, declaration: Declaration, predicted: bool, found: Found) -> pa.RecordBatch:
    """The rows that can be predicted again and, where they must be `predicted`, that say what was predicted."""
    kept = whole(batch, declaration)
    found.leave_out("without a value that every request has", batch.num_rows - kept.num_rows)
    if not predicted:
        return kept
    there = _complete(kept, _logged_outputs(declaration))
    found.leave_out("without a prediction", kept.num_rows - there.num_rows)
    return there


def _complete(batch: pa.RecordBatch, kinds: Mapping[str, Kind]) -> pa.RecordBatch:
    """The rows of a batch in which no column of these kinds is missing, and no number infinite."""
    for name, kind in kinds.items():
        column = batch.column(name)
        there = pc.is_finite(column.fill_null(np.nan)) if kind is Kind.NUMBER else pc.is_valid(column)
        batch = batch.filter(there)
    return batch


def _fresh(
    batch: pa.RecordBatch, keys: Keys, taken: NDArray[np.bool_], found: Found
) -> tuple[pa.Table, NDArray[np.int64]]:
    """The rows whose prediction_id was not met before, and their places among the keys; they are met from then on.

    Rows that were logged since the first pass are left alone.
    """
    own = keys_of(batch.column(PREDICTION_ID))
    known = contains(keys, own)
    batch, places = batch.filter(pa.array(known)), np.searchsorted(keys, own[known])
    first = np.zeros(len(places), dtype=np.bool_)
    first[np.unique(places, return_index=True)[1]] = True
    fresh = first & ~taken[places]
    found.leave_out("repeated", len(fresh) - int(fresh.sum()))
    taken[places] = True
    return pa.Table.from_batches([batch.filter(pa.array(fresh))]), places[fresh]


@dataclass(frozen=True)
class _Latest:
    """The latest row of a stream for each of n keys: where it is in a table, -1 for none."""

    table: pa.Table
    where: NDArray[np.int64]

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch], kinds: Mapping[str, Kind], keys: Keys) -> _Latest:
        """That of batches that hold an id and a time beside complete columns of these kinds."""
        tables, places, times = [], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for batch in batches:
            dated = pc.and_(pc.is_valid(batch.column(PREDICTION_ID)), pc.is_valid(batch.column(TIME.name)))
            batch = _complete(batch.filter(dated), kinds)
            own = keys_of(batch.column(PREDICTION_ID))
            known = contains(keys, own)
            tables.append(pa.Table.from_batches([batch.select(list(kinds)).filter(pa.array(known))]))
            places.append(np.searchsorted(keys, own[known]))
            times.append(batch.column(TIME.name).cast(pa.int64()).to_numpy()[known])
        place, time = np.concatenate(places), np.concatenate(times)
        order = np.lexsort((time, place))
        last = order[np.append(np.diff(place[order]) > 0, True)] if len(order) else order  # of equal times, the last
        where = np.full(len(keys), -1, np.int64)
        where[place[last]] = last
        return cls(pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({}), where)

    def of_keys(self, places: NDArray[np.int64]) -> pa.Table:
        """The rows of the keys at these places, each of which has one."""
        return self.table.take(pa.array(self.where[places]))


def _labels(query: Query, declaration: Declaration, keys: Keys) -> Array:
    """The label of each key, by all labels of any time, the one received last; NaN for none."""
    target = declaration.target
    latest = _Latest.of(query.labels.scan(columns=[PREDICTION_ID, TIME.name, LABEL]), {LABEL: target.kind}, keys)
    labels, there = np.full(len(keys), np.nan), np.flatnonzero(latest.where >= 0)
    if len(there):
        values = columns_of_table(latest.of_keys(there), [Field(LABEL, target.kind)])[LABEL]
        labels[there] = evaluator_of(declaration.task).known_codes(values)
    return labels


def _shadow(query: Query, declaration: Declaration, candidate: str, keys: Keys, found: Found) -> _Latest:
    """What `candidate` predicted for each key in the shadow."""
    others = own = 0
    kinds = _logged_outputs(declaration)

    def named() -> Iterator[pa.RecordBatch]:
        nonlocal own, others
        for batch in EventLog(query.directory / SHADOW).scan(columns=[PREDICTION_ID, TIME.name, *kinds, MODEL]):
            of_it = batch.filter(pc.fill_null(pc.equal(batch.column(MODEL), pa.scalar(candidate)), False))
            own, others = own + of_it.num_rows, others + batch.num_rows - of_it.num_rows
            yield of_it

    predicted = _Latest.of(named(), kinds, keys)
    if others:
        found.notes.append(f"The shadow log holds {others:,} rows of other candidates.")
    if not own:
        found.notes.append(
            f"The shadow log under {query.directory} holds nothing of {candidate}: serve with "
            f"TABULAR_BENTO_SHADOW_MODEL={candidate}."
        )
    return predicted
