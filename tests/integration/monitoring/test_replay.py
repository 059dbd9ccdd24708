"""Replays against a server that misbehaves on purpose, and against the real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pytest
from pydantic import ValidationError

from features.definition import FIELD_NAMES, TARGET
from monitoring.__main__ import main
from tabular_bento.errors import ReplayError, UnreachableError
from tabular_bento.monitoring.drift.job import judge
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.replay.doors import Door, GRPCDoor, HTTPDoor, RESTDoor
from tabular_bento.monitoring.replay.job import named_requests_of, replay
from tabular_bento.monitoring.window.data import Query
from tabular_bento.protocol.requests import ROWS, PredictRequest
from tabular_bento.serving.ports import free_port
from tests.monitoring.misbehaving import Answers, Handler, Misbehaving, config
from tests.serving import ServedPort, logged
from training.source import Flights


def test_all_is_served(bad: Misbehaving) -> None:
    result = replay(config(bad.url, rows_per_request=33))
    assert (result.flights_served, result.errors, result.complete) == (500, 0, True)
    assert result.outcomes_posted == len(bad.outcomes)
    assert len({row["id"] for row in bad.served}) == 500
    assert result.ratio_to_zero_gain == 1
    assert result.rmse == result.zero_gain_rmse
    assert result.first_event == "2013-07-01T05:00:00"


def test_outcomes_in_several_requests_are_all_counted(bad: Misbehaving) -> None:
    result = replay(config(bad.url, limit=None, sample=5_000, rows_per_request=500))
    assert result.outcomes_posted == len(bad.outcomes)
    assert 4_900 < result.outcomes_posted < 5_000


def test_no_feedback(bad: Misbehaving) -> None:
    result = replay(config(bad.url, feedback=False))
    assert (result.outcomes_posted, bad.outcomes, result.complete) == (0, [], True)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_tried_again(bad: Misbehaving, status: int) -> None:
    def busy(handler: Handler, _: Answers) -> bool:
        if bad.requests <= 6:
            handler.reply(status, {"error": "busy"}, Retry_After="0.05")
        return bad.requests <= 6

    bad.fault = busy
    result = replay(config(bad.url))
    assert (result.flights_served, result.errors, bad.requests) == (500, 0, 16)


def test_server_that_stays_busy_is_an_error(bad: Misbehaving) -> None:
    def busy(handler: Handler, _: Answers) -> bool:
        handler.reply(503, {"error": "busy"}, Retry_After="0.01")
        return True

    bad.fault = busy
    result = replay(config(bad.url, limit=50))
    assert (result.flights_served, result.errors, result.errors_by_status, bad.requests) == (0, 50, {"503": 50}, 5)
    assert result.rmse is None
    assert "busy" in str(result.first_error)


def test_closed_connection_is_tried_again(bad: Misbehaving) -> None:
    def hang_up(handler: Handler, _: Answers) -> bool:
        handler.close_connection = bad.requests % 3 == 0
        return handler.close_connection

    bad.fault = hang_up
    result = replay(config(bad.url))
    assert (result.flights_served, result.errors) == (500, 0)
    assert bad.requests > 10


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda answers: answers[:-1], "49 answers to 50 rows"),
        (lambda answers: answers[::-1], "answer 0 is not to row"),
        (lambda answers: {"answers": answers}, "no list of answers"),
        (lambda answers: [{**answers[0], "arrival_delay": None}, *answers[1:]], "answer 0 lacks arrival_delay"),
    ],
)
def test_wrong_answers_are_errors(bad: Misbehaving, spoil: Callable[[Answers], Any], why: str) -> None:
    def wrong(handler: Handler, answers: Answers) -> bool:
        if bad.requests == 2:
            handler.reply(200, spoil(answers))
        return bad.requests == 2

    bad.fault = wrong
    result = replay(config(bad.url, concurrency=1))
    assert (result.flights_served, result.errors, result.complete) == (450, 50, False)
    assert result.errors_by_status == {"wrong answer": 50}
    assert why in str(result.first_error)


def test_refusal_is_counted_by_status(bad: Misbehaving) -> None:
    def refuse(handler: Handler, _: Answers) -> bool:
        if bad.requests == 1:
            handler.reply(400, {"error": "flights.0.temp: no"})
        return bad.requests == 1

    bad.fault = refuse
    result = replay(config(bad.url))
    assert (result.flights_served, result.errors_by_status) == (450, {"400": 50})
    assert "flights.0.temp" in str(result.first_error)


def test_parts_share_the_flights_out(bad: Misbehaving) -> None:
    replay(config(bad.url, concurrency=1, feedback=False))
    whole = [row["id"] for row in bad.served]
    for number in (1, 2, 3):
        bad.served.clear()
        result = replay(config(bad.url, concurrency=1, feedback=False, part=f"{number}/3"))
        assert [row["id"] for row in bad.served] == whole[number - 1 :: 3]
        assert result.flights == len(bad.served)


def test_part_without_flights(bad: Misbehaving) -> None:
    with pytest.raises(ReplayError, match="no flights in part 3/3"):
        replay(config(bad.url, limit=2, part="3/3"))


def test_rate(bad: Misbehaving) -> None:
    result = replay(config(bad.url, rate=1_000, feedback=False))
    assert 0.4 < result.seconds < 2


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match="make serve"):
        replay(config(url))
    assert main(["replay", "--months", "2013-07", "--limit", "10", "--url", url]) == 3
    assert url in capsys.readouterr().err


@pytest.mark.parametrize(
    "values",
    [
        {"months": "July"},
        {"months": "2013-09:2013-07"},
        {"url": "nowhere"},
        {"rate": 0},
        {"door": "side"},
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
    assert json.loads(output.out.splitlines()[-1])["flights_served"] == 60
    assert output.err == ""

    def fail(handler: Handler, _: Answers) -> bool:
        handler.reply(500, {"error": "no"})
        return True

    bad.fault = fail
    assert main(arguments) == 1
    assert main(["replay", "--months", "2013-13", "--url", bad.url]) == 2
    assert "--months" in capsys.readouterr().err
    assert main(["replay", "--months", "2014-01", "--url", bad.url]) == 2


def test_requests_are_what_the_service_takes(flights: Flights) -> None:
    table = flights.between(*config("http://127.0.0.1:1").days)
    rows = named_requests_of(table)
    assert rows[0]["id"].startswith("2013-07-01T05:00-")
    assert set().union(*rows) == set(FIELD_NAMES)
    assert len({row["id"] for row in rows}) == len(rows)
    PredictRequest.model_validate_json(orjson.dumps({ROWS: rows[:2_000]}))
    assert [row["sched_dep"] for row in rows[:500]] == sorted(row["sched_dep"] for row in rows[:500])


def test_sample_is_spread_over_the_months_and_repeatable(bad: Misbehaving) -> None:
    ids = []
    for _ in range(2):
        bad.served.clear()
        replay(config(bad.url, limit=None, sample=1_000, concurrency=1, feedback=False))
        ids.append([row["id"] for row in bad.served])
    assert ids[0] == ids[1]
    assert 450 < sum(one.startswith("2013-07") for one in ids[0]) < 550


def test_real_server(server: ServedPort) -> None:
    before = len(logged(server.traffic))
    result = replay(config(server.process.url, limit=None, sample=1_500))
    assert (result.flights_served, result.errors, result.complete) == (1_500, 0, True)
    assert len(logged(server.traffic)) == before + 1_500
    query = Query(server.traffic, datetime(2013, 7, 1), datetime(2013, 9, 1), "sched_dep")
    verdict = judge(query, None, DriftSettings()).result
    assert verdict.rows.scored >= 1_500
    assert verdict.outcomes.matched >= result.outcomes_posted


def test_every_door_predicts_the_same_bits(server: ServedPort, flights: Flights) -> None:
    rows = named_requests_of(flights.between(*config(server.process.url).days).slice(0, 10_000))
    for place, name in enumerate(("tailnum", "flight", "temp"), 1):
        del rows[place][name]

    async def ask(open_door: Callable[[], Door], sent: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        door = open_door()
        answers = await door.predict(sent)
        await door.close()
        return list(answers)

    for sent in (rows[:1], rows):
        values, ids = set(), set()
        for door in (
            lambda: HTTPDoor(server.process.url, 1, 60),
            lambda: RESTDoor(server.process.url, 1, 60),
            lambda: GRPCDoor(f"127.0.0.1:{server.grpc_port}", 1, 60),
        ):
            answers = asyncio.run(ask(door, sent))
            values.add(np.array([answer[TARGET.name] for answer in answers]).tobytes())
            ids.update(answer["prediction_id"] for answer in answers)
        assert len(values) == 1
        assert len(ids) == 3 * len(sent)


def test_a_third_of_the_flights_through_each_door(server: ServedPort) -> None:
    before = len(logged(server.traffic))
    results = [
        replay(
            config(
                server.process.url,
                limit=None,
                sample=900,
                door=door,
                grpc=f"127.0.0.1:{server.grpc_port}",
                part=f"{number}/3",
            )
        )
        for number, door in enumerate(("http", "rest", "grpc"), 1)
    ]
    assert [(result.flights_served, result.complete) for result in results] == [(300, True)] * 3
    new = logged(server.traffic)[before:]
    assert len({row["id"] for row in new}) == len(new) == 900
