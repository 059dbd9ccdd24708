"""The model that a worker serves: found, verified, and exchanged for another one while requests are answered."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tabular_bento.errors import ScoringError
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.releases import CHAMPION, Release, Releases
from tabular_bento.serving.bento import locate_model, store_home
from tabular_bento.serving.figures import make
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.serving.shadow.supervisor import Shadow

RELOADS = ("exchanged", "unchanged", "refused")
"""What may come of a look at the champion; each is counted."""

logger = logging.getLogger("bentoml.model")


@dataclass(frozen=True)
class Served:
    """A verified package, the release that made it the champion, if that was asked for, and since when it serves."""

    package: ModelPackage
    release: Release | None
    since: str
    description: dict[str, Any]


def load_served(service: Any, settings: ServingSettings) -> Served:
    """Find and verify the model that the settings ask for. Raises PackageError, one sentence that says what to do."""
    located = locate_model(service, settings.model_tag, "model_tag" in settings.model_fields_set)
    package = ModelPackage.load(located.directory, located.tag)
    if located.release is not None:
        Releases(store_home()).check(located.release, package.fingerprint)
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Served(package, located.release, since, package.describe())


def warn_of_no_release(service: Any, settings: ServingSettings) -> None:
    """One line in the log where the champion is asked for and there is none, so that the latest model serves."""
    if settings.model_tag == CHAMPION and service.bento is None and Releases(store_home()).champion() is None:
        logger.warning("No model was released yet, so the latest one is served: run `python -m training release TAG`.")


class ServedModel:
    """The model of one worker, which follows the champion on SIGHUP.

    The next package is loaded and verified in a thread while the old one answers, and takes its place between two
    batches. One that cannot be served changes nothing: a sentence in the log and a count say so. Each batch is
    computed, logged and answered by the package that was current when it began.
    """

    def __init__(self, service: Any, settings: ServingSettings) -> None:
        self._service = service
        self._settings = settings
        self._wanted = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reloading: asyncio.Task[None] | None = None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, lambda *_: self.reload())  # from here on no release is missed
        self.current = load_served(service, settings)
        self._shadow = Shadow(settings) if settings.shadow_model else None

    def describe(self) -> dict[str, Any]:
        """What is served, for GET /model."""
        served = self.current
        release = served.release
        return served.description | {
            "serving_since": served.since,
            "release": release and {"number": release.number, "time": release.time, "by": release.by},
            "shadow": self._shadow and self._shadow.describe(),
        }

    def start(self) -> None:
        """Begin to follow, and start the shadow, once the event loop runs."""
        self._reloads = make("model_reloads")
        for outcome in RELOADS:
            self._reloads.labels(outcome)
        self._loop = asyncio.get_running_loop()
        if self._shadow:
            self._shadow.start(self.current.package.tag)
        if self._wanted:
            self.reload()

    async def stop(self) -> None:
        """End the shadow."""
        if self._reloading is not None:
            self._reloading.cancel()
        if self._shadow:
            await self._shadow.stop()

    def reload(self) -> None:
        """Look the model up again; from a signal handler, as often as one likes."""
        self._wanted = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        while self._wanted:
            self._wanted = False
            outcome = await self._exchange()
            self._reloads.labels(outcome).inc()
            if self._shadow:
                await self._shadow.renew(self.current.package.tag)

    async def _exchange(self) -> str:
        old = self.current
        try:
            new = await asyncio.to_thread(load_served, self._service, self._settings)
        except ScoringError as error:
            logger.error("%s goes on serving: %s", old.package.tag, error)
            return "refused"
        except Exception as error:
            logger.error("%s goes on serving, the next model cannot be loaded: %r", old.package.tag, error)
            return "refused"
        if new.package.fingerprint == old.package.fingerprint and new.package.tag == old.package.tag:
            self.current = replace(old, release=new.release)
            logger.info("%s is still the model to serve", old.package.tag)
            return "unchanged"
        self.current = new
        logger.info("%s serves now, in the place of %s", new.package.tag, old.package.tag)
        return "exchanged"
