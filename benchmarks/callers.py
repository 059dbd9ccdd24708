"""Callers that ask through one door each, with at most one request on its way, and check what comes back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import grpc
import httptools
import orjson
from features.definition import TARGET

from benchmarks.requests import Request
from tabular_bento.errors import RequestError
from tabular_bento.monitoring.replay.open_inference import grpc_answer, predictions_of, rest_answer
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.serving.endpoints.rest import HEADER_LENGTH

_HEADER_LENGTH = HEADER_LENGTH.lower().encode()
_SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
_INFER = f"/{_SERVICE}/ModelInfer"
_STREAM_INFER = f"/{_SERVICE}/ModelStreamInfer"
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
_SECONDS = 60.0


class FaultError(Exception):
    """An answer that does not count, in words to count it by."""


class Caller(Protocol):
    """One caller, on a connection of its own."""

    async def connect(self) -> None:
        """Be connected before the clock runs. Raises OSError."""

    async def ask(self, request: Request) -> Sequence[float]:
        """The predictions of the request's rows. Raises FaultError, or OSError for a connection that broke."""

    async def close(self) -> None:
        """Hang up; what is on its way fails."""


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """A whole answer; `header_length` says where JSON ends and binary tensors begin."""

    status: int
    body: bytes
    header_length: str | None


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on its way."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._header_length: str | None = None
        self._answer: asyncio.Future[HTTPResponse] | None = None

    def ask(self, message: bytes) -> asyncio.Future[HTTPResponse]:
        """Send, and give the answer to come; ConnectionError where there is no whole one."""
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return answer

    def close(self) -> None:
        """Hang up; what is on its way fails."""
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
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed before the answer was whole"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == _HEADER_LENGTH:
            self._header_length = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        answer = HTTPResponse(self._parser.get_status_code(), bytes(self._body), self._header_length)
        self._body.clear()
        self._header_length = None
        if not self._parser.should_keep_alive():
            self.closed = True
            self._transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)


class HTTPCaller:
    """Asks over HTTP; `read` gives the predictions of a good answer, in the order of the ids that were sent."""

    def __init__(self, url: str, read: Callable[[HTTPResponse, list[str]], Sequence[float]]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._read = read
        self._connection: Connection | None = None

    async def connect(self) -> None:
        if self._connection is None or self._connection.closed:
            loop = asyncio.get_running_loop()
            _, self._connection = await loop.create_connection(Connection, self._host, self._port)

    async def ask(self, request: Request) -> Sequence[float]:
        await self.connect()
        answer = await cast(Connection, self._connection).ask(request.message)
        if answer.status != 200:
            raise FaultError(f"status {answer.status}")
        return _checked(self._read, answer, request.ids)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class GRPCCaller:
    """Asks over gRPC on a channel of its own; `address` is HOST:PORT."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, _OPTIONS)
        self._infer: Any = self._channel.unary_unary(_INFER)

    async def connect(self) -> None:
        """gRPC connects, and connects again, by itself."""

    async def ask(self, request: Request) -> Sequence[float]:
        try:
            answer = await self._infer(request.message, timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise FaultError(f"status {error.code().name}") from None
        return _checked(read_grpc, answer, request.ids)

    async def close(self) -> None:
        await self._channel.close()


class GRPCStreamCaller:
    """Asks over one gRPC stream on a channel of its own, the next request when the last is answered."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, _OPTIONS)
        self._open: Any = self._channel.stream_stream(_STREAM_INFER)
        self._stream: Any = None

    async def connect(self) -> None:
        if self._stream is None or self._stream.done():
            self._stream = self._open()

    async def ask(self, request: Request) -> Sequence[float]:
        await self.connect()
        try:
            async with asyncio.timeout(_SECONDS):
                await self._stream.write(request.message)
                answer = await self._stream.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError) as error:
            raise FaultError(f"the stream broke: {type(error).__name__}") from None
        if answer is grpc.aio.EOF:
            raise FaultError("the stream ended")
        return _checked(read_stream, answer, request.ids)

    async def close(self) -> None:
        await self._channel.close()


def read_json(answer: HTTPResponse, ids: list[str]) -> Sequence[float]:
    """The predictions of an answer of POST /predict."""
    answers: Any = orjson.loads(answer.body)
    if [item["id"] for item in answers] != ids:
        raise FaultError("wrong predictions")
    return [item[TARGET.name] for item in answers]


def read_rest(answer: HTTPResponse, ids: list[str]) -> Sequence[float]:
    """Those of an answer of the Open Inference Protocol over REST."""
    return _of_tensors(*rest_answer(answer.body, answer.header_length), ids)


def read_grpc(answer: bytes, ids: list[str]) -> Sequence[float]:
    """Those of an answer of the Open Inference Protocol over gRPC."""
    return _of_tensors(*grpc_answer(messages.ModelInferResponse.FromString(answer)), ids)


def read_stream(answer: bytes, ids: list[str]) -> Sequence[float]:
    """Those of an answer of a stream of the Open Inference Protocol over gRPC."""
    response: Any = messages.ModelStreamInferResponse.FromString(answer)
    if response.error_message:
        raise FaultError("refused")
    return _of_tensors(*grpc_answer(response.infer_response), ids)


def _of_tensors(name: str, outputs: dict[str, Sequence[Any]], ids: list[str]) -> Sequence[float]:
    answers = predictions_of(outputs)
    if name != ids[0] or len(answers) != len(ids):
        raise FaultError("wrong predictions")
    return [answer[TARGET.name] for answer in answers]


def _checked(read: Callable[[Any, list[str]], Sequence[float]], answer: Any, ids: list[str]) -> Sequence[float]:
    try:
        predictions = read(answer, ids)
    except (ValueError, TypeError, KeyError, RequestError):
        raise FaultError("not predictions") from None
    if not all(type(value) is float and math.isfinite(value) for value in predictions):
        raise FaultError("wrong predictions")
    return predictions
