"""The traffic log as the server writes it: every prediction before it is returned, every label as it comes."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from tabular_bento.features.columns import ColumnRows, Row, plain
from tabular_bento.problem import Declaration
from tabular_bento.protocol.predictions import PredictionBatch, PredictionForm
from tabular_bento.protocol.values import NAN, TIMES, held, writer
from tabular_bento.schema import Field, Kind
from tabular_bento.traffic.schema import (
    DECLARATION,
    FEATURES,
    INPUTS,
    LABEL,
    LABELS,
    MODEL,
    OUTPUTS,
    PREDICTION_ID,
    PREDICTIONS,
    SHADOW,
    TIME,
    TRACE,
    label_columns,
    prediction_columns,
    shadow_columns,
)
from tabular_bento.traffic.writer import LogWriter

Outputs = Mapping[str, NDArray[Any]]
"""An array for each output of the problem, of shape [n] or [n, parts], by name."""

_ENVELOPE = (PREDICTION_ID, TIME.name, MODEL, DECLARATION, TRACE)
_Line = msgspec.defstruct("_Line", [(name, Any) for name in (*_ENVELOPE, INPUTS, FEATURES, OUTPUTS)], gc=False)
_ShadowLine = msgspec.defstruct("_ShadowLine", [(name, Any) for name in (*_ENVELOPE, OUTPUTS)], gc=False)
_LabelLine = msgspec.defstruct("_LabelLine", [(name, Any) for name in (PREDICTION_ID, TIME.name, LABEL)], gc=False)
_ENCODER = msgspec.json.Encoder()


class Tagged(Protocol):
    """A model package, as far as the log needs it."""

    @property
    def tag(self) -> str:
        """Name and version of the model."""


class TrafficLog:
    """The streams of predictions and labels of one process. Thread-safe.

    A line is handed to the operating system before a method returns, so that a killed process loses nothing that was
    returned; a power failure may.

    Parameters
    ----------
    directory : Path
        The folder that holds the streams.
    declaration : Declaration
        What is predicted and from what.
    roll_bytes : int
        A file of the log that holds as much is ended, and another begun.
    roll_seconds : float
        Likewise one that is as old.

    Attributes
    ----------
    streams : dict
        The writers, by `PREDICTIONS` and `LABELS`.
    on_recorded : callable
        Given the features and outputs of every batch that is in the log.
    traces : callable
        Gives the trace ids, in hex or None, of the rows of the batch that is being recorded; None where no request is
        traced.
    """

    def __init__(self, directory: Path, declaration: Declaration, roll_bytes: int, roll_seconds: float) -> None:
        self.directory = directory
        self.declaration = declaration
        self._predictions = LogWriter(
            directory / PREDICTIONS, prediction_columns(declaration), roll_bytes, roll_seconds
        )
        self._labels = LogWriter(directory / LABELS, label_columns(declaration), roll_bytes, roll_seconds)
        self.streams = {PREDICTIONS: self._predictions, LABELS: self._labels}
        self.on_recorded: Callable[[NDArray[np.float32], Outputs], None] = lambda *_: None
        self.traces: Callable[[], Sequence[str | None] | None] = lambda: None
        names = declaration.field_names
        self._identifier = None if declaration.identifier is None else names.index(declaration.identifier)
        self._names = names
        self._form = PredictionForm(declaration)
        self._converted = [
            (index, writer(field.kind))
            for index, field in enumerate(declaration.fields)
            if field.kind not in (Kind.TEXT, Kind.NUMBER) and (field.kind is not Kind.INTEGER or field.optional)
        ]
        self._fingerprint = declaration.fingerprint
        self._write_labels = writer(declaration.target.kind)

    def record(
        self, rows: Sequence[Row], package: Tagged, features: NDArray[np.float32], outputs: Outputs
    ) -> PredictionBatch:
        """Log n predictions in one write.

        Parameters
        ----------
        rows : sequence of Row
            The n rows, also as `ColumnRows`.
        package : ModelPackage
            The model that predicted.
        features : ndarray of shape [n, features]
            What it predicted from.
        outputs : mapping
            What it predicted.

        Returns
        -------
        PredictionBatch
            What callers are given.

        Raises
        ------
        LogError
            Where the log cannot be written.
        """
        count, tag = len(rows), package.tag
        if not count:
            return PredictionBatch.empty(self.declaration)
        ids, inputs = prediction_ids(count), self._inputs(rows)
        values, columns = _outputs(self._form, outputs)
        lines = map(
            _Line,
            ids,
            repeat(_now()),
            repeat(tag),
            repeat(self._fingerprint),
            self.traces() or repeat(None),
            zip(*inputs, strict=True),
            _lists(features),
            zip(*columns, strict=True),
        )
        self._predictions.append(_ENCODER.encode_lines(list(lines)), count)
        self.on_recorded(features, outputs)
        own = () if self._identifier is None else (inputs[self._identifier],)
        return PredictionBatch.of_columns(self._form, (ids, *own, *values), tag)

    def record_labels(self, labels: Sequence[tuple[str, Any]]) -> int:
        """Log labels in one write.

        Parameters
        ----------
        labels : sequence of tuple
            Prediction ids and labels, as values are held.

        Returns
        -------
        int
            Their number.

        Raises
        ------
        LogError
            Where the log cannot be written.
        """
        if labels:
            moment, written = _now(), self._write_labels([value for _, value in labels])
            lines = [_LabelLine(one, moment, value) for (one, _), value in zip(labels, written, strict=False)]
            self._labels.append(_ENCODER.encode_lines(lines), len(lines))
        return len(labels)

    def close(self) -> None:
        """End the files that are being written; they may then be sealed."""
        self._predictions.close()
        self._labels.close()

    def _inputs(self, rows: Sequence[Row]) -> list[Sequence[Any]]:
        """The values of each field, in their order, as the encoder writes them."""
        if isinstance(rows, ColumnRows):
            columns: list[Any] = [rows.columns[name] for name in self._names]
            for index, write in self._converted:
                columns[index] = write(columns[index])
            return [plain(values) for values in columns]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self._names)
        for index, write in self._converted:
            columns[index] = write(columns[index])
        return columns


class ShadowLog:
    """The stream of what a candidate predicts for rows that another model predicted. Thread-safe.

    The parameters are those of `TrafficLog`.
    """

    def __init__(self, directory: Path, declaration: Declaration, roll_bytes: int, roll_seconds: float) -> None:
        self.declaration = declaration
        self._form = PredictionForm(declaration)
        self.writer = LogWriter(directory / SHADOW, shadow_columns(declaration), roll_bytes, roll_seconds)

    def record(self, lines: Sequence[Mapping[str, Any]], tag: str, outputs: Outputs) -> None:
        """Log what the model of a tag predicts for n lines of the predictions, in one write.

        Raises
        ------
        LogError
            Where the log cannot be written.
        """
        _, columns = _outputs(self._form, outputs)
        fingerprint = self.declaration.fingerprint
        shadows = [
            _ShadowLine(line[PREDICTION_ID], line[TIME.name], tag, fingerprint, line.get(TRACE), values)
            for line, values in zip(lines, zip(*columns, strict=True), strict=True)
        ]
        if shadows:
            self.writer.append(_ENCODER.encode_lines(shadows), len(shadows))

    def close(self) -> None:
        """End the file that is being written."""
        self.writer.close()


def rows_of_lines(lines: Sequence[Mapping[str, Any]], declaration: Declaration) -> list[Row]:
    """The rows that lines of the predictions were written for: the inverse of what `TrafficLog.record` does to them.

    Parameters
    ----------
    lines : sequence of mapping
        Decoded lines.
    declaration : Declaration
        What they were written by.
    """
    readers = [_reader(field) for field in declaration.fields]
    return [tuple(read(value) for read, value in zip(readers, line[INPUTS], strict=True)) for line in lines]


def prediction_ids(count: int) -> list[str]:
    """`count` new UUIDs of version 7 (RFC 9562): the time in milliseconds, random bits, and a counter within them."""
    stamp, noise = f"{time.time_ns() // 1_000_000:012x}", os.urandom(10).hex()
    variant = "89ab"[int(noise[0], 16) & 3]
    head = f"{stamp[:8]}-{stamp[8:]}-7{noise[1:4]}-{variant}{noise[4:7]}-{noise[7:11]}"
    first = int(noise[11:19], 16) >> 1
    numbers = struct.pack(f">{count}I", *range(first, first + count)).hex(",", 4)
    return (head + numbers.replace(",", "," + head)).split(",") if count else []


def _outputs(form: PredictionForm, outputs: Outputs) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
    """The values of each output as a response has them, and those of each of their columns as the log has them."""
    values: list[Sequence[Any]] = []
    columns: list[Sequence[Any]] = []
    for output in form.outputs:
        array = outputs[output.name]
        if output.parts:
            values.append(array.tolist())
            columns += array.T.tolist()
        elif output.kind.is_time:
            values.append(TIMES[output.kind].texts(array))
            columns.append(values[-1])
        else:
            values.append(array.tolist() if output.kind is Kind.NUMBER else writer(output.kind)(array))
            columns.append(values[-1])
    return values, columns


def _lists(features: NDArray[np.float32]) -> Iterator[msgspec.Raw]:
    """Each row of features as a JSON list, to the bit, missing ones null."""
    encoded = orjson.dumps(np.ascontiguousarray(features, np.float64), option=orjson.OPT_SERIALIZE_NUMPY)
    end = 0
    for _ in range(len(features)):
        start = end + 1
        end = encoded.index(b"]", start) + 1
        yield msgspec.Raw(encoded[start:end])


def _reader(field: Field) -> Callable[[Any], Any]:
    """What reads a field's value of a line."""
    if field.kind is Kind.TEXT:
        return lambda value: value
    if field.kind is Kind.NUMBER:
        return lambda value: NAN if value is None else float(value)
    kind = field.kind
    return lambda value: held(kind, value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
