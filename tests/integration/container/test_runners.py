"""The images of runners beside XGBoost: built from their locks, run hardened, and held to the bits of their models.

RUNNERS in the environment names the runners: `make container-test RUNNERS="lightgbm keras pipeline"`. By default it is
LightGBM alone, whose image is the only one with a package of Debian's.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tabular_bento.serving.image import lock_path
from tabular_bento.testing.container import RunningImage
from tabular_bento.testing.served import check_served
from tests.integration.container.test_image import LISTED
from tests.integration.examples.projects import Project
from tests.models import ROOT, run_command
from tests.test_lock import entries, normal

pytestmark = [pytest.mark.container, pytest.mark.slow]

RUNNERS = os.environ.get("RUNNERS", "lightgbm").split()


def trained(kind: str, folder: Path) -> tuple[Project, str]:
    """An example with a model of a kind, and the model's tag."""
    example = ROOT / "examples" / ("pipeline" if kind == "pipeline" else "diabetes")
    project = Project(example, folder / "bentoml", folder / "out")
    if kind == "pipeline":
        subprocess.run([sys.executable, example / "elsewhere" / "fit.py", folder], check=True)
        given = (str(folder / "pipeline.skops"), "--rows", str(folder / "sample.parquet"), "--trust")
        printed = project.run("import", *given, "--json").stdout
    else:
        printed = project.run("train", "--runner", kind, "--json").stdout
    return project, str(json.loads(printed.splitlines()[-1])["tag"])


@pytest.mark.parametrize("kind", RUNNERS)
def test_the_image_of_a_runner_returns_the_predictions_of_its_model(kind: str, base: str, tmp_path: Path) -> None:
    project, tag = trained(kind, tmp_path)
    bento = project.build(BASE_IMAGE=base, TABULAR_BENTO_MODEL=tag)
    image = f"localhost/runner-{kind}:{tmp_path.name}"
    options = ("--backend", "podman", "--image-tag", image, "--opt", "network=host", "--opt", "squash")
    made = run_command("containerize", bento, *options, module="bentoml", **project.environment)
    assert made.returncode == 0, made.stdout + made.stderr
    try:
        with RunningImage(image) as container:
            counts = check_served(project.package(tag), container.url, container.address)
            installed = {normal(name) for name in container.run("python", "-c", LISTED).split()}
            assert container.stop() == 0
    finally:
        subprocess.run(["podman", "image", "rm", "--force", image], check=True, stdout=subprocess.DEVNULL)
    assert set(counts) == {"json", "rest-binary", "grpc"}
    assert min(counts.values()) > 50
    locked = {normal(re.split(r"[; ]", entry, maxsplit=1)[0]) for entry in entries(lock_path(kind))}
    assert installed <= locked
