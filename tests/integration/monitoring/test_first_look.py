"""What is known before the pass: the models of a window, and the values that its rows are distinguished by."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.compute as pc

from tabular_bento.evaluation.reference.bins import FIRST
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.vocabulary import MOST_NEW
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.reading import MOST_SEGMENTS, models_in, segment_values
from tabular_bento.monitoring.window.workers import ThisProcess
from tabular_bento.scoring.package import ModelPackage
from tests.integration.monitoring.logs import JANUARY, JULY, drawn, record, rewrite, year
from training.source import Flights

ROWS = 4_000


def test_models_of_the_window(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    record(tmp_path, package, table)
    record(tmp_path, package, table.slice(0, 300), tag="flights:other")
    query = year(tmp_path)
    assert models_in(query, ThisProcess()) == {package.tag: ROWS, "flights:other": 300}
    first = Query(tmp_path, query.start, table["sched_dep"][99].as_py(), query.on)
    before = pc.sum(pc.less(table["sched_dep"], table["sched_dep"][99])).as_py()
    assert models_in(first, ThisProcess()) == {package.tag: before, "flights:other": before}


def test_values_of_training_are_never_crowded_out(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    """Half of the rows name carriers that nobody knows, each once, and more of them than are kept by name."""
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    places, counted = iter(range(ROWS)), Counter[str]()

    def alter(line: dict[str, str]) -> dict[str, str]:
        place = next(places)
        if place % 2:
            return {**line, "input.carrier": f"?{place}"}
        counted[line["input.carrier"]] += 1
        return line

    rewrite(tmp_path, alter)
    assert ROWS // 2 > MOST_NEW
    found = segment_values(year(tmp_path), "carrier", Reference.load(package.tag), ThisProcess()).bins
    assert found.size == FIRST + MOST_SEGMENTS
    named = [found.category(FIRST + place) for place in range(MOST_SEGMENTS)]
    frequent = [name for name, count in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])) if count > 1]
    assert named[: len(frequent)] == frequent
