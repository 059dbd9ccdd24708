"""The smoke test: an image that returns the model's parity vectors with training's bits, over each of its protocols."""

from __future__ import annotations

from deploy.errors import DeployError
from deploy.record import Record
from deploy.settings import ShipSettings
from tabular_bento.scoring.store import find_model
from tabular_bento.testing.container import RunningImage
from tabular_bento.testing.served import check_served


def smoke(settings: ShipSettings) -> str:
    """Run the image hardened, check the parity vectors, stop it, and report what was checked.

    Raises
    ------
    DeployError
        Where a value differs, a request fails, or the container does not end with 0.
    ServerError
        Where it does not start.
    """
    record = Record.read(settings.ship_dir, needs="image", step="containerize")
    folder = find_model(record.labels["model.tag"]).directory
    with RunningImage(record.image_id, network=settings.container_network) as container:
        try:
            counts = check_served(folder, container.url, container.address)
        except AssertionError as error:
            raise DeployError(f"Parity fails: {error}.") from error
        code = container.stop()
    if code:
        raise DeployError(f"The container ended with {code} when it was asked to stop, where 0 was expected.")
    return "; ".join(f"{count} parity vectors equal through {protocol}" for protocol, count in counts.items())
