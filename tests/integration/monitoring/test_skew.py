"""Skew checks on real logs: untouched, doctored, and written by a server that computes something else."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.problem import PROBLEM
from tabular_bento.cli import main
from tabular_bento.errors import PackageError
from tabular_bento.features import Extractor
from tabular_bento.monitoring.skew import EXAMPLES, SkewResult, Tally, check, run
from tabular_bento.schema import Kind
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.traffic.reader import EventLog, ScanCounts
from tabular_bento.traffic.schema import TIME, LogColumn, feature_column, input_column, output_column
from tabular_bento.traffic.sealing import seal
from tabular_bento.traffic.writer import LogWriter
from tests.flights.rows import EXAMPLE
from tests.integration.monitoring.logs import JANUARY, JULY, append, drawn, record, rewrite, year
from tests.serving import ServedPort
from training.source import Flights

ROWS = 2_000
TARGET = PROBLEM.target.name
OUTPUT = output_column(TARGET)


def skew(directory: Path, model: str | None = None) -> SkewResult:
    result = run(year(directory), directory / "out", PROBLEM, model)
    text = (directory / "out" / "skew.json").read_text()
    assert SkewResult.model_validate_json(text) == result
    json.loads(text, parse_constant=lambda token: pytest.fail(f"{token} is no JSON"))
    return result


@pytest.fixture
def log(tmp_path: Path, package: ModelPackage, flights: Flights) -> list[dict[str, Any]]:
    """A log of a year's flights, and the predictions."""
    return record(tmp_path, package, drawn(flights, JANUARY, date(2014, 1, 1), ROWS))


@pytest.mark.usefixtures("log")
def test_all_rows_come_out_to_the_bit_live_and_sealed(tmp_path: Path) -> None:
    for _ in range(2):
        result = skew(tmp_path)
        assert (result.verdict, result.exit_code, result.checked, result.differing) == ("no_skew", 0, ROWS, 0)
        assert (result.columns, result.examples) == ([], [])
        seal(tmp_path / "predictions")
        assert not list((tmp_path / "predictions").glob("*.jsonl"))


@pytest.mark.parametrize("name", ["dep_delay", "gain_carrier_route", "block"])
def test_one_feature_altered_by_one_unit_in_the_last_place_is_found_and_named(
    tmp_path: Path, log: list[dict[str, Any]], name: str
) -> None:
    victim = log[1_234]["prediction_id"]

    def alter(line: dict[str, Any]) -> dict[str, Any]:
        if line["prediction_id"] == victim:
            value = np.float32(line[feature_column(name)])
            line[feature_column(name)] = float(np.nextafter(value, np.float32(np.inf)))
        return line

    rewrite(tmp_path, alter)
    result = skew(tmp_path)
    assert (result.verdict, result.exit_code, result.differing, result.checked) == ("skew", 1, 1, ROWS)
    assert [(column.name, column.rows) for column in result.columns] == [(name, 1)]
    (example,) = result.examples
    assert (example.prediction_id, example.column, example.ulps) == (victim, name, 1)
    assert name in result.reasons[0]


def test_a_double_between_two_floats_is_found_too(tmp_path: Path, log: list[dict[str, Any]]) -> None:
    victim = log[7]["prediction_id"]
    key = feature_column("dep_minute")
    rewrite(
        tmp_path,
        lambda line: {**line, key: float(np.nextafter(line[key], 1e9))} if line["prediction_id"] == victim else line,
    )
    (example,) = skew(tmp_path).examples
    assert (example.prediction_id, example.column, example.ulps) == (victim, "dep_minute", 0)


def test_a_doctored_prediction_and_a_feature_taken_away(tmp_path: Path, log: list[dict[str, Any]]) -> None:
    ids = [prediction["prediction_id"] for prediction in log]

    def alter(line: dict[str, Any]) -> dict[str, Any]:
        if line["prediction_id"] == ids[3]:
            return {**line, OUTPUT: line[OUTPUT] + 1.0}
        if line["prediction_id"] == ids[4]:
            return {**line, feature_column("congestion"): None}
        return line

    rewrite(tmp_path, alter)
    result = skew(tmp_path)
    found = {column.name: column for column in result.columns}
    assert set(found) == {TARGET, "congestion"}
    assert (found[TARGET].role, found[TARGET].largest) == ("prediction", pytest.approx(1.0))
    assert (found["congestion"].missing_logged, found["congestion"].largest) == (1, None)
    assert result.differing == 2


def test_a_doctored_request_shows_in_the_features_that_come_of_it(tmp_path: Path, log: list[dict[str, Any]]) -> None:
    victim = log[9]["prediction_id"]
    rewrite(tmp_path, lambda line: {**line, input_column("temp"): -3.0} if line["prediction_id"] == victim else line)
    result = skew(tmp_path)
    assert result.differing == 1
    assert "temp" in {column.name for column in result.columns}


def test_a_stale_look_up_is_found_by_its_columns(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    own = package.extractor.state
    tables = {**own.tables, "gain_by_dest": np.roll(own.tables["gain_by_dest"], 1)}
    stale = Extractor(PROBLEM.fields, PROBLEM.features, replace(own, tables=tables))
    table = drawn(flights, JANUARY, JULY, ROWS)
    record(tmp_path, replace(package, predictor=Predictor(PROBLEM, stale, package.runner)), table)
    result = skew(tmp_path)
    assert result.verdict == "skew"
    features = [column for column in result.columns if column.role == "feature"]
    assert [column.name for column in features] == ["gain_dest"]
    assert features[0].share > 0.9
    assert any(column.role == "prediction" for column in result.columns)
    assert len(result.examples) == EXAMPLES
    assert "another state of the extractor" in result.reasons[0]


@pytest.mark.usefixtures("log")
def test_rows_of_other_models_are_counted_and_not_checked(
    tmp_path: Path, package: ModelPackage, flights: Flights
) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, 50), tag="flights:other", dep_delay=np.full(50, 3.0))
    result = skew(tmp_path)
    assert (result.checked, result.other_models, result.model) == (ROWS, {"flights:other": 50}, package.tag)


def test_a_window_of_other_models_only_is_nothing_to_check(
    tmp_path: Path, package: ModelPackage, flights: Flights
) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, 50), tag="flights:other")
    result = skew(tmp_path, package.tag)
    assert (result.verdict, result.exit_code) == ("nothing_to_check", 2)
    assert "flights:other (50 rows)" in result.reasons[0]
    with pytest.raises(PackageError, match="flights:other"):
        skew(tmp_path)


def test_no_log_is_nothing_to_check(tmp_path: Path) -> None:
    result = skew(tmp_path)
    assert (result.verdict, result.model, result.checked) == ("nothing_to_check", None, 0)
    assert str(tmp_path) in result.reasons[0]


@pytest.mark.usefixtures("log")
def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    append(tmp_path, b'{"not": "a row"}\n{"cut')
    result = skew(tmp_path)
    assert (result.verdict, result.bad) == ("no_skew", 2)


def test_rows_that_lack_what_every_request_has_are_counted_and_not_checked(
    tmp_path: Path, log: list[dict[str, Any]]
) -> None:
    victim = log[11]["prediction_id"]
    rewrite(tmp_path, lambda line: {**line, input_column("dest"): None} if line["prediction_id"] == victim else line)
    result = skew(tmp_path)
    assert (result.verdict, result.checked, result.unusable) == ("no_skew", ROWS - 1, 1)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
@settings(deadline=None, max_examples=60)
def test_a_float32_comes_back_from_the_log_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    schema = (TIME, LogColumn("x", Kind.NUMBER, "a feature"))
    features = np.array(values, dtype=np.float32)
    lines = [{"time": "2026-01-01T00:00:00Z", "x": value} for value in features.tolist()]
    with LogWriter(folder, schema) as writer:
        writer.append(msgspec.json.Encoder().encode_lines(lines))
    for _ in range(2):
        back = EventLog(folder).read()["x"].to_numpy()
        assert back.view(np.uint64).tolist() == features.astype(np.float64).view(np.uint64).tolist()
        assert back.astype(np.float32).view(np.uint32).tolist() == features.view(np.uint32).tolist()
        seal(folder)


def test_memory_does_not_grow_with_the_window(
    tmp_path: Path, package: ModelPackage, flights: Flights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tabular_bento.monitoring.skew.BATCH_ROWS", 1_000)
    peaks = []
    for folder, count in (("small", 3_000), ("large", 15_000)):
        record(tmp_path / folder, package, drawn(flights, JANUARY, JULY, count))
        tally = Tally(PROBLEM.declaration)
        tracemalloc.start()
        check(year(tmp_path / folder), package.tag, package.predictor, tally, ScanCounts())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (tally.checked, tally.differing) == (count, 0)
    assert peaks[1] < 1.5 * peaks[0]


def test_what_a_server_logs_is_what_its_package_computes(
    server: ServedPort, trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.predict([{**EXAMPLE, "dep_delay": delay} for delay in (0.1, 33.0, -7.25)] + [{**EXAMPLE, "carrier": "??"}])
    arguments = ["--from", "2000-01-01", "--to", "2100-01-01", "--traffic-dir", str(server.traffic)]
    assert main(["skew", *arguments, "--out", str(tmp_path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["model"], summary["differing"]) == (trained["tag"], 0)
    assert summary["checked"] >= 4


def test_the_command_s_exit_codes(
    tmp_path: Path, package: ModelPackage, flights: Flights, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["skew", "--traffic-dir", str(tmp_path), "--out", str(tmp_path / "out")]
    window = ["--from", "2013-01-01", "--to", "2014-01-01", "--window-on", "sched_dep"]
    assert main([*arguments, *window]) == 2
    assert main([*arguments, "--from", "2014-01-01", "--to", "2013-01-01"]) == 2
    record(tmp_path, package, drawn(flights, JANUARY, JULY, 30))
    assert main([*arguments, *window]) == 0
    rewrite(tmp_path, lambda line: {**line, feature_column("pad"): 1.5})
    assert main([*arguments, *window]) == 1
    assert "pad" in capsys.readouterr().out
    assert main([*arguments, *window, "--model", "flights:nowhere"]) == 3
    assert "flights:nowhere" in capsys.readouterr().err
    assert main([*arguments, *window, "--model", "no tag!"]) == 3
    assert "no tag!" in capsys.readouterr().err
