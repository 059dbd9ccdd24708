from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

FORBIDDEN = {
    "data": {"features", "scoring", "monitoring", "training", "deploy", "service"},
    "features": {"scoring", "monitoring", "training", "deploy", "service"},
    "scoring": {"training", "monitoring", "deploy", "service"},
    "monitoring": {"training", "deploy", "service"},
    "training": {"deploy", "service"},
    "deploy": {"service"},
}
"""By layer: what it never imports, at the top of a module or inside of a function."""

OFF_THE_REQUEST_PATH = ("pandas", "pyarrow", "evidently", "sklearn", "skops", "duckdb")

MODULES = sorted(path.relative_to(ROOT) for layer in FORBIDDEN for path in (ROOT / layer).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """First parts of the names of all modules that the file at `path` imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relative to itself"
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_layer_imports_nothing_from_the_layers_above_it(module: Path) -> None:
    assert not imported(ROOT / module) & FORBIDDEN[module.parts[0]]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_unpickles(module: Path) -> None:
    assert not imported(ROOT / module) & {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
    assert "allow_pickle=True" not in (ROOT / module).read_text()


def test_every_layer_is_looked_at() -> None:
    assert {module.parts[0] for module in MODULES} == set(FORBIDDEN)


def test_the_service_is_made_of_features_and_scoring_alone() -> None:
    assert not imported(ROOT / "service.py") & {"training", "monitoring"}


def test_importing_the_service_pulls_in_nothing_that_training_and_monitoring_need() -> None:
    code = "import sys, service; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()

    assert {"service", "scoring", "bentoml"} <= set(loaded)
    assert not {*OFF_THE_REQUEST_PATH, "training", "monitoring"} & set(loaded)
