"""The model store of BentoML, as far as reading needs it: where it is, and the package that a tag means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tabular_bento.errors import PackageError
from tabular_bento.scoring.releases import ALIAS, Release, Releases


class LocatedModel(NamedTuple):
    """Folder and tag of a package, and the release that made it the champion, where the champion was asked for."""

    directory: Path
    tag: str
    release: Release | None = None


_LISTED = 3
"""Models that an error lists, the latest."""


def store_home() -> Path:
    """The folder that holds the model store: BENTOML_HOME, or `bentoml` in the home folder. Always absolute."""
    configured = os.environ.get("BENTOML_HOME")
    return (Path(configured) if configured else Path.home() / "bentoml").expanduser().absolute()


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
