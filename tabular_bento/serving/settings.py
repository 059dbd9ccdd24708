"""Settings of a server. Each is overridden by the environment variable of its name in capitals."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tabular_bento.scoring.releases import CHAMPION
from tabular_bento.serving.limits import usual_workers


def _http_host() -> str:
    """Where BentoML listens, unless its command is told otherwise."""
    return os.environ.get("BENTOML_HOST") or "0.0.0.0"  # noqa: S104


class ServingSettings(BaseSettings):
    """What an operator may set without touching the code."""

    model_config = SettingsConfigDict(protected_namespaces=())

    model_tag: str = Field(
        CHAMPION,
        description="Tag of the model to serve from a checkout and to build with: the released one. A bento has its "
        f"own, unless this is set to {CHAMPION}.",
    )
    shadow_model: str | None = Field(None, description="Tag of a candidate that scores live rows beside the model.")
    shadow_cpu_share: float = Field(0.2, gt=0, le=1, description="Share of a core that a worker's shadow may take.")
    shadow_batch_rows: int = Field(200, ge=1, description="Rows that the shadow scores at a time.")
    shadow_max_behind_rows: int = Field(
        20_000, ge=1, description="Rows that the shadow may be behind; beyond it skips ahead, and counts what it drops."
    )
    shadow_hang_seconds: float = Field(60, gt=0, description="A shadow that takes longer for a batch is ended.")
    traffic_dir: Path = Field(Path("var/traffic"), description="Folder of the traffic log.")
    traffic_roll_mb: int = Field(64, ge=1, description="A segment of the log ends after this many MiB.")
    traffic_roll_seconds: float = Field(3600, gt=0, description="A segment of the log ends after this time.")
    workers: int = Field(
        default_factory=usual_workers,
        ge=1,
        description="Server processes; each holds the model and writes its own segments. As many as the processors "
        "that a container is limited to, where its memory has room for them; 1 without a limit.",
    )
    max_rows: int = Field(10_000, ge=1, description="Rows in one request; more are refused with 413.")
    max_body_mb: int = Field(16, ge=1, description="Size of one request's body in MiB; more is refused with 413.")
    max_batch_rows: int = Field(1_000, ge=1, description="Rows of concurrent requests that are merged into one batch.")
    max_queue_rows: int = Field(50_000, ge=1, description="Rows that may wait; more are refused with 503.")
    grpc_host: str = Field(
        default_factory=_http_host,
        min_length=1,
        description="Address that the gRPC door listens at, as BENTOML_HOST is for HTTP, and the same without; `::` is "
        "every address of IPv6 and IPv4.",
    )
    grpc_port: int = Field(3001, ge=0, le=65_535, description="Port of the gRPC door; 0 leaves it shut.")
    grpc_max_concurrent: int = Field(1_000, ge=1, description="Calls at once; more are refused as RESOURCE_EXHAUSTED.")
    grpc_tls_cert: Path | None = Field(None, description="The gRPC door's certificate chain, PEM; TLS is off without.")
    grpc_tls_key: Path | None = Field(None, description="Its private key, PEM.")
    grpc_tls_client_ca: Path | None = Field(None, description="Authority that clients' certificates must come from.")
    drain_seconds: float = Field(1.0, ge=0, description="After SIGTERM, not ready but still answering for this time.")
    timeout_seconds: float = Field(30, gt=0, description="A request that takes longer is answered with 504.")
    log_format: Literal["text", "json"] = Field("text", description="Of what the server says on standard output.")
    log_requests: Literal["none", "failed", "all"] = Field(
        "failed", description="Requests that have a line there: none, those that failed by the server's fault, or all."
    )


def read_settings() -> ServingSettings:
    """The settings of the environment. A process with one that is wrong ends with 2, and a sentence for each."""
    try:
        return ServingSettings()
    except ValidationError as error:
        for item in error.errors(include_url=False):
            name = str(item["loc"][0]).upper()
            print(f"{name}={item['input']} in the environment: {item['msg']}.", file=sys.stderr)
        raise SystemExit(2) from None


settings = read_settings()
