"""Whether a running server returns the parity vectors of its model, over each protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tabular_bento.client import Client, Protocol
from tabular_bento.errors import TabularBentoError
from tabular_bento.problem import Declaration
from tabular_bento.scoring.package import read_declaration
from tabular_bento.scoring.parity import VECTORS_FILE, read_rows
from tabular_bento.testing.checks import json_rows

PROTOCOLS: tuple[Protocol, ...] = ("json", "rest-binary", "grpc")
"""What is checked; without an address of gRPC all but that."""

_TIMEOUT = 60.0


def check_served(package: Path, url: str, grpc: str | None = None) -> dict[str, int]:
    """Request the parity vectors of a model package, as one batch and the first alone.

    Parameters
    ----------
    package : Path
        The folder of the package.
    url : str
        The server's HTTP address.
    grpc : str, optional
        Its gRPC address, HOST:PORT; without it only HTTP is checked.

    Returns
    -------
    dict
        The number of vectors by protocol.

    Raises
    ------
    AssertionError
        Naming the first vector and output whose bits differ, or the request that was refused.
    """
    declaration = read_declaration(package)
    rows = json_rows(read_rows(package, declaration.fields), declaration.fields)
    expected = _expected(package, declaration)
    protocols = [name for name in PROTOCOLS if grpc or name != "grpc"]
    with Client(url, grpc=grpc, timeout=_TIMEOUT) as client:
        for protocol in protocols:
            try:
                predicted = [*client.predict(rows, protocol=protocol), *client.predict(rows[:1], protocol=protocol)]
            except TabularBentoError as error:
                raise AssertionError(f"the parity vectors were refused over {protocol}: {error}") from error
            _compare(protocol, predicted, [*expected, expected[0]])
    return dict.fromkeys(protocols, len(rows))


def _compare(protocol: str, predicted: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for number, (prediction, wanted) in enumerate(zip(predicted, expected, strict=True)):
        for output, value in wanted.items():
            assert prediction[output] == value, (
                f"over {protocol}: vector {number} has {output} {prediction[output]!r} where training had {value!r}: "
                "do not use what is served"
            )


def _expected(package: Path, declaration: Declaration) -> list[dict[str, Any]]:
    """The outputs of the parity vectors, in JSON values."""
    from tabular_bento.protocol.values import json_values

    outputs: dict[str, list[Any]] = {}
    with np.load(package / VECTORS_FILE, allow_pickle=False) as arrays:
        for output in declaration.outputs:
            values = arrays[f"output.{output.name}"]
            outputs[output.name] = (
                [dict(zip(output.parts, row, strict=True)) for row in values.tolist()]
                if output.parts
                else list(json_values(output.kind, values.tolist()))
            )
    return [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
