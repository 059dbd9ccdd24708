"""The power study judges in memory what the drift job judges of a log, and finds what it is there to find."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.backtest.job import Grounds
from benchmarks.backtest.past import Past, window_of
from benchmarks.power import study
from benchmarks.power.command import main
from benchmarks.power.shifts import KINDS, World, kinds
from features.problem import PROBLEM
from tabular_bento import Problem
from tabular_bento.data import Dataset
from tabular_bento.data.columns import columns_of_table
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.job import judge, judge_window
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.project import Project
from tabular_bento.scoring.package import ModelPackage
from tests import monitored_classes as classes
from tests.integration.monitoring.logs import AUGUST, JULY, drawn, labels_of, post, record, year
from training.source import load_flights

SMALL = study.Sizes(rows=(1_000, 5_000), windows=8, shifts=24, others=0, splits=2, weeks=1)


def test_a_window_in_memory_is_that_of_its_log(package: ModelPackage, tmp_path: Path) -> None:
    table = drawn(load_flights(), JULY, AUGUST, 2_000)
    post(tmp_path, labels_of(table, record(tmp_path, package, table)))
    read = judge(year(tmp_path), package.tag, DriftSettings())
    columns = columns_of_table(table, [item for item in PROBLEM.fields if item.name in table.column_names])
    columns |= {"id": np.full(table.num_rows, None)}
    grounds = Grounds.of(package.tag, package.directory, DriftSettings())
    target = np.array(table[PROBLEM.target.name].to_pylist(), dtype=np.float64)
    data = replace(grounds.train.data.where(np.arange(2_000)), columns=columns, target=target)
    reference = Reference.read(package.directory, package.tag)
    made = window_of(Past.of(grounds.predictor, data), reference)
    for name, tally in read.data.tallies.items():
        same = made.tallies[name]
        np.testing.assert_array_equal(same.counts, tally.counts, err_msg=name)
        assert (same.infinite, same.minimum, same.maximum) == (tally.infinite, tally.minimum, tally.maximum), name
    assert read.data.true is not None
    assert made.true is not None
    np.testing.assert_array_equal(made.true.sum(axis=0), read.data.true.sum(axis=0))
    np.testing.assert_allclose(made.blocks.sums.sum(axis=0), read.data.blocks.sums.sum(axis=0), rtol=1e-6)
    judged = judge_window(year(tmp_path), reference, made, DriftSettings()).result
    assert judged.verdict == read.result.verdict
    assert judged.decision == read.result.decision
    for mine, theirs in zip(judged.columns, read.result.columns, strict=True):
        assert (mine.name, mine.score, mine.threshold) == (theirs.name, theirs.score, theirs.threshold)


@pytest.mark.slow
def test_few_false_alarms_and_most_shifts_found(package: ModelPackage) -> None:
    grounds = Grounds.of(package.tag, package.directory, DriftSettings())
    later = grounds.later.where(grounds.later.event < grounds.learnt_until.replace(tzinfo=UTC).timestamp())
    grounds = replace(grounds, reference=with_error(grounds.reference, later))
    found = study.run(grounds, SMALL, seed=11)
    assert found.cell(study.NOTHING, 1_000).alarms + found.cell(study.NOTHING, 5_000).alarms <= 1
    shifted = found.cell(None, 5_000)
    assert shifted.windows == 24
    assert shifted.warnings >= 21
    assert shifted.alarms >= 19
    text = study.table(found)
    assert all(kind in text for kind in KINDS)
    assert {one["kind"] for one in found.document()["table"]} == {study.NOTHING, *KINDS, "all shifts"}
    assert study.run(grounds, SMALL, seed=11).windows == found.windows


def test_only_kinds_that_there_is_something_of_are_drawn(package: ModelPackage) -> None:
    grounds = Grounds.of(package.tag, package.directory, DriftSettings())
    world = World(grounds.predictor, grounds.reference, grounds.train)
    assert kinds(world) == list(KINDS)
    world.__dict__.update(categories=[], conversions=[], fields=())
    assert kinds(world) == list(KINDS)[3:]


def test_a_project_of_classes_is_studied_by_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    tag = classes.store_of(tmp_path, "returns")
    monkeypatch.setattr(Project, "find", lambda *_: OfClasses("returns", tmp_path))
    small = ["--rows", "600", "--judged", "600", "--windows", "4", "--shifts", "5", "--others", "0", "--splits", "1"]
    assert main(["--model", tag, "--seed", "3", "--weeks", "0", "--json", str(tmp_path / "found.json"), *small]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    by_kind = {one["kind"]: one for one in found["table"]}
    assert (by_kind["no shift"]["windows"], by_kind["no shift"]["alarms"]) == (4, 0)
    assert by_kind["a unit changed"]["windows"] == 0, "no field has a unit that is known by another name"
    assert "| a category gone |" in capsys.readouterr().out


def test_rows_without_a_time_are_not_studied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    tag = classes.store_of(tmp_path, "grades")
    monkeypatch.setattr(Project, "find", lambda *_: OfClasses("grades", tmp_path))
    assert main(["--model", tag]) == 3
    assert "the rows of its problem have no time" in capsys.readouterr().err


@dataclass(frozen=True)
class OfClasses:
    """A project of `tests.monitored_classes`."""

    name: str
    root: Path
    monitoring: Path | None = None

    def load_problem(self) -> Problem:
        return classes.PROBLEMS[self.name]

    def load_source(self) -> OfClasses:
        return self

    def load(self, _: str | None) -> Dataset:
        return classes.rows_of(self.name)


def with_error(reference: Reference, unseen: Past) -> Reference:
    """The reference with what training measures of rows that the model had not seen; the golden package is older."""
    from tabular_bento.evaluation.reference.calibration import error_spread

    measured = error_spread(unseen.predicted - unseen.labels, unseen.event)
    return replace(reference, error=reference.error | {"unseen": measured}, rows=pa.table({}))
