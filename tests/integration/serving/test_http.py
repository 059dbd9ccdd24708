from __future__ import annotations

import http.client
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.problem import PROBLEM
from tabular_bento.features import Row
from tabular_bento.features.columns import rows_of
from tabular_bento.scoring.package import ModelPackage
from tests.flights.rows import EXAMPLE, from_json, rows, to_json
from tests.integration.serving.bodies import JSON, assert_refused, body_of
from tests.integration.serving.clients import TARGET
from tests.serving import ServedPort, count_logged, logged
from training.source import SOURCE


def targets(responses: list[dict[str, Any]]) -> bytes:
    return np.array([response[TARGET] for response in responses]).tobytes()


def test_the_example_is_predicted(server: ServedPort, trained: dict[str, Any]) -> None:
    (response,) = server.predict([EXAMPLE])

    assert set(response) == {"prediction_id", "id", TARGET, "model"}
    assert response["id"] == EXAMPLE["id"]
    assert response["model"] == trained["tag"]
    assert -60 < response[TARGET] < 120


def test_real_flights_are_predicted_with_the_bits_of_the_offline_predictor(
    server: ServedPort, package: ModelPackage
) -> None:
    september = SOURCE.load().between(date(2013, 9, 1), date(2013, 10, 1))
    batch = rows_of(september.columns, PROBLEM.field_names)[::20]
    responses = server.predict([to_json(row) for row in batch])

    assert len(responses) > 1000
    assert targets(responses) == package.predictor.predict(batch).value.tobytes()


@settings(deadline=None, max_examples=15)
@given(batch=st.lists(rows, min_size=1, max_size=25), seed=st.integers(0, 99))
def test_a_row_has_the_same_bits_alone_in_a_batch_in_any_order_and_offline(
    server: ServedPort, package: ModelPackage, batch: list[Row], seed: int
) -> None:
    requests = [to_json(row) for row in batch]
    order = np.random.default_rng(seed).permutation(len(batch))
    alone = np.array([server.predict([request])[0][TARGET] for request in requests])

    assert targets(server.predict(requests)) == alone.tobytes()
    assert targets(server.predict([requests[index] for index in order])) == alone[order].tobytes()
    assert package.predictor.predict(batch).value.tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("literal", "place"),
    [
        ('"temp": NaN', "flights.0.temp"),
        ('"temp": Infinity', "flights.0.temp"),
        ('"temp": 1e999', "flights.0.temp"),
        ('"temp": "71.6"', "flights.0.temp"),
        ('"dep_delay": 2881', "flights.0.dep_delay"),
        ('"sched_dep": "2013-09-02"', "flights.0.sched_dep"),
        ('"arr_delay": 3', "flights.0.arr_delay"),
        ('"carrier": null', "flights.0.carrier"),
        ('"id": ""', "flights.0.id"),
    ],
)
def test_a_value_that_is_wrong_is_refused_with_its_row_and_field(
    client: httpx.Client, literal: str, place: str
) -> None:
    body = body_of(EXAMPLE)[:-3] + f", {literal}}}]}}"
    response = client.post("/predict", content=body)
    assert_refused(response, 400, f"{place}: ")
    assert response.json()["detail"][0]["loc"] == place


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"flights": [\xff]}', b"[" * 10_000])
def test_a_body_that_is_no_request_is_reported(client: httpx.Client, body: bytes) -> None:
    assert_refused(client.post("/predict", content=body), 400, "body")
    assert_refused(client.post("/feedback", content=body), 400, "body")


def test_an_empty_list_returns_an_empty_list_and_nothing_is_logged(server: ServedPort, client: httpx.Client) -> None:
    before = count_logged(server.traffic)
    response = client.post("/predict", content=body_of())

    assert (response.status_code, response.json()) == (200, [])
    assert count_logged(server.traffic) == before


def test_ten_thousand_rows_are_returned_and_one_more_is_too_many(client: httpx.Client) -> None:
    small = {name: EXAMPLE[name] for name in ("carrier", "origin", "dest", "sched_dep", "sched_arr", "dep_delay")}
    response = client.post("/predict", content=body_of(*[small] * 10_000))
    assert response.status_code == 200
    assert len(response.json()) == 10_000
    assert len({one["prediction_id"] for one in response.json()}) == 10_000
    assert_refused(client.post("/predict", content=body_of(*[small] * 10_001)), 413, "10001 rows")


@pytest.mark.parametrize("path", ["/predict", "/feedback"])
def test_a_body_beyond_the_limit_is_refused_whether_its_length_is_sent_or_not(client: httpx.Client, path: str) -> None:
    size = (16 << 20) + 1
    assert_refused(client.post(path, content=b" " * size), 413, "16 MiB")
    pieces = (b" " * (1 << 20) for _ in range(17))
    assert_refused(client.post(path, content=pieces), 413, "16 MiB")


def test_a_body_in_chunks_is_read_to_its_end(client: httpx.Client) -> None:
    body = body_of(EXAMPLE).encode()
    response = client.post("/predict", content=(body[start : start + 7] for start in range(0, len(body), 7)))
    assert response.status_code == 200
    assert response.request.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/predict"), ("PUT", "/predict"), ("GET", "/feedback"), ("DELETE", "/feedback"), ("POST", "/model")],
)
def test_a_wrong_method_is_reported(client: httpx.Client, method: str, path: str) -> None:
    assert_refused(client.request(method, path, content=body_of(EXAMPLE)), 405, "Method Not Allowed")


def test_an_unknown_path_is_not_found(client: httpx.Client) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.post("/predict/more", content=body_of(EXAMPLE)).status_code == 404


PICKLE = b"cbuiltins\nexec\n(Vopen({path!r}, 'w')\ntR."


@pytest.mark.parametrize("path", ["/predict", "/feedback"])
@pytest.mark.parametrize(
    "content_type", ["application/vnd.bentoml+pickle", "application/x-pickle", "application/octet-stream"]
)
def test_a_pickle_is_refused_and_not_read(client: httpx.Client, tmp_path: Path, path: str, content_type: str) -> None:
    mark = tmp_path / "executed"
    pickle = PICKLE.replace(b"{path!r}", repr(str(mark)).encode())
    headers = {"Content-Type": content_type, "Payload-Container": "default", "Batch-Size": "1"}
    response = client.post(path, content=pickle, headers=headers)
    assert 400 <= response.status_code < 500
    assert not mark.exists()


def test_bad_requests_among_good_ones_do_not_hurt_them(server: ServedPort) -> None:
    bad = [body_of(EXAMPLE, {**EXAMPLE, "temp": "x"}), body_of(EXAMPLE)[:-3] + ', "temp": NaN}]}', "{", body_of()]
    start = threading.Barrier(16)

    def call(worker: int) -> None:
        with httpx.Client(base_url=server.process.url, timeout=60, headers=JSON) as client:
            start.wait()
            for turn in range(20):
                if worker % 2:
                    body = bad[turn % len(bad)]
                    assert client.post("/predict", content=body).status_code in (200, 400)
                else:
                    name = f"{worker}-{turn}"
                    response = client.post("/predict", content=body_of({**EXAMPLE, "id": name}))
                    assert response.status_code == 200, response.text
                    assert [one["id"] for one in response.json()] == [name]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(call, range(16)))


def test_concurrent_callers_on_kept_connections_each_get_their_own_responses(
    server: ServedPort, package: ModelPackage
) -> None:
    delays = np.random.default_rng(5).integers(-100, 2000, size=(20, 10, 3)).astype(float)
    expected = {
        delay: float(package.predictor.predict(from_json({**EXAMPLE, "dep_delay": delay})).value[0])
        for delay in sorted({float(delay) for delay in delays.ravel()})
    }
    start = threading.Barrier(20)

    def call(worker: int) -> list[str]:
        ids = []
        connection = http.client.HTTPConnection("127.0.0.1", server.process.port, timeout=60)
        start.wait()
        for turn in range(10):
            requests = [
                {**EXAMPLE, "id": f"{worker}-{turn}-{index}", "dep_delay": delay}
                for index, delay in enumerate(delays[worker, turn].tolist())
            ]
            connection.request("POST", "/predict", body_of(*requests), JSON)
            response = connection.getresponse()
            responses = json.loads(response.read())
            assert response.status == 200, responses
            assert [one["id"] for one in responses] == [request["id"] for request in requests]
            assert [one[TARGET] for one in responses] == [expected[request["dep_delay"]] for request in requests]
            ids += [one["prediction_id"] for one in responses]
        connection.close()
        return ids

    with ThreadPoolExecutor(20) as pool:
        ids = [one for part in pool.map(call, range(20)) for one in part]
    assert len(set(ids)) == len(ids) == 600


def test_concurrent_requests_share_batches(server: ServedPort, client: httpx.Client) -> None:
    def batches() -> tuple[float, float]:
        text = client.get("/metrics").text
        count, total = (
            sum(
                float(value)
                for value in re.findall(rf"^tabular_bento_batch_rows_{part}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
            )
            for part in ("count", "sum")
        )
        return count, total

    before = batches()
    start = threading.Barrier(24)

    def call(_: int) -> None:
        with httpx.Client(base_url=server.process.url, timeout=60, headers=JSON) as one:
            one.get("/livez")
            start.wait()
            for _ in range(10):
                assert one.post("/predict", content=body_of(*[EXAMPLE] * 20)).status_code == 200

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(call, range(24)))
    after = batches()
    assert after[1] - before[1] == 24 * 10 * 20
    assert after[0] - before[0] < 24 * 10


def test_labels_are_taken_late_repeated_and_of_unknown_predictions(server: ServedPort, client: httpx.Client) -> None:
    (response,) = server.predict([EXAMPLE])
    labels = [
        {"prediction_id": response["prediction_id"], TARGET: 17.0},
        {"prediction_id": "unknown", TARGET: -3.5},
        {"prediction_id": response["prediction_id"], TARGET: 18.0},
    ]
    receipt = client.post("/feedback", json={"labels": labels})

    assert (receipt.status_code, receipt.json()) == (200, {"accepted": 3})
    lines = logged(server.traffic, "labels")[-3:]
    assert [{"prediction_id": line["prediction_id"], TARGET: line["label"]} for line in lines] == labels
    assert client.post("/feedback", json={"labels": []}).json() == {"accepted": 0}


def test_a_label_that_is_wrong_is_reported_by_its_place_and_none_of_its_request_is_taken(
    server: ServedPort, client: httpx.Client
) -> None:
    before = count_logged(server.traffic, "labels")
    labels = [{"prediction_id": "a", TARGET: 1.0}, {"prediction_id": "b", TARGET: "late"}]

    assert_refused(client.post("/feedback", json={"labels": labels}), 400, f"labels.1.{TARGET}")
    assert_refused(client.post("/feedback", json={"labels": labels[:1] * 10_001}), 413, "10001 labels")
    assert count_logged(server.traffic, "labels") == before


def test_the_served_model_is_described(client: httpx.Client, trained: dict[str, Any]) -> None:
    model = client.get("/model").json()

    assert model["tag"] == trained["tag"]
    assert model["fingerprint"] == trained["fingerprint"]
    assert model["declaration_fingerprint"] == PROBLEM.declaration.fingerprint
    assert model["metrics"]["metrics"] == trained["metrics"]
    assert model["provenance"]["trained_at"]
    assert model["provenance"]["data_fingerprint"] == trained["data_fingerprint"]


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz"])
def test_it_is_alive_and_ready(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_metrics_count_requests_by_how_they_ended(server: ServedPort, client: httpx.Client) -> None:
    def count(status: str) -> float:
        found = re.search(
            rf'^tabular_bento_requests_total{{protocol="http",status="{status}".*}} (\S+)$',
            client.get("/metrics").text,
            re.MULTILINE,
        )
        return float(found[1]) if found else 0.0

    returned, invalid = count("ok"), count("invalid")
    server.predict([EXAMPLE])
    client.post("/predict", content="{")
    assert count("ok") == returned + 1
    assert count("invalid") == invalid + 1
