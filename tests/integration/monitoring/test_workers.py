"""Dask's workers come to the numbers of this process, to the bit."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.drift import result_of
from tabular_bento.cli import monitoring_main as main
from tabular_bento.errors import ClusterError
from tabular_bento.monitoring.drift.job import judge
from tabular_bento.monitoring.window import spill
from tabular_bento.monitoring.window.scan import ExecutionOptions
from tabular_bento.monitoring.window.workers import TRIM, Cluster, ThisProcess, workers
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.sealing import seal
from tests.integration.monitoring.logs import AUGUST, JULY, drawn, labels_of, post, record, year
from tests.integration.monitoring.verdicts import SETTINGS
from tests.models import run_command
from training.source import Flights

WINDOW = ["--from", "2013-01-01", "--to", "2014-01-01", "--window-on", "sched_dep", "--as-of", "2040-01-01"]


def drift(log: Path, out: Path, *arguments: str) -> int:
    return main(["drift", *WINDOW, "--traffic-dir", str(log), "--out", str(out), "--by", "carrier", *arguments])


SEGMENTS, PARTITION_BYTES = 5, 200_000


@pytest.fixture
def log(tmp_path: Path, package: ModelPackage, flights: Flights, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of several files, joined in several partitions: there is something to put in another order."""
    table = drawn(flights, JULY, AUGUST, 2_000)
    for start in range(0, 2_000, 2_000 // SEGMENTS):
        part = table.slice(start, 2_000 // SEGMENTS)
        post(tmp_path / "log", labels_of(part, record(tmp_path / "log", package, part)))
    monkeypatch.setattr(spill, "PARTITION_BYTES", PARTITION_BYTES)
    return tmp_path / "log"


@pytest.mark.slow
def test_the_same_to_the_bit(log: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    assert drift(log, tmp_path / "here") == 1
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        assert drift(log, tmp_path / "there", "--scheduler", cluster.scheduler_address) == 1
        done = [event[0] for event in cluster.scheduler.transition_log if event[2] == "memory"]
    joins = sum("join_partitions" in task for task in done)
    assert joins > 1
    assert sum("read_rows" in task for task in done) == SEGMENTS
    assert len(done) >= 4 * SEGMENTS + joins, "the looks before the pass, rows, labels, and joins"
    here = result_of(tmp_path / "here")
    assert here["rows"]["scored"] == 2_000
    assert here["labels"]["model"]["rmse"] > 0
    assert result_of(tmp_path / "there") == here


@pytest.mark.slow
def test_workers_of_this_machine(july_log: Path) -> None:
    now = datetime(2040, 1, 1, tzinfo=UTC)
    with workers(count=1) as who:
        there = judge(year(july_log), None, SETTINGS, ExecutionOptions(who, now=now)).result
        assert isinstance(who, Cluster)
    here = judge(year(july_log), None, SETTINGS, ExecutionOptions(now=now)).result
    assert there.model_copy(update={"made_at": here.made_at}).to_json() == here.to_json()


def test_workers_leave_the_environment_and_a_busy_port_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask has a port of its own for a dashboard, which is warned of when another job has it; warnings are errors."""
    name = TRIM.rsplit(".", 1)[1]
    monkeypatch.delenv(name, raising=False)  # another test's cluster, which Dask itself starts, may leave it
    before = dict(os.environ)
    with socket.socket() as busy:
        with suppress(OSError):  # somebody has it already
            busy.bind(("127.0.0.1", 8787))
        busy.listen()
        with workers(count=1) as who:
            assert list(who.map(os.getenv, [name], "looking", 1)) == [None], "Dask would set it"
    assert dict(os.environ) == before


def test_a_file_that_a_worker_cannot_read_is_named(log: Path, tmp_path: Path) -> None:
    """The file is read by a worker alone."""
    seal(log / "predictions")
    path = next((log / "predictions").glob("date=*/*.parquet"))
    path.write_bytes(b"x" * 100)
    arguments = ("--workers", "1", "--traffic-dir", str(log), "--out", str(tmp_path / "out"))
    done = run_command("drift", *WINDOW, *arguments, module="monitoring")
    assert done.returncode == 3
    assert [f"{path} cannot be read: " in line for line in done.stderr.splitlines()] == [True], done.stderr
    assert result_of(tmp_path / "out")["rows"]["scored"] == 2_000 - 2_000 // SEGMENTS


def test_nobody_responds(july_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tabular_bento.monitoring.window import workers as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CONNECT_SECONDS", 1)
        assert drift(july_log, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9") == 3
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 1
    assert "dask scheduler" in printed[0]


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"tabular-bento\[dask\]"), workers(count=2):
        pass
    with workers() as who:
        assert list(who.map(abs, [-1, 2], "counting", 2)) == [1, 2]
        assert isinstance(who, ThisProcess)
