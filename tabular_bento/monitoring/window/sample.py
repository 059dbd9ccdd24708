"""A sample of a window's rows that does not depend on the order in which they come."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tabular_bento.monitoring.window.ids import Keys, scramble


class Sample:
    """A uniform sample of `size` rows: those whose scrambled keys are smallest. Of rows with one key it holds one."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._ranks: Keys = np.empty(0, dtype=np.uint64)
        self._rows: pa.Table | None = None

    def add(self, keys: Keys, batch: pa.RecordBatch) -> None:
        """Offer the rows of a batch."""
        ranks = scramble(keys, self._seed)
        if len(self._ranks) == self._size:
            near = ranks < self._ranks[-1]
            if not near.any():
                return
            ranks, batch = ranks[near], batch.filter(pa.array(near))
        self._keep(ranks, pa.Table.from_batches([batch]))

    def merge(self, other: Sample) -> None:
        """Offer the rows that another sample of the same size and seed holds."""
        if other._rows is not None:
            self._keep(other._ranks, other._rows)

    def rows(self) -> pa.Table:
        """The rows drawn, in an order that is as good as random; a table without columns where none was offered."""
        return self._rows if self._rows is not None else pa.table({})

    def _keep(self, ranks: Keys, table: pa.Table) -> None:
        ranks = np.concatenate([self._ranks, ranks])
        table = pa.concat_tables([self._rows, table]) if self._rows is not None else table
        self._ranks, first = np.unique(ranks, return_index=True)
        self._ranks = self._ranks[: self._size]
        self._rows = table.take(pa.array(first[: self._size])).combine_chunks()
