"""Dask's workers come to the numbers of this process, to the bit."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.drift import result_of
from monitoring.__main__ import main
from monitoring.errors import ClusterError
from monitoring.job import judge
from monitoring.scan import Means
from monitoring.workers import Cluster, ThisProcess, workers
from tests.monitoring.logs import year
from tests.monitoring.verdicts import SETTINGS


def drift(log: Path, out: Path, *arguments: str) -> int:
    window = ["--from", "2013-01-01", "--to", "2014-01-01", "--on", "sched_dep", "--as-of", "2040-01-01"]
    return main(["drift", *window, "--traffic-dir", str(log), "--out", str(out), "--by", "carrier", *arguments])


def test_the_same_to_the_bit(july_log: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    assert drift(july_log, tmp_path / "here") == 1
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        assert drift(july_log, tmp_path / "there", "--scheduler", cluster.scheduler_address) == 1
    here = result_of(tmp_path / "here")
    assert here["rows"]["scored"] == 2_000
    assert here["outcomes"]["model"]["rmse"] > 0
    assert result_of(tmp_path / "there") == here


def test_workers_of_this_machine(july_log: Path) -> None:
    now = datetime(2040, 1, 1, tzinfo=UTC)
    with workers(count=1) as who:
        there = judge(year(july_log), None, SETTINGS, Means(who, now=now)).result
        assert isinstance(who, Cluster)
    here = judge(year(july_log), None, SETTINGS, Means(now=now)).result
    assert there.model_copy(update={"made_at": here.made_at}).to_json() == here.to_json()


def test_an_error_of_a_worker_is_one_sentence(
    july_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert drift(july_log, tmp_path / "out", "--spill", str(tmp_path / "file")) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_nobody_answers(july_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from monitoring import workers as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CONNECT_SECONDS", 1)
        assert drift(july_log, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9") == 3
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "dask scheduler" in told[0]


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"tabular-bento\[dask\]"), workers(count=2):
        pass
    with workers() as who:
        assert list(who.map(abs, [-1, 2], "counting", 2)) == [1, 2]
        assert isinstance(who, ThisProcess)
