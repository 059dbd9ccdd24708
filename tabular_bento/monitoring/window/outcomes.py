"""How the outcomes of any time were joined with a window's predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tabular_bento.monitoring.window.ranges import RangeSums
    from tabular_bento.monitoring.window.reading import RowsRead


@dataclass(frozen=True)
class Joined:
    """What was met on the way, when all outcomes of the log were joined with the window's predictions.

    Of several outcomes of one prediction the one received last counts; equal ones are repeated, others contradictory.
    `before` were received before their prediction was made. `came` are the latest outcomes by the cell of their delay
    (`tabular_bento.monitoring.window.delays`), shape [CELLS].
    """

    came: NDArray[np.int64]
    repeated: int = 0
    contradictory: int = 0
    elsewhere: int = 0
    unknown: int = 0
    before: int = 0
    torn: int = 0
    bad: int = 0

    @classmethod
    def of(cls, sums: RangeSums, read: RowsRead, unknown: int) -> Joined:
        """What the pass met: `unknown` outcomes are of predictions that the log does not hold."""
        return cls(
            sums.came,
            repeated=sums.repeated,
            contradictory=sums.contradictory,
            elsewhere=sums.strange - unknown,
            unknown=unknown,
            before=sums.before,
            torn=read.lines.torn,
            bad=read.bad + read.lines.bad,
        )
