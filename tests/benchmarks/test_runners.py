"""The page of the runners: what is measured of one, and how the tables are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.runners import command
from benchmarks.runners.project import image_bytes
from tabular_bento.scoring.runners import BUILT_IN
from tests.models import ROOT


def test_a_runner_is_trained_measured_and_written_between_the_marks_of_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "PROJECTS", {"diabetes": ROOT / "examples" / "diabetes"})
    page, document = tmp_path / "page.md", tmp_path / "found.json"
    begin, end = command.MARKS
    page.write_text(f"Before.\n\n{begin}\nold\n{end}\n\nAfter.\n")
    options = ["--rows", "400", "--runners", "linear", "--out", str(page), "--json", str(document)]
    assert command.main(options) == 0
    ((measured,),) = json.loads(document.read_text())["projects"].values()
    low, high = measured["interval"]
    assert (measured["kind"], measured["metric"], sum(measured["rows"].values())) == ("linear", "rmse", 400)
    assert low < measured["value"] < high < measured["baselines"]["naive_baseline"] * 1.2
    assert measured["runner_bytes"] > 0 == measured["image_bytes"]
    assert set(measured["microseconds"]) == {"1", "1000"}
    assert min(measured["fit_seconds"], *measured["microseconds"].values()) > 0

    text = page.read_text()
    assert (text.startswith(f"Before.\n\n{begin}\n"), text.endswith(f"{end}\n\nAfter.\n")) == (True, True)
    assert "old" not in text
    assert "### diabetes" in text
    assert f"| linear | {measured['value']:.4g} ({low:.4g} to {high:.4g}) | " in text
    assert text.split(begin)[1].split(end)[0].strip() == capsys.readouterr().out.strip()


def test_the_better_runner_is_first_and_baselines_are_last() -> None:
    one = {
        "kind": "linear", "metric": "log_loss", "value": 0.5, "interval": [0.4, 0.6], "fit_seconds": 0.25,
        "baselines": {"naive_baseline": 0.7, "historical_baseline": 0.65}, "runner_bytes": 2_000,
        "image_bytes": 12_400_000, "microseconds": {"1": 40.0, "1000": 1_500.0}, "rows": {"train": 1_000, "test": 500},
    }  # fmt: skip
    lines = command._table("churn", [one, {**one, "kind": "xgboost", "value": 0.45}]).splitlines()
    assert lines[2] == "Rows by part: 1,000 train, 500 test. log loss of the test part, 95 % interval; less is better."
    assert [line.split(" | ")[0].strip("| ") for line in lines[6:]] == [
        "xgboost", "linear", "historical baseline", "naive baseline"
    ]  # fmt: skip
    assert lines[7] == "| linear | 0.5 (0.4 to 0.6) | 0.2 | 2 | 12 | 0.04 | 1.5 |"
    assert len({line.count("|") for line in lines[4:]}) == 1


def test_every_runner_that_is_trained_has_a_row_and_costs_what_its_lock_adds() -> None:
    assert set(command.trainable()) == set(BUILT_IN) - {"pipeline"}
    sizes = {kind: image_bytes(kind) for kind in command.trainable()}
    assert sizes["linear"] == sizes["keras"] == 0
    assert min(sizes[kind] for kind in ("lightgbm", "xgboost", "sklearn")) > 1_000_000
