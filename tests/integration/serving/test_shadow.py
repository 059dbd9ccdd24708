"""A real server with a candidate in its shadow, well-behaved and not."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.problem import PROBLEM
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.log import SHADOW
from tabular_bento.traffic.reader import EventLog
from tests.flights.rows import EXAMPLE, from_json
from tests.integration.serving.bodies import logged_rows
from tests.integration.serving.clients import TARGET, by_grpc, by_http, by_rest, call
from tests.models import ROOT
from tests.releases import CANDIDATE, eventually, folder_of, log_of, release, store_of_two
from tests.serving import ServedPort, serve

MISBEHAVING = os.pathsep.join([str(ROOT / "benchmarks" / "misbehaving"), str(ROOT)])
"""For PYTHONPATH: candidates whose MISBEHAVE says how they misbehave, once they are loaded."""


@pytest.fixture
def store(trained: dict[str, Any], tmp_path: Path) -> Path:
    """Two models, of which the session's is the champion."""
    store = store_of_two(trained["tag"], tmp_path / "store")
    release(store, trained["tag"])
    return store


def settings_of(store: Path, **more: str) -> dict[str, str]:
    return {
        "BENTOML_HOME": str(store),
        "TABULAR_BENTO_SHADOW_MODEL": CANDIDATE,
        "TABULAR_BENTO_SHADOW_CPU_SHARE": "1",
        "TABULAR_BENTO_DRAIN_SECONDS": "0",
        **more,
    }


def misbehaving(store: Path, how: str, **more: str) -> dict[str, str]:
    return settings_of(store, PYTHONPATH=MISBEHAVING, MISBEHAVE=how, **more)


def metrics(served: ServedPort) -> dict[str, float]:
    """What /metrics says of the shadow."""
    _, _, content = call(served, "/metrics")
    return {
        sample.name.removeprefix("tabular_bento_shadow_").removesuffix("_total"): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
        if sample.name.startswith("tabular_bento_shadow_")
    }


def await_metric(served: ServedPort, name: str, value: float) -> None:
    eventually(lambda: metrics(served).get(name) == value, lambda: (name, metrics(served), log_of(served)), 120)


def state(served: ServedPort) -> dict[str, Any]:
    shadow: dict[str, Any] = served.get("/model")[1]["shadow"]
    return shadow


def requests_of(count: int, name: str = "row") -> list[dict[str, Any]]:
    """Rows with and without readings, known and unknown."""
    return [
        {
            **EXAMPLE,
            "id": f"{name}-{number}",
            "dep_delay": float(number % 200) + (0.1 if number % 7 == 0 else 0.0),
            "temp": None if number % 3 == 0 else 50.5,
            "tailnum": None if number % 5 == 0 else "N14228",
            "dest": "???" if number % 11 == 0 else "IAH",
        }
        for number in range(count)
    ]


def assert_all_returned_and_logged(served: ServedPort, rows: list[dict[str, Any]], tag: str) -> None:
    """Each row, asked for alone and in requests of twenty, is returned and in the log of the primary."""
    responses = [response for start in range(0, len(rows), 20) for response in served.predict(rows[start : start + 20])]
    lines = {line["prediction_id"]: line for line in logged_rows(served.traffic)}
    assert len(responses) == len(rows)
    for response in responses:
        line = lines[response["prediction_id"]]
        assert (line[TARGET], line["model"], line["id"]) == (response[TARGET], tag, response["id"])


def test_each_live_row_is_scored_with_the_bits_of_the_candidate_offline_and_logged_beside(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    rows = requests_of(300)
    with serve(tmp_path, **settings_of(store, TABULAR_BENTO_WORKERS="2", TABULAR_BENTO_TRAFFIC_ROLL_MB="1")) as served:
        await_metric(served, "up", 1)
        for ask in (by_http, by_rest, by_grpc):
            for start in range(0, len(rows), 30):
                ask(served, rows[start : start + 30])
        await_metric(served, "rows", 900)
        assert state(served) == {"model": CANDIDATE, "state": "scoring", "restarts": 0}
        assert metrics(served) | {"dropped_rows": 0, "failed_rows": 0} == metrics(served)
        primary = {line["prediction_id"]: line for line in logged_rows(served.traffic)}
        shadow = logged_rows(served.traffic, SHADOW)

    assert {line["model"] for line in primary.values()} == {trained["tag"]}
    assert {line["model"] for line in shadow} == {CANDIDATE}
    assert len({line["prediction_id"] for line in shadow}) == len(shadow) == len(primary) == 900
    assert all(line["time"] == primary[line["prediction_id"]]["time"] for line in shadow)
    asked = [{name: primary[line["prediction_id"]][name] for name in PROBLEM.field_names} for line in shadow]
    offline = ModelPackage.load(folder_of(store, CANDIDATE), CANDIDATE, PROBLEM).predictor.predict(from_json(*asked))
    assert [line[TARGET] for line in shadow] == offline.value.tolist()
    assert [line[TARGET] for line in shadow] != [primary[line["prediction_id"]][TARGET] for line in shadow]
    assert EventLog(served.traffic / SHADOW).read().num_rows == 900


@pytest.mark.slow
def test_a_candidate_that_raises_on_some_rows_scores_the_others(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    rows = [{**EXAMPLE, "dep_delay": float(delay)} for delay in range(100)]
    with serve(tmp_path, **misbehaving(store, "raise-some")) as served:
        await_metric(served, "up", 1)
        assert_all_returned_and_logged(served, rows, trained["tag"])
        await_metric(served, "failed_rows", 50)
        await_metric(served, "rows", 50)
        scored = {line["prediction_id"] for line in logged_rows(served.traffic, SHADOW)}
        even = {line["prediction_id"] for line in logged_rows(served.traffic) if line["dep_delay"] % 2 == 0}
    assert scored == even
    assert log_of(served).count(f"{CANDIDATE} fails on a row (ArithmeticError") == 1


@pytest.mark.slow
def test_a_candidate_that_raises_on_every_row_costs_the_primary_nothing(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    with serve(tmp_path, **misbehaving(store, "raise")) as served:
        await_metric(served, "up", 1)
        assert_all_returned_and_logged(served, requests_of(200), trained["tag"])
        await_metric(served, "failed_rows", 200)
        assert metrics(served)["up"] == 1
        assert not logged_rows(served.traffic, SHADOW)


@pytest.mark.slow
def test_a_candidate_that_sleeps_falls_behind_and_what_it_drops_is_counted(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    settings = {"TABULAR_BENTO_SHADOW_BATCH_ROWS": "10", "TABULAR_BENTO_SHADOW_MAX_BEHIND_ROWS": "100"}
    with serve(tmp_path, **misbehaving(store, "sleep", **settings)) as served:
        await_metric(served, "up", 1)
        assert_all_returned_and_logged(served, requests_of(1000), trained["tag"])
        eventually(lambda: metrics(served)["dropped_rows"] >= 800, lambda: metrics(served))
        asked = 1000

        def scores() -> bool:
            """Whether it has scored any; it may have dropped all that came before."""
            nonlocal asked
            served.predict([EXAMPLE])
            asked += 1
            return metrics(served)["rows"] > 0

        eventually(scores, lambda: metrics(served))
        assert metrics(served)["failed_rows"] == 0
        assert metrics(served)["rows"] + metrics(served)["dropped_rows"] <= asked
        assert state(served)["state"] == "scoring"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["crash", "hang"])
def test_a_candidate_that_ends_or_hangs_is_started_again_after_the_rows_it_failed_on(
    trained: dict[str, Any], store: Path, tmp_path: Path, how: str
) -> None:
    settings = {"TABULAR_BENTO_SHADOW_HANG_SECONDS": "2", "TABULAR_BENTO_SHADOW_BATCH_ROWS": "50"}
    with serve(tmp_path, **misbehaving(store, how, **settings)) as served:
        await_metric(served, "up", 1)
        assert_all_returned_and_logged(served, requests_of(60), trained["tag"])
        eventually(lambda: metrics(served)["failed_rows"] > 0, lambda: (metrics(served), log_of(served)), 120)
        assert state(served)["restarts"] >= 1
        assert_all_returned_and_logged(served, requests_of(60), trained["tag"])
    why = "ended with -9" if how == "crash" else "showed no sign of life for 2 s"
    assert f"the shadow {CANDIDATE} {why}, and is started again in 1 s" in log_of(served)


@pytest.mark.slow
def test_a_shadow_that_is_killed_by_hand_goes_on_where_it_was(store: Path, tmp_path: Path) -> None:
    with serve(tmp_path, **settings_of(store)) as served:
        await_metric(served, "up", 1)
        served.predict(requests_of(100, "before"))
        await_metric(served, "rows", 100)
        (process,) = shadows_of(served)
        assert process.nice() == 19
        process.kill()
        served.predict(requests_of(100, "meanwhile"))
        await_metric(served, "rows", 200)
        assert state(served)["restarts"] == 1
        assert len({line["prediction_id"] for line in logged_rows(served.traffic, SHADOW)}) == 200


def shadows_of(served: ServedPort) -> list[psutil.Process]:
    """The processes of the server's shadows."""
    server = psutil.Process(served.process.process.pid)
    return [
        process for process in server.children(recursive=True) if "tabular_bento.serving.shadow" in process.cmdline()
    ]


def test_a_corrupt_candidate_leaves_the_primary_serving_and_is_reported_once(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    path = folder_of(store, CANDIDATE) / "runner/model.ubj"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with serve(tmp_path, **settings_of(store)) as served:
        eventually(lambda: state(served)["state"] == "down", lambda: log_of(served))
        assert metrics(served) == {"up": 0, "rows": 0, "dropped_rows": 0, "failed_rows": 0} | dict.fromkeys(
            metrics(served), 0
        )
        assert_all_returned_and_logged(served, requests_of(40), trained["tag"])
    reported = [line for line in log_of(served).splitlines() if line.startswith("shadow: ")]
    assert len(reported) == 1
    assert "runner/model.ubj is damaged" in reported[0]
    assert "Traceback" not in log_of(served)


@pytest.mark.slow
def test_an_unknown_candidate_leaves_the_primary_serving_and_sighup_looks_again(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    folder = folder_of(store, CANDIDATE)
    folder.rename(store / "elsewhere")
    with serve(tmp_path, **settings_of(store)) as served:
        assert state(served)["state"] == "down"
        assert metrics(served)["up"] == 0
        assert_all_returned_and_logged(served, requests_of(40), trained["tag"])
        assert log_of(served).count(f"there is no shadow: There is no model {CANDIDATE} in the store") == 1
        (store / "elsewhere").rename(folder)
        os.kill(served.process.process.pid, signal.SIGHUP)
        await_metric(served, "up", 1)
        await_metric(served, "rows", 40)


@pytest.mark.slow
def test_the_shadow_ends_when_its_candidate_is_released_and_with_its_server(store: Path, tmp_path: Path) -> None:
    with serve(tmp_path, **settings_of(store)) as served:
        await_metric(served, "up", 1)
        release(store, CANDIDATE)
        os.kill(served.process.process.pid, signal.SIGHUP)
        eventually(lambda: state(served)["state"] == "in service", lambda: log_of(served))
        assert metrics(served)["up"] == 1, "or ShadowDown would fire"
        assert not shadows_of(served)
        assert served.predict([EXAMPLE])[0]["model"] == CANDIDATE


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sleep", "hang"])
def test_a_server_ends_in_time_whatever_its_shadow_does(store: Path, tmp_path: Path, how: str) -> None:
    with serve(tmp_path, **misbehaving(store, how)) as served:
        await_metric(served, "up", 1)
        served.predict(requests_of(10))
        family = shadows_of(served)
        assert len(family) == 1
        assert served.process.stop() == 0
        assert not any(process.is_running() for process in family)


@pytest.mark.slow
def test_a_shadow_does_not_outlive_a_killed_worker(store: Path, tmp_path: Path) -> None:
    with serve(tmp_path, **misbehaving(store, "hang")) as served:
        await_metric(served, "up", 1)
        served.predict(requests_of(10))
        (process,) = shadows_of(served)
        parent = process.parent()
        assert parent is not None
        parent.kill()
        psutil.wait_procs([process], timeout=10)
        assert not process.is_running()


@pytest.mark.slow
def test_a_log_of_the_shadow_that_cannot_be_written_is_counted_and_leaves_the_primary_alone(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    with serve(tmp_path, **settings_of(store)) as served:
        await_metric(served, "up", 1)
        (served.traffic).mkdir(exist_ok=True)
        (served.traffic / SHADOW).write_text("in the way")
        assert_all_returned_and_logged(served, requests_of(60), trained["tag"])
        await_metric(served, "failed_rows", 60)
        (served.traffic / SHADOW).unlink()
        served.predict(requests_of(10))
        await_metric(served, "rows", 10)


def test_without_a_candidate_there_is_no_shadow(server: ServedPort) -> None:
    assert state(server) is None
    assert metrics(server) == {}
