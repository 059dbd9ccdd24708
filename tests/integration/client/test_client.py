"""The clients with real servers, and with one that misbehaves on purpose: what is sent again, and what is raised."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import uvicorn

from features.problem import PROBLEM
from tabular_bento.client import PROTOCOLS, AsyncClient, Client, Protocol
from tabular_bento.errors import ClientError, LostResponseError, RefusedError, ResponseError, UnreachableError
from tabular_bento.problem import Problem
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.serving import application
from tabular_bento.serving.ports import free_port
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.traffic.log import TrafficLog
from tests.flights.rows import EXAMPLE, SECOND
from tests.integration.misbehaving import Handler, Misbehaving, MisbehavingServicer, Predictions, bad, bad_grpc
from tests.integration.serving.clients import metrics_of, risen
from tests.serving import ServedPort
from tests.unit import models

__all__ = ["bad", "bad_grpc"]

HTTP: tuple[Protocol, ...] = ("json", "rest", "rest-binary")


@contextmanager
def running(problem: Problem, folder: Path, name: str) -> Iterator[str]:
    """A server of a small model of a problem, without BentoML; its URL."""
    models.write(folder / "package", models.trained(name))
    package = ModelPackage.load(folder / "package", f"{problem.name}:1", problem)
    log = TrafficLog(folder / "traffic", problem.declaration, 1 << 30, 3600.0)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(application(problem, package, log), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{port}", retries=10) as client:
            client.check()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        log.close()


def test_two_problems_by_one_client_class(tmp_path: Path) -> None:
    parcels, dated = models.parcels(), models.prices(models.DATED)
    with (
        running(models.PARCELS, tmp_path / "parcels", "parcels") as first,
        running(models.DATED, tmp_path / "dated", "dated") as second,
        Client(first) as one,
        Client(second) as other,
    ):
        for client, dataset, problem in ((one, parcels, models.PARCELS), (other, dated, models.DATED)):
            assert client.ready()
            assert client.interface().declaration == problem.declaration
            assert client.model()["tag"] == f"{problem.name}:1"
            found = [client.predict(dataset.columns, protocol) for protocol in HTTP]
            name = problem.target.name
            assert len({np.array(one.column(name)).tobytes() for one in found}) == 1
            labels = dict.fromkeys(found[0].column("prediction_id"), 1.5)
            assert client.send_labels(labels) == len(dataset)
        with pytest.raises(RefusedError) as refused:
            one.predict([{"weight": 1.0, "pieces": 1, "kind": "box"}, {"weight": -1.0, "pieces": 1, "kind": "box"}])
        assert refused.value.status == "400"
        assert "rows.1.weight" in str(refused.value)
        assert refused.value.detail[0]["loc"] == "rows.1.weight"


def test_every_protocol_of_a_server_of_bentoml(server: ServedPort) -> None:
    rows = [EXAMPLE, SECOND]
    with Client(server.process.url, grpc=f"127.0.0.1:{server.grpc_port}") as client:
        found = {protocol: list(client.predict(rows, protocol)) for protocol in PROTOCOLS}
        values = {protocol: [item["arrival_delay"] for item in items] for protocol, items in found.items()}
        assert len({tuple(one) for one in values.values()}) == 1
        for items in found.values():
            assert [item["id"] for item in items] == [EXAMPLE["id"], SECOND["id"]]
            assert {item["model"] for item in items} == {client.model()["tag"]}
            assert list(items[0]) == ["prediction_id", "id", "arrival_delay", "model"]
        streamed = list(client.stream([rows, rows[:1], rows[1:]]))
        assert [len(batch) for batch in streamed] == [2, 1, 1]
        assert list(streamed[0].column("arrival_delay")) == values["json"]
        for protocol in PROTOCOLS:
            with pytest.raises(RefusedError, match="dep_delay"):
                client.predict([{**EXAMPLE, "dep_delay": 1e9}], protocol)
        assert list(client.predict([])) == []


def test_the_asynchronous_client_does_the_same(server: ServedPort) -> None:
    async def ask() -> None:
        rows = [EXAMPLE, SECOND]
        async with AsyncClient(server.process.url, grpc=f"127.0.0.1:{server.grpc_port}") as client:
            assert await client.ready()
            asked = (client.predict(rows, protocol) for protocol in PROTOCOLS for _ in range(4))
            found = await asyncio.gather(*asked)
            assert len({tuple(one.column("arrival_delay")) for one in found}) == 1
            assert [len(batch) async for batch in client.stream([rows, rows[:1]])] == [2, 1]
            assert await client.send_labels([(found[0][0]["prediction_id"], 5.0)]) == 1

    asyncio.run(ask())


def test_over_grpc_alone(server: ServedPort) -> None:
    with Client(grpc=f"127.0.0.1:{server.grpc_port}") as client:
        assert client.ready()
        assert client.interface().declaration is None
        (found,) = client.predict([EXAMPLE], "grpc")
        assert np.isfinite(found["arrival_delay"])
        for call in (client.model, lambda: client.predict([EXAMPLE]), lambda: client.send_labels({"a": 1.0})):
            with pytest.raises(ClientError, match="URL of the server"):
                call()


def test_a_client_without_an_address() -> None:
    with pytest.raises(ClientError, match="needs the URL"):
        Client()


@pytest.mark.parametrize("url", ["http://127.0.0.1:port", "http://[::1"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UnreachableError, match="No server listens"):
        Client(url)
    with pytest.raises(UnreachableError, match="No server listens"):
        AsyncClient(url)


def test_nobody_there() -> None:
    port = free_port()
    with Client(f"http://127.0.0.1:{port}", grpc=f"127.0.0.1:{port}", retries=1) as client:
        assert not client.ready()
        for call in (client.model, client.check, lambda: client.predict([EXAMPLE]), lambda: client.check("grpc")):
            with pytest.raises(UnreachableError, match="is it running there"):
                call()


def test_a_server_of_another_kind(bad: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.reply(200, {"tag": "x:1"}))
    with Client(bad.url) as client, pytest.raises(UnreachableError, match="holds no declaration"):
        client.predict([EXAMPLE])
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.reply(404, {"error": "no"}))
    with Client(bad.url) as client, pytest.raises(UnreachableError, match=r"is refused \(404"):
        client.model()


def hang_up(bad: Misbehaving, times: int) -> Callable[[Handler, Predictions], bool]:
    def fault(handler: Handler, _: Predictions) -> bool:
        handler.close_connection = bad.requests <= times
        return handler.close_connection

    return fault


def test_a_prediction_that_may_have_been_computed_is_sent_again_only_if_allowed(bad: Misbehaving) -> None:
    bad.fault = hang_up(bad, 1)
    with Client(bad.url) as client, pytest.raises(LostResponseError):
        client.predict([EXAMPLE])
    assert bad.requests == 1
    bad.requests = 0
    with Client(bad.url, resend=True) as client:
        assert len(client.predict([EXAMPLE])) == 1
    assert bad.requests == 2


def test_time_that_is_up(bad: Misbehaving) -> None:
    over = threading.Event()
    bad.fault = lambda *_: not over.wait(10)
    with Client(bad.url, timeout=0.2) as client, pytest.raises(LostResponseError):
        client.predict([EXAMPLE])
    over.set()
    assert bad.requests == 1


@pytest.mark.parametrize("status", [429, 503])
def test_what_the_server_did_not_compute_is_sent_again(bad: Misbehaving, status: int) -> None:
    def busy(handler: Handler, _: Predictions) -> bool:
        if bad.requests <= 2:
            handler.reply(status, {"error": "busy"}, Retry_After="0.01")
        return bad.requests <= 2

    bad.fault = busy
    with Client(bad.url) as client:
        assert len(client.predict([EXAMPLE])) == 1
    assert bad.requests == 3


@pytest.mark.parametrize("status", [400, 500, 503, 504])
def test_other_refusals_are_raised_at_once(bad: Misbehaving, status: int) -> None:
    def refuse(handler: Handler, _: Predictions) -> bool:
        handler.reply(status, {"error": "no", "detail": [{"loc": "flights.0", "msg": "no"}]})
        return True

    bad.fault = refuse
    with Client(bad.url, resend=True) as client, pytest.raises(RefusedError) as refused:
        client.predict([EXAMPLE])
    assert (refused.value.status, str(refused.value), bad.requests) == (str(status), "no", 1)
    assert refused.value.detail == [{"loc": "flights.0", "msg": "no"}]


def test_no_more_than_the_retries_allowed(bad: Misbehaving) -> None:
    def busy(handler: Handler, _: Predictions) -> bool:
        handler.reply(503, {"error": "busy"}, Retry_After="0")
        return True

    bad.fault = busy
    with Client(bad.url, retries=2) as client, pytest.raises(RefusedError, match="busy") as refused:
        client.predict([EXAMPLE])
    assert (bad.requests, refused.value.retry_after) == (3, 0)


def test_a_response_to_other_rows(bad: Misbehaving) -> None:
    def swap(handler: Handler, predictions: Predictions) -> bool:
        handler.reply(200, predictions[::-1])
        return True

    bad.fault = swap
    with Client(bad.url) as client, pytest.raises(ResponseError, match="not of the row whose id is"):
        client.predict([EXAMPLE, SECOND])


@pytest.mark.parametrize(("resend", "calls"), [(False, 1), (True, 2)])
def test_over_grpc_unavailable_is_not_known_to_be_uncomputed(
    bad: Misbehaving, bad_grpc: MisbehavingServicer, resend: bool, calls: int
) -> None:
    def fault(context: grpc.ServicerContext, _: Any) -> None:
        if bad_grpc.calls == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    bad_grpc.fault = fault
    with Client(bad.url, grpc=f"127.0.0.1:{bad_grpc.port}", resend=resend) as client:
        if resend:
            assert len(client.predict([EXAMPLE], "grpc")) == 1
        else:
            with pytest.raises(RefusedError, match="gone") as refused:
                client.predict([EXAMPLE], "grpc")
            assert refused.value.status == "UNAVAILABLE"
    assert bad_grpc.calls == calls


def test_over_grpc_a_busy_server_is_asked_again(bad: Misbehaving, bad_grpc: MisbehavingServicer) -> None:
    def fault(context: grpc.ServicerContext, _: Any) -> None:
        if bad_grpc.calls <= 2:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")

    bad_grpc.fault = fault
    with Client(bad.url, grpc=f"127.0.0.1:{bad_grpc.port}") as client:
        assert len(client.predict([EXAMPLE], "grpc")) == 1
    assert bad_grpc.calls == 3


def test_over_grpc_a_message_that_grpc_finds_too_large_is_sent_once(
    bad: Misbehaving, bad_grpc: MisbehavingServicer
) -> None:
    message = "SERVER: Received message larger than max (2097152 vs. 1048576)"
    bad_grpc.fault = lambda context, _: context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
    with Client(bad.url, grpc=f"127.0.0.1:{bad_grpc.port}") as client, pytest.raises(RefusedError, match="larger"):
        client.predict([EXAMPLE], "grpc")
    assert bad_grpc.calls == 1


def test_over_grpc_more_rows_than_a_server_takes_are_sent_once(server: ServedPort) -> None:
    rows, before = [EXAMPLE] * (ServingSettings().max_rows + 1), metrics_of(server)
    with (
        Client(server.process.url, grpc=f"127.0.0.1:{server.grpc_port}") as client,
        pytest.raises(RefusedError, match="send it in parts") as refused,
    ):
        client.predict(rows, "grpc")
    assert refused.value.status == "INVALID_ARGUMENT"
    counted = risen(before, metrics_of(server))
    assert counted["tabular_bento_requests_total", "grpc", "too_large"] == 1


def test_the_project_is_no_part_of_it(bad: Misbehaving) -> None:
    with Client(bad.url) as client:
        assert client.interface().name == PROBLEM.name
        with pytest.raises(ClientError, match="no protocol 'carrier-pigeon'"):
            client.predict([EXAMPLE], "carrier-pigeon")  # type: ignore[arg-type]
