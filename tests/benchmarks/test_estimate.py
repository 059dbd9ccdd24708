"""The coverage study: its tables, its sums, and a project that is made, trained and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.estimate import command
from benchmarks.estimate.tables import TABLES, drawn
from tabular_bento.evaluation.reference.confidence import METRICS


def window(inside: bool, reach: float = 1.0) -> dict[str, Any]:
    each = {"estimate": [2.0, 2.0 - reach, 2.0 + reach], "observed": [2.0, 1.5, 2.5], "inside": inside}
    return {"rows": 100, "unseen": 50, **dict.fromkeys(METRICS, each)}


WITHHELD = {"rows": 100, "unseen": 50, "withheld": "too few"}


def test_the_windows_of_a_table_are_summed_up() -> None:
    good = [window(True)] * 17 + [window(False)] * 3 + [WITHHELD]
    assert command.covered(good, "log_loss") == 0.85
    assert command.width(good, "brier") == 2.0
    assert command.holds(good)
    assert not command.holds([*good, window(False)])
    assert not command.holds([window(True, 1.1)])
    assert command.holds([WITHHELD])
    text = command.table({"good": good, "none": [WITHHELD]})
    assert "| good | 50 | 100 | 21 | 1 | 85%, 2.00 | 85%, 2.00 | 85%, 2.00 |  |" in text
    assert "| none | 50 | 100 | 1 | 1 |  |  |  |  |" in text


def test_drawn_tables_are_those_of_their_seed() -> None:
    one, same, other = drawn(400, 1), drawn(400, 1), drawn(400, 2)
    assert one.rows.equals(same.rows)
    assert not one.rows.equals(other.rows)
    assert 0.05 < (drawn(4_000, share=0.02).rows["label"] == "class 1").mean() < 0.2
    assert drawn(400, classes=4).rows["label"].nunique() == 4
    dated = drawn(400, dated=True)
    assert dated.time is not None
    assert dated.rows[dated.time].is_monotonic_increasing
    assert {len(TABLES[name](1).rows) for name in TABLES if name.startswith("drawn")} >= {150, 20_000}
    assert not TABLES["drawn-300"](1).rows.equals(TABLES["drawn-300"](2).rows)
    assert TABLES["penguins"](1).rows.equals(TABLES["penguins"](2).rows)


def test_the_rmse_of_a_regression_is_judged_too() -> None:
    each = {"estimate": [2.0, 1.0, 3.0], "observed": [2.0, 1.5, 2.5], "inside": True}
    good = {"rows": 100, "unseen": 50, "rmse": each}
    assert command.holds([good])
    assert not command.holds([good, good | {"rmse": each | {"inside": False}}])
    assert "| prices | 50 | 100 | 1 | 0 |  |  |  | 100%, 2.00 |" in command.table({"prices": [good]})


@pytest.mark.slow
def test_a_project_is_made_trained_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "scratch_folder", lambda: _Folder(tmp_path))
    out = tmp_path / "found.json"
    assert command.main(["--tables", "drawn-600", "--seeds", "1", "2", "--json", str(out)]) in (0, 1)
    found = json.loads(out.read_text())["tables"]["drawn-600"]
    assert [one["seed"] for one in found] == [1, 2]
    for one in (each for each in found if "withheld" not in each):
        assert one["log_loss"]["estimate"][0] == pytest.approx(one["log_loss"]["observed"][0], rel=0.5)
        assert np.diff(one["accuracy"]["estimate"][1:])[0] > 0


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        return None
