"""The drift benchmark: the log that it writes, its arithmetic and its decision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.drift import CLUSTER, EVIDENTLY, JOB, ONE_WORKER, Cost, Scaling, judge, run
from benchmarks.drift_log import DAYS, END, START, real_rows, write_log
from benchmarks.errors import BenchmarkError
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.store import LocatedModel
from tabular_bento.traffic.reader import EventLog


def scaling(
    evidently: float = 200, largest: float = 100, megabytes: float = 500, identical: int = 2, one: float = 170
) -> Scaling:
    job = {1_000: Cost(10, 400), 10_000: Cost(largest, megabytes)}
    costs = {JOB: job, CLUSTER: dict(job), EVIDENTLY: {1_000: Cost(evidently, 3_000)}}
    costs[ONE_WORKER] = {10_000: Cost(130, 400)}
    rounds = tuple((one * noise, 100.0) for noise in (0.5, 1, 2))
    return Scaling(costs, [1_000, 10_000][:identical], rounds)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (scaling(), ""),
        (scaling(evidently=40), "4.00, below 5"),
        (scaling(largest=120), "seconds grow 12.0 times"),
        (scaling(megabytes=1_100), "holds 1,100 MB at 10,000 rows"),
        (scaling(one=150), "two workers pass over the log 1.50 times as fast as one, below 1.6"),
        (scaling(identical=1), "at 10,000 rows the Dask workers"),
    ],
)
def test_verdict(made: Scaling, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(made, 5, 1.6) == bool(message)
    assert message in capsys.readouterr().err
    assert json.loads(json.dumps(made.document(), allow_nan=False))["ratio"] == made.ratio
    assert f"{10_000:>12,}" in made.table()
    assert made.whole_speedup == pytest.approx(130 / made.costs[CLUSTER][10_000].seconds)


def test_the_log_has_as_many_rows_as_it_should(package: ModelPackage, tmp_path: Path) -> None:
    base = real_rows(tmp_path / "real", LocatedModel(package.directory, package.tag))
    write_log(tmp_path / "log", base, 5_000)
    table = EventLog(tmp_path / "log" / "predictions").read(START, END)
    assert table.num_rows == len(set(table["prediction_id"].to_pylist())) == 5_000
    assert set(table["model"].to_pylist()) == {package.tag}
    assert len(list((tmp_path / "log" / "predictions").glob("date=*"))) == DAYS
    labels = EventLog(tmp_path / "log" / "labels").read()
    assert 4_000 < labels.num_rows < 4_800
    assert set(labels["prediction_id"].to_pylist()) <= set(table["prediction_id"].to_pylist())


def test_memory_is_that_of_the_process() -> None:
    held = bytearray(300_000_000)
    small = run(["-c", "pass"], (0,))
    large = run(["-c", "held = b'1' * 100_000_000"], (0,))
    assert len(held) > small.megabytes * 2**20
    assert large.megabytes - small.megabytes == pytest.approx(95, abs=10)


def test_a_failure_is_reported() -> None:
    with pytest.raises(BenchmarkError, match="ended with 1: ValueError: no"):
        run(["-c", "raise ValueError('no')"], (0,))
