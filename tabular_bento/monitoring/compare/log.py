"""Rows of the traffic log for a comparison: requests, labels, and what a candidate predicted in the shadow.

Two passes over the window: the first finds which predictions are in it, so that labels and shadow rows can be joined as
they stream by; the second yields the rows. A row of the window costs some 32 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular_bento.data.columns import columns_of_table
from tabular_bento.monitoring.compare.sources import Batch, Found, numbers
from tabular_bento.monitoring.window.data import Query, whole
from tabular_bento.monitoring.window.ids import Keys, contains, keys_of
from tabular_bento.problem import Declaration
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import LABEL, MODEL, PREDICTION_ID, SHADOW, TIME, input_column, output_column

Array = NDArray[np.float64]


def logged(
    query: Query, declaration: Declaration, model: str | None, shadow_of: str | None, found: Found
) -> Iterator[Batch]:
    """The rows of a window of the log with their labels, each prediction_id once.

    With `model`, only the rows that it predicted, and these predictions are the baseline's. With `shadow_of`, only
    those that this candidate has predicted in the shadow, and these are the candidate's. Raises LogError where the log
    cannot be read.
    """
    found.where = str(query.directory)
    output = output_column(declaration.outputs[0].name)
    batches = query.log.scan(query.start, query.end, [PREDICTION_ID, MODEL], query.column)
    parts = [keys_of(_counted(batch, model, None).column(PREDICTION_ID)) for batch in batches]
    keys = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))
    if not len(keys):
        found.notes.append(f"The window of the log under {query.directory} holds no rows to compare.")
    theirs = _shadow(query, shadow_of, output, keys, found) if shadow_of is not None else None
    labels = _labels(query, keys)
    taken, lines = np.zeros(len(keys), dtype=np.bool_), ScanCounts()
    inputs = [input_column(name) for name in declaration.field_names]
    names = [PREDICTION_ID, MODEL, *inputs, output]
    for batch in query.log.scan(query.start, query.end, names, query.column, lines):
        usable = _usable(_counted(batch, model, found), declaration, output if model is not None else None, found)
        table, places = _fresh(usable, keys, taken, found)
        if theirs is not None:
            shadowed = ~np.isnan(theirs[places])
            found.leave_out("not in the shadow log", int((~shadowed).sum()))
            table, places = table.filter(pa.array(shadowed)), places[shadowed]
        if table.num_rows:
            rows = table.select(inputs).rename_columns(list(declaration.field_names))
            yield Batch(
                columns_of_table(rows, declaration.fields),
                labels[places],
                table[PREDICTION_ID].to_pylist(),
                numbers(table[output]) if model is not None else None,
                theirs[places] if theirs is not None else None,
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


def _usable(batch: pa.RecordBatch, declaration: Declaration, output: str | None, found: Found) -> pa.RecordBatch:
    """The rows that can be predicted again and, where an output is named, that say what was predicted."""
    kept = whole(batch, declaration)
    found.leave_out("without a value that every request has", batch.num_rows - kept.num_rows)
    if output is None:
        return kept
    predicted = kept.filter(pc.is_finite(kept.column(output).fill_null(np.nan)))
    found.leave_out("without a prediction", kept.num_rows - predicted.num_rows)
    return predicted


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


def _labels(query: Query, keys: Keys) -> Array:
    """The label of each key, by all labels of any time, the one received last; NaN for none."""
    latest, received = np.full(len(keys), np.nan), np.full(len(keys), np.iinfo(np.int64).min)
    for batch in query.labels.scan(columns=[PREDICTION_ID, TIME.name, LABEL]):
        _keep_latest(batch, keys, latest, received)
    return latest


def _keep_latest(batch: pa.RecordBatch, keys: Keys, latest: Array, received: NDArray[np.int64]) -> None:
    dated = pc.and_(pc.is_valid(batch.column(0)), pc.is_valid(batch.column(1)))
    values = batch.column(2).cast(pa.float64())
    kept = pc.and_(dated, pc.is_finite(values.fill_null(np.nan)))
    said = batch.filter(kept)
    own = keys_of(said.column(0))
    known = contains(keys, own)
    place = np.searchsorted(keys, own[known])
    time, value = said.column(1).cast(pa.int64()).to_numpy()[known], values.filter(kept).to_numpy()[known]
    order = np.lexsort((time, place))
    place, time, value = place[order], time[order], value[order]
    newer = time >= received[place]
    latest[place[newer]], received[place[newer]] = value[newer], time[newer]  # of equal places, the last one stays


def _shadow(query: Query, candidate: str, output: str, keys: Keys, found: Found) -> Array:
    """What `candidate` predicted for each key in the shadow; NaN for none."""
    predicted, others, own = np.full(len(keys), np.nan), 0, 0
    received = np.full(len(keys), np.iinfo(np.int64).min)
    for batch in EventLog(query.directory / SHADOW).scan(columns=[PREDICTION_ID, TIME.name, output, MODEL]):
        named = batch.filter(pc.fill_null(pc.equal(batch.column(MODEL), pa.scalar(candidate)), False))
        own, others = own + named.num_rows, others + batch.num_rows - named.num_rows
        _keep_latest(named, keys, predicted, received)
    if others:
        found.notes.append(f"The shadow log holds {others:,} rows of other candidates.")
    if not own:
        found.notes.append(
            f"The shadow log under {query.directory} holds nothing of {candidate}: serve with "
            f"TABULAR_BENTO_SHADOW_MODEL={candidate}."
        )
    return predicted
