"""What the README shows is what happens."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.scoring.package import ModelPackage
from tests.serving import ServedPort

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CONSOLE = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
TARGETS = sorted(set(re.findall(r"[`$] ?make ([a-z-]+)", README + (ROOT / "docs/adapt.md").read_text())))
CURLS = [block for block in CONSOLE if block.startswith("$ curl")]


def run(command: str, port: int) -> Any:
    """What the shell command answers, sent to `port` in place of the README's."""
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


@pytest.mark.parametrize("block", CURLS, ids=lambda block: block.split()[3].split("3000")[1])
def test_every_curl_gets_the_answer_that_is_shown(block: str, server: ServedPort) -> None:
    command, shown = block.removeprefix("$ ").rstrip().rsplit("\n", 1)
    answer, expected = run(command, server.process.port), json.loads(shown)

    assert shape(answer) == shape(expected)
    if command.startswith("curl -s localhost:3000/predict"):
        assert answer[0]["arrival_delay"] == pytest.approx(expected[0]["arrival_delay"], abs=0.01)


def test_triton_s_client_prints_what_is_shown(server: ServedPort, triton: Path) -> None:
    match = re.search(r"```python\n(.*?)```\n\nwhich prints `(.*?)`", README, re.DOTALL)
    assert match is not None
    program = match[1].replace("localhost:3001", f"localhost:{server.grpc_port}")
    result = subprocess.run([triton, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == match[2]


def test_there_is_a_curl_for_predictions_outcomes_and_tensors() -> None:
    assert len(CURLS) == 3


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_metrics_shown_are_those_of_the_package(package: ModelPackage) -> None:
    metrics = package.metrics
    shown = dict(re.findall(r"^\| ([^|]+?) \| \**([\d.]+)\** \(", README, re.MULTILINE))

    assert shown == {
        "XGBoost, 120 trees": f"{metrics['metrics']['test']['rmse']:.2f}",
        "Ridge on the same features": f"{metrics['baselines']['ridge']['test']['rmse']:.2f}",
        "the carrier's mean gain on the route": f"{metrics['baselines']['gain_carrier_route']['test']['rmse']:.2f}",
        "arrives as late as it left": f"{metrics['baselines']['zero_gain']['test']['rmse']:.2f}",
    }


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
