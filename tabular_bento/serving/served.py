"""The model that a worker serves: found, verified, and exchanged for another one while requests are in progress."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabular_bento.errors import ScoringError
from tabular_bento.problem import Problem
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.releases import Release, Releases, champion_tag
from tabular_bento.scoring.store import LocatedModel, find_model, store_home
from tabular_bento.serving.metrics import Metrics
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.serving.shadow.supervisor import Shadow

RELOADS = ("exchanged", "unchanged", "refused")
"""Results of a look at the champion; each is counted."""

logger = logging.getLogger("bentoml.model")


@dataclass(frozen=True)
class _Served:
    """A verified package, the release that made it the champion, if that was asked for, and since when it serves."""

    package: ModelPackage
    release: Release | None
    since: str
    description: dict[str, Any]


def locate_model(problem: Problem, settings: ServingSettings, pinned: LocatedModel | None) -> LocatedModel:
    """The model to serve.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    settings : ServingSettings
        Its `model` is the model of a checkout. A bento follows the champion of the store beside it only where `model`
        is the champion's tag.
    pinned : LocatedModel, optional
        The model that the served bento was built with; None in a checkout.

    Raises
    ------
    PackageError
        Where the store does not have it.
    """
    champion = champion_tag(problem.name)
    wanted = settings.model or champion
    if pinned is None:
        return find_model(wanted)
    follows = settings.model == champion and Releases(store_home(), problem.name).champion() is not None
    return find_model(champion) if follows else pinned


def load_served(problem: Problem, settings: ServingSettings, pinned: LocatedModel | None) -> _Served:
    """Find and verify the model to serve.

    Raises
    ------
    PackageError
        One message that says what to do.
    """
    located = locate_model(problem, settings, pinned)
    package = ModelPackage.load(located.directory, located.tag, problem)
    if located.release is not None:
        Releases(store_home(), problem.name).check(located.release, package.fingerprint)
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    description = package.describe() | {"declaration": problem.declaration.to_dict()}
    return _Served(package, located.release, since, description)


def warn_without_release(problem: Problem, settings: ServingSettings, pinned: LocatedModel | None) -> None:
    """One line in the log where the champion is asked for and there is none, so that the latest model serves."""
    champion = champion_tag(problem.name)
    followed = pinned is None and settings.model in (None, champion)
    if followed and Releases(store_home(), problem.name).champion() is None:
        logger.warning("No model was released yet, so the latest one is served: run `tabular-bento release TAG`.")


class ServedModel:
    """The model of one worker, which follows the champion on SIGHUP.

    The next package is loaded and verified in a thread while the old one predicts, and takes its place between two
    batches. One that cannot be served changes nothing: a line in the log and a count report it. Each batch is computed
    and logged by the package that was current when it began.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    settings : ServingSettings
        Which model, and which shadow.
    traffic : Path
        The folder of the traffic log, which the shadow reads.
    pinned : LocatedModel, optional
        The model that the served bento was built with; None in a checkout.

    Attributes
    ----------
    current : ModelPackage
        The package that serves now.
    """

    def __init__(
        self, problem: Problem, settings: ServingSettings, traffic: Path, pinned: LocatedModel | None = None
    ) -> None:
        self._problem = problem
        self._settings = settings
        self._pinned = pinned
        self._wanted = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reloading: asyncio.Task[None] | None = None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, lambda *_: self.reload())  # from here on no release is missed
        self._served = load_served(problem, settings, pinned)
        self.current = self._served.package
        self._shadow = Shadow(settings, traffic) if settings.shadow_model else None

    def describe(self) -> dict[str, Any]:
        """What is served, for GET /model."""
        served = self._served
        release = served.release
        return served.description | {
            "serving_since": served.since,
            "release": release and {"number": release.number, "time": release.time, "by": release.by},
            "shadow": self._shadow and self._shadow.describe(),
        }

    def start(self, metrics: Metrics) -> None:
        """Begin to follow, and start the shadow, once the event loop runs."""
        self._reloads = metrics.make("model_reloads")
        for status in RELOADS:
            self._reloads.labels(status)
        self._loop = asyncio.get_running_loop()
        if self._shadow:
            self._shadow.start(self.current.tag, metrics)
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
            self._reloads.labels(await self._exchange()).inc()
            if self._shadow:
                await self._shadow.renew(self.current.tag)

    async def _exchange(self) -> str:
        old = self._served
        try:
            new = await asyncio.to_thread(load_served, self._problem, self._settings, self._pinned)
        except ScoringError as error:
            logger.error("%s goes on serving: %s", old.package.tag, error)
            return "refused"
        except Exception as error:
            logger.error("%s goes on serving, the next model cannot be loaded: %r", old.package.tag, error)
            return "refused"
        if new.package.fingerprint == old.package.fingerprint and new.package.tag == old.package.tag:
            self._served = replace(old, release=new.release)
            logger.info("%s is still the model to serve", old.package.tag)
            return "unchanged"
        self._served, self.current = new, new.package
        logger.info("%s serves now, in the place of %s", new.package.tag, old.package.tag)
        return "exchanged"
