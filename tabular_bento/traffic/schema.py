"""What the lines of the traffic log hold. This package alone knows it.

A line of the predictions is an envelope and three lists::

    {"prediction_id": ..., "time": ..., "model": ..., "declaration": ..., "trace": null,
     "inputs": [...], "features": [...], "outputs": [...]}

Readers give the elements of the lists as the columns `input.city`, `feature.age` and `output.price`, so that no
field's name collides with another's. A label is `{"prediction_id": ..., "time": ..., "label": ...}`; a line of the
shadow has the envelope and the outputs.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabular_bento.problem import Declaration
from tabular_bento.schema import Kind

PREDICTIONS = "predictions"
LABELS = "labels"
SHADOW = "shadow"
"""The folders of the three streams."""

PREDICTION_ID = "prediction_id"
MODEL = "model"
DECLARATION = "declaration"
TRACE = "trace"
INPUTS = "inputs"
FEATURES = "features"
OUTPUTS = "outputs"
LABEL = "label"


def default_directory(problem: str) -> Path:
    """The folder of a problem's log where no setting names one: in the state directory of the user.

    Parameters
    ----------
    problem : str
        The problem's name.
    """
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    home = state if state.is_absolute() else Path.home() / ".local" / "state"
    return home / "tabular-bento" / problem / "traffic"


@dataclass(frozen=True, slots=True)
class LogColumn:
    """One column of a stream.

    Parameters
    ----------
    name : str
        Its name in Arrow and Parquet, and in a line where it is within no list.
    kind : Kind
        What it holds.
    description : str
        One line for readers.
    unit : str, optional
        Unit of the values.
    optional : bool
        Whether the value may be null.
    within : str, optional
        The list of the line that holds it, in the order of the columns.
    """

    name: str
    kind: Kind
    description: str = ""
    unit: str | None = None
    optional: bool = False
    within: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The column as plain JSON values, without what is not set."""
        values = {key: value for key, value in asdict(self).items() if value is not None and value is not False}
        return {**values, "kind": self.kind.value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LogColumn:
        """The inverse of `to_dict`."""
        return cls(**{**values, "kind": Kind(values["kind"])})


TIME = LogColumn("time", Kind.INSTANT, "When it happened")
"""The column that every stream has, by which it is partitioned."""


def input_column(name: str) -> str:
    """The column of a field."""
    return f"input.{name}"


def feature_column(name: str) -> str:
    """The column of a feature."""
    return f"feature.{name}"


def output_column(name: str) -> str:
    """The column of an output; of an output with parts, of `output.part`, as `Output.columns` has it."""
    return f"output.{name}"


def prediction_columns(declaration: Declaration) -> tuple[LogColumn, ...]:
    """The columns of the predictions."""
    return (
        LogColumn(PREDICTION_ID, Kind.TEXT, "UUIDv7 made by the server"),
        LogColumn(TIME.name, Kind.INSTANT, "When it was predicted"),
        LogColumn(MODEL, Kind.TEXT, "Tag of the model"),
        *_origin_columns(),
        *(
            LogColumn(input_column(field.name), field.kind, field.description, field.unit, field.optional, INPUTS)
            for field in declaration.fields
        ),
        *(
            LogColumn(feature_column(item.name), Kind.NUMBER, item.description, item.unit or None, True, FEATURES)
            for item in declaration.features
        ),
        *_output_columns(declaration),
    )


def label_columns(declaration: Declaration) -> tuple[LogColumn, ...]:
    """The columns of the labels."""
    target = declaration.target
    return (
        LogColumn(PREDICTION_ID, Kind.TEXT, "The prediction that this is the label of"),
        LogColumn(TIME.name, Kind.INSTANT, "When the label was received"),
        LogColumn(LABEL, target.kind, target.description, target.unit),
    )


def shadow_columns(declaration: Declaration) -> tuple[LogColumn, ...]:
    """The columns of the shadow: what a candidate predicts for a row that another model predicted."""
    return (
        LogColumn(PREDICTION_ID, Kind.TEXT, "The prediction of the model in service for the same row"),
        LogColumn(TIME.name, Kind.INSTANT, "When that was predicted"),
        LogColumn(MODEL, Kind.TEXT, "Tag of the candidate"),
        *_origin_columns(),
        *_output_columns(declaration),
    )


def _origin_columns() -> tuple[LogColumn, ...]:
    return (
        LogColumn(DECLARATION, Kind.TEXT, "Fingerprint of the declaration"),
        LogColumn(TRACE, Kind.TEXT, "Trace id of the request, in hex", optional=True),
    )


def _output_columns(declaration: Declaration) -> tuple[LogColumn, ...]:
    return tuple(
        LogColumn(output_column(name), output.kind, output.description, output.unit, within=OUTPUTS)
        for output in declaration.outputs
        for name in output.columns
    )
