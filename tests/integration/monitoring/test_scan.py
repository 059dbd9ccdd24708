"""The pass: the same numbers however the log is cut, no row twice, bounded memory, and nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pyarrow as pa
import pytest

from benchmarks.drift_log import END, START, real_rows, write_log
from tabular_bento.cli import monitoring_main as main
from tabular_bento.data.storage import path_of
from tabular_bento.errors import WindowError
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.job import judge
from tabular_bento.monitoring.window import spill, workers
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.scan import ExecutionOptions
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.store import LocatedModel
from tabular_bento.traffic.schema import PREDICTIONS
from tabular_bento.traffic.sealing import seal
from tests.conftest import ROOT
from tests.integration.monitoring.logs import (
    AUGUST,
    COLUMNS,
    JULY,
    append,
    drawn,
    labels_of,
    post,
    read,
    record,
    rewrite,
    year,
)
from tests.integration.monitoring.verdicts import SETTINGS
from tests.lines import fold, unfold
from training.source import Flights

ROWS = 2_000
NOW = datetime.now(UTC) + timedelta(days=30)


def result_of(
    directory: Path | str, options: ExecutionOptions | None = None, by: str | None = "carrier"
) -> dict[str, Any]:
    """All of the result but what differs by name and clock."""
    query = year(path_of(directory))
    query = Query(query.directory, query.start, query.end, query.on, by)
    document: dict[str, Any] = json.loads(
        judge(query, None, SETTINGS, options or ExecutionOptions(now=NOW)).result.to_json()
    )
    del document["made_at"], document["window"]["log"]
    return document


def test_segments_and_sealed_files_give_the_same_numbers(
    tmp_path: Path, package: ModelPackage, flights: Flights
) -> None:
    table = drawn(flights, JULY, AUGUST, ROWS)
    for start in range(0, ROWS, 500):
        part = table.slice(start, 500)
        post(tmp_path, labels_of(part, record(tmp_path, package, part)))
    before = result_of(tmp_path)
    assert before["labels"]["matched"] > 1_900
    seal(tmp_path / "predictions")
    assert result_of(tmp_path) == before
    seal(tmp_path / "labels")
    assert result_of(tmp_path) == before
    system = fsspec.filesystem("memory")
    system.put(str(tmp_path), f"/{tmp_path.name}", recursive=True)
    assert result_of(f"memory://{tmp_path.name}") == before
    assert result_of(f"file://{tmp_path}") == before
    system.rm(f"/{tmp_path.name}", recursive=True)


def test_many_partitions_give_the_numbers_of_one(
    july_log: Path, package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(year(july_log), Reference.load(package.tag), ExecutionOptions(now=NOW))
    monkeypatch.setattr(spill, "PARTITION_BYTES", 100_000)
    parts = read(year(july_log), Reference.load(package.tag), ExecutionOptions(now=NOW))
    assert parts.rows == whole.rows
    assert parts.joined.came.tolist() == whole.joined.came.tolist()
    for name, tally in whole.tallies.items():
        assert parts.tallies[name].counts.tolist() == tally.counts.tolist()
    assert parts.blocks.counts.tolist() == whole.blocks.counts.tolist()
    assert parts.blocks.sums.tobytes() == whole.blocks.sums.tobytes()
    assert parts.sample.equals(whole.sample)


def test_a_row_in_several_files_counts_once(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table = drawn(flights, JULY, AUGUST, ROWS)
    predictions = record(tmp_path, package, table)
    post(tmp_path, labels_of(table, predictions))
    before = result_of(tmp_path)
    segment = next((tmp_path / PREDICTIONS).glob("*.jsonl"))
    again = segment.with_name(f"again-{segment.name}")
    again.write_bytes(segment.read_bytes())
    content = segment.read_bytes()
    seal(tmp_path / PREDICTIONS)
    segment.with_name(f"third-{segment.name}").write_bytes(content)
    after = result_of(tmp_path)
    assert (after["rows"].pop("duplicates"), before["rows"].pop("duplicates")) == (2 * ROWS, 0)
    after["findings"] = [one for one in after["findings"] if one["kind"] != "duplicates"]
    assert after == before


def test_of_rows_with_one_id_the_first_by_time_counts(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 10))
    segment = next((tmp_path / PREDICTIONS).glob("*.jsonl"))
    lines = [unfold(orjson.loads(line), COLUMNS) for line in segment.read_bytes().splitlines()]
    later = [fold({**line, "time": "2040-01-01T00:00:00Z", "feature.temp": 1e9}, COLUMNS) for line in lines]
    append(tmp_path, b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in later))
    data = read(year(tmp_path), Reference.load(package.tag))
    assert (data.rows.scored, data.rows.duplicates, data.rows.future) == (10, 10, 0)
    assert data.tallies["temp"].other == 0


def test_rows_that_arrive_meanwhile(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    table, stop, written = drawn(flights, JULY, AUGUST, 200), threading.Event(), [0]

    def work() -> None:
        while not stop.is_set():
            record(tmp_path, package, table)
            written[0] += 200
            seal(tmp_path / PREDICTIONS)
            stop.wait(0.1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(4):
            before = written[0]
            data = read(year(tmp_path), Reference.load(package.tag))
            assert data.rows.scored >= before
            assert data.rows.duplicates == 0
    finally:
        stop.set()
        thread.join()
    assert read(year(tmp_path), Reference.load(package.tag)).rows.scored == written[0]


def test_no_model_and_wrong_breakdown(tmp_path: Path, package: ModelPackage, flights: Flights) -> None:
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 10))
    rewrite(tmp_path, lambda line: {**line, "model": None})
    assert result_of(tmp_path)["rows"]["other_models"] == 10
    record(tmp_path, package, drawn(flights, JULY, AUGUST, 10))
    with pytest.raises(WindowError, match="carrier or origin"):
        result_of(tmp_path, by="tailnum")


@pytest.fixture(scope="module")
def base(package: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Real rows to make a large log of."""
    return real_rows(tmp_path_factory.mktemp("real"), LocatedModel(package.directory, package.tag))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_window(
    tmp_path: Path, package: ModelPackage, base: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "PARTITION_BYTES", 500_000)
    monkeypatch.setattr(workers, "THREADS", 1)  # what several hold at one moment is decided by chance
    reference, peaks = Reference.load(package.tag), []
    for rows in (60_000, 240_000):
        log = tmp_path / str(rows)
        write_log(log, base, rows)
        tracemalloc.start()
        data = read(Query(log, START, END), reference)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert data.rows.scored == rows
        assert 0.8 * rows < data.blocks.matched.sum() < 0.95 * rows
    assert peaks[1] < 1.4 * peaks[0]


@pytest.mark.slow
def test_duckdb_spills_what_it_may_not_hold(tmp_path: Path, package: ModelPackage, base: pa.Table) -> None:
    write_log(tmp_path / "log", base, 240_000)
    query, reference = Query(tmp_path / "log", START, END), Reference.load(package.tag)
    free = read(query, reference, ExecutionOptions(now=NOW))
    bound = read(query, reference, ExecutionOptions(now=NOW, memory=24))
    assert bound.rows == free.rows
    assert bound.blocks.sums.tobytes() == free.blocks.sums.tobytes()


def test_a_damaged_file_is_named_and_the_rest_is_judged(
    tmp_path: Path, package: ModelPackage, flights: Flights, capsys: pytest.CaptureFixture[str]
) -> None:
    table, log = drawn(flights, JULY, AUGUST, ROWS), tmp_path / "log"
    for start in (0, 1_500):
        part = table.slice(start, 1_500)
        post(log, labels_of(part, record(log, package, part)))
    seal(log / PREDICTIONS)
    damaged = min((log / PREDICTIONS).glob("date=*/*.parquet"), key=lambda path: path.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    window = ["--from", "2013-01-01", "--to", "2014-01-01", "--window-on", "sched_dep", "--as-of", "2040-01-01"]
    assert main(["drift", *window, "--traffic-dir", str(log), "--out", str(tmp_path / "out")]) == 3
    assert str(damaged) in capsys.readouterr().err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["verdict"] == "invalid_data"
    assert result["decision"]["reasons"][0] == "file_damaged"
    assert result["exit_code"] == 3
    assert result["rows"]["scored"] == 1_500
    assert result["labels"]["matched"] > 1_400
    assert any(one["kind"] == "file_damaged" and str(damaged) in one["text"] for one in result["findings"])
    assert (tmp_path / "out" / "report.html").exists()


def command(log: Path, out: Path) -> list[str]:
    window = ["--from", START.isoformat(), "--to", END.isoformat(), "--traffic-dir", str(log), "--out", str(out)]
    return [sys.executable, "-m", "monitoring", "drift", *window]


@pytest.mark.slow
def test_a_full_disk_is_reported_in_one_line(tmp_path: Path, base: pa.Table) -> None:
    write_log(tmp_path / "log", base, 100_000)
    (tmp_path / "spill").mkdir()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        command(tmp_path / "log", tmp_path / "out"),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path / "spill")},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / "spill") in done.stderr
    assert "File too large" in done.stderr
    assert "TMPDIR" in done.stderr
    assert not list((tmp_path / "spill").glob("drift-*"))


@pytest.mark.slow
def test_a_job_that_is_ended_leaves_nothing_behind(tmp_path: Path, base: pa.Table) -> None:
    write_log(tmp_path / "log", base, 200_000)
    (tmp_path / "spill").mkdir()
    with subprocess.Popen(
        command(tmp_path / "log", tmp_path / "out"), cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path / "spill")}
    ) as process:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "spill").glob("drift-*/*.arrow")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert not list((tmp_path / "spill").glob("drift-*"))
    assert not (tmp_path / "out").exists()
