"""The smoke test: an image that returns the model's parity vectors with training's bits, over each of its protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from deploy.commands import podman
from deploy.container import Container
from deploy.errors import DeployError
from deploy.record import Record
from deploy.settings import ShipSettings
from tabular_bento import Declaration
from tabular_bento.client import Client, Protocol
from tabular_bento.errors import TabularBentoError
from tabular_bento.protocol.values import json_values
from tabular_bento.scoring.package import read_declaration
from tabular_bento.scoring.parity import VECTORS_FILE, read_rows
from tabular_bento.scoring.store import find_model

PROTOCOLS: tuple[Protocol, ...] = ("json", "rest-binary", "grpc")

_TIMEOUT = 60.0


def smoke(settings: ShipSettings) -> str:
    """Run the image hardened, check the parity vectors, stop it, and report what was checked.

    Raises
    ------
    DeployError
        Where a value differs, a request fails, or the container does not end with 0.
    """
    record = Record.read(settings.ship_dir, needs="image", step="containerize")
    folder = find_model(record.labels["model.tag"]).directory
    volume = f"smoke-{record.image_id[:12]}"
    try:
        with Container(record.image_id, volume, settings.container_network) as container:
            counts = check_protocols(folder, container.url, container.address)
            code = container.stop()
    finally:
        podman("volume", "rm", "--force", volume, what="Removing the volume")
    if code:
        raise DeployError(f"The container ended with {code} when it was asked to stop, where 0 was expected.")
    return "; ".join(f"{count} parity vectors equal through {protocol}" for protocol, count in counts.items())


def check_protocols(package: Path, url: str, address: str) -> dict[str, int]:
    """Request the parity vectors of a model package over each protocol, as one batch and the first alone.

    Parameters
    ----------
    package : Path
        The folder of the package.
    url : str
        The server's HTTP address.
    address : str
        Its gRPC address, HOST:PORT.

    Returns
    -------
    dict
        The number of vectors by protocol.

    Raises
    ------
    DeployError
        Naming the first vector and output whose bits differ, or the request that was refused.
    """
    declaration = read_declaration(package)
    rows = _rows(package, declaration)
    expected = _expected(package, declaration)
    with Client(url, grpc=address, timeout=_TIMEOUT) as client:
        for protocol in PROTOCOLS:
            try:
                predicted = [*client.predict(rows, protocol=protocol), *client.predict(rows[:1], protocol=protocol)]
            except TabularBentoError as error:
                raise DeployError(f"The parity vectors were refused over {protocol}: {error}") from error
            _compare(protocol, predicted, [*expected, expected[0]])
    return dict.fromkeys(PROTOCOLS, len(rows))


def _compare(protocol: str, predicted: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for number, (prediction, wanted) in enumerate(zip(predicted, expected, strict=True)):
        for output, value in wanted.items():
            if prediction[output] != value:
                raise DeployError(
                    f"Parity fails over {protocol}: vector {number} has {output} {prediction[output]!r} where training "
                    f"had {value!r}. Do not use the image."
                )


def _rows(package: Path, declaration: Declaration) -> list[dict[str, Any]]:
    """The rows of the parity vectors, in JSON values."""
    columns = zip(*read_rows(package, declaration.fields), strict=True)
    values = [json_values(field.kind, list(column)) for field, column in zip(declaration.fields, columns, strict=True)]
    return [dict(zip(declaration.field_names, row, strict=True)) for row in zip(*values, strict=True)]


def _expected(package: Path, declaration: Declaration) -> list[dict[str, Any]]:
    """The outputs of the parity vectors, in JSON values."""
    outputs: dict[str, list[Any]] = {}
    with np.load(package / VECTORS_FILE, allow_pickle=False) as arrays:
        for output in declaration.outputs:
            values = arrays[f"output.{output.name}"].tolist()
            named = [dict(zip(output.parts, row, strict=True)) for row in values] if output.parts else values
            outputs[output.name] = named
    return [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
