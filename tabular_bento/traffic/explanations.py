"""The log of explanations: for a sample of the rows that were explained, what their predictions were made of.

A line has the envelope of its prediction and two lists::

    {"prediction_id": ..., "time": ..., "model": ..., "declaration": ..., "base_values": [...], "contributions": [...]}

Readers give them as the columns `base_value` and `contribution.age`, of classes `base_value.yes` and
`contribution.yes.age`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from tabular_bento.problem import Declaration
from tabular_bento.protocol.explanations import ExplainedBatch
from tabular_bento.schema import Kind
from tabular_bento.traffic.schema import DECLARATION, MODEL, PREDICTION_ID, TIME, LogColumn
from tabular_bento.traffic.writer import LogWriter

EXPLANATIONS = "explanations"
"""The folder of the stream."""

BASE_VALUES = "base_values"
CONTRIBUTIONS = "contributions"


def explanation_columns(declaration: Declaration) -> tuple[LogColumn, ...]:
    """The columns of the explanations."""
    scores = [f".{name}" for name in declaration.task.score_names] or [""]
    return (
        LogColumn(PREDICTION_ID, Kind.TEXT, "The prediction that was explained"),
        LogColumn(TIME.name, Kind.INSTANT, "When it was explained"),
        LogColumn(MODEL, Kind.TEXT, "Tag of the model"),
        LogColumn(DECLARATION, Kind.TEXT, "Fingerprint of the declaration"),
        *(LogColumn(f"base_value{score}", Kind.NUMBER, "Base value", within=BASE_VALUES) for score in scores),
        *(
            LogColumn(f"contribution{score}.{name}", Kind.NUMBER, "What it adds to the score", within=CONTRIBUTIONS)
            for score in scores
            for name in declaration.feature_names
        ),
    )


class ExplanationLog:
    """The stream of explanations of one process. Thread-safe.

    Parameters
    ----------
    directory : Path
        The folder that holds the streams.
    declaration : Declaration
        What is predicted and from what.
    roll_bytes, roll_seconds : int and float
        As of `TrafficLog`.
    """

    def __init__(self, directory: Path, declaration: Declaration, roll_bytes: int, roll_seconds: float) -> None:
        self.writer = LogWriter(directory / EXPLANATIONS, explanation_columns(declaration), roll_bytes, roll_seconds)
        self._fingerprint = declaration.fingerprint

    def record(self, batch: ExplainedBatch, chosen: NDArray[np.bool_]) -> None:
        """Log the explanations of those rows that are chosen by a mask of shape [n].

        Raises
        ------
        LogError
            Where the log cannot be written.
        """
        rows = np.flatnonzero(chosen).tolist()
        if not rows:
            return
        moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        ids, found = batch.column(PREDICTION_ID), batch.explanations
        lines = [
            {
                PREDICTION_ID: ids[row],
                TIME.name: moment,
                MODEL: batch.model,
                DECLARATION: self._fingerprint,
                BASE_VALUES: found.base_values[row].tolist(),
                CONTRIBUTIONS: found.contributions[row].ravel().tolist(),
            }
            for row in rows
        ]
        self.writer.append(b"".join(orjson.dumps(line) + b"\n" for line in lines), len(lines))

    def close(self) -> None:
        """End the file that is being written; it may then be sealed."""
        self.writer.close()
