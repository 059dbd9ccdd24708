"""The smoke test: an image that answers the model's parity vectors with training's bits, through each of its doors."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import bentoml
import numpy as np

from deploy.commands import podman
from deploy.container import Container
from deploy.errors import DeployError
from deploy.record import Record
from deploy.settings import ShipSettings
from features.definition import FIELD_NAMES, FIELDS, TARGET
from tabular_bento.monitoring.replay.doors import Door, GRPCDoor, HTTPDoor, RefusedError, RESTDoor
from tabular_bento.schema import Kind
from tabular_bento.scoring.parity import VECTORS_FILE, read_rows

_TIMEOUT = 60.0


def smoke(settings: ShipSettings) -> str:
    """Run the image hardened, check the parity vectors, stop it, and say what was seen. Raises DeployError."""
    record = Record.read(settings.ship_dir, needs="image", step="containerize")
    folder = Path(bentoml.models.get(record.labels["model.tag"]).path)
    volume = f"smoke-{record.image_id[:12]}"
    try:
        with Container(record.image_id, volume, settings.container_network) as container:
            counts = asyncio.run(check_doors(folder, container.url, container.address))
            code = container.stop()
    finally:
        podman("volume", "rm", "--force", volume, what="Removing the volume")
    if code:
        raise DeployError(f"The container ended with {code} when it was asked to stop, where 0 was expected.")
    return "; ".join(f"{count} parity vectors equal through {door}" for door, count in counts.items())


async def check_doors(package: Path, url: str, address: str) -> dict[str, int]:
    """Ask for the parity vectors of the model package in the folder `package` through each door, as one batch and the
    first alone, and count them. Raises DeployError naming the first whose bits differ, or the answer that is none.
    """
    rows = [_as_json(row, number) for number, row in enumerate(read_rows(package))]
    with np.load(package / VECTORS_FILE, allow_pickle=False) as arrays:
        expected = arrays["target"].tolist()
    doors: dict[str, Door] = {
        "http": HTTPDoor(url, 1, _TIMEOUT),
        "rest": RESTDoor(url, 1, _TIMEOUT),
        "grpc": GRPCDoor(address, 1, _TIMEOUT),
    }
    try:
        for name, door in doors.items():
            try:
                predicted = [answer[TARGET.name] for answer in await door.predict(rows)]
                predicted += [answer[TARGET.name] for answer in await door.predict(rows[:1])]
            except RefusedError as error:
                raise DeployError(f"The {name} door refused the parity vectors ({error.status}): {error}") from error
            for number, (value, wanted) in enumerate(zip(predicted, [*expected, expected[0]], strict=True)):
                if value != wanted:
                    raise DeployError(
                        f"Parity fails through the {name} door: vector {number} is predicted {value!r} where training "
                        f"predicted {wanted!r}. The image is not to be used."
                    )
    finally:
        for door in doors.values():
            await door.close()
    return {name: len(rows) for name in doors}


def _as_json(row: tuple[Any, ...], number: int) -> dict[str, Any]:
    values = (_plain(field.kind, value) for field, value in zip(FIELDS, row, strict=True))
    return {**dict(zip(FIELD_NAMES, values, strict=True)), "id": f"parity-{number}"}


def _plain(kind: Kind, value: Any) -> Any:
    if kind is Kind.LOCAL_TIME:
        return str(np.datetime64(value, "s"))
    return None if isinstance(value, float) and math.isnan(value) else value
