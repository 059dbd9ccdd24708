"""A problem's HTTP endpoints as a plain ASGI application, without BentoML: several serve in one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import PlainTextResponse, Response

from tabular_bento.problem import Problem
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.batching import AdaptiveBatcher
from tabular_bento.serving.endpoints.bodies import DRAINING, error_response
from tabular_bento.serving.endpoints.handler import RequestHandler
from tabular_bento.serving.endpoints.http import route, router_of
from tabular_bento.serving.metrics import Metrics
from tabular_bento.serving.service import PlainService, computing
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.traffic.log import TrafficLog


class PlainApplication:
    """The endpoints of JSON and of the Open Inference Protocol over REST, health and metrics.

    It starts with the lifespan of ASGI, or with its first request where the server has none.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    package : ModelPackage
        The model.
    log : TrafficLog
        Where predictions and labels are logged; it is closed by whoever opened it.
    settings : ServingSettings
        Limits and times.
    """

    def __init__(self, problem: Problem, package: ModelPackage, log: TrafficLog, settings: ServingSettings) -> None:
        self._settings = settings
        self._service = PlainService(package, log)
        self._registry = CollectorRegistry()
        self._batcher: AdaptiveBatcher
        self._handler = RequestHandler(problem, settings, self._new_batcher, Metrics(self._registry))
        document = {"info": {"title": problem.name, "version": package.tag}}
        self._router = router_of(self._handler, lambda: dict(document), self._other)
        self._started = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to a request, or start and stop with the lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            self._start()
            await route(self._router, scope, receive, send)

    async def stop(self) -> None:
        """Take no more requests."""
        if self._started:
            self._handler.draining = True
            self._batcher.shutdown()
            await self._handler.stop()
            self._started = False

    def _new_batcher(self, observe: Callable[[float], None]) -> AdaptiveBatcher:
        settings = self._settings
        compute: Any = computing(self._service.predict, is_async=False)
        self._batcher = AdaptiveBatcher(compute, settings.max_batch_rows, settings.max_queue_rows, observe)
        return self._batcher

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._handler.start(self._service)

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _other(self, scope: Any, receive: Any, send: Any) -> None:
        await self._respond(scope["path"])(scope, receive, send)

    def _respond(self, path: str) -> Response:
        if path == "/readyz" and self._handler.draining:
            return error_response(503, DRAINING)
        if path in ("/livez", "/readyz", "/healthz"):
            return PlainTextResponse("\n")
        if path == "/metrics" and self._handler.sampler is not None:
            self._handler.sampler.sample()
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
        return error_response(404, f"{path[:200]} is not served here.")


def application(
    problem: Problem, package: ModelPackage, log: TrafficLog, settings: ServingSettings | None = None
) -> PlainApplication:
    """All HTTP endpoints of a problem as an ASGI application, without BentoML.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    package : ModelPackage
        The model, made for the same problem.
    log : TrafficLog
        Where predictions and labels are logged.
    settings : ServingSettings, optional
        By default those of the environment.

    Returns
    -------
    PlainApplication
        An ASGI application.
    """
    return PlainApplication(problem, package, log, settings or ServingSettings())
