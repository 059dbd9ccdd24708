"""The model store of BentoML, as far as reading needs it: where it is, and the package that a tag means."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from tabular_bento.errors import PackageError
from tabular_bento.scoring.releases import ALIAS, Release, Releases


class LocatedModel(NamedTuple):
    """Folder and tag of a package, and the release that made it the champion, where the champion was asked for."""

    directory: Path
    tag: str
    release: Release | None = None


LEAST_FREE = 64 << 20
"""Bytes that must be free in the store before a model is made."""

_PROBE_BYTES = 1 << 16

_LISTED = 3
"""Models that an error lists, the latest."""


def store_home() -> Path:
    """The folder that holds the model store: BENTOML_HOME, or `bentoml` in the home folder. Always absolute."""
    configured = os.environ.get("BENTOML_HOME")
    return (Path(configured) if configured else Path.home() / "bentoml").expanduser().absolute()


def check_writable(name: str) -> None:
    """Refuse a store that no model of that name can be put into, before one is made.

    Nothing is left behind, and no folder is made.

    Parameters
    ----------
    name : str
        The problem's name.

    Raises
    ------
    PackageError
        With the folder, the reason, and what to do.
    """
    home = store_home()
    folder = home / "models" / name
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    try:
        with TemporaryFile(dir=there) as file:
            file.write(bytes(_PROBE_BYTES))
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise PackageError(
            f"The model store {home} cannot be written: {there}: {error.strerror}. Name another folder by "
            "BENTOML_HOME, or make this one writable."
        ) from error
    if free < LEAST_FREE:
        raise PackageError(
            f"The model store {home} has {free >> 20:,} MiB left, and at least {LEAST_FREE >> 20} are needed: remove "
            "models by `bentoml models delete TAG`, or name another folder by BENTOML_HOME."
        )


def find_model(tag: str) -> LocatedModel:
    """The package of a tag.

    Parameters
    ----------
    tag : str
        `NAME:VERSION`, where the beginning of a version that no other shares will do; `NAME:latest` or `NAME`;
        `NAME:champion`, which is the latest model where nothing was released.

    Raises
    ------
    PackageError
        Where the store does not have it.
    """
    name, _, version = tag.partition(":")
    home = store_home()
    models = home / "models" / name
    if not name or "/" in tag or ".." in tag:
        raise PackageError(f"{tag!r} is no tag of a model: name it as NAME:VERSION.")
    if version == ALIAS:
        releases = Releases(home, name)
        release = releases.champion()
        if release is not None:
            return LocatedModel(releases.locate(release), release.tag, release)
        version = "latest"
    if version in ("", "latest"):
        try:
            version = (models / "latest").read_text(encoding="utf-8").strip()
        except OSError:
            raise _missing(f"{name}:latest") from None
    if not (models / version).is_dir():
        found = [path.name for path in models.glob(f"{version}*") if path.is_dir()] if version else []
        if len(found) != 1:
            raise _missing(f"{name}:{version}")
        version = found[0]
    return LocatedModel(models / version, f"{name}:{version}")


def _missing(tag: str) -> PackageError:
    name = tag.partition(":")[0]
    there = sorted((store_home() / "models" / name).glob("*/"), key=lambda path: path.stat().st_mtime)
    listed = ", ".join(f"{name}:{path.name}" for path in there[: -_LISTED - 1 : -1])
    known = f", or name one that is there, such as {listed}" if listed else ""
    return PackageError(f"There is no model {tag} in the store {store_home()}: run `tabular-bento train`{known}.")
