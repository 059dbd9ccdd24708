"""The one place that touches private parts of BentoML; tests/scoring/test_bento.py says so when they move.

BentoML's dispatcher learns how long to wait, and after a burst makes a lone caller wait for company that does not
come; its queue has no bound. The application keeps one dispatcher per batchable API in a dictionary, so ours can take
its place before the first request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import NotFound
from bentoml.models import BentoModel

from scoring.batching import AdaptiveBatcher
from scoring.errors import PackageError


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


class PackagedModel(BentoModel):  # type: ignore[misc]
    """A model of the store, whose absence or damage is told in one sentence when serving, and when building."""

    def resolve(self, *arguments: Any, **options: Any) -> Any:
        with _one_sentence(str(self.tag)):
            return super().resolve(*arguments, **options)

    def to_info(self, alias: str | None = None) -> Any:
        with _one_sentence(str(self.tag)):
            return super().to_info(alias)


def locate_model(service: Any, tag: str) -> tuple[Path, str]:
    """Folder and tag of the model that `service` serves: the one its bento was built with, else `tag` from the store.

    Raises PackageError where the store does not have it or cannot read its entry.
    """
    if service.bento is not None:
        tag = str(service.bento.info.all_models[0].tag)
    with _one_sentence(tag):
        model = bentoml.models.get(tag)
    return Path(model.path), str(model.tag)


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
