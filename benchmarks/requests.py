"""Requests of different rows for each form that a door takes, encoded before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from features.definition import ROW

from tabular_bento.monitoring.replay.open_inference import grpc_request, rest_request, tensors_of


@dataclass(frozen=True, slots=True)
class Request:
    """An encoded request, and the ids of its rows."""

    message: bytes
    ids: list[str]


def encode_requests(url: str, rows: Sequence[bytes], rows_per_request: int, form: str = "json") -> list[Request]:
    """Requests of `rows`, JSON objects with an `id`, so many in each; the last few that do not fill one are left out.

    `form` is one of `ENCODERS`.
    """
    ids = [orjson.loads(row)["id"] for row in rows]
    requests = []
    for start in range(0, len(rows) - rows_per_request + 1, rows_per_request):
        chosen = slice(start, start + rows_per_request)
        requests.append(Request(ENCODERS[form](url, rows[chosen]), ids[chosen]))
    return requests


def _json(url: str, rows: Sequence[bytes]) -> bytes:
    body = b'{"%ss":[%s]}' % (ROW.encode(), b",".join(rows))
    return _post(url, body, {"Content-Type": "application/json"})


def _rest_json(url: str, rows: Sequence[bytes]) -> bytes:
    decoded = _decoded(rows)
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
            "data": [None if isinstance(value, float) and math.isnan(value) else value for value in tensor.values],
        }
        for tensor in tensors_of(decoded)
    ]
    body = orjson.dumps({"id": decoded[0]["id"], "inputs": inputs})
    return _post(url, body, {"Content-Type": "application/json"})


def _rest_binary(url: str, rows: Sequence[bytes]) -> bytes:
    decoded = _decoded(rows)
    return _post(url, *rest_request(decoded, decoded[0]["id"]))


def _grpc(_: str, rows: Sequence[bytes]) -> bytes:
    decoded = _decoded(rows)
    message: bytes = grpc_request(decoded, decoded[0]["id"]).SerializeToString()
    return message


ENCODERS: dict[str, Callable[[str, Sequence[bytes]], bytes]] = {
    "json": _json,
    "rest-json": _rest_json,
    "rest-binary": _rest_binary,
    "grpc": _grpc,
    "grpc-stream": _grpc,
}
"""The message of a request to a URL, by form."""


def _decoded(rows: Sequence[bytes]) -> list[dict[str, Any]]:
    return [orjson.loads(row) for row in rows]


def _post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "\r\n"]).encode() + body
