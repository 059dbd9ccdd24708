"""The files of a project: whole, in its own name, and the library's wheel with equal bytes each time."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import tabular_bento
from tabular_bento.scaffold import wheel as wheels
from tabular_bento.scaffold.wheel import library_wheel, sha256_of
from tabular_bento.scaffold.writing import TEMPLATE, commented
from tests.models import ROOT, run_command
from tests.tables import customers, rentals, wines, written

TABLES = {
    "rentals": (rentals, ("--target", "rented", "--time", "when", "--id", "ride_no")),
    "customers": (customers, ("--target", "Leaves?")),
    "wines": (wines, ("--target", "kind")),
}


@pytest.fixture(scope="module", params=TABLES)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project of each table."""
    table, options = TABLES[request.param]
    folder = tmp_path_factory.mktemp("new")
    data = written(table(), folder / f"{request.param}.csv")
    result = run_command("new", str(folder / request.param), "--from", str(data), *options)
    assert result.returncode == 0, result.stderr
    return Path(folder / request.param)


def test_it_has_every_file_and_no_template_is_left(project: Path) -> None:
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    wanted = {"README.md", "Makefile", "bentofile.yaml", "service.py", "pyproject.toml", "requirements.txt"}
    wanted |= {"features/problem.py", "training/source.py", "training/config.toml", "monitoring/config.toml"}
    wanted |= {"tests/test_project.py", ".gitignore", ".bentoignore", f"data/{project.name}.csv"}
    wanted |= {f".github/workflows/{name}.yml" for name in ("test", "retrain", "drift")}
    wanted |= {"deploy/kubernetes.yaml", "deploy/compose.yaml"}
    assert wanted <= files
    assert not [name for name in files if name.endswith(".jinja")]
    assert not [path for path in project.parent.iterdir() if path.name.startswith(".")], "a draft is left"


def test_its_files_are_what_they_say(project: Path) -> None:
    for path in project.rglob("*.py"):
        ast.parse(path.read_text())
    for path in project.rglob("*.toml"):
        tomllib.loads(path.read_text())
    for path in [*project.rglob("*.yaml"), *project.rglob("*.yml")]:
        assert list(yaml.safe_load_all(path.read_text()))
    for path in project.rglob("*"):
        if path.suffix in (".py", ".toml", ".md", ".yml", ".yaml", ".txt"):
            assert path.read_text().endswith("\n") or not path.read_text()
            assert not re.search(r"[\[{][\[%]|[\]%][\]}]{2}", path.read_text().replace("${{", "").replace("}}", ""))


def test_everything_is_in_its_own_name(project: Path) -> None:
    for path in project.rglob("*"):
        if path.is_file() and path.suffix not in (".whl", ".csv"):
            assert "flights" not in path.read_text(), path


def test_its_problem_is_sound_and_has_its_choices_as_comments(project: Path) -> None:
    text = (project / "features" / "problem.py").read_text()
    code = "from features.problem import PROBLEM; import json; print(json.dumps(PROBLEM.declaration.to_dict()))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    declared = json.loads(result.stdout)
    assert declared["name"] == project.name
    lines = text.splitlines()
    for field in declared["fields"]:
        place = next(number for number, line in enumerate(lines) if line.startswith(f'    Field("{field["name"]}"'))
        assert lines[place - 1].startswith("    # ")


def test_its_requirements_are_locked_and_name_no_index(project: Path) -> None:
    text = (project / "requirements.txt").read_text()
    (wheel,) = (project / "wheels").glob("*.whl")
    assert f"./wheels/{wheel.name} --hash=sha256:{sha256_of(wheel)}\n" in text
    assert "://" not in text
    entries = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert {"pytest", "evidently", "bentoml", "xgboost-cpu", "duckdb"} <= {
        re.split("[=]", entry)[0] for entry in entries
    }


def test_the_wheel_holds_the_library_with_its_templates(project: Path) -> None:
    (wheel,) = (project / "wheels").glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    templates = {path.relative_to(TEMPLATE.parent.parent).as_posix() for path in TEMPLATE.rglob("*") if path.is_file()}
    assert templates <= held
    assert "tabular_bento/serving/locks/xgboost.txt" in held


def test_a_folder_that_holds_something_is_left_alone(project: Path, tmp_path: Path) -> None:
    data = str(project / "data" / f"{project.name}.csv")
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    result = run_command("new", str(project), "--from", data, "--target", "x")
    assert result.returncode == 2
    assert "is there already" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before
    result = run_command("new", str(tmp_path / "other"), "--from", data, "--target", "nothing")
    assert result.returncode == 2
    assert "--target nothing: the table has no such column" in result.stderr
    assert not list(tmp_path.iterdir()), "something half made is left"


def test_the_same_library_gives_the_same_wheel(tmp_path: Path) -> None:
    first, second = library_wheel(tmp_path / "one"), library_wheel(tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()


def test_where_there_is_no_checkout_what_is_installed_is_packed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = library_wheel(tmp_path / "built")
    site = tmp_path / "site"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(site)
    (site / "tabular_bento" / "__pycache__").mkdir()
    (site / "tabular_bento" / "__pycache__" / "x.pyc").write_bytes(b"x")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(tabular_bento, "__file__", str(site / "tabular_bento" / "__init__.py"))
    packed = wheels.library_wheel(tmp_path / "packed")
    assert packed.name == built.name
    held = {name: zipfile.ZipFile(built).read(name) for name in zipfile.ZipFile(built).namelist()}
    again = {name: zipfile.ZipFile(packed).read(name) for name in zipfile.ZipFile(packed).namelist()}
    record = next(name for name in held if name.endswith("/RECORD"))
    assert sorted(held.pop(record).splitlines()) == sorted(again.pop(record).splitlines())
    assert again == held
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--target", str(tmp_path / "installed"), str(packed)], check=True)


def test_a_long_reason_is_a_comment_of_several_lines() -> None:
    text = commented("a word " * 60, "- ", indent=4)
    assert all(len(line) <= 120 and line.startswith("    # ") for line in text.splitlines())
    assert text.splitlines()[1].startswith("    #   ")


def test_the_lock_is_made_of_the_librarys_own() -> None:
    locked = {line.split("==")[0] for line in (TEMPLATE / "requirements.txt").read_text().splitlines() if "==" in line}
    own = {line.split("==")[0] for line in (ROOT / "requirements" / "dev.txt").read_text().splitlines() if "==" in line}
    assert locked <= own
