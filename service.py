"""The service: the feature extractor and the runner of one model package behind an adaptive-batching API."""

from __future__ import annotations

import asyncio
from typing import Any

import bentoml

from features.definition import NAME, TARGET
from features.values import Row
from tabular_bento.protocol.predictions import Answers
from tabular_bento.protocol.requests import FeedbackReceipt, Outcome, Prediction, PredictRequest
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.bento import PackagedModel, forward_hangups
from tabular_bento.serving.endpoints.grpc import check_door
from tabular_bento.serving.endpoints.middleware import Doors
from tabular_bento.serving.image import serving_image
from tabular_bento.serving.logs import configure_logs
from tabular_bento.serving.served import ServedModel, load_served, warn_of_no_release
from tabular_bento.serving.settings import settings
from tabular_bento.serving.tracing import wanted_exporter
from tabular_bento.traffic.log import TrafficLog

INLINE_ROWS = 1_000
"""Batches up to this many rows take some ten milliseconds, on the event loop; a thread would cost more."""


@bentoml.service(
    name=NAME,
    image=serving_image(),
    workers=settings.workers,
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
class Service:
    """Predicts the rows of a request and keeps every answer in the traffic log."""

    model = PackagedModel(settings.model_tag)

    @bentoml.on_deployment
    @staticmethod
    def verify() -> None:
        """Refuse a package that must not be served, and a port that cannot be, once, before any worker starts."""
        wanted_exporter()
        configure_logs()
        warn_of_no_release(Service, settings)
        load_served(Service, settings)
        check_door()
        forward_hangups()

    def __init__(self) -> None:
        self.served = ServedModel(Service, settings)
        self.log = TrafficLog(settings.traffic_dir, settings.traffic_roll_mb << 20, settings.traffic_roll_seconds)

    @bentoml.api(batchable=True, max_batch_size=settings.max_batch_rows, input_spec=PredictRequest)
    async def predict(self, rows: list[Row]) -> list[Prediction]:
        """Predict rows, which the doors have validated, in their order."""
        if len(rows) <= INLINE_ROWS:
            return self._predict(rows)
        return await asyncio.to_thread(self._predict, rows)

    def _predict(self, rows: list[Row]) -> Answers:
        package = self.package  # for the whole batch, whatever is released meanwhile
        return self.log.record(rows, package.predictor.predict(rows), package.tag)

    @bentoml.api
    async def feedback(self, outcomes: list[Outcome]) -> FeedbackReceipt:
        """Take what came true of earlier predictions, by prediction_id: late, repeated or out of order."""
        pairs = [(outcome.prediction_id, getattr(outcome, TARGET.name)) for outcome in outcomes]
        return {"accepted": self.log.record_outcomes(pairs)}

    @property
    def package(self) -> ModelPackage:
        """The model package that serves now."""
        return self.served.current.package

    def describe(self) -> dict[str, Any]:
        """What is served, for GET /model."""
        return self.served.describe()

    @bentoml.on_shutdown
    def close(self) -> None:
        """Let go of the segments, so that they can be sealed."""
        self.log.close()


Service.add_asgi_middleware(Doors)
