"""Who imports whom: the library's packages, the library and projects, and what a server loads."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.models import ROOT

LIBRARY = sorted(path.relative_to(ROOT) for path in (ROOT / "tabular_bento").rglob("*.py"))
PROJECT = sorted(
    path.relative_to(ROOT)
    for folder in ("features", "training", "monitoring")
    for path in (ROOT / folder).rglob("*.py")
)
PROJECTS = {"features", "training", "monitoring", "service", "deploy", "benchmarks", "tests", "demo"}
OFF_THE_REQUEST_PATH = {"pandas", "pyarrow", "evidently", "sklearn", "skops", "duckdb", "scipy", "plotly"}
PICKLERS = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
FLIGHTS = re.compile(r"\b(flights?|carrier|tailnum|airports?|dep_delay)\b", re.IGNORECASE)


def imported(path: Path) -> set[str]:
    """Names of all modules that the file at `path` imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relative to itself"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def first(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_the_import_rules_of_pyproject_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
    assert "Contracts: 2 kept, 0 broken." in result.stdout


def test_the_library_imports_no_project() -> None:
    assert not {str(module): found for module in LIBRARY if (found := first(imported(ROOT / module)) & PROJECTS)}


IMPORTING = Path("tabular_bento/training/importing.py")
"""Reads a pickle where its user trusts it, to store it as something else; no server imports it."""


def test_no_module_unpickles_but_for_the_import_of_one() -> None:
    for module in [*LIBRARY, *PROJECT, Path("service.py")]:
        if module == IMPORTING:
            continue
        assert not first(imported(ROOT / module)) & PICKLERS, module
        assert "allow_pickle=True" not in (ROOT / module).read_text(), module


def test_the_library_knows_no_data_set() -> None:
    files = [path for path in (ROOT / "tabular_bento").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1)
        if FLIGHTS.search(line)
    ]
    assert not found, "\n".join(found)


def test_a_project_imports_only_public_names_of_the_library() -> None:
    for module in [*PROJECT, Path("service.py")]:
        names = {name for name in imported(ROOT / module) if name.startswith("tabular_bento.")}
        assert not [name for name in names if any(part.startswith("_") for part in name.split("."))], module


def test_importing_the_service_pulls_in_nothing_that_training_and_monitoring_need() -> None:
    code = "import sys, service; print(*sorted(sys.modules))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    loaded = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())

    assert {"service", "tabular_bento.scoring.package", "bentoml"} <= loaded
    assert not OFF_THE_REQUEST_PATH & first(loaded)
    assert not {name for name in loaded if re.match(r"(tabular_bento\.)?(training|monitoring|evaluation)\b", name)}
