"""Where the endpoints are mounted in BentoML: ASGI middleware before its own handlers.

Those would give the same predictions, but return errors in three shapes with a traceback in the log for each, and take
several times as long for one row. What is none of the endpoints goes on to BentoML.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import Any

from starlette.routing import Router

from tabular_bento.serving.bento import Application, remove_time_limits
from tabular_bento.serving.endpoints.bodies import DRAINING, error_response
from tabular_bento.serving.endpoints.grpc import GRPCServer
from tabular_bento.serving.endpoints.handler import RequestHandler
from tabular_bento.serving.endpoints.http import route, router_of
from tabular_bento.serving.logs import configure_logs
from tabular_bento.serving.metrics import Metrics, separate_folder
from tabular_bento.serving.service import MountedService

logger = logging.getLogger("bentoml.endpoints")

READY_PATH = "/readyz"
METRICS_PATH = "/metrics"

METRICS_TRIES, METRICS_PAUSE = 20, 0.01
"""A process that starts makes the files of its metrics empty, and fills them within a moment."""


class EndpointMiddleware:
    """Opens the endpoints when the application starts, and closes them, in order, on SIGTERM.

    On SIGTERM readiness falls at once, over every protocol; after `drain_seconds` the ports are closed, and what is in
    progress is finished.

    Parameters
    ----------
    app : ASGI application
        BentoML's.
    spec : MountedService
        The service, as `ServiceSpec` has it.
    """

    def __init__(self, app: Any, spec: MountedService) -> None:
        separate_folder()
        configure_logs(spec.settings.log_format)
        remove_time_limits()
        self._app = app
        self._spec = spec
        self._settings = spec.settings
        self._handler: RequestHandler
        self._router: Router
        self._grpc: GRPCServer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        match scope["type"]:
            case "lifespan":
                await self._live(scope, receive, send)
            case "http" if scope["path"] == METRICS_PATH:
                if self._handler.sampler is not None:
                    self._handler.sampler.sample()
                await self._send_metrics(scope, receive, send)
            case "http" if self._handler.draining and scope["path"] == READY_PATH:
                await error_response(503, DRAINING)(scope, receive, send)
            case "http":
                await route(self._router, scope, receive, send)
            case _:
                await self._app(scope, receive, send)

    async def _send_metrics(self, scope: Any, receive: Any, send: Any) -> None:
        """BentoML's response, asked for again where a file of metrics was just being made, which it cannot read."""
        for left in reversed(range(METRICS_TRIES)):
            response: list[Any] = []
            try:
                await self._app(scope, receive, _keeping(response))
            except Exception:
                if not left:
                    raise
            if not left or (response and response[0]["status"] < 500):
                break
            await asyncio.sleep(METRICS_PAUSE)
        for message in response:
            await send(message)

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        spec, settings = self._spec, self._settings
        application = Application(scope["app"])
        self._handler = RequestHandler(
            spec.problem,
            settings,
            partial(application.batcher_of, "predict", settings.max_batch_rows, settings.max_queue_rows),
            Metrics(),
            spec.requests,
            application.bento,
        )
        self._router = router_of(self._handler, application.openapi, self._app)
        self._grpc = GRPCServer(self._handler)

        async def receive_and_stop() -> Any:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._grpc.stop()
                await spec.stop(application.instance)
                await self._handler.stop()
            return message

        async def start_and_send(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._handler.start(application.instance)
                spec.start(application.instance, self._handler.metrics)
                if settings.grpc_port:
                    await self._grpc.start()
                self._drain_on_sigterm()
                gc.collect()
                gc.freeze()  # what is there now stays: no later collection, which requests wait for, looks at it
            await send(message)

        await self._app(scope, receive_and_stop, start_and_send)

    def _drain_on_sigterm(self) -> None:
        loop = asyncio.get_running_loop()
        end = signal.getsignal(signal.SIGTERM)
        if not callable(end):
            return

        def drain(number: int, frame: FrameType | None) -> None:
            if self._handler.draining:
                end(number, frame)
                return
            self._handler.draining = True
            logger.info("draining for %.1f s", self._settings.drain_seconds)
            loop.call_soon_threadsafe(lambda: loop.create_task(self._grpc.drain()))
            loop.call_soon_threadsafe(lambda: loop.call_later(self._settings.drain_seconds, end, number, frame))

        signal.signal(signal.SIGTERM, drain)


def _keeping(messages: list[Any]) -> Callable[[Any], Awaitable[None]]:
    async def keep(message: Any) -> None:
        messages.append(message)

    return keep
