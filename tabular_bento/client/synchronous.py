"""The client for programs that wait for each response."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from tabular_bento.client.calls import (
    GRPC_OPTIONS,
    GRPCCall,
    HTTPCall,
    Labels,
    Operations,
    Steps,
    check_response,
    credentials,
    grpc_error,
    http_error,
    no_server,
    requests_of,
    rpc_error,
    stream_response,
    verification,
)
from tabular_bento.client.encoding import Interface, Protocol, Rows
from tabular_bento.errors import ClientError
from tabular_bento.protocol.predictions import PredictionBatch

Result = TypeVar("Result")


class Client:
    """A client of a server of any problem. Thread-safe; use it in a ``with`` block, which closes its connections.

    The fields of a row, the outputs of a prediction and the model's name are read from the server before the first
    prediction. Predictions are logged by the server, so a request that it may have computed is sent again only if
    `resend` allows it. What it did not compute is sent again by itself: a request for which no connection was made,
    and one that was refused for load: with 503 or 429 and Retry-After, or with RESOURCE_EXHAUSTED, unless the message
    was too large. So are labels, of which a repeated one changes nothing, and questions about the server.

    Parameters
    ----------
    url : str, optional
        The server's HTTP address, such as `http://127.0.0.1:3000`. Without it predictions go over gRPC alone.
    grpc : str, optional
        Its gRPC address, HOST:PORT; by default the URL's host and TABULAR_BENTO_GRPC_PORT, or 3001.
    timeout : float
        Seconds for one response.
    retries : int
        How often a request is sent again at most; the first wait is 0.1 s, each further one twice as long, or as long
        as the server asks, up to 30 s.
    resend : bool
        Whether a prediction is requested again whose connection broke or whose time was up; the server may then have
        logged its rows twice.
    connections : int
        The most connections of HTTP, and of gRPC, at a time.
    ca : path, optional
        The PEM file of the authority that signed the server's certificate; with it gRPC is encrypted too.

    Raises
    ------
    ClientError
        Where neither address is given.

    Examples
    --------
    >>> with Client("http://127.0.0.1:3000") as client:  # doctest: +SKIP
    ...     predictions = client.predict([{"city": "Ulm", "area": 60.0}])
    ...     client.send_labels({predictions[0]["prediction_id"]: 195_000.0})
    """

    def __init__(
        self,
        url: str | None = None,
        grpc: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 4,
        resend: bool = False,
        connections: int = 8,
        ca: Path | str | None = None,
    ) -> None:
        self._operations = Operations(url, grpc, retries, resend)
        self._timeout, self._ca = timeout, ca
        self._channels: list[Any] = []
        self._idle: deque[Any] = deque()
        self._connections = connections
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        try:
            self._http = httpx.Client(
                base_url=self._operations.url or "",
                limits=limits,
                timeout=httpx.Timeout(timeout, pool=None),
                trust_env=False,
                verify=verification(url, ca),
            )
        except httpx.InvalidURL as error:
            raise no_server(url, error) from error

    @property
    def url(self) -> str | None:
        """The server's HTTP address."""
        return self._operations.url

    @property
    def address(self) -> str:
        """The server's gRPC address."""
        return self._operations.address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()
        for channel in self._channels:
            channel.close()

    def predict(self, rows: Rows, protocol: Protocol = "json", explain: bool = False) -> PredictionBatch:
        """The predictions of n rows in one request.

        Parameters
        ----------
        rows : sequence of mapping, or mapping of sequences
            Objects of JSON values by field name; or columns by field name.
        protocol : str
            `json`, `rest`, `rest-binary`, `grpc` or `grpc-stream`; all give the same.
        explain : bool
            Whether each prediction is to have an `explanation`: base value, contributions of the features and, where
            the problem has one, the offset. The batch is an `ExplainedBatch`, whose `explanations` are arrays.

        Returns
        -------
        PredictionBatch
            n predictions in the order of the rows: a sequence of dicts with `prediction_id`, the caller's own id where
            the problem has one, the outputs, and `model`. `.column(name)` gives the values of one key.

        Raises
        ------
        UnreachableError
            Where no server of this kind listens.
        RefusedError
            Where it refuses the request; its `status`, `detail` and message say why.
        LostResponseError
            Where the connection broke or the time was up.
        ResponseError
            Where the response is none to these rows.
        """
        return self._run(self._operations.predict(rows, protocol, explain))

    def stream(self, batches: Iterable[Rows], explain: bool = False) -> Iterator[PredictionBatch]:
        """The predictions of batches of rows over one gRPC stream, in their order.

        Batches are sent while predictions of earlier ones come back. Nothing is sent again. Raises as `predict`; the
        stream ends with the first error.

        Parameters
        ----------
        batches : iterable of rows
            Each as `predict` takes them.
        explain : bool
            As of `predict`.
        """
        interface, stub = self.interface(), self._take()
        sent: deque[tuple[Rows, str]] = deque()
        calls: Any = None
        try:
            calls = stub.ModelStreamInfer(requests_of(interface, batches, sent, explain))
            for response in calls:
                rows, request_id = sent.popleft()
                yield interface.grpc_predictions(stream_response([response]), rows, request_id, explain)
        except rpc_error() as error:
            raise grpc_error(error, self.address) from error
        finally:
            if calls is not None:
                calls.cancel()
            self._idle.append(stub)

    def send_labels(self, labels: Labels) -> int:
        """Send labels.

        Parameters
        ----------
        labels : mapping or iterable of tuple
            Labels, JSON values, by prediction id.

        Returns
        -------
        int
            The number of labels, all of which are in the server's log now.

        Raises
        ------
        ClientError
            As `predict`.
        """
        return self._run(self._operations.send_labels(labels))

    def model(self) -> dict[str, Any]:
        """What the server says of the model that it serves: tag, fingerprints, declaration, metrics, provenance.

        Raises
        ------
        UnreachableError
            Where no server of this kind listens.
        """
        return self._run(self._operations.model())

    def interface(self) -> Interface:
        """The fields of a row, the outputs of a prediction and the model's name; raises as `model`."""
        return self._run(self._operations.interface())

    def ready(self) -> bool:
        """Whether the server takes requests."""
        return self._run(self._operations.ready())

    def check(self, protocol: Protocol = "json") -> None:
        """Make sure that something listens where a protocol is spoken.

        Raises
        ------
        UnreachableError
            Where nothing does.
        """
        self._run(self._operations.check(protocol))

    def _run(self, steps: Steps[Result]) -> Result:
        try:
            call = next(steps)
            while True:
                try:
                    response = self._patiently(call)
                except ClientError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(response)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _patiently(self, call: HTTPCall | GRPCCall) -> Any:
        tries = 0
        while True:
            try:
                return self._over_http(call) if isinstance(call, HTTPCall) else self._over_grpc(call)
            except ClientError as error:
                tries += 1
                wait = self._operations.wait_before_retry(error, call, tries)
                if wait is None:
                    raise
                time.sleep(wait)

    def _over_http(self, call: HTTPCall) -> httpx.Response:
        try:
            response = self._http.request(call.method, call.path, content=call.content, headers=call.headers)
        except httpx.HTTPError as error:
            raise http_error(error, self.url) from error
        return check_response(response)

    def _over_grpc(self, call: GRPCCall) -> Any:
        stub = self._take()
        try:
            if call.stream:
                responses = list(stub.ModelStreamInfer(iter([call.request]), timeout=self._timeout))
                return stream_response(responses)
            return getattr(stub, call.method)(call.request, timeout=self._timeout)
        except rpc_error() as error:
            raise grpc_error(error, self.address) from error
        finally:
            self._idle.append(stub)

    def _take(self) -> Any:
        """A stub on a channel that nobody uses; with all in use, on one of them."""
        try:
            return self._idle.popleft()
        except IndexError:
            pass
        import grpc

        from tabular_bento.protocol import open_inference_pb2_grpc as services

        stub: Any = services.GRPCInferenceServiceStub
        if len(self._channels) >= self._connections:
            return stub(self._channels[0])
        if self._ca is None:
            channel = grpc.insecure_channel(self.address, GRPC_OPTIONS)
        else:
            channel = grpc.secure_channel(self.address, credentials(self._ca), GRPC_OPTIONS)
        self._channels.append(channel)
        return stub(channel)
