"""A window broken down by one field: where the drift is, and where the errors are.

Each value is compared with the reference's rows of the same value. Those are few, and how far their windows stray was
not calibrated, so a segment points at something and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tabular_bento.evaluation.reference.bins import contributions, numbers_of
from tabular_bento.evaluation.reference.package import Reference, ReferenceColumn
from tabular_bento.monitoring.drift.performance import due_from, measuring
from tabular_bento.monitoring.drift.result import Segment
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import MODEL, NAIVE, SQUARE, Blocks
from tabular_bento.monitoring.window.data import Query, SegmentData, WindowData, texts_of
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import feature_column, input_column

LEAST_REFERENCE = 100
"""Reference rows of a value below which its columns are not compared."""


def segment_results(
    query: Query, reference: Reference, data: WindowData, settings: DriftSettings, judged: bool = True
) -> list[Segment]:
    """What is to be said of each segment; columns are compared where the window is `judged`."""
    return [_result(query, segment, reference, data, settings, judged) for segment in data.segments]


def _result(
    query: Query, segment: SegmentData, reference: Reference, data: WindowData, settings: DriftSettings, judged: bool
) -> Segment:
    rows, alike = int(segment.blocks.rows.sum()), _reference_rows(query.by or "", segment.value, reference.rows)
    drifted: list[str] = []
    share = None
    enough = judged and rows >= max(settings.min_rows, reference.min_rows) and alike.num_rows >= LEAST_REFERENCE
    if enough:
        scored = list(_scored(query.by or "", segment, alike, reference.columns, settings))
        weight = sum(column.importance for column, _ in scored)
        excess = sorted(((ratio, column) for column, ratio in scored if ratio > 1), key=lambda pair: -pair[0])
        drifted = [column.name for _, column in excess]
        share = sum(column.importance for _, column in excess) / weight if weight else None
    index = due_from(data, settings)
    mature = segment.blocks.aged(index) if index is not None else Blocks.none()
    matched, sums = int(mature.matched.sum()), mature.sums.sum(axis=0)
    losses, naive = sums[MODEL + SQUARE], float(sums[NAIVE + SQUARE])
    evaluator, metrics = measuring(reference), dict[str, Any]()
    if matched and evaluator:
        metrics[evaluator.losses[0]] = float(evaluator.first_level(losses / matched))
    return Segment(
        value=segment.value,
        rows=rows,
        share=rows / max(data.rows.scored, 1),
        compared=enough,
        drifted=drifted,
        drifted_share=share,
        labels=matched,
        **metrics,
        ratio_to_naive_baseline=float(evaluator.first_level(losses / naive)) if naive > 0 and evaluator else None,
    )


def _reference_rows(by: str, value: str, rows: pa.Table) -> pa.Table:
    column = input_column(by)
    if column not in rows.column_names:
        return rows.slice(0, 0)
    return rows.filter(pc.equal(texts_of(rows[column]), value))


def _scored(
    by: str,
    segment: SegmentData,
    alike: pa.Table,
    columns: Sequence[ReferenceColumn],
    settings: DriftSettings,
) -> Iterator[tuple[ReferenceColumn, float]]:
    """Columns with their index in terms of its limit. What chance adds for want of reference rows is in the limit."""
    days = segment.blocks.days
    for column in columns:
        tally = segment.tallies.get(column.name)
        if (
            tally is None
            or column.log_name in (input_column(by), feature_column(by))
            or column.log_name not in alike.column_names
        ):
            continue
        if column.kind is Kind.TEXT:
            continue
        values = numbers_of(alike[column.log_name])
        index = float(contributions(column.bins.count(values), tally.counts).sum())
        limit = column.thresholds.index(tally.n, days, settings.psi_floor) + column.thresholds.chance_of(len(values))
        yield column, index / limit
