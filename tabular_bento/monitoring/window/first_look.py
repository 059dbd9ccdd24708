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
from tabular_bento.evaluation.reference.vocabulary import NewValues
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.readable import unreadable
from tabular_bento.monitoring.window.reading import NEEDED, Lot, RowsRead, batches_of, over_log
from tabular_bento.monitoring.window.records import Watched
from tabular_bento.monitoring.window.workers import Workers
from tabular_bento.traffic.parts import Shape

MOST_SEGMENTS = 30
"""Values of their own; the rows of all others are one segment."""


def models_in(query: Query, workers: Workers) -> Counter[str]:
    """How many of the window's rows name each model; none where the log cannot be read for it."""
    models: Counter[str] = Counter()
    log = query.log
    segments, kinds = log.segments(), log.kinds()
    if not kinds or unreadable((field for field in NEEDED if field.name in ("model", query.on)), kinds):
        return models
    if shape := log.shape(query.start, query.end, ["model"], query.on):
        for read in over_log(log, segments, shape, workers, partial(read_models, shape), "looking for models"):
            models += read.named
    return models


def segment_values(query: Query, by: str, reference: Reference, workers: Workers) -> Watched:
    """The most frequent values of the field `by` among the model's rows, as bins: of all that the training months held,
    and of up to MOST_NEW others (`tabular_bento.evaluation.reference.vocabulary`).
    """
    log, values = query.log, NewValues(reference.vocabularies.get(by, frozenset()))
    segments, shape = log.segments(), log.shape(query.start, query.end, ["model", by], query.on)
    named: Counter[str] = Counter()
    if shape is not None:
        reading = partial(read_values, shape, reference.model, by, values.known)
        for read in over_log(log, segments, shape, workers, reading, f"looking for values of {by}"):
            named += read.named
            values.merge(read.texts[by])
    named += values.counts
    most = sorted(named, key=lambda value: (-named[value], value))[:MOST_SEGMENTS]
    return Watched(by, by, Bins({"categories": most}))


def read_models(shape: Shape, lot: Lot) -> RowsRead:
    """How many rows of the lot name each model. Raises LogError."""
    read = RowsRead()
    for batch in batches_of(lot, shape, read):
        read.named += _counts(batch.column("model"))
    return read


def read_values(shape: Shape, model: str | None, name: str, known: frozenset[str], lot: Lot) -> RowsRead:
    """How many rows of the lot that the model predicted hold each value of a column, those that are not known apart.

    Raises LogError.
    """
    read = RowsRead(texts={name: NewValues(known)})
    for batch in batches_of(lot, shape, read):
        of_model = batch.column(name).filter(pc.equal(batch.column("model"), pa.scalar(model, pa.string())))
        read.texts[name].add(of_model)
        read.named += {value: count for value, count in _counts(of_model).items() if value in known}
    return read


def _counts(texts: pa.Array) -> Counter[str]:
    return Counter({pair["values"]: pair["counts"] for pair in texts.drop_null().value_counts().to_pylist()})
