"""The container engine under test, and the base image that stands in for the published one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = ("podman", "mmdebstrap", "runc")

CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""
"""What podman needs where limits are tight, such as in a virtual machine of a pipeline."""

PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")

DEBOOTSTRAP = (
    "mmdebstrap",
    "--variant=minbase",
    f"--include={','.join(PACKAGES)}",
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "locale", "man")),
    '--customize-hook=rm -f "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED',
)

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""The host's own, as a proxy between it and the package index may have one."""


def require_engine() -> None:
    """Skip where there is no engine, for the reason given; fail in a pipeline, which has to have one."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    reason = f"needs {', '.join(missing)}" if missing else "needs root" if os.geteuid() else None
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"the tests of the container did not run: {reason}")
    if reason:
        pytest.skip(reason)


def stand_in(folder: Path) -> str:
    """Name of a base image of Debian's own packages, made once for a recipe and host and then kept by the engine.

    It has the name of no published image, so that it is never taken for one.
    """
    files = {CERTIFICATES: CERTIFICATES.read_bytes()} if CERTIFICATES.exists() else {}
    settings = {"/etc/pip.conf": _pip_settings(), "/etc/uv/uv.toml": _uv_settings()}
    content = repr((DEBOOTSTRAP, sorted(files.items()), settings)).encode()
    name = f"localhost/python-stand-in:{hashlib.sha256(content).hexdigest()[:16]}"
    if not subprocess.run(["podman", "image", "exists", name], check=False).returncode:
        return name
    hooks = [f"--customize-hook=copy-in {path} {path.parent}" for path in files]
    for number, (path, text) in enumerate(item for item in settings.items() if item[1]):
        copied = folder / f"settings-{number}"
        copied.write_text(text)
        hooks += [f'--customize-hook=mkdir -p "$1"{Path(path).parent}', f"--customize-hook=upload {copied} {path}"]
    archive = folder / "stand-in.tar"
    subprocess.run([*DEBOOTSTRAP, *hooks, "--quiet", "bookworm", str(archive)], check=True)
    subprocess.run(["podman", "import", "--quiet", str(archive), name], check=True, stdout=subprocess.DEVNULL)
    archive.unlink()
    return name


def _index() -> str:
    """The package index that pip uses here, if one is configured."""
    if url := os.environ.get("PIP_INDEX_URL"):
        return url
    found = subprocess.run(["pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False)
    return found.stdout.strip().strip("'")


def _pip_settings() -> str:
    return f"[global]\nindex-url = {_index()}\n" if _index() else ""


def _uv_settings() -> str:
    return f'[[index]]\nurl = "{_index()}"\ndefault = true\n' if _index() else ""
