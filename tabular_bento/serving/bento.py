"""The one place that touches private parts of BentoML; tests/unit/serving/test_bento.py says so when they move.

BentoML's dispatcher learns how long to wait, and after a burst makes a lone caller wait for company that does not
come; its queue has no bound. The application keeps one dispatcher per batchable API in a dictionary, so ours can take
its place before the first request.
"""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import bentoml
import click
from bentoml import IODescriptor
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from bentoml.exceptions import BentoMLException
from bentoml.models import BentoModel
from bentoml.validators import ContentType
from pydantic import BaseModel, create_model

from tabular_bento.errors import TabularBentoError
from tabular_bento.protocol.requests import FeedbackReceipt, RequestSchema
from tabular_bento.scoring.releases import ALIAS, Releases
from tabular_bento.scoring.store import LocatedModel, find_model, store_home
from tabular_bento.serving.batching import AdaptiveBatcher
from tabular_bento.serving.service import computing


class ServeError(TabularBentoError, BentoMLException):
    """An error of this library that the bentoml command prints as one line."""


@contextmanager
def one_line() -> Iterator[None]:
    """Within it the library's errors become such that the bentoml command prints them as one line."""
    try:
        yield
    except ServeError:
        raise
    except TabularBentoError as error:
        raise ServeError(str(error)) from error


class Application:
    """A running application of BentoML, as its ASGI middleware sees it."""

    def __init__(self, app: Any) -> None:
        self._factory = app.router.lifespan_context.__self__

    @property
    def instance(self) -> Any:
        """The instance of the service's class, made when the application started."""
        return self._factory._service_instance

    @property
    def bento(self) -> str | None:
        """The tag of the bento that is served; None from a checkout."""
        bento = self._factory.service.bento
        return None if bento is None else str(bento.tag)

    def batcher_of(
        self, api: str, max_batch_rows: int, max_queue_rows: int, observe: Callable[[float], None]
    ) -> AdaptiveBatcher:
        """A batcher of our own before the batchable `api`, in the place of BentoML's dispatcher."""
        method = self._factory.service.apis[api].func
        compute: Any = computing(lambda rows: method(self.instance, rows), inspect.iscoroutinefunction(method))
        batcher = AdaptiveBatcher(compute, max_batch_rows, max_queue_rows, observe)
        self._factory.dispatchers[api].shutdown()
        self._factory.dispatchers[api] = _Dispatcher(batcher)
        return batcher

    def openapi(self) -> dict[str, Any]:
        """BentoML's own OpenAPI description of the service."""
        document: dict[str, Any] = self._factory.service.openapi_spec.asdict()
        return document


class _Dispatcher:
    """The batcher, as BentoML calls and ends a dispatcher."""

    def __init__(self, batcher: AdaptiveBatcher) -> None:
        self.shutdown = batcher.shutdown
        self._submit = batcher.submit

    def __call__(self, _: Any) -> Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]:
        return self._submit


def remove_time_limits() -> None:
    """Have BentoML pass requests on without its own time limit; the endpoints have theirs.

    It sets a timer for each request and never cancels it: at a thousand requests a second, those of `timeout` seconds
    are tens of thousands, which each collection of garbage walks through while all requests wait.
    """

    async def pass_on(middleware: Any, scope: Any, receive: Any, send: Any) -> None:
        await middleware.app(scope, receive, send)

    TimeoutMiddleware.__call__ = pass_on  # type: ignore[method-assign, assignment]


class PackagedModel(BentoModel):  # type: ignore[misc]
    """A model of the store, whose absence is one message when serving, and when building.

    The champion is looked up each time. Served where nothing was released it is the latest model; a bento, which is
    pinned to its model, is then not built.
    """

    def resolve(self, *arguments: Any, **options: Any) -> Any:
        return self._found(BentoModel(self._current()).resolve, *arguments, **options)

    def to_info(self, alias: str | None = None) -> Any:
        name, _, version = str(self.tag).partition(":")
        if version == ALIAS and Releases(store_home(), name).champion() is None:
            raise ServeError(
                "No model was released, so there is no champion to build with: run `tabular-bento release latest`, or "
                "name a model by TABULAR_BENTO_MODEL."
            )
        return self._found(BentoModel(self._current()).to_info, alias)

    def _current(self) -> str:
        with one_line():
            return find_model(str(self.tag)).tag

    def _found(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except Exception as error:
            raise ServeError(
                f"model.yaml of {self.tag} in the store is damaged ({str(error).splitlines()[0]}): train the model "
                "again, or restore the package from a copy."
            ) from error


def pinned_model(service: Any) -> LocatedModel | None:
    """The model that the bento of a service was built with; None in a checkout.

    An image and an exported bento hold their model themselves; a bento of the store has it there.

    Raises
    ------
    PackageError
        Where the store does not have it.
    """
    if service.bento is None:
        return None
    tag = str(service.bento.info.all_models[0].tag)
    packed = service.bento._model_store
    if packed is not None and packed.list(tag):
        return LocatedModel(Path(packed.get(tag).path), tag)
    return find_model(tag)


def input_model(model: type[BaseModel]) -> type[IODescriptor]:
    """A request model as the input of an API."""
    made: type[IODescriptor] = create_model(model.__name__, __base__=(model, IODescriptor))
    return made


def output_model(model: type[BaseModel]) -> type[IODescriptor]:
    """A list of a response model as the output of an API, in JSON."""

    def api() -> Any: ...

    made: Any = list
    # the media type spares BentoML a JSON schema for each response
    api.__annotations__["return"] = Annotated[made[model], ContentType("application/json")]
    described: type[IODescriptor] = IODescriptor.from_output(api)
    return described


def add_feedback_api(service: Any, requests: RequestSchema) -> None:
    """Add the API that logs labels, POST /feedback."""

    def feedback(self: Any, labels: list[Any]) -> Any:
        """Log the labels of earlier predictions: late, repeated or out of order."""
        return FeedbackReceipt(accepted=self.log.record_labels(requests.labels_of_models(labels)))

    method = bentoml.api(
        feedback, input_spec=input_model(requests.feedback_model), output_spec=input_model(FeedbackReceipt)
    )
    service.inner.feedback = method
    service.apis["feedback"] = method


def add_hooks(service: Any, before_workers: Callable[[], None], on_shutdown: Callable[[Any], None]) -> None:
    """Have BentoML call `before_workers` once, before any worker starts, and `on_shutdown` with each instance."""

    def prepare() -> None:
        before_workers()

    def close(self: Any) -> None:
        on_shutdown(self)

    service.inner.prepare = bentoml.on_deployment(prepare)
    service.inner.close = bentoml.on_shutdown(close)


def http_address() -> tuple[str, int]:
    """Address and port that `bentoml serve` listens at."""
    context = click.get_current_context(silent=True)
    given = {} if context is None else context.params
    host = given.get("host") or BentoMLContainer.http.host.get()
    return str(host), int(given.get("port") or BentoMLContainer.http.port.get())


def forward_sighup() -> None:
    """Have SIGHUP, sent to `bentoml serve`, reach its workers; to be called in that process before they start.

    The process manager, circus, would start as many workers again and end the old ones, who cut their connections; a
    new one that cannot serve would take the place of an old one that can. Of its two ways to reload, this takes the
    other, by which a worker reloads itself.
    """
    from circus.sighandler import SysHandler

    SysHandler.handle_hup = _signal_workers


def _signal_workers(handler: Any) -> None:
    for watcher in list(handler.controller.arbiter.iter_watchers()):
        for pid in list(watcher.processes):
            if _catches_sighup(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGHUP)


def _catches_sighup(pid: int) -> bool:
    """Whether a worker is far enough to take the signal; one that is not would be ended by it, and is yet to look up
    the champion."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return not Path("/proc/self/status").exists()
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)
