"""Callers over one protocol each, with at most one request in progress, that check each response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import grpc
import httptools

from benchmarks.requests import INTERFACE, Request
from features.problem import PROBLEM
from tabular_bento.client.encoding import HEADER_LENGTH
from tabular_bento.errors import ClientError
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol.predictions import PredictionBatch

_HEADER_LENGTH = HEADER_LENGTH.lower().encode()
_SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
_INFER = f"/{_SERVICE}/ModelInfer"
_STREAM_INFER = f"/{_SERVICE}/ModelStreamInfer"
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
_SECONDS = 60.0


class FaultError(Exception):
    """A response that does not count; the message is the reason it is counted by."""


class Caller(Protocol):
    """One caller, on a connection of its own."""

    async def connect(self) -> None:
        """Be connected before the clock runs. Raises OSError."""

    async def send(self, request: Request) -> Sequence[float]:
        """The predictions of the request's rows. Raises FaultError, or OSError for a broken connection."""

    async def close(self) -> None:
        """Close the connection; a request in progress fails."""


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """A whole response; `header_length` says where JSON ends and binary tensors begin."""

    status: int
    body: bytes
    header_length: str | None


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in progress."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._header_length: str | None = None
        self._response: asyncio.Future[HTTPResponse] | None = None

    def send(self, message: bytes) -> asyncio.Future[HTTPResponse]:
        """Send, and return the future response; it raises ConnectionError where there is no whole one."""
        response = self._response = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return response

    def close(self) -> None:
        """Close the connection; a request in progress fails."""
        self.closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.closed = True
        if self._response is not None and not self._response.done():
            self._response.set_exception(ConnectionResetError("closed before the response was whole"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == _HEADER_LENGTH:
            self._header_length = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        response = HTTPResponse(self._parser.get_status_code(), bytes(self._body), self._header_length)
        self._body.clear()
        self._header_length = None
        if not self._parser.should_keep_alive():
            self.closed = True
            self._transport.close()
        if self._response is not None and not self._response.done():
            self._response.set_result(response)


class HTTPCaller:
    """Sends over HTTP; `read` returns the predictions of a response of status 200."""

    def __init__(self, url: str, read: Callable[[HTTPResponse, Request], PredictionBatch]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._read = read
        self._connection: Connection | None = None

    async def connect(self) -> None:
        if self._connection is None or self._connection.closed:
            loop = asyncio.get_running_loop()
            _, self._connection = await loop.create_connection(Connection, self._host, self._port)

    async def send(self, request: Request) -> Sequence[float]:
        await self.connect()
        response = await cast(Connection, self._connection).send(request.message)
        if response.status != 200:
            raise FaultError(f"status {response.status}")
        return _checked(self._read, response, request)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class GRPCCaller:
    """Calls over gRPC on a channel of its own; `address` is HOST:PORT."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, _OPTIONS)
        self._infer: Any = self._channel.unary_unary(_INFER)

    async def connect(self) -> None:
        """gRPC connects, and connects again, by itself."""

    async def send(self, request: Request) -> Sequence[float]:
        try:
            response = await self._infer(request.message, timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise FaultError(f"status {error.code().name}") from None
        return _checked(read_grpc, response, request)

    async def close(self) -> None:
        await self._channel.close()


class GRPCStreamCaller:
    """Sends over one gRPC stream on a channel of its own, the next request after the response to the last."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, _OPTIONS)
        self._open: Any = self._channel.stream_stream(_STREAM_INFER)
        self._stream: Any = None

    async def connect(self) -> None:
        if self._stream is None or self._stream.done():
            self._stream = self._open()

    async def send(self, request: Request) -> Sequence[float]:
        await self.connect()
        try:
            async with asyncio.timeout(_SECONDS):
                await self._stream.write(request.message)
                response = await self._stream.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError) as error:
            raise FaultError(f"the stream broke: {type(error).__name__}") from None
        if response is grpc.aio.EOF:
            raise FaultError("the stream ended")
        return _checked(read_stream, response, request)

    async def close(self) -> None:
        await self._channel.close()


def read_json(response: HTTPResponse, request: Request) -> PredictionBatch:
    """The predictions of a response of POST /predict."""
    return INTERFACE.json_predictions(response.body, request.rows)


def read_rest(response: HTTPResponse, request: Request) -> PredictionBatch:
    """Those of a response of the Open Inference Protocol over REST."""
    return INTERFACE.rest_predictions(response.body, response.header_length, request.rows, request.id)


def read_grpc(response: bytes, request: Request) -> PredictionBatch:
    """Those of a response of the Open Inference Protocol over gRPC."""
    return INTERFACE.grpc_predictions(messages.ModelInferResponse.FromString(response), request.rows, request.id)


def read_stream(response: bytes, request: Request) -> PredictionBatch:
    """Those of a response of a stream of the Open Inference Protocol over gRPC."""
    message: Any = messages.ModelStreamInferResponse.FromString(response)
    if message.error_message:
        raise FaultError("refused")
    return INTERFACE.grpc_predictions(message.infer_response, request.rows, request.id)


def _checked(read: Callable[[Any, Request], PredictionBatch], response: Any, request: Request) -> Sequence[float]:
    try:
        return read(response, request).column(PROBLEM.target.name)
    except ClientError:
        raise FaultError("wrong predictions") from None
