"""New projects beside two models of scikit-learn: what these learn from, the table, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main as benchmarks
from benchmarks.defaults import command, project
from benchmarks.defaults.command import misses, ratio, table
from benchmarks.defaults.project import LEARNT, _fitting, _loss, _predicted
from benchmarks.defaults.tables import TABLES
from tests.unit import models


def measured(project: float, train: tuple[float, float], rest: tuple[float, float]) -> dict[str, Any]:
    losses = {
        learnt: dict(zip(("boosting", "linear"), found, strict=True))
        for learnt, found in zip(LEARNT, (train, rest), strict=True)
    }
    return {"seed": 1, "rows": 1_500, "task": "binary", "runner": "linear", "losses": {"project": project, **losses}}


FOUND = {
    "kept": [measured(1.0, (2.0, 1.0), (1.5, 1.0)), measured(1.04, (1.0, 1.02), (1.0, 1.02))],
    "missed": [measured(1.0, (2.0, 1.0), (0.9, 1.0))],
}


def test_the_better_of_the_two_is_the_one_with_the_smaller_mean() -> None:
    assert ratio(FOUND["kept"], "train") == pytest.approx(1.02 / 1.01)
    assert ratio(FOUND["missed"], "train") == 1
    assert ratio(FOUND["missed"], "all") == pytest.approx(1 / 0.9)


def test_both_readings_have_to_keep_the_limit() -> None:
    assert misses(FOUND) == {"missed": pytest.approx(1 / 0.9)}
    assert misses({"kept": FOUND["kept"]}) == {}


@pytest.mark.parametrize(("test_rows", "seeds"), [(400, 5), (250, 5), (100, 10), (36, 20)])
def test_a_small_test_part_is_drawn_by_more_seeds(test_rows: int, seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "measure", lambda seed: {"seed": seed, "test_rows": test_rows})
    assert [each["seed"] for each in project.measurements()] == list(range(1, seeds + 1))
    assert [each["seed"] for each in project.measurements([7, 9])] == [7, 9]


def test_the_table_has_both_readings() -> None:
    head, _, kept, missed = table(FOUND).splitlines()
    assert head.count("over the better") == 2
    assert [cell.strip() for cell in kept.split("|")[1:4]] == ["kept", "binary", "1,500"]
    assert "| 1.010 |" in kept
    assert "linear 2" in kept
    assert "| 1.000 | 0.9 | 1 | 1.111 | linear 1 |" in missed


def test_nobody_learns_from_the_test_part() -> None:
    model = models.trained("parcels")
    for names in LEARNT.values():
        X, y = _fitting(model, names)
        assert len(X) == len(y) == sum(len(model.parts[name]) for name in names)
        assert not np.isin(model.parts["test"].columns["weight"], X["weight"]).any()
    found = _loss(model, *_predicted(model))
    assert found == pytest.approx(model.metrics["test"].to_dict()["rmse"])


@pytest.mark.slow
def test_a_project_is_made_trained_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "MOST", 0.0)
    arguments = ["--tables", "noise-400", "--seeds", "1", "2", "--json", str(tmp_path / "found.json")]
    assert benchmarks(["defaults", *arguments]) == 1
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())["tables"]
    assert [each["seed"] for each in found["noise-400"]] == [1, 2]
    assert printed.startswith(table(found))
    assert "benchmarks defaults: noise-400: " in printed
    assert 0.9 < ratio(found["noise-400"], "all") < 1.1, "noise is predicted by nobody"


def test_tables_are_the_same_each_time_and_of_all_tasks() -> None:
    for name, make in TABLES.items():
        first, second = make(), make()
        assert first.target in first.rows, name
        assert first.time is None or first.time in first.rows, name
        assert first.rows.equals(second.rows), name
