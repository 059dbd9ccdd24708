"""What the README and the pages on protocols and on the flights show is what happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.scoring.package import METRICS_FILE
from tests.conftest import ROOT, FullModel
from tests.serving import ServedPort, serve

PROTOCOLS = (ROOT / "docs" / "protocols.md").read_text()
SHOWN = (ROOT / "README.md").read_text() + PROTOCOLS
CONSOLE = re.findall(r"```console\n(.*?)```", SHOWN, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", SHOWN, re.DOTALL)
CURLS = [block for block in CONSOLE if block.startswith("$ curl")]


def run(command: str, port: int) -> Any:
    """What the shell command returns, sent to `port` in place of the page's."""
    command = command.replace("localhost:3000", f"localhost:{port}")
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def shape(value: Any) -> Any:
    """A JSON value with its keys and types, and without what differs from call to call."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value)


def printed(python: Path | str, program: str, server: ServedPort) -> str:
    """What one of the pages' programs prints, sent to the server's ports."""
    program = program.replace("localhost:3001", f"localhost:{server.grpc_port}")
    program = program.replace("localhost:3000", f"localhost:{server.process.port}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([python, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return result.stdout.strip()


@pytest.fixture(scope="module")
def full_server(trained_full: FullModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPort]:
    """A server of the project's own model, whose predictions the pages show."""
    settings = {"BENTOML_HOME": str(trained_full.store), "TABULAR_BENTO_MODEL": trained_full.tag}
    with serve(tmp_path_factory.mktemp("full-server"), **settings) as served:
        yield served


@pytest.mark.parametrize("block", CURLS, ids=lambda block: block.split()[3].split("3000")[1])
def test_every_curl_gets_a_response_of_the_shape_that_is_shown(block: str, server: ServedPort) -> None:
    command, shown = block.removeprefix("$ ").rstrip().rsplit("\n", 1)
    assert shape(run(command, server.process.port)) == shape(json.loads(shown))


def test_there_is_a_curl_for_predictions_labels_and_tensors() -> None:
    assert len(CURLS) == 3


@pytest.mark.slow
def test_the_predictions_shown_are_those_of_the_project_s_model(full_server: ServedPort) -> None:
    for path, value_of in (
        ("/predict", lambda response: response[0]["arrival_delay"]),
        ("/v2/models", lambda response: response["outputs"][0]["data"][0]),
    ):
        (block,) = (block for block in CURLS if f"localhost:3000{path}" in block)
        command, shown = block.removeprefix("$ ").rstrip().rsplit("\n", 1)
        response = run(command, full_server.process.port)
        assert value_of(response) == pytest.approx(value_of(json.loads(shown)), abs=0.01)


def test_the_declaration_shown_is_that_of_the_example() -> None:
    (declaration,) = (block for block in PYTHON if "Problem(" in block)
    assert declaration in (ROOT / "examples" / "diabetes" / "features" / "problem.py").read_text()


@pytest.mark.slow
def test_the_client_prints_what_is_shown(full_server: ServedPort) -> None:
    (program,) = (block for block in PYTHON if "tabular_bento.client" in block)
    match = re.search(r"prints `([\d.]+)` three times", PROTOCOLS)
    assert match is not None
    assert printed(sys.executable, program, full_server).split() == [match[1]] * 3


@pytest.mark.slow
def test_triton_s_client_prints_what_is_shown(full_server: ServedPort, triton: Path) -> None:
    (program,) = (block for block in PYTHON if "tritonclient" in block)
    match = re.search(r"which prints `(\[.*?\])`", PROTOCOLS)
    assert match is not None
    assert printed(triton, program, full_server) == match[1]


@pytest.mark.slow
def test_the_metrics_shown_are_those_of_the_project_s_model(trained_full: FullModel) -> None:
    metrics = json.loads((trained_full.folder / METRICS_FILE).read_text())
    page = (ROOT / "docs" / "flights.md").read_text()
    shown = dict(re.findall(r"^\| ([^|]+?) \| \**([\d.]+)\** \(", page, re.MULTILINE))

    assert shown == {
        "XGBoost, 120 trees": f"{metrics['metrics']['test']['rmse']:.2f}",
        "Ridge on the same features": f"{metrics['baselines']['ridge']['test']['rmse']:.2f}",
        "the carrier's mean gain on the route": f"{metrics['baselines']['historical_baseline']['test']['rmse']:.2f}",
        "arrives as late as it left": f"{metrics['baselines']['naive_baseline']['test']['rmse']:.2f}",
    }
