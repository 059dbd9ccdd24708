from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import OverloadError, RequestError, TooLargeError
from tabular_bento.features.columns import rows_of
from tabular_bento.protocol import PredictionBatch
from tabular_bento.protocol.explanations import ExplainedBatch
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.explaining import Explainer
from tests.unit import models
from tests.unit.models import PARCELS

ROWS = rows_of(models.parcels().where(slice(0, 5)).columns, PARCELS.field_names)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[ModelPackage]:
    """Two models of the parcels."""
    home = tmp_path_factory.mktemp("store")
    tags = models.store_of_two(home, models.trained("parcels"))
    return [ModelPackage.load(models.folder_of(home, tag), tag, PARCELS) for tag in tags]


def batch_of(package: ModelPackage) -> PredictionBatch:
    outputs = package.predict(ROWS).outputs
    return PredictionBatch(PARCELS.declaration, [str(i) for i in range(len(ROWS))], None, outputs, package.tag)


def explained(
    packages: list[ModelPackage], change: Callable[[list[ModelPackage], Any], None], seconds: float = 60
) -> PredictionBatch:
    """What is explained where `change` exchanges the package, and completes the predictions, after the request."""

    async def run() -> PredictionBatch:
        current = [packages[0]]
        explainer = Explainer(lambda: current[0], 100)
        predictions: asyncio.Future[PredictionBatch] = asyncio.get_running_loop().create_future()
        explainer.check(len(ROWS))
        task = explainer.begin(ROWS, predictions, seconds)
        change(current, predictions)
        try:
            return await task
        finally:
            await asyncio.sleep(0)
            assert explainer.waiting_rows == 0
            assert predictions.done()
            explainer.stop()

    return asyncio.run(run())


@pytest.mark.parametrize("made_by", [0, 1])
def test_predictions_are_explained_by_the_package_that_made_them(packages: list[ModelPackage], made_by: int) -> None:
    def reload(current: list[ModelPackage], predictions: Any) -> None:
        current[0] = packages[1]
        predictions.set_result(batch_of(packages[made_by]))

    found = explained(packages, reload)
    assert isinstance(found, ExplainedBatch)
    wanted = packages[made_by].predictor.explain(ROWS)
    assert found.explanations.contributions.tobytes() == wanted.contributions.tobytes()
    total = found.explanations.base_values[:, 0] + found.explanations.contributions[:, 0].sum(axis=1)
    np.testing.assert_allclose(total, found.column("cost"), atol=1e-4)


def test_a_package_that_is_gone_is_no_longer_asked(packages: list[ModelPackage]) -> None:
    def reload(_: list[ModelPackage], predictions: Any) -> None:
        batch = batch_of(packages[0])
        predictions.set_result(PredictionBatch.of_columns(batch.form, batch.columns, "parcels:between"))

    with pytest.raises(OverloadError, match="exchanged"):
        explained(packages, reload)


def test_an_error_of_the_prediction_and_a_lack_of_time_are_raised(packages: list[ModelPackage]) -> None:
    def fail(_: list[ModelPackage], predictions: Any) -> None:
        predictions.set_exception(OverloadError("full"))

    with pytest.raises(OverloadError, match="full"):
        explained(packages, fail)
    with pytest.raises(TimeoutError):
        explained(packages, lambda *_: None, seconds=0)


def test_what_is_too_large_waits_too_long_or_cannot_be_explained_is_refused(packages: list[ModelPackage]) -> None:
    async def run() -> None:
        explainer = Explainer(lambda: packages[0], 5)
        with pytest.raises(TooLargeError, match="6 rows in one request with `explain`, of at most 5"):
            explainer.check(6)
        waiting = [explainer.begin(ROWS, asyncio.get_running_loop().create_future(), 60) for _ in range(4)]
        with pytest.raises(OverloadError, match="20 rows are waiting"):
            explainer.check(1)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        explainer.check(5)

    asyncio.run(run())


def test_a_runner_without_explanations_is_named() -> None:
    class Silent:
        explains = False

    class Package:
        tag = "parcels:silent"
        predictor = Silent()
        runner = type("Runner", (), {"kind": "sklearn"})

    with pytest.raises(RequestError, match="The runner 'sklearn' of parcels:silent has no explanations"):
        Explainer(lambda: Package(), 5).check(1)  # type: ignore[arg-type, return-value]
