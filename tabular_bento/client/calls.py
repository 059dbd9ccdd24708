"""What a client asks of a server, as steps that yield calls: the same for both clients, which only send them."""

from __future__ import annotations

import os
import secrets
import ssl
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic_core import from_json, to_json

from tabular_bento.client.encoding import HEADER_LENGTH, PROTOCOLS, Interface, Protocol, Rows, count_of
from tabular_bento.errors import ClientError, LostResponseError, RefusedError, ResponseError, UnreachableError
from tabular_bento.problem import Declaration
from tabular_bento.protocol.predictions import PREDICTION_ID, PredictionBatch

GRPC_PORT = 3001
"""The port of gRPC where neither an address nor TABULAR_BENTO_GRPC_PORT says another."""

LONGEST_WAIT = 30.0
"""Seconds that a Retry-After is honoured up to."""

_FIRST_WAIT = 0.1
_QUOTED = 500
_OVERLOADED = (429, 503)
_TOO_LARGE = "larger than max"
"""What gRPC itself says of a message over its limit, by the code RESOURCE_EXHAUSTED, which else is of load."""

Labels: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""Labels by prediction id."""


@dataclass(frozen=True)
class HTTPCall:
    """One HTTP request; `again` says that it may be sent again whatever became of it."""

    method: str
    path: str
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    again: bool = False


@dataclass(frozen=True)
class GRPCCall:
    """One call of a method of the inference service; `stream` sends it as the only request of a stream."""

    method: str
    request: Any
    again: bool = False
    stream: bool = False


Result = TypeVar("Result")
Steps: TypeAlias = Generator[HTTPCall | GRPCCall, Any, Result]
"""Yields calls, is sent their responses, and returns the result."""


class Operations:
    """The operations of a client as steps.

    Parameters
    ----------
    url : str, optional
        The server's HTTP address.
    grpc : str, optional
        Its gRPC address.
    retries : int
        How often a request is sent again at most.
    resend : bool
        Whether a prediction that may have been computed is requested again.
    """

    def __init__(self, url: str | None, grpc: str | None, retries: int, resend: bool) -> None:
        if url is None and grpc is None:
            raise ClientError("A client needs the URL of a server, or its gRPC address.")
        self.url = None if url is None else url.rstrip("/")
        self.address = grpc if grpc is not None else grpc_address(str(self.url))
        self.retries = retries
        self.resend = resend
        self._interface: Interface | None = None

    def model(self) -> Steps[dict[str, Any]]:
        """GET /model."""
        try:
            response = yield self._http("GET", "/model", again=True)
        except RefusedError as error:
            raise UnreachableError(
                f"{self.url}/model is refused ({error.status}: {error}): is a server of this kind running there?"
            ) from error
        try:
            described = from_json(response.content)
            if not isinstance(described, dict):
                raise ValueError("it is no object")
        except ValueError as error:
            raise UnreachableError(
                f"{self.url}/model describes no model ({error}): is a server of this kind running there?"
            ) from error
        return described

    def interface(self) -> Steps[Interface]:
        """What the server takes and returns, asked for once."""
        if self._interface is None:
            self._interface = yield from (self._of_metadata() if self.url is None else self._of_declaration())
        return self._interface

    def check(self, protocol: Protocol) -> Steps[None]:
        """Make sure that something listens where the protocol is spoken."""
        if protocol.startswith("grpc"):
            yield GRPCCall("ServerLive", _message("ServerLiveRequest"), again=True)
        elif self.url is not None:
            try:
                yield self._http("GET", "/livez", again=True)
            except (RefusedError, LostResponseError):
                return  # something is there; what is wrong with it will show

    def ready(self) -> Steps[bool]:
        """Whether the server takes requests."""
        try:
            if self.url is not None:
                yield self._http("GET", "/readyz", again=True)
                return True
            response = yield GRPCCall("ServerReady", _message("ServerReadyRequest"), again=True)
            return bool(response.ready)
        except ClientError:
            return False

    def predict(self, rows: Rows, protocol: Protocol, explain: bool = False) -> Steps[PredictionBatch]:
        """The predictions of rows, with their explanations where these are asked for."""
        if protocol not in PROTOCOLS:
            raise ClientError(f"There is no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}.")
        interface = yield from self.interface()
        if not count_of(rows):
            return PredictionBatch.empty(interface)  # type: ignore[arg-type]
        request_id = secrets.token_hex(8)
        if protocol == "json":
            content, headers = interface.json_request(rows, explain)
            response = yield self._http("POST", "/predict", content, headers)
            return interface.json_predictions(response.content, rows, explain)
        if protocol in ("rest", "rest-binary"):
            path, content, headers = interface.rest_request(rows, request_id, protocol == "rest-binary", explain)
            response = yield self._http("POST", path, content, headers)
            header_length = response.headers.get(HEADER_LENGTH)
            return interface.rest_predictions(response.content, header_length, rows, request_id, explain)
        request = interface.grpc_request(rows, request_id, explain)
        response = yield GRPCCall("ModelInfer", request, stream=protocol == "grpc-stream")
        return interface.grpc_predictions(response, rows, request_id, explain)

    def send_labels(self, labels: Labels) -> Steps[int]:
        """POST /feedback."""
        interface = yield from self.interface()
        if interface.declaration is None:
            raise ClientError("Labels are sent over HTTP: give the client the URL of the server.")
        target = interface.declaration.target.name
        pairs = labels.items() if isinstance(labels, Mapping) else labels
        items = [{PREDICTION_ID: prediction_id, target: label} for prediction_id, label in pairs]
        content = to_json({"labels": items}, inf_nan_mode="constants", fallback=lambda value: value.item())
        headers = {"Content-Type": "application/json"}
        response = yield self._http("POST", "/feedback", content, headers, again=True)
        try:
            accepted = from_json(response.content)["accepted"]
        except (ValueError, TypeError, KeyError) as error:
            raise ResponseError(f"The response to labels cannot be read ({error}).") from error
        if accepted != len(items):
            raise ResponseError(f"{accepted} of {len(items)} labels were accepted.")
        return len(items)

    def wait_before_retry(self, error: ClientError, call: HTTPCall | GRPCCall, tries: int) -> float | None:
        """How many seconds to wait before a call is sent again that has failed `tries` times; None to give up."""
        if tries > self.retries:
            return None
        backoff = _FIRST_WAIT * 2.0 ** (tries - 1)
        if isinstance(error, UnreachableError):
            return backoff
        if isinstance(error, RefusedError):
            if error.retry_after is not None:
                return min(error.retry_after, LONGEST_WAIT)
            if error.status == "RESOURCE_EXHAUSTED" and _TOO_LARGE not in str(error):
                return backoff
        unknown = isinstance(error, LostResponseError) or getattr(error, "status", None) == "UNAVAILABLE"
        return backoff if unknown and (call.again or self.resend) else None

    def _of_declaration(self) -> Steps[Interface]:
        described = yield from self.model()
        try:
            return Interface.of(Declaration.from_dict(described["declaration"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UnreachableError(
                f"{self.url}/model holds no declaration ({type(error).__name__}: {error}): is a server of this kind "
                "running there?"
            ) from error

    def _of_metadata(self) -> Steps[Interface]:
        server = yield GRPCCall("ServerMetadata", _message("ServerMetadataRequest"), again=True)
        request = _message("ModelMetadataRequest", name=server.name)
        return Interface.of_metadata((yield GRPCCall("ModelMetadata", request, again=True)))

    def _http(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        again: bool = False,
    ) -> HTTPCall:
        if self.url is None:
            raise ClientError(f"{method} {path} goes over HTTP: give the client the URL of the server.")
        return HTTPCall(method, path, content, headers or {}, again)


def check_response(response: httpx.Response) -> httpx.Response:
    """The response, if its status is 200.

    Raises
    ------
    RefusedError
        With what the server said.
    """
    if response.status_code == httpx.codes.OK:
        return response
    message, detail = " ".join(response.text[:_QUOTED].split()), []
    try:
        body = from_json(response.content)
        message, detail = str(body["error"]), list(body.get("detail", []))
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    retry_after = response.headers.get("retry-after") if response.status_code in _OVERLOADED else None
    raise RefusedError(
        str(response.status_code), message, detail, None if retry_after is None else _seconds(retry_after)
    )


def http_error(error: httpx.HTTPError, url: str | None) -> ClientError:
    """What an exception of httpx means."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
        return no_server(url, error)
    return LostResponseError(f"{url} gave no response ({type(error).__name__}: {error}).")


def no_server(url: str | None, error: Exception) -> UnreachableError:
    """Nothing listens at a URL."""
    return UnreachableError(f"No server listens at {url} ({error}): is it running there?")


def grpc_error(error: Any, address: str) -> ClientError:
    """What an exception of a gRPC call means."""
    code, details = error.code().name, error.details() or ""
    if code == "UNAVAILABLE" and "failed to connect" in details:
        return UnreachableError(f"No gRPC server listens at {address} ({details}): is it running there?")
    if code in ("DEADLINE_EXCEEDED", "CANCELLED"):
        return LostResponseError(f"{address} gave no response ({code}: {details}).")
    return RefusedError(code, details[:_QUOTED])


def stream_response(responses: Sequence[Any]) -> Any:
    """The ModelInferResponse of the only response of a stream.

    Raises
    ------
    RefusedError
        With what the server said.
    ResponseError
        Where there is no response.
    """
    if not responses:
        raise ResponseError("The stream ended without a response.")
    if responses[0].error_message:
        raise RefusedError("STREAM", responses[0].error_message[:_QUOTED])
    return responses[0].infer_response


def grpc_address(url: str) -> str:
    """Where a server's gRPC is by default: the host of its URL, and TABULAR_BENTO_GRPC_PORT or 3001, as HOST:PORT."""
    try:
        host = urlsplit(url).hostname or "127.0.0.1"
    except ValueError:
        host = "127.0.0.1"
    port = os.environ.get("TABULAR_BENTO_GRPC_PORT") or GRPC_PORT
    return f"{f'[{host}]' if ':' in host else host}:{port}"


GRPC_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),  # channels share no connection, so that they spread over workers
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", -1),
]


def requests_of(
    interface: Interface, batches: Iterable[Rows], sent: deque[tuple[Rows, str]], explain: bool
) -> Iterator[Any]:
    """The requests of a stream, each noted in `sent` with its id."""
    for number, rows in enumerate(batches):
        request_id = f"{number}"
        sent.append((rows, request_id))
        yield interface.grpc_request(rows, request_id, explain)


def credentials(ca: Path | str) -> Any:
    """What gRPC needs to trust an authority.

    Raises
    ------
    ClientError
        Where the file cannot be read.
    """
    import grpc

    try:
        return grpc.ssl_channel_credentials(Path(ca).read_bytes())
    except OSError as error:
        raise ClientError(f"The certificate {ca} cannot be read: {error}.") from error


def verification(url: str | None, ca: Path | str | None) -> Any:
    """What httpx takes to trust an authority; without TLS nothing, which is loaded faster."""
    if ca is None:
        return url is not None and url.startswith("https:")
    try:
        return ssl.create_default_context(cafile=str(ca))
    except OSError as error:
        raise ClientError(f"The certificate {ca} cannot be read: {error}.") from error


def rpc_error() -> Any:
    """The exception of a gRPC call."""
    import grpc

    return grpc.RpcError


def _message(kind: str, **values: Any) -> Any:
    from tabular_bento.protocol import open_inference_pb2 as messages

    return getattr(messages, kind)(**values)


def _seconds(retry_after: str) -> float:
    """What a Retry-After asks for; a date, which needs both clocks to agree, counts as one second."""
    try:
        return max(float(retry_after), 0.0)
    except ValueError:
        return 1.0
