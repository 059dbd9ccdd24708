from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from features.problem import PROBLEM
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving.metrics import METRICS, Metrics, _forget_ended_workers
from tabular_bento.serving.sampling import missing_shares, observe_all, prediction_bins


@pytest.mark.parametrize("values", [[], [3.0], [-5.0, 0.0, 0.1, 1.0, 1.0, 7.5, 10.0, 1e9], [0.5] * 1000])
def test_values_observed_at_once_are_counted_as_the_client_counts_them_one_by_one(values: list[float]) -> None:
    texts = []
    for at_once in (True, False):
        registry = CollectorRegistry()
        histogram = Histogram("seen", "", buckets=(0.0, 1.0, 5.0, 10.0), registry=registry)
        if at_once:
            observe_all(histogram, np.array(values))
        else:
            for value in values:
                histogram.observe(value)
        texts.append([line for line in generate_latest(registry).decode().splitlines() if "_created" not in line])
    assert texts[0] == texts[1]


def test_predictions_fall_into_the_bins_of_the_reference(package: ModelPackage) -> None:
    bins = prediction_bins(package.profile, PROBLEM.declaration)
    assert bins == sorted(set(bins))
    assert 10 < len(bins) < 40
    assert min(bins) < 0 < max(bins)
    assert prediction_bins({}, PROBLEM.declaration) == [0.0]


def test_the_reference_says_how_often_each_feature_is_missing(package: ModelPackage) -> None:
    names = PROBLEM.declaration.feature_names
    shares = dict(missing_shares(package.profile, names))
    assert list(shares) == list(names)
    assert 0 < shares["pressure"] < 0.5
    assert dict(missing_shares({}, names)) == {}


def test_what_a_killed_worker_had_in_progress_is_forgotten_and_what_it_had_counted_is_not(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for name in ("gauge_livesum", "gauge_livemax", "gauge_max", "counter"):
        for pid in (ended.pid, os.getpid()):
            (tmp_path / f"{name}_{pid}.db").touch()

    _forget_ended_workers(tmp_path)

    kept = {f"{name}_{os.getpid()}.db" for name in ("gauge_livesum", "gauge_livemax", "gauge_max", "counter")}
    assert {path.name for path in tmp_path.iterdir()} == kept | {f"gauge_max_{ended.pid}.db", f"counter_{ended.pid}.db"}


def test_metrics_are_distinct_by_name() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    with pytest.raises(KeyError):
        Metrics(CollectorRegistry()).make("no_such_metric")
