"""Windows on a column of each kind of time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import LogError
from tabular_bento.protocol import RequestSchema
from tabular_bento.schema import Kind
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import PREDICTIONS, input_column
from tabular_bento.traffic.sealing import seal
from tabular_bento.traffic.window import Window
from tests.strategies import parsed
from tests.unit import several

START = datetime(2024, 2, 28)


class Package:
    tag = "rents:test"


@pytest.fixture(params=[False, True], ids=["open", "sealed"])
def stream(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Twelve rows, six hours apart from 28 February 2024; the optional times of each third are missing."""
    requests = []
    for index in range(12):
        moment = START + timedelta(hours=6 * index)
        times: dict[str, Any] = {
            "built": moment.date().isoformat(),
            "opened": moment.isoformat(),
            "listed": moment.isoformat() + "Z",
        }
        for name, value in list(times.items()):
            times[f"{name}_or_not"] = None if index % 3 == 0 else value
        requests.append({**several.EXAMPLE, **times, "floor": index})
    log = TrafficLog(tmp_path, several.RENTS.declaration, 1 << 20, 3600)
    rows = parsed(RequestSchema(several.RENTS.declaration), *requests)
    log.record(rows, Package(), np.zeros((12, 2), np.float32), several.outputs(12))
    log.close()
    if request.param:
        seal(tmp_path / PREDICTIONS)
    return tmp_path / PREDICTIONS


@pytest.mark.parametrize("suffix", ["", "_or_not"])
@pytest.mark.parametrize("name", ["built", "opened", "listed"])
def test_a_window_is_half_open_on_every_kind_of_time(stream: Path, name: str, suffix: str) -> None:
    def found(start: datetime | None, end: datetime | None) -> list[int]:
        counts = ScanCounts()
        table = EventLog(stream).read(start, end, [input_column("floor")], input_column(name + suffix), counts)
        assert counts.bad == 0
        return sorted(table[input_column("floor")].to_pylist())

    def expected(wanted: Callable[[datetime], bool]) -> list[int]:
        moments = {index: START + timedelta(hours=6 * index) for index in range(12)}
        if name == "built":
            moments = {index: moment.replace(hour=0) for index, moment in moments.items()}
        return [index for index, moment in moments.items() if wanted(moment) and not (suffix and index % 3 == 0)]

    noon, next_day = datetime(2024, 2, 28, 12), datetime(2024, 2, 29)
    assert found(noon, next_day) == expected(lambda moment: noon <= moment < next_day)
    assert found(next_day, None) == expected(lambda moment: moment >= next_day)
    assert found(None, next_day) == expected(lambda moment: moment < next_day)
    assert found(datetime(2025, 1, 1), None) == []


def test_only_a_time_has_windows() -> None:
    for kind in (Kind.TEXT, Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN):
        with pytest.raises(LogError, match=f"of kind {kind}; choose a time"):
            Window.of("input.x", kind, START, None)
    aware = START.replace(tzinfo=UTC)
    assert Window.of("x", Kind.DATE, aware, None).start == START
    assert Window.of("x", Kind.INSTANT, START, None).start == aware
