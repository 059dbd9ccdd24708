"""The gate before a build: a candidate that a server would refuse, or that misses a threshold, goes no further."""

from __future__ import annotations

from pathlib import Path

import bentoml
from bentoml.exceptions import NotFound

from deploy.errors import DeployError
from deploy.settings import ShipSettings
from tabular_bento.errors import GateError
from tabular_bento.evaluation.metrics import RegressionMetrics
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.training.config import load_config
from tabular_bento.training.gate import check_gate


def gate(settings: ShipSettings) -> str:
    """Verify the candidate as a server does, and hold its measures against the thresholds as they are now.

    Raises DeployError where it is not in the store or misses a threshold, and PackageError where it must not be served.
    """
    try:
        model = bentoml.models.get(settings.candidate)
    except NotFound:
        raise DeployError(f"There is no model {settings.candidate} in the store: run `make train`.") from None
    package = ModelPackage.load(Path(model.path), str(model.tag))
    measured = package.metrics
    test, zero_gain = measured["metrics"]["test"], measured["baselines"]["zero_gain"]["test"]
    try:
        warnings = check_gate(RegressionMetrics(**test), RegressionMetrics(**zero_gain), load_config(None).gate)
    except GateError as error:
        raise DeployError(f"{package.tag}: {error}") from error
    passed = f"{package.tag} passes: {package.parity_rows} parity vectors equal, RMSE {test['rmse']:.2f}"
    return "\n".join((passed, *(f"warning: {warning}" for warning in warnings)))
