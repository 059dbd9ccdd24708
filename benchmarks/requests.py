"""Requests of different rows for each protocol, encoded by the client's encoders before anything is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from features.problem import PROBLEM
from tabular_bento.client import Interface

INTERFACE = Interface.of(PROBLEM.declaration)
"""What every server under load takes and returns."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """An encoded request, its rows, and its id."""

    message: bytes
    rows: list[Row]

    @property
    def id(self) -> str:
        """The id of the request, which is that of its first row."""
        return request_id(self.rows)


def encode_requests(url: str, rows: Sequence[bytes], rows_per_request: int, protocol: str = "json") -> list[Request]:
    """Requests of `rows`, JSON objects with an `id`, so many in each; the last few that do not fill one are left out.

    `protocol` is one of `ENCODERS`.
    """
    decoded = [orjson.loads(row) for row in rows]
    requests = []
    for start in range(0, len(rows) - rows_per_request + 1, rows_per_request):
        chosen = decoded[start : start + rows_per_request]
        requests.append(Request(ENCODERS[protocol](url, chosen), chosen))
    return requests


def request_id(rows: Sequence[Row]) -> str:
    """The id of a request of these rows."""
    return str(rows[0][PROBLEM.identifier])


def _json(url: str, rows: list[Row]) -> bytes:
    return _post(url, *INTERFACE.json_request(rows))


def _rest_json(url: str, rows: list[Row]) -> bytes:
    return _post(url, *INTERFACE.rest_request(rows, request_id(rows), binary=False)[1:])


def _rest_binary(url: str, rows: list[Row]) -> bytes:
    return _post(url, *INTERFACE.rest_request(rows, request_id(rows), binary=True)[1:])


def _grpc(_: str, rows: list[Row]) -> bytes:
    message: bytes = INTERFACE.grpc_request(rows, request_id(rows)).SerializeToString()
    return message


ENCODERS: dict[str, Callable[[str, list[Row]], bytes]] = {
    "json": _json,
    "rest": _rest_json,
    "rest-binary": _rest_binary,
    "grpc": _grpc,
    "grpc-stream": _grpc,
}
"""The message of a request to a URL, by protocol of the client."""


def _post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "\r\n"]).encode() + body
