"""What the library asks of a service, as typed protocols, and the plain service of an application without BentoML."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from tabular_bento.errors import PredictionError
from tabular_bento.features.columns import Row
from tabular_bento.problem import Problem
from tabular_bento.protocol.predictions import PredictionBatch
from tabular_bento.protocol.requests import RequestSchema
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.metrics import Metrics
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.traffic.log import TrafficLog

INLINE_ROWS = 1_000
"""Batches up to this many rows take some ten milliseconds, on the event loop; a thread would cost more."""


class ModelSource(Protocol):
    """The model of a service: the package that serves now, and what may be known of it."""

    @property
    def current(self) -> ModelPackage:
        """The package that serves now."""

    def describe(self) -> dict[str, Any]:
        """What is served, for GET /model, as plain JSON values."""


class PredictionService(Protocol):
    """What a service has: a model, a log, and the predictions of rows, which are in the log when they are returned."""

    model: ModelSource
    log: TrafficLog

    def predict(self, rows: Sequence[Row]) -> PredictionBatch | Awaitable[PredictionBatch]:
        """What `TrafficLog.record` gives for validated rows, in their order."""


class MountedService(Protocol):
    """What the endpoints of a service are made of, and what begins and ends with them."""

    problem: Problem
    settings: ServingSettings
    requests: RequestSchema

    def start(self, instance: Any, metrics: Metrics) -> None:
        """Begin what goes on beside the requests of an instance of the service."""

    async def stop(self, instance: Any) -> None:
        """End it."""


class PlainModel:
    """One package, which stays."""

    def __init__(self, package: ModelPackage) -> None:
        self.current = package

    def describe(self) -> dict[str, Any]:
        """What the package is, with the declaration, which clients read."""
        return self.current.describe() | {"declaration": self.current.declaration.to_dict()}


class PlainService:
    """Predicts with one package and logs.

    Parameters
    ----------
    package : ModelPackage
        The model.
    log : TrafficLog
        The traffic log.
    """

    def __init__(self, package: ModelPackage, log: TrafficLog) -> None:
        self.model: ModelSource = PlainModel(package)
        self.log = log

    def predict(self, rows: Sequence[Row]) -> PredictionBatch:
        """Predict rows and log them."""
        package = self.model.current
        predictions = package.predict(rows)
        return self.log.record(rows, package, predictions.features, predictions.outputs)


def computing(
    predict: Callable[[Sequence[Row]], PredictionBatch | Awaitable[PredictionBatch]], is_async: bool
) -> Callable[[Sequence[Row]], Awaitable[PredictionBatch]]:
    """The batcher's way to `predict`, which accepts only what the log made.

    A method that is not async computes large batches in a thread, so that others are not kept waiting.
    """

    async def compute(rows: Sequence[Row]) -> PredictionBatch:
        result: Any
        if is_async:
            result = await predict(rows)  # type: ignore[misc]
        elif len(rows) <= INLINE_ROWS:
            result = predict(rows)
        else:
            result = await asyncio.to_thread(predict, rows)
        if not isinstance(result, PredictionBatch):
            raise PredictionError(f"predict returned a {type(result).__name__}; it must return what log.record gives.")
        return result

    return compute
