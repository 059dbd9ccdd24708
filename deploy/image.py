"""From the model store to a bento, and from the bento to an image that says what is in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bentoml

from deploy.commands import podman, run
from deploy.errors import DeployError
from deploy.record import Record
from deploy.settings import ShipSettings
from tabular_bento.project import Project
from tabular_bento.scoring.manifest import FILE as MANIFEST_FILE
from tabular_bento.scoring.package import PACKAGE_FILE, PROVENANCE_FILE
from tabular_bento.training.commit import commit_of


def build(settings: ShipSettings) -> Record:
    """Build the project's bento. Raises DeployError, with the message of `bentoml build`, where there is no model."""
    project = Project.find()
    command = [sys.executable, "-m", "bentoml", "build", str(project.root)]
    if commit := commit_of():
        command += ["--label", f"commit={commit}"]
    run(command, "Building the bento")
    bento = bentoml.bentos.get(
        f"{project.load_problem().name}:latest"
    )  # the output has emoji in the place of some names
    record = Record(bento=str(bento.tag), model=str(bento.info.all_models[0].tag))
    record.write(settings.ship_dir)
    return record


def containerize(settings: ShipSettings) -> Record:
    """Build the image of the bento that was built last, with labels, and check them."""
    record = Record.read(settings.ship_dir, needs="bento", step="build")
    name = f"{settings.image_name}:{record.bento.split(':')[1]}"
    labels = labels_of(record.bento)
    command = [sys.executable, "-m", "bentoml", "containerize", record.bento, "--backend", "podman"]
    command += ["--image-tag", name, "--opt", f"network={settings.build_network}", "--opt", "squash"]
    for label, value in labels.items():
        command += ["--opt", f"label={label}={value}"]
    run(command, "Building the image")
    image = inspect(name)
    found = image["Labels"] or {}
    if missing := {label for label, value in labels.items() if found.get(label) != value}:
        raise DeployError(f"The image {name} lacks the labels {', '.join(sorted(missing))}.")
    record = record.model_copy(
        update={
            "image": image["RepoTags"][0],
            "image_id": image["Id"],
            "digest": image["Digest"],
            "size_bytes": image["Size"],
            "labels": labels,
            "pushed": "",
        }
    )
    record.write(settings.ship_dir)
    return record


def inspect(image: str) -> dict[str, Any]:
    """What podman knows of an image. Raises DeployError where there is none of that name."""
    documents: list[dict[str, Any]] = json.loads(podman("image", "inspect", image, what="Looking at the image"))
    return documents[0]


def labels_of(bento_tag: str) -> dict[str, str]:
    """The labels of an image: the model, its fingerprints, and the commits of the code and of the training."""
    bento = bentoml.bentos.get(bento_tag)
    model = bentoml.models.get(str(bento.info.all_models[0].tag))
    manifest, declared, provenance = (
        json.loads(Path(model.path_of(name)).read_text()) for name in (MANIFEST_FILE, PACKAGE_FILE, PROVENANCE_FILE)
    )
    return {
        "org.opencontainers.image.title": bento.tag.name,
        "org.opencontainers.image.version": str(bento.tag.version),
        "org.opencontainers.image.revision": str(bento.info.labels.get("commit") or "unknown"),
        "model.tag": str(model.tag),
        "model.runner": declared["runner"]["kind"],
        "model.fingerprint": manifest["fingerprint"],
        "model.fingerprint.declaration": declared["declaration_fingerprint"],
        "model.fingerprint.code": declared["code_fingerprint"],
        "model.fingerprint.extractor": declared["extractor_fingerprint"],
        "model.fingerprint.data": provenance["data_fingerprint"],
        "model.revision": provenance["commit"] or "unknown",
        "model.trained": provenance["trained_at"],
    }
