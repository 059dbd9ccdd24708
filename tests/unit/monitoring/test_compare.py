"""Comparisons of problems that lack an event time, an offset, segments or rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tabular_bento.data import Dataset
from tabular_bento.errors import CompareError, ReplayError
from tabular_bento.monitoring.comparison.job import run
from tabular_bento.monitoring.comparison.page import _DECISIONS
from tabular_bento.monitoring.comparison.result import CompareResult
from tabular_bento.monitoring.comparison.settings import CompareSettings, read_settings
from tabular_bento.monitoring.replay import ReplayConfig, _chosen
from tabular_bento.problem import Problem
from tests.unit import models

NO_LATENCY = CompareSettings(max_latency_ratio=None)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[str, str]]:
    """The tags of a small model and of a worse one, by the problem's name."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    return lambda name: models.store_of_two(tmp_path / "store", models.trained(name))


def compared(
    tags: tuple[str, str],
    problem: Problem,
    dataset: Dataset | None,
    out: Path,
    mode: Any = "not_worse",
    on: str = "test",
) -> CompareResult:
    result = run(*tags, on, mode, out, NO_LATENCY, problem=problem, dataset=dataset)
    text = (out / "compare.json").read_text()
    assert CompareResult.model_validate_json(text) == result
    json.loads(text, parse_constant=lambda token: pytest.fail(f"{token} is no JSON"))
    assert f"<strong>{_DECISIONS[result.mode, result.verdict][0]}</strong>" in (out / "compare.html").read_text()
    return result


def test_without_event_time_offset_and_segments(packages: Callable[[str], tuple[str, str]], tmp_path: Path) -> None:
    tags = packages("parcels")
    result = compared(tags, models.PARCELS, models.parcels(), tmp_path)
    assert (result.verdict, result.target, result.unit) == ("cannot_tell", "cost", "EUR")
    there = f"Not enough data: {result.rows.labels} labels; at this spread about"
    assert re.fullmatch(rf"{there} [\d,]+ labels would decide a margin of 1 %.", result.reasons[0])
    assert result.needed is not None
    assert (result.needed.days, result.needed.power) == (None, 0.8)
    assert 0 < result.rows.labels == result.rows.compared < 100
    assert result.rows.days == result.rows.labels, "each row is a block of its own"
    assert (result.segments, result.days, result.source.first) == ([], [], None)
    assert "no event time" in result.notes[-2]
    assert "no segments" in result.notes[-1]
    assert result.metrics[0].interval is not None
    assert result.source.where == "parcels, test part"
    assert compared((tags[0], tags[0]), models.PARCELS, models.parcels(), tmp_path, "equivalent").exit_code == 2


def test_enough_rows_without_event_time_are_judged(packages: Callable[[str], tuple[str, str]], tmp_path: Path) -> None:
    tags = packages("parcels")
    rows = models.parcels(8_000, seed=7)
    result = compared(tags, models.PARCELS, rows, tmp_path)
    assert result.verdict == "refused"
    assert result.rows.labels > 1_000
    assert result.rows.days == 1_024
    assert result.reasons[0].startswith("RMSE is ")
    assert "The data has changed" in result.notes[0]
    same = compared((tags[0], tags[0]), models.PARCELS, rows, tmp_path)
    assert same.verdict == "accepted"


def test_a_problem_with_every_kind_and_an_event_time(
    packages: Callable[[str], tuple[str, str]], tmp_path: Path
) -> None:
    result = compared(packages("dated"), models.DATED, models.prices(models.DATED), tmp_path, "equivalent")
    assert result.verdict == "refused"
    assert {part.field for part in result.segments} == {"city"}
    assert "none" in {part.value for part in result.segments}, "rows without a city"
    assert result.days
    assert result.agreement is not None
    assert set(result.agreement.worst[0].features or {}) == set(models.DATED.feature_names)
    assert all(isinstance(row.fields["opened"], str) for row in result.agreement.worst)


def test_parquet_with_labels_by_either_name(packages: Callable[[str], tuple[str, str]], tmp_path: Path) -> None:
    rows = models.parcels(200, seed=3)
    table = pa.table({**rows.columns, "label": pa.array(rows.target, from_pandas=True)})
    pq.write_table(table, tmp_path / "rows.parquet")
    result = compared(packages("parcels"), models.PARCELS, None, tmp_path, on=str(tmp_path / "rows.parquet"))
    assert (result.rows.compared, result.rows.labels) == (200, 180)


def test_outside_of_a_project(packages: Callable[[str], tuple[str, str]], tmp_path: Path) -> None:
    tags = packages("parcels")
    with pytest.raises(CompareError, match="run the comparison in the project"):
        run(*tags, "test", "not_worse", tmp_path, NO_LATENCY)
    with pytest.raises(CompareError, match="reads the project's data"):
        run(*tags, "test", "not_worse", tmp_path, NO_LATENCY, problem=models.PARCELS)
    settings = CompareSettings(traffic_dir=tmp_path / "traffic")
    result = run(*tags, "shadow", "equivalent", tmp_path, settings)
    assert (result.verdict, result.target) == ("cannot_tell", "cost")
    with pytest.raises(CompareError, match="nothing says what was logged"):
        run("parcels:a", "parcels:b", "shadow", "equivalent", tmp_path, settings)


def test_settings_come_from_the_environment_before_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"margin": 0.02, "min_days": 40}
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_MARGIN", "0.03")
    settings = read_settings(table, seed=5)
    assert (settings.margin, settings.min_days, settings.seed) == (0.03, 40, 5)
    assert read_settings(table, margin=0.04).margin == 0.04
    assert settings.minima == (1_500, 40), "of a wide margin, but for what is set"
    assert read_settings({}, margin=0.02).minima == (100, 35)
    with pytest.raises(CompareError, match=r"\[compare\] min_days: "):
        read_settings({"min_days": 1})
    with pytest.raises(CompareError, match=r"\[compare\] no_such: "):
        read_settings({"no_such": 1})


def test_a_replay_without_event_time_sends_the_test_part_in_its_order() -> None:
    dataset = models.trained("parcels").dataset
    declaration = models.PARCELS.declaration
    rows = _chosen(declaration, dataset, ReplayConfig())
    test = dataset.part("test")
    assert np.array_equal(rows.columns["weight"], test.columns["weight"])
    whole = _chosen(declaration, replace(dataset, parts={}), ReplayConfig())
    assert len(whole) == len(dataset)
    with pytest.raises(ReplayError, match="no event time"):
        _chosen(declaration, dataset, ReplayConfig(months="2024-01"))
