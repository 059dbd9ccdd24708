"""A window broken down by one field, such as by carrier: where the drift is, and where the errors are.

Each value is compared with the reference's rows of the same value. Those are few, and how far one carrier's weeks stray
was not calibrated, so a segment points at something and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tabular_bento.evaluation.reference.bins import FIRST, OTHER, contributions
from tabular_bento.evaluation.reference.package import Reference, ReferenceColumn
from tabular_bento.monitoring.drift.result import Segment
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import MODEL, SQUARE, ZERO_GAIN, Blocks
from tabular_bento.monitoring.window.data import Query, SegmentData, WindowData
from tabular_bento.monitoring.window.ranges import RangeSums
from tabular_bento.monitoring.window.realised import due_from
from tabular_bento.monitoring.window.records import Watched
from tabular_bento.monitoring.window.tally import Tally

LEAST_REFERENCE = 100
"""Reference rows of a value below which its columns are not compared."""

OTHERS, EMPTY = "(others)", "(empty)"


def segments_of(column: Watched | None, watched: Sequence[Watched], sums: RangeSums) -> list[SegmentData]:
    """The segments that have rows, from the most to the fewest; others and empty ones come last."""
    if column is None or sums.by_segment is None:
        return []
    found = []
    labels = [EMPTY, OTHERS, *(column.bins.category(place) for place in range(FIRST, column.bins.size))]
    for code in [*range(FIRST, column.bins.size), OTHER, OTHER - 1]:
        if code not in sums.segment_blocks:
            continue
        tallies = {}
        for place, each in enumerate(watched):
            tallies[each.name] = tally = Tally(each.bins)
            tally.add_counts(sums.by_segment[place][code])
        found.append(SegmentData(labels[code], tallies, sums.segment_blocks[code]))
    return found


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
    place = due_from(data, settings)
    mature = segment.blocks.aged(place) if place is not None else Blocks.none()
    matched, sums = int(mature.matched.sum()), mature.sums.sum(axis=0)
    zero = float(sums[ZERO_GAIN + SQUARE])
    return Segment(
        value=segment.value,
        rows=rows,
        share=rows / max(data.rows.scored, 1),
        compared=enough,
        drifted=drifted,
        drifted_share=share,
        outcomes=matched,
        rmse=float(np.sqrt(sums[MODEL + SQUARE] / matched)) if matched else None,
        ratio_to_zero_gain=float(np.sqrt(sums[MODEL + SQUARE] / zero)) if zero else None,
    )


def _reference_rows(by: str, value: str, rows: pa.Table) -> pa.Table:
    if by not in rows.column_names:
        return rows.slice(0, 0)
    return rows.filter(pc.equal(rows[by], value))


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
        if tally is None or column.name == by or column.log_name not in alike.column_names:
            continue
        values = alike[column.log_name].cast(pa.float64()).to_numpy() if column.kind == "number" else None
        if values is None:
            continue
        index = float(contributions(column.bins.count(values), tally.counts).sum())
        limit = column.thresholds.index(tally.n, days, settings.psi_floor) + column.thresholds.chance_of(len(values))
        yield column, index / limit
