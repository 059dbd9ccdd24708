"""What BentoML builds the container from: a slim base, the locked requirements, and nothing to build or install with.

BentoML's own recipe installs build-essential and whatever uv is current, and resolves the requirements again. Here uv
comes by hash, installs exactly what the lock of the packed model's runner lists, and is removed with pip when it is
done; built with `--opt squash` the image does not carry what was removed. A package index of your own is named by the
base image's configuration of pip and uv, and by no file of the project.

The bento carries a copy of this library, so that it serves the same wherever it is.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import attrs
from bentoml.images import Image

import tabular_bento
from tabular_bento.errors import PackageError
from tabular_bento.scoring.package import PACKAGE_FILE
from tabular_bento.scoring.store import find_model

USER_ID = 1034
"""Of the user `bentoml` that BentoML's image runs as; what is mounted for it to write must be its."""

TRAFFIC_DIR = "/traffic"
"""Where the container keeps the traffic log: mount a volume there."""

ENVIRONMENT = {
    "BENTOML_HOME": "/tmp/bentoml",  # noqa: S108  # BentoML writes there, and no other folder needs to be writable
    "BENTOML_HOST": "0.0.0.0",  # noqa: S104  # the container's own address; what reaches it is up to whoever runs it
    "TABULAR_BENTO_CONTAINER": "true",
    "TABULAR_BENTO_TRAFFIC_DIR": TRAFFIC_DIR,
    "BENTOML_DO_NOT_TRACK": "True",
    "OMP_NUM_THREADS": "1",  # a worker computes on one thread, and there are as many workers as processors
    "OPENBLAS_NUM_THREADS": "1",
}
"""Of the container. BentoML's `envs` would set them for a bento that is served outside of one too, and cannot set the
first."""

LOCKS = Path(__file__).parent / "locks"
"""Hashed requirements: one file for each library that serves a built-in runner, and `installer.txt`, which is uv."""

LOCK_NAMES = {
    "xgboost": "xgboost",
    "sklearn": "sklearn",
    "linear": "numpy",
    "lightgbm": "lightgbm",
    "keras": "numpy",
    "pipeline": "pipeline",
}
"""The lock of each kind of built-in runner; `numpy` has nothing beside what every server needs."""

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python of the build, which is that of the image."""

_UV_SETTINGS = (
    "no-cache = true",
    'python-downloads = "never"',
    "system-certs = true",
    "[pip]",
    "no-deps = true",
)

_STRIP = "strip_image.sh"

_OPENMP = (
    "python -c 'import ctypes; ctypes.CDLL(\"libgomp.so.1\")' 2> /dev/null || "
    "(apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*)"
)
"""LightGBM's wheels leave the OpenMP library to the system, and a slim base has none."""

_COMMANDS = {"lightgbm": [_OPENMP]}
"""What the image of a kind of runner needs beside Python packages."""


_Image: Any = Image  # BentoML's types are not checked
_define: Any = attrs.define


@_define
class ServingImage(_Image):  # type: ignore[misc]
    """An image whose bento holds a copy of this library and the lock of the packed model's runner."""

    model: str = ""
    """Tag of the model that is packed."""

    def freeze(self, bento_fs: Path, *arguments: Any, **options: Any) -> Any:
        image: Any = self
        image.lock_python_packages = False  # they are locked
        kind = kind_of(self.model)
        if not image.python_requirements.strip():
            image.python_requirements = lock_of(kind)
        copy_library(Path(bento_fs) / "src")
        docker = Path(bento_fs) / "env" / "docker"
        docker.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(__file__).with_name(_STRIP), docker)
        image.post_commands = [*image.post_commands, *_COMMANDS.get(kind, []), f"sh ./env/docker/{_STRIP}"]
        return super().freeze(bento_fs, *arguments, **options)


def serving_image(model: str) -> ServingImage:
    """The image's definition.

    Parameters
    ----------
    model : str
        Tag of the model that is packed. `BASE_IMAGE` in the environment of `bentoml build` names another base than
        Python's slim one, or its digest.
    """
    image = ServingImage(
        base_image=os.environ.get("BASE_IMAGE", f"python:{PYTHON}-slim"),
        distro="none",  # no packages of a distribution are added
        python_version=PYTHON,
        lock_python_packages=False,
        model=model,
    )
    image.run(
        f"echo {shlex.quote(_on_one_line(LOCKS / 'installer.txt'))} > /tmp/uv.txt && "
        "pip install --no-cache-dir --no-deps --require-hashes --root-user-action=ignore -r /tmp/uv.txt"
    )
    lines = " ".join(shlex.quote(line) for line in _UV_SETTINGS)
    image.run(f"mkdir -p /root/.config/uv && printf '%s\\n' {lines} > /root/.config/uv/uv.toml")
    # BentoML writes a command down as it is, so its second line is an instruction of its own.
    variables = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    image.run(f"install -d -o {USER_ID} -g {USER_ID} {TRAFFIC_DIR}\nENV {variables}")
    return image


def kind_of(model: str) -> str:
    """The kind of the runner of a model in the store.

    Raises
    ------
    PackageError
        Where the model is not in the store.
    """
    package = json.loads((find_model(model).directory / PACKAGE_FILE).read_text(encoding="utf-8"))
    return str(package["runner"]["kind"])


def lock_of(kind: str) -> str:
    """The hashed requirements that serve a kind of runner.

    Raises
    ------
    PackageError
        Where it is of another distribution.
    """
    if kind not in LOCK_NAMES:
        raise PackageError(
            f"There is no lock for the runner {kind!r}: name hashed requirements by `python.requirements_txt` in "
            "bentofile.yaml."
        )
    return lock_path(kind).read_text(encoding="utf-8")


def lock_path(kind: str) -> Path:
    """The lock of a kind of built-in runner; KeyError for another."""
    return LOCKS / f"{LOCK_NAMES[kind]}.txt"


def copy_library(source: Path) -> None:
    """Copy the imported library into the source folder of a bento."""
    target = source / "tabular_bento"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(Path(tabular_bento.__file__).parent, target, ignore=shutil.ignore_patterns("__pycache__"))


def _on_one_line(lock: Path) -> str:
    """The one requirement of `lock` with its hashes, as pip reads it."""
    lines = [line for line in lock.read_text().replace("\\\n", " ").splitlines() if not line.lstrip().startswith("#")]
    return " ".join(" ".join(lines).split())
