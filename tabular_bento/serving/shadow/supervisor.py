"""What runs in the worker: starts the shadow's process, watches it, starts it again a few times, and ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabular_bento.errors import ScoringError
from tabular_bento.scoring.store import LocatedModel, find_model
from tabular_bento.serving.metrics import Metrics
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.serving.shadow.scorer import ShadowMetrics
from tabular_bento.serving.shadow.tail import Progress, ProgressFile

logger = logging.getLogger("bentoml.shadow")

RESTARTS = (1.0, 5.0, 25.0)
"""Seconds before each time it is started again; after the last it stays down, until SIGHUP."""

STEADY_SECONDS = 600.0
"""One that ran for so long has its restarts back."""

WATCH_SECONDS = 0.25
STOP_SECONDS = 3.0
START_SECONDS = 600.0
"""To load the candidate takes seconds, and at the lowest priority among busy neighbours minutes."""

REFUSED = 3
"""The exit code of a process whose candidate cannot be served, which it has reported."""


class Shadow:
    """The shadow of one worker. Nothing it does, and nothing that happens to it, touches a request.

    Parameters
    ----------
    settings : ServingSettings
        The candidate and its limits.
    traffic : Path
        The folder of the traffic log.

    Attributes
    ----------
    state : str
        "starting", "scoring", "restarting", "down" for good, or "in service" where the candidate is the model that
        serves.
    """

    def __init__(self, settings: ServingSettings, traffic: Path) -> None:
        self.tag = str(settings.shadow_model)
        self.state = "starting"
        self.restarts = 0
        self._settings = settings
        self._traffic = traffic
        self._task: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def describe(self) -> dict[str, Any]:
        """What is known of it, for GET /model."""
        return {"model": self.tag, "state": self.state, "restarts": self.restarts}

    def start(self, serving: str, metrics: Metrics) -> None:
        """Begin, beside the model `serving`; returns at once. An unknown candidate is reported in the log."""
        ShadowMetrics(metrics)
        self._up = metrics.make("shadow_up")
        fd, path = tempfile.mkstemp(prefix="shadow-")
        os.close(fd)
        self._progress = ProgressFile(Path(path))
        self._progress.write(Progress(datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")))
        self._begin(serving)

    async def renew(self, serving: str) -> None:
        """After SIGHUP: start again what is down, and what is another candidate now, and end what serves itself."""
        located = self._find()
        if self.state == "scoring" and located is not None and located.tag == self.tag != serving:
            return
        await self._end()
        self._begin(serving)

    async def stop(self) -> None:
        """End it, and wait until it has."""
        await self._end()
        self._progress.path.unlink(missing_ok=True)

    def _begin(self, serving: str) -> None:
        self._set("starting")
        self.restarts = 0
        located = self._find()
        if located is None:
            self._set("down")
            return
        self.tag = located.tag
        if located.tag == serving:
            logger.info("%s is in service: there is nothing for its shadow to do", self.tag)
            self._set("in service")
            return
        self._task = asyncio.get_running_loop().create_task(self._supervise(located))

    def _find(self) -> LocatedModel | None:
        try:
            return find_model(str(self._settings.shadow_model))
        except ScoringError as error:
            logger.error("there is no shadow: %s", error)
            return None

    def _set(self, state: str) -> None:
        self.state = state
        self._up.set(state in ("scoring", "in service"))

    async def _supervise(self, located: LocatedModel) -> None:
        while True:
            began = time.monotonic()
            try:
                reason = await self._run(located)
            except OSError as error:
                reason = f"cannot be started: {error}"
            if reason is None:
                break
            if time.monotonic() - began > STEADY_SECONDS:
                self.restarts = 0
            if self.restarts == len(RESTARTS):
                logger.error("the shadow %s %s, and stays down until SIGHUP", self.tag, reason)
                break
            wait = RESTARTS[self.restarts]
            self.restarts += 1
            logger.warning("the shadow %s %s, and is started again in %.0f s", self.tag, reason, wait)
            self._set("restarting")
            await asyncio.sleep(wait)
        self._set("down")

    async def _run(self, located: LocatedModel) -> str | None:
        """Run the process until it ends, and give the reason; None where it reported that itself."""
        progress = self._progress.read()
        self._progress.write(Progress(progress.file, progress.offset, progress.begun))
        command = ["-m", "tabular_bento.serving.shadow", "--model", str(located.directory), "--tag", located.tag]
        command += ["--worker", str(os.getpid()), "--progress", str(self._progress.path)]
        command += ["--traffic", str(self._traffic)]
        # Popen, and not asyncio's: it does not run gRPC's handlers for forks, who complain of each
        process = subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE, stdout=2)
        self._process = process
        reason = None
        while process.poll() is None:
            await asyncio.sleep(WATCH_SECONDS)
            if self.state != "scoring" and self._progress.read().pid == process.pid:
                self._set("scoring")
                logger.info("%s scores live rows as the shadow", self.tag)
            limit = self._settings.shadow_hang_seconds if self.state == "scoring" else START_SECONDS
            if self._progress.age() > limit and process.poll() is None:
                reason = f"showed no sign of life for {limit:g} s"
                process.kill()
        if process.returncode == REFUSED:
            return None
        return reason or f"ended with {process.returncode}"

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        deadline = time.monotonic() + STOP_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if process.poll() is None:
            process.kill()
            process.wait()
