"""A server does without the code of training and monitoring, and without the libraries that only they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.conftest import ROOT

FORBIDDEN = {
    "dask",
    "duckdb",
    "evidently",
    "matplotlib",
    "pandas",
    "plotly",
    "pyarrow",
    "scipy",
    "sklearn",
    "skops",
    "tabular_bento.client",
    "tabular_bento.evaluation",
    "tabular_bento.monitoring",
    "tabular_bento.training",
    "training",
    "monitoring",
}
"""XGBoost imports some of these where they are installed, so they are hidden from it."""

SERVING = """\
import json
import sys
from importlib.machinery import PathFinder

FORBIDDEN = {forbidden!r}


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname in FORBIDDEN else PathFinder.find_spec(fullname, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
import service

model = service.spec.load_model()
log = service.spec.open_log()
from tabular_bento.serving.endpoints import grpc, http, middleware, rest
from tabular_bento.serving.shadow import __main__
from features.problem import PROBLEM

schema = service.spec.requests
rows = schema.parse_rows(json.dumps({"flights": [dict(PROBLEM.example)] * 20}))
package = model.current
features = package.extractor.transform(rows)
batch = log.record(rows, package, features, package.outputs(package.score(features, rows), rows))
assert len(json.loads(batch.json())) == 20
print(json.dumps(sorted(sys.modules)))
"""


def imported(code: str, **environment: str) -> set[str]:
    """The modules that are imported by code that prints them as its last line."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_a_server_does_without_training_and_monitoring(trained: dict[str, Any], tmp_path: Any) -> None:
    environment = {"TABULAR_BENTO_MODEL": trained["tag"], "TABULAR_BENTO_TRAFFIC_DIR": str(tmp_path / "traffic")}
    modules = imported(SERVING.replace("{forbidden!r}", repr(FORBIDDEN)), **environment)
    assert not FORBIDDEN & modules


def test_the_plain_application_needs_no_bentoml() -> None:
    code = (
        "import json, sys\n"
        "from tabular_bento.serving import ServingSettings, application\n"
        "ServingSettings()\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    modules = imported(code)
    assert not (FORBIDDEN | {"bentoml", "grpc", "xgboost"}) & modules
