"""Rows of the log that have all that every request has: what else the log holds cannot be predicted again."""

from __future__ import annotations

from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from features.definition import FIELDS

REQUIRED = tuple(item.name for item in FIELDS if not item.optional)


def whole(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of a batch in which no required field is null."""
    return batch.filter(reduce(pc.and_, (pc.is_valid(batch.column(name)) for name in REQUIRED)))
