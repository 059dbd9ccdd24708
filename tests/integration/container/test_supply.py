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
from deploy.supply import LOCKS
from features.problem import PROBLEM
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.releases import Releases
from tabular_bento.serving.ports import free_port
from tests.conftest import ROOT
from tests.environments import environment
from tests.integration.container.conftest import Shipped
from tests.test_lock import entries

pytestmark = [pytest.mark.container, pytest.mark.slow]

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
    environment("scan")


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
    variables = {**shipped.environment, "SHIP_DIR": str(folder)}
    step("sign", variables, SIGN_KEY=keys[0])

    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other])
    step("verify", variables, expect=1, VERIFY_KEY=str(other))

    payload = (folder / "payload.json").read_text()
    (folder / "payload.json").write_text(payload.replace("xgboost", "sklearn"))
    step("verify", variables, expect=1, VERIFY_KEY=keys[1])

    (folder / "payload.json").write_text(payload)
    Record.read(folder).model_copy(update={"digest": "sha256:" + "0" * 64}).write(folder)
    assert "sign it again" in step("verify", variables, expect=1, VERIFY_KEY=keys[1])


def test_the_bill_of_materials_has_every_locked_package_with_its_hashes(tools: None, tmp_path: Path) -> None:  # noqa: ARG001
    step("sbom", {**os.environ, "SHIP_DIR": str(tmp_path)})
    document = json.loads((tmp_path / "sbom.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    listed = {f"{part['name']}=={part['version']}": part for part in document["components"]}
    locked = {entry.split(" ")[0] for entry in entries(LOCKS / "xgboost.txt")}
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
    with urllib.request.urlopen(request, timeout=10) as response:
        digest: str = response.headers["Docker-Content-Digest"]
        return digest


def test_the_model_in_service_is_taken_out_of_its_image_and_becomes_the_champion(
    shipped: Shipped, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    variables = {**shipped.environment, "BENTOML_HOME": str(store), "IN_SERVICE": shipped.record.image}
    command = ["make", "--no-print-directory", "in-service"]
    made = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr

    tag = shipped.record.model
    loaded = ModelPackage.load(store / "models" / tag.replace(":", "/"), tag, PROBLEM)
    assert loaded.fingerprint == shipped.record.labels["model.fingerprint"]
    champion = Releases(store, PROBLEM.name).champion()
    assert champion is not None
    assert (champion.tag, champion.evidence["reason"]) == (tag, f"in service as {shipped.record.image}")


def test_an_image_of_another_making_has_no_model_in_service(shipped: Shipped, tmp_path: Path) -> None:
    archive = tmp_path / "other.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tmp_path, "--files-from", "/dev/null"], check=True)
    other = subprocess.run(["podman", "import", "--quiet", archive], check=True, capture_output=True, text=True)
    name = other.stdout.strip().removeprefix("sha256:")
    try:
        assert "no label model.tag" in step("in-service", shipped.environment, expect=1, IN_SERVICE=name)
    finally:
        subprocess.run(["podman", "image", "rm", name], check=True, capture_output=True)
