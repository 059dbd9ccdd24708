"""The gate before a build: verifies the candidate as a server does, and checks its metrics."""

from __future__ import annotations

from deploy.errors import DeployError
from deploy.settings import ShipSettings
from tabular_bento.errors import GateError, PackageError
from tabular_bento.project import Project
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.store import find_model
from tabular_bento.training import load_config
from tabular_bento.training.gate import check_gate


def gate(settings: ShipSettings) -> str:
    """Verify the candidate, and hold its metrics against the thresholds as they are now.

    Raises
    ------
    DeployError
        Where it is not in the store or misses a threshold.
    PackageError
        Where it must not be served.
    """
    project = Project.find()
    problem = project.load_problem()
    try:
        located = find_model(settings.candidate)
    except PackageError:
        raise DeployError(f"There is no model {settings.candidate} in the store: run `make train`.") from None
    package = ModelPackage.load(located.directory, located.tag, problem)
    test = package.metrics["metrics"]["test"]
    baselines = {name: parts["test"]["rmse"] for name, parts in package.metrics["baselines"].items()}
    ratios = {name: test["rmse"] / rmse if rmse else float("nan") for name, rmse in baselines.items()}
    files = [project.training] if project.training else []
    try:
        warnings = check_gate(test, ratios, load_config(*files, problem=problem).gate)
    except GateError as error:
        raise DeployError(f"{package.tag}: {error}") from error
    passed = f"{package.tag} passes: {package.parity_rows} parity vectors equal, RMSE {test['rmse']:.2f}"
    return "\n".join((passed, *(f"warning: {warning}" for warning in warnings)))
