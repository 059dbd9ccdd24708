"""Where the doors are hung: ASGI middleware before BentoML's own handlers.

Those would give the same predictions, but answer errors in three shapes with a traceback in the log for each, and take
several times as long for one row. What is not a door's goes on to BentoML.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import Router

from tabular_bento.serving.bento import Application, leave_time_limits_to_doors
from tabular_bento.serving.endpoints.bodies import error_answer
from tabular_bento.serving.endpoints.grpc import GRPCDoor
from tabular_bento.serving.endpoints.handler import Entrance
from tabular_bento.serving.endpoints.http import HTTPDoor
from tabular_bento.serving.endpoints.rest import RESTDoor
from tabular_bento.serving.logs import configure_logs
from tabular_bento.serving.metrics import keep_apart
from tabular_bento.serving.settings import settings

logger = logging.getLogger("bentoml.doors")

READY_PATH = "/readyz"
METRICS_PATH = "/metrics"

METRICS_TRIES, METRICS_PAUSE = 20, 0.01
"""A process that starts makes the files of its figures empty, and fills them within a moment."""


class Doors:
    """Opens the doors when the application starts, and shuts them, in order, when it is told to end.

    On SIGTERM readiness falls at once, behind every door; after `settings.drain_seconds` the ports are shut, and what
    is in flight is finished.
    """

    def __init__(self, app: Any) -> None:
        keep_apart()
        configure_logs()
        leave_time_limits_to_doors()
        self._app = app
        self._entrance: Entrance
        self._router: Router
        self._grpc: GRPCDoor

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        match scope["type"]:
            case "lifespan":
                await self._live(scope, receive, send)
            case "http" if scope["path"] == METRICS_PATH:
                self._entrance.sampler.sample()
                await self._tell_figures(scope, receive, send)
            case "http" if self._entrance.draining and scope["path"] == READY_PATH:
                await error_answer(503, "The server is draining.")(scope, receive, send)
            case "http":
                try:
                    await self._router(scope, receive, send)
                except HTTPException as error:
                    await error_answer(error.status_code, f"{error.detail}.")(scope, receive, send)
            case _:
                await self._app(scope, receive, send)

    async def _tell_figures(self, scope: Any, receive: Any, send: Any) -> None:
        """BentoML's answer, asked for again where a file of figures was just being made, which it cannot read."""
        for left in reversed(range(METRICS_TRIES)):
            answer: list[Any] = []
            try:
                await self._app(scope, receive, _keeping(answer))
            except Exception:
                if not left:
                    raise
            if not left or (answer and answer[0]["status"] < 500):
                break
            await asyncio.sleep(METRICS_PAUSE)
        for message in answer:
            await send(message)

    async def _other(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        answer = error_answer(404, f"{path[:200]} is not served here.") if path.startswith("/v2/") else self._app
        await answer(scope, receive, send)

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        self._entrance = Entrance(Application(scope["app"]))
        routes = [*HTTPDoor(self._entrance).routes, *RESTDoor(self._entrance).routes]
        self._router = Router(routes, redirect_slashes=False, default=self._other)
        self._grpc = GRPCDoor(self._entrance)

        async def receive_with_doors() -> Any:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._grpc.stop()
                await self._entrance.application.instance.served.stop()
                self._entrance.sampler.stop()
                if self._entrance.tracing is not None:
                    await asyncio.to_thread(self._entrance.tracing.stop)
            return message

        async def send_with_doors(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._entrance.application.instance.served.start()
                self._entrance.sampler.start()
                if settings.grpc_port:
                    await self._grpc.start()
                self._drain_on_sigterm()
                gc.collect()
                gc.freeze()  # what is there now stays: no later collection, which requests wait for, looks at it
            await send(message)

        await self._app(scope, receive_with_doors, send_with_doors)

    def _drain_on_sigterm(self) -> None:
        loop = asyncio.get_running_loop()
        end = signal.getsignal(signal.SIGTERM)
        if not callable(end):
            return

        def drain(number: int, frame: FrameType | None) -> None:
            if self._entrance.draining:
                end(number, frame)
                return
            self._entrance.draining = True
            logger.info("draining for %.1f s", settings.drain_seconds)
            loop.call_soon_threadsafe(lambda: loop.create_task(self._grpc.drain()))
            loop.call_soon_threadsafe(lambda: loop.call_later(settings.drain_seconds, end, number, frame))

        signal.signal(signal.SIGTERM, drain)


def _keeping(messages: list[Any]) -> Callable[[Any], Awaitable[None]]:
    async def keep(message: Any) -> None:
        messages.append(message)

    return keep
