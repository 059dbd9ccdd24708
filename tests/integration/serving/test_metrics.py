from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.problem import PROBLEM
from tabular_bento.serving.metrics import ENDPOINTS, METRICS
from tabular_bento.serving.status import CODES
from tests.flights.rows import EXAMPLE
from tests.integration.serving.bodies import body_of
from tests.integration.serving.clients import TARGET, by_grpc, by_http, by_rest, call
from tests.releases import CANDIDATE, release, store_of_two
from tests.serving import ServedPort, serve

Sample = tuple[str, frozenset[tuple[str, str]]]


def scraped(server: ServedPort) -> dict[Sample, float]:
    """What /metrics says, by name and labels."""
    status, _, content = call(server, "/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
    }


def value(values: dict[Sample, float], name: str, **labels: str) -> float:
    return values[name, frozenset(labels.items())]


def wait_for(server: ServedPort, condition: Callable[[dict[Sample, float]], bool]) -> dict[Sample, float]:
    """What /metrics says once `condition` holds of it: the other worker samples within a second."""
    deadline = time.monotonic() + 20
    while not condition(values := scraped(server)):
        assert time.monotonic() < deadline, values
        time.sleep(0.1)
    return values


@pytest.fixture(scope="module")
def pair(trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPort]:
    """A server of two workers with metrics of its own."""
    folder = tmp_path_factory.mktemp("metrics")
    with serve(
        folder,
        TABULAR_BENTO_MODEL=trained["tag"],
        TABULAR_BENTO_WORKERS="2",
        TABULAR_BENTO_MAX_QUEUE_ROWS="500",
        TABULAR_BENTO_DRAIN_SECONDS="0",
    ) as served:
        wait_for(served, lambda values: value(values, "tabular_bento_workers") == 2)
        yield served


def test_everything_declared_is_exported_with_its_labels_and_nothing_else(pair: ServedPort) -> None:
    by_http(pair, [EXAMPLE])
    post_labels(pair, 1)
    last = {
        ("tabular_bento_log_last_write_timestamp_seconds", frozenset({("stream", stream)}))
        for stream in ("predictions", "labels")
    }
    values = wait_for(pair, lambda values: last <= values.keys())
    exported: dict[str, set[frozenset[str]]] = {}
    for name, labels in values:
        if not name.startswith("bentoml_"):
            family = name
            for suffix in ("_bucket", "_count", "_sum"):
                family = family.removesuffix(suffix)
            exported.setdefault(family, set()).add(frozenset(key for key, _ in labels if key != "le"))
    declared = {metric.exported: {frozenset(metric.labels)} for metric in METRICS}
    others = ("_shadow_", "_predicted_class_")  # of a shadow and of classes, which this server has not
    assert exported == {name: labels for name, labels in declared.items() if not any(other in name for other in others)}


def test_rows_predictions_and_lines_are_counted_whichever_worker_and_endpoint_took_them(pair: ServedPort) -> None:
    before = wait_for(pair, settled)
    rows = [{**EXAMPLE, "temp": None, "dep_delay": float(delay)} for delay in range(0, 300, 10)]
    for ask in (by_http, by_rest, by_grpc) * 4:
        ask(pair, rows)
    after = wait_for(pair, lambda values: risen(before, values, "tabular_bento_prediction_count") == 12 * len(rows))

    for name in ENDPOINTS:
        assert risen(before, after, "tabular_bento_predicted_rows_total", protocol=name) == 4 * len(rows)
        assert value(after, "tabular_bento_requests_in_progress", protocol=name) == 0
    assert risen(before, after, "tabular_bento_feature_rows_total") == 12 * len(rows)
    missing = {
        name: risen(before, after, "tabular_bento_feature_missing_rows_total", feature=name)
        for name in PROBLEM.declaration.feature_names
    }
    assert {name for name, count in missing.items() if count} == {"temp"}
    assert missing["temp"] == 12 * len(rows)
    assert risen(before, after, "tabular_bento_log_lines_total", stream="predictions") == 12 * len(rows)
    assert risen(before, after, "tabular_bento_log_write_seconds_total", stream="predictions") > 0
    assert risen(before, after, "tabular_bento_prediction_sum") == pytest.approx(
        12 * sum(target for target, _ in by_http(pair, rows)), rel=1e-6
    )
    assert time.time() - value(after, "tabular_bento_log_last_write_timestamp_seconds", stream="predictions") < 60


def test_labels_are_counted_and_requests_that_bring_none_too(pair: ServedPort) -> None:
    def sampled(values: dict[Sample, float]) -> bool:
        return value(values, "tabular_bento_log_lines_total", stream="labels") == value(
            values, "tabular_bento_feedback_labels_total"
        )

    post_labels(pair, 1)
    before = wait_for(pair, sampled)
    post_labels(pair, 3)
    assert pair.post("/feedback", b"{}")[0] == 400
    after = wait_for(pair, sampled)

    assert risen(before, after, "tabular_bento_feedback_labels_total") == 3
    assert risen(before, after, "tabular_bento_log_lines_total", stream="labels") == 3
    assert risen(before, after, "tabular_bento_feedback_requests_total", status="ok") == 1
    assert value(after, "tabular_bento_feedback_requests_total", status="invalid") >= 1


def test_a_request_that_cannot_be_logged_is_counted_as_lost_by_reason(trained: dict[str, Any], tmp_path: Path) -> None:
    with serve(tmp_path, TABULAR_BENTO_MODEL=trained["tag"], TABULAR_BENTO_DRAIN_SECONDS="0") as served:
        served.traffic.write_bytes(b"a file where the folder should be")
        assert served.post("/predict", body_of(*[EXAMPLE] * 4).encode())[0] == 503
        values = scraped(served)

    assert value(values, "tabular_bento_requests_total", protocol="http", status="unlogged") == 1
    assert value(values, "tabular_bento_log_failed_writes_total", stream="predictions") == 1
    assert value(values, "tabular_bento_log_lost_lines_total", stream="predictions") == 4
    assert value(values, "tabular_bento_log_lines_total", stream="predictions") == 0
    assert value(values, "tabular_bento_log_disk_size_bytes") >= value(values, "tabular_bento_log_disk_free_bytes") > 0


def test_gauges_add_up_over_workers_and_say_what_is_served(pair: ServedPort, trained: dict[str, Any]) -> None:
    values = scraped(pair)
    assert value(values, "tabular_bento_queue_rows_limit") == 1000
    assert value(values, "tabular_bento_ready") == 1
    assert value(values, "tabular_bento_queue_rows") == 0
    (model,) = [dict(labels) for name, labels in values if name == "tabular_bento_model_info"]
    described = pair.get("/model")[1]
    name, version = trained["tag"].split(":")
    assert (model.pop("model"), model.pop("version")) == (name, version)
    assert {key: described[key] for key in model} == model
    for name in ENDPOINTS:
        assert {dict(labels)["status"] for name, labels in values if name == "tabular_bento_requests_total"} == set(
            CODES
        )
        assert value(values, "tabular_bento_requests_total", protocol=name, status="failed") == 0


@pytest.mark.slow
def test_a_model_that_takes_the_place_of_another_is_reported_and_so_is_the_shadow(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    store = store_of_two(trained["tag"], tmp_path / "store")
    release(store, trained["tag"])
    with serve(
        tmp_path, BENTOML_HOME=str(store), TABULAR_BENTO_SHADOW_MODEL=trained["tag"], TABULAR_BENTO_DRAIN_SECONDS="0"
    ) as served:
        assert [(tag(model), shown) for model, shown in models(scraped(served))] == [(trained["tag"], 1)]
        release(store, CANDIDATE)
        os.kill(served.process.process.pid, signal.SIGHUP)
        after = wait_for(
            served, lambda values: len(models(values)) == 2 and value(values, "tabular_bento_shadow_up") == 1
        )
        by_http(served, [EXAMPLE] * 3)
        after = wait_for(served, lambda values: value(values, "tabular_bento_shadow_rows_total") == 3)

    assert {tag(model): shown for model, shown in models(after)} == {trained["tag"]: 0, CANDIDATE: 1}
    assert value(after, "tabular_bento_model_reloads_total", status="exchanged") == 1
    assert {metric.exported for metric in METRICS if metric.name.startswith("shadow_")} <= {name for name, _ in after}


def tag(model: dict[str, str]) -> str:
    return f"{model['model']}:{model['version']}"


def models(values: dict[Sample, float]) -> list[tuple[dict[str, str], float]]:
    return [(dict(labels), shown) for (name, labels), shown in values.items() if name == "tabular_bento_model_info"]


@pytest.mark.slow
def test_a_worker_that_was_killed_leaves_its_counts_and_takes_its_gauges(pair: ServedPort) -> None:
    by_http(pair, [EXAMPLE] * 5)
    before = wait_for(pair, settled)
    worker = psutil.Process(pair.process.process.pid).children(recursive=True)[-1]
    os.kill(worker.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while worker.pid in {each.pid for each in psutil.Process(pair.process.process.pid).children(recursive=True)}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while pair.process.log.read_text().count("Service flights initialized") < 3:
        assert time.monotonic() < deadline, "no worker took the place of the one that was killed"
        time.sleep(0.1)
    after = wait_for(pair, lambda values: value(values, "tabular_bento_workers") == 2)
    assert value(after, "tabular_bento_queue_rows_limit") == 1000
    assert risen(before, after, "tabular_bento_predicted_rows_total", protocol="http") == 0


def settled(values: dict[Sample, float]) -> bool:
    """Whether what was returned has been sampled."""
    returned = sum(value(values, "tabular_bento_predicted_rows_total", protocol=name) for name in ENDPOINTS)
    return returned == values.get(("tabular_bento_feature_rows_total", frozenset()), 0)


def risen(before: dict[Sample, float], after: dict[Sample, float], name: str, **labels: str) -> float:
    key = (name, frozenset(labels.items()))
    return after.get(key, 0) - before.get(key, 0)


def post_labels(server: ServedPort, count: int) -> None:
    labels = [{"prediction_id": f"p{number}", TARGET: 1.0} for number in range(count)]
    assert server.post("/feedback", json.dumps({"labels": labels}).encode())[0] == 200


def test_a_file_of_metrics_that_is_just_being_made_is_waited_for(pair: ServedPort) -> None:
    shared = Path(os.environ["BENTOML_HOME"]) / "prometheus_multiproc_dir_by_server"
    (folder,) = shared.glob(f"*-{pair.process.process.pid}-*")
    begun = folder / "counter_999999999.db"
    begun.write_bytes(b"")
    made = threading.Timer(0.05, begun.unlink)
    made.start()

    assert value(scraped(pair), "tabular_bento_workers") == 2
    made.join()
