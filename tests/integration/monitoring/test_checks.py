"""Windows that are broken in one way each: the right verdict, and a finding that names the column or the cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markupsafe import escape

from features.problem import PROBLEM
from tabular_bento.evaluation.reference.vocabulary import MOST_NEW, NewValues, vocabularies
from tabular_bento.monitoring.drift.job import REPORT_FILE, judge, run
from tabular_bento.monitoring.window.data import Query
from tabular_bento.schema import Kind
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.schema import LogColumn, label_columns
from tabular_bento.traffic.sealing import seal
from tabular_bento.traffic.writer import LogWriter
from tests.integration.monitoring.logs import COLUMNS, JANUARY, JULY, append, drawn, record, rewrite, year
from tests.integration.monitoring.verdicts import SETTINGS, column, embedded, finding, kinds, verdict
from training.source import Flights

ROWS = 2_000


@pytest.fixture
def log(tmp_path: Path, package: ModelPackage, flights: Flights) -> Path:
    """A log of flights that are like those of training."""
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS))
    return tmp_path


def test_nothing_is_wrong(log: Path) -> None:
    result = verdict(log)
    assert (result.verdict, result.exit_code) == ("no_drift", 0)
    assert {one.severity for one in result.findings} == {"note"}


def test_all_missing(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS), temp=np.full(ROWS, np.nan))
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code) == ("drift", 1)
    assert kinds(result, "temp") == {"column_all_missing"}
    assert not column(result, "temp").healthy
    assert result.findings[0].column == "temp"
    assert "temp" in (result.findings[0].look_at or "")


def test_absent(log: Path) -> None:
    rewrite(log, lambda line: line, [field for field in COLUMNS if field.name != "feature.temp"])
    result = verdict(log)
    assert (result.verdict, result.exit_code) == ("invalid_data", 2)
    assert kinds(result, "temp") == {"column_absent"}
    assert column(result, "temp").score is None


def test_absent_text(log: Path) -> None:
    rewrite(log, lambda line: line, [field for field in COLUMNS if field.name != "input.dest"])
    result = verdict(log)
    assert (result.verdict, result.exit_code) == ("invalid_data", 2)
    assert kinds(result, "dest") == {"column_absent"}


def test_wrong_type(log: Path) -> None:
    schema = [replace(f, kind=Kind.TEXT) if f.name == "feature.temp" else f for f in COLUMNS]
    rewrite(log, lambda line: {**line, "feature.temp": str(line["feature.temp"])}, schema)
    result = verdict(log)
    assert (result.verdict, result.exit_code) == ("invalid_data", 2)
    assert kinds(result, "temp") == {"column_wrong_type"}


def test_number_for_text(log: Path) -> None:
    schema = [replace(f, kind=Kind.INTEGER) if f.name == "input.origin" else f for f in COLUMNS]
    rewrite(log, lambda line: {**line, "input.origin": 7}, schema)
    result = verdict(log)
    assert result.verdict == "invalid_data"
    assert kinds(result, "origin") == {"column_wrong_type"}


NEEDED_ALTERED = [
    (name, kind)
    for name in ("prediction_id", "model", "input.sched_dep", "input.dep_delay", "output.arrival_delay")
    for kind in (None, Kind.INTEGER if name in ("prediction_id", "model", "input.sched_dep") else Kind.TEXT)
]


@pytest.mark.parametrize("named", [True, False], ids=["model named", "model not named"])
@pytest.mark.parametrize(("name", "kind"), NEEDED_ALTERED)
def test_a_column_that_every_row_must_have(
    log: Path, package: ModelPackage, name: str, kind: Kind | None, named: bool
) -> None:
    """Absent, or declared as another kind, it is a verdict with a finding and a page, not a failure of the job."""
    schema = [field for field in COLUMNS if field.name != name] + ([LogColumn(name, kind)] if kind else [])
    value = {Kind.INTEGER: 7, Kind.TEXT: "late"}.get(kind) if kind else None
    rewrite(log, lambda line: {**line, name: value}, schema)
    done = run(year(log), log / "out", package.tag if named else None)
    assert (done.complaints, done.exit_code) == ([], 2)
    assert (done.result.verdict, done.result.rows.scored) == ("invalid_data", 0)
    first = done.result.findings[0]
    assert (first.kind, first.column, first.severity) == (
        "column_wrong_type" if kind else "column_absent",
        name,
        "alarm",
    )
    assert not kinds(done.result) & {"few_rows"}
    page = (log / "out" / REPORT_FILE).read_text()
    assert "Invalid data" in page
    assert f"{name}: the log" in page


def test_a_column_declared_anew_as_another_kind(log: Path) -> None:
    """The log holds numbers by the old schema and text by the new one."""
    schema = [LogColumn(f.name, Kind.TEXT) if f.name == "input.dep_delay" else f for f in COLUMNS]
    with LogWriter(log / "predictions", schema) as writer:
        writer.append(b'{"time": "2013-07-01T00:00:00Z", "input.dep_delay": "late"}\n')
    result = verdict(log)
    assert (result.verdict, kinds(result, "input.dep_delay")) == ("invalid_data", {"column_wrong_type"})


def test_labels_of_another_kind_hide_no_verdict(log: Path) -> None:
    schema = [replace(f, kind=Kind.TEXT) if f.name == "label" else f for f in label_columns(PROBLEM.declaration)]
    with LogWriter(log / "labels", schema) as writer:
        writer.append(b'{"prediction_id": "a", "time": "2013-07-01T00:00:00Z", "label": "late"}\n')
    result = verdict(log)
    assert (result.verdict, result.labels.matched) == ("no_drift", 0)
    reported = finding(result, "labels_unreadable")
    assert (reported.severity, reported.column) == ("notice", "label")


@pytest.mark.parametrize("kind", [None, Kind.INTEGER])
def test_a_breakdown_by_a_column_that_is_no_text(log: Path, kind: Kind | None) -> None:
    schema = [f for f in COLUMNS if f.name != "input.carrier"] + ([LogColumn("input.carrier", kind)] if kind else [])
    rewrite(log, lambda line: {**line, "input.carrier": 7 if kind else None}, schema)
    query = year(log)
    result = judge(Query(log, query.start, query.end, query.on, "carrier"), None, SETTINGS).result
    assert (result.verdict, result.rows.scored, result.segments) == ("invalid_data", ROWS, [])
    assert kinds(result, "carrier") == {"column_wrong_type" if kind else "column_absent"}


def test_strings_for_numbers(log: Path) -> None:
    rewrite(log, lambda line: {**line, "feature.temp": "warm"} if line["input.carrier"] == "UA" else line)
    result = verdict(log)
    assert (result.verdict, result.exit_code) == ("invalid_data", 2)
    assert (result.findings[0].kind, result.findings[0].column) == ("bad_lines", "temp")
    assert "feature.temp" in result.findings[0].text
    assert result.rows.bad > 0.1 * ROWS


def without_temp(lines: bytes) -> bytes:
    """The lines as a writer leaves them that has NaN for the temperature and writes that."""
    before = PROBLEM.feature_names.index("temp")
    return re.sub(rb'("features":\[(?:[^,]*,){%d})[^,]*' % before, rb"\1NaN", lines)


def test_nan_tokens(log: Path) -> None:
    segment = next((log / "predictions").glob("*.jsonl"))
    lines = segment.read_bytes().splitlines(keepends=True)
    broken = [without_temp(line) for line in lines[:200]]
    segment.write_bytes(b"".join([*broken, *lines[200:]]))
    result = verdict(log)
    assert (result.verdict, result.exit_code, result.rows.bad) == ("invalid_data", 2, 200)
    assert (result.findings[0].kind, result.findings[0].column) == ("bad_lines", "temp")
    assert "feature.temp is NaN, so the line is not JSON" in result.findings[0].text


@pytest.mark.parametrize("sealed", [False, True])
def test_bad_lines_are_judged_in_their_own_window(
    tmp_path: Path, package: ModelPackage, flights: Flights, sealed: bool
) -> None:
    """June is broken and March is not, in one log: whether they are sealed yet changes nothing."""
    march, april, june, july = (datetime(2013, month, 1) for month in (3, 4, 6, 7))
    record(tmp_path, package, drawn(flights, march.date(), april.date(), ROWS))
    record(tmp_path, package, drawn(flights, june.date(), july.date(), ROWS))
    broken = iter(range(ROWS))
    rewrite(
        tmp_path,
        lambda line: (
            {**line, "feature.temp": "warm"} if line["input.sched_dep"] >= "2013-06" and next(broken) < 60 else line
        ),
    )
    if sealed:
        seal(tmp_path / "predictions")
    windows = [(march, april), (june, july), (march, july)]
    results = [judge(Query(tmp_path, *each, "sched_dep"), package.tag, SETTINGS).result for each in windows]
    assert [result.rows.bad for result in results] == [0, 60, 60]
    assert [result.rows.scored for result in results] == [ROWS, ROWS - 60, 2 * ROWS - 60]
    assert "bad_lines" not in kinds(results[0])
    assert [result.verdict for result in results[1:]] == ["invalid_data"] * 2
    assert [finding(result, "bad_lines").column for result in results[1:]] == ["temp"] * 2
    assert "60 of 2,000 lines cannot be read" in finding(results[1], "bad_lines").text


def test_a_window_of_bad_lines_alone(log: Path) -> None:
    for path in (log / "predictions").glob("*.jsonl"):
        path.write_bytes(without_temp(path.read_bytes()))
    seal(log / "predictions")
    result = verdict(log)
    assert (result.verdict, result.exit_code) == ("invalid_data", 2)
    assert (result.rows.scored, result.rows.bad) == (0, ROWS)
    assert finding(result, "few_rows").text == "the window has 0 rows; 500 are needed to tell drift from chance"


def test_truncated_and_few_broken_lines(log: Path) -> None:
    append(log, b'{"temp": NaN}\n{"time": "2013-')
    result = verdict(log)
    assert (result.verdict, result.rows.scored, result.rows.truncated, result.rows.bad) == ("no_drift", ROWS, 1, 1)
    assert "truncated_lines" in kinds(result)
    assert kinds(result, "temp") == {"some_bad_lines"}


def make_infinite(log: Path) -> None:
    """JSON has no infinity; another writer's Parquet may."""
    seal(log / "predictions")
    for path in (log / "predictions").rglob("*.parquet"):
        table = pq.read_table(path)
        place = table.schema.get_field_index("feature.temp")
        pq.write_table(table.set_column(place, "feature.temp", pa.array(np.full(len(table), np.inf))), path)


def test_infinite(log: Path) -> None:
    make_infinite(log)
    result = verdict(log)
    reported = finding(result, "column_infinite")
    assert (reported.column, result.rows.scored) == ("temp", ROWS)
    assert "2,000 of its values are infinite" in reported.text
    assert not column(result, "temp").healthy


def test_constant(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, ROWS), pressure=np.full(ROWS, 1012.0))
    result = verdict(tmp_path)
    assert (result.verdict, result.exit_code) == ("drift", 1)
    assert {"column_constant", "feature_drift"} <= kinds(result, "pressure")
    assert not column(result, "pressure").healthy


def test_out_of_range(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    temp = np.array(table["temp"].to_numpy())
    temp[:100] = 9999
    record(tmp_path, package, table, temp=temp)
    reported = finding(verdict(tmp_path), "out_of_range")
    assert reported.column == "temp"
    assert "to 9999" in reported.text


def test_new_categories_are_named(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    dest = np.array(table["dest"].to_pylist(), dtype=object)
    dest[:40], dest[40:47] = "QQQ", "ZZ9"
    record(tmp_path, package, table, dest=dest)
    reported = finding(verdict(tmp_path), "new_category")
    assert (reported.severity, reported.column) == ("warning", "dest")
    assert "47 of 2,000 values (2.35%) were never seen in training: 'QQQ' (40), 'ZZ9' (7)" in reported.text


def test_few_new_categories_are_a_note(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JANUARY, JULY, ROWS)
    carrier = np.array(table["carrier"].to_pylist(), dtype=object)
    carrier[0] = "ZZ"
    record(tmp_path, package, table, carrier=carrier)
    result = verdict(tmp_path)
    assert (finding(result, "new_category").severity, finding(result, "new_category").column) == ("note", "carrier")
    assert result.verdict == "no_drift"


@pytest.mark.parametrize(("share", "expected"), [(0.02, "no_drift"), (1.0, "drift")])
def test_empty_text(log: Path, share: float, expected: str) -> None:
    counted = iter(range(ROWS))
    rewrite(log, lambda line: {**line, "input.origin": ""} if next(counted) < share * ROWS else line)
    result = verdict(log)
    assert result.verdict == expected
    reported = finding(result, "column_empty")
    assert reported.column == "origin"
    assert f"{share * ROWS:,.0f} of 2,000 values are empty" in reported.text


def test_clock_ahead(log: Path) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    rewrite(log, lambda line: {**line, "time": ahead} if line["input.carrier"] == "UA" else line)
    result = verdict(log)
    assert (result.verdict, result.exit_code) == ("no_drift", 0)
    assert 100 < result.rows.future < ROWS
    assert kinds(result, "time") == {"clock_ahead"}


def altered(temp: Callable[[float | None], Any]) -> Callable[[Path], None]:
    """Breaks a log by another temperature in every line."""
    return lambda log: rewrite(log, lambda line: {**line, "feature.temp": temp(line["feature.temp"])})


BROKEN: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "bad_lines": (altered(lambda _: "warm"), "Invalid data", "the lines named"),
    "column_all_missing": (altered(lambda _: None), "Drift", "the source of temp"),
    "column_constant": (altered(lambda _: 60.0), "Drift", "the source of temp"),
    "out_of_range": (altered(lambda temp: (temp or 0) + 9_999), "Drift", "the largest and smallest values of temp"),
    "column_infinite": (make_infinite, "Drift", "the division or the parser"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_every_broken_window_has_a_readable_report(log: Path, tmp_path: Path, kind: str) -> None:
    """The page names the column and where to look, and holds Evidently's plots of the others."""
    broken, headline, look_at = BROKEN[kind]
    broken(log)
    done = run(year(log), tmp_path / "out")
    assert done.complaints == []
    reported = finding(done.result, kind)
    page = (tmp_path / "out" / REPORT_FILE).read_text()
    assert re.search(rf"<h1[^>]*><strong>{headline}</strong>", page)
    assert reported.column == "temp"
    assert f"{escape(reported.text)}<em>Look first at {look_at}" in page
    plots = embedded(page)
    assert ("Drift in column 'pressure'" in plots) == (done.result.rows.scored > 0) == (kind != "bad_lines")
    assert ("Drift in column 'temp'" in plots) == (kind == "out_of_range")


def test_new_values_are_the_same_in_any_order_and_parts() -> None:
    values = [f"value {place % 3_000}" for place in range(9_000)]
    whole, forwards, backwards = (NewValues(frozenset()) for _ in range(3))
    whole.add(pa.array(values))
    for start in range(0, 9_000, 1_000):
        forwards.add(pa.array(values[start : start + 1_000]))
        part = NewValues(frozenset())
        part.add(pa.array(values[8_000 - start : 9_000 - start]))
        backwards.merge(part)
    assert len(whole.counts) == MOST_NEW
    assert whole.counts == forwards.counts == backwards.counts
    assert set(whole.counts.values()) == {3}
    assert (whole.rows, whole.unknown) == (9_000, 9_000) == (backwards.rows, backwards.unknown)


def test_ids_have_no_vocabulary(package: ModelPackage) -> None:
    assert set(package.profile["vocabularies"]) == {"carrier", "origin", "dest"}
    assert package.profile["vocabularies"]["origin"] == {"values": ["EWR", "JFK", "LGA"], "empty": 0.0}
    columns = {name: np.array([None] * 5, dtype=object) for name in PROBLEM.field_names}
    assert vocabularies(PROBLEM.declaration, columns) == {}
