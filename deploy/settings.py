"""Settings of the steps. Each is overridden by the environment variable of its name in capitals."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from tabular_bento.project import Project


def _name() -> str:
    return Project.find().load_problem().name


class ShipSettings(BaseSettings):
    """What a pipeline may set without touching the code."""

    model_config = SettingsConfigDict(protected_namespaces=())

    ship_dir: Path = Field(Path("var/ship"), description="Folder of the record, the bill of materials, the signature.")
    candidate: str = Field(
        default_factory=lambda: f"{_name()}:latest", description="Model that `gate` checks; by default the latest."
    )
    in_service: str = Field("", description="Image in service, whose model a candidate is compared with.")
    image_name: str = Field(
        default_factory=_name,
        description="Name of the image, by default the problem's; its tag is the bento's version.",
    )
    build_network: str = Field("host", description="Network of the image's build: it downloads the requirements.")
    container_network: Literal["host", "bridge"] = Field(
        "host", description="Network of the container under test: host, or bridge."
    )
    registry: str = Field("", description="Where `push` pushes to: a registry's host and path.")
    registry_tls: bool = Field(True, description="Whether that registry must speak TLS.")
    scan_service: Literal["pypi", "osv"] = Field("pypi", description="Service that `scan` looks advisories up at.")
    sign_key: Path | None = Field(None, description="Private key that `sign` signs with, PEM: EC P-256 or RSA.")
    sign_key_pem: SecretStr | None = Field(None, description="The same key itself, in the place of SIGN_KEY.")
    verify_key: Path | None = Field(None, description="Public key that `verify` checks with, PEM.")
