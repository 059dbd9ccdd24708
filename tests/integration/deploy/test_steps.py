"""Steps that cannot be done say so in one line, and by their exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import commands
from tests.conftest import ROOT, copy_of_store


def step(name: str, folder: Path, **settings: str) -> tuple[int, str]:
    """Exit code and standard error of a step whose record is in `folder`."""
    environment = {**os.environ, "SHIP_DIR": str(folder / "ship"), "BENTOML_HOME": str(folder / "store"), **settings}
    result = commands.run("deploy", (name,), ROOT, environment)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("containerize", "names no bento: run `make build` first"),
        ("smoke", "names no image: run `make containerize` first"),
        ("push", "names no image: run `make containerize` first"),
        ("sign", "names no pushed image: run `make push` first"),
        ("show", "names no image: run `make containerize` first"),
        ("pushed", "names no pushed image: run `make push` first"),
        ("in-service", "IN_SERVICE is not set"),
        ("gate", "There is no model flights:latest in the store: run `make train`"),
    ],
)
def test_a_step_before_its_turn_names_the_one_that_is_missing(tmp_path: Path, name: str, message: str) -> None:
    code, said = step(name, tmp_path)
    assert code == 1
    assert message in said


def test_a_bento_is_not_built_where_no_model_was_released(trained: dict[str, Any], tmp_path: Path) -> None:
    copy_of_store(trained["tag"], tmp_path / "store")
    code, said = step("build", tmp_path)
    assert code == 1
    assert "No model was released, so there is no champion to build with" in said


def test_the_gate_refuses_a_damaged_package_in_one_line(trained: dict[str, Any], tmp_path: Path) -> None:
    store = copy_of_store(trained["tag"], tmp_path / "store")
    weights = next((store / "models" / trained["tag"].replace(":", "/") / "runner").iterdir())
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    code, said = step("gate", tmp_path)
    assert code == 1
    assert f"{weights.name} is damaged" in said


def test_where_podman_is_not_installed_nothing_was_found_out(tmp_path: Path) -> None:
    record = tmp_path / "ship" / "record.json"
    record.parent.mkdir()
    record.write_text('{"image": "flights:1", "image_id": "1", "digest": "sha256:1"}')
    code, said = step("push", tmp_path, REGISTRY="127.0.0.1:1", PATH=str(tmp_path))
    assert (code, said.strip()) == (3, "push: Pushing the image needs podman, which is not installed.")


def test_a_setting_that_is_wrong_is_named(tmp_path: Path) -> None:
    code, said = step("show", tmp_path, REGISTRY_TLS="perhaps")
    assert code == 2
    assert said.startswith("show: REGISTRY_TLS: ")


def test_a_record_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    record = tmp_path / "ship" / "record.json"
    record.parent.mkdir()
    record.write_text("{")
    code, said = step("containerize", tmp_path)
    assert code == 1
    assert "record.json cannot be read" in said


def test_openssl_signs_with_a_key_that_is_given_itself(tmp_path: Path) -> None:
    folder = tmp_path / "ship"
    folder.mkdir()
    record = {"image": "localhost/flights:1", "digest": "sha256:1", "pushed": "registry.example.com/flights:1"}
    (folder / "record.json").write_text(json.dumps(record))
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    generate = ["openssl", "genpkey", "-algorithm", "RSA", "-out", private]
    subprocess.run(generate, check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    assert step("sign", tmp_path, SIGN_KEY_PEM=private.read_text()) == (0, "")
    assert step("verify", tmp_path, VERIFY_KEY=str(public)) == (0, "")
    shutil.copy(private, public)
    assert step("verify", tmp_path, VERIFY_KEY=str(public))[0] == 1
