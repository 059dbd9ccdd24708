"""The library as a wheel for a project: built from the checkout, or packed again from the files that were installed."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import tabular_bento
from tabular_bento.errors import ScaffoldError

NAME = "tabular-bento"
_PACKAGE = "tabular_bento"
_EPOCH = "1577836800"
"""The first second of 2020, by which the files of a wheel are dated, so that equal files make equal wheels."""
_DATE = (2020, 1, 1, 0, 0, 0)
_DROPPED = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
"""Files of a dist-info that only an installation has."""


def library_wheel(folder: Path) -> Path:
    """Put the wheel of the running library into a folder.

    Parameters
    ----------
    folder : Path
        Where to; it is made.

    Returns
    -------
    Path
        The wheel. The same library gives the same bytes.

    Raises
    ------
    ScaffoldError
        Where the library is neither in a checkout nor installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(tabular_bento.__file__).resolve().parent.parent
    if _is_checkout(root) and find_spec("hatchling"):
        return _built(root, folder)
    return _packed(root, folder)


def sha256_of(path: Path) -> str:
    """SHA-256 in hex of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_checkout(root: Path) -> bool:
    try:
        document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return False
    return bool(document.get("project", {}).get("name") == NAME)


def _built(root: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder.absolute())]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
    result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        raise ScaffoldError(f"The library's wheel cannot be built from {root}:\n{result.stderr.strip()}")
    return wheels[0]


def _packed(root: Path, folder: Path) -> Path:
    """The wheel of what is installed: the package's files, with the dist-info as it was in the wheel."""
    try:
        found = distribution(NAME)
    except PackageNotFoundError:
        raise ScaffoldError(
            f"The library in {root} is not installed, so no wheel can be made of it: `pip install {NAME}`."
        ) from None
    info = f"{_PACKAGE}-{found.version}.dist-info"
    contents = _package_files(root) | _info_files(found, info)
    path = folder / f"{_PACKAGE}-{found.version}-py3-none-any.whl"
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in contents.items()]
    contents[f"{info}/RECORD"] = ("\n".join([*record, f"{info}/RECORD,,"]) + "\n").encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return path


def _package_files(root: Path) -> dict[str, bytes]:
    files = sorted(path for path in (root / _PACKAGE).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _info_files(found: Distribution, info: str) -> dict[str, bytes]:
    contents = {}
    for file in sorted(found.files or [], key=str):
        parts = file.parts
        if parts[0] != info or parts[-1] in _DROPPED or "__pycache__" in parts:
            continue
        contents[file.as_posix()] = Path(str(file.locate())).read_bytes()
    if f"{info}/METADATA" not in contents or f"{info}/WHEEL" not in contents:
        raise ScaffoldError(f"The installation of {NAME} {found.version} lacks its metadata: install it again.")
    return contents


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
