"""What the README shows is what happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from features.problem import PROBLEM
from tabular_bento.training import load_config, train
from tests.conftest import ROOT
from tests.serving import ServedPort
from training.source import SOURCE

README = (ROOT / "README.md").read_text()
CONSOLE = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CURLS = [block for block in CONSOLE if block.startswith("$ curl")]


def run(command: str, port: int) -> Any:
    """What the shell command returns, sent to `port` in place of the README's."""
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
    """What one of the README's programs prints, sent to the server's ports."""
    program = program.replace("localhost:3001", f"localhost:{server.grpc_port}")
    program = program.replace("localhost:3000", f"localhost:{server.process.port}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([python, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return result.stdout.strip()


@pytest.mark.parametrize("block", CURLS, ids=lambda block: block.split()[3].split("3000")[1])
def test_every_curl_gets_the_response_that_is_shown(block: str, server: ServedPort) -> None:
    command, shown = block.removeprefix("$ ").rstrip().rsplit("\n", 1)
    response, expected = run(command, server.process.port), json.loads(shown)

    assert shape(response) == shape(expected)
    if command.startswith("curl -s localhost:3000/predict"):
        assert response[0]["arrival_delay"] == pytest.approx(expected[0]["arrival_delay"], abs=0.01)


def test_there_is_a_curl_for_predictions_labels_and_tensors() -> None:
    assert len(CURLS) == 3


def test_the_client_prints_what_is_shown(server: ServedPort) -> None:
    (program,) = (block for block in PYTHON if "tabular_bento.client" in block)
    match = re.search(r"prints `([\d.]+)` three times", README)
    assert match is not None
    assert printed(sys.executable, program, server).split() == [match[1]] * 3


@pytest.mark.slow
def test_triton_s_client_prints_what_is_shown(server: ServedPort, triton: Path) -> None:
    (program,) = (block for block in PYTHON if "tritonclient" in block)
    match = re.search(r"which prints `(\[.*?\])`", README)
    assert match is not None
    assert printed(triton, program, server) == match[1]


@pytest.mark.slow
def test_the_metrics_shown_are_those_of_a_model_of_six_months() -> None:
    config = load_config(ROOT / "training" / "config.toml", problem=PROBLEM)
    metrics = train(PROBLEM, SOURCE.load(config.source), config).document()
    shown = dict(re.findall(r"^\| ([^|]+?) \| \**([\d.]+)\** \(", README, re.MULTILINE))

    assert shown == {
        "XGBoost, 120 trees": f"{metrics['metrics']['test']['rmse']:.2f}",
        "Ridge on the same features": f"{metrics['baselines']['ridge']['test']['rmse']:.2f}",
        "the carrier's mean gain on the route": f"{metrics['baselines']['historical_baseline']['test']['rmse']:.2f}",
        "arrives as late as it left": f"{metrics['baselines']['naive_baseline']['test']['rmse']:.2f}",
    }
