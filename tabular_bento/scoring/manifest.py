"""The manifest of a model package: the SHA-256 sum of every file, and of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tabular_bento.errors import PackageError

FILE = "manifest.json"
FORMAT = 2

INCIDENTAL = frozenset({"provenance.json", "model_card.html", "training_report.html", "model.yaml"})
"""Files that say when and how a package was made; they are checked, and are no part of its fingerprint."""

_MEND = "train the model again, or restore the package from a copy"


def write_manifest(directory: Path) -> str:
    """Write the manifest over all files of `directory` and return the package's fingerprint, SHA-256 in hex."""
    files = {name: _sha256((directory / name).read_bytes()) for name in sorted(_names(directory)) if name != FILE}
    content: dict[str, Any] = {"format": FORMAT, "fingerprint": _fingerprint(files), "files": files}
    content["seal"] = _seal(content)
    (directory / FILE).write_text(_canonical(content))
    return str(content["fingerprint"])


def verify_manifest(directory: Path) -> str:
    """Check every file of `directory` against the manifest and return the package's fingerprint.

    Raises PackageError naming the first file that is missing, changed or unlisted.
    """
    path = directory / FILE
    try:
        text = path.read_text()
        content = json.loads(text)
        seal = content.pop("seal")
    except FileNotFoundError:
        raise PackageError(
            f"{directory} has no {FILE}, so it is no model package: run `tabular-bento train`."
        ) from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise PackageError(f"{path} is damaged ({error}): {_MEND}.") from error
    if content.get("format") != FORMAT:
        raise PackageError(f"{path} has format {content.get('format')!r} where {FORMAT} is read: {_MEND}.")
    if seal != _seal(content) or text != _canonical({**content, "seal": seal}):
        raise PackageError(f"{path} is damaged (its own sum does not match): {_MEND}.")
    files: dict[str, str] = content["files"]
    present = set(_names(directory)) - {FILE}
    for name in sorted(files):
        if name not in present:
            raise PackageError(f"{directory / name} is missing: {_MEND}.")
        if _sha256((directory / name).read_bytes()) != files[name]:
            raise PackageError(f"{directory / name} is damaged (its SHA-256 sum does not match {FILE}): {_MEND}.")
    if extra := sorted(present - set(files)):
        raise PackageError(f"{directory / extra[0]} is not listed in {FILE}: remove it, or {_MEND}.")
    return str(content["fingerprint"])


def _names(directory: Path) -> Iterable[str]:
    return (path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def _fingerprint(files: dict[str, str]) -> str:
    return _sha256(_canonical({name: sha for name, sha in files.items() if name not in INCIDENTAL}).encode())


def _seal(content: dict[str, Any]) -> str:
    return _sha256(_canonical(content).encode())


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
