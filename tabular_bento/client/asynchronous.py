"""The client for programs with an event loop, and requests at a pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
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


class AsyncClient:
    """`Client` for ``async with``; parameters, methods and errors are the same.

    Of gRPC it opens as many connections as there are calls at a time, so that they spread over a server's workers.
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
            self._http = httpx.AsyncClient(
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()
        for channel in self._channels:
            await channel.close()

    async def predict(self, rows: Rows, protocol: Protocol = "json", explain: bool = False) -> PredictionBatch:
        """As `Client.predict`."""
        return await self._run(self._operations.predict(rows, protocol, explain))

    async def stream(self, batches: Iterable[Rows], explain: bool = False) -> AsyncIterator[PredictionBatch]:
        """As `Client.stream`."""
        interface, stub = await self.interface(), self._take()
        sent: deque[tuple[Rows, str]] = deque()
        calls: Any = None
        try:
            calls = stub.ModelStreamInfer(requests_of(interface, batches, sent, explain))
            async for response in calls:
                rows, request_id = sent.popleft()
                yield interface.grpc_predictions(stream_response([response]), rows, request_id, explain)
        except rpc_error() as error:
            raise grpc_error(error, self.address) from error
        finally:
            if calls is not None:
                calls.cancel()
            self._idle.append(stub)

    async def send_labels(self, labels: Labels) -> int:
        """As `Client.send_labels`."""
        return await self._run(self._operations.send_labels(labels))

    async def model(self) -> dict[str, Any]:
        """As `Client.model`."""
        return await self._run(self._operations.model())

    async def interface(self) -> Interface:
        """As `Client.interface`."""
        return await self._run(self._operations.interface())

    async def ready(self) -> bool:
        """As `Client.ready`."""
        return await self._run(self._operations.ready())

    async def check(self, protocol: Protocol = "json") -> None:
        """As `Client.check`."""
        await self._run(self._operations.check(protocol))

    async def _run(self, steps: Steps[Result]) -> Result:
        try:
            call = next(steps)
            while True:
                try:
                    response = await self._patiently(call)
                except ClientError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(response)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _patiently(self, call: HTTPCall | GRPCCall) -> Any:
        tries = 0
        while True:
            try:
                return await (self._over_http(call) if isinstance(call, HTTPCall) else self._over_grpc(call))
            except ClientError as error:
                tries += 1
                wait = self._operations.wait_before_retry(error, call, tries)
                if wait is None:
                    raise
                await asyncio.sleep(wait)

    async def _over_http(self, call: HTTPCall) -> httpx.Response:
        try:
            response = await self._http.request(call.method, call.path, content=call.content, headers=call.headers)
        except httpx.HTTPError as error:
            raise http_error(error, self.url) from error
        return check_response(response)

    async def _over_grpc(self, call: GRPCCall) -> Any:
        stub = self._take()
        try:
            if call.stream:
                calls = stub.ModelStreamInfer(iter([call.request]), timeout=self._timeout)
                return stream_response([response async for response in calls])
            return await getattr(stub, call.method)(call.request, timeout=self._timeout)
        except rpc_error() as error:
            raise grpc_error(error, self.address) from error
        finally:
            self._idle.append(stub)

    def _take(self) -> Any:
        """A stub on a channel that nobody uses; with all in use, on one of them."""
        if self._idle:
            return self._idle.popleft()
        import grpc

        from tabular_bento.protocol import open_inference_pb2_grpc as services

        stub: Any = services.GRPCInferenceServiceStub
        if len(self._channels) >= self._connections:
            return stub(self._channels[0])
        if self._ca is None:
            channel = grpc.aio.insecure_channel(self.address, GRPC_OPTIONS)
        else:
            channel = grpc.aio.secure_channel(self.address, credentials(self._ca), GRPC_OPTIONS)
        self._channels.append(channel)
        return stub(channel)


async def paced(
    sizes: Sequence[int], send: Callable[[int], Awaitable[None]], concurrency: int, rate: float | None = None
) -> None:
    """Call `send` with 0, 1, ... in order, `concurrency` at a time, so that at most `rate` rows a second start.

    Parameters
    ----------
    sizes : sequence of int
        The rows of each request.
    send : callable
        Sends the request of that number.
    concurrency : int
        Requests at a time.
    rate : float, optional
        Rows a second; without it, as fast as responses come.
    """
    loop = asyncio.get_running_loop()
    start, sent = loop.time(), 0
    numbers = iter(range(len(sizes)))

    async def work() -> None:
        nonlocal sent
        for number in numbers:
            due = start + sent / rate if rate else start
            sent += sizes[number]
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            await send(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
