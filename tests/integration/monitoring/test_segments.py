"""A window broken down by carrier: its parts are those of the whole, and a fault is found where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tabular_bento.monitoring.drift.history import Entry
from tabular_bento.monitoring.drift.job import judge
from tabular_bento.monitoring.drift.page import page
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.window.data import Query
from tabular_bento.scoring.package import ModelPackage
from tests.integration.monitoring.logs import JANUARY, JULY, drawn, labels_of, post, read, record, year
from tests.integration.monitoring.verdicts import SETTINGS
from training.source import Flights

ROWS = 8_000


def by(directory: Path, field: str) -> Query:
    whole = year(directory)
    return Query(whole.directory, whole.start, whole.end, whole.on, field)


@pytest.fixture(scope="module")
def log(package: ModelPackage, flights: Flights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flights like those of training, but for UA's temperature."""
    directory = tmp_path_factory.mktemp("segments")
    table = drawn(flights, JANUARY, JULY, ROWS)
    warm = np.array(table["carrier"].to_pylist()) == "UA"
    temp = np.asarray(table["temp"].to_numpy()) + np.where(warm, 30, 0)
    post(directory, labels_of(table, record(directory, package, table, temp=temp)))
    return directory


@pytest.fixture(scope="module")
def result(log: Path, package: ModelPackage) -> DriftResult:
    return judge(by(log, "carrier"), package.tag, SETTINGS).result


def test_parts_are_those_of_the_whole(log: Path, package: ModelPackage, result: DriftResult) -> None:
    from tabular_bento.evaluation.reference.package import Reference

    data = read(by(log, "origin"), Reference.load(package.tag))
    assert {segment.value for segment in data.segments} == {"EWR", "JFK", "LGA"}
    for name, tally in data.tallies.items():
        parts = sum(segment.tallies[name].counts for segment in data.segments)
        assert parts.tolist() == tally.counts.tolist()
    assert sum(int(segment.blocks.rows.sum()) for segment in data.segments) == ROWS
    assert sum(segment.rows for segment in result.segments) == ROWS
    assert sum(segment.labels for segment in result.segments) == result.labels.matched
    sizes = [segment.rows for segment in result.segments]
    assert sizes == sorted(sizes, reverse=True)
    assert result.labels.model is not None
    squares = sum((segment.rmse or 0) ** 2 * segment.labels for segment in result.segments)
    assert squares / result.labels.matched == pytest.approx(result.labels.model.rmse**2)


def test_a_fault_is_found_where_it_is(result: DriftResult) -> None:
    found = {segment.value: segment for segment in result.segments if segment.compared}
    assert len(found) >= 4
    assert found["UA"].drifted[0] == "temp"
    assert not any("temp" in segment.drifted for value, segment in found.items() if value != "UA")
    assert sum(len(segment.drifted) for value, segment in found.items() if value != "UA") <= 1
    assert any(not segment.compared and segment.drifted_share is None for segment in result.segments)


def test_the_page_has_a_table(result: DriftResult) -> None:
    text = page(result, None, [Entry.of(result)])
    assert text.index('<h2 id="segments">By carrier</h2>') > text.index('<h2 id="columns">Columns</h2>')
    assert "too few rows to compare" in text
