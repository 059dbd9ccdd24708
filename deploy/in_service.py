"""Takes the model in service out of its image, for a candidate to be compared with where the store is empty."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from deploy.commands import podman
from deploy.errors import DeployError
from deploy.image import inspect
from deploy.settings import ShipSettings
from tabular_bento.scoring.manifest import verify_manifest
from tabular_bento.scoring.store import store_home
from tabular_bento.testing.container import MODELS_DIR


def fetch(settings: ShipSettings) -> str:
    """Put the model of the image `IN_SERVICE`, pulled where it is a registry's, into the store, and give its tag.

    A model that is in the store already is left as it is. Raises DeployError where the image was not made by
    `containerize`, and PackageError where its package is damaged.
    """
    image = settings.in_service
    if not image:
        raise DeployError("IN_SERVICE is not set: it names the image in service.")
    if "/" in image and not image.startswith("localhost/"):
        tls = f"--tls-verify={str(settings.registry_tls).lower()}"
        podman("pull", "--quiet", tls, image, what="Pulling the image in service")
    labels = inspect(image)["Labels"] or {}
    tag = str(labels.get("model.tag", ""))
    if tag.count(":") != 1:
        raise DeployError(f"{image} has no label model.tag, so it is no image that `make containerize` built.")
    place = Path(tag.replace(":", "/"))
    target = store_home() / "models" / place
    with tempfile.TemporaryDirectory(dir=_folder(target.parent)) as draft:
        _copy(image, f"{MODELS_DIR}/{place}", draft)
        fingerprint = verify_manifest(Path(draft) / place.name)
        if fingerprint != labels.get("model.fingerprint"):
            raise DeployError(f"The model in {image} is not the one that its label model.fingerprint names.")
        if not target.exists():
            shutil.move(Path(draft) / place.name, target)
    return tag


def _copy(image: str, source: str, folder: str) -> None:
    container = podman("create", image, what="Opening the image in service")
    try:
        podman("cp", f"{container}:{source}", folder, what="Reading the model in service")
    finally:
        podman("rm", container, what="Closing the image in service")


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
