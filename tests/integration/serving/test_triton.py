from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from features.problem import PROBLEM
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.parity import read_rows
from tests.flights.rows import to_json
from tests.integration.serving.clients import inputs_of
from tests.serving import ServedPort

SCRIPT = Path(__file__).with_name("triton_client.py")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 10_000])
def test_the_unmodified_client_gets_what_post_predict_gives(
    triton: Path, server: ServedPort, package: ModelPackage, package_folder: Path, count: int
) -> None:
    real = [
        row for row in map(to_json, read_rows(package_folder, PROBLEM.fields)) if len(row) >= len(PROBLEM.fields) - 1
    ]
    rows = [{**row, "id": f"row-{index}"} for index, row in enumerate((real * (count // len(real) + 1))[:count])]
    asked = {
        "grpc": f"localhost:{server.grpc_port}",
        "http": f"localhost:{server.process.port}",
        "inputs": inputs_of(rows),
    }
    result = subprocess.run([triton, SCRIPT], input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    expected = [response["arrival_delay"] for response in server.predict(rows)]

    for name, response in json.loads(result.stdout).items():
        assert response["live"] is response["ready"] is response["model ready"] is True, name
        assert response["version"] == package.tag.split(":")[1], name
        assert [input_name for input_name, _, _ in response["inputs"]] == [field.name for field in PROBLEM.fields], name
        assert response["id"] == "abc", name
        assert response["arrival_delay"] == response["unasked"] == expected, name
        assert len(set(response["prediction_id"])) == count, name
        assert_refused(response["refusals"], name)


def assert_refused(refusals: dict[str, Any], protocol: str) -> None:
    codes = {"grpc": ("StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT"), "http": ("404", "400")}[protocol]
    (unknown, message), (missing, named) = refusals["unknown model"], refusals["missing input"]
    assert (unknown, missing) == codes
    assert message.startswith("The model ships is not served here; flights, ")
    assert named == "Input 'carrier' is missing, and is not optional."
    assert refusals["not served"][0] == {"grpc": "StatusCode.UNIMPLEMENTED", "http": "404"}[protocol]
