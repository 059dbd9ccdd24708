from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.record import Record
from tests.conftest import ROOT
from tests.container.conftest import Shipped
from tests.serving import free_port
from tests.test_lock import entries

pytestmark = pytest.mark.container

REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


def step(name: str, environment: dict[str, str], expect: int = 0, **settings: str) -> str:
    """What a step prints: to standard output where it is done, else to standard error."""
    command = [sys.executable, "-m", "deploy", name]
    result = subprocess.run(
        command, cwd=ROOT, env={**environment, **settings}, capture_output=True, text=True, check=False
    )
    assert result.returncode == expect, result.stdout + result.stderr
    return result.stderr if expect else result.stdout


@pytest.fixture(scope="module")
def registry(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: ARG001
    """Host and port of a registry on the loopback."""
    if shutil.which("docker-registry") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs docker-registry")
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    (folder / "config.yml").write_text(REGISTRY.format(folder=folder, port=port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=1)
                break
            except OSError:
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A private key and its public one."""
    folder = tmp_path_factory.mktemp("keys")
    private, public = str(folder / "private.pem"), str(folder / "public.pem")
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", private],
        check=True,
        capture_output=True,
    )
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


@pytest.fixture(scope="module")
def tools() -> None:
    """The environment of the scanner and of the bill of materials."""
    subprocess.run(["make", "--no-print-directory", ".venv-scan/.locked"], cwd=ROOT, check=True, capture_output=True)


def test_pushed_and_signed_the_registry_s_image_is_the_one_that_was_signed(
    shipped: Shipped, registry: str, keys: tuple[str, str]
) -> None:
    assert "REGISTRY is not set" in step("push", shipped.environment, expect=1)
    step("push", shipped.environment, REGISTRY=f"{registry}/team", REGISTRY_TLS="false")
    record = Record.read(shipped.folder)
    assert record.pushed == f"{registry}/team/{record.image.removeprefix('localhost/')}"
    assert _digest(registry, record) == record.digest

    assert "SIGN_KEY is not set" in step("sign", shipped.environment, expect=1)
    step("sign", shipped.environment, SIGN_KEY=keys[0])
    payload = json.loads((shipped.folder / "payload.json").read_text())
    assert payload["critical"]["image"]["docker-manifest-digest"] == record.digest
    assert payload["critical"]["identity"]["docker-reference"] == record.pushed.rsplit(":", 1)[0]
    assert payload["optional"] == record.labels
    assert record.digest in step("verify", shipped.environment, VERIFY_KEY=keys[1])


def test_a_signature_of_another_key_of_another_text_and_of_another_image_is_refused(
    shipped: Shipped, keys: tuple[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "ship"
    shutil.copytree(shipped.folder, folder)
    environment = {**shipped.environment, "SHIP_DIR": str(folder)}
    step("sign", environment, SIGN_KEY=keys[0])

    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other])
    step("verify", environment, expect=1, VERIFY_KEY=str(other))

    payload = (folder / "payload.json").read_text()
    (folder / "payload.json").write_text(payload.replace("xgboost", "sklearn"))
    step("verify", environment, expect=1, VERIFY_KEY=keys[1])

    (folder / "payload.json").write_text(payload)
    Record.read(folder).model_copy(update={"digest": "sha256:" + "0" * 64}).write(folder)
    assert "sign it again" in step("verify", environment, expect=1, VERIFY_KEY=keys[1])


def test_the_bill_of_materials_has_every_locked_package_with_its_hashes(tools: None, tmp_path: Path) -> None:  # noqa: ARG001
    step("sbom", {**os.environ, "SHIP_DIR": str(tmp_path)})
    document = json.loads((tmp_path / "sbom.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    listed = {f"{part['name']}=={part['version']}": part for part in document["components"]}
    locked = {entry.split(" ")[0] for entry in entries(ROOT / "requirements" / "serving.txt")}
    assert set(listed) == locked
    assert all(part["externalReferences"][0]["hashes"] for part in listed.values())


def test_a_scan_that_reaches_no_advisories_is_no_clean_bill(tools: None, tmp_path: Path) -> None:  # noqa: ARG001
    unreachable = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    said = step("scan", {**os.environ, "SHIP_DIR": str(tmp_path)}, expect=3, **unreachable)
    assert said.startswith("scan: ")
    assert "No package was looked up" in said


def _digest(registry: str, record: Record) -> str:
    """The digest that the registry itself gives for what was pushed."""
    name, tag = record.pushed.removeprefix(f"{registry}/").rsplit(":", 1)
    accepted = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    request = urllib.request.Request(f"http://{registry}/v2/{name}/manifests/{tag}", headers=accepted)
    with urllib.request.urlopen(request, timeout=10) as answer:
        digest: str = answer.headers["Docker-Content-Digest"]
        return digest
