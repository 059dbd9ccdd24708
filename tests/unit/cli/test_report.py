from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tabular_bento.cli import main
from tabular_bento.cli.report import KINDS
from tabular_bento.monitoring import skew
from tabular_bento.monitoring.comparison import job as comparison
from tabular_bento.monitoring.drift import job as drift
from tabular_bento.scoring import package
from tests.models import ROOT, run_command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a project, whose reports of three kinds are written in the order drift, comparison, skew."""
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    for age, name in enumerate(("skew", "compare", "drift"), start=1):
        write(tmp_path / "var" / name / KINDS[name].file, age)
    return tmp_path


def write(path: Path, age: int) -> None:
    """A file that was written so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("<!DOCTYPE html>")
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `report ARGUMENTS --path` prints."""
    assert main(["report", *arguments, "--path"]) == 0
    return capsys.readouterr().out.rstrip("\n")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    """The one line on stderr of a `report ARGUMENTS` that ends with that exit code."""
    assert main(["report", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_kinds_are_the_files_that_commands_write() -> None:
    files = {name: kind.file for name, kind in KINDS.items()}
    assert files == {
        "drift": drift.REPORT_FILE,
        "compare": comparison.REPORT_FILE,
        "skew": skew.REPORT_FILE,
    }


def test_the_latest_of_all_or_of_a_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(capsys) == found(capsys, "latest") == str(folder / "var" / "skew" / "skew.html")
    assert found(capsys, "drift") == str(folder / "var" / "drift" / "report.html")
    write(folder / "var" / "weekly" / "report.html", 0)
    assert found(capsys, "drift") == str(folder / "var" / "weekly" / "report.html")
    assert found(capsys, "compare", "--dir", "var") == str(folder / "var" / "compare" / "compare.html")


def test_that_of_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(capsys, "var/drift") == str(folder / "var" / "drift" / "report.html")


def test_copies_of_past_runs_are_not_the_latest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "var" / "drift" / "runs" / "2025-07-01" / "report.html", 0)
    assert found(capsys, "drift") == str(folder / "var" / "drift" / "report.html")


def test_without_a_display_the_path_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "drift", "--json"]) == 0
    said, document = capsys.readouterr().out.splitlines()
    path = str(folder / "var" / "drift" / "report.html")
    assert said == f"There is no browser with a display: open {path}"
    assert json.loads(document) == {"report": path, "opened": False}


def test_the_browser_opens_it(folder: Path) -> None:
    """The browser of the environment is given the address of the file."""
    browser = folder / "browser.sh"
    browser.write_text(f'#!/bin/sh\necho "$1" > {folder / "opened"}\n')
    browser.chmod(0o755)
    result = run_command("report", "drift", cwd=folder, BROWSER=f"{browser} %s", PYTHONPATH=str(ROOT))
    path = folder / "var" / "drift" / "report.html"
    assert (result.returncode, result.stdout) == (0, f"opened {path}\n"), result.stderr
    assert (folder / "opened").read_text() == f"{path.as_uri()}\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_the_demo_opens_its_report_on_a_terminal_and_prints_its_path_elsewhere(folder: Path, terminal: bool) -> None:
    browser, page = folder / "browser.sh", folder / "var" / "drift" / "report.html"
    browser.write_text(f'#!/bin/sh\necho "$1" > {folder / "opened"}\n')
    browser.chmod(0o755)
    script = "from pathlib import Path; from tabular_bento.cli.report import show_report; show_report(Path('{}'))"
    command = [sys.executable, "-c", script.format(page.relative_to(folder))]
    environment = {**os.environ, "BROWSER": f"{browser} %s", "PYTHONPATH": str(ROOT)}
    ours, theirs = os.openpty() if terminal else os.pipe()
    subprocess.run(command, cwd=folder, env=environment, stdout=theirs, check=True)
    os.close(theirs)
    printed = os.read(ours, 4096).decode().strip()
    os.close(ours)
    assert printed == (f"opened {page}" if terminal else f"the report is {page}")
    assert (folder / "opened").exists() == terminal


def test_where_there_is_none_it_says_where_it_looked_and_which_command_makes_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir()
    for kind in ("drift", "compare", "skew"):
        line = refused(capsys, kind, "--dir", "empty", code=3)
        assert f"There is no {kind} report in {folder / 'empty'}: make one with `tabular-bento {kind} " in line
    assert f"There is no report in {folder / 'empty'}: " in refused(capsys, "empty", code=3)


@pytest.mark.usefixtures("folder")
def test_arguments_that_mean_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "weekly", code=2)
    assert "'weekly' is neither a folder nor one of latest, drift, compare, skew." in line
    assert "leave it out with the folder var" in refused(capsys, "var", "--dir", "var", code=2)


def test_the_card_is_that_of_a_model(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(folder / "store"))
    models = folder / "store" / "models" / "flights"
    for version in ("v1", "v2", "v3"):
        (models / version).mkdir(parents=True)
    for version, age in (("v1", 0), ("v2", 30)):
        write(models / version / package.CARD_FILE, age)
    (models / "latest").write_text("v2")

    def card(*arguments: str) -> tuple[int, str]:
        code = main(["card", *arguments])
        printed = capsys.readouterr()
        return code, (printed.out + printed.err).rstrip("\n")

    assert card() == (2, card()[1])
    assert "name the model: `tabular-bento card NAME:VERSION`" in card()[1]
    assert card("flights:v1", "--path") == (0, str(models / "v1" / "model_card.html"))
    monkeypatch.chdir(ROOT)
    assert card("--path") == (0, str(models / "v2" / "model_card.html"))
    assert card() == (0, f"There is no browser with a display: open {models / 'v2' / 'model_card.html'}")
    code, line = card("flights:v3")
    assert (code, "flights:v3 has no card: there is no" in line) == (3, True)
    code, line = card("flights:v4")
    assert (code, "run `tabular-bento train`" in line) == (3, True)
