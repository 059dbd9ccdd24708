"""`tabular-bento reload` finds its own server by the port, and no other."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.cli import main
from tabular_bento.serving.ports import free_port
from tests.models import run_command
from tests.releases import CANDIDATE, champion, release, store_of_two
from tests.serving import serve


def test_the_server_at_the_port_takes_the_released_model_and_another_is_left_alone(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    store = store_of_two(trained["tag"], tmp_path / "store")
    release(store, trained["tag"])
    with (
        serve(tmp_path / "one", BENTOML_HOME=str(store)) as one,
        serve(tmp_path / "other", BENTOML_HOME=str(store)) as other,
    ):
        result = run_command("reload", "--port", str(one.process.port))
        assert (result.returncode, result.stdout) == (
            0,
            f"{trained['tag']} is still the model to serve at port {one.process.port}.\n",
        ), result.stderr
        release(store, CANDIDATE)
        result = run_command("reload", "--port", str(one.process.port), "--json")
        assert result.returncode == 0, result.stderr
        document = json.loads(result.stdout)
        assert (document["pid"], document["model"], document["statuses"]) == (
            one.process.process.pid,
            champion(store),
            {"exchanged": 1},
        )
        assert one.get("/model")[1]["tag"] == CANDIDATE
        assert other.get("/model")[1]["tag"] == trained["tag"]


def test_a_port_where_nothing_listens_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert main(["reload", "--port", str(port)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tabular-bento reload: Nothing listens at port {port}")


def test_what_is_no_server_of_ours_is_not_signalled(capsys: pytest.CaptureFixture[str]) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: received.append(number))
    try:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            assert main(["reload", "--port", str(other.getsockname()[1])]) == 3
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "is no `bentoml serve`" in capsys.readouterr().err
    assert not received
