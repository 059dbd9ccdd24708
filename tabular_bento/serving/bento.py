"""The one place that touches private parts of BentoML; tests/scoring/test_bento.py says so when they move.

BentoML's dispatcher learns how long to wait, and after a burst makes a lone caller wait for company that does not
come; its queue has no bound. The application keeps one dispatcher per batchable API in a dictionary, so ours can take
its place before the first request.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from bentoml.exceptions import NotFound
from bentoml.models import BentoModel

from tabular_bento.errors import PackageError
from tabular_bento.scoring.releases import CHAMPION, Release, Releases
from tabular_bento.serving.batching import AdaptiveBatcher


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
        """A batcher of our own before the batchable, async `api`, in the place of BentoML's dispatcher."""
        method = self._factory.service.apis[api].func

        async def compute(rows: Sequence[Any]) -> Sequence[Any]:
            results: Sequence[Any] = await method(self.instance, rows)
            return results

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


def leave_time_limits_to_doors() -> None:
    """Have BentoML pass requests on without its own time limit; the doors have theirs.

    It sets a timer for each request and never cancels it: at a thousand requests a second, those of `timeout` seconds
    are tens of thousands, which each collection of garbage walks through while all requests wait.
    """

    async def pass_on(middleware: Any, scope: Any, receive: Any, send: Any) -> None:
        await middleware.app(scope, receive, send)

    TimeoutMiddleware.__call__ = pass_on  # type: ignore[method-assign, assignment]


def store_home() -> Path:
    """The folder that holds the model store, BENTOML_HOME."""
    return Path(BentoMLContainer.bentoml_home.get())


class PackagedModel(BentoModel):  # type: ignore[misc]
    """A model of the store, whose absence or damage is told in one sentence when serving, and when building.

    The champion is looked up each time. Served where nothing was released it is the latest model; a bento, which is
    pinned to its model, is then not built.
    """

    def resolve(self, *arguments: Any, **options: Any) -> Any:
        tag = tag_of(str(self.tag))
        with _one_sentence(tag):
            return BentoModel(tag).resolve(*arguments, **options)

    def to_info(self, alias: str | None = None) -> Any:
        tag = str(self.tag)
        if tag == CHAMPION:
            if Releases(store_home()).champion() is None:
                raise PackageError(
                    "No model was released, so there is no champion to build with: run "
                    "`python -m training release latest`, or name a model by MODEL_TAG."
                )
            tag = tag_of(tag)
        with _one_sentence(tag):
            return BentoModel(tag).to_info(alias)


class LocatedModel(NamedTuple):
    """Folder and tag of a package, and the release that made it the champion, where the champion was asked for."""

    directory: Path
    tag: str
    release: Release | None = None


def locate_model(service: Any, tag: str, explicit: bool = False) -> LocatedModel:
    """The model that `service` serves: the one its bento was built with, else `tag` from the store.

    A bento follows the champion of the store beside it only where that is asked for by an `explicit` tag. Where nothing
    was released, the champion is the latest model, or the bento's. Raises PackageError where the store does not have
    it or cannot read its entry.
    """
    pinned = service.bento is not None and not (explicit and tag == CHAMPION)
    if tag == CHAMPION and not pinned:
        releases = Releases(store_home())
        release = releases.champion()
        if release is not None:
            return LocatedModel(releases.locate(release), release.tag, release)
    if service.bento is not None:
        tag = str(service.bento.info.all_models[0].tag)
    return find_model(tag_of(tag))


def find_model(tag: str) -> LocatedModel:
    """A model of the store by its tag. Raises PackageError where the store does not have it or cannot read it."""
    with _one_sentence(tag):
        model = bentoml.models.get(tag)
    return LocatedModel(Path(model.path), str(model.tag))


def forward_hangups() -> None:
    """Have SIGHUP, sent to `bentoml serve`, reach its workers; to be called in that process before they start.

    The process manager, circus, would start as many workers again and end the old ones, who cut their connections; a
    new one that cannot serve would take the place of an old one that can. Of its two ways to reload, this takes the
    other, by which a worker reloads itself.
    """
    from circus.sighandler import SysHandler

    SysHandler.handle_hup = _hang_up_workers


def _hang_up_workers(handler: Any) -> None:
    for watcher in list(handler.controller.arbiter.iter_watchers()):
        for pid in list(watcher.processes):
            if _catches_hangups(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGHUP)


def _catches_hangups(pid: int) -> bool:
    """Whether a worker is far enough to take the signal; one that is not would be ended by it, and is yet to look up
    the champion."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return not Path("/proc/self/status").exists()
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)


def tag_of(tag: str) -> str:
    """The tag itself, or that of the champion, or of the latest model where nothing was released."""
    if tag != CHAMPION:
        return tag
    releases = Releases(store_home())
    release = releases.champion()
    if release is None:
        return f"{releases.name}:latest"
    releases.locate(release)
    return release.tag


@contextmanager
def _one_sentence(tag: str) -> Iterator[None]:
    try:
        yield
    except NotFound:
        raise PackageError(f"There is no model {tag} in the store: run `python -m training`.") from None
    except Exception as error:
        if "could not be found locally" in str(error):
            raise PackageError(f"There is no model {tag} in the store: run `python -m training`.") from None
        raise PackageError(
            f"model.yaml of {tag} in the store is damaged ({str(error).splitlines()[0]}): train the model again, "
            "or restore the package from a copy."
        ) from error
