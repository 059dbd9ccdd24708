"""The service: the feature extractor and the runner of one model package behind an adaptive-batching API."""

from __future__ import annotations

from collections.abc import Sequence

import bentoml

from features.problem import PROBLEM
from tabular_bento.features import Row
from tabular_bento.protocol import PredictionBatch
from tabular_bento.serving import ServiceSpec

spec = ServiceSpec(PROBLEM)
"""Schemas from the problem, settings from the environment."""


@bentoml.service(**spec.options)
class Service:
    """Predicts how late flights arrive; every prediction is in the traffic log before it is returned."""

    packaged = spec.packaged_model
    """BentoML packs the models that it finds as class attributes."""

    def __init__(self) -> None:
        self.model = spec.load_model()  # verified; it follows the released champion
        self.log = spec.open_log()

    @bentoml.api(batchable=True, max_batch_size=spec.max_batch_rows, input_spec=spec.request, output_spec=spec.response)
    def predict(self, rows: Sequence[Row]) -> PredictionBatch:
        """Predict validated rows, which may be those of several requests, in their order."""
        package = self.model.current  # for the whole batch, whatever is released meanwhile
        features = package.extractor.transform(rows)
        raw = package.score(features, rows)
        outputs = package.outputs(raw, rows)  # the offset added, labels decoded
        return self.log.record(rows, package, features, outputs)


spec.mount(Service)  # endpoints of every protocol, feedback, and what happens at start, reload and end
