"""The command, its options and variables, and how each that is wrong is reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tabular_bento.cli import main
from tabular_bento.scoring.package import ModelPackage
from tests.integration.monitoring.comparison.conftest import NO_LATENCY
from tests.integration.monitoring.variants import Variants


def test_the_command_takes_tags_and_ends_with_its_verdict(
    package: ModelPackage, variants: Variants, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compare", "--baseline", package.tag, "--on", "test", "--sample", "2000", "--out", str(tmp_path)]
    assert main([*arguments, "--candidate", variants.near, "--equivalent", "--json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    summary = json.loads(lines[-1])
    assert summary["verdict"] == "refused"
    assert Path(summary["report"]).exists()
    assert sum(line.startswith("worst ") for line in lines) == NO_LATENCY.worst_rows
    assert '"features": {' in next(line for line in lines if line.startswith("worst "))
    assert main([*arguments, "--candidate", variants.again, "--equivalent"]) == 0
    assert main([*arguments, "--candidate", "flights:nowhere", "--equivalent"]) == 3
    assert "flights:nowhere" in capsys.readouterr().err
    assert main([*arguments, "--candidate", variants.near, "--not-worse", "--margin", "-1"]) == 2
    assert "--margin: Input should be greater than 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TABULAR_BENTO_COMPARE_MARGIN", "-1", "TABULAR_BENTO_COMPARE_MARGIN: Input should be greater than 0"),
        (
            "TABULAR_BENTO_COMPARE_END",
            "2026-01-02T00:00Z",
            "TABULAR_BENTO_COMPARE_END: Input should not have timezone info",
        ),
        ("TABULAR_BENTO_COMPARE_END", "2020-01-01", "--from must be before --to"),
    ],
)
def test_a_variable_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    arguments = ["--baseline", "x", "--candidate", "y", "--on", "shadow", "--from", "2026-01-01", "--out", "nowhere"]
    assert main(["compare", *arguments, "--equivalent"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("on", "option", "value"),
    [
        ("test", "--from", "2013-07-01"),
        ("examples.parquet", "--to", "2013-07-01"),
        ("test", "--window-on", "sched_dep"),
        ("test", "--traffic-dir", "var/traffic"),
        ("traffic", "--sample", "100"),
        ("shadow", "--sample", "100"),
        ("test", "--margin", "0.02"),
        ("test", "--protocol", "grpc"),
        ("test", "--candidate-grpc", "127.0.0.1:3001"),
    ],
)
def test_an_option_that_would_be_dropped_is_reported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, on: str, option: str, value: str
) -> None:
    arguments = ["--baseline", "x", "--candidate", "y", "--on", on, option, value, "--out", str(tmp_path / "out")]
    assert main(["compare", *arguments, "--equivalent"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"tabular-bento compare: {option} is for ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("on", ["rows.parquet", "trafic", ""])
def test_rows_that_are_not_there_are_a_wrong_argument_whatever_the_models_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, on: str
) -> None:
    where = str(tmp_path / on)
    arguments = ["--baseline", "x", "--candidate", "y", "--on", where, "--out", str(tmp_path / "out"), "--equivalent"]
    assert main(["compare", *arguments]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith("this is neither `test`, `traffic` nor `shadow`, and there is no Parquet file there.")
    assert not (tmp_path / "out").exists()


def test_what_is_no_tag_at_all_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--candidate", "no tag!", "--on", "test", "--equivalent", "--out", str(tmp_path)]
    assert main(["compare", "--baseline", "x", *arguments]) == 3
    assert "There is no model no tag!" in capsys.readouterr().err
