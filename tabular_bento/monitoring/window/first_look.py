"""What must be known before the pass: which model's rows to read, and by which values to tell them apart.

Each is a pass of its own over a column or two, which is quick in Parquet and parses all of a segment's lines.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from tabular_bento.evaluation.reference.bins import Bins
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.vocabulary import NewValues, Vocabulary
from tabular_bento.monitoring.window.columns import ENVELOPE, Kinds, Watched, texts_of, unreadable
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.reading import Chunk, RowsRead, batches_of, over_log
from tabular_bento.monitoring.window.workers import Workers
from tabular_bento.traffic.parts import Projection
from tabular_bento.traffic.schema import input_column

MOST_SEGMENTS = 30
"""Values of their own; the rows of all others are one segment."""


def models_in(query: Query, workers: Workers) -> Counter[str]:
    """How many of the window's rows name each model; none where the log cannot be read for it.

    Where the log has no readable column that dates the window, all rows count: the model's package says what is wrong.
    """
    models: Counter[str] = Counter()
    log = query.log
    files, kinds = log.log_files(), log.kinds()
    if not kinds or unreadable((field for field in ENVELOPE if field.name in ("model", query.on)), kinds):
        return models
    start, end = (query.start, query.end) if _is_time(query.column, kinds) else (None, None)
    if projection := log.projection(start, end, ["model"], query.column):
        reading = partial(read_models, projection)
        for read in over_log(log, files, projection, workers, reading, "looking for models"):
            models += read.named
    return models


def _is_time(column: str, kinds: Kinds) -> bool:
    found = kinds.get(column, set())
    return len(found) == 1 and next(iter(found)).is_time


def segment_values(query: Query, by: str, reference: Reference, workers: Workers) -> Watched:
    """The most frequent values of the field `by` among the model's rows, as bins: of all that the training rows held,
    and of up to MOST_NEW others (`tabular_bento.evaluation.reference.vocabulary`).
    """
    log, column = query.log, input_column(by)
    values = NewValues(reference.vocabularies.get(by, Vocabulary()).values)
    files, projection = log.log_files(), log.projection(query.start, query.end, ["model", column], query.column)
    named: Counter[str] = Counter()
    if projection is not None:
        reading = partial(read_values, projection, reference.model, column, values.known)
        for read in over_log(log, files, projection, workers, reading, f"looking for values of {by}"):
            named += read.named
            values.merge(read.texts[column])
    named += values.counts
    most = sorted(named, key=lambda value: (-named[value], value))[:MOST_SEGMENTS]
    return Watched(by, column, Bins({"categories": most}))


def read_models(projection: Projection, chunk: Chunk) -> RowsRead:
    """How many rows of the chunk name each model. Raises LogError."""
    read = RowsRead()
    for batch in batches_of(chunk, projection, read):
        read.named += _counts(batch.column("model"))
    return read


def read_values(
    projection: Projection, model: str | None, column: str, known: frozenset[str], chunk: Chunk
) -> RowsRead:
    """How many rows of the chunk that the model predicted hold each value of a column, those not known apart.

    Raises LogError.
    """
    read = RowsRead(texts={column: NewValues(known)})
    for batch in batches_of(chunk, projection, read):
        of_model = pc.equal(batch.column("model"), pa.scalar(model, pa.string()))
        values = texts_of(batch.column(column).filter(of_model))
        read.texts[column].add(values)
        read.named += {value: count for value, count in _counts(values).items() if value in known}
    return read


def _counts(texts: pa.Array) -> Counter[str]:
    return Counter({pair["values"]: pair["counts"] for pair in texts.drop_null().value_counts().to_pylist()})
