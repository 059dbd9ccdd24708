"""`tabular-bento log seal`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tabular_bento.cli import main
from tabular_bento.traffic.sealing import SealReport
from tests.unit.traffic.streams import write

DIRECTORY = "TABULAR_BENTO_TRAFFIC_DIR"
RETENTION = "TABULAR_BENTO_TRAFFIC_RETENTION_DAYS"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs a command of `log` with these settings; gives its exit code, output and messages."""

    def run(*arguments: object, **environment: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for name in (DIRECTORY, RETENTION):
                patch.delenv(name, raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            code = main(["log", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def test_every_stream_is_reported(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "predictions", range(1200))
    code, output, messages = run("seal", **{DIRECTORY: str(tmp_path)})
    assert (code, messages) == (0, "")
    first, *others = output.splitlines()
    assert first.startswith("predictions: 1,200 rows of 1 log files sealed into 2 files")
    assert others == [f"{name}: nothing is logged in {tmp_path / name} yet." for name in ("labels", "shadow")]


def test_json_and_retention(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "predictions", range(300))
    write(tmp_path / "labels", range(3))
    code, output, messages = run("seal", "--dir", tmp_path, "--json", **{RETENTION: "30"})
    assert (code, messages) == (0, "")
    reports = json.loads(output.splitlines()[-1])
    assert SealReport(**reports["predictions"]) == SealReport(1, 300, files_written=2, partitions_removed=2)
    assert SealReport(**reports["labels"]) == SealReport(1, 3, files_written=1, partitions_removed=1)


@pytest.mark.parametrize("days", ["-1", "two", "1.5", "99999999"])
def test_wrong_days_are_refused(tmp_path: Path, run: Run, days: str) -> None:
    for code, _, messages in (
        run("seal", "--dir", tmp_path, f"--retain-days={days}"),
        run("seal", **{RETENTION: days}),
    ):
        assert code == 2
        assert "retain-days" in messages


def test_a_stream_that_cannot_be_sealed_is_reported_in_one_line(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "predictions", [0])
    (tmp_path / "predictions" / "date=2013-07-01").write_text("in the way")
    code, _, messages = run("seal", "--dir", tmp_path)
    assert code == 3
    assert "cannot be sealed" in messages
    assert "Traceback" not in messages


def test_help_names_settings_and_exit_codes(run: Run) -> None:
    code, output, _ = run("seal", "--help")
    assert code == 0
    text = " ".join(output.split())
    for words in ("TRAFFIC_DIR", "RETENTION", "Exit codes: 0 done", "cron"):
        assert words in text
    assert "seal" in run("--help")[1]
