"""Replays against a server that misbehaves on purpose, and against the real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pytest
from pydantic import ValidationError

from features.problem import PROBLEM
from tabular_bento.cli import main
from tabular_bento.client import PROTOCOLS, Client, Interface
from tabular_bento.client.encoding import with_identifiers
from tabular_bento.data.dataset import Dataset
from tabular_bento.errors import ReplayError, UnreachableError
from tabular_bento.monitoring.drift.job import judge
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.replay import replay
from tabular_bento.monitoring.window.data import Query
from tabular_bento.protocol.requests import RequestSchema
from tabular_bento.serving.ports import free_port
from tests.integration.misbehaving import Handler, Misbehaving, Predictions, config
from tests.serving import ServedPort, count_logged, logged


def test_all_is_served(dataset: Dataset, bad: Misbehaving) -> None:
    result = replay(PROBLEM, dataset, config(bad.url, rows_per_request=33))
    assert (result.rows_served, result.errors, result.complete) == (500, 0, True)
    assert result.labels_sent == len(bad.labels)
    assert len({row["id"] for row in bad.served}) == 500
    assert result.ratio_to_naive_baseline == 1
    assert result.rmse == result.naive_rmse
    assert result.first_event == "2013-07-01T05:00:00"


def test_labels_in_several_requests_are_all_counted(dataset: Dataset, bad: Misbehaving) -> None:
    result = replay(PROBLEM, dataset, config(bad.url, limit=None, sample=5_000, rows_per_request=500))
    assert result.labels_sent == len(bad.labels)
    assert 4_900 < result.labels_sent < 5_000


def test_no_feedback(dataset: Dataset, bad: Misbehaving) -> None:
    result = replay(PROBLEM, dataset, config(bad.url, feedback=False))
    assert (result.labels_sent, bad.labels, result.complete) == (0, [], True)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_tried_again(dataset: Dataset, bad: Misbehaving, status: int) -> None:
    def busy(handler: Handler, _: Predictions) -> bool:
        if bad.requests <= 6:
            handler.reply(status, {"error": "busy"}, Retry_After="0.05")
        return bad.requests <= 6

    bad.fault = busy
    result = replay(PROBLEM, dataset, config(bad.url))
    assert (result.rows_served, result.errors, bad.requests) == (500, 0, 16)


def test_server_that_stays_busy_is_an_error(dataset: Dataset, bad: Misbehaving) -> None:
    def busy(handler: Handler, _: Predictions) -> bool:
        handler.reply(503, {"error": "busy"}, Retry_After="0.01")
        return True

    bad.fault = busy
    result = replay(PROBLEM, dataset, config(bad.url, limit=50))
    assert (result.rows_served, result.errors, result.errors_by_status, bad.requests) == (0, 50, {"503": 50}, 5)
    assert result.rmse is None
    assert "busy" in str(result.first_error)


def test_closed_connection_is_tried_again(dataset: Dataset, bad: Misbehaving) -> None:
    def hang_up(handler: Handler, _: Predictions) -> bool:
        handler.close_connection = bad.requests % 3 == 0
        return handler.close_connection

    bad.fault = hang_up
    result = replay(PROBLEM, dataset, config(bad.url))
    assert (result.rows_served, result.errors) == (500, 0)
    assert bad.requests > 10


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda predictions: predictions[:-1], "49 predictions for 50 rows"),
        (lambda predictions: predictions[::-1], "Prediction 0 is not of the row"),
        (lambda predictions: {"predictions": predictions}, "no list of predictions"),
        (
            lambda predictions: [{**predictions[0], "arrival_delay": None}, *predictions[1:]],
            "Prediction 0 lacks arrival_delay",
        ),
    ],
)
def test_wrong_predictions_are_errors(
    dataset: Dataset, bad: Misbehaving, spoil: Callable[[Predictions], Any], why: str
) -> None:
    def wrong(handler: Handler, predictions: Predictions) -> bool:
        if bad.requests == 2:
            handler.reply(200, spoil(predictions))
        return bad.requests == 2

    bad.fault = wrong
    result = replay(PROBLEM, dataset, config(bad.url, concurrency=1))
    assert (result.rows_served, result.errors, result.complete) == (450, 50, False)
    assert result.errors_by_status == {"wrong response": 50}
    assert why in str(result.first_error)


def test_refusal_is_counted_by_status(dataset: Dataset, bad: Misbehaving) -> None:
    def refuse(handler: Handler, _: Predictions) -> bool:
        if bad.requests == 1:
            handler.reply(400, {"error": "flights.0.temp: no"})
        return bad.requests == 1

    bad.fault = refuse
    result = replay(PROBLEM, dataset, config(bad.url))
    assert (result.rows_served, result.errors_by_status) == (450, {"400": 50})
    assert "flights.0.temp" in str(result.first_error)


def test_parts_share_the_flights_out(dataset: Dataset, bad: Misbehaving) -> None:
    replay(PROBLEM, dataset, config(bad.url, concurrency=1, feedback=False))
    whole = [row["id"] for row in bad.served]
    for number in (1, 2, 3):
        bad.served.clear()
        result = replay(PROBLEM, dataset, config(bad.url, concurrency=1, feedback=False, part=f"{number}/3"))
        assert [row["id"] for row in bad.served] == whole[number - 1 :: 3]
        assert result.rows == len(bad.served)


def test_part_without_flights(dataset: Dataset, bad: Misbehaving) -> None:
    with pytest.raises(ReplayError, match="no rows in part 3/3"):
        replay(PROBLEM, dataset, config(bad.url, limit=2, part="3/3"))


def test_rate(dataset: Dataset, bad: Misbehaving) -> None:
    result = replay(PROBLEM, dataset, config(bad.url, rate=1_000, feedback=False))
    assert 0.4 < result.seconds < 2


def test_nobody_there(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match="is it running there"):
        replay(PROBLEM, dataset, config(url))
    assert main(["replay", "--months", "2013-07", "--limit", "10", "--url", url]) == 3
    assert url in capsys.readouterr().err


@pytest.mark.parametrize(
    "values",
    [
        {"months": "July"},
        {"months": "2013-09:2013-07"},
        {"url": "nowhere"},
        {"rate": 0},
        {"protocol": "side"},
        {"grpc": "host"},
        {"part": "4/3"},
        {"part": "0/3"},
        {"part": "1"},
    ],
)
def test_senseless_configuration(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**{"url": "http://127.0.0.1:1"} | values)


def test_command(bad: Misbehaving, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["replay", "--months", "2013-07", "--limit", "60", "--url", bad.url, "--json"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert json.loads(output.out.splitlines()[-1])["rows_served"] == 60
    assert output.err == ""

    def fail(handler: Handler, _: Predictions) -> bool:
        handler.reply(500, {"error": "no"})
        return True

    bad.fault = fail
    assert main(arguments) == 1
    assert main(["replay", "--months", "2013-13", "--url", bad.url]) == 2
    assert "--months" in capsys.readouterr().err
    assert main(["replay", "--months", "2014-01", "--url", bad.url]) == 2


def test_requests_are_what_the_service_takes(dataset: Dataset) -> None:
    rows = dataset.between(*config("http://127.0.0.1:1").days or ()).where(slice(2_000))
    interface = Interface.of(PROBLEM.declaration)
    body, _ = interface.json_request(with_identifiers(rows.columns, interface, "replay"))
    parsed = RequestSchema(PROBLEM.declaration).parse_rows(body)
    assert len(parsed) == 2_000
    sent = orjson.loads(body)["flights"]
    assert len({row["id"] for row in sent}) == 2_000
    assert set().union(*sent) == set(PROBLEM.field_names)


def test_rows_are_sent_in_the_order_of_their_event_time(dataset: Dataset, bad: Misbehaving) -> None:
    replay(PROBLEM, dataset.where(np.arange(len(dataset))[::-1]), config(bad.url, concurrency=1, feedback=False))
    times = [row["sched_dep"] for row in bad.served]
    assert times == sorted(times)


def test_sample_is_spread_over_the_months_and_repeatable(dataset: Dataset, bad: Misbehaving) -> None:
    ids = []
    for _ in range(2):
        bad.served.clear()
        replay(PROBLEM, dataset, config(bad.url, limit=None, sample=1_000, concurrency=1, feedback=False))
        ids.append([row["id"] for row in bad.served])
    assert ids[0] == ids[1]
    times = [row["sched_dep"] for row in bad.served]
    assert 450 < sum(time.startswith("2013-07") for time in times) < 550


def test_real_server(dataset: Dataset, server: ServedPort) -> None:
    before = count_logged(server.traffic)
    result = replay(PROBLEM, dataset, config(server.process.url, limit=None, sample=1_500))
    assert (result.rows_served, result.errors, result.complete) == (1_500, 0, True)
    assert count_logged(server.traffic) == before + 1_500
    query = Query(server.traffic, datetime(2013, 7, 1), datetime(2013, 9, 1), "sched_dep")
    verdict = judge(query, None, DriftSettings()).result
    assert verdict.rows.scored >= 1_500
    assert verdict.labels.matched >= result.labels_sent


def test_every_protocol_predicts_the_same_bits(dataset: Dataset, server: ServedPort) -> None:
    rows = dataset.where(slice(2_000)).columns
    rows = {name: values.copy() for name, values in rows.items()}
    rows["tailnum"][1], rows["temp"][2] = None, np.nan
    with Client(server.process.url, grpc=f"127.0.0.1:{server.grpc_port}") as client:
        for count in (1, 2_000):
            sent = {name: values[:count] for name, values in rows.items()}
            found = [client.predict(sent, protocol) for protocol in PROTOCOLS]
            values = {np.array(one.column("arrival_delay")).tobytes() for one in found}
            assert len(values) == 1
            assert len({key for one in found for key in one.column("prediction_id")}) == len(PROTOCOLS) * count


def test_a_part_of_the_rows_through_each_protocol(dataset: Dataset, server: ServedPort) -> None:
    before = count_logged(server.traffic)
    results = [
        replay(
            PROBLEM,
            dataset,
            config(
                server.process.url,
                limit=None,
                sample=1_000,
                protocol=protocol,
                grpc=f"127.0.0.1:{server.grpc_port}",
                part=f"{number}/5",
            ),
        )
        for number, protocol in enumerate(PROTOCOLS, 1)
    ]
    assert [(result.rows_served, result.complete) for result in results] == [(200, True)] * 5
    new = logged(server.traffic, after=before)
    place = PROBLEM.field_names.index("id")
    assert len({line["inputs"][place] for line in new}) == len(new) == 1_000
