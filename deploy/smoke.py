"""The smoke test: an image that returns the model's parity vectors with training's bits, over each of its protocols."""

from __future__ import annotations

from pathlib import Path

from deploy.commands import podman
from deploy.container import Container
from deploy.errors import DeployError
from deploy.record import Record
from deploy.settings import ShipSettings
from tabular_bento.scoring.store import find_model
from tabular_bento.testing.served import check_served


def smoke(settings: ShipSettings) -> str:
    """Run the image hardened, check the parity vectors, stop it, and report what was checked.

    Raises
    ------
    DeployError
        Where a value differs, a request fails, or the container does not end with 0.
    """
    record = Record.read(settings.ship_dir, needs="image", step="containerize")
    folder = find_model(record.labels["model.tag"]).directory
    volume = f"smoke-{record.image_id[:12]}"
    try:
        with Container(record.image_id, volume, settings.container_network) as container:
            counts = check_protocols(folder, container.url, container.address)
            code = container.stop()
    finally:
        podman("volume", "rm", "--force", volume, what="Removing the volume")
    if code:
        raise DeployError(f"The container ended with {code} when it was asked to stop, where 0 was expected.")
    return "; ".join(f"{count} parity vectors equal through {protocol}" for protocol, count in counts.items())


def check_protocols(package: Path, url: str, address: str) -> dict[str, int]:
    """Request the parity vectors of a model package over each protocol, see `tabular_bento.testing.served`.

    Raises
    ------
    DeployError
        Naming the first vector and output whose bits differ, or the request that was refused.
    """
    try:
        return check_served(package, url, address)
    except AssertionError as error:
        raise DeployError(f"Parity fails: {error}.") from error
