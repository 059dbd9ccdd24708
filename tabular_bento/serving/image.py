"""What BentoML builds the container from: a slim base, the locked requirements, and nothing to build or install with.

Its own recipe installs build-essential and whatever uv is current, and resolves the requirements again. Here uv comes
by hash, installs exactly what `requirements/serving.txt` lists, and is removed with pip when it is done; built with
`--opt squash`, as `make containerize` does, the image does not carry what was removed. A package index of your own is
named by the base image's configuration of pip and uv, and by no file of this repository.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from bentoml.images import Image

USER_ID = 1034
"""Of the user `bentoml` that BentoML's image runs as; what is mounted for it to write must be its."""

TRAFFIC_DIR = "/traffic"
"""Where the container keeps the traffic log: mount a volume there."""

ENVIRONMENT = {
    "BENTOML_HOME": "/tmp/bentoml",  # noqa: S108  # BentoML writes there, and no other folder needs to be writable
    "TRAFFIC_DIR": TRAFFIC_DIR,
    "BENTOML_DO_NOT_TRACK": "True",
    "OMP_NUM_THREADS": "1",  # a worker computes on one thread, and there are as many workers as processors
    "OPENBLAS_NUM_THREADS": "1",
}
"""Of the container. BentoML's `envs` would set them for a bento that is served outside of one too, and cannot set the
first."""

INSTALLER = Path(__file__).resolve().parent.parent.parent / "requirements" / "image.txt"

_UV_SETTINGS = (
    "no-cache = true",
    'python-downloads = "never"',
    "system-certs = true",
    "[pip]",
    "no-deps = true",
)


def serving_image() -> Image:
    """The image's definition; `BASE_IMAGE` in the environment of `bentoml build` names another base, or its digest."""
    image = Image(
        base_image=os.environ.get("BASE_IMAGE", "python:3.11-slim"),
        distro="none",  # no packages of a distribution are added
        python_version="3.11",
        lock_python_packages=False,  # they are locked
    )
    image.run(
        f"echo {shlex.quote(_on_one_line(INSTALLER))} > /tmp/uv.txt && "
        "pip install --no-cache-dir --no-deps --require-hashes --root-user-action=ignore -r /tmp/uv.txt"
    )
    lines = " ".join(shlex.quote(line) for line in _UV_SETTINGS)
    image.run(f"mkdir -p /root/.config/uv && printf '%s\\n' {lines} > /root/.config/uv/uv.toml")
    # BentoML writes a command down as it is, so its second line is an instruction of its own.
    variables = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    image.run(f"install -d -o {USER_ID} -g {USER_ID} {TRAFFIC_DIR}\nENV {variables}")
    return image


def _on_one_line(lock: Path) -> str:
    """The one requirement of `lock` with its hashes, as pip reads it."""
    lines = [line for line in lock.read_text().replace("\\\n", " ").splitlines() if not line.lstrip().startswith("#")]
    return " ".join(" ".join(lines).split())
