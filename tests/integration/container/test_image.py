from __future__ import annotations

import re

import pytest

from deploy.image import inspect
from deploy.supply import LOCKS
from features.problem import PROBLEM
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.image import ENVIRONMENT, USER_ID
from tabular_bento.testing.container import RunningImage
from tests.integration.container.conftest import Shipped
from tests.test_lock import entries, normal

pytestmark = [pytest.mark.container, pytest.mark.slow]

LOCK = LOCKS / "xgboost.txt"

MOST_BYTES = 620_000_000

TOOLS = ("pip", "pip3", "uv", "gcc", "cc", "g++", "make", "ld", "git", "curl", "wget")
"""Programs that build, install or fetch."""

LISTED = "from importlib.metadata import distributions as d; print(*(f'{x.name}=={x.version}' for x in d()))"


def test_make_ship_ends_with_tag_size_and_digest(shipped: Shipped) -> None:
    record = shipped.record
    *_, model, bento, image, size, digest = shipped.output.strip().splitlines()
    assert model.split() == ["model", record.model]
    assert bento.split() == ["bento", record.bento]
    assert image.split() == ["image", record.image]
    assert size.split() == ["size", f"{record.size_bytes / 1e6:.0f}", "MB"]
    assert digest.split() == ["digest", record.digest]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", record.digest)
    assert "120 parity vectors equal through grpc" in shipped.output


def test_the_image_is_no_larger_than_it_may_be(shipped: Shipped) -> None:
    assert inspect(shipped.record.image)["Size"] <= MOST_BYTES


def test_labels_say_which_model_and_which_code(shipped: Shipped) -> None:
    labels = inspect(shipped.record.image)["Labels"]
    described = ModelPackage.load(shipped.package, shipped.record.model, PROBLEM).describe()
    assert {name: value for name, value in labels.items() if name.startswith("model.")} == {
        "model.tag": described["tag"],
        "model.runner": "xgboost",
        "model.fingerprint": described["fingerprint"],
        "model.fingerprint.declaration": described["declaration_fingerprint"],
        "model.fingerprint.code": described["code_fingerprint"],
        "model.fingerprint.extractor": described["extractor_fingerprint"],
        "model.fingerprint.data": described["provenance"]["data_fingerprint"],
        "model.revision": described["provenance"]["commit"] or "unknown",
        "model.trained": described["provenance"]["trained_at"],
    }
    assert labels["org.opencontainers.image.version"] == shipped.record.bento.split(":")[1]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels["org.opencontainers.image.revision"])


def test_it_runs_as_a_user_and_with_both_ports(shipped: Shipped, running: RunningImage) -> None:
    config = inspect(shipped.record.image)["Config"]
    assert config["User"] == "bentoml"
    assert set(config["ExposedPorts"]) == {"3000/tcp", "3001/tcp"}
    assert {f"{name}={value}" for name, value in ENVIRONMENT.items()} <= set(config["Env"])
    assert running.run("id", "-u", "-n") == "bentoml"
    assert running.run("id", "-u") == running.run("stat", "-c", "%u", "/traffic") == str(USER_ID)


def test_it_holds_the_locked_packages_and_no_other(running: RunningImage) -> None:
    installed = {normal(name) for name in running.run("python", "-c", LISTED).split()}
    locked = {normal(re.split(r"[; ]", entry, maxsplit=1)[0]) for entry in entries(LOCK)}
    assert installed <= locked
    assert not {name for name in locked - installed if not _for_another_platform(name)}
    assert not {"scipy", "scikit-learn", "pandas", "pyarrow", "evidently"} & {name.split("==")[0] for name in installed}


def test_it_has_nothing_to_build_install_or_fetch_with(running: RunningImage) -> None:
    found = running.run("sh", "-c", f"for tool in {' '.join(TOOLS)}; do command -v $tool || true; done")
    assert found == ""
    assert running.run("sh", "-c", "/usr/bin/python3 -c 'import pip' 2>&1 || true").endswith("No module named 'pip'")


def test_it_holds_the_code_that_serves_and_one_model(shipped: Shipped, running: RunningImage) -> None:
    home = "/home/bentoml/bento"
    assert set(running.run("ls", f"{home}/src").split()) == {
        "README.md",
        "bentofile.yaml",
        "features",
        "pyproject.toml",
        "service.py",
        "tabular_bento",
    }
    name, version = shipped.record.model.split(":")
    models = running.run("find", f"{home}/models", "-mindepth", "2", "-maxdepth", "2", "-type", "d")
    assert models == f"{home}/models/{name}/{version}"


def test_no_file_of_the_bento_names_a_package_index(shipped: Shipped) -> None:
    for path in (shipped.bento / "env").rglob("*"):
        text = path.read_text() if path.is_file() else ""
        assert "index" not in text.replace("--no-emit-index-url", ""), path
        assert not re.search(r"https?://(?!stackoverflow|unix\.stackexchange)", text), path


def _for_another_platform(name: str) -> bool:
    lines = [entry for entry in entries(LOCK) if normal(entry).startswith(name)]
    return any(";" in line for line in lines)
