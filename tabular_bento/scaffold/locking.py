"""The lock of a new project: what every project needs, and what opens the place where its data are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

TEMPLATE = Path(__file__).resolve().parent.parent / "template"
"""Jinja2 templates, below this folder as they are below a project's; and locks."""

_LOCK = "requirements.txt"
_ADDED: Mapping[str, str] = MappingProxyType({"gcsfs": "gs.txt"})
"""By driver of a file system: the lock that has it, and what it needs, beside `_LOCK`."""


def requirements(driver: str | None) -> list[str]:
    """Locked requirements with their hashes, each with its lines.

    Parameters
    ----------
    driver : str, optional
        The package that opens the place of the data; where no lock has it, it is not among them.
    """
    found = dict(_entries(_LOCK))
    if added := _ADDED.get(driver or ""):
        found = {**dict(_entries(added)), **found}
    return [text for _, text in sorted(found.items())]


def is_locked(driver: str) -> bool:
    """Whether a driver is among the requirements of a project whose data it opens."""
    return any(text.startswith(f"{driver}==") for text in requirements(driver))


def _entries(name: str) -> Iterator[tuple[str, str]]:
    """Each requirement of a lock by name and marker, for one may be there twice; comments are left out."""
    lines = (TEMPLATE / name).read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.lstrip().startswith("#"))
    for entry in re.findall(r"^\S.*\n(?:[ \t]+.*\n)*", text, re.MULTILINE):
        yield entry.partition("\\")[0], entry
