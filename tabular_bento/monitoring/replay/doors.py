"""The ways into the service: POST /predict, and the Open Inference Protocol over REST and over gRPC."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import grpc
import httpx
import orjson

from features.definition import ROW
from tabular_bento.errors import RequestError, UnreachableError
from tabular_bento.monitoring.replay.open_inference import (
    INFER,
    grpc_answer,
    grpc_request,
    predictions_of,
    rest_answer,
    rest_request,
)
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.serving.endpoints.rest import HEADER_LENGTH

BROKEN = "connection"
"""What a request without an answer counts as, in place of its status."""

WRONG = "wrong answer"
"""What an answer counts as that is not one to the rows sent."""

LONGEST_WAIT = 30.0
"""Seconds that a Retry-After is honoured up to."""

OVERLOAD = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
"""The codes of a server that may answer the same call later."""

_JSON = {"Content-Type": "application/json"}
_OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
_OPTIONS = [_OWN_CONNECTION, ("grpc.enable_retries", 0), ("grpc.max_receive_message_length", -1)]
_QUOTED = 200
_NO_ANSWER = (ValueError, TypeError, KeyError, RequestError)


class RefusedError(Exception):
    """An answer that is none: its status or the word for what was wrong, why, and whether to try `again`.

    `wait` is for how many seconds the server asks to be left alone, None where it does not say.
    """

    def __init__(self, status: str, why: str, again: bool = False, wait: float | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.again = again
        self.wait = wait


class Door(Protocol):
    """One way into the service."""

    async def check(self) -> None:
        """Raise UnreachableError where nothing listens."""

    async def predict(self, rows: Sequence[dict[str, Any]]) -> Any:
        """What came back for n rows, asked for once; it is a list of answers if all is well. Raises RefusedError."""

    async def close(self) -> None:
        """Hang up."""


class HTTPDoor:
    """POST /predict and POST /feedback of the server at `url`, over kept connections."""

    def __init__(self, url: str, connections: int, timeout: float) -> None:
        self._url = url
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._http = httpx.AsyncClient(base_url=url, limits=limits, timeout=timeout, trust_env=False)

    async def check(self) -> None:
        try:
            await self._http.get("/livez")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnreachableError(
                f"No server answers at {self._url} ({error}): start one with `make serve`, or name another with --url."
            ) from error
        except httpx.HTTPError:
            return  # something is there; what is wrong with it will show

    async def predict(self, rows: Sequence[dict[str, Any]]) -> Any:
        answers = await self.post_json("/predict", {f"{ROW}s": rows})
        if isinstance(answers, list) and len(answers) == len(rows):
            for place, (answer, row) in enumerate(zip(answers, rows, strict=True)):
                if not isinstance(answer, dict) or answer.get("id") != row["id"]:
                    raise RefusedError(WRONG, f"answer {place} is not to row {row['id']}")
        return answers

    async def close(self) -> None:
        await self._http.aclose()

    async def post_json(self, path: str, body: dict[str, Any]) -> Any:
        """The decoded answer to a body of JSON. Raises RefusedError."""
        response = await self.post(path, orjson.dumps(body), _JSON)
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise RefusedError(WRONG, f"the answer is not JSON ({error})") from error

    async def post(self, path: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
        """The answer of status 200. Raises RefusedError."""
        try:
            response = await self._http.post(path, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise RefusedError(BROKEN, f"{type(error).__name__}: {error}", again=True) from error
        if response.status_code == httpx.codes.OK:
            return response
        overloaded = response.status_code in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS)
        retry_after = response.headers.get("retry-after")
        again = overloaded and retry_after is not None
        wait = _seconds(retry_after) if again else None
        raise RefusedError(str(response.status_code), response.text[:_QUOTED], again, wait)


class RESTDoor(HTTPDoor):
    """The Open Inference Protocol over REST, in binary tensors both ways."""

    async def predict(self, rows: Sequence[dict[str, Any]]) -> Any:
        response = await self.post(INFER, *rest_request(rows, rows[0]["id"]))
        try:
            name, outputs = rest_answer(response.content, response.headers.get(HEADER_LENGTH))
            return _matched(name, predictions_of(outputs), rows)
        except _NO_ANSWER as error:
            raise RefusedError(WRONG, f"{type(error).__name__}: {error}") from error


class GRPCDoor:
    """The Open Inference Protocol over gRPC, in raw contents, from the server at `address`, which is HOST:PORT.

    There are as many connections as calls at a time, so that they spread over a server's workers.
    """

    def __init__(self, address: str, connections: int, timeout: float) -> None:
        self._address, self._timeout = address, timeout
        self._channels = [grpc.aio.insecure_channel(address, _OPTIONS) for _ in range(connections)]
        stub: Any = services.GRPCInferenceServiceStub
        self._idle = deque(stub(channel) for channel in self._channels)

    async def check(self) -> None:
        try:
            await self._idle[0].ServerLive(messages.ServerLiveRequest(), timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise UnreachableError(
                    f"No gRPC server answers at {self._address} ({error.details()}): start one with `make serve`, or "
                    "name another with --grpc."
                ) from error

    async def predict(self, rows: Sequence[dict[str, Any]]) -> Any:
        request = grpc_request(rows, rows[0]["id"])
        calls = self._idle.popleft()
        try:
            name, outputs = grpc_answer(await calls.ModelInfer(request, timeout=self._timeout))
            return _matched(name, predictions_of(outputs), rows)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            raise RefusedError(code.name, (error.details() or "")[:_QUOTED], code in OVERLOAD) from error
        except _NO_ANSWER as error:
            raise RefusedError(WRONG, f"{type(error).__name__}: {error}") from error
        finally:
            self._idle.append(calls)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


def _matched(name: str, answers: list[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers, if the request they name is that of `rows`."""
    if name != rows[0]["id"]:
        raise RefusedError(WRONG, f"the answer is to request {name!r:.80}, not to {rows[0]['id']}")
    return answers


def _seconds(retry_after: str) -> float:
    """What a Retry-After asks for; a date, which needs both clocks to agree, counts as one second."""
    try:
        return min(max(float(retry_after), 0.0), LONGEST_WAIT)
    except ValueError:
        return 1.0
