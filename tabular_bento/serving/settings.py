"""Settings of a server, read from environment variables with the prefix TABULAR_BENTO_."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tabular_bento.environment import PREFIX, READ_BY_COMMANDS, unknown_variables
from tabular_bento.serving.limits import usual_workers

LOCALHOST = "127.0.0.1"


def configured_host() -> str:
    """The address that BentoML's own variable, BENTOML_HOST, names; without it, this machine alone."""
    return os.environ.get("BENTOML_HOST") or LOCALHOST


class ServingSettings(BaseSettings):
    """What an operator may set without touching the code.

    The environment variable of a setting is its name in capitals behind the prefix: `TABULAR_BENTO_WORKERS`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, protected_namespaces=())

    model: str | None = Field(
        None,
        description="Tag of the model to serve from a checkout and to build with; the champion where it is not set. A "
        "bento has its own model, unless this is the champion's tag, NAME:champion.",
    )
    shadow_model: str | None = Field(None, description="Tag of a candidate that scores live rows beside the model.")
    shadow_cpu_share: float = Field(0.2, gt=0, le=1, description="Share of a core that a worker's shadow may take.")
    shadow_batch_rows: int = Field(200, ge=1, description="Rows that the shadow scores at a time.")
    shadow_max_behind_rows: int = Field(
        20_000, ge=1, description="Rows that the shadow may be behind; beyond it skips ahead, and counts what it drops."
    )
    shadow_hang_seconds: float = Field(60, gt=0, description="A shadow that takes longer for a batch is ended.")
    traffic_dir: Path | None = Field(
        None,
        description="Folder of the traffic log, relative to where the server is started; by default "
        "tabular-bento/NAME/traffic in XDG_STATE_HOME, which is ~/.local/state where it is not set.",
    )
    traffic_roll_mb: int = Field(64, ge=1, description="A file of the log ends after this many MiB.")
    traffic_roll_seconds: float = Field(3600, gt=0, description="A file of the log ends after this time.")
    workers: int = Field(
        default_factory=usual_workers,
        ge=1,
        description="Server processes; each holds the model and writes its own files of the log. As many as the "
        "processors that a container is limited to, where its memory has room for them; 1 without a limit.",
    )
    max_rows: int = Field(10_000, ge=1, description="Rows in one request; more are refused with 413.")
    max_body_mb: int = Field(16, ge=1, description="Size of one request's body in MiB; more is refused with 413.")
    explain_max_rows: int = Field(
        1_000,
        ge=1,
        description="Rows in one request that asks for explanations, about a millisecond each; more are refused with "
        "413. Rows of four such requests may wait; more are refused with 503.",
    )
    explain_log_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the explained rows whose explanations are logged too, in the folder explanations of the "
        "traffic log; 0 logs none.",
    )
    max_batch_rows: int = Field(1_000, ge=2, description="Rows of concurrent requests that are merged into one batch.")
    max_queue_rows: int = Field(50_000, ge=1, description="Rows that may wait; more are refused with 503.")
    grpc_host: str = Field(
        default_factory=configured_host,
        min_length=1,
        description="Address that gRPC listens at; by default that of HTTP, which is BENTOML_HOST or 127.0.0.1. `::` "
        "is every address of IPv6 and IPv4.",
    )
    grpc_port: int = Field(3001, ge=0, le=65_535, description="Port of gRPC; 0 turns it off.")
    grpc_max_concurrent: int = Field(1_000, ge=1, description="Calls at once; more are refused as RESOURCE_EXHAUSTED.")
    grpc_tls_cert: Path | None = Field(None, description="Certificate chain of gRPC, PEM; TLS is off without.")
    grpc_tls_key: Path | None = Field(None, description="Its private key, PEM.")
    grpc_tls_client_ca: Path | None = Field(None, description="Authority that clients' certificates must come from.")
    drain_seconds: float = Field(1.0, ge=0, description="After SIGTERM, not ready but still predicting for this time.")
    timeout_seconds: float = Field(30, gt=0, description="A request that takes longer fails with 504.")
    log_format: Literal["text", "json"] = Field("text", description="Format of the log on standard output.")
    log_requests: Literal["none", "failed", "all"] = Field(
        "failed", description="Requests that have a line there: none, those that failed by the server's fault, or all."
    )
    container: bool = Field(False, description="Whether the server runs in its image, which sets it.")

    def absolute(self) -> Self:
        """The same settings with every path taken from the current folder."""
        paths = {name: value for name, value in self if isinstance(value, Path)}
        return self.model_copy(update={name: path.expanduser().absolute() for name, path in paths.items()})

    def paths(self) -> dict[str, str]:
        """The paths that are set, by environment variable."""
        return {PREFIX + name.upper(): str(value) for name, value in self if isinstance(value, Path)}


def unknown_settings() -> list[str]:
    """A message for each variable of the environment that has the prefix and is neither a setting nor a command's.

    It is no error: Kubernetes and other programs set variables too, and a server must start beside them.
    """
    return list(unknown_variables((*ServingSettings.model_fields, *READ_BY_COMMANDS)))


def read_settings() -> ServingSettings:
    """The settings of the environment. A process with one that is wrong ends with 2, and a message for each."""
    try:
        return ServingSettings()
    except ValidationError as error:
        for item in error.errors(include_url=False):
            name = PREFIX + str(item["loc"][0]).removeprefix(PREFIX.lower()).upper()
            print(f"{name}={item['input']} in the environment: {item['msg']}.", file=sys.stderr)
        raise SystemExit(2) from None
