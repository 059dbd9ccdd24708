from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tabular_bento import __version__, cli
from tabular_bento.cli import COMMANDS, Command, main, monitoring_main, training_main
from tabular_bento.cli.common import failing
from tabular_bento.errors import DataError, GateError, MonitoringError, ProblemError
from tests.unit import models

HEAVY = ("bentoml", "duckdb", "evidently", "pandas", "pyarrow", "sklearn", "xgboost")


def raising(error: Exception) -> None:
    raise error


def test_help_lists_every_command_and_needs_none_of_their_libraries() -> None:
    code = "import sys; from tabular_bento.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {*HEAVY} & {name.split(".")[0] for name in result.stderr.split()}
    for command in COMMANDS:
        if " " not in command.name:
            assert command.summary in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_says_what_it_does_and_lists_its_exit_codes(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: tabular-bento {command.name} " in text
    assert "exit code" in text.lower()
    assert "--json" in text
    for line in text.splitlines():
        assert len(line) <= 120


def test_the_version_is_that_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tabular-bento {__version__}\n"


def test_as_a_program_it_prints_all_runs_what_waits_for_the_end_and_returns_the_code() -> None:
    code = """
import atexit, sys
import tabular_bento.cli as cli
def main():
    atexit.register(print, "registered while it ran")
    print("x" * 100_000)
    return 3
cli.main = main
cli.program()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (result.returncode, result.stderr) == (3, "")
    assert result.stdout == "x" * 100_000 + "\nregistered while it ran\n"


def test_a_program_that_fails_within_python_itself_ends_as_python_does() -> None:
    code = "import tabular_bento.cli as cli; cli.main = lambda: 1 / 0; cli.program()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr


def test_a_command_that_is_none_is_a_wrong_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-command"]) == 2
    assert "No such command" in capsys.readouterr().err


def test_a_folder_without_a_project_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["features"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tabular-bento features: There is no project in {tmp_path}")


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (GateError("not good enough"), 1, 1),
        (ProblemError("the target is a text"), 2, 1),
        (MonitoringError("no rows"), 3, 1),
        (OSError(28, "No space left on device"), 3, 1),
        (ValueError("unforeseen"), 3, 10),
    ],
)
def test_an_error_ends_a_command_with_a_line_and_a_code(
    error: Exception, code: int, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "COMMANDS", (Command("fails", "x:y", "Fails."),))
    monkeypatch.setattr(Command, "load", lambda _: lambda: raising(error))
    assert main(["fails"]) == code
    printed = capsys.readouterr().err.splitlines()
    assert printed[-1].startswith("tabular-bento fails: ")
    assert str(error) in printed[-1]
    assert (len(printed) == 1) == (lines == 1), "a traceback is shown where nobody foresaw the error, and only there"


def test_a_command_may_have_exit_codes_of_its_own() -> None:
    with pytest.raises(typer.Exit) as ended, failing({DataError: 1}, otherwise=4):
        raise DataError("cut short")
    assert ended.value.exit_code == 1


def test_a_projects_modules_offer_the_same_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert training_main(["--help"]) == 0
    assert "rollback" in (text := capsys.readouterr().out)
    assert "skew" not in text
    assert monitoring_main(["--help"]) == 0
    assert "skew" in (text := capsys.readouterr().out)
    assert "rollback" not in text


def test_without_a_command_training_trains(capsys: pytest.CaptureFixture[str]) -> None:
    assert training_main(["--seed", "no number"]) == 2
    assert "Usage: python -m training train" in capsys.readouterr().err


def test_without_a_project_the_model_or_the_log_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TABULAR_BENTO_TRAFFIC_DIR", raising=False)
    window = ("--from", "2025-01-01", "--to", "2025-02-01", "--out", str(tmp_path / "out"))
    for arguments, hint in ((("drift", *window), "--model NAME:VERSION"), (("log", "seal"), "--dir DIR")):
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "`tabular-bento new DIR --from TABLE --target COLUMN`" in line
        assert line.endswith(f"{hint}.")


def test_a_log_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    models.store_of_two(tmp_path / "store", models.trained())
    window = ("--from", "2025-01-01", "--to", "2025-02-01", "--out", str(tmp_path / "out"))
    assert main(["drift", *window, "--model", "prices:first", "--traffic-dir", str(tmp_path / "nowhere")]) == 2
    assert f"there is no traffic log at {tmp_path / 'nowhere'}: check --traffic-dir" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_help_fits_the_terminal_and_has_a_line_for_each_exit_code(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["reload", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = lines[lines.index("  Exit codes:") + 1 :][:5]
    assert [line.split()[0] for line in listed if line[4].isdigit()] == ["0", "1", "2", "3"]
    prose = [line for line in lines if line not in listed]
    assert max(map(len, prose)) <= min(columns, 100)
    assert columns < 100 or max(map(len, prose)) > 80
