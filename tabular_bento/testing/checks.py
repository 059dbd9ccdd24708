"""The checks, each of one property of a project."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.client.encoding import HEADER_LENGTH, Interface
from tabular_bento.features import Row
from tabular_bento.protocol import PredictionBatch, RequestSchema
from tabular_bento.protocol.layout import TensorSchema
from tabular_bento.protocol.values import json_values
from tabular_bento.schema import Field
from tabular_bento.scoring.predictor import Predictions
from tabular_bento.testing.project import ProjectUnderTest, extremes

_MOST_ROWS = 10_000


def check_project(project: ProjectUnderTest) -> None:
    """All checks of `CHECKS`, in their order.

    Parameters
    ----------
    project : ProjectUnderTest
        The project.

    Raises
    ------
    AssertionError
        Of the first check that fails.
    """
    for check in CHECKS:
        check(project)


def check_source(project: ProjectUnderTest) -> None:
    """The source gives rows with labels of the problem, and by them models of the task can be trained.

    Parameters
    ----------
    project : ProjectUnderTest
        The project.
    """
    dataset, problem = project.dataset, project.problem
    assert len(dataset), "the source has no rows"
    labelled = int(dataset.labelled.sum())
    assert labelled, f"none of the {len(dataset)} rows of the source has a {problem.target.name}"
    for name in problem.field_names:
        assert name in dataset.columns, f"the source has no column of the field {name}"
        assert len(dataset.columns[name]) == len(dataset), f"the column of {name} is not as long as the table"
    codes = project.sample.residual
    assert np.isfinite(codes).all(), f"a label of {problem.target.name} has no code"
    assert len(np.unique(codes)) > 1, f"{problem.target.name} has one value in all rows: nothing can be learnt"
    assert dataset.fingerprint, "the data set has no fingerprint, by which a training is repeated"


def check_row_independence(project: ProjectUnderTest) -> None:
    """A row's features and predictions are the same bits alone, in a batch, in another order and in a part of it.

    Where the project allows a difference by the setting `tolerance`, predicted numbers may differ by as much.

    Parameters
    ----------
    project : ProjectUnderTest
        The project.
    """
    predictor, rows, names = project.model.predictor, project.rows, project.problem.feature_names
    together, tolerance = predictor.predict(rows), predictor.batch_tolerance
    _same("alone", names, _joined([predictor.predict([row]) for row in rows]), together, tolerance)
    backwards = predictor.predict(rows[::-1])
    turned = Predictions(backwards.features[::-1], {name: values[::-1] for name, values in backwards.outputs.items()})
    _same("in another order", names, turned, together, tolerance)
    half = len(rows) // 2
    parts = [predictor.predict(part) for part in (rows[:half], rows[half:]) if part]
    _same("in two batches", names, _joined(parts), together, tolerance)


def check_feature_totality(project: ProjectUnderTest) -> None:
    """Every row that a server accepts has features and a finite prediction: missing, unseen and extreme values too.

    Parameters
    ----------
    project : ProjectUnderTest
        The project.
    """
    problem, first = project.problem, project.rows[0]
    for place, item in enumerate(problem.fields):
        for value in extremes(item):
            row = (*first[:place], value, *first[place + 1 :])
            what = f"{item.name} = {value!r}"
            try:
                found = project.package.predict([row])
            except Exception as error:
                raise AssertionError(
                    f"a row with {what} cannot be predicted ({type(error).__name__}: {error}). A feature function must "
                    "give NaN where it has no value, and raise nothing."
                ) from error
            assert found.features.shape == (1, len(problem.feature_names)), f"a row with {what} has other features"
    missing = tuple(item.missing if item.optional else value for item, value in zip(problem.fields, first, strict=True))
    project.package.predict([missing])


def check_parity(project: ProjectUnderTest) -> None:
    """A model that is saved and loaded again returns the parity vectors of training, bit by bit.

    Parameters
    ----------
    project : ProjectUnderTest
        The project.
    """
    package = project.package  # loading recomputes every vector
    assert package.parity_rows > 0, "the model package has no parity vectors"
    trained, loaded = project.model.predictor.predict(project.rows), package.predict(project.rows)
    _same("after it was saved and loaded", project.problem.feature_names, loaded, trained)


def check_schema_examples(project: ProjectUnderTest) -> None:
    """The example of the problem is a valid request and can be predicted, and the request schema is described.

    Parameters
    ----------
    project : ProjectUnderTest
        The project.
    """
    problem = project.problem
    schema = RequestSchema(problem.declaration)
    body = json.dumps({problem.rows: [dict(problem.example)]})
    try:
        rows = schema.parse_rows(body)
    except ValueError as error:
        raise AssertionError(f"the example of the problem is no valid request: {error}") from error
    assert len(project.package.predict(rows)) == 1
    properties = schema.row_model.model_json_schema()["properties"]
    assert set(properties) == set(problem.field_names), "the request schema has other fields than the problem"


def check_protocol_round_trips(project: ProjectUnderTest) -> None:
    """Rows reach the model unchanged over every protocol, and predictions come back as they were computed.

    JSON and the Open Inference Protocol over REST, in JSON and in binary tensors, go through the server's own
    endpoints; gRPC through its messages.

    Parameters
    ----------
    project : ProjectUnderTest
        The project.
    """
    problem, rows = project.problem, project.rows
    interface = Interface.of(problem.declaration)
    requests = json_rows(rows, problem.fields)
    wanted = _plain(project.package.predict(rows), problem.outputs)
    for protocol, batch in asyncio.run(_served(project, interface, requests)).items():
        for output in problem.outputs:
            found = list(batch.column(output.name))
            assert found == wanted[output.name], (
                f"over {protocol} the predicted {output.name} is {_first_other(found, wanted[output.name])}"
            )
    from tabular_bento.protocol.messages import InferenceMessages

    messages = InferenceMessages(TensorSchema(problem.declaration, _MOST_ROWS))
    read = messages.read(interface.grpc_request(requests, "round-trip")).rows
    for number, (ours, theirs) in enumerate(zip(rows, read, strict=True)):
        assert _known(ours) == _known(theirs), f"over gRPC row {number} arrives as {theirs}, and was {ours}"


CHECKS: tuple[Callable[[ProjectUnderTest], None], ...] = (
    check_source,
    check_row_independence,
    check_feature_totality,
    check_parity,
    check_schema_examples,
    check_protocol_round_trips,
)
"""Every check of a project."""


def json_rows(rows: Sequence[Row], fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Rows as a request holds them.

    Parameters
    ----------
    rows : sequence of Row
        n rows.
    fields : sequence of Field
        Their fields.

    Returns
    -------
    list of dict
        JSON values by field name.
    """
    columns = [
        json_values(item.kind, list(values)) for item, values in zip(fields, zip(*rows, strict=True), strict=True)
    ]
    names = [item.name for item in fields]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


async def _served(
    project: ProjectUnderTest, interface: Interface, requests: Sequence[Mapping[str, Any]]
) -> dict[str, PredictionBatch]:
    """What the endpoints of a server return over each protocol of HTTP."""
    import httpx

    from tabular_bento.serving import ServingSettings, application
    from tabular_bento.traffic.log import TrafficLog

    found = {}
    problem = project.problem
    with tempfile.TemporaryDirectory(prefix="tabular-bento-") as folder:
        log = TrafficLog(Path(folder), problem.declaration, 1 << 20, 3600)
        app = application(problem, project.package, log, ServingSettings())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            body, headers = interface.json_request(requests)
            response = await client.post("/predict", content=body, headers=headers)
            assert response.status_code == 200, f"the rows were refused: {response.text[:500]}"
            found["json"] = interface.json_predictions(response.content, requests)
            for name in ("rest", "rest-binary"):
                path, body, headers = interface.rest_request(requests, "round-trip", binary=name == "rest-binary")
                response = await client.post(path, content=body, headers=headers)
                assert response.status_code == 200, f"the rows were refused over {name}: {response.text[:500]}"
                length = response.headers.get(HEADER_LENGTH)
                found[name] = interface.rest_predictions(response.content, length, requests, "round-trip")
        await app.stop()
        log.close()
    return found


def _joined(parts: Sequence[Predictions]) -> Predictions:
    names = parts[0].outputs
    return Predictions(
        np.concatenate([part.features for part in parts]),
        {name: np.concatenate([part.outputs[name] for part in parts]) for name in names},
    )


def _same(how: str, names: Sequence[str], found: Predictions, wanted: Predictions, tolerance: float = 0.0) -> None:
    differs = found.features.view(np.uint32) != wanted.features.view(np.uint32)
    if differs.any():
        row, column = (int(place) for place in np.argwhere(differs)[0])
        raise AssertionError(
            f"the feature {names[column]} of row {row} is {found.features[row, column]!r} {how} and "
            f"{wanted.features[row, column]!r} in a batch. A feature function may use arithmetic alone: no reduction "
            "over rows, no `if` on a value, nothing of `math`."
        )
    for name, values in wanted.outputs.items():
        other = found.outputs[name]
        equal = _equal(other, values, tolerance)
        assert equal.all(), (
            f"the output {name} of row {int(np.argmin(equal))} is {other[int(np.argmin(equal))]!r} {how} and "
            f"{values[int(np.argmin(equal))]!r} in a batch, from the same features: the runner is not exact"
        )


def _equal(one: NDArray[Any], other: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
    equal = one == other
    if tolerance > 0 and other.dtype == np.float64:
        equal = np.abs(one - other) <= tolerance * np.maximum(1, np.abs(other))
    return np.asarray(equal if equal.ndim == 1 else equal.all(axis=1))


def _plain(predictions: Predictions, outputs: Sequence[Any]) -> dict[str, list[Any]]:
    """Outputs as JSON values; those of several parts as lists."""
    return {
        item.name: predictions.outputs[item.name].tolist()
        if item.parts
        else list(json_values(item.kind, predictions.outputs[item.name]))
        for item in outputs
    }


def _first_other(found: Sequence[Any], wanted: Sequence[Any]) -> str:
    pairs = enumerate(zip(found, wanted, strict=True))
    number, (ours, theirs) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
    return f"{ours!r} for row {number}, and was computed as {theirs!r}"


def _known(row: Row) -> list[Any]:
    """A row in which NaN equals NaN."""
    return [None if value is None or value != value else value for value in row]
