"""The command: exit codes, what it prints, and the schema of what it writes."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from tabular_bento.cli import monitoring_main as main
from tabular_bento.cli.common import megabytes, moment
from tabular_bento.monitoring.drift import job
from tabular_bento.monitoring.drift.job import HISTORY_FILE, REPORT_FILE, RESULT_FILE
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic import parts
from tabular_bento.traffic.sealing import seal
from tests.integration.monitoring.logs import AUGUST, JULY, drawn, labels_of, post, record, rewrite
from tests.integration.monitoring.verdicts import strict
from training.source import Flights

JULY_WINDOW = ["--from", "2013-07-01", "--to", "2013-08-01", "--window-on", "sched_dep"]


def command(log: Path, out: Path, *more: str) -> int:
    return main(["drift", *JULY_WINDOW, "--traffic-dir", str(log), "--out", str(out), *more])


def test_not_enough_data(
    tmp_path: Path, package: ModelPackage, flights: Flights, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 100))
    assert command(tmp_path, tmp_path / "out", "--json") == 2
    summary = strict(capsys.readouterr().out.splitlines()[-1])
    assert (summary["verdict"], summary["rows"], summary["alert"]) == ("not_enough_data", 100, False)
    assert command(tmp_path / "none", tmp_path / "out") == 2


def test_drift(july_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prom = tmp_path / "drift.prom"
    assert command(july_log, tmp_path / "out", "--textfile", str(prom), "--json") == 1
    said = capsys.readouterr()
    assert said.err == ""
    assert "verdict  drift\n" in said.out
    assert "estimated without labels" in said.out
    assert strict(said.out.splitlines()[-1])["alert"] is True
    assert 'tabular_bento_drift_verdict{model="flights",verdict="drift",version="' in prom.read_text()


def test_a_breakdown_by_what_is_no_segment(july_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(july_log, tmp_path / "out", "--by", "tailnum") == 2
    assert "cannot be broken down by 'tailnum'; choose carrier or origin" in capsys.readouterr().err


def test_alert_after_holds_back(july_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(july_log, tmp_path / "out", "--alert-after", "2", "--of", "3") == 0
    assert "verdict  drift, no alert: 1 of the last 1 windows drifted" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / HISTORY_FILE).read_text())["verdict"] == "drift"


def test_an_output_that_fails_is_reported_on_stderr(
    july_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(july_log, tmp_path / "out", "--webhook", "nowhere") == 1
    said = capsys.readouterr()
    assert said.err.startswith("warning: the alert was not posted")
    assert "verdict  drift" in said.out


def test_no_result_file_is_a_failure_that_tells_the_verdict(
    july_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")
    metrics = tmp_path / "drift.prom"
    options = ("--history", str(tmp_path / "history.jsonl"), "--textfile", str(metrics))
    assert command(july_log, tmp_path / "out", *options) == 3
    said = capsys.readouterr()
    assert "result.json was not written" in said.err
    assert "verdict  drift" in said.out
    assert not re.search("^(result|report) ", said.out, re.MULTILINE), "the path of a file that is not there"
    assert re.search(r"^tabular_bento_drift_exit_code\{.*\} 3.0$", metrics.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--sample", "1"], "--sample"),
        (["--alert-after", "3", "--of", "2"], "alert_after is 3, more than the 2 windows"),
        (["--maturity-hours", "-1"], "--maturity-hours: "),
    ],
)
def test_wrong_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], name: str) -> None:
    assert command(tmp_path, tmp_path / "out", *arguments) == 2
    assert f" drift: {name}" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["much", "1MB", "-512MB", "512", "99999999MB"])
def test_a_size_of_memory_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str) -> None:
    assert command(tmp_path, tmp_path / "out", "--memory", size) == 2
    assert f"'--memory': {size!r} is no size of at least 16MB, such as 512MB or 1GB" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "size"), [("16MB", 16), ("512 mb", 512), ("2GB", 2_000)])
def test_sizes_of_memory(text: str, size: int) -> None:
    assert megabytes(text) == size


@pytest.mark.parametrize(
    ("variable", "value"), [("TABULAR_BENTO_DRIFT_SAMPLE", "many"), ("TABULAR_BENTO_DRIFT_ALERT_AFTER", "0")]
)
def test_a_variable_that_is_wrong_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert command(tmp_path, tmp_path / "out") == 2
    assert f" drift: {variable}: Input should be " in capsys.readouterr().err


def test_a_failed_job_is_one_line(
    tmp_path: Path, package: ModelPackage, flights: Flights, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 100))
    for path in (tmp_path / "predictions" / "schemas").iterdir():
        path.write_text("[]")
    assert command(tmp_path, tmp_path / "out", "--textfile", str(tmp_path / "drift.prom")) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert 'tabular_bento_drift_exit_code{model="",version=""} 3.0' in (tmp_path / "drift.prom").read_text()


def test_an_unforeseen_fault_is_no_drift(
    july_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python's own exit code for an exception, 1, would say drift."""
    monkeypatch.setattr(job, "decide", lambda *_: 1 / 0)
    assert command(july_log, tmp_path / "out", "--textfile", str(tmp_path / "drift.prom")) == 3
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.splitlines()[-1].endswith(" drift: The drift job failed: division by zero")
    assert 'tabular_bento_drift_exit_code{model="",version=""} 3.0' in (tmp_path / "drift.prom").read_text()


def test_rows_that_no_error_can_be_measured_by(
    tmp_path: Path, package: ModelPackage, flights: Flights, capsys: pytest.CaptureFixture[str]
) -> None:
    """They count as without a label, and the column and their number are reported; the others are measured."""
    table = drawn(flights, JULY, AUGUST, 1_000)
    labels = labels_of(table, record(tmp_path, package, table))
    post(tmp_path, [*labels[:-1], (labels[-1][0], 1e200)])
    counted = iter(range(1_000))

    def broken(line: dict[str, Any]) -> dict[str, Any]:
        row = next(counted)
        if row in (0, 1, 2, 7):
            line = {**line, "input.dep_delay": None}
        if row in (3, 4, 5, 6, 7):
            line = {**line, "output.arrival_delay": None if row == 7 else 1e200, "feature.gain_carrier_route": 1e200}
        return line

    rewrite(tmp_path, broken)
    seal(tmp_path / "predictions")
    for path in (tmp_path / "predictions").rglob("*.parquet"):  # JSON has no infinity; another writer's file may
        written = pq.read_table(path)
        place = written.schema.get_field_index("output.arrival_delay")
        values = written["output.arrival_delay"].to_numpy().copy()
        values[-2:] = np.inf
        pq.write_table(written.set_column(place, "output.arrival_delay", pa.array(values, from_pandas=True)), path)
    assert command(tmp_path, tmp_path / "out") == 1
    said = capsys.readouterr()
    assert said.err == ""
    assert "notice   output.arrival_delay: 7 rows hold no number to measure an error by" in said.out
    result = DriftResult.model_validate(strict((tmp_path / "out" / RESULT_FILE).read_text()))
    assert result.rows.unusable == {"output.arrival_delay": 7, "input.dep_delay": 4}
    assert result.labels.bad == 1
    assert len(labels) - 11 <= result.labels.matched < len(labels) - 5
    assert result.labels.model is not None
    assert result.labels.model.rmse < 100
    assert "input.dep_delay: 4 rows hold no number" in (tmp_path / "out" / REPORT_FILE).read_text()


def test_a_damaged_sealed_file_is_one_line(
    tmp_path: Path,
    package: ModelPackage,
    flights: Flights,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 100))
    seal(tmp_path / "predictions")
    path = next((tmp_path / "predictions").glob("date=*/*.parquet"))
    path.write_bytes(b"x" * 100)
    for part_bytes in (parts.PART_BYTES, 0):
        monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
        assert command(tmp_path, tmp_path / "out") == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert path.name in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013-07-01", datetime(2013, 7, 1)),
        ("2013-07-01T02:00:00+02:00", datetime(2013, 7, 1)),
        ("2013-07-01T00:00:00Z", datetime(2013, 7, 1)),
    ],
)
def test_times_are_in_utc_whatever_their_offset(text: str, expected: datetime) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize("text", ["July", "0001-01-01T00:00+02:00"])
def test_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no date or time"):
        moment(text)


@pytest.mark.parametrize("name", ["drift", "skew"])
def test_bounds_with_and_without_an_offset(july_log: Path, tmp_path: Path, name: str) -> None:
    window = ["--from", "2013-07-01T00:00:00+02:00", "--to", "2040-01-01", "--traffic-dir", str(july_log)]
    assert main([name, *window, "--out", str(tmp_path)]) == {"drift": 1, "skew": 0}[name]


def test_the_schema_is_that_of_what_is_written(
    july_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drift", "--schema"]) == 0
    schema = strict(capsys.readouterr().out)
    command(july_log, tmp_path)
    document = strict((tmp_path / RESULT_FILE).read_text())
    _follows(document, schema, schema["$defs"])
    DriftResult.model_validate(document)
    assert schema["properties"]["alert"]["description"]


def _follows(value: Any, schema: dict[str, Any], defs: dict[str, Any]) -> None:
    """That each object has the properties that the schema asks for, and no others."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        schema = next(one for one in schema["anyOf"] if (one.get("type") == "null") == (value is None))
        return _follows(value, schema, defs)
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) == set(schema["properties"]) >= set(schema["required"])
        assert schema["additionalProperties"] is False
        for name, part in value.items():
            _follows(part, schema["properties"][name], defs)
    if isinstance(value, list) and "items" in schema:
        for part in value:
            _follows(part, schema["items"], defs)
    return None
