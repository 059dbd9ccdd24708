"""The service: the feature extractor and the runner of one model package behind an adaptive-batching API."""

from __future__ import annotations

from collections.abc import Sequence

import bentoml

from features.problem import PROBLEM
from tabular_bento.features import Row
from tabular_bento.protocol import PredictionBatch
from tabular_bento.serving import ServiceSpec

spec = ServiceSpec(PROBLEM)


@bentoml.service(**spec.options)
class Service:
    """Predicts the sex of a penguin; every prediction is in the traffic log before it is returned."""

    packaged = spec.packaged_model

    def __init__(self) -> None:
        self.model = spec.load_model()
        self.log = spec.open_log()

    @bentoml.api(batchable=True, max_batch_size=spec.max_batch_rows, input_spec=spec.request, output_spec=spec.response)
    def predict(self, rows: Sequence[Row]) -> PredictionBatch:
        """Predict validated rows, which may be those of several requests, in their order."""
        package = self.model.current
        features = package.extractor.transform(rows)
        raw = package.score(features, rows)
        outputs = package.outputs(raw, rows)
        return self.log.record(rows, package, features, outputs)


spec.mount(Service)
